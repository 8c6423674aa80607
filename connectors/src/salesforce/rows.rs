//! Rows as queries show them.

use serde::Deserialize;
use serde_json::Value;
use syncline_core::{
    ids::ExternalId,
    remote::{MalformedRow, ProviderError, Raw, Remedy, RemoteObject, RemoteVersion},
};

use crate::rest::{fields, stamp};

/// Salesforce stamps whole seconds.
pub(super) const PRECISION_MS: u32 = 1000;

/// The answer to a query.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct QueryAnswer {
    pub(super) done: bool,
    pub(super) next_records_url: Option<String>,
    pub(super) records: Vec<Value>,
}

impl QueryAnswer {
    /// Where the next page begins. Only `done` ends a walk: short pages are usual.
    pub(super) fn next(&self) -> Result<Option<String>, ProviderError> {
        match (&self.next_records_url, self.done) {
            (_, true) => Ok(None),
            (Some(next), false) => Ok(Some(next.clone())),
            (None, false) => Err(ProviderError {
                remedy: Remedy::Restart,
                message: "Salesforce says that there are more rows, but not where".to_owned(),
            }),
        }
    }
}

/// A row, with the survivor's id where it lost a merge.
#[derive(Debug, PartialEq)]
pub(super) struct Row {
    pub(super) object: RemoteObject,
    pub(super) merged_into: Option<ExternalId>,
}

/// Reads a row; `asked` are the columns that the caller wants.
pub(super) fn row(value: Value, asked: &[String]) -> Result<Row, MalformedRow> {
    let malformed = |id, reason: &str, raw| MalformedRow { id, reason: reason.to_owned(), raw };
    let Value::Object(raw) = value else {
        return Err(malformed(None, "the row is no JSON object", value));
    };
    let Some(id) = raw.get("Id").and_then(Value::as_str).filter(|id| !id.is_empty()).map(ExternalId::from) else {
        return Err(malformed(None, "the row has no Id", Value::Object(raw)));
    };
    let Some(stamp) = raw.get("SystemModstamp").and_then(stamp::read) else {
        return Err(malformed(Some(id), "the row's SystemModstamp is no date-time", Value::Object(raw)));
    };
    let object = RemoteObject {
        id,
        aliases: Vec::new(),
        deleted: raw.get("IsDeleted") == Some(&Value::Bool(true)),
        version: Some(RemoteVersion { stamp, precision_ms: PRECISION_MS }),
        author: text(&raw, "LastModifiedById"),
        fields: fields::pick(&raw, asked),
        history: std::collections::BTreeMap::new(),
    };
    Ok(Row { object, merged_into: text(&raw, "MasterRecordId").map(ExternalId::from) })
}

/// An object that Salesforce shows nowhere: deleted for good, or hidden from us, which a missing version tells.
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

fn text(raw: &Raw, key: &str) -> Option<String> {
    raw.get(key).and_then(Value::as_str).map(str::to_owned)
}

/// Whether two ids name one object: the last three of 18 characters only repeat the letter case of the first 15.
pub(super) fn same_id(a: &ExternalId, b: &ExternalId) -> bool {
    let short = |id: &ExternalId| id.as_str().get(..15).unwrap_or(id.as_str()).to_owned();
    short(a) == short(b)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use syncline_core::time::Millis;

    use super::*;

    #[test]
    fn a_row_has_identity_version_and_author() {
        let value = json!({
            "attributes": {"type": "Contact", "url": "/services/data/v62.0/sobjects/Contact/003A"},
            "Id": "003A", "SystemModstamp": "2026-05-05T10:32:01.000+0000", "LastModifiedById": "005X",
            "IsDeleted": true, "MasterRecordId": "003B", "Email": "a@b.c", "Phone": null,
        });
        let asked = ["Email".to_owned(), "Phone".to_owned()];
        let row = row(value, &asked).expect("a row");
        assert_eq!(row.merged_into, Some("003B".into()));
        assert_eq!(row.object.id, "003A".into());
        assert!(row.object.deleted);
        assert_eq!(row.object.version, Some(RemoteVersion { stamp: Millis(1_777_977_121_000), precision_ms: 1000 }));
        assert_eq!(row.object.author.as_deref(), Some("005X"));
        assert_eq!(Value::Object(row.object.fields), json!({"Email": "a@b.c", "Phone": null}));
    }

    #[test]
    fn a_malformed_row_is_kept_with_what_could_be_read() {
        let cases = [
            (json!("x"), None, "no JSON object"),
            (json!({"SystemModstamp": "2026-05-05T10:32:01.000+0000"}), None, "no Id"),
            (json!({"Id": "003A", "SystemModstamp": "soon"}), Some("003A"), "SystemModstamp"),
            (json!({"Id": "003A"}), Some("003A"), "SystemModstamp"),
        ];
        for (value, id, reason) in cases {
            let malformed = row(value.clone(), &[]).expect_err("a malformed row");
            assert_eq!(malformed.id, id.map(ExternalId::from));
            assert!(malformed.reason.contains(reason), "{}", malformed.reason);
            assert_eq!(malformed.raw, value);
        }
    }

    #[test]
    fn only_done_ends_a_walk() {
        let answer = |value: Value| serde_json::from_value::<QueryAnswer>(value).expect("an answer").next();
        let next = "/services/data/v62.0/query/01g-2000";
        assert_eq!(answer(json!({"done": true, "records": []})), Ok(None));
        assert_eq!(answer(json!({"done": true, "nextRecordsUrl": next, "records": []})), Ok(None));
        assert_eq!(answer(json!({"done": false, "nextRecordsUrl": next, "records": []})), Ok(Some(next.to_owned())));
        assert_eq!(answer(json!({"done": false, "records": []})).map_err(|e| e.remedy), Err(Remedy::Restart));
    }

    #[test]
    fn ids_of_both_lengths_are_one() {
        assert!(same_id(&"003000000000001AAA".into(), &"003000000000001".into()));
        assert!(!same_id(&"003000000000001AAA".into(), &"003000000000002AAA".into()));
    }
}
