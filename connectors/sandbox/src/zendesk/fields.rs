//! Custom fields: listed, made, changed.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::account::{Books, ZendeskState};
use super::call::{Answer, Call, created, ok};
use super::errors::{ApiError, Flaw};
use super::kind::Kind;
use super::schema::{Choice, CustomField, FieldType};

type Account = State<Arc<ZendeskState>>;

/// The most choices of a drop-down.
const CHOICES_MAX: usize = 2_000;
/// The most custom fields of a type of object.
const FIELDS_MAX: usize = 400;

/// The type of objects that `ticket_fields`, `user_fields` or `organization_fields` in the path means, and the list's name.
fn kind(call: &Call) -> Result<(Kind, String), ApiError> {
    let list = call.path.split('/').nth(3).unwrap_or_default().trim_end_matches(".json");
    let kind = list.strip_suffix("_fields").and_then(Kind::parse).ok_or_else(ApiError::invalid_endpoint)?;
    Ok((kind, list.to_owned()))
}

/// The fields that a ticket has in every account.
fn system_fields(base_url: &str) -> Vec<Value> {
    let fields = [
        (1, "subject", "Subject"),
        (2, "description", "Description"),
        (3, "status", "Status"),
        (4, "tickettype", "Type"),
        (5, "priority", "Priority"),
        (6, "group", "Group"),
        (7, "assignee", "Assignee"),
    ];
    let render = |(id, ty, title): (u64, &str, &str)| {
        let id = 359_999_999_000 + id;
        json!({
            "url": format!("{base_url}/api/v2/ticket_fields/{id}.json"), "id": id, "type": ty, "title": title,
            "raw_title": title, "active": true, "removable": false, "system": true, "tag": null, "required": false,
        })
    };
    fields.into_iter().map(render).collect()
}

/// `GET /{kind}_fields`
pub(crate) async fn list(State(account): Account, call: Call) -> Answer {
    let (kind, member) = kind(&call)?;
    let (books, base_url) = (account.books(), &account.parts.base_url);
    let schema = books.schema(kind);
    let mut fields = if kind == Kind::Tickets { system_fields(base_url) } else { Vec::new() };
    fields.extend(schema.fields().iter().map(|field| schema.render(field, base_url)));
    let mut answer = json!({"count": fields.len(), "next_page": null, "previous_page": null});
    answer[member] = fields.into();
    ok(answer)
}

/// `GET /{kind}_fields/{id}`
pub(crate) async fn show(State(account): Account, call: Call) -> Answer {
    let (kind, member) = kind(&call)?;
    let books = account.books();
    let schema = books.schema(kind);
    let field = schema.find(call.param("id")).ok_or_else(ApiError::not_found)?;
    ok(json!({member.trim_end_matches('s'): schema.render(field, &account.parts.base_url)}))
}

/// `POST /{kind}_fields`
pub(crate) async fn create(State(account): Account, call: Call) -> Answer {
    let (kind, member) = kind(&call)?;
    let member = member.trim_end_matches('s');
    let body = call.object(member)?;
    let mut books = account.books();
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let ty = FieldType::parse(&text("type"))
        .ok_or_else(|| ApiError::invalid(&[Flaw::new("type", "InvalidValue", "is not included in the list")]))?;
    let (title, key) = (text("title"), if kind == Kind::Tickets { String::new() } else { text("key") });
    let mut flaws = Vec::new();
    if title.is_empty() {
        flaws.push(Flaw::new("title", "BlankValue", "cannot be blank"));
    }
    if kind != Kind::Tickets && (key.is_empty() || books.schema(kind).find(&key).is_some()) {
        flaws.push(Flaw::new("key", "DuplicateValue", "cannot be blank and must be unique"));
    }
    if books.schema(kind).fields().len() >= FIELDS_MAX {
        flaws.push(Flaw::base("TooManyValues", format!("There may be at most {FIELDS_MAX} fields")));
    }
    if !flaws.is_empty() {
        return Err(ApiError::invalid(&flaws));
    }
    let tag = body.get("tag").and_then(Value::as_str).map(str::to_lowercase).filter(|tag| !tag.is_empty());
    let now = account.parts.clock.now();
    let id = books.fresh_id();
    let choices = choices(&mut books, &body)?.unwrap_or_default();
    let field = CustomField { id, key, title, ty, choices, tag, active: true, created: now };
    let shown = books.schema(kind).render(&field, &account.parts.base_url);
    books.schema_mut(kind).add(field);
    created(json!({member: shown}))
}

/// `PUT /{kind}_fields/{id}`. A list of choices replaces the one before.
pub(crate) async fn update(State(account): Account, call: Call) -> Answer {
    let (kind, member) = kind(&call)?;
    let member = member.trim_end_matches('s');
    let body = call.object(member)?;
    let mut books = account.books();
    let choices = choices(&mut books, &body)?;
    let field = books.schema_mut(kind).find_mut(call.param("id")).ok_or_else(ApiError::not_found)?;
    if let Some(title) = body.get("title").and_then(Value::as_str) {
        field.title = title.to_owned();
    }
    if let Some(active) = body.get("active").and_then(Value::as_bool) {
        field.active = active;
    }
    field.choices = choices.unwrap_or_else(|| field.choices.clone());
    let field = field.clone();
    ok(json!({member: books.schema(kind).render(&field, &account.parts.base_url)}))
}

/// `DELETE /{kind}_fields/{id}`: objects neither show nor accept it from now on.
pub(crate) async fn delete(State(account): Account, call: Call) -> Answer {
    let (kind, _) = kind(&call)?;
    let mut books = account.books();
    let field = books.schema_mut(kind).find_mut(call.param("id")).ok_or_else(ApiError::not_found)?;
    field.active = false;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn choices(books: &mut Books, body: &Map<String, Value>) -> Result<Option<Vec<Choice>>, ApiError> {
    let Some(list) = body.get("custom_field_options").and_then(Value::as_array) else { return Ok(None) };
    if list.len() > CHOICES_MAX {
        let why = format!("A field may have at most {CHOICES_MAX} choices");
        return Err(ApiError::invalid(&[Flaw::base("TooManyValues", why)]));
    }
    let choice = |raw: &Value| {
        let value = raw["value"].as_str().unwrap_or_default().to_lowercase().replace(' ', "_");
        let name = raw["name"].as_str().unwrap_or(&value).to_owned();
        let id = raw["id"].as_u64().unwrap_or_else(|| books.fresh_id());
        Choice { id, name, value }
    };
    Ok(Some(list.iter().map(choice).collect()))
}
