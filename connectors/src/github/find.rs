//! Objects by value. GitHub's search lags and guesses; so numbers are read, markers are looked up in the book, and everything
//! else is compared with the whole list, once for all searches.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use syncline_core::{
    ids::ExternalId,
    remote::{Key, ProviderError, Raw, RemoteObject},
};

use super::{
    books::{self, Reach},
    link,
    look::{self, Found},
    marker,
    rows::{Kind, Row, Shape},
    session::Session,
    walk,
};
use crate::rest::Call;

/// The most matches that are brought back: more are as ambiguous as these.
const FOUND_MAX: usize = 10_000;

/// The searches by the way in which they are answered.
#[derive(Debug, Default, PartialEq)]
struct Sorted<'a> {
    ids: BTreeSet<&'a str>,
    markers: BTreeSet<&'a str>,
    others: Vec<&'a [Key]>,
}

impl<'a> Sorted<'a> {
    fn of(kind: Kind, searches: &'a [Vec<Key>]) -> Self {
        let id_field = match kind {
            Kind::Issues => "number",
            Kind::Comments => "id",
        };
        let mut sorted = Self::default();
        for search in searches {
            match search.as_slice() {
                [] => {}
                [key] if key.field == id_field => drop(sorted.ids.insert(&key.value)),
                [key] if key.field == marker::FIELD => drop(sorted.markers.insert(&key.value)),
                keys => sorted.others.push(keys),
            }
        }
        sorted
    }
}

/// Live objects that match any of the searches.
pub(super) async fn find(
    session: &Session<'_>,
    shape: Shape<'_>,
    searches: &[Vec<Key>],
) -> Result<Vec<RemoteObject>, ProviderError> {
    let sorted = Sorted::of(shape.kind, searches);
    let searched = sorted.others.iter().flat_map(|keys| keys.iter().map(|key| key.field.clone()));
    let mut fields = shape.fields.to_vec();
    fields.extend(searched);
    fields.push(marker::FIELD.to_owned());
    let wide = Shape { fields: &fields, ..shape };
    let mut found: BTreeMap<ExternalId, RemoteObject> = BTreeMap::new();
    for id in &sorted.ids {
        found.extend(live(session, wide, &(*id).into()).await?.map(|object| (object.id.clone(), object)));
    }
    for (key, id) in books::find(session, shape.kind, &sorted.markers, Reach::Beginning).await? {
        let object = live(session, wide, &id).await?.filter(|object| bears(object, &key));
        found.extend(object.map(|object| (object.id.clone(), object)));
    }
    if !sorted.others.is_empty() {
        listed(session, wide, &sorted.others, &mut found).await?;
    }
    let is_asked = |name: &String| shape.fields.contains(name);
    let narrowed = found.into_values().map(|mut object| {
        object.fields.retain(|name, _| is_asked(name));
        object
    });
    Ok(narrowed.collect())
}

/// The object of an id, if it is there.
async fn live(session: &Session<'_>, shape: Shape<'_>, id: &ExternalId) -> Result<Option<RemoteObject>, ProviderError> {
    match look::find(session, shape.kind, id).await? {
        Found::Here(value) => shape.object(value),
        Found::Gone(_) => Ok(None),
    }
}

/// Whether an object bears a key.
pub(super) fn bears(object: &RemoteObject, key: &str) -> bool {
    object.fields.get(marker::FIELD).and_then(Value::as_str) == Some(key)
}

/// Compares the whole list with the searches.
async fn listed(
    session: &Session<'_>,
    shape: Shape<'_>,
    searches: &[&[Key]],
    found: &mut BTreeMap<ExternalId, RemoteObject>,
) -> Result<(), ProviderError> {
    let mut call = books::newest_first(session, shape.kind);
    loop {
        let answer = session.get(call).await?;
        let matching = walk::rows(&answer, shape)?
            .into_iter()
            .filter_map(Row::object)
            .filter(|object| searches.iter().any(|keys| matches(&object.fields, keys)));
        found.extend(matching.map(|object| (object.id.clone(), object)));
        match link::next(session, &answer)? {
            Some(path) if found.len() < FOUND_MAX => call = Call::get(path),
            _ => return Ok(()),
        }
    }
}

/// Whether all values of a search hold. Letter case is passed over, as GitHub does where it compares names.
fn matches(fields: &Raw, keys: &[Key]) -> bool {
    let same = |value: &Value, wanted: &str| match value {
        Value::String(text) => text.to_lowercase() == wanted.to_lowercase(),
        Value::Null => false,
        // Numbers and truth values, as JSON spells them.
        other => wanted.parse::<Value>().is_ok_and(|wanted| wanted == *other),
    };
    keys.iter().all(|key| match fields.get(&key.field) {
        Some(Value::Array(members)) => members.iter().any(|member| same(member, &key.value)),
        Some(value) => same(value, &key.value),
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(field: &str, value: &str) -> Key {
        Key { field: field.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn each_search_has_its_way() {
        let searches = [
            vec![key("number", "7")],
            vec![key("syncline_id", "k")],
            vec![key("title", "Broken")],
            vec![key("number", "7"), key("title", "Broken")],
            vec![],
        ];
        let sorted = Sorted::of(Kind::Issues, &searches);
        assert_eq!((sorted.ids, sorted.markers, sorted.others.len()), (["7"].into(), ["k"].into(), 2));
        assert_eq!(Sorted::of(Kind::Comments, &[vec![key("number", "7")]]).others.len(), 1);
    }

    #[test]
    fn values_match_whatever_their_case() {
        let Value::Object(fields) = json!({"title": "Broken", "labels": ["Bug", "ui"], "comments": 3, "body": null})
        else {
            unreachable!()
        };
        let cases = [
            (vec![key("title", "broken")], true),
            (vec![key("title", "Broke")], false),
            (vec![key("labels", "bug")], true),
            (vec![key("labels", "bug"), key("comments", "3")], true),
            (vec![key("labels", "bug"), key("comments", "4")], false),
            (vec![key("body", "")], false),
            (vec![key("missing", "x")], false),
        ];
        for (keys, expected) in cases {
            assert_eq!(matches(&fields, &keys), expected, "{keys:?}");
        }
    }
}
