//! What the service costs, as ratios to floors that are measured in the same run. `cargo xtask bench` runs this program,
//! judges what it prints, and writes `docs/benchmarks.md`.
//!
//! # Layout
//!
//! * [`contacts`]: the records that everything is measured with. [`ground`]: the intake on an empty store.
//! * [`floor`]: the least that the same work can cost: Automerge and SQLite without any of ours.
//! * [`intake`], [`change`], [`history`], [`live`], [`repo`], [`webhooks`], [`memory`]: the measurements. [`bare`]: the floor of a fan-out. [`peer`]: a client that costs
//!   next to nothing.
//! * [`stage`]: the real binaries, for the measurements that need them. [`process`]: what the system says of a process.
//! * [`report`]: what is printed.

mod bare;
mod change;
mod contacts;
mod floor;
mod ground;
mod history;
mod intake;
mod live;
mod memory;
mod peer;
mod process;
mod repo;
mod report;
mod stage;
mod webhooks;

use clap::{Parser, ValueEnum};

/// The product's own, for the floors as well.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Whatever goes wrong ends the measurement; there is nobody to recover for.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Parser)]
#[command(about = "Measures the service against floors of the same run")]
struct Arguments {
    /// What to measure; everything if none is named.
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Records that intake is measured with; the measurement of growth takes ten times as many.
    #[arg(long, default_value_t = 20_000)]
    records: usize,
    /// Contacts that are backfilled while memory is watched.
    #[arg(long, default_value_t = 1_000_000)]
    contacts: u64,
    /// Given by `cargo bench` to every program.
    #[arg(long, hide = true)]
    bench: bool,
}

/// One measurement.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Backfill, per record.
    Intake,
    /// Ten times the records against their time.
    Growth,
    /// One changed field.
    Change,
    /// One record, edited for ever.
    History,
    /// A change to live subscribers.
    Live,
    /// A client's change to others who hold the document.
    Repo,
    /// A signed webhook until it is answered, under load.
    Webhooks,
    /// Memory of the server while it backfills.
    Memory,
}

fn main() -> Result<()> {
    if std::env::args().nth(1).is_some_and(|argument| argument == bare::FLAG) {
        return runtime()?.block_on(bare::serve());
    }
    let arguments = Arguments::parse();
    let wanted = |part: Part| arguments.parts.is_empty() || arguments.parts.contains(&part);
    runtime()?.block_on(async {
        if wanted(Part::Intake) {
            intake::per_record(arguments.records).await?;
        }
        if wanted(Part::Growth) {
            intake::growth(arguments.records).await?;
        }
        if wanted(Part::Change) {
            change::measure().await?;
        }
        if wanted(Part::History) {
            history::measure().await?;
        }
        if wanted(Part::Live) {
            live::measure().await?;
        }
        if wanted(Part::Repo) {
            repo::measure().await?;
        }
        if wanted(Part::Webhooks) {
            webhooks::measure().await?;
        }
        if wanted(Part::Memory) {
            memory::measure(arguments.contacts).await?;
        }
        Ok(())
    })
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}
