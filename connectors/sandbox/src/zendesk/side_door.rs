//! The account as the sandbox's own side door sees it.

use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};

use super::account::ZendeskState;
use super::caller::Caller;
use super::errors::ApiError;
use super::events::all_types;
use super::hook::Hook;
use super::kind::{Id, Kind};
use super::schema::FieldType;
use super::sender;
use super::table::Row;
use super::time::iso;
use crate::admin::{AdminBackend, AdminError, FieldAct, LockAct, StatePage, StateQuery, StateRow, WebhookTarget};
use crate::clock::Micros;
use crate::faults::Faults;
use crate::ledger::Ledger;

/// What is said on tickets can be read and said here too, though it has no life of its own.
const COMMENTS: &str = "comments";

impl ZendeskState {
    /// A secret that nobody else has.
    pub(crate) fn fresh_secret(&self) -> String {
        self.tokens.lock().secret()
    }

    fn comments(&self, query: &StateQuery) -> Result<StatePage, AdminError> {
        let after = query.after.as_deref().map(parse).transpose()?.unwrap_or(0);
        let books = self.books();
        let mut rows: Vec<(Id, StateRow)> = Vec::new();
        for (ticket, thread) in &books.threads {
            for comment in thread.comments().iter().filter(|comment| comment.id > after) {
                let fields = json!({"ticket_id": ticket, "body": comment.body, "public": comment.public});
                let (id, at) = (comment.id, comment.created);
                rows.push((id, state_row(id, false, at, at, object(fields))));
            }
        }
        rows.sort_unstable_by_key(|(id, _)| *id);
        let limit = query.limit();
        let next = rows.get(limit).and(rows.get(limit.saturating_sub(1))).map(|(id, _)| id.to_string());
        Ok(StatePage { rows: rows.into_iter().take(limit).map(|(_, row)| row).collect(), next })
    }
}

impl AdminBackend for ZendeskState {
    fn ledger(&self) -> &Ledger {
        &self.parts.ledger
    }

    fn faults(&self) -> &Faults {
        &self.parts.faults
    }

    fn state(&self, query: &StateQuery) -> Result<StatePage, AdminError> {
        if query.object == COMMENTS {
            return self.comments(query);
        }
        let kind = kind(&query.object)?;
        let first = query.after.as_deref().map(parse).transpose()?.map_or(0, |after| after.saturating_add(1));
        let books = self.books();
        let limit = query.limit();
        let wanted = books.table(kind).from(first).filter(|(_, row)| query.deleted || row.is_live());
        let mut rows: Vec<StateRow> = wanted.take(limit.saturating_add(1)).map(|(id, row)| shown(id, row)).collect();
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = if more { rows.last().map(|row| row.id.clone()) } else { None };
        Ok(StatePage { rows, next })
    }

    fn create(&self, user: &str, object: &str, fields: Map<String, Value>) -> Result<String, AdminError> {
        let caller = Caller::person(user, "UI create");
        let mut books = self.books();
        if object == COMMENTS {
            let ticket = fields.get("ticket_id").and_then(Value::as_u64);
            let ticket = ticket.ok_or_else(|| AdminError::Refused("a comment needs a ticket_id".to_owned()))?;
            let body = Map::from_iter([("comment".to_owned(), fields.into())]);
            self.update(&mut books, Kind::Tickets, ticket, &body, &caller)
                .map_err(|error| at(error, "tickets", ticket))?;
            let said = books.threads.get(&ticket).and_then(|thread| thread.comments().last());
            return Ok(said.map_or_else(String::new, |comment| comment.id.to_string()));
        }
        let written = self.create(&mut books, kind(object)?, &fields, &caller);
        written.map(|written| written.id.to_string()).map_err(|error| AdminError::Refused(error.summary()))
    }

    fn update(&self, user: &str, object: &str, id: &str, fields: Map<String, Value>) -> Result<(), AdminError> {
        let (kind, id, caller) = (kind(object)?, parse(id)?, Caller::person(user, "UI update"));
        self.update(&mut self.books(), kind, id, &fields, &caller).map(drop).map_err(|error| at(error, object, id))
    }

    fn delete(&self, user: &str, object: &str, id: &str) -> Result<(), AdminError> {
        let (kind, id, caller) = (kind(object)?, parse(id)?, Caller::person(user, "UI delete"));
        self.delete(&mut self.books(), kind, id, &caller).map_err(|error| at(error, object, id))
    }

    fn restore(&self, user: &str, object: &str, id: &str) -> Result<(), AdminError> {
        let (id, caller) = (parse(id)?, Caller::person(user, "UI restore"));
        if kind(object)? != Kind::Tickets {
            return Err(AdminError::Unsupported("only deleted tickets come back here".to_owned()));
        }
        self.restore(&mut self.books(), id, &caller).map_err(|error| at(error, object, id))
    }

    fn merge(&self, user: &str, object: &str, id: &str, into: &str) -> Result<String, AdminError> {
        let (from, target, caller) = (parse(id)?, parse(into)?, Caller::person(user, "UI merge"));
        let mut books = self.books();
        let merged = match kind(object)? {
            Kind::Tickets => self.merge_ticket(&mut books, from, target, &caller),
            Kind::Users => self.merge_users(&mut books, from, target, &caller),
            Kind::Organizations => {
                return Err(AdminError::Unsupported("this sandbox does not merge organizations".to_owned()));
            }
        };
        merged.map(|()| target.to_string()).map_err(|error| at(error, object, from))
    }

    fn act_on_field(&self, object: &str, field: &str, act: &FieldAct) -> Result<(), AdminError> {
        let kind = kind(object)?;
        let ty = act.r#type.as_deref().map(|ty| {
            FieldType::parse(ty).ok_or_else(|| AdminError::Refused(format!("`{ty}` is no type of a custom field")))
        });
        let ty = ty.transpose()?;
        let mut books = self.books();
        let found = books.schema_mut(kind).find_mut(field);
        let found = found.ok_or_else(|| AdminError::NotFound(format!("{object} have no custom field `{field}`")))?;
        found.active = act.visible.unwrap_or(found.active);
        found.ty = ty.unwrap_or(found.ty);
        Ok(())
    }

    fn act_on_lock(&self, object: &str, id: &str, act: LockAct) -> Result<(), AdminError> {
        let (kind, id) = (kind(object)?, parse(id)?);
        let mut books = self.books();
        if books.table(kind).live(id).is_none() {
            return Err(AdminError::NotFound(format!("{object} have no live object {id}")));
        }
        if act.locked {
            books.locked.insert((kind, id));
        } else {
            books.locked.remove(&(kind, id));
        }
        Ok(())
    }

    fn expire_tokens(&self) -> usize {
        self.tokens.lock().expire_all(self.parts.clock.now())
    }

    fn flush(&self) -> BoxFuture<'_, Value> {
        Box::pin(async {
            let ran = {
                let mut books = self.books();
                books.index.advance(Micros(i64::MAX));
                let waiting = books.jobs.waiting();
                self.run_jobs(&mut books, Micros(i64::MAX));
                waiting
            };
            let tried = sender::flush(&self.outbox, &self.parts.faults).await;
            json!({"jobs_run": ran, "webhook_requests_sent": tried, "webhooks": self.outbox.report()})
        })
    }

    fn set_webhooks(&self, target: WebhookTarget) -> Result<Value, AdminError> {
        let WebhookTarget { target_url, subscriptions, secret } = target;
        let wanted = subscriptions.unwrap_or_else(all_types);
        let raw = json!({
            "name": "side door", "endpoint": target_url, "http_method": "POST", "request_format": "json",
            "status": "active", "subscriptions": wanted,
        });
        let secret = secret.unwrap_or_else(|| self.parts.credentials.client_secret.clone());
        let id = self.outbox.fresh_id();
        let hook = Hook::read(&raw, None, id.clone(), secret, self.parts.clock.now()).map_err(AdminError::Refused)?;
        self.outbox.remove_hooks(None);
        self.outbox.save_hook(hook).map_err(AdminError::Refused)?;
        Ok(json!({"id": id, "target_url": target_url, "subscriptions": wanted}))
    }
}

/// An error about one object, which the platform's own message does not name.
fn at(error: ApiError, object: &str, id: Id) -> AdminError {
    match error.status {
        http::StatusCode::NOT_FOUND => AdminError::NotFound(format!(
            "{object} {id} does not exist in the state that this needs; GET /admin/state?object={object}&deleted=true lists what there is"
        )),
        _ => AdminError::Refused(error.summary()),
    }
}

fn kind(object: &str) -> Result<Kind, AdminError> {
    Kind::parse(object).ok_or_else(|| {
        AdminError::NotFound(format!("there is no object type `{object}` here; use tickets, users or organizations"))
    })
}

fn parse(id: &str) -> Result<Id, AdminError> {
    id.parse().map_err(|_| AdminError::NotFound(format!("`{id}` is not an id; ids here are whole numbers")))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

fn state_row(id: Id, deleted: bool, created: Micros, updated: Micros, fields: Map<String, Value>) -> StateRow {
    StateRow { id: id.to_string(), deleted, created_us: created, stamp: iso(updated), fields }
}

fn shown(id: Id, row: &Row) -> StateRow {
    let mut fields = row.values.clone();
    if !row.addresses.is_empty() {
        fields.insert("addresses".to_owned(), row.addresses.iter().map(|(_, address)| address.as_str()).collect());
    }
    state_row(id, !row.is_live(), row.created, row.updated, fields)
}
