//! The incremental exports: everything that was written since some second, deleted objects included, up to a minute ago. They
//! are the only lists that hold archived tickets, so that backfills and sweeps are read from them as well.
//!
//! Tickets and users come by a cursor, organizations by time alone. Rows stand in the order in which they were written, which
//! for tickets is not that of their stamps: what Zendesk's own machinery writes moves a ticket to the end and leaves its stamp.

use std::collections::BTreeSet;

use serde_json::Value;
use syncline_core::{
    ids::ExternalId,
    remote::{Page, PageRequest, Position, ProviderError, Raw, Remedy, Window},
    time::Millis,
};

use super::{
    kind::Kind,
    rows::{self, Row},
    session::Session,
};
use crate::{connector::Deleted, registry::scaled, rest::Call};

/// The most rows of a page.
pub(super) const ROWS_MAX: u32 = 1_000;

/// An export leaves out what was written in the last minute. The rest is for a clock that is not quite ours.
pub(super) const LAG_MS: u64 = 70_000;

/// How many pages one question about deletes reads: what lies behind them is the next question's.
const DELETED_PAGES_MAX: u32 = 5;

const CURSOR: &str = "cursor:";
const TIME: &str = "time:";

/// Where a page of an export begins.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Start {
    /// With what was written in this second or later, in seconds since 1970.
    Second(i64),
    /// After the page that named this cursor.
    Cursor(String),
}

impl Start {
    fn at(time: Millis) -> Self {
        Self::Second(time.0.div_euclid(1_000).max(0))
    }

    fn of(request: &PageRequest) -> Result<Self, ProviderError> {
        if let Some(token) = &request.token {
            return Self::parse(token);
        }
        let from = request.window.map_or(Millis(0), |window| window.from);
        Ok(Self::at(request.after.as_ref().map_or(from, |after| after.stamp.max(from))))
    }

    fn parse(token: &str) -> Result<Self, ProviderError> {
        let second = token.strip_prefix(TIME).and_then(|second| second.parse().ok()).map(Self::Second);
        second.or_else(|| token.strip_prefix(CURSOR).map(|cursor| Self::Cursor(cursor.to_owned()))).ok_or_else(|| {
            ProviderError { remedy: Remedy::Restart, message: "the token is none of an export".to_owned() }
        })
    }

    fn token(&self) -> String {
        match self {
            Self::Second(second) => format!("{TIME}{second}"),
            Self::Cursor(cursor) => format!("{CURSOR}{cursor}"),
        }
    }
}

fn call(kind: Kind, start: &Start, limit: u32) -> Call {
    let resource = kind.plural();
    let path = match kind {
        Kind::Tickets | Kind::Users => format!("/api/v2/incremental/{resource}/cursor.json"),
        Kind::Organizations => format!("/api/v2/incremental/{resource}.json"),
    };
    let call = match start {
        Start::Second(second) => Call::get(path).query("start_time", second.to_string()),
        Start::Cursor(cursor) => Call::get(path).query("cursor", cursor.as_str()),
    };
    call.query("per_page", limit.to_string())
}

/// A page of an export as it came.
#[derive(Debug, PartialEq)]
struct Export {
    rows: Vec<Value>,
    /// Where the next page begins; `None` at the end of what is there.
    next: Option<Start>,
}

async fn read(session: &Session<'_>, kind: Kind, start: &Start, limit: u32) -> Result<Export, ProviderError> {
    match session.read(call(kind, start, limit)).await {
        Ok(answer) => understand(kind, start, limit, answer),
        // A cursor that is no longer understood: the walk goes on from the last row that it has read.
        Err(error) if error.remedy == Remedy::Configure && matches!(start, Start::Cursor(_)) && !forbidden(&error) => {
            Err(ProviderError { remedy: Remedy::Restart, ..error })
        }
        Err(error) => Err(error),
    }
}

/// Exports are for administrators only.
fn forbidden(error: &ProviderError) -> bool {
    error.message.starts_with("HTTP 403")
}

/// Only `end_of_stream` ends an export: short and empty pages are usual.
fn understand(kind: Kind, start: &Start, limit: u32, mut answer: Raw) -> Result<Export, ProviderError> {
    let broken =
        |remedy, what: &str| Err(ProviderError { remedy, message: format!("the export of {}: {what}", kind.plural()) });
    let Some(Value::Array(rows)) = answer.remove(kind.plural()) else {
        return broken(Remedy::Retry, "the answer holds no rows");
    };
    let ended = match answer.get("end_of_stream").and_then(Value::as_bool) {
        Some(ended) => ended,
        None => rows.len() < usize::try_from(limit).unwrap_or(usize::MAX),
    };
    if ended {
        return Ok(Export { rows, next: None });
    }
    let next = match kind {
        Kind::Tickets | Kind::Users => {
            answer.get("after_cursor").and_then(Value::as_str).map(|cursor| Start::Cursor(cursor.into()))
        }
        Kind::Organizations => answer.get("end_time").and_then(Value::as_i64).map(Start::Second),
    };
    match next {
        None => broken(Remedy::Restart, "there are more rows, but the answer does not say where"),
        Some(next) if next == *start => broken(
            Remedy::Configure,
            "one second holds more rows than a page, so it cannot be read: edit some of them again",
        ),
        next => Ok(Export { rows, next }),
    }
}

/// One page of a list or of a window. Deleted rows are told apart: they come to those who ask for them.
pub(super) async fn page(session: &Session<'_>, kind: Kind, request: &PageRequest) -> Result<Page, ProviderError> {
    let start = Start::of(request)?;
    let keyed = request.after.as_ref().filter(|_| request.token.is_none());
    // Rows of the position's second come again, so that a small page might never get past it.
    let limit = if keyed.is_some() { ROWS_MAX } else { request.limit.clamp(1, ROWS_MAX) };
    let export = read(session, kind, &start, limit).await?;
    Ok(shown(kind, request, keyed, export))
}

fn shown(kind: Kind, request: &PageRequest, keyed: Option<&Position>, export: Export) -> Page {
    let mut page = Page { next: export.next.as_ref().map(Start::token), ..Page::default() };
    let until = request.window.map_or(Millis(i64::MAX), |window| window.until);
    for value in export.rows {
        match rows::row(kind, value, &request.fields) {
            // Everything from here on lies in later windows.
            Ok(row) if row.place >= until => page.next = None,
            Ok(row) if row.object.deleted == request.deleted => page.objects.push(placed(row, keyed)),
            Ok(_) => {}
            Err(malformed) => page.malformed.push(malformed),
        }
    }
    page
}

/// A walk that has lost its cursor begins again at the second of its last row's stamp, and meets rows again. One with an earlier
/// stamp may all the same be one that it has not met: it comes without the stamp, which says nothing of its place.
fn placed(mut row: Row, keyed: Option<&Position>) -> syncline_core::remote::RemoteObject {
    let stamp = row.object.version.map(|version| version.stamp);
    let passed = |after: &Position| {
        stamp.is_some_and(|stamp| stamp < after.stamp || (stamp == after.stamp && row.object.id == after.id))
    };
    if keyed.is_some_and(passed) {
        row.object.version = None;
    }
    row.object
}

/// The objects that were deleted inside a window, of which the last minute is still hidden.
pub(super) async fn deleted(session: &Session<'_>, kind: Kind, window: Window) -> Result<Deleted, ProviderError> {
    let lag = i64::try_from(scaled(LAG_MS, session.settings.time_scale)).unwrap_or(i64::MAX);
    let settled = whole_second(window.until.plus(lag.saturating_neg()));
    let mut start = Start::at(window.from.min(settled));
    let mut ids = BTreeSet::new();
    let mut covered_until = settled;
    for pages in 1.. {
        let export = read(session, kind, &start, ROWS_MAX).await?;
        let last = collect(kind, export.rows, &mut ids);
        match export.next {
            Some(next) if last.is_none_or(|last| last < settled) => {
                if pages >= DELETED_PAGES_MAX {
                    covered_until = whole_second(last.unwrap_or(window.from)).min(settled);
                    break;
                }
                start = next;
            }
            _ => break,
        }
    }
    Ok(Deleted { ids: ids.into_iter().collect(), covered_until: covered_until.max(window.from).min(window.until) })
}

/// Notes the deleted rows of a page, and says where its last row stands.
fn collect(kind: Kind, values: Vec<Value>, ids: &mut BTreeSet<ExternalId>) -> Option<Millis> {
    let mut last = None;
    for row in values.into_iter().filter_map(|value| rows::row(kind, value, &[]).ok()) {
        last = Some(row.place);
        if row.object.deleted {
            ids.insert(row.object.id);
        }
    }
    last
}

fn whole_second(time: Millis) -> Millis {
    Millis(time.0.div_euclid(1_000).saturating_mul(1_000))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use syncline_core::remote::RemoteVersion;

    use super::*;

    const BASE: i64 = 1_777_977_120_000; // 2026-05-05T10:32:00Z

    fn at(seconds: i64) -> Millis {
        Millis(BASE + seconds * 1_000)
    }

    fn request() -> PageRequest {
        PageRequest {
            object: "tickets".into(),
            fields: Vec::new(),
            window: None,
            after: None,
            token: None,
            deleted: false,
            limit: 500,
        }
    }

    #[test]
    fn each_walk_has_its_start() {
        let window = Some(Window { from: at(10), until: at(20) });
        let after = |seconds| Some(Position { stamp: at(seconds), id: "1".into() });
        let token = |text: &str| Some(text.to_owned());
        let second = |seconds: i64| Ok(Start::Second(BASE / 1_000 + seconds));
        let cases = [
            (request(), Ok(Start::Second(0))),
            (PageRequest { window, ..request() }, second(10)),
            (PageRequest { window, after: after(15), ..request() }, second(15)),
            (PageRequest { window, after: after(5), ..request() }, second(10)),
            (
                PageRequest { token: token("cursor:abc"), after: after(15), ..request() },
                Ok(Start::Cursor("abc".into())),
            ),
            (PageRequest { token: token("time:7"), ..request() }, Ok(Start::Second(7))),
            (PageRequest { token: token("https://evil.com"), ..request() }, Err(Remedy::Restart)),
        ];
        for (request, expected) in cases {
            let start = Start::of(&request).map_err(|error| error.remedy);
            assert_eq!(start, expected, "{request:?}");
            if let Ok(start) = start {
                assert_eq!(Start::parse(&start.token()), Ok(start));
            }
        }
    }

    #[test]
    fn each_kind_has_its_export() {
        let cursor = Start::Cursor("MTc=".to_owned());
        let cases = [
            (Kind::Tickets, Start::Second(7), "/api/v2/incremental/tickets/cursor.json?start_time=7&per_page=9"),
            (Kind::Users, cursor, "/api/v2/incremental/users/cursor.json?cursor=MTc%3D&per_page=9"),
            (Kind::Organizations, Start::Second(7), "/api/v2/incremental/organizations.json?start_time=7&per_page=9"),
        ];
        for (kind, start, target) in cases {
            assert_eq!(call(kind, &start, 9).target(), target);
        }
    }

    #[test]
    fn only_the_end_of_the_stream_ends_an_export() {
        let next = |kind, answer: Value| {
            let Value::Object(answer) = answer else { panic!("an object is expected") };
            understand(kind, &Start::Second(5), 2, answer).map(|export| export.next).map_err(|error| error.remedy)
        };
        let cursor = Ok(Some(Start::Cursor("b".to_owned())));
        let cases = [
            (Kind::Tickets, json!({"tickets": [], "after_cursor": "b", "end_of_stream": false}), cursor),
            (Kind::Tickets, json!({"tickets": [{}, {}], "after_cursor": "b", "end_of_stream": true}), Ok(None)),
            (Kind::Tickets, json!({"tickets": [], "after_cursor": null, "end_of_stream": false}), Err(Remedy::Restart)),
            (Kind::Users, json!({"tickets": [], "end_of_stream": true}), Err(Remedy::Retry)),
            (
                Kind::Organizations,
                json!({"organizations": [{}, {}], "end_time": 6, "next_page": null}),
                Ok(Some(Start::Second(6))),
            ),
            (Kind::Organizations, json!({"organizations": [{}], "end_time": 6, "next_page": "x"}), Ok(None)),
            (
                Kind::Organizations,
                json!({"organizations": [{}, {}], "end_time": 5, "end_of_stream": false}),
                Err(Remedy::Configure),
            ),
        ];
        for (kind, answer, expected) in cases {
            assert_eq!(next(kind, answer.clone()), expected, "{answer}");
        }
    }

    fn ticket(id: u64, updated: i64, generated: i64, status: &str) -> Value {
        json!({"id": id, "updated_at": at(updated).to_rfc3339(), "generated_timestamp": BASE / 1_000 + generated, "status": status})
    }

    fn ids(page: &Page) -> Vec<&str> {
        page.objects.iter().map(|object| object.id.as_str()).collect()
    }

    #[test]
    fn a_window_ends_where_it_ends() {
        let window = Some(Window { from: at(10), until: at(20) });
        let next = || Some(Start::Cursor("b".to_owned()));
        let page = |request: &PageRequest, rows: Vec<Value>| {
            shown(Kind::Tickets, request, None, Export { rows, next: next() })
        };
        let windowed = PageRequest { window, ..request() };
        let rows = || vec![ticket(1, 11, 11, "open"), ticket(2, 3, 12, "open"), ticket(3, 13, 13, "deleted")];
        let whole = page(&windowed, rows());
        assert_eq!((ids(&whole), whole.next.as_deref()), (vec!["1", "2"], Some("cursor:b")));
        let deleted = page(&PageRequest { deleted: true, ..windowed.clone() }, rows());
        assert_eq!(ids(&deleted), ["3"]);
        let last = page(&windowed, vec![ticket(1, 19, 19, "open"), ticket(2, 4, 20, "open")]);
        assert_eq!((ids(&last), &last.next), (vec!["1"], &None));
        let malformed = page(&windowed, vec![json!({"id": 7})]);
        assert_eq!((malformed.malformed.len(), malformed.next.is_some()), (1, true));
    }

    #[test]
    fn a_walk_that_lost_its_cursor_hides_no_row() {
        let keyed = Position { stamp: at(12), id: "2".into() };
        let rows = vec![
            ticket(1, 3, 12, "open"),
            ticket(2, 12, 12, "open"),
            ticket(3, 12, 12, "open"),
            ticket(4, 5, 30, "open"),
        ];
        let page = shown(Kind::Tickets, &request(), Some(&keyed), Export { rows, next: None });
        let versions: Vec<Option<RemoteVersion>> = page.objects.iter().map(|object| object.version).collect();
        assert_eq!(ids(&page), ["1", "2", "3", "4"]);
        assert_eq!(versions, [None, None, Some(rows::version(at(12))), None]);
    }

    #[test]
    fn deleted_rows_are_collected() {
        let mut ids = BTreeSet::new();
        let last =
            collect(Kind::Tickets, vec![ticket(1, 1, 5, "deleted"), json!("x"), ticket(2, 2, 6, "open")], &mut ids);
        assert_eq!((last, ids), (Some(at(6)), ["1".into()].into()));
    }
}
