//! Searches: of a trailing index, and of no more than a thousand results.

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
use super::query::Query;
use super::switches;
use super::table::Row;
use crate::clock::Micros;

type Account = State<Arc<ZendeskState>>;

/// The most results of a search.
const RESULTS_MAX: u64 = 1_000;
/// The most results of a page.
const PAGE_MAX: u64 = 100;
/// The most results of a page of an export.
const EXPORT_PAGE_MAX: u64 = 1_000;
/// How long the cursor of an export lives.
const CURSOR_LIFE: Duration = Duration::from_secs(3_600);

type Found<'b> = Vec<(Kind, Id, &'b Row)>;

fn found<'b>(books: &'b Books, query: &Query) -> Found<'b> {
    let kinds = Kind::ALL.into_iter();
    let all = kinds.flat_map(|kind| books.index.of(kind).map(move |(id, row)| (kind, id, row)));
    all.filter(|(kind, id, row)| query.finds(books, *kind, *id, row)).collect()
}

fn sort(found: &mut Found<'_>, call: &Call) {
    match call.query("sort_by") {
        Some("created_at") => found.sort_by_key(|(_, id, row)| (row.created, *id)),
        Some("updated_at") => found.sort_by_key(|(_, id, row)| (row.updated, *id)),
        _ => return found.sort_by_key(|(_, id, row)| (std::cmp::Reverse(row.updated), *id)),
    }
    if call.query("sort_order") != Some("asc") {
        found.reverse();
    }
}

impl ZendeskState {
    fn result(&self, books: &Books, call: &Call, (kind, id, row): (Kind, Id, &Row)) -> Value {
        let mut shown = self.listed(books, kind, id, row, &call.caller);
        if let Some(members) = shown.as_object_mut() {
            members.insert("result_type".to_owned(), kind.singular().into());
        }
        shown
    }
}

/// `GET /search?query=`
pub(crate) async fn search(State(account): Account, call: Call) -> Answer {
    let query = Query::parse(call.query("query").ok_or_else(|| ApiError::missing("query"))?);
    let size = call.number("per_page")?.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
    let number = call.number("page")?.unwrap_or(1).max(1);
    let end = number.saturating_mul(size);
    if end > RESULTS_MAX && account.parts.faults.is_on(switches::SEARCH_CAP) {
        account.parts.faults.count(switches::SEARCH_CAP);
        let why = "Invalid search: Requested response size was greater than Search Response Limits";
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", why));
    }
    let books = account.books();
    let mut all = found(&books, &query);
    sort(&mut all, &call);
    let (count, start) = (all.len(), usize::try_from(end - size).unwrap_or(usize::MAX));
    let rows = all.into_iter().skip(start).take(usize::try_from(size).unwrap_or(1));
    let results: Vec<Value> = rows.map(|row| account.result(&books, &call, row)).collect();
    let link = |number: u64| {
        let query = call.query_with(&["page"], &[("page", &number.to_string())]);
        Value::from(format!("{}{}?{query}", account.parts.base_url, call.path))
    };
    let more = start + results.len() < count;
    ok(json!({
        "results": results, "facets": null, "count": count, "next_page": if more { link(number + 1) } else { Value::Null },
        "previous_page": if number > 1 { link(number - 1) } else { Value::Null },
    }))
}

/// `GET /search/count?query=`
pub(crate) async fn count(State(account): Account, call: Call) -> Answer {
    let query = Query::parse(call.query("query").ok_or_else(|| ApiError::missing("query"))?);
    ok(json!({"count": found(&account.books(), &query).len()}))
}

/// `GET /search/export?query=&filter[type]=`: of one type, by time of creation.
pub(crate) async fn export(State(account): Account, call: Call) -> Answer {
    let query = Query::parse(call.query("query").ok_or_else(|| ApiError::missing("query"))?);
    let kind = call.query("filter[type]").and_then(Kind::parse).ok_or_else(|| ApiError::missing("filter[type]"))?;
    if query.kind.is_some() {
        return Err(ApiError::bad_parameter("query", "must not name a type; filter[type] does"));
    }
    let size = call.number("page[size]")?.unwrap_or(PAGE_MAX).clamp(1, EXPORT_PAGE_MAX);
    let size = usize::try_from(size).unwrap_or(1);
    let now = account.parts.clock.peek();
    let after = match call.query("page[after]") {
        Some(text) => {
            let (issued, created, id) =
                read_cursor(text).ok_or_else(|| ApiError::bad_parameter("page[after]", "is not a valid cursor"))?;
            if now.since(issued) > account.parts.clock.scaled_life(CURSOR_LIFE) {
                let why = "The cursor has expired. Begin again without one.";
                return Err(ApiError::new(StatusCode::BAD_REQUEST, "InvalidCursor", why));
            }
            Some((created, id))
        }
        None => None,
    };
    let books = account.books();
    let mut all = found(&books, &query.of(kind));
    all.sort_by_key(|(_, id, row)| (row.created, *id));
    let rest: Found<'_> =
        all.into_iter().filter(|(_, id, row)| after.is_none_or(|after| (row.created, *id) > after)).collect();
    let has_more = rest.len() > size;
    let last = rest.iter().take(size).next_back().map(|(_, id, row)| cursor(now, row.created, *id));
    let results: Vec<Value> = rest.into_iter().take(size).map(|row| account.result(&books, &call, row)).collect();
    let next = last.as_ref().filter(|_| has_more).map(|cursor| {
        let query = call.query_with(&["page[after]"], &[("page[after]", cursor)]);
        format!("{}{}?{query}", account.parts.base_url, call.path)
    });
    ok(json!({
        "results": results, "facets": null, "links": {"next": next, "prev": null},
        "meta": {"has_more": has_more, "after_cursor": last, "before_cursor": null},
    }))
}

fn cursor(issued: Micros, created: Micros, id: Id) -> String {
    STANDARD.encode(format!("{}.{}.{id}", issued.0, created.0))
}

fn read_cursor(text: &str) -> Option<(Micros, Micros, Id)> {
    let text = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
    let mut parts = text.split('.');
    let mut time = || parts.next()?.parse().ok().map(Micros);
    let (issued, created) = (time()?, time()?);
    Some((issued, created, parts.next()?.parse().ok()?))
}
