//! `syncline syncs`: how far each sync is, and its controls.

use std::{io, time::Duration};

use clap::{Args, Subcommand};
use syncline_client::{Api, Page, Phase, Side, Steering, Sync};

use super::{
    failure::Failure,
    output::{Item, Output, Tone},
    progress::Progress,
    target::Target,
};

/// How often a watched sync is asked for its state.
const WATCH_EVERY: Duration = Duration::from_millis(500);

/// The arguments of `syncs`.
#[derive(Args)]
pub(crate) struct Syncs {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Show every sync, or one.
    Status {
        /// The sync.
        sync: Option<String>,
        /// Show the progress of first reads until they are done.
        #[arg(long)]
        watch: bool,
    },
    /// Stop reading and writing after the current step.
    Pause(Which),
    /// Go on.
    Resume(Which),
    /// Read now instead of at the next interval.
    Trigger(Which),
    /// Forget where reading goes on and read everything again; records and links stay.
    Reset(Which),
    /// Allow the first writes of a sync that waits for approval, and carry out deletes that wait for a person.
    Approve(Which),
    /// Refuse the deletes that wait for a person: what is gone is created again where it vanished, and what clients of the
    /// product deleted comes back.
    Reject(Which),
}

#[derive(Args)]
struct Which {
    /// The sync.
    sync: String,
    /// Only this side.
    #[arg(long, value_name = "CONNECTION")]
    connection: Option<String>,
}

impl Syncs {
    /// Does what the verb says.
    pub(crate) async fn run(self, output: Output) -> Result<(), Failure> {
        let api = self.target.connect()?;
        let (which, steering) = match self.verb {
            Verb::Status { sync, watch } => return status(&api, sync.as_deref(), watch, output).await,
            Verb::Pause(which) => (which, Steering::Pause),
            Verb::Resume(which) => (which, Steering::Resume),
            Verb::Trigger(which) => (which, Steering::Trigger),
            Verb::Reset(which) => (which, Steering::Reset),
            Verb::Approve(which) => (which, Steering::Approve),
            Verb::Reject(which) => (which, Steering::Reject),
        };
        let sync = api.steer_sync(&which.sync, which.connection.as_deref(), steering).await?;
        Ok(output.show(&sync, |output, sync| table(output, std::slice::from_ref(sync)))?)
    }
}

async fn status(api: &Api, sync: Option<&str>, watch: bool, output: Output) -> Result<(), Failure> {
    let mut page = fetch(api, sync).await?;
    if watch {
        let mut progress = Progress::new(output);
        while page.items.iter().flat_map(|sync| &sync.sides).any(is_reading) {
            for (name, side) in page.items.iter().flat_map(|sync| sync.sides.iter().map(|side| (&sync.id, side))) {
                progress.show(&format!("{name} ← {}", side.connection), side.progress.read, side.progress.expected);
            }
            tokio::time::sleep(WATCH_EVERY).await;
            page = fetch(api, sync).await?;
        }
        progress.finish();
    }
    Ok(output.show(&page, |output, page| table(output, &page.items))?)
}

/// Whether the side's first read is still under way.
fn is_reading(side: &Side) -> bool {
    matches!(side.phase, None | Some(Phase::Backfilling))
}

async fn fetch(api: &Api, sync: Option<&str>) -> Result<Page<Sync>, Failure> {
    Ok(match sync {
        Some(id) => Page { items: vec![api.sync(id).await?], next_cursor: None },
        None => api.syncs().await?,
    })
}

fn table(output: Output, syncs: &[Sync]) -> io::Result<()> {
    let mut rows = Vec::new();
    for (sync, side) in syncs.iter().flat_map(|sync| sync.sides.iter().map(move |side| (sync, side))) {
        let (phase, tone) = words(side.phase);
        rows.push(vec![
            Item::text(&sync.id),
            Item::text(&side.connection),
            Item::text(&side.object),
            Item::text(phase).tone(tone),
            Item::number(read(side)),
            Item::number(side.deliveries.dirty),
            Item::number(side.deliveries.parked).tone(if side.deliveries.parked > 0 { Tone::Bad } else { Tone::Plain }),
            Item::maybe(side.last_success_at.as_ref()).tone(Tone::Dim),
            Item::text(side.last_error.as_deref().unwrap_or_default()).tone(Tone::Bad),
        ]);
    }
    let head = ["sync", "connection", "object", "phase", "read", "to send", "parked", "last read", "last error"];
    output.table(&head, rows, "no syncs are configured")?;
    held_deletes(output, syncs)
}

/// What waits for a person, under the table.
fn held_deletes(output: Output, syncs: &[Sync]) -> io::Result<()> {
    let mut rows = Vec::new();
    for (sync, held) in syncs.iter().flat_map(|sync| sync.held_deletes.iter().map(move |held| (sync, held))) {
        let sample = held.sample.iter().map(|one| one.object.as_deref().unwrap_or(&one.record)).collect::<Vec<_>>();
        rows.push(vec![
            Item::text(&sync.id),
            Item::text(held.connection.as_deref().unwrap_or("clients")),
            Item::text(format!("{} of {} ({} %)", held.waiting, held.known, held.share_percent)).tone(Tone::Bad),
            Item::text(&held.since).tone(Tone::Dim),
            Item::text(sample.join(", ")),
            Item::text(&held.remedy),
        ]);
    }
    if rows.is_empty() {
        return Ok(());
    }
    output.table(&["sync", "from", "deletes waiting", "since", "such as", "what to do"], rows, "")
}

fn read(side: &Side) -> String {
    match side.progress.expected {
        Some(expected) => format!("{} of {expected}", side.progress.read),
        None => side.progress.read.to_string(),
    }
}

fn words(phase: Option<Phase>) -> (&'static str, Tone) {
    match phase {
        None => ("not started", Tone::Dim),
        Some(Phase::WaitingApproval) => ("waits for approval", Tone::Warn),
        Some(Phase::Backfilling) => ("first read", Tone::Plain),
        Some(Phase::Live) => ("live", Tone::Good),
        Some(Phase::Paused) => ("paused", Tone::Warn),
        Some(Phase::Degraded) => ("degraded", Tone::Bad),
        Some(Phase::ReauthNeeded) => ("authorise again", Tone::Bad),
    }
}
