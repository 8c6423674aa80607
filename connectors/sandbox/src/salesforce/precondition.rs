//! Conditional requests: dates of one second everywhere, entity tags for accounts only.

use std::time::{Duration, UNIX_EPOCH};

use axum::http::{HeaderMap, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::call::header;
use super::errors::ApiError;
use super::reply::Reply;
use super::table::Record;
use crate::clock::Micros;

/// Refuses a request whose condition the record does not meet: 412, or 304 for a read. The check is as weak as the
/// original's: two changes in one second pass it, and so does a change by the system, which moves only the stamp.
pub(crate) fn check(headers: &HeaderMap, record: &Record<'_>, is_read: bool) -> Result<(), Reply> {
    let failed = || Reply::empty(StatusCode::PRECONDITION_FAILED);
    let unchanged = || if is_read { Reply::empty(StatusCode::NOT_MODIFIED) } else { failed() };
    let modified = record.row.modified.floor_to_second();
    if since(headers, "if-unmodified-since", is_read)?.is_some_and(|since| modified > since) {
        return Err(failed());
    }
    if since(headers, "if-modified-since", true)?.is_some_and(|since| modified <= since) {
        return Err(unchanged());
    }
    let Some(tag) = entity_tag(record) else { return Ok(()) };
    let names = |list: &str| list.split(',').any(|named| matches!(named.trim(), "*") || named.trim() == tag);
    if header(headers, "if-match").is_some_and(|list| !names(list)) {
        return Err(failed());
    }
    if header(headers, "if-none-match").is_some_and(names) {
        return Err(unchanged());
    }
    Ok(())
}

/// The date of a condition. One that cannot be read is ignored by a read, and refused by a write.
fn since(headers: &HeaderMap, name: &str, lenient: bool) -> Result<Option<Micros>, Reply> {
    match (header(headers, name), date(headers, name)) {
        (Some(text), None) if !lenient => {
            let message = format!("{name}: '{text}' is not a valid HTTP date");
            Err(ApiError::new(StatusCode::BAD_REQUEST, "INVALID_HEADER_VALUE", message).into())
        }
        (_, date) => Ok(date),
    }
}

/// The entity tag of a record: only accounts have one.
pub(crate) fn entity_tag(record: &Record<'_>) -> Option<String> {
    if record.table.schema.name != "Account" {
        return None;
    }
    let digest = Sha256::digest(format!("{} {}", record.number, record.row.modified.0));
    Some(format!("\"{}\"", STANDARD.encode(&digest[..20])))
}

/// The date of a header; absent if it is none.
pub(crate) fn date(headers: &HeaderMap, name: &str) -> Option<Micros> {
    let at = httpdate::parse_http_date(header(headers, name)?).ok()?;
    let since = at.duration_since(UNIX_EPOCH).ok()?;
    Some(Micros::from_seconds(i64::try_from(since.as_secs()).ok()?))
}

/// A point in time as a header says it.
pub(crate) fn http_date(at: Micros) -> String {
    let seconds = u64::try_from(at.0.div_euclid(1_000_000)).unwrap_or(0);
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
}
