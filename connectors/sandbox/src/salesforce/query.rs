//! Queries and their pages.

use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::call::{Call, header};
use super::cursors::Cursor;
use super::errors::ApiError;
use super::platform::SalesforceState;
use super::reply::Reply;
use super::soql::{self, Found, Selection};
use super::store::Store;

/// Rows on a page, at least and at most, and unless told otherwise.
const BATCH_MIN: usize = 200;
const BATCH_MAX: usize = 2_000;

/// Runs a query and shows its first page.
pub(crate) fn first_page(
    state: &SalesforceState,
    call: &Call,
    store: &Store,
    text: Option<&str>,
    headers: &HeaderMap,
    with_deleted: bool,
) -> Result<Reply, ApiError> {
    let text = text.filter(|text| !text.trim().is_empty());
    let text = text.ok_or_else(|| ApiError::malformed_query("A query string has to be specified"))?;
    let now = state.parts.clock.now();
    let (selection, found) = match soql::prepare(store, text, now)?.run(store, with_deleted) {
        Found::Count(count) => return Ok(Reply::ok(json!({ "totalSize": count, "done": true, "records": [] }))),
        Found::Aggregates(mut row) => {
            row.insert("attributes".to_owned(), json!({ "type": "AggregateResult" }));
            return Ok(Reply::ok(json!({ "totalSize": 1, "done": true, "records": [row] })));
        }
        Found::Rows(selection, found) => (selection, Arc::<[u32]>::from(found)),
    };
    let empty = !with_deleted && call.caller.is_integration() && state.parts.faults.roll("empty_answer");
    let found = if empty { Arc::default() } else { found };
    let batch_size = batch_size(headers);
    let page = Page { state, call, store, selection: &selection, found: &found, with_deleted };
    let end = page.end(0, batch_size);
    let locator = (end < found.len())
        .then(|| state.cursors.lock().open(selection.clone(), found.clone(), batch_size, with_deleted, now));
    Ok(page.show(0, end, locator.as_deref()))
}

/// Shows a further page.
pub(crate) fn next_page(state: &SalesforceState, call: &Call, store: &Store, locator: &str) -> Result<Reply, ApiError> {
    let expired = || ApiError::new(StatusCode::BAD_REQUEST, "INVALID_QUERY_LOCATOR", "invalid query locator");
    let mut cursors = state.cursors.lock();
    let (cursor, place) = cursors.find(locator, state.parts.clock.now()).ok_or_else(expired)?;
    if call.caller.is_integration() && state.parts.faults.roll("locator_expired") {
        cursors.close(locator);
        return Err(expired());
    }
    drop(cursors);
    let Cursor { selection, found, batch_size, with_deleted, .. } = cursor;
    let page = Page { state, call, store, selection: &selection, found: &found, with_deleted };
    let end = page.end(place, batch_size);
    let id = locator.split_once('-').map_or(locator, |(id, _)| id);
    Ok(page.show(place, end, (end < found.len()).then_some(id)))
}

/// `Sforce-Query-Options: batchSize=500` is a hint within bounds.
fn batch_size(headers: &HeaderMap) -> usize {
    let options = header(headers, "sforce-query-options").unwrap_or_default();
    let asked = options.split([',', ';']).find_map(|option| {
        let (name, value) = option.split_once('=')?;
        name.trim().eq_ignore_ascii_case("batchSize").then(|| value.trim().parse::<usize>().ok()).flatten()
    });
    asked.map_or(BATCH_MAX, |rows| rows.clamp(BATCH_MIN, BATCH_MAX))
}

struct Page<'a> {
    state: &'a SalesforceState,
    call: &'a Call,
    store: &'a Store,
    selection: &'a Selection,
    found: &'a [u32],
    with_deleted: bool,
}

impl Page<'_> {
    /// Where the page that starts at `start` ends. A page may be short although more follow.
    fn end(&self, start: usize, batch_size: usize) -> usize {
        let rows = batch_size.min(self.found.len() - start);
        let faults = &self.state.parts.faults;
        if rows < 2 || !self.call.caller.is_integration() || !faults.roll("short_page") {
            return start + rows;
        }
        // The draw is below 1, so at least one row is left for the next page.
        let some = (faults.draw("short_page") * rows as f64) as usize;
        start + some.clamp(1, rows - 1)
    }

    fn show(&self, start: usize, end: usize, locator: Option<&str>) -> Reply {
        let table = self.store.table(self.selection.object);
        let version = &self.call.version.text;
        let records = self.found[start..end].iter().filter_map(|number| table.record(*number));
        let visible = records.filter(|record| self.with_deleted || record.row.deleted.is_none());
        let shown = visible.map(|record| {
            self.state.log_read(&self.call.caller, &record, &self.call.via);
            self.selection.show(&record, self.store, version)
        });
        let mut answer = json!({
            "totalSize": self.found.len(),
            "done": locator.is_none(),
            "records": shown.collect::<Vec<Value>>(),
        });
        if let Some(id) = locator {
            // The path says `query` for queryAll too, as the original does.
            answer["nextRecordsUrl"] = json!(format!("/services/data/{version}/query/{id}-{end}"));
        }
        Reply::ok(answer)
    }
}
