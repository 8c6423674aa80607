//! What hangs on an object: comments and audits of a ticket, tags, a user's addresses.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::account::{Books, ZendeskState};
use super::call::{Answer, Call, created, ok};
use super::errors::{ApiError, Flaw};
use super::kind::{Id, Kind};
use super::lists;
use super::normalise::is_address;
use super::table::Row;
use super::tags;
use super::thread::Thread;
use super::time::iso;

type Account = State<Arc<ZendeskState>>;

fn thread(books: &Books, id: Id) -> Result<&Thread, ApiError> {
    books.table(Kind::Tickets).live(id).ok_or_else(ApiError::not_found)?;
    books.threads.get(&id).ok_or_else(ApiError::not_found)
}

/// `GET /tickets/{id}/comments`
pub(crate) async fn comments(State(account): Account, call: Call) -> Answer {
    let books = account.books();
    let comments = thread(&books, call.id()?)?.comments();
    let ids: Vec<Id> = comments.iter().map(|comment| comment.id).collect();
    lists::page(&call, &account.parts.base_url, "comments", &ids, |id| {
        comments.iter().find(|comment| comment.id == id).map_or(Value::Null, |comment| comment.render())
    })
}

/// `GET /tickets/{id}/audits`
pub(crate) async fn audits(State(account): Account, call: Call) -> Answer {
    let books = account.books();
    let audits = thread(&books, call.id()?)?.audits();
    let ids: Vec<Id> = audits.iter().map(|audit| audit.id).collect();
    lists::page(&call, &account.parts.base_url, "audits", &ids, |id| {
        audits.iter().find(|audit| audit.id == id).map_or(Value::Null, |audit| audit.render())
    })
}

/// `GET /{kind}/{id}/tags`
pub(crate) async fn tags(State(account): Account, call: Call) -> Answer {
    let books = account.books();
    let row = books.table(call.kind()?).live(call.id()?).ok_or_else(ApiError::not_found)?;
    ok(json!({"tags": tags::of(&row.values)}))
}

/// `POST /{kind}/{id}/tags` sets, `PUT` adds, `DELETE` removes. The guard of a safe update stands beside the tags.
pub(crate) async fn change_tags(State(account): Account, method: Method, call: Call) -> Answer {
    let (kind, id) = (call.kind()?, call.id()?);
    let mut body = call.json()?;
    let sent = body.remove("tags").ok_or_else(|| ApiError::missing("tags"))?;
    let name = match method {
        Method::PUT => "additional_tags",
        Method::DELETE => "remove_tags",
        _ => "tags",
    };
    let mut change: Map<String, Value> =
        body.into_iter().filter(|(name, _)| name == "safe_update" || name == "updated_stamp").collect();
    change.insert(name.to_owned(), sent);
    let mut books = account.books();
    account.update(&mut books, kind, id, &change, &call.caller)?;
    let row = books.table(kind).live(id).ok_or_else(ApiError::not_found)?;
    let answer = json!({"tags": tags::of(&row.values)});
    if method == Method::POST { created(answer) } else { ok(answer) }
}

/// The identity of a user's first address; the others have ids of their own.
fn first_identity(user: Id) -> Id {
    user + 1
}

fn identities(account: &ZendeskState, user: Id, row: &Row) -> Vec<Value> {
    let primary = Some((first_identity(user), row.text("email"), true)).filter(|(_, email, _)| !email.is_empty());
    let further = row.addresses.iter().map(|(id, address)| (*id, address.as_str(), false));
    let render = |(id, value, primary): (Id, &str, bool)| {
        json!({
            "id": id, "url": format!("{}/api/v2/users/{user}/identities/{id}.json", account.parts.base_url),
            "user_id": user, "type": "email", "value": value, "verified": primary, "primary": primary,
            "created_at": iso(row.created), "updated_at": iso(row.updated),
        })
    };
    primary.into_iter().chain(further).map(render).collect()
}

/// `GET /users/{id}/identities`
pub(crate) async fn list_identities(State(account): Account, call: Call) -> Answer {
    let (books, user) = (account.books(), call.id()?);
    let row = books.table(Kind::Users).live(user).ok_or_else(ApiError::not_found)?;
    let identities = identities(&account, user, row);
    ok(json!({"count": identities.len(), "identities": identities, "next_page": null, "previous_page": null}))
}

/// The address of an identity that is asked for, if it is one and nobody has it.
fn wanted_address(account: &ZendeskState, call: &Call) -> Result<(String, bool), ApiError> {
    let sent = call.json()?.remove("identity").ok_or_else(|| ApiError::missing("identity"))?;
    let address = sent["value"].as_str().unwrap_or_default().trim().to_lowercase();
    let flaw = if !is_address(&address) {
        Flaw::new("value", "InvalidFormat", &format!("{address} is not properly formatted"))
    } else if account.books().table(Kind::Users).by_email(&address).is_some() {
        Flaw::new("value", "DuplicateValue", &format!("{address} is already being used by another user"))
    } else {
        return Ok((address, sent["primary"] == true));
    };
    account.parts.ledger.count_rejected();
    Err(ApiError::invalid(&[flaw]))
}

/// `POST /users/{id}/identities`
pub(crate) async fn add_identity(State(account): Account, call: Call) -> Answer {
    let (user, (address, primary)) = (call.id()?, wanted_address(&account, &call)?);
    let mut books = account.books();
    let before = books.table(Kind::Users).live(user).cloned().ok_or_else(ApiError::not_found)?;
    let (mut row, held) = (before.clone(), before.text("email").to_owned());
    match (primary, held.is_empty()) {
        (_, true) => row.set("email", address.clone().into()),
        (true, false) => {
            row.set("email", address.clone().into());
            row.addresses.push((books.fresh_id(), held));
        }
        (false, false) => row.addresses.push((books.fresh_id(), address.clone())),
    }
    account.replace_user(&mut books, user, &before, row.clone(), &call.caller);
    let made = identities(&account, user, &row).into_iter().find(|identity| identity["value"] == address);
    created(json!({ "identity": made }))
}

/// `PUT /users/{id}/identities/{identity}`
pub(crate) async fn change_identity(State(account): Account, call: Call) -> Answer {
    let (address, _) = wanted_address(&account, &call)?;
    let user = call.id()?;
    change_identities(&account, &call, |row, identity| {
        if identity == first_identity(user) {
            row.set("email", address.clone().into());
        } else {
            row.addresses.iter_mut().find(|(id, _)| *id == identity)?.1.clone_from(&address);
        }
        Some(())
    })?;
    let books = account.books();
    let row = books.table(Kind::Users).live(user).ok_or_else(ApiError::not_found)?;
    let changed = identities(&account, user, row).into_iter().find(|identity| identity["value"] == address);
    ok(json!({ "identity": changed }))
}

/// `PUT /users/{id}/identities/{identity}/make_primary`
pub(crate) async fn make_primary(State(account): Account, call: Call) -> Answer {
    change_identities(&account, &call, |row, identity| {
        let place = row.addresses.iter().position(|(id, _)| *id == identity)?;
        let address = row.addresses[place].1.clone();
        match row.text("email").to_owned() {
            held if held.is_empty() => drop(row.addresses.remove(place)),
            held => row.addresses[place].1 = held,
        }
        row.set("email", address.into());
        Some(())
    })?;
    list_identities(State(account), call).await
}

/// `DELETE /users/{id}/identities/{identity}`
pub(crate) async fn remove_identity(State(account): Account, call: Call) -> Answer {
    change_identities(&account, &call, |row, identity| {
        let place = row.addresses.iter().position(|(id, _)| *id == identity)?;
        row.addresses.remove(place);
        Some(())
    })?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn change_identities(
    account: &ZendeskState,
    call: &Call,
    change: impl FnOnce(&mut Row, Id) -> Option<()>,
) -> Result<(), ApiError> {
    let (user, identity) = (call.id()?, call.param("identity").parse().map_err(|_| ApiError::not_found())?);
    let mut books = account.books();
    let before = books.table(Kind::Users).live(user).cloned().ok_or_else(ApiError::not_found)?;
    let mut row = before.clone();
    change(&mut row, identity).ok_or_else(ApiError::not_found)?;
    account.replace_user(&mut books, user, &before, row, &call.caller);
    Ok(())
}
