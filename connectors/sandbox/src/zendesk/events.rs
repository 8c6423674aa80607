//! What webhooks tell about a change: one event for each thing that moved. Ids are texts here, and the words of enums
//! upper-case.

use serde_json::{Value, json};

use super::account::{Change, FieldChange};
use super::caller::{Caller, shown_id};
use super::kind::Kind;
use super::schema::Schema;
use super::table::{Life, Row};
use super::tags;
use super::time::iso;
use crate::ledger::Op;

/// One event, before it is known who wants to hear of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Happening {
    /// Such as `zen:event-type:ticket.status_changed`.
    pub(crate) ty: String,
    /// The object that it is about, such as `zen:ticket:12`.
    pub(crate) subject: String,
    /// The object after the change.
    pub(crate) detail: Value,
    /// What moved.
    pub(crate) event: Value,
}

/// Attributes with an event of their own, by object type.
const TICKET: &[(&str, &str)] = &[
    ("subject", "subject_changed"),
    ("status", "status_changed"),
    ("priority", "priority_changed"),
    ("type", "type_changed"),
    ("external_id", "external_id_changed"),
    ("requester_id", "requester_changed"),
    ("assignee_id", "agent_assignment_changed"),
    ("organization_id", "organization_changed"),
    ("group_id", "group_assignment_changed"),
    ("brand_id", "brand_changed"),
    ("ticket_form_id", "form_changed"),
    ("problem_id", "problem_link_changed"),
    ("follower_ids", "followers_changed"),
    ("collaborator_ids", "email_ccs_changed"),
    ("due_at", "task_due_at_changed"),
    ("tags", "tags_changed"),
];

const USER: &[(&str, &str)] = &[
    ("name", "name_changed"),
    ("email", "identity_changed"),
    ("address", "identity_created"),
    ("external_id", "external_id_changed"),
    ("role", "role_changed"),
    ("alias", "alias_changed"),
    ("details", "details_changed"),
    ("notes", "notes_changed"),
    ("time_zone", "time_zone_changed"),
    ("suspended", "suspended_changed"),
    ("tags", "tags_changed"),
];

const ORGANIZATION: &[(&str, &str)] =
    &[("name", "name_changed"), ("external_id", "external_id_changed"), ("tags", "tags_changed")];

/// Every event type that this emulator can send.
pub(crate) fn all_types() -> Vec<String> {
    let ticket = ["created", "soft_deleted", "permanently_deleted", "undeleted", "merged", "comment_added"];
    let user = ["created", "deleted", "merged"];
    let organization = ["created", "deleted"];
    let named = |kind: Kind, fixed: &[&str], moved: &[(&str, &str)]| -> Vec<String> {
        let names =
            fixed.iter().copied().chain(Some("custom_field_changed")).chain(moved.iter().map(|(_, name)| *name));
        names.map(|name| event_type(kind, name)).collect()
    };
    [
        named(Kind::Tickets, &ticket, TICKET),
        named(Kind::Users, &user, USER),
        named(Kind::Organizations, &organization, ORGANIZATION),
    ]
    .concat()
}

fn event_type(kind: Kind, name: &str) -> String {
    format!("zen:event-type:{}.{name}", kind.singular())
}

/// The events of a change, in the order of their `position`.
pub(crate) fn of(schema: &Schema, change: &Change, caller: &Caller) -> Vec<Happening> {
    let kind = change.kind;
    let moved = change.fields.iter().filter(|field| field.is_change());
    let mut events: Vec<(&str, Value)> = match (change.op, kind, change.row.life) {
        (Op::Create, ..) => vec![("created", json!({}))],
        (Op::Restore, ..) => vec![("undeleted", json!({}))],
        (Op::Merge, ..) => vec![("merged", json!({}))],
        (Op::Delete, Kind::Tickets, Life::Scrubbed) => vec![("permanently_deleted", json!({}))],
        (Op::Delete, Kind::Tickets, _) => vec![("soft_deleted", json!({}))],
        (Op::Delete, _, Life::Scrubbed) => Vec::new(),
        (Op::Delete, ..) => vec![("deleted", json!({}))],
        (Op::Update | Op::Read, ..) => moved.filter_map(|field| moved_event(schema, kind, field)).collect(),
    };
    if let Some(comment) = &change.comment {
        let author = json!({"id": shown_id(caller.user).to_string(), "is_staff": true});
        let said =
            json!({"id": comment.id.to_string(), "body": comment.body, "is_public": comment.public, "author": author});
        events.push(("comment_added", json!({"comment": said})));
    }
    let detail = detail(kind, change.id, &change.row, caller);
    let subject = format!("zen:{}:{}", kind.singular(), change.id);
    events
        .into_iter()
        .map(|(name, event)| Happening {
            ty: event_type(kind, name),
            subject: subject.clone(),
            detail: detail.clone(),
            event,
        })
        .collect()
}

fn moved_event(schema: &Schema, kind: Kind, field: &FieldChange) -> Option<(&'static str, Value)> {
    if let Some(custom) = schema.find(&field.name).filter(|_| field.name.contains('.')) {
        let named =
            json!({"id": custom.id.to_string(), "title": custom.title, "type": custom.ty.as_str().to_uppercase()});
        return Some((
            "custom_field_changed",
            json!({"field": named, "current": field.after, "previous": field.before}),
        ));
    }
    let names = match kind {
        Kind::Tickets => TICKET,
        Kind::Users => USER,
        Kind::Organizations => ORGANIZATION,
    };
    let name = names.iter().find(|(attribute, _)| *attribute == field.name).map(|(_, name)| *name)?;
    if field.name == "tags" {
        let set = |value: &Value| tags::read(value, false).unwrap_or_default();
        let (before, after) = (set(&field.before), set(&field.after));
        let (added, removed): (Vec<_>, Vec<_>) =
            (after.difference(&before).collect(), before.difference(&after).collect());
        return Some((name, json!({"tags_added": added, "tags_removed": removed})));
    }
    let shown = |value: &Value| event_value(&field.name, value);
    Some((name, json!({"current": shown(&field.after), "previous": shown(&field.before)})))
}

/// Ids become texts, and the words of a ticket's enums upper-case.
fn event_value(name: &str, value: &Value) -> Value {
    match value {
        Value::Number(number) => number.to_string().into(),
        Value::String(word) if matches!(name, "status" | "priority" | "type") => word.to_uppercase().into(),
        other => other.clone(),
    }
}

fn detail(kind: Kind, id: u64, row: &Row, caller: &Caller) -> Value {
    let show = |name: &str| event_value(name, row.get(name));
    let mut detail = json!({
        "id": id.to_string(), "created_at": iso(row.created), "updated_at": iso(row.updated),
        "external_id": row.get("external_id"), "tags": tags::of(&row.values),
    });
    let more = match kind {
        Kind::Tickets => json!({
            "actor_id": shown_id(caller.user).to_string(), "assignee_id": show("assignee_id"),
            "brand_id": show("brand_id"), "custom_status": null, "description": row.text("description"),
            "form_id": show("ticket_form_id"), "group_id": show("group_id"),
            "is_public": row.get("is_public").as_bool().unwrap_or(true), "organization_id": show("organization_id"),
            "priority": show("priority"), "requester_id": show("requester_id"),
            "status": if row.is_live() { show("status") } else { "DELETED".into() }, "subject": row.text("subject"),
            "submitter_id": show("submitter_id"), "type": show("type"), "via": {"channel": via(caller.channel)},
        }),
        Kind::Users => json!({
            "email": row.get("email"), "organization_id": show("organization_id"), "role": row.get("role"),
            "default_group_id": null,
        }),
        Kind::Organizations => json!({"name": row.text("name"), "shared_tickets": false, "shared_comments": false}),
    };
    if let (Some(members), Value::Object(more)) = (detail.as_object_mut(), more) {
        members.extend(more);
    }
    detail
}

/// The channel in the events' word.
fn via(channel: &str) -> &'static str {
    match channel {
        "api" => "web_service",
        "web" => "web_form",
        _ => "rule",
    }
}
