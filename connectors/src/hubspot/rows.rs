//! Objects as HubSpot shows them, in lists, searches and batches alike.

use serde::Deserialize;
use serde_json::Value;
use syncline_core::{
    ids::{ExternalId, ObjectName},
    remote::{MalformedRow, ProviderError, Raw, Remedy, RemoteObject, RemoteVersion},
};

use super::{
    history,
    settings::{AppId, stamp_property},
};
use crate::rest::{fields, stamp};

/// HubSpot stamps milliseconds.
pub(super) const PRECISION_MS: u32 = 1;

/// Names the objects that were merged into this one.
const MERGED_IDS: &str = "hs_merged_object_ids";

/// The answer to a list or a search.
#[derive(Debug, Deserialize)]
pub(super) struct Listing {
    #[serde(default)]
    pub(super) results: Vec<Value>,
    paging: Option<Paging>,
}

#[derive(Debug, Deserialize)]
struct Paging {
    next: Option<Next>,
}

#[derive(Debug, Deserialize)]
struct Next {
    after: Value,
}

impl Listing {
    /// Where the next page begins, in HubSpot's words; `None` on the last.
    pub(super) fn after(&self) -> Option<String> {
        match &self.paging.as_ref()?.next.as_ref()?.after {
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }
}

/// How rows are to be read.
#[derive(Clone, Copy)]
pub(super) struct Shape<'a> {
    pub(super) object: &'a ObjectName,
    pub(super) fields: &'a [String],
    pub(super) app_id: Option<&'a AppId>,
}

impl Shape<'_> {
    /// The properties to ask for: the caller's, then the stamp and the merged ids, each once.
    pub(super) fn properties(&self) -> Vec<&str> {
        let mut properties: Vec<&str> = Vec::new();
        let system = [stamp_property(self.object), MERGED_IDS];
        for name in self.fields.iter().map(String::as_str).chain(system) {
            if !properties.contains(&name) {
                properties.push(name);
            }
        }
        properties
    }

    /// Only what identifies a row, for rows whose fields are read by id afterwards.
    pub(super) fn narrow(self) -> Self {
        Self { fields: &[], ..self }
    }

    /// Reads a row.
    pub(super) fn row(&self, value: Value) -> Result<RemoteObject, MalformedRow> {
        let malformed = |id, reason: &str, raw| MalformedRow { id, reason: reason.to_owned(), raw };
        let Some(id) = value.get("id").and_then(id_of) else {
            return Err(malformed(None, "the row has no id", value));
        };
        let Some(properties) = value.get("properties").and_then(Value::as_object) else {
            return Err(malformed(Some(id), "the row has no properties", value));
        };
        let Ok(version) = version(&value, properties, self.object) else {
            return Err(malformed(Some(id), "the row's modification stamp is no date-time", value));
        };
        let aliases = properties.get(MERGED_IDS).and_then(Value::as_str).map(merged_ids).unwrap_or_default();
        Ok(RemoteObject {
            aliases: aliases.into_iter().filter(|alias| *alias != id).collect(),
            id,
            deleted: value.get("archived") == Some(&Value::Bool(true)),
            version,
            author: None,
            fields: fields::pick(properties, self.fields),
            history: history::read(value.get("propertiesWithHistory"), self.app_id),
        })
    }

    /// Reads rows that were asked for by name, where one that cannot be read fails the question.
    pub(super) fn rows(&self, values: Vec<Value>) -> Result<Vec<RemoteObject>, ProviderError> {
        let rows = values.into_iter().map(|value| self.row(value));
        rows.collect::<Result<_, _>>().map_err(|malformed| ProviderError {
            remedy: Remedy::Retry,
            message: format!("object {}: {}", malformed.id.as_ref().map_or("?", |id| id.as_str()), malformed.reason),
        })
    }
}

/// An id, which some answers spell as a number.
pub(super) fn id_of(value: &Value) -> Option<ExternalId> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.as_str().into()),
        Value::Number(number) => Some(number.to_string().into()),
        _ => None,
    }
}

fn merged_ids(text: &str) -> Vec<ExternalId> {
    text.split(';').map(str::trim).filter(|id| !id.is_empty()).map(ExternalId::from).collect()
}

/// The stamp: the property where the answer has it, else the row's own. Archiving counts as a change.
fn version(row: &Value, properties: &Raw, object: &ObjectName) -> Result<Option<RemoteVersion>, ()> {
    let mut stamps = Vec::new();
    let modified = properties.get(stamp_property(object)).filter(|value| !value.is_null()).or(row.get("updatedAt"));
    for value in [modified, row.get("archivedAt")].into_iter().flatten().filter(|value| !value.is_null()) {
        stamps.push(stamp::read(value).ok_or(())?);
    }
    Ok(stamps.into_iter().max().map(|stamp| RemoteVersion { stamp, precision_ms: PRECISION_MS }))
}

/// An object that HubSpot shows nowhere: erased, or hidden from us, which a missing version tells.
pub(super) fn absent(id: ExternalId) -> RemoteObject {
    RemoteObject {
        id,
        aliases: Vec::new(),
        deleted: true,
        version: None,
        author: None,
        fields: Raw::new(),
        history: std::collections::BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use syncline_core::time::Millis;

    use super::*;

    fn row(object: &str, value: Value) -> Result<RemoteObject, MalformedRow> {
        let fields = ["email".to_owned(), "misspelt".to_owned()];
        Shape { object: &object.into(), fields: &fields, app_id: None }.row(value)
    }

    fn stamp(text: &str) -> Option<RemoteVersion> {
        stamp::parse(text).map(|stamp| RemoteVersion { stamp, precision_ms: 1 })
    }

    #[test]
    fn a_row_has_identity_version_and_aliases() {
        let value = json!({
            "id": "151", "archived": false, "createdAt": "2026-05-05T10:00:00.000Z", "updatedAt": "2026-05-05T11:00:00.000Z",
            "properties": {"email": "a@b.c", "lastmodifieddate": "2026-05-05T10:32:00.123Z", "hs_object_id": "151",
                           "hs_merged_object_ids": "7; 8;151"},
        });
        let object = row("contacts", value).expect("a row");
        assert_eq!((object.id.as_str(), object.deleted), ("151", false));
        assert_eq!(object.version, stamp("2026-05-05T10:32:00.123Z"));
        assert_eq!(object.aliases, ["7".into(), "8".into()]);
        assert_eq!(Value::Object(object.fields), json!({"email": "a@b.c"}));
    }

    #[test]
    fn the_stamp_is_the_best_that_the_answer_has() {
        let early = "2026-05-05T10:00:00.000Z";
        let late = "2026-05-05T11:00:00.500Z";
        let cases = [
            ("contacts", json!({"lastmodifieddate": late, "hs_lastmodifieddate": early}), json!({}), stamp(late)),
            ("companies", json!({"lastmodifieddate": early, "hs_lastmodifieddate": late}), json!({}), stamp(late)),
            ("companies", json!({}), json!({"updatedAt": late}), stamp(late)),
            ("contacts", json!({"lastmodifieddate": null}), json!({"updatedAt": early}), stamp(early)),
            ("contacts", json!({"lastmodifieddate": early}), json!({"archivedAt": late}), stamp(late)),
            (
                "contacts",
                json!({"lastmodifieddate": "1777978860500"}),
                json!({}),
                Some(RemoteVersion { stamp: Millis(1_777_978_860_500), precision_ms: 1 }),
            ),
            ("contacts", json!({}), json!({}), None),
        ];
        for (object, properties, mut value, expected) in cases {
            value["id"] = json!("1");
            value["properties"] = properties;
            assert_eq!(row(object, value.clone()).expect("a row").version, expected, "{value}");
        }
    }

    #[test]
    fn a_malformed_row_is_kept_with_what_could_be_read() {
        let cases = [
            (json!("x"), None, "no id"),
            (json!({"properties": {}}), None, "no id"),
            (json!({"id": "1"}), Some("1"), "no properties"),
            (json!({"id": 1, "properties": {"lastmodifieddate": "soon"}}), Some("1"), "no date-time"),
        ];
        for (value, id, reason) in cases {
            let malformed = row("contacts", value.clone()).expect_err("a malformed row");
            assert_eq!(malformed.id, id.map(ExternalId::from), "{value}");
            assert!(malformed.reason.contains(reason), "{}", malformed.reason);
            assert_eq!(malformed.raw, value);
        }
    }

    #[test]
    fn only_a_missing_next_ends_a_list() {
        let after = |value: Value| serde_json::from_value::<Listing>(value).expect("a listing").after();
        assert_eq!(after(json!({"results": []})), None);
        assert_eq!(after(json!({"results": [], "paging": {}})), None);
        assert_eq!(after(json!({"results": [], "paging": {"next": {"after": "152"}}})), Some("152".into()));
        assert_eq!(after(json!({"results": [], "paging": {"next": {"after": 152}}})), Some("152".into()));
    }

    #[test]
    fn properties_are_asked_for_once() {
        let fields = ["email", "lastmodifieddate", "email"].map(str::to_owned);
        let shape = Shape { object: &"contacts".into(), fields: &fields, app_id: None };
        assert_eq!(shape.properties(), ["email", "lastmodifieddate", "hs_merged_object_ids"]);
    }
}
