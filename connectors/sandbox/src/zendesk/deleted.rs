//! What was deleted: listed, brought back, erased for good.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use serde_json::{Value, json};

use super::account::{Books, ZendeskState};
use super::call::{Answer, Call, ok};
use super::caller::shown_id;
use super::errors::ApiError;
use super::jobs::Task;
use super::kind::{Id, Kind};
use super::lists;
use super::table::Life;
use super::time::iso;

type Account = State<Arc<ZendeskState>>;

/// How long a deleted ticket is listed.
const LISTED: Duration = Duration::from_secs(30 * 86_400);

fn deleted(account: &ZendeskState, books: &Books, kind: Kind) -> Vec<Id> {
    let oldest = account.parts.clock.peek().minus(account.parts.clock.scaled_life(LISTED));
    let listed = |life: Life| match life {
        Life::Deleted { at, .. } => kind == Kind::Users || at > oldest,
        Life::Live | Life::Scrubbed => false,
    };
    books.table(kind).all().filter(|(_, row)| listed(row.life)).map(|(id, _)| id).collect()
}

fn one(account: &ZendeskState, books: &Books, kind: Kind, id: Id) -> Result<Id, ApiError> {
    deleted(account, books, kind).into_iter().find(|known| *known == id).ok_or_else(ApiError::not_found)
}

/// `GET /deleted_tickets`
pub(crate) async fn tickets(State(account): Account, call: Call) -> Answer {
    let books = account.books();
    let ids = deleted(&account, &books, Kind::Tickets);
    let (tickets, users) = (books.table(Kind::Tickets), books.table(Kind::Users));
    lists::page(&call, &account.parts.base_url, "deleted_tickets", &ids, |id| {
        let Some(row) = tickets.get(id) else { return Value::Null };
        let Life::Deleted { at, by } = row.life else { return Value::Null };
        json!({
            "id": id, "subject": row.text("subject"), "description": row.text("description"),
            "actor": {"id": shown_id(by), "name": users.get(by).map_or("", |user| user.text("name"))},
            "deleted_at": iso(at), "previous_state": row.text("status"),
        })
    })
}

/// `PUT /deleted_tickets/{id}/restore`
pub(crate) async fn restore(State(account): Account, call: Call) -> Answer {
    let mut books = account.books();
    let id = one(&account, &books, Kind::Tickets, call.id()?)?;
    account.restore(&mut books, id, &call.caller)?;
    Ok(StatusCode::OK.into_response())
}

/// `PUT /deleted_tickets/restore_many?ids=`
pub(crate) async fn restore_many(State(account): Account, call: Call) -> Answer {
    let mut books = account.books();
    for id in call.ids("ids")? {
        let id = one(&account, &books, Kind::Tickets, id)?;
        account.restore(&mut books, id, &call.caller)?;
    }
    Ok(StatusCode::OK.into_response())
}

/// `DELETE /deleted_tickets/{id}`, `DELETE /deleted_tickets/destroy_many?ids=`
pub(crate) async fn scrub(State(account): Account, call: Call) -> Answer {
    let ids = if call.query("ids").is_some() { call.ids("ids")? } else { vec![call.id()?] };
    let mut books = account.books();
    for id in &ids {
        one(&account, &books, Kind::Tickets, *id)?;
    }
    let tasks = ids.into_iter().map(|id| Task::Scrub(Kind::Tickets, id)).collect();
    let job = account.plan(&mut books, "Permanently Delete Tickets", tasks, &call.caller)?;
    ok(json!({"job_status": job}))
}

/// `GET /deleted_users`
pub(crate) async fn users(State(account): Account, call: Call) -> Answer {
    let books = account.books();
    let ids = deleted(&account, &books, Kind::Users);
    lists::page(&call, &account.parts.base_url, "deleted_users", &ids, |id| {
        let row = books.table(Kind::Users).get(id);
        row.map_or(Value::Null, |row| account.listed(&books, Kind::Users, id, row, &call.caller))
    })
}

/// `GET /deleted_users/{id}`
pub(crate) async fn user(State(account): Account, call: Call) -> Answer {
    let books = account.books();
    let id = one(&account, &books, Kind::Users, call.id()?)?;
    let row = books.table(Kind::Users).get(id).ok_or_else(ApiError::not_found)?;
    ok(json!({"deleted_user": account.show(&books, Kind::Users, id, row, &call.caller)}))
}

/// `DELETE /deleted_users/{id}`
pub(crate) async fn scrub_user(State(account): Account, call: Call) -> Answer {
    let mut books = account.books();
    let id = one(&account, &books, Kind::Users, call.id()?)?;
    account.scrub(&mut books, Kind::Users, id, &call.caller)?;
    let row = books.table(Kind::Users).get(id).ok_or_else(ApiError::not_found)?;
    ok(json!({"deleted_user": account.render(&books, Kind::Users, id, row)}))
}
