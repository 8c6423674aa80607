//! Conditional requests: dates of one second everywhere, entity tags for accounts only.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::UNIX_EPOCH;

use axum::http::{HeaderMap, StatusCode, header};

use super::call::header as text_header;
use super::reply::Reply;
use super::table::Record;
use crate::clock::Micros;

/// Refuses a request whose condition the record does not meet: 412, or 304 for a read. The check is as weak as the
/// original's: two changes in one second pass it, and so does a change by the system, which moves only the stamp.
pub(crate) fn check(headers: &HeaderMap, record: &Record<'_>, is_read: bool) -> Result<(), Reply> {
    let failed = || Reply::empty(StatusCode::PRECONDITION_FAILED);
    let unmodified = || Reply::empty(if is_read { StatusCode::NOT_MODIFIED } else { StatusCode::PRECONDITION_FAILED });
    let modified = record.row.modified.floor_to_second();
    if date(headers, header::IF_UNMODIFIED_SINCE.as_str()).is_some_and(|since| modified > since) {
        return Err(failed());
    }
    if date(headers, header::IF_MODIFIED_SINCE.as_str()).is_some_and(|since| modified <= since) {
        return Err(unmodified());
    }
    let Some(tag) = entity_tag(record) else { return Ok(()) };
    let names = |list: &str| list.split(',').any(|named| matches!(named.trim(), "*") || named.trim() == tag);
    if text_header(headers, "if-match").is_some_and(|list| !names(list)) {
        return Err(failed());
    }
    if text_header(headers, "if-none-match").is_some_and(names) {
        return Err(unmodified());
    }
    Ok(())
}

/// The entity tag of a record: only accounts have one.
pub(crate) fn entity_tag(record: &Record<'_>) -> Option<String> {
    if record.table.schema.name != "Account" {
        return None;
    }
    let mut hasher = DefaultHasher::new();
    (record.number, record.row.modified.0).hash(&mut hasher);
    Some(format!("\"{:016x}\"", hasher.finish()))
}

/// The date of a header; one that is no date is ignored.
pub(crate) fn date(headers: &HeaderMap, name: &str) -> Option<Micros> {
    let at = httpdate::parse_http_date(text_header(headers, name)?).ok()?;
    let since = at.duration_since(UNIX_EPOCH).ok()?;
    Some(Micros::from_seconds(i64::try_from(since.as_secs()).ok()?))
}

/// A point in time as a header says it.
pub(crate) fn http_date(at: Micros) -> String {
    let seconds = u64::try_from(at.0.div_euclid(1_000_000)).unwrap_or(0);
    httpdate::fmt_http_date(UNIX_EPOCH + std::time::Duration::from_secs(seconds))
}
