//! Searches: rows modified inside a window, and rows by value. The index lags, never shows archived rows, and ends at
//! 10,000 results; so a walk goes by id inside a fixed window, and each page is a search of its own.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use syncline_core::{
    ids::ExternalId,
    remote::{Key, Page, PageRequest, ProviderError},
};

use super::{
    list::number,
    rows::{Listing, Shape},
    settings::{Settings, stamp_property},
};
use crate::rest::Call;

/// The most rows of a page.
pub(super) const ROWS_MAX: u32 = 200;

/// HubSpot refuses longer bodies.
const BODY_LEN_MAX: usize = 3_000;

/// What is left of the body for filters, and how much of it properties may take before they are read by id instead.
const FILTERS_LEN_MAX: usize = 2_600;
const PROPERTIES_LEN_MAX: usize = 1_300;

/// The most groups of filters in a search.
const GROUPS_MAX: usize = 5;

/// A page's token names the last id of the page before: it holds as long as the window does.
const TOKEN_PREFIX: &str = "after-id:";

/// Whether the call's body is longer than a search may have; its rows are then read by id.
pub(super) fn is_wide(call: &Call) -> bool {
    call.body_len() > BODY_LEN_MAX
}

/// The call of a page: rows of the window, after the last id read.
pub(super) fn request(settings: &Settings, request: &PageRequest, shape: Shape<'_>) -> Result<Call, ProviderError> {
    let stamp = stamp_property(&request.object);
    let mut filters = Vec::new();
    if let Some(window) = &request.window {
        filters.push(filter(stamp, "GTE", &window.from.0.to_string()));
        filters.push(filter(stamp, "LT", &window.until.0.to_string()));
    }
    if let Some(id) = last_id(request) {
        filters.push(filter("hs_object_id", "GT", id.as_str()));
    }
    let limit = request.limit.clamp(1, ROWS_MAX);
    Ok(Call::post(settings.objects(&request.object, "/search")?, body(vec![filters], shape, limit)))
}

/// One search for objects that match any of several sets of values.
#[derive(Debug, PartialEq)]
pub(super) struct Question(Vec<Vec<Value>>);

/// The searches that find live objects with these values. Single values of one property share a list; sets of values
/// share a search as far as HubSpot's limits of groups and of the body's length allow.
pub(super) fn questions(searches: &[Vec<Key>], shape: Shape<'_>) -> Vec<Question> {
    let mut lists: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut sets = Vec::new();
    for search in searches {
        match search.as_slice() {
            [] => {}
            // Lists of text are compared in small letters, lists of options as they are: both spellings are asked for.
            [key] => lists.entry(&key.field).or_default().extend([key.value.clone(), key.value.to_lowercase()]),
            keys => sets.push(keys.iter().map(|key| filter(&key.field, "EQ", &key.value)).collect::<Vec<_>>()),
        }
    }
    let properties_len = json!(shape.properties()).to_string().len();
    let room = FILTERS_LEN_MAX.saturating_sub(if properties_len > PROPERTIES_LEN_MAX { 0 } else { properties_len });
    let mut questions: Vec<Question> = Vec::new();
    for (property, values) in lists {
        for values in chunked(values.into_iter().collect(), room, usize::MAX) {
            questions.push(Question(vec![vec![one_of(property, &values)]]));
        }
    }
    questions.extend(chunked(sets, room, GROUPS_MAX).into_iter().map(Question));
    questions
}

/// Splits parts so that each chunk's JSON is not much longer than `room` and holds at most `max`.
fn chunked<T: serde::Serialize>(parts: Vec<T>, room: usize, max: usize) -> Vec<Vec<T>> {
    let mut chunks: Vec<Vec<T>> = Vec::new();
    let mut len = 0;
    for part in parts {
        let part_len = json!(part).to_string().len() + 16;
        match chunks.last_mut() {
            Some(chunk) if len + part_len <= room && chunk.len() < max => {
                chunk.push(part);
                len += part_len;
            }
            _ => {
                chunks.push(vec![part]);
                len = part_len;
            }
        }
    }
    chunks
}

fn one_of(property: &str, values: &[String]) -> Value {
    json!({"propertyName": property, "operator": "IN", "values": values})
}

/// The call of a question: matches after the last id read.
pub(super) fn ask(
    settings: &Settings,
    question: &Question,
    after: Option<&ExternalId>,
    shape: Shape<'_>,
) -> Result<Call, ProviderError> {
    let after = after.map(|id| filter("hs_object_id", "GT", id.as_str()));
    let groups = question.0.iter().map(|filters| filters.iter().cloned().chain(after.clone()).collect());
    Ok(Call::post(settings.objects(shape.object, "/search")?, body(groups.collect(), shape, ROWS_MAX)))
}

/// The last id that a page's token names.
pub(super) fn id_of_token(token: &str) -> Option<ExternalId> {
    token.strip_prefix(TOKEN_PREFIX).map(ExternalId::from)
}

fn filter(property: &str, operator: &str, value: &str) -> Value {
    json!({"propertyName": property, "operator": operator, "value": value})
}

fn body(groups: Vec<Vec<Value>>, shape: Shape<'_>, limit: u32) -> Value {
    let groups: Vec<Value> = groups.into_iter().map(|filters| json!({ "filters": filters })).collect();
    json!({
        "filterGroups": groups,
        "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
        "properties": shape.properties(),
        "limit": limit,
    })
}

/// The last id read: the token's, which is the newer, or the position's.
fn last_id(request: &PageRequest) -> Option<ExternalId> {
    request
        .token
        .as_deref()
        .and_then(id_of_token)
        .or_else(|| request.after.as_ref().map(|position| position.id.clone()))
}

/// Whether a token came from [`page`].
pub(super) fn is_token(token: &str) -> bool {
    token.starts_with(TOKEN_PREFIX)
}

/// Reads a page.
pub(super) fn page(listing: Listing, shape: Shape<'_>) -> Page {
    let more = listing.after().is_some();
    let mut page = Page::default();
    for value in listing.results {
        match shape.row(value) {
            Ok(object) => page.objects.push(object),
            Err(malformed) => page.malformed.push(malformed),
        }
    }
    let ids =
        page.objects.iter().map(|object| &object.id).chain(page.malformed.iter().filter_map(|row| row.id.as_ref()));
    let last = ids.filter(|id| number(id) < u64::MAX).max_by_key(|id| number(id)).cloned();
    page.next = last.filter(|_| more).map(|id| format!("{TOKEN_PREFIX}{id}"));
    page
}

#[cfg(test)]
mod tests {
    use syncline_core::{
        remote::{Position, Window},
        time::Millis,
    };

    use super::*;
    use crate::rest::Body;

    fn asked() -> PageRequest {
        PageRequest {
            object: "contacts".into(),
            fields: vec!["email".to_owned()],
            window: Some(Window { from: Millis(1_778_000_000_000), until: Millis(1_778_003_600_000) }),
            after: None,
            token: None,
            deleted: false,
            limit: 500,
        }
    }

    fn shape(request: &PageRequest) -> Shape<'_> {
        Shape { object: &request.object, fields: &request.fields, app_id: None }
    }

    fn filters(request: &PageRequest) -> Value {
        let call = super::request(&Settings::default(), request, shape(request)).expect("a call");
        let Body::Json(body) = call.body else { panic!("JSON is expected") };
        body["filterGroups"][0]["filters"].clone()
    }

    #[test]
    fn a_page_is_a_search_of_its_own() {
        let request = asked();
        let call = super::request(&Settings::default(), &request, shape(&request)).expect("a call");
        let expected = json!({
            "filterGroups": [{"filters": [
                {"propertyName": "lastmodifieddate", "operator": "GTE", "value": "1778000000000"},
                {"propertyName": "lastmodifieddate", "operator": "LT", "value": "1778003600000"},
            ]}],
            "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
            "properties": ["email", "lastmodifieddate", "hs_merged_object_ids"],
            "limit": 200,
        });
        assert_eq!(call, Call::post("/crm/v3/objects/contacts/search", expected));
    }

    #[test]
    fn a_walk_goes_on_after_the_last_id() {
        let after = Some(Position { stamp: Millis(0), id: "9001".into() });
        let greater = |id: &str| json!({"propertyName": "hs_object_id", "operator": "GT", "value": id});
        let by_position = PageRequest { after: after.clone(), object: "companies".into(), ..asked() };
        assert_eq!(filters(&by_position)[0]["propertyName"], "hs_lastmodifieddate");
        assert_eq!(filters(&by_position)[2], greater("9001"));
        let by_token = PageRequest { after: after.clone(), token: Some("after-id:9200".into()), ..asked() };
        assert_eq!(filters(&by_token)[2], greater("9200"));
        let no_window = PageRequest { after, window: None, ..asked() };
        assert_eq!(filters(&no_window), json!([greater("9001")]));
    }

    #[test]
    fn the_next_page_begins_after_the_greatest_id() {
        let row = |id: &str| json!({"id": id, "properties": {}});
        let page = |value: Value| {
            let request = asked();
            super::page(serde_json::from_value(value).expect("a listing"), shape(&request)).next
        };
        let paging = json!({"next": {"after": "200"}});
        let results = json!([row("99"), row("100"), {"id": "101"}]);
        assert_eq!(page(json!({"results": results, "paging": paging})), Some("after-id:101".into()));
        assert_eq!(page(json!({"results": results})), None);
    }

    #[test]
    fn searches_share_calls() {
        let key = |field: &str, value: &str| Key { field: field.into(), value: value.into() };
        let request = asked();
        let searches =
            [vec![key("phone", "A1")], vec![key("lastname", "x"), key("city", "y")], vec![], vec![key("phone", "2")]];
        let questions = questions(&searches, shape(&request));
        let expected = [
            Question(vec![vec![one_of("phone", &["2".into(), "A1".into(), "a1".into()])]]),
            Question(vec![vec![filter("lastname", "EQ", "x"), filter("city", "EQ", "y")]]),
        ];
        assert_eq!(questions, expected);

        let call = ask(&Settings::default(), &questions[1], Some(&"9".into()), shape(&request)).expect("a call");
        let Body::Json(body) = call.body else { panic!("JSON is expected") };
        assert_eq!(body["filterGroups"][0]["filters"][2], filter("hs_object_id", "GT", "9"));
    }

    #[test]
    fn no_search_is_longer_than_hubspot_allows() {
        let key =
            |field: &str, n: u32| Key { field: field.into(), value: format!("Some.Person.Number.{n}@example.com") };
        let singles = (0..100).map(|n| vec![key("phone", n)]);
        let pairs = (0..100).map(|n| vec![key("lastname", n), key("city", n)]);
        let searches: Vec<Vec<Key>> = singles.chain(pairs).collect();
        let request = asked();
        for question in questions(&searches, shape(&request)) {
            let call =
                ask(&Settings::default(), &question, Some(&"123456789012".into()), shape(&request)).expect("a call");
            assert!(!is_wide(&call), "{}", call.body_len());
            assert!(question.0.len() <= GROUPS_MAX);
        }
    }

    #[test]
    fn a_body_that_names_too_much_is_wide() {
        let fields: Vec<String> = (0..200).map(|n| format!("custom_property_number_{n}")).collect();
        let request = PageRequest { fields, ..asked() };
        let wide = super::request(&Settings::default(), &request, shape(&request)).expect("a call");
        let narrow = super::request(&Settings::default(), &request, shape(&request).narrow()).expect("a call");
        assert!(is_wide(&wide));
        assert!(!is_wide(&narrow));
    }
}
