//! The account's rules of a write, beyond those of single values.

use serde_json::{Map, Value};

use super::account::{Books, ZendeskState};
use super::caller::{AGENT_ID, Caller};
use super::errors::{ApiError, Flaw};
use super::kind::{Id, Kind};
use super::schema::Rule;
use super::switches;
use super::table::Row;
use super::tags;
use super::thread::COMMENTS_MAX;
use super::wish::Wish;

impl ZendeskState {
    /// Completes a wish by what the platform does by itself, and refuses it where a rule is broken. Of an object that is
    /// new, `id` is absent.
    pub(crate) fn settle(
        &self,
        books: &mut Books,
        kind: Kind,
        id: Option<Id>,
        wish: &mut Wish,
        body: &Map<String, Value>,
        caller: &Caller,
    ) -> Result<(), ApiError> {
        let before = id.and_then(|id| books.table(kind).live(id)).cloned();
        check_references(books, kind, wish);
        match kind {
            Kind::Tickets => check_ticket(books, id, before.as_ref(), wish),
            Kind::Users => self.check_user(books, id, before.as_ref(), wish),
            Kind::Organizations => check_organization(books, id, before.as_ref(), wish),
        }
        if !wish.flaws.is_empty() {
            self.parts.ledger.count_rejected();
            return Err(ApiError::invalid(&wish.flaws));
        }
        if kind == Kind::Tickets {
            self.complete_ticket(books, before.as_ref(), wish, body, caller)?;
        }
        if self.parts.faults.is_on(switches::TAG_MIRROR) {
            let empty = Map::new();
            let held = before.as_ref().map_or(&empty, |row| &row.values);
            tags::mirror(books.schema(kind), held, &mut wish.values);
        }
        Ok(())
    }

    fn check_user(&self, books: &Books, id: Option<Id>, before: Option<&Row>, wish: &mut Wish) {
        if before.is_none() && wish.values.get("role").is_none_or(Value::is_null) {
            wish.values.insert("role".to_owned(), "end-user".into());
        }
        if before.is_none() && !wish.speaks_of("name") {
            wish.flaws.push(Flaw::new("name", "BlankValue", "is too short (minimum is one character)"));
        }
        check_external_id(books, Kind::Users, id, wish);
        let Some(email) = wish.values.get("email").and_then(Value::as_str).map(str::to_owned) else { return };
        if books.table(Kind::Users).by_email(&email).is_some_and(|holder| id != Some(holder)) {
            let why = format!("{email} is already being used by another user");
            wish.flaws.push(Flaw::new("email", "DuplicateValue", &why));
            return;
        }
        // The address of a user who has one is not replaced: the new one stands beside it.
        let held = before.map_or("", |row| row.text("email"));
        if !held.is_empty() && held != email && self.parts.faults.is_on(switches::SECOND_ADDRESS) {
            wish.values.remove("email");
            let known = before.is_some_and(|row| row.addresses.iter().any(|(_, address)| *address == email));
            wish.address = Some(email).filter(|_| !known);
            self.parts.faults.count(switches::SECOND_ADDRESS);
        }
    }

    /// What a ticket gets without being asked.
    fn complete_ticket(
        &self,
        books: &mut Books,
        before: Option<&Row>,
        wish: &mut Wish,
        body: &Map<String, Value>,
        caller: &Caller,
    ) -> Result<(), ApiError> {
        if let Some(requester) = self.requester(books, body, caller)? {
            wish.values.insert("requester_id".to_owned(), requester.into());
        }
        if before.is_none() {
            let author = if books.table(Kind::Users).live(caller.user).is_some() { caller.user } else { AGENT_ID };
            let values = &mut wish.values;
            for name in ["requester_id", "submitter_id"] {
                if values.get(name).is_none_or(Value::is_null) {
                    values.insert(name.to_owned(), author.into());
                }
            }
            if values.get("status").is_none_or(Value::is_null) {
                values.insert("status".to_owned(), "new".into());
            }
            if values.get("organization_id").is_none_or(Value::is_null) {
                let requester = values.get("requester_id").and_then(Value::as_u64);
                let requester = requester.and_then(|id| books.table(Kind::Users).live(id));
                let own = requester.map_or(Value::Null, |row| row.get("organization_id").clone());
                values.insert("organization_id".to_owned(), own);
            }
            if let Some(draft) = &wish.draft {
                values.insert("description".to_owned(), draft.body.as_str().into());
                values.insert("is_public".to_owned(), draft.public.into());
            }
            values.insert("channel".to_owned(), caller.channel.into());
        } else if wish.values.get("status").is_some_and(Value::is_null) {
            wish.values.remove("status");
        }
        if wish.after(before, "status") == "new" && !wish.after(before, "assignee_id").is_null() {
            wish.values.insert("status".to_owned(), "open".into());
        }
        if wish.after(before, "type") != "task" && !wish.after(before, "due_at").is_null() {
            wish.values.insert("due_at".to_owned(), Value::Null);
        }
        Ok(())
    }

    /// The `requester` member names somebody by address, who is made if need be.
    fn requester(&self, books: &mut Books, body: &Map<String, Value>, caller: &Caller) -> Result<Option<Id>, ApiError> {
        let Some(Value::Object(person)) = body.get("requester") else { return Ok(None) };
        let email = person.get("email").and_then(Value::as_str).unwrap_or_default();
        match books.table(Kind::Users).by_email(email) {
            Some(known) => Ok(Some(known)),
            None => self.create(books, Kind::Users, person, caller).map(|written| Some(written.id)),
        }
    }
}

fn check_references(books: &Books, kind: Kind, wish: &mut Wish) {
    let mut flaws = Vec::new();
    for (name, rule) in kind.attributes() {
        let (Rule::Reference(target), Some(id)) = (*rule, wish.values.get(*name).and_then(Value::as_u64)) else {
            continue;
        };
        let row = books.table(target).live(id);
        let fits = match *name {
            "assignee_id" => row.is_some_and(|row| matches!(row.text("role"), "agent" | "admin")),
            _ => row.is_some(),
        };
        if !fits {
            flaws.push(Flaw::new(name, "InvalidValue", &format!("{id} is invalid")));
        }
    }
    wish.flaws.extend(flaws);
}

fn check_ticket(books: &Books, id: Option<Id>, before: Option<&Row>, wish: &mut Wish) {
    if before.is_some_and(|row| row.text("status") == "closed") {
        let why = Flaw::new("status", "InvalidValue", "closed prevents ticket update");
        wish.flaws = vec![why];
        return;
    }
    let said = id.and_then(|id| books.threads.get(&id)).map_or(0, |thread| thread.comments().len());
    if wish.draft.is_some() && said >= COMMENTS_MAX {
        let why = format!("Comment: a ticket has at most {COMMENTS_MAX} comments");
        wish.flaws.push(Flaw::base("TooManyValues", why));
    }
}

fn check_organization(books: &Books, id: Option<Id>, before: Option<&Row>, wish: &mut Wish) {
    if before.is_none() && !wish.speaks_of("name") {
        wish.flaws.push(Flaw::new("name", "BlankValue", "cannot be blank"));
    }
    check_external_id(books, Kind::Organizations, id, wish);
    let Some(name) = wish.values.get("name").and_then(Value::as_str).map(str::to_owned) else { return };
    if books.table(Kind::Organizations).by_name(&name).is_some_and(|holder| id != Some(holder)) {
        wish.flaws.push(Flaw::new("name", "DuplicateValue", &format!("{name} has already been taken")));
    }
}

/// External ids of users and organisations are unique without regard to case; those of tickets are not.
fn check_external_id(books: &Books, kind: Kind, id: Option<Id>, wish: &mut Wish) {
    let Some(external) = wish.values.get("external_id").and_then(Value::as_str) else { return };
    if books.table(kind).by_external_id(external).any(|holder| id != Some(holder)) {
        let flaw = Flaw::new("external_id", "DuplicateValue", "has already been taken");
        wish.flaws.push(flaw);
    }
}
