//! `cargo xtask bench`: what the service costs, as ratios to floors of the same run.
//!
//! The program `speed` in `server/benches` measures; this verb judges what it prints, keeps the results in
//! `docs/benchmarks/` and writes `docs/benchmarks.md` from them.
//!
//! # Layout
//!
//! * [`mod@line`]: what the program prints. [`results`], [`floors`]: what is kept of it.
//! * [`machine`]: where it was measured. [`page`], [`plot`]: how it is shown.

mod floors;
mod line;
mod machine;
mod page;
mod plot;
mod results;

use std::{
    fs,
    io::{self, BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::Stdio,
};

use crate::command::{CannotRun, cargo, root};
use floors::Floors;
use line::Line;
use results::Results;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only these: `intake`, `growth`, `change`, `history`, `live`, `repo`, `webhooks`, `memory`. The page keeps the earlier results of the others.
    parts: Vec<String>,
    /// Records that intake is measured with.
    #[arg(long, value_name = "N")]
    records: Option<u64>,
    /// Contacts that are backfilled while memory is watched.
    #[arg(long, value_name = "N")]
    contacts: Option<u64>,
    /// Take this run's floors as those of this machine from now on.
    #[arg(long)]
    adopt_floors: bool,
    /// Judge what the program printed into this file earlier, instead of measuring now.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Judge only; leave `docs/` as it is.
    #[arg(long)]
    dry: bool,
}

/// Measures and judges; whether every target is met and every floor is what it was.
pub(crate) fn run(arguments: &Arguments) -> Result<bool, CannotRun> {
    let load = machine::load();
    let lines = match &arguments.from {
        Some(file) => recorded(file)?,
        None => measure(arguments)?,
    };
    let Some(lines) = lines else {
        println!("bench: the measurement failed, see above");
        return Ok(false);
    };
    let machine = machine::describe();
    let folder = root().join("docs/benchmarks");
    let mut results = Results::load(&folder.join("results.json"), &machine);
    let mut floors = Floors::load(&folder.join("floors.json"));
    let today = jiff::Timestamp::now().strftime("%F").to_string();
    let broken = floors.judge(&machine, &lines, arguments.adopt_floors);
    let missed = results.take(&lines, &today);
    results.load = load;

    println!("\n{}", results.table());
    for problem in broken.iter().chain(&missed) {
        println!("{problem}");
    }
    // Results of a broken measurement are worth nothing: the page keeps the last good ones.
    if !arguments.dry && broken.is_empty() {
        keep(&folder, &results, &floors).map_err(|error| CannotRun::named("writing docs/benchmarks", error))?;
    }
    let good = broken.is_empty() && missed.is_empty();
    println!("bench: {}", if good { "every target is met" } else { "see above" });
    Ok(good)
}

/// Runs the program; `None` if it failed.
fn measure(arguments: &Arguments) -> Result<Option<Vec<Line>>, CannotRun> {
    let mut command =
        cargo(&["bench", "--locked", "--quiet", "--package", "syncline-server", "--bench", "speed", "--"]);
    command.args(&arguments.parts);
    for (name, value) in [("--records", arguments.records), ("--contacts", arguments.contacts)] {
        if let Some(value) = value {
            command.args([name, &value.to_string()]);
        }
    }
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|error| CannotRun::new(&command, error))?;
    let mut lines = Vec::new();
    if let Some(output) = child.stdout.take() {
        for text in BufReader::new(output).lines() {
            let text = text.map_err(|error| CannotRun::new(&command, error))?;
            match serde_json::from_str(&text) {
                Ok(line) => lines.push(line),
                Err(_) => println!("{text}"),
            }
        }
    }
    let status = child.wait().map_err(|error| CannotRun::new(&command, error))?;
    Ok((status.success() && !lines.is_empty()).then_some(lines))
}

/// What the program printed into a file.
fn recorded(file: &Path) -> Result<Option<Vec<Line>>, CannotRun> {
    let text = fs::read_to_string(file).map_err(|error| CannotRun::named("reading the recorded run", error))?;
    let lines: Vec<Line> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    Ok((!lines.is_empty()).then_some(lines))
}

fn keep(folder: &Path, results: &Results, floors: &Floors) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("results.json"), results.to_json()?)?;
    fs::write(folder.join("floors.json"), floors.to_json()?)?;
    for (name, _, svg) in page::plots(results) {
        fs::write(folder.join(name), svg)?;
    }
    fs::write(folder.with_extension("md"), page::page(results))
}
