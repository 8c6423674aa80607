//! Tickets, users and organisations: listed, read, written one at a time.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value, json};

use super::account::{Books, ZendeskState};
use super::call::{Answer, Call, created, ok};
use super::caller::Caller;
use super::errors::ApiError;
use super::idempotency::LIFE;
use super::kind::{Id, Kind};
use super::lists;
use super::normalise::number;
use super::table::{Life, Row};
use super::writes::Written;

type Account = State<Arc<ZendeskState>>;

/// `GET /{kind}`
pub(crate) async fn list(State(account): Account, call: Call) -> Answer {
    let kind = call.kind()?;
    let external = call.query("external_id").filter(|_| kind == Kind::Tickets);
    let role = call.query("role").filter(|_| kind == Kind::Users);
    respond(&account, &call, kind, |row| {
        external.is_none_or(|wanted| row.text("external_id") == wanted)
            && role.is_none_or(|wanted| row.text("role") == wanted)
    })
}

/// `GET /organizations/{id}/users`, `/organizations/{id}/tickets`, `/users/{id}/tickets/requested`,
/// `/users/{id}/organizations`
pub(crate) async fn related(State(account): Account, call: Call) -> Answer {
    let (owner, id) = (call.kind()?, call.id()?);
    let listed = call.path.split('/').skip(5).find_map(|part| Kind::parse(part.trim_end_matches(".json")));
    let listed = listed.ok_or_else(ApiError::invalid_endpoint)?;
    let books = account.books();
    let row = books.table(owner).live(id).ok_or_else(ApiError::not_found)?;
    let own = row.get("organization_id").as_u64();
    drop(books);
    if listed == Kind::Organizations {
        return respond_by_id(&account, &call, listed, |candidate, _| Some(candidate) == own);
    }
    let column = if owner == Kind::Organizations { "organization_id" } else { "requester_id" };
    respond(&account, &call, listed, |row| row.get(column).as_u64() == Some(id))
}

/// `GET /users/search`, `GET /organizations/search`: by external id, by name, or by what an address or name begins with.
/// These look the objects up; they do not trail like the search.
pub(crate) async fn look_up(State(account): Account, call: Call) -> Answer {
    let kind = call.kind()?;
    let wanted = |name: &str| call.query(name).map(str::to_lowercase);
    let (external, name, query) = (wanted("external_id"), wanted("name"), wanted("query"));
    if external.is_none() && name.is_none() && query.is_none() {
        return Err(ApiError::missing("query"));
    }
    respond(&account, &call, kind, |row| {
        let (held, email) = (row.text("name").to_lowercase(), row.text("email"));
        external.as_ref().is_none_or(|wanted| row.text("external_id").to_lowercase() == *wanted)
            && name.as_ref().is_none_or(|wanted| held == *wanted)
            && query.as_ref().is_none_or(|wanted| {
                let wanted = wanted.trim_start_matches("email:").trim_matches('"');
                held.contains(wanted) || email.starts_with(wanted)
            })
    })
}

fn respond(account: &ZendeskState, call: &Call, kind: Kind, wanted: impl Fn(&Row) -> bool) -> Answer {
    respond_by_id(account, call, kind, |_, row| wanted(row))
}

fn respond_by_id(account: &ZendeskState, call: &Call, kind: Kind, wanted: impl Fn(Id, &Row) -> bool) -> Answer {
    let books = account.books();
    let live = books.table(kind).all().filter(|(id, row)| row.is_live() && wanted(*id, row));
    let ids: Vec<Id> = live.map(|(id, _)| id).collect();
    lists::page(call, &account.parts.base_url, kind.plural(), &ids, |id| match books.table(kind).live(id) {
        Some(row) => account.listed(&books, kind, id, row, &call.caller),
        None => Value::Null,
    })
}

/// `GET /{kind}/show_many`: those that are there, in the order of the ids. What is not there is left out.
pub(crate) async fn show_many(State(account): Account, call: Call) -> Answer {
    let kind = call.kind()?;
    let books = account.books();
    let table = books.table(kind);
    let mut ids: Vec<Id> = match call.query("external_ids") {
        Some(list) => list.split(',').flat_map(|text| table.by_external_id(text.trim())).collect(),
        None => call.ids("ids")?,
    };
    if ids.len() > super::jobs::ROWS_MAX {
        return Err(ApiError::bad_parameter("ids", "names more than 100 objects"));
    }
    ids.sort_unstable();
    ids.dedup();
    let found = ids.iter().filter_map(|id| Some((*id, shown(&books, kind, *id)?)));
    let rows: Vec<Value> = found.map(|(id, row)| account.show(&books, kind, id, row, &call.caller)).collect();
    let count = rows.len();
    let mut answer = json!({"count": count, "next_page": null, "previous_page": null});
    answer[kind.plural()] = rows.into();
    ok(answer)
}

/// An object that can be read by its id: also a user who is inactive.
fn shown(books: &Books, kind: Kind, id: Id) -> Option<&Row> {
    let row = books.table(kind).get(id)?;
    let inactive = kind == Kind::Users && matches!(row.life, Life::Deleted { .. });
    (row.is_live() || inactive).then_some(row)
}

/// `GET /{kind}/{id}`
pub(crate) async fn show(State(account): Account, call: Call) -> Answer {
    let (kind, id) = (call.kind()?, call.id()?);
    let books = account.books();
    let row = shown(&books, kind, id).ok_or_else(ApiError::not_found)?;
    ok(json!({kind.singular(): account.show(&books, kind, id, row, &call.caller)}))
}

/// `GET /users/me`
pub(crate) async fn me(State(account): Account, call: Call) -> Answer {
    let books = account.books();
    match books.table(Kind::Users).live(call.caller.user) {
        Some(row) => ok(json!({"user": account.render(&books, Kind::Users, call.caller.user, row)})),
        None => ok(json!({"user": {
            "id": null, "url": null, "name": "Anonymous user", "email": "invalid@example.com", "role": "end-user",
            "active": true, "verified": false, "tags": [], "user_fields": {},
        }})),
    }
}

/// `POST /{kind}`. A ticket may carry an idempotency key.
pub(crate) async fn create(State(account): Account, call: Call) -> Answer {
    let kind = call.kind()?;
    let body = call.object(kind.singular())?;
    let mut books = account.books();
    let key = call.headers.get("idempotency-key").filter(|_| kind == Kind::Tickets);
    let Some(key) = key.map(|key| key.to_str().unwrap_or_default().to_owned()) else {
        let written = account.create(&mut books, kind, &body, &call.caller)?;
        return created(written_answer(&account, &books, kind, &written));
    };
    let now = account.parts.clock.now();
    if let Some(answer) = books.keys.find(&key, &body, now)? {
        return Ok(with_lookup(created(answer)?, "hit"));
    }
    let written = account.create(&mut books, kind, &body, &call.caller)?;
    let answer = written_answer(&account, &books, kind, &written);
    let ends = now.plus(account.parts.clock.scaled_life(LIFE));
    books.keys.remember(&key, body, answer.clone(), ends);
    Ok(with_lookup(created(answer)?, "miss"))
}

fn with_lookup(mut response: Response, lookup: &'static str) -> Response {
    response.headers_mut().insert("x-idempotency-lookup", HeaderValue::from_static(lookup));
    response
}

/// What a write answers with: the object, and for a ticket the audit.
fn written_answer(account: &ZendeskState, books: &Books, kind: Kind, written: &Written) -> Value {
    let row = books.table(kind).get(written.id);
    let shown = row.map_or(Value::Null, |row| account.render(books, kind, written.id, row));
    let mut answer = json!({kind.singular(): shown});
    if let Some(audit) = &written.audit {
        answer["audit"] = audit.render();
    }
    answer
}

/// `PUT /{kind}/{id}`
pub(crate) async fn update(State(account): Account, call: Call) -> Answer {
    let (kind, id) = (call.kind()?, call.id()?);
    let body = call.object(kind.singular())?;
    let mut books = account.books();
    let written = account.update(&mut books, kind, id, &body, &call.caller)?;
    ok(written_answer(&account, &books, kind, &written))
}

/// `DELETE /{kind}/{id}`
pub(crate) async fn delete(State(account): Account, call: Call) -> Answer {
    let (kind, id) = (call.kind()?, call.id()?);
    let mut books = account.books();
    account.delete(&mut books, kind, id, &call.caller)?;
    match books.table(kind).get(id).filter(|_| kind == Kind::Users) {
        Some(row) => ok(json!({"user": account.render(&books, kind, id, row)})),
        None => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

/// `POST /users/create_or_update`, `POST /organizations/create_or_update`
pub(crate) async fn create_or_update(State(account): Account, call: Call) -> Answer {
    let kind = call.kind()?;
    let body = call.object(kind.singular())?;
    let mut books = account.books();
    let (is_new, id) = account.upsert(&mut books, kind, &body, &call.caller)?;
    let answer = written_answer(&account, &books, kind, &Written { id, audit: None });
    if is_new { created(answer) } else { ok(answer) }
}

/// `PUT /users/{id}/merge`: the user in the path lives on in the user in the body.
pub(crate) async fn merge(State(account): Account, call: Call) -> Answer {
    let (from, body) = (call.id()?, call.object("user")?);
    let into = body.get("id").and_then(number).ok_or_else(|| ApiError::missing("id"))?;
    let mut books = account.books();
    account.merge_users(&mut books, from, into, &call.caller)?;
    ok(written_answer(&account, &books, Kind::Users, &Written { id: into, audit: None }))
}

impl ZendeskState {
    /// Changes the object that an external id, an id or a user's address means, or makes it: a name means none. Answers whether it
    /// is new.
    pub(crate) fn upsert(
        &self,
        books: &mut Books,
        kind: Kind,
        body: &Map<String, Value>,
        caller: &Caller,
    ) -> Result<(bool, Id), ApiError> {
        let text = |name: &str| body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let table = books.table(kind);
        let by_id = body.get("id").and_then(number).filter(|id| table.live(*id).is_some());
        let by_key = || text("external_id").and_then(|external| table.by_external_id(external).next());
        let by_email = || text("email").filter(|_| kind == Kind::Users).and_then(|email| table.by_email(email.trim()));
        match by_id.or_else(by_key).or_else(by_email) {
            Some(id) => self.update(books, kind, id, body, caller).map(|_| (false, id)),
            None => self.create(books, kind, body, caller).map(|written| (true, written.id)),
        }
    }
}
