//! Objects as lists, exports and writes show them.

use serde_json::Value;
use syncline_core::{
    ids::ExternalId,
    remote::{MalformedRow, Raw, RemoteObject, RemoteVersion},
    time::Millis,
};

use super::{kind::Kind, values};
use crate::rest::stamp;

/// Zendesk stamps whole seconds.
pub(super) const PRECISION_MS: u32 = 1000;

/// A row of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) object: RemoteObject,
    /// Where the row stands in an export. Of tickets that is when anything at all was written last; what Zendesk's own
    /// machinery writes does not move the stamp.
    pub(super) place: Millis,
}

/// An id, which REST gives as a number and events as text.
pub(super) fn id_of(value: &Value) -> Option<ExternalId> {
    match value {
        Value::Number(number) => number.as_u64().map(|id| id.to_string().into()),
        Value::String(text) if is_id(text) => Some(text.as_str().into()),
        _ => None,
    }
}

/// Whether the text can be an id.
pub(super) fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Reads a row; `asked` are the fields that the caller wants.
pub(super) fn row(kind: Kind, value: Value, asked: &[String]) -> Result<Row, MalformedRow> {
    let malformed = |id, reason: &str, raw| MalformedRow { id, reason: reason.to_owned(), raw };
    let Value::Object(raw) = value else {
        return Err(malformed(None, "the row is no JSON object", value));
    };
    let Some(id) = raw.get("id").and_then(id_of) else {
        return Err(malformed(None, "the row has no id", Value::Object(raw)));
    };
    let Some(updated) = raw.get("updated_at").and_then(stamp::read) else {
        return Err(malformed(Some(id), "the row's updated_at is no date-time", Value::Object(raw)));
    };
    let deleted_at = raw.get("deleted_at").and_then(stamp::read);
    let stamp = deleted_at.map_or(updated, |deleted_at| deleted_at.max(updated));
    let generated =
        raw.get("generated_timestamp").and_then(Value::as_i64).map(|seconds| Millis(seconds.saturating_mul(1000)));
    let object = RemoteObject {
        deleted: is_deleted(kind, &raw),
        version: Some(version(stamp)),
        fields: values::pick(kind, &raw, asked),
        ..absent(id)
    };
    Ok(Row { object, place: generated.map_or(stamp, |generated| generated.max(stamp)) })
}

fn is_deleted(kind: Kind, raw: &Raw) -> bool {
    match kind {
        Kind::Tickets => raw.get("status").is_some_and(|status| status == "deleted"),
        Kind::Users => raw.get("active") == Some(&Value::Bool(false)),
        Kind::Organizations => raw.get("deleted_at").is_some_and(|at| !at.is_null()),
    }
}

/// A stamp as a version.
pub(super) fn version(stamp: Millis) -> RemoteVersion {
    RemoteVersion { stamp, precision_ms: PRECISION_MS }
}

/// An object that Zendesk shows nowhere: deleted, or hidden from us, which a missing version tells.
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

    use super::*;

    const AT: &str = "2026-05-05T10:32:01Z";
    const AT_MS: i64 = 1_777_977_121_000;

    #[test]
    fn a_row_has_identity_version_and_place() {
        let value = json!({"id": 35436, "updated_at": AT, "generated_timestamp": 1_777_977_130, "status": "open", "subject": "Help"});
        let row = row(Kind::Tickets, value, &["subject".to_owned()]).expect("a row");
        assert_eq!((row.object.id.as_str(), row.object.deleted), ("35436", false));
        assert_eq!(row.object.version, Some(RemoteVersion { stamp: Millis(AT_MS), precision_ms: 1000 }));
        assert_eq!(row.place, Millis(AT_MS + 9_000));
        assert_eq!(Value::Object(row.object.fields), json!({"subject": "Help"}));
    }

    #[test]
    fn each_kind_shows_deletes_in_its_own_way() {
        let later = "2026-05-05T10:32:05Z";
        let cases = [
            (Kind::Tickets, json!({"status": "deleted"}), true, 0),
            (Kind::Tickets, json!({"status": "closed"}), false, 0),
            (Kind::Users, json!({"active": false}), true, 0),
            (Kind::Users, json!({"active": true}), false, 0),
            (Kind::Organizations, json!({"deleted_at": later}), true, 4_000),
            (Kind::Organizations, json!({"deleted_at": null}), false, 0),
            (Kind::Organizations, json!({}), false, 0),
        ];
        for (kind, mut value, deleted, later_ms) in cases {
            value["id"] = json!(1);
            value["updated_at"] = json!(AT);
            let row = row(kind, value.clone(), &[]).expect("a row");
            assert_eq!((row.object.deleted, row.place), (deleted, Millis(AT_MS + later_ms)), "{kind:?} {value}");
            assert_eq!(row.object.version, Some(version(row.place)));
        }
    }

    #[test]
    fn a_malformed_row_is_kept_with_what_could_be_read() {
        let cases = [
            (json!("x"), None, "no JSON object"),
            (json!({"updated_at": AT}), None, "no id"),
            (json!({"id": -1, "updated_at": AT}), None, "no id"),
            (json!({"id": 1}), Some("1"), "updated_at"),
            (json!({"id": "1", "updated_at": "soon"}), Some("1"), "updated_at"),
        ];
        for (value, id, reason) in cases {
            let malformed = row(Kind::Users, value.clone(), &[]).expect_err("a malformed row");
            assert_eq!(malformed.id, id.map(ExternalId::from), "{value}");
            assert!(malformed.reason.contains(reason), "{}", malformed.reason);
            assert_eq!(malformed.raw, value);
        }
    }
}
