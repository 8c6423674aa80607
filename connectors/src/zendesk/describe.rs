//! Schemas: the fields that every account has, and those that an account has added.

use serde::Deserialize;
use syncline_core::remote::{ObjectSchema, ProviderError, RemoteField};

use super::{kind::Kind, session::Session, values};
use crate::rest::Call;

/// The most fields of a page, and the most pages: an account may have 400 fields of a kind.
const PAGE_ROWS: &str = "100";
const PAGES_MAX: u32 = 50;

/// What may be done with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// We may write it.
    Write,
    /// We may write it, and only one object holds a value.
    Key,
    /// Zendesk writes it.
    Read,
}

use Access::{Key, Read, Write};

/// Zendesk does not keep external ids of tickets unique. Ours are all the same: nobody else writes a record's id, and a create
/// looks for it before it makes a ticket.
const TICKET: &[(&str, &str, Access)] = &[
    ("subject", "text", Write),
    ("description", "textarea", Write),
    ("status", "status", Write),
    ("custom_status_id", "id", Write),
    ("priority", "priority", Write),
    ("type", "tickettype", Write),
    ("external_id", "text", Key),
    ("tags", "tags", Write),
    ("requester_id", "id", Write),
    ("assignee_id", "id", Write),
    ("group_id", "id", Write),
    ("organization_id", "id", Write),
    ("problem_id", "id", Write),
    ("brand_id", "id", Write),
    ("ticket_form_id", "id", Write),
    ("collaborator_ids", "ids", Write),
    ("follower_ids", "ids", Write),
    ("email_cc_ids", "ids", Write),
    ("due_at", "datetime", Write),
    ("id", "id", Read),
    ("url", "text", Read),
    ("raw_subject", "text", Read),
    ("recipient", "text", Read),
    ("submitter_id", "id", Read),
    ("is_public", "checkbox", Read),
    ("via", "object", Read),
    ("created_at", "datetime", Read),
    ("updated_at", "datetime", Read),
];

const USER: &[(&str, &str, Access)] = &[
    ("name", "text", Write),
    ("email", "email", Write),
    ("phone", "text", Write),
    ("alias", "text", Write),
    ("details", "textarea", Write),
    ("notes", "textarea", Write),
    ("external_id", "text", Key),
    ("organization_id", "id", Write),
    ("role", "text", Write),
    ("custom_role_id", "id", Write),
    ("default_group_id", "id", Write),
    ("locale", "text", Write),
    ("time_zone", "text", Write),
    ("signature", "text", Write),
    ("suspended", "checkbox", Write),
    ("tags", "tags", Write),
    ("user_fields", "object", Write),
    ("id", "id", Read),
    ("url", "text", Read),
    ("active", "checkbox", Read),
    ("verified", "checkbox", Read),
    ("last_login_at", "datetime", Read),
    ("created_at", "datetime", Read),
    ("updated_at", "datetime", Read),
];

const ORGANIZATION: &[(&str, &str, Access)] = &[
    ("name", "text", Write),
    ("details", "textarea", Write),
    ("notes", "textarea", Write),
    ("external_id", "text", Key),
    ("domain_names", "texts", Write),
    ("group_id", "id", Write),
    ("shared_tickets", "checkbox", Write),
    ("shared_comments", "checkbox", Write),
    ("tags", "tags", Write),
    ("organization_fields", "object", Write),
    ("id", "id", Read),
    ("url", "text", Read),
    ("created_at", "datetime", Read),
    ("updated_at", "datetime", Read),
];

/// Types of the ticket fields that every account has: those stand in the ticket itself.
const SYSTEM_TYPES: &[&str] =
    &["subject", "description", "status", "tickettype", "priority", "group", "assignee", "custom_status"];

/// Texts of one line.
const TEXT_CHARS_MAX: u32 = 65_535;

/// A field that an account has or has added.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Field {
    id: u64,
    key: Option<String>,
    #[serde(rename = "type")]
    ty: String,
    title: String,
    active: bool,
    custom_field_options: Option<Vec<Choice>>,
    system_field_options: Option<Vec<Choice>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Choice {
    value: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Listing {
    #[serde(alias = "ticket_fields", alias = "user_fields", alias = "organization_fields")]
    fields: Vec<Field>,
    meta: Meta,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Meta {
    has_more: bool,
    after_cursor: Option<String>,
}

/// Reads an object's schema.
pub(super) async fn read(session: &Session<'_>, kind: Kind) -> Result<ObjectSchema, ProviderError> {
    let mut fields = Vec::new();
    let mut after: Option<String> = None;
    for _ in 0..PAGES_MAX {
        let mut call = Call::get(format!("/api/v2/{}_fields.json", kind.singular())).query("page[size]", PAGE_ROWS);
        if let Some(cursor) = &after {
            call = call.query("page[after]", cursor.as_str());
        }
        let listing: Listing = session.read(call).await?;
        fields.extend(listing.fields);
        after = listing.meta.after_cursor.filter(|_| listing.meta.has_more);
        if after.is_none() {
            break;
        }
    }
    Ok(schema(kind, fields))
}

fn schema(kind: Kind, fields: Vec<Field>) -> ObjectSchema {
    let fixed = match kind {
        Kind::Tickets => TICKET,
        Kind::Users => USER,
        Kind::Organizations => ORGANIZATION,
    };
    let mut schema = ObjectSchema { fields: fixed.iter().map(|row| (row.0.to_owned(), own(row))).collect() };
    for field in fields {
        match name(kind, &field) {
            Some(name) => drop(schema.fields.insert(name, added(field))),
            None => label(&mut schema, field),
        }
    }
    schema
}

fn own((name, ty, access): &(&str, &str, Access)) -> RemoteField {
    RemoteField {
        label: (*name).to_owned(),
        ty: (*ty).to_owned(),
        writable: *access != Read,
        unique: *access == Key,
        calculated: *access == Read,
        max_len: None,
        options: Vec::new(),
    }
}

/// What a field that the account has added is called; `None` for a ticket field that every account has.
fn name(kind: Kind, field: &Field) -> Option<String> {
    match kind {
        Kind::Tickets if SYSTEM_TYPES.contains(&field.ty.as_str()) => None,
        Kind::Tickets => Some(values::custom_field(field.id)),
        Kind::Users => field.key.as_ref().map(|key| format!("user_fields.{key}")),
        Kind::Organizations => field.key.as_ref().map(|key| format!("organization_fields.{key}")),
    }
}

fn added(field: Field) -> RemoteField {
    let one_line = matches!(field.ty.as_str(), "text" | "textarea" | "regexp");
    RemoteField {
        label: field.title,
        writable: field.active,
        unique: false,
        calculated: false,
        max_len: one_line.then_some(TEXT_CHARS_MAX),
        options: options(field.custom_field_options),
        ty: field.ty,
    }
}

/// Takes over the account's own title and choices of a ticket field that every account has.
fn label(schema: &mut ObjectSchema, field: Field) {
    let name = match field.ty.as_str() {
        "tickettype" => "type",
        other => other,
    };
    if let Some(known) = schema.fields.get_mut(name) {
        known.label = field.title;
        known.options = options(field.system_field_options);
    }
}

fn options(choices: Option<Vec<Choice>>) -> Vec<String> {
    choices.into_iter().flatten().map(|choice| choice.value).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn described(kind: Kind, fields: Value) -> ObjectSchema {
        let listing: Listing = serde_json::from_value(fields).expect("a listing");
        schema(kind, listing.fields)
    }

    #[test]
    fn tickets_have_their_own_fields_and_those_of_the_account() {
        let schema = described(
            Kind::Tickets,
            json!({"ticket_fields": [
                {"id": 1, "type": "subject", "title": "Betreff", "active": true},
                {"id": 2, "type": "priority", "title": "Priority", "active": true,
                 "system_field_options": [{"name": "Low", "value": "low"}, {"name": "High", "value": "high"}]},
                {"id": 3, "type": "tickettype", "title": "Kind", "active": true},
                {"id": 360, "type": "tagger", "title": "Plan", "active": true,
                 "custom_field_options": [{"id": 9, "name": "Gold", "value": "plan_gold"}]},
                {"id": 361, "type": "text", "title": "Old", "active": false},
            ], "meta": {"has_more": false}}),
        );
        assert_eq!(schema.fields["subject"].label, "Betreff");
        assert_eq!(schema.fields["priority"].options, ["low", "high"]);
        assert_eq!(schema.fields["type"].label, "Kind");
        let plan = &schema.fields["custom_field_360"];
        assert_eq!(
            (plan.ty.as_str(), plan.writable, plan.options.as_slice()),
            ("tagger", true, &["plan_gold".to_owned()][..])
        );
        assert!(!schema.fields["custom_field_361"].writable);
        assert!(schema.fields["external_id"].unique && schema.fields["updated_at"].calculated);
        assert!(!schema.fields.contains_key("custom_field_1"));
    }

    #[test]
    fn added_fields_of_users_and_organizations_stand_in_an_object() {
        let user =
            described(Kind::Users, json!({"user_fields": [{"id": 1, "key": "plan", "type": "text", "active": true}]}));
        assert!(user.fields["user_fields.plan"].writable && user.fields["user_fields"].writable);
        let fields = json!({"organization_fields": [{"id": 1, "key": "size", "type": "integer", "active": true}]});
        let organization = described(Kind::Organizations, fields);
        assert_eq!(organization.fields["organization_fields.size"].ty, "integer");
        assert!(organization.fields["external_id"].unique);
    }
}
