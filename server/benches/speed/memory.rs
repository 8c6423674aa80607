//! Memory of the server process while it backfills, with the sandbox in another process.

use std::time::{Duration, Instant};

use syncline_client::{Api, Phase};

use crate::{
    Result, process, report,
    stage::{Sides, Stage},
};

/// How often memory is looked at.
const EVERY: Duration = Duration::from_millis(500);
/// A backfill that reads nothing for so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// The part of the backfill after which memory is to stay as it is.
const WARM_UP: f64 = 0.2;

/// The memory that the server takes for a backfill of so many contacts.
pub(crate) async fn measure(contacts: u64) -> Result<()> {
    let stage = Stage::set(contacts, Sides::One)?;
    let api = stage.api()?;
    if process::resident(stage.process()).is_none() {
        eprintln!("memory: this system does not tell what a process holds; nothing was measured");
        return Ok(());
    }
    let started = Instant::now();
    let curve = watch(&stage, &api, contacts).await?;
    let seconds = started.elapsed().as_secs_f64();

    let settled = |(rows, _): &&(f64, f64)| *rows >= contacts as f64 * WARM_UP;
    let early = curve.iter().find(settled).ok_or("the backfill was over before it could be watched: take more")?.1;
    let late = curve.iter().filter(settled).map(|(_, megabytes)| *megabytes).fold(early, f64::max);
    let peak = process::resident_peak(stage.process()).ok_or("the server has ended")?;
    report::series("memory/resident", &curve);
    report::measure("memory/contacts", contacts as f64, "contacts", None);
    report::measure("memory/speed", contacts as f64 / seconds, "contacts per second, over HTTP", None);
    report::measure("memory/peak", peak, "MB", Some(300.0));
    report::measure("memory/growth", late / early, "× of the memory at a fifth of the way", Some(1.25));
    Ok(())
}

/// Watches until the side is backfilled; returns rows read and megabytes held.
async fn watch(stage: &Stage, api: &Api, contacts: u64) -> Result<Vec<(f64, f64)>> {
    let mut curve: Vec<(f64, f64)> = Vec::new();
    let (mut read, mut moved) = (0, Instant::now());
    loop {
        tokio::time::sleep(EVERY).await;
        let sync = api.sync("contacts").await?;
        let side = sync.sides.first().ok_or("the sync has no side")?;
        let held = process::resident(stage.process()).ok_or("the server has ended")?;
        curve.push((side.progress.read as f64, held));
        if side.progress.read > read {
            (read, moved) = (side.progress.read, Instant::now());
        }
        if matches!(side.phase, Some(Phase::WaitingApproval | Phase::Live)) {
            break;
        }
        if moved.elapsed() > PATIENCE {
            return Err(format!("nothing was read after {read} rows: {:?}", side.last_error).into());
        }
    }
    if read < contacts {
        return Err(format!("{read} of {contacts} contacts were read").into());
    }
    Ok(curve)
}
