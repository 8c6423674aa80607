//! Backfill: the cost of a record that is new, and whether it stays the same as records become many.

use std::time::{Duration, Instant};

use syncline_core::{replica::Source, value::Fields};
use syncline_server::engine::intake::Arrival;

use crate::{
    Result, contacts,
    floor::Floor,
    ground::{BATCH, Ground, fields},
    report,
};

/// Intake and floor take turns so often: whatever slows the machine down for a while slows both down.
const ROUNDS: usize = 10;
/// How much more there is in the measurement of growth.
const GROWTH: usize = 10;
/// Points of the curve.
const POINTS: usize = 40;

/// The time of one record of a backfill, against the floor.
pub(crate) async fn per_record(records: usize) -> Result<()> {
    let (ground, mut floor) = (Ground::new().await?, Floor::new().await?);
    let (mut ours, mut floors, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let per_round = (records / ROUNDS).next_multiple_of(BATCH);
    let mut next = 0;
    for round in 0..=ROUNDS {
        let (mut time, mut floor_time) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..per_round / BATCH {
            let arrivals = first_side(&ground, next).await?;
            let records: Vec<Fields> = arrivals.iter().filter_map(fields).cloned().collect();
            let started = Instant::now();
            floor.insert(next, &records).await?;
            floor_time += started.elapsed();
            let started = Instant::now();
            ground.take(arrivals).await?;
            time += started.elapsed();
            next += BATCH as u64;
        }
        // The first round warms statements, caches and allocators up.
        if round > 0 {
            ours.push(report::micros(time) / per_round as f64);
            floors.push(floor_time / per_round as u32);
            ratios.push(time.as_secs_f64() / floor_time.as_secs_f64());
        }
    }
    let created = ground.counts().created;
    if created != next {
        return Err(format!("{created} records were created from {next} contacts").into());
    }
    floors.sort();
    report::floor("intake", floors[floors.len() / 2]);
    report::measure("intake/time", report::quantile(&mut ours, 0.5), "µs per record", None);
    report::measure("intake/ratio", report::quantile(&mut ratios, 0.5), "× floor", Some(2.5));
    link(&ground, next).await?;
    ground.close().await
}

/// The second account of a first sync: every contact is found by its match key and linked.
async fn link(ground: &Ground, contacts: u64) -> Result<()> {
    let mut time = Duration::ZERO;
    for first in (0..contacts).step_by(BATCH) {
        let arrivals = second_side(ground, first).await?;
        let started = Instant::now();
        ground.take(arrivals).await?;
        time += started.elapsed();
    }
    report::measure("intake/link", report::micros(time) / contacts as f64, "µs per record", None);
    Ok(())
}

/// Ten times the records against their time, each in a store of its own.
pub(crate) async fn growth(records: usize) -> Result<()> {
    let mut small = Vec::new();
    for _ in 0..3 {
        let curve = backfill(records).await?;
        small.push(curve.last().ok_or("nothing was measured")?.1);
    }
    let curve = backfill(records * GROWTH).await?;
    let large = curve.last().ok_or("nothing was measured")?.1;
    let per_record: Vec<(f64, f64)> =
        curve.windows(2).map(|pair| (pair[1].0, (pair[1].1 - pair[0].1) * 1e6 / (pair[1].0 - pair[0].0))).collect();
    report::series("intake/growth", &per_record);
    report::measure("growth/time", large / report::quantile(&mut small, 0.5), "× for 10× the records", Some(11.0));
    Ok(())
}

/// Backfills a store; returns records and seconds so far.
async fn backfill(records: usize) -> Result<Vec<(f64, f64)>> {
    let ground = Ground::new().await?;
    let step = (records / POINTS).next_multiple_of(BATCH);
    let mut time = Duration::ZERO;
    let mut curve = vec![(0.0, 0.0)];
    for first in (0..records).step_by(BATCH) {
        let arrivals = first_side(&ground, first as u64).await?;
        let started = Instant::now();
        ground.take(arrivals).await?;
        time += started.elapsed();
        let done = first + BATCH;
        if done.is_multiple_of(step) || done >= records {
            curve.push((done as f64, time.as_secs_f64()));
        }
    }
    ground.close().await?;
    Ok(curve)
}

/// A batch of new contacts of the first account.
pub(crate) async fn first_side(ground: &Ground, first: u64) -> Result<Vec<Arrival>> {
    let objects = (first..first + BATCH as u64).map(|number| contacts::in_salesforce(number, None));
    ground.read("acme-salesforce", objects, Source::List).await
}

/// The same contacts in the second account.
pub(crate) async fn second_side(ground: &Ground, first: u64) -> Result<Vec<Arrival>> {
    let objects = (first..first + BATCH as u64).map(contacts::in_hubspot);
    ground.read("acme-hubspot", objects, Source::List).await
}
