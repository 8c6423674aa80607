//! Objects by value. Each search is asked for by one of its fields, and what comes is compared with all of them.

use std::collections::BTreeMap;

use serde_json::Value;
use syncline_core::{
    ids::ExternalId,
    remote::{Key, Page, PageRequest, ProviderError, Raw, RemoteObject},
};

use super::{
    fields::{remote_name, remote_names},
    place::{Came, Pager, Place},
    session::{Session, configure},
    walk,
};
use crate::manifest::spec::{Find, Object};

/// The most pages of one search: more matches are as ambiguous as these.
const PAGES_MAX: u32 = 10;

/// The most pages of a list that is compared whole.
const LIST_PAGES_MAX: u32 = 2_000;

/// Live objects that match any of the searches.
pub(super) async fn find(
    session: &Session<'_>,
    object: &Object,
    name: &str,
    searches: &[Vec<Key>],
    fields: &[String],
) -> Result<Vec<RemoteObject>, ProviderError> {
    sought(session, object, name, searches, fields, false).await
}

/// The same, by calls that only look for our key where `by_key` is set.
async fn sought(
    session: &Session<'_>,
    object: &Object,
    name: &str,
    searches: &[Vec<Key>],
    fields: &[String],
    by_key: bool,
) -> Result<Vec<RemoteObject>, ProviderError> {
    let searches: Vec<&Vec<Key>> = searches.iter().filter(|search| !search.is_empty()).collect();
    let mut wide = fields.to_vec();
    wide.extend(searches.iter().flat_map(|search| search.iter().map(|key| key.field.clone())));
    let mut found: BTreeMap<ExternalId, RemoteObject> = BTreeMap::new();
    let mut keep = |candidates: Vec<RemoteObject>| {
        let live = candidates.into_iter().filter(|object| !object.deleted);
        let matching = live.filter(|object| searches.iter().any(|search| matches(&object.fields, search)));
        found.extend(matching.map(|object| (object.id.clone(), object)));
    };
    let (asked, unasked) = spread(object, &searches, by_key);
    for ((place, field), values) in asked {
        for call in calls(&object.find[place], field, &values) {
            keep(results(session, object, &object.find[place], field, &call, &wide).await?);
        }
    }
    if unasked {
        keep(listed(session, object, name, &wide).await?);
    }
    let narrowed = found.into_values().map(|mut object| {
        object.fields.retain(|name, _| fields.contains(name));
        object
    });
    Ok(narrowed.collect())
}

type Asked<'k> = BTreeMap<(usize, &'k str), Vec<&'k str>>;

/// Which call is asked for which values of which field; and whether some search is left to the list.
fn spread<'k>(object: &Object, searches: &[&'k Vec<Key>], by_key: bool) -> (Asked<'k>, bool) {
    let mut asked = Asked::new();
    let mut unasked = false;
    for search in searches {
        let way = search.iter().find_map(|key| Some((way(object, key, by_key)?, key)));
        match way {
            Some((place, key)) => {
                let values = asked.entry((place, key.field.as_str())).or_default();
                if !values.contains(&key.value.as_str()) {
                    values.push(&key.value);
                }
            }
            None => unasked = true,
        }
    }
    (asked, unasked)
}

fn way(object: &Object, key: &Key, by_key: bool) -> Option<usize> {
    object.find.iter().position(|find| {
        find.knows(&key.field)
            && (by_key || !find.for_key)
            && find.not_with.as_ref().is_none_or(|part| !key.value.contains(part.as_str()))
            && !key.value.trim().is_empty()
    })
}

/// The values of one call, with the text of its terms.
struct Values<'k> {
    values: Vec<&'k str>,
    terms: String,
}

/// Spreads values over calls, as many in each as it takes.
fn calls<'k>(find: &Find, field: &str, values: &[&'k str]) -> Vec<Values<'k>> {
    let single = find.request.uses("value");
    let max = if single { 1 } else { usize::try_from(find.max).unwrap_or(usize::MAX) };
    let bytes_max = usize::try_from(find.bytes_max).unwrap_or(usize::MAX);
    let mut calls: Vec<Values<'k>> = Vec::new();
    for value in values {
        let term = match &find.term {
            None => String::new(),
            Some(template) => {
                let scope = crate::manifest::words::Scope::default().with("field", field).with("value", *value);
                // A value of which the term leaves nothing cannot be searched for.
                match template.text(&scope) {
                    Some(term) => term,
                    None => continue,
                }
            }
        };
        match calls.last_mut() {
            Some(call) if call.values.len() < max && call.terms.len() + term.len() < bytes_max => {
                call.values.push(value);
                if find.term.is_some() {
                    call.terms.push_str(&find.between);
                    call.terms.push_str(&term);
                }
            }
            _ => calls.push(Values { values: vec![value], terms: term }),
        }
    }
    calls
}

async fn results(
    session: &Session<'_>,
    object: &Object,
    find: &Find,
    field: &str,
    call: &Values<'_>,
    fields: &[String],
) -> Result<Vec<RemoteObject>, ProviderError> {
    let mut found = Vec::new();
    let mut place = Place::default();
    let mut values: Vec<Value> = Vec::new();
    for value in &call.values {
        let lower = find.lower_too.then(|| value.to_lowercase()).filter(|lower| lower != value);
        values.extend(std::iter::once((*value).to_owned()).chain(lower).map(Value::from));
    }
    let scope =
        session.engine.scope().with("field", remote(object, field)).with("fields", remote_names(object, fields));
    let scope = scope.with("values", values).with("value", call.values[0]).with("limit", 100);
    let scope = if find.term.is_some() { scope.with("terms", call.terms.as_str()) } else { scope };
    for _ in 0..PAGES_MAX {
        let request = place.aimed(session.call(&find.request, &place.scope(scope.clone()))?);
        let (answer, body) = match session.read(request).await {
            Ok(read) => read,
            // Where nothing matches, the provider may say so of the call.
            Err(error) if error.remedy == syncline_core::remote::Remedy::Gone => break,
            Err(error) => return Err(error),
        };
        let raw = walk::entries(&find.rows, &body)?;
        let rows = raw.len();
        found.extend(raw.into_iter().filter_map(|raw| match super::rows::row(object, raw, fields) {
            super::rows::Shown::Row(row) => Some(row.object),
            _ => None,
        }));
        let pager = Pager { page: &find.page, end: &find.end, total: None, short: None };
        let came = Came { answer: &answer, body: &body, rows, last: None, joins: true };
        match pager.after(session, &place.step, &came)? {
            Some(step) => place.step = step,
            None => break,
        }
    }
    Ok(found)
}

/// The field as the provider calls it in searches: one of a list goes by our name for it.
fn remote(object: &Object, field: &str) -> String {
    let is_listed = object.fields.lists.iter().any(|list| field.starts_with(list.prefix.as_str()));
    if is_listed { field.to_owned() } else { remote_name(object, field) }
}

/// The whole list.
async fn listed(
    session: &Session<'_>,
    object: &Object,
    name: &str,
    fields: &[String],
) -> Result<Vec<RemoteObject>, ProviderError> {
    let mut found = Vec::new();
    let mut request = PageRequest {
        object: name.into(),
        fields: fields.to_vec(),
        window: None,
        after: None,
        token: None,
        deleted: false,
        limit: object.list.page_max,
    };
    for _ in 0..LIST_PAGES_MAX {
        let Page { objects, next, .. } = walk::page(session, object, &request).await?;
        found.extend(objects);
        match next {
            Some(token) => request.token = Some(token),
            None => return Ok(found),
        }
    }
    Err(configure(format!(
        "the list of `{name}` has more than {LIST_PAGES_MAX} pages, too many to be compared one by one: give the manifest a \
         `find` for the fields that are matched by"
    )))
}

/// Whether all values of a search hold. Letter case is passed over, since providers differ in it.
pub(super) fn matches(fields: &Raw, search: &[Key]) -> bool {
    search.iter().all(|key| {
        let text = match fields.get(&key.field) {
            Some(Value::String(text)) => text.clone(),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
            _ => return false,
        };
        text.trim().to_lowercase() == key.value.trim().to_lowercase()
    })
}

/// The live object that bears a key, and whether there are several.
pub(super) async fn bearers(
    session: &Session<'_>,
    object: &Object,
    name: &str,
    keys: &[Key],
) -> Result<BTreeMap<String, Vec<ExternalId>>, ProviderError> {
    let searches: Vec<Vec<Key>> = keys.iter().map(|key| vec![key.clone()]).collect();
    let Some(field) = keys.first().map(|key| key.field.clone()) else { return Ok(BTreeMap::new()) };
    let mut bearers: BTreeMap<String, Vec<ExternalId>> = BTreeMap::new();
    for object in sought(session, object, name, &searches, std::slice::from_ref(&field), true).await? {
        if let Some(key) = object.fields.get(&field).and_then(Value::as_str) {
            bearers.entry(key.trim().to_lowercase()).or_default().push(object.id);
        }
    }
    Ok(bearers)
}
