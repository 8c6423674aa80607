//! Which records changed, and which were deleted, in a window of time.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;

use super::call::{Call, Params};
use super::cell::datetime_text;
use super::errors::ApiError;
use super::normalise::parse_datetime;
use super::platform::SalesforceState;
use super::reply::Reply;
use super::sobjects::object;
use super::store::Store;
use crate::clock::Micros;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How far back `updated` looks.
const UPDATED_LOOK_BACK: Duration = DAY.saturating_mul(30);
/// How far back `deleted` looks.
const DELETED_LOOK_BACK: Duration = DAY.saturating_mul(15);
/// The resolution of a window, before scaling; the wire has whole seconds, so never finer than that.
const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);
/// The most ids in one answer.
const IDS_MAX: usize = 600_000;
/// How far a running transaction holds the covered end back.
const HELD_BACK: Duration = Duration::from_secs(45);
/// How much of the delete log a purge leaves.
const PURGE_LEAVES: Duration = Duration::from_secs(10 * 60);

/// The window of a request, as the platform understands it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    from: Micros,
    until: Micros,
}

/// `GET …/sobjects/{object}/updated/?start=…&end=…`.
pub(crate) fn updated(
    state: &SalesforceState,
    call: &Call,
    store: &Store,
    name: &str,
    params: &Params,
) -> Result<Reply, ApiError> {
    let table = store.table(object(store, name)?);
    let now = state.parts.clock.now();
    let window = window(state, params, now)?;
    if window.from < now.minus(UPDATED_LOOK_BACK) {
        return Err(invalid_date("The start date cannot be more than 30 days ago"));
    }
    let covered = covered(state, call, window, now);
    let live = table
        .by_stamp((window.from, 0), (Micros(covered.0.saturating_sub(1)), u32::MAX))
        .filter(|number| table.live(*number).is_some());
    let ids: Vec<_> = live.map(|number| table.id(number).to_string()).collect();
    check_count(ids.len())?;
    Ok(Reply::ok(json!({ "ids": ids, "latestDateCovered": datetime_text(covered) })))
}

/// `GET …/sobjects/{object}/deleted/?start=…&end=…`.
pub(crate) fn deleted(
    state: &SalesforceState,
    call: &Call,
    store: &Store,
    name: &str,
    params: &Params,
) -> Result<Reply, ApiError> {
    let table = store.table(object(store, name)?);
    let now = state.parts.clock.now();
    let window = window(state, params, now)?;
    let earliest = earliest_available(state, call, now);
    if window.from < earliest {
        let message = format!("start date {} is before the earliest date available", datetime_text(window.from));
        return Err(invalid_date(&message));
    }
    let covered = covered(state, call, window, now);
    let records = table
        .deletions(window.from, covered)
        .map(|(at, number)| json!({ "id": table.id(number).to_string(), "deletedDate": datetime_text(at) }));
    let records: Vec<_> = records.collect();
    check_count(records.len())?;
    Ok(Reply::ok(json!({
        "deletedRecords": records,
        "earliestDateAvailable": datetime_text(earliest),
        "latestDateCovered": datetime_text(covered),
    })))
}

fn window(state: &SalesforceState, params: &Params, now: Micros) -> Result<Window, ApiError> {
    let read = |name: &str| {
        let text =
            params.get(name).ok_or_else(|| ApiError::row("MISSING_ARGUMENT", format!("{name} not specified"), &[]))?;
        parse_datetime(text).ok_or_else(|| {
            let message = format!("{name}: '{text}' is not a valid value for the type xsd:dateTime");
            ApiError::new(StatusCode::BAD_REQUEST, "MALFORMED_QUERY", message)
        })
    };
    let (start, end) = (read("start")?, read("end")?);
    let step = step(state);
    let cut = |at: Micros| Micros(at.0 - at.0.rem_euclid(step));
    let window = Window { from: cut(start), until: cut(end) };
    if window.until.0 - window.from.0 < step {
        return Err(invalid_date("The end date must be more than one minute after the start date"));
    }
    if window.from > now {
        return Err(invalid_date("The start date cannot be in the future"));
    }
    Ok(window)
}

/// The resolution of windows in microseconds.
fn step(state: &SalesforceState) -> i64 {
    let faults = &state.parts.faults;
    let step = if faults.roll("replication_minutes") { state.parts.clock.scaled(MINUTE).max(SECOND) } else { SECOND };
    // Whole seconds, so that the cut shows on the wire.
    i64::try_from(step.as_secs()).unwrap_or(60).max(1) * 1_000_000
}

/// The end of what the answer covers: never beyond now, and held back by running transactions.
fn covered(state: &SalesforceState, call: &Call, window: Window, now: Micros) -> Micros {
    let mut covered = window.until.min(now.floor_to_second());
    if call.caller.is_integration() && state.parts.faults.roll("covered_late") {
        covered = covered.min(now.minus(state.parts.clock.scaled(HELD_BACK)).floor_to_second());
    }
    covered.max(window.from)
}

fn earliest_available(state: &SalesforceState, call: &Call, now: Micros) -> Micros {
    let purged = call.caller.is_integration() && state.parts.faults.roll("delete_log_purged");
    let left = if purged { state.parts.clock.scaled(PURGE_LEAVES) } else { DELETED_LOOK_BACK };
    now.minus(left).floor_to_minute()
}

fn check_count(count: usize) -> Result<(), ApiError> {
    if count <= IDS_MAX {
        return Ok(());
    }
    let message = "The window holds more ids than one answer can; ask for a smaller one";
    Err(ApiError::new(StatusCode::BAD_REQUEST, "EXCEEDED_ID_LIMIT", message))
}

fn invalid_date(message: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "INVALID_REPLICATION_DATE", message)
}
