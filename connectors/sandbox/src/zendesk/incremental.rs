//! Incremental exports: by cursor, and the older form by time.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Value, json};

use super::account::{Books, ZendeskState};
use super::call::{Answer, Call, ok};
use super::errors::ApiError;
use super::kind::{Id, Kind};
use super::switches;
use super::table::{Life, Row};
use super::time::seconds;

type Account = State<Arc<ZendeskState>>;

/// The rows of a page where nothing is asked for, and at most.
const PAGE_MAX: usize = 1_000;
/// How long a change is left out.
const HIDDEN: Duration = Duration::from_secs(60);

/// A place in the order of an export: second of the last touch, then id.
type Place = (i64, Id);

fn cursor(place: Place) -> String {
    STANDARD.encode(format!("{}.0||{}|", place.0, place.1))
}

fn place(cursor: &str) -> Option<Place> {
    let text = String::from_utf8(STANDARD.decode(cursor).ok()?).ok()?;
    let (second, id) = text.strip_suffix('|')?.split_once(".0||")?;
    Some((second.parse().ok()?, id.parse().ok()?))
}

impl ZendeskState {
    /// The last second whose changes are exported.
    fn exported_until(&self) -> i64 {
        let now = self.parts.clock.peek();
        if !self.parts.faults.is_on(switches::EXPORT_HIDES_LAST_MINUTE) {
            return seconds(now);
        }
        // The minute counts from the end of the second, so that no second is shown in part.
        seconds(now.minus(self.parts.clock.scaled(HIDDEN))) - 1
    }

    fn start_time(&self, call: &Call) -> Result<i64, ApiError> {
        let start = call.query("start_time").ok_or_else(|| ApiError::missing("start_time"))?;
        let start = start.parse().map_err(|_| ApiError::bad_parameter("start_time", "must be seconds since 1970"))?;
        let now = self.parts.clock.peek();
        if start > seconds(now.minus(self.parts.clock.scaled(HIDDEN))) {
            let why = "Too recent start_time. Use a start_time older than 60 seconds";
            return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "StartTimeTooRecent", why));
        }
        Ok(start)
    }
}

fn page_size(call: &Call) -> Result<usize, ApiError> {
    let size = call.number("per_page")?.unwrap_or(PAGE_MAX as u64);
    Ok(usize::try_from(size).unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX))
}

fn check_role(call: &Call) -> Result<(), ApiError> {
    // The ordinary agent is no administrator, and only administrators may export.
    if call.caller.is_integration() { Ok(()) } else { Err(ApiError::forbidden()) }
}

/// `GET /incremental/{tickets|users}/cursor`
pub(crate) async fn by_cursor(State(account): Account, call: Call) -> Answer {
    check_role(&call)?;
    let kind = exported_kind(&call)?;
    let (books, size, faults) = (account.books(), page_size(&call)?, &account.parts.faults);
    let start = match call.query("cursor") {
        Some(text) => place(text).ok_or_else(|| ApiError::bad_parameter("cursor", "is not a valid cursor"))?,
        // The place right before the first row of that second: ids begin at 1.
        None => (account.start_time(&call)?, 0),
    };
    let until = account.exported_until();
    let with_deleted = call.query("exclude_deleted") != Some("true");
    let wanted = |row: &Row| with_deleted || row.is_live();
    let after = Bound::Excluded(start);
    let mut rest = books.table(kind).touched_after(after, until).filter(|(_, row)| wanted(row)).peekable();
    let has_rows = rest.peek().is_some();
    let (mut rows, mut last): (Vec<(Id, &Row)>, Place) = (Vec::new(), start);
    if !(has_rows && faults.roll(switches::EXPORT_EMPTY_PAGE)) {
        let short = has_rows && faults.roll(switches::EXPORT_SHORT_PAGE);
        let size = if short { size.div_ceil(3) } else { size };
        for (found, row) in rest.by_ref().take(size) {
            last = found;
            rows.push((found.1, row));
        }
    }
    let end_of_stream = rest.next().is_none();
    if start.1 > 0
        && let Some(row) = books.table(kind).get(start.1)
        && seconds(row.generated) == start.0
        && !rows.is_empty()
        && faults.roll(switches::EXPORT_REPEAT)
    {
        rows.insert(0, (start.1, row));
    }
    let listed = rows.iter().map(|(id, row)| account.listed(&books, kind, *id, row, &call.caller));
    let listed: Vec<Value> = listed.collect();
    let after_cursor = cursor(last);
    let query = call.query_with(&["start_time", "cursor"], &[("cursor", &after_cursor)]);
    let mut answer = json!({
        "after_url": format!("{}{}?{query}", account.parts.base_url, call.path), "before_url": null,
        "after_cursor": after_cursor, "before_cursor": null, "end_of_stream": end_of_stream,
    });
    answer[kind.plural()] = listed.into();
    ok(answer)
}

fn exported_kind(call: &Call) -> Result<Kind, ApiError> {
    let name = call.path.split('/').nth(4).unwrap_or_default().trim_end_matches(".json");
    Kind::parse(name).ok_or_else(ApiError::invalid_endpoint)
}

/// `GET /incremental/{tickets|users|organizations}`: every row of the seconds that a page reaches, so that the page's last
/// second comes again.
pub(crate) async fn by_time(State(account): Account, call: Call) -> Answer {
    check_role(&call)?;
    let kind = exported_kind(&call)?;
    let (books, size, start) = (account.books(), page_size(&call)?, account.start_time(&call)?);
    let from = Bound::Included((start, 0));
    let all = books
        .table(kind)
        .touched_after(from, account.exported_until())
        .map(|((second, id), row)| (second, account.listed(&books, kind, id, row, &call.caller)));
    let (rows, end_time, end_of_stream) = whole_seconds(all, size, start);
    ok(time_page(&account, &call, kind.plural(), rows, end_time, end_of_stream))
}

/// `GET /incremental/ticket_events`
pub(crate) async fn ticket_events(State(account): Account, call: Call) -> Answer {
    check_role(&call)?;
    let (books, size, start) = (account.books(), page_size(&call)?, account.start_time(&call)?);
    let with_comments = call.query("include").is_some_and(|all| all.split(',').any(|name| name == "comment_events"));
    let until = account.exported_until();
    let mut audits: Vec<_> = exported_audits(&books).filter(|(second, ..)| (start..=until).contains(second)).collect();
    audits.sort_unstable_by_key(|(second, id, _)| (*second, *id));
    let events = audits.into_iter().map(|(second, _, audit)| (second, audit.render_event(with_comments)));
    let (rows, end_time, end_of_stream) = whole_seconds(events, size, start);
    ok(time_page(&account, &call, "ticket_events", rows, end_time, end_of_stream))
}

fn exported_audits(books: &Books) -> impl Iterator<Item = (i64, Id, &super::thread::Audit)> {
    let there = |id: Id| books.table(Kind::Tickets).get(id).is_some_and(|row| row.life != Life::Scrubbed);
    let threads = books.threads.iter().filter(move |(id, _)| there(**id));
    threads.flat_map(|(_, thread)| thread.audits()).map(|audit| (seconds(audit.at), audit.id, audit))
}

/// Takes rows up to `size`, and beyond it those of the last second.
fn whole_seconds(all: impl Iterator<Item = (i64, Value)>, size: usize, start: i64) -> (Vec<Value>, i64, bool) {
    let (mut rows, mut end_time, mut ended) = (Vec::new(), start, true);
    for (second, row) in all {
        if rows.len() >= size && second != end_time {
            ended = false;
            break;
        }
        end_time = second;
        rows.push(row);
    }
    (rows, end_time, ended)
}

fn time_page(
    account: &ZendeskState,
    call: &Call,
    member: &str,
    rows: Vec<Value>,
    end_time: i64,
    end_of_stream: bool,
) -> Value {
    let query = call.query_with(&["start_time"], &[("start_time", &end_time.to_string())]);
    let mut answer = json!({
        "count": rows.len(), "end_time": end_time, "end_of_stream": end_of_stream,
        "next_page": format!("{}{}?{query}", account.parts.base_url, call.path),
    });
    answer[member] = rows.into();
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_back() {
        assert_eq!(cursor((1_735_108_434, 23)), "MTczNTEwODQzNC4wfHwyM3w=");
        assert_eq!(place("MTczNTEwODQzNC4wfHwyM3w="), Some((1_735_108_434, 23)));
        for bad in ["", "x", "MTcz", "MTczNTEwODQzNC4wfHwyM3w"] {
            assert_eq!(place(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_page_by_time_ends_with_a_whole_second() {
        let rows = |seconds: &[i64]| seconds.iter().map(|second| (*second, json!(second))).collect::<Vec<_>>();
        for (seconds, size, expected) in [
            (&[1, 2, 2, 2, 3][..], 2, (4, 2, false)),
            (&[1, 2, 2, 2], 2, (4, 2, true)),
            (&[], 2, (0, 0, true)),
            (&[5], 1, (1, 5, true)),
        ] {
            let (page, end_time, ended) = whole_seconds(rows(seconds).into_iter(), size, 0);
            assert_eq!((page.len(), end_time, ended), expected, "{seconds:?}");
        }
    }
}
