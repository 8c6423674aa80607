//! Lists: filtered, sorted, and cut into pages that a `Link` header joins.

use axum::Json;
use axum::response::IntoResponse;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderValue, header};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::call::{Answer, Call};
use super::errors::ApiError;
use super::site::GitHubState;
use super::switches;
use super::world::{Issue, Repository};
use crate::clock::Micros;

/// The rows of a page where nothing is asked for, and at most.
const PAGE_DEFAULT: usize = 30;
const PAGE_MAX: usize = 100;
/// Above so many rows a list is walked by cursor.
const BIG_LIST: usize = 500;

/// Where a row stands in a list: its sort key, then its id.
pub(crate) type Place = (i64, u64);

/// Answers with a page of `rows`, which are in order.
pub(crate) fn page<T>(
    site: &GitHubState,
    call: &Call,
    repository: u64,
    rows: &[(Place, T)],
    render: impl Fn(&T) -> Value,
) -> Answer {
    let size = number(call, "per_page")?.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let page = number(call, "page")?.unwrap_or(1).max(1);
    let big = rows.len() > BIG_LIST && site.parts.faults.is_on(switches::CURSOR_LINKS);
    let after =
        call.query("after").map(|text| read_cursor(text).ok_or_else(|| ApiError::field("Search", "after", "invalid")));
    let start = match after.transpose()? {
        Some(after) => rows.iter().position(|(place, _)| *place == after).map_or(0, |at| at + 1),
        None => (page - 1).saturating_mul(size).min(rows.len()),
    };
    let shown = &rows[start..rows.len().min(start.saturating_add(size))];
    let end = start + shown.len();
    let mut links = Vec::new();
    let mut link = |relation: &str, page: usize, after: Option<Place>| {
        let (number, cursor) = (page.to_string(), after.map(cursor));
        let mut with = vec![("page", number.as_str())];
        with.extend(cursor.as_ref().map(|cursor| ("after", cursor.as_str())));
        let query = call.query_with(&["page", "after"], &with);
        // The addresses name the repository by its id, whatever name the request used.
        let rest = match call.param("repository") {
            "" => call.path.splitn(5, '/').nth(4).unwrap_or_default(),
            _ => call.path.splitn(4, '/').nth(3).unwrap_or_default(),
        };
        let url = format!("{}/repositories/{repository}/{rest}?{query}", site.parts.base_url);
        links.push(format!("<{url}>; rel=\"{relation}\""));
    };
    let last_page = rows.len().div_ceil(size).max(1);
    if page > 1 && !big {
        link("prev", page - 1, None);
    }
    if end < rows.len() {
        link("next", page + 1, shown.last().map(|(place, _)| *place).filter(|_| big));
        if !big {
            link("last", last_page, None);
        }
    }
    if page > 1 && !big {
        link("first", 1, None);
    }
    let mut response = Json(shown.iter().map(|(_, row)| render(row)).collect::<Vec<_>>()).into_response();
    if let Ok(value) = HeaderValue::try_from(links.join(", "))
        && !links.is_empty()
    {
        response.headers_mut().insert(header::LINK, value);
    }
    Ok(response)
}

fn number(call: &Call, name: &str) -> Result<Option<usize>, ApiError> {
    let Some(text) = call.query(name) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| ApiError::field("Search", name, "invalid"))
}

fn cursor(place: Place) -> String {
    URL_SAFE_NO_PAD.encode(json!([place.0, place.1]).to_string())
}

fn read_cursor(text: &str) -> Option<Place> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// The moment after which rows must have changed, inclusive, in whole seconds. The epoch means no row at all.
pub(crate) fn since(site: &GitHubState, call: &Call) -> Result<Option<Micros>, ApiError> {
    let Some(text) = call.query("since") else { return Ok(None) };
    let at = text.parse::<Timestamp>().map_err(|_| ApiError::field("Search", "since", "invalid"))?;
    let at = Micros::from_timestamp(at);
    if at.0 <= 0 && site.parts.faults.is_on(switches::SINCE_EPOCH_EMPTY) {
        site.parts.faults.count(switches::SINCE_EPOCH_EMPTY);
        return Ok(Some(Micros(i64::MAX)));
    }
    Ok(Some(at.floor_to_second()))
}

/// The issues that a list asks for, in its order.
pub(crate) fn issues<'r>(
    site: &GitHubState,
    call: &Call,
    home: &'r Repository,
) -> Result<Vec<(Place, &'r Issue)>, ApiError> {
    let since = since(site, call)?;
    let state = call.query("state").unwrap_or("open");
    if !matches!(state, "open" | "closed" | "all") {
        return Err(ApiError::field("Issue", "state", "invalid"));
    }
    let labels: Vec<String> = call
        .query("labels")
        .unwrap_or_default()
        .split(',')
        .map(str::to_lowercase)
        .filter(|name| !name.is_empty())
        .collect();
    let (assignee, creator, milestone) = (call.query("assignee"), call.query("creator"), call.query("milestone"));
    let wanted = |issue: &&Issue| {
        let held: Vec<String> = issue.labels.iter().map(|name| name.to_lowercase()).collect();
        (state == "all" || (state == "open") == issue.is_open)
            && since.is_none_or(|since| issue.updated.floor_to_second() >= since)
            && labels.iter().all(|name| held.contains(name))
            && creator.is_none_or(|login| issue.author.eq_ignore_ascii_case(login))
            && match assignee {
                None => true,
                Some("none") => issue.assignees.is_empty(),
                Some("*") => !issue.assignees.is_empty(),
                Some(login) => issue.assignees.iter().any(|held| held.eq_ignore_ascii_case(login)),
            }
            && match milestone {
                None => true,
                Some("none") => issue.milestone.is_none(),
                Some("*") => issue.milestone.is_some(),
                Some(number) => issue.milestone.is_some_and(|held| held.to_string() == number),
            }
    };
    let sort = call.query("sort").unwrap_or("created");
    let key = |issue: &Issue| match sort {
        "updated" => issue.updated.0.div_euclid(1_000_000),
        "comments" => i64::try_from(issue.comments.len()).unwrap_or(i64::MAX),
        _ => issue.created.0.div_euclid(1_000_000),
    };
    if !matches!(sort, "created" | "updated" | "comments") {
        return Err(ApiError::field("Issue", "sort", "invalid"));
    }
    let mut rows: Vec<(Place, &Issue)> =
        home.here().filter(wanted).map(|issue| ((key(issue), issue.id), issue)).collect();
    rows.sort_by_key(|(place, _)| *place);
    if call.query("direction") != Some("asc") {
        rows.reverse();
    }
    Ok(rows)
}
