//! Finding live objects by their values. Our key is looked up exactly; everything else is searched for, in an index that lags by
//! minutes and matches words rather than values, so that what it brings is compared again.

use std::collections::BTreeMap;

use serde_json::Value;
use syncline_core::{
    ids::ExternalId,
    remote::{Key, ProviderError, Raw, RemoteObject},
};

use super::{
    kind::{KEY_FIELD, Kind},
    lookup, rows,
    session::Session,
    values,
};
use crate::rest::Call;

/// The longest text of a search: a hundred e-mail addresses, well below what an address of the web may hold once it is encoded.
const QUERY_BYTES_MAX: usize = 4_000;

/// A search ends at 1,000 results, in pages of 100. More are as ambiguous as these.
const PAGES_MAX: u32 = 10;
const PAGE_ROWS: usize = 100;

/// Finds objects that match any of the searches.
pub(super) async fn find(
    session: &Session<'_>,
    kind: Kind,
    searches: &[Vec<Key>],
    fields: &[String],
) -> Result<Vec<RemoteObject>, ProviderError> {
    let (keys, others) = split(kind, searches);
    let mut found: BTreeMap<ExternalId, RemoteObject> = BTreeMap::new();
    for row in lookup::by_key(session, kind, &keys, fields).await? {
        found.insert(row.object.id.clone(), row.object);
    }
    for query in queries(kind, &others) {
        for value in results(session, &query).await? {
            let Value::Object(raw) = &value else { continue };
            if others.iter().any(|search| matches(kind, raw, search))
                && let Ok(row) = rows::row(kind, value, fields)
            {
                found.insert(row.object.id.clone(), row.object);
            }
        }
    }
    Ok(found.into_values().filter(|object| !object.deleted).collect())
}

/// Takes our key out of the searches where many can be looked up in one call. That of tickets takes a call for each, so it is
/// searched for like other values; a create looks for it once more.
fn split(kind: Kind, searches: &[Vec<Key>]) -> (Vec<&str>, Vec<&Vec<Key>>) {
    let mut keys = Vec::new();
    let mut others = Vec::new();
    for search in searches {
        match search.as_slice() {
            [key] if key.field == KEY_FIELD && kind != Kind::Tickets => keys.push(key.value.as_str()),
            [] => {}
            _ => others.push(search),
        }
    }
    (keys, others)
}

/// The texts of the searches. Several values of one field in one text mean any of them; several fields mean all of them, so that
/// such a search stands alone.
fn queries(kind: Kind, searches: &[&Vec<Key>]) -> Vec<String> {
    let mut alone = Vec::new();
    let mut together: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for search in searches {
        let Some(terms) = search.iter().map(|key| term(kind, key)).collect::<Option<Vec<String>>>() else { continue };
        match (search.as_slice(), terms.as_slice()) {
            ([key], [term]) => {
                let texts = together.entry(key.field.as_str()).or_default();
                match texts.last_mut() {
                    Some(text) if text.len() + term.len() < QUERY_BYTES_MAX => text.push_str(&format!(" {term}")),
                    _ => texts.push(term.clone()),
                }
            }
            _ => alone.push(terms.join(" ")),
        }
    }
    let texts = together.into_values().flatten().chain(alone);
    texts.map(|text| format!("type:{} {text}", kind.singular())).collect()
}

/// One field with its value, quoted. The index knows neither quotation marks nor backslashes, and the quotes know no way to
/// write them, so that they are left out; a value of nothing else cannot be searched for. A custom field of users or organizations
/// goes by its key alone.
fn term(kind: Kind, key: &Key) -> Option<String> {
    let field = match kind {
        Kind::Tickets => key.field.as_str(),
        Kind::Users => key.field.strip_prefix("user_fields.").unwrap_or(&key.field),
        Kind::Organizations => key.field.strip_prefix("organization_fields.").unwrap_or(&key.field),
    };
    let words = key.value.replace(['"', '\\'], " ");
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    (!words.is_empty()).then(|| format!("{field}:\"{words}\""))
}

/// Whether an object has all values of a search. Zendesk folds letter case, and so does this.
fn matches(kind: Kind, raw: &Raw, search: &[Key]) -> bool {
    search.iter().all(|key| {
        let shown = values::pick(kind, raw, std::slice::from_ref(&key.field));
        let text = match shown.get(&key.field) {
            Some(Value::String(text)) => text.clone(),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
            _ => return false,
        };
        text.trim().to_lowercase() == key.value.trim().to_lowercase()
    })
}

/// All results of a search, as far as there are pages of it.
async fn results(session: &Session<'_>, query: &str) -> Result<Vec<Value>, ProviderError> {
    let mut found = Vec::new();
    for page in 1..=PAGES_MAX {
        let call = Call::get("/api/v2/search.json")
            .query("query", query)
            .query("sort_by", "created_at")
            .query("sort_order", "asc")
            .query("per_page", PAGE_ROWS.to_string())
            .query("page", page.to_string());
        let mut answer: Raw = session.read(call).await?;
        if let Some(Value::Array(results)) = answer.remove("results") {
            found.extend(results);
        }
        if answer.get("next_page").is_none_or(Value::is_null) {
            break;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(field: &str, value: &str) -> Key {
        Key { field: field.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn keys_are_looked_up_where_many_go_into_a_call() {
        let searches = [vec![key("external_id", "a")], vec![key("email", "b")], vec![]];
        let parts = |kind| {
            let (keys, others) = split(kind, &searches);
            (keys.len(), others.len())
        };
        assert_eq!(parts(Kind::Users), (1, 1));
        assert_eq!(parts(Kind::Organizations), (1, 1));
        assert_eq!(parts(Kind::Tickets), (0, 2));
    }

    #[test]
    fn searches_of_one_field_share_a_call() {
        let searches = [
            vec![key("email", "a@b.c")],
            vec![key("name", "Ann \"the\" \\ Lee")],
            vec![key("name", "\"\\")],
            vec![key("email", "d@e.f")],
            vec![key("name", "Ann"), key("user_fields.plan", "gold")],
        ];
        let texts = queries(Kind::Users, &searches.iter().collect::<Vec<_>>());
        let expected = [
            r#"type:user email:"a@b.c" email:"d@e.f""#,
            r#"type:user name:"Ann the Lee""#,
            r#"type:user name:"Ann" plan:"gold""#,
        ];
        assert_eq!(texts, expected);
        let many: Vec<Vec<Key>> = (0..200).map(|n| vec![key("email", &format!("{n}@example.com"))]).collect();
        let texts = queries(Kind::Users, &many.iter().collect::<Vec<_>>());
        assert_eq!(texts.len(), 2);
        assert!(texts.iter().all(|text| text.len() <= QUERY_BYTES_MAX + 20));
        assert_eq!(texts.iter().map(|text| text.matches("email:").count()).sum::<usize>(), 200);
    }

    #[test]
    fn what_a_search_brings_is_compared_again() {
        let user =
            json!({"name": "Ann Lee", "email": "ann@b.c", "organization_id": 7, "user_fields": {"plan": "gold"}});
        let Value::Object(raw) = user else { panic!("an object is expected") };
        let cases = [
            (vec![key("email", "ANN@b.c")], true),
            (vec![key("name", "Ann")], false),
            (vec![key("name", "ann lee"), key("user_fields.plan", "gold")], true),
            (vec![key("name", "ann lee"), key("user_fields.plan", "silver")], false),
            (vec![key("organization_id", "7")], true),
            (vec![key("phone", "")], false),
        ];
        for (search, expected) in cases {
            assert_eq!(matches(Kind::Users, &raw, &search), expected, "{search:?}");
        }
    }
}
