//! Objects on the wire.

use serde_json::{Map, Value, json};

use super::kind::{Id, Kind};
use super::schema::{FieldType, Schema};
use super::table::{Life, Row};
use super::tags;
use super::thread::via;
use super::time::{iso, seconds};

/// The account's dynamic contents: placeholder and text.
const DYNAMIC: [(&str, &str); 2] = [("{{dc.greeting}}", "Hello"), ("{{dc.product}}", "Sandbox")];

/// An object on the wire.
pub(crate) fn object(schema: &Schema, kind: Kind, id: Id, row: &Row, base_url: &str) -> Value {
    let mut shown = match kind {
        Kind::Tickets => ticket(row),
        Kind::Users => user(row),
        Kind::Organizations => organization(row),
    };
    for (name, _) in kind.attributes() {
        shown.entry(*name).or_insert_with(|| row.get(name).clone());
    }
    shown.insert("id".into(), id.into());
    shown.insert("url".into(), format!("{base_url}/api/v2/{}/{id}.json", kind.plural()).into());
    shown.insert("created_at".into(), iso(row.created).into());
    shown.insert("updated_at".into(), iso(row.updated).into());
    shown.insert("tags".into(), tags::of(&row.values).into_iter().collect());
    custom_fields(&mut shown, schema, kind, row);
    shown.into()
}

fn object_of(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

fn custom_fields(shown: &mut Map<String, Value>, schema: &Schema, kind: Kind, row: &Row) {
    if kind == Kind::Tickets {
        let fields = schema.active().map(|field| {
            let held = row.get(&schema.slot(field)).clone();
            let empty = if field.ty == FieldType::Multiselect { json!([]) } else { Value::Null };
            let value = if held.is_null() && row.life != Life::Scrubbed { empty } else { held };
            json!({"id": field.id, "value": value})
        });
        let fields: Value = fields.collect();
        shown.insert("custom_fields".into(), fields.clone());
        shown.insert("fields".into(), fields);
    } else {
        let fields = schema.active().map(|field| (field.key.clone(), row.get(&schema.slot(field)).clone()));
        shown.insert(kind.custom_member().into(), Value::Object(fields.collect()));
    }
}

/// A ticket's subject with its dynamic contents filled in.
pub(crate) fn subject(row: &Row) -> String {
    let raw = row.text("subject").to_owned();
    DYNAMIC.iter().fold(raw, |text, (name, content)| text.replace(name, content))
}

fn ticket(row: &Row) -> Map<String, Value> {
    let list = |name: &str| match row.get(name) {
        Value::Null => json!([]),
        list => list.clone(),
    };
    let mut shown = object_of(json!({
        "via": via(row.text("channel")), "generated_timestamp": seconds(row.generated), "subject": subject(row),
        "raw_subject": row.text("subject"), "description": row.text("description"), "collaborator_ids": list("collaborator_ids"),
        "follower_ids": list("follower_ids"), "email_cc_ids": [], "forum_topic_id": null, "has_incidents": false,
        "is_public": row.get("is_public").as_bool().unwrap_or(true), "satisfaction_rating": {"score": "unoffered"},
        "sharing_agreement_ids": [], "custom_status_id": null, "followup_ids": [], "allow_channelback": false,
        "allow_attachments": true, "from_messaging_channel": false,
    }));
    if row.life != Life::Live {
        shown.insert("status".into(), "deleted".into());
    }
    shown
}

fn user(row: &Row) -> Map<String, Value> {
    object_of(json!({
        "active": row.is_live(), "shared": false, "shared_agent": false, "shared_phone_number": null, "photo": null,
        "locale_id": 1, "locale": "en-US", "time_zone": or(row.get("time_zone"), "UTC"), "iana_time_zone": "Etc/UTC",
        "last_login_at": null, "two_factor_auth_enabled": null, "role_type": null, "custom_role_id": null,
        "moderator": false, "ticket_restriction": null, "only_private_comments": false, "restricted_agent": true,
        "default_group_id": null, "report_csv": false, "role": or(row.get("role"), "end-user"),
        "suspended": row.get("suspended").as_bool().unwrap_or(false),
        "verified": row.get("verified").as_bool().unwrap_or(false),
    }))
}

fn organization(row: &Row) -> Map<String, Value> {
    let deleted_at = match row.life {
        Life::Deleted { at, .. } => iso(at).into(),
        _ => Value::Null,
    };
    object_of(json!({
        "deleted_at": deleted_at, "shared_tickets": row.get("shared_tickets").as_bool().unwrap_or(false),
        "shared_comments": row.get("shared_comments").as_bool().unwrap_or(false),
        "domain_names": row.get("domain_names").as_array().cloned().unwrap_or_default(),
    }))
}

fn or(value: &Value, usual: &str) -> Value {
    if value.is_null() { usual.into() } else { value.clone() }
}
