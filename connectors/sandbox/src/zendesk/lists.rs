//! Pages of lists: by cursor where `page[size]` is given, else by number.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::call::{Answer, Call, ok};
use super::errors::ApiError;
use super::kind::Id;

/// The most rows of a page.
const SIZE_MAX: u64 = 100;
/// The most pages by number.
const PAGES_MAX: u64 = 100;

/// Answers with a page of `ids`, which are in order. Only the page's rows are rendered.
pub(crate) fn page(
    call: &Call,
    base_url: &str,
    member: &str,
    ids: &[Id],
    mut render: impl FnMut(Id) -> Value,
) -> Answer {
    let mut answer = Map::new();
    let (rows, more) = match call.number("page[size]")? {
        Some(size) => by_cursor(call, base_url, size, ids)?,
        None => by_number(call, base_url, ids)?,
    };
    answer.insert(member.to_owned(), rows.iter().map(|id| render(*id)).collect());
    answer.extend(more);
    ok(answer.into())
}

fn cursor(id: Id) -> String {
    STANDARD.encode(format!("{{\"v\":\"id\",\"i\":{id}}}"))
}

fn place(call: &Call, name: &str) -> Result<Option<Id>, ApiError> {
    let Some(text) = call.query(name) else { return Ok(None) };
    let decoded = STANDARD.decode(text).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let id = decoded.and_then(|value| value["i"].as_u64());
    id.map(Some).ok_or_else(|| ApiError::bad_parameter(name, "is not a valid cursor"))
}

fn by_cursor<'i>(
    call: &Call,
    base_url: &str,
    size: u64,
    ids: &'i [Id],
) -> Result<(&'i [Id], Map<String, Value>), ApiError> {
    if !(1..=SIZE_MAX).contains(&size) {
        return Err(ApiError::bad_parameter("page[size]", "must lie between 1 and 100"));
    }
    let size = usize::try_from(size).unwrap_or(1);
    let (after, before) = (place(call, "page[after]")?, place(call, "page[before]")?);
    let (rows, has_more) = match (after, before) {
        (_, Some(before)) => {
            let rest = &ids[..ids.partition_point(|id| *id < before)];
            (&rest[rest.len().saturating_sub(size)..], rest.len() > size)
        }
        (after, None) => {
            let rest = &ids[after.map_or(0, |after| ids.partition_point(|id| *id <= after))..];
            (&rest[..rest.len().min(size)], rest.len() > size)
        }
    };
    let (first, last) = (rows.first().copied().map(cursor), rows.last().copied().map(cursor));
    let link = |name: &str, cursor: &Option<String>| match cursor {
        Some(cursor) => {
            let query = call.query_with(&["page[after]", "page[before]"], &[(name, cursor)]);
            format!("{base_url}{}?{query}", call.path).into()
        }
        None => Value::Null,
    };
    let answer = json!({
        "meta": {"has_more": has_more, "after_cursor": last, "before_cursor": first},
        "links": {"next": link("page[after]", &last), "prev": link("page[before]", &first)},
    });
    Ok((rows, members(answer)))
}

fn by_number<'i>(call: &Call, base_url: &str, ids: &'i [Id]) -> Result<(&'i [Id], Map<String, Value>), ApiError> {
    let size = call.number("per_page")?.unwrap_or(SIZE_MAX).clamp(1, SIZE_MAX);
    let number = call.number("page")?.unwrap_or(1).max(1);
    if number > PAGES_MAX {
        let why = "Pagination depth is limited to 100 pages. Use cursor pagination.";
        return Err(ApiError::new(http::StatusCode::BAD_REQUEST, "InvalidPaginationDepth", why));
    }
    let start = usize::try_from((number - 1) * size).unwrap_or(usize::MAX).min(ids.len());
    let end = start.saturating_add(usize::try_from(size).unwrap_or(1)).min(ids.len());
    let link = |number: u64| {
        let query = call.query_with(&["page"], &[("page", &number.to_string())]);
        Value::from(format!("{base_url}{}?{query}", call.path))
    };
    let answer = json!({
        "count": ids.len(),
        "next_page": if end < ids.len() { link(number + 1) } else { Value::Null },
        "previous_page": if number > 1 { link(number - 1) } else { Value::Null },
    });
    Ok((&ids[start..end], members(answer)))
}

fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
