//! One field changed in one account: from the parsed reading to the durable commit, of a record that nothing has in
//! memory.

use std::time::{Duration, Instant};

use syncline_core::{replica::Source, value::Fields};

use crate::{
    Result, contacts,
    floor::Floor,
    ground::{BATCH, Ground, fields},
    intake, report,
};

/// Records, each changed once: none has been touched since it was stored.
const RECORDS: u64 = 2_000;
/// The first changes warm statements and allocators up.
const WARM_UP: u64 = 200;

/// The time of one change, against the floor.
pub(crate) async fn measure() -> Result<()> {
    let (ground, mut floor) = (Ground::new().await?, Floor::new().await?);
    for first in (0..RECORDS).step_by(BATCH) {
        let arrivals = intake::first_side(&ground, first).await?;
        let records: Vec<Fields> = arrivals.iter().filter_map(fields).cloned().collect();
        floor.insert(first, &records).await?;
        ground.take(arrivals).await?;
        ground.take(intake::second_side(&ground, first).await?).await?;
    }
    let before = ground.counts().changed;
    let (mut ours, mut floors): (Vec<Duration>, Vec<Duration>) = (Vec::new(), Vec::new());
    for number in 0..RECORDS {
        let title = format!("Director {number}");
        let started = Instant::now();
        floor.change(number, "title", &title).await?;
        let floor_time = started.elapsed();
        let object = contacts::in_salesforce(number, Some(&title));
        let arrivals = ground.read("acme-salesforce", [object], Source::ById).await?;
        let started = Instant::now();
        ground.take(arrivals).await?;
        if number >= WARM_UP {
            ours.push(started.elapsed());
            floors.push(floor_time);
        }
    }
    let changed = ground.counts().changed - before;
    if changed != RECORDS {
        return Err(format!("{changed} of {RECORDS} changes changed a record").into());
    }
    ours.sort();
    floors.sort();
    let (middle, late) = (ours.len() / 2, ours.len() * 99 / 100);
    report::floor("change", floors[middle]);
    report::measure("change/time", report::micros(ours[middle]), "µs per change", None);
    report::measure("change/late", report::micros(ours[late]), "µs, p99", None);
    let ratio = ours[middle].as_secs_f64() / floors[middle].as_secs_f64();
    report::measure("change/ratio", ratio, "× floor", Some(2.5));
    ground.close().await
}
