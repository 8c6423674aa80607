//! Every change of an object: by a request, by a person in the application, by the platform itself.

use serde_json::{Map, Value, json};

use super::account::{Books, Change, FieldChange, SOLVED, ZendeskState};
use super::caller::Caller;
use super::errors::ApiError;
use super::kind::{Id, Kind};
use super::switches;
use super::table::{Life, Row};
use super::tags;
use super::thread::{Audit, Moved, Note};
use super::wish::{Wish, check_guard};
use crate::clock::Micros;
use crate::ledger::Op;

/// The tag of a ticket that was merged into another.
const MERGED_TAG: &str = "closed_by_merge";

/// An object that was written.
#[derive(Debug)]
pub(crate) struct Written {
    /// The object.
    pub(crate) id: Id,
    /// What was noted of the write, for a ticket.
    pub(crate) audit: Option<Audit>,
}

impl ZendeskState {
    /// Makes an object.
    pub(crate) fn create(
        &self,
        books: &mut Books,
        kind: Kind,
        body: &Map<String, Value>,
        caller: &Caller,
    ) -> Result<Written, ApiError> {
        let mut wish = Wish::read(books.schema(kind), kind, body, None, self.rules());
        self.settle(books, kind, None, &mut wish, body, caller)?;
        let id = books.table_mut(kind).fresh_id();
        Ok(self.apply(books, kind, id, None, wish, caller))
    }

    /// Changes an object.
    pub(crate) fn update(
        &self,
        books: &mut Books,
        kind: Kind,
        id: Id,
        body: &Map<String, Value>,
        caller: &Caller,
    ) -> Result<Written, ApiError> {
        let before = self.writable(books, kind, id, caller)?;
        if kind == Kind::Tickets {
            check_guard(body, &before).inspect_err(|_| self.parts.ledger.count_rejected())?;
        }
        let mut wish = Wish::read(books.schema(kind), kind, body, Some(&before), self.rules());
        self.settle(books, kind, Some(id), &mut wish, body, caller)?;
        Ok(self.apply(books, kind, id, Some(before), wish, caller))
    }

    /// An object that may be written now.
    fn writable(&self, books: &Books, kind: Kind, id: Id, caller: &Caller) -> Result<Row, ApiError> {
        let row = books.table(kind).live(id).cloned().ok_or_else(|| {
            self.parts.ledger.count_rejected();
            ApiError::not_found()
        })?;
        let held = || books.locked.contains(&(kind, id)) || self.parts.faults.roll(switches::CONFLICT);
        if caller.is_integration() && held() {
            self.parts.ledger.count_rejected();
            return Err(ApiError::database_conflict());
        }
        Ok(row)
    }

    fn apply(
        &self,
        books: &mut Books,
        kind: Kind,
        id: Id,
        before: Option<Row>,
        wish: Wish,
        caller: &Caller,
    ) -> Written {
        let at = self.parts.clock.now();
        let created = before.is_none();
        let stamp_before = before.as_ref().map(|row| row.updated);
        let mut row = before.unwrap_or_else(|| Row::new(at, Map::new()));
        let Wish { sent, values, draft, custom, address, .. } = wish;
        let mut fields = Vec::with_capacity(values.len());
        for (name, after) in values {
            let sent = sent.get(&name).cloned().unwrap_or_default();
            fields.push(FieldChange { before: row.get(&name).clone(), sent, after: after.clone(), name: name.clone() });
            row.set(&name, after);
        }
        if let Some(address) = address {
            let sent: Value = address.as_str().into();
            fields.push(FieldChange { name: "address".into(), before: Value::Null, sent: sent.clone(), after: sent });
            row.addresses.push((books.fresh_id(), address));
        }
        if !created && (draft.is_some() || fields.iter().any(FieldChange::is_change)) {
            (row.updated, row.generated) = (at, at);
        }
        let (mut audit, mut comment) = (None, None);
        if kind == Kind::Tickets {
            let moved = fields.iter().filter(|field| field.is_change() && field.name != "channel").map(|field| Moved {
                name: field.name.clone(),
                before: field.before.clone(),
                after: field.after.clone(),
            });
            let note = Note { caller, at, created, moved: moved.collect(), draft, custom };
            let mut thread = books.threads.remove(&id).unwrap_or_default();
            let (noted, said) = thread.note(id, note, || books.fresh_id());
            books.threads.insert(id, thread);
            (audit, comment) = (Some(noted), said);
            self.plan_closing(books, id, &row, at);
        }
        let op = if created { Op::Create } else { Op::Update };
        let change = Change { op, kind, id, stamp_before, row, fields, comment };
        self.tell(books, &change, caller, at);
        if !caller.is_platform() {
            self.disturb(books);
        }
        Written { id, audit }
    }

    fn plan_closing(&self, books: &mut Books, id: Id, row: &Row, at: Micros) {
        books.closing.retain(|(_, planned)| *planned != id);
        if row.text("status") == "solved" && self.parts.faults.is_on(switches::SOLVED_CLOSES) {
            books.closing.insert((at.plus(self.parts.clock.scaled(SOLVED)), id));
            self.planned.notify_one();
        }
    }

    /// The platform closes a ticket that was solved long ago.
    pub(crate) fn close(&self, books: &mut Books, id: Id) {
        let Some(before) = books.table(Kind::Tickets).live(id).cloned() else { return };
        self.parts.faults.count(switches::SOLVED_CLOSES);
        let wish = Wish { values: Map::from_iter([("status".to_owned(), "closed".into())]), ..Wish::default() };
        self.apply(books, Kind::Tickets, id, Some(before), wish, &Caller::platform("automation"));
    }

    /// Deletes an object: a ticket restorably, a user into inactivity, an organisation with its memberships.
    pub(crate) fn delete(&self, books: &mut Books, kind: Kind, id: Id, caller: &Caller) -> Result<(), ApiError> {
        let before = self.writable(books, kind, id, caller)?;
        let at = self.parts.clock.now();
        let row = Row { life: Life::Deleted { at, by: caller.user }, updated: at, generated: at, ..before.clone() };
        let stamp_before = Some(before.updated);
        let change = Change { op: Op::Delete, kind, id, stamp_before, row, fields: Vec::new(), comment: None };
        self.tell(books, &change, caller, at);
        if kind == Kind::Organizations {
            self.dissolve(books, id);
        }
        Ok(())
    }

    /// Takes everybody, and every open ticket, out of an organisation that is gone.
    fn dissolve(&self, books: &mut Books, organization: Id) {
        for kind in [Kind::Users, Kind::Tickets] {
            let belongs = |row: &Row| {
                let open = kind == Kind::Users || row.text("status") != "closed";
                row.is_live() && open && row.get("organization_id").as_u64() == Some(organization)
            };
            let ids: Vec<Id> = books.table(kind).all().filter(|(_, row)| belongs(row)).map(|(id, _)| id).collect();
            for id in ids {
                let before = books.table(kind).live(id).cloned();
                let values = Map::from_iter([("organization_id".to_owned(), Value::Null)]);
                self.apply(books, kind, id, before, Wish { values, ..Wish::default() }, &Caller::platform("cascade"));
            }
        }
    }

    /// Brings a deleted ticket back.
    pub(crate) fn restore(&self, books: &mut Books, id: Id, caller: &Caller) -> Result<(), ApiError> {
        let before = books.table(Kind::Tickets).get(id).filter(|row| matches!(row.life, Life::Deleted { .. }));
        let before = before.cloned().ok_or_else(ApiError::not_found)?;
        let at = self.parts.clock.now();
        let stamp_before = Some(before.updated);
        let row = Row { life: Life::Live, updated: at, generated: at, ..before };
        let (kind, op) = (Kind::Tickets, Op::Restore);
        let change = Change { op, kind, id, stamp_before, row, fields: Vec::new(), comment: None };
        self.tell(books, &change, caller, at);
        Ok(())
    }

    /// Erases for good what a deleted ticket or user held.
    pub(crate) fn scrub(&self, books: &mut Books, kind: Kind, id: Id, caller: &Caller) -> Result<(), ApiError> {
        let before = books.table(kind).get(id).filter(|row| matches!(row.life, Life::Deleted { .. }));
        let before = before.cloned().ok_or_else(ApiError::not_found)?;
        let at = self.parts.clock.now();
        let kept = |name: &str| (name.to_owned(), before.get(name).clone());
        let values = match kind {
            Kind::Tickets => {
                if let Some(thread) = books.threads.get_mut(&id) {
                    thread.scrub();
                }
                let scrubbed = ["subject", "description"].map(|name| (name.to_owned(), Value::from("SCRUBBED")));
                scrubbed.into_iter().chain(["requester_id", "submitter_id", "channel"].map(kept)).collect()
            }
            _ => {
                let name = ("name".to_owned(), Value::from("Permanently Deleted User"));
                [name, kept("role")].into_iter().filter(|(_, value)| !value.is_null()).collect()
            }
        };
        let stamp_before = Some(before.updated);
        let row =
            Row { life: Life::Scrubbed, updated: at, generated: at, values, addresses: Vec::new(), ..before.clone() };
        let change = Change { op: Op::Delete, kind, id, stamp_before, row, fields: Vec::new(), comment: None };
        self.tell(books, &change, caller, at);
        Ok(())
    }

    /// Merges a user into another, who gets the addresses and the tickets.
    pub(crate) fn merge_users(&self, books: &mut Books, from: Id, into: Id, caller: &Caller) -> Result<(), ApiError> {
        let loser = self.writable(books, Kind::Users, from, caller)?;
        let winner = self.writable(books, Kind::Users, into, caller)?;
        let agents = [&loser, &winner].into_iter().any(|row| row.text("role") != "end-user");
        if from == into || agents {
            self.parts.ledger.count_rejected();
            return Err(ApiError::invalid(&[super::errors::Flaw::base(
                "InvalidValue",
                "Only two end users can be merged",
            )]));
        }
        let at = self.parts.clock.now();
        let gone = Row {
            life: Life::Scrubbed,
            updated: at,
            generated: at,
            values: loser.values.clone().into_iter().filter(|(name, _)| name == "name" || name == "role").collect(),
            addresses: Vec::new(),
            ..loser.clone()
        };
        let into_field =
            FieldChange { name: "into".into(), before: Value::Null, sent: into.into(), after: into.to_string().into() };
        let (kind, stamp_before) = (Kind::Users, Some(loser.updated));
        let absorbed =
            Change { op: Op::Merge, kind, id: from, stamp_before, row: gone, fields: vec![into_field], comment: None };
        self.tell(books, &absorbed, caller, at);
        let mut row = winner.clone();
        let further = Some(loser.text("email").to_owned()).filter(|address| !address.is_empty());
        let further = further.into_iter().chain(loser.addresses.into_iter().map(|(_, address)| address));
        for address in further {
            row.addresses.push((books.fresh_id(), address));
        }
        (row.updated, row.generated) = (at, at);
        let fields = Vec::new();
        let stamp_before = Some(winner.updated);
        let change = Change { op: Op::Merge, kind, id: into, stamp_before, row, fields, comment: None };
        self.tell(books, &change, caller, at);
        let asked = |row: &Row| row.is_live() && row.get("requester_id").as_u64() == Some(from);
        let ids: Vec<Id> = books.table(Kind::Tickets).all().filter(|(_, row)| asked(row)).map(|(id, _)| id).collect();
        for id in ids {
            let before = books.table(Kind::Tickets).live(id).cloned();
            let values = Map::from_iter([("requester_id".to_owned(), into.into())]);
            self.apply(
                books,
                Kind::Tickets,
                id,
                before,
                Wish { values, ..Wish::default() },
                &Caller::platform("merge"),
            );
        }
        Ok(())
    }

    /// Merges tickets into another: they close with a comment and a tag.
    pub(crate) fn merge_ticket(&self, books: &mut Books, from: Id, into: Id, caller: &Caller) -> Result<(), ApiError> {
        let mut tags = tags::of(&self.writable(books, Kind::Tickets, from, caller)?.values);
        if from == into || is_closed(books, from) || is_closed(books, into) {
            self.parts.ledger.count_rejected();
            return Err(ApiError::invalid(&[super::errors::Flaw::base(
                "InvalidValue",
                "These tickets cannot be merged",
            )]));
        }
        tags.insert(MERGED_TAG.to_owned());
        let said = |text: String| Map::from_iter([("comment".to_owned(), json!({"body": text, "public": false}))]);
        let mut source = said(format!("This request was closed and merged into request #{into}."));
        source.insert("status".to_owned(), "closed".into());
        source.insert("tags".to_owned(), tags::stored(&tags));
        self.update(
            books,
            Kind::Tickets,
            into,
            &said(format!("Request #{from} was closed and merged into this request.")),
            caller,
        )?;
        self.update(books, Kind::Tickets, from, &source, caller).map(drop)
    }
}

fn is_closed(books: &Books, id: Id) -> bool {
    books.table(Kind::Tickets).live(id).is_none_or(|row| row.text("status") == "closed")
}

impl ZendeskState {
    /// Puts a user in the place of what the user was, where only addresses moved.
    pub(crate) fn replace_user(&self, books: &mut Books, id: Id, before: &Row, row: Row, caller: &Caller) {
        let at = self.parts.clock.now();
        let (held, email) = (before.get("email").clone(), row.get("email").clone());
        let fields = vec![FieldChange { name: "email".into(), before: held, sent: email.clone(), after: email }];
        let row = Row { updated: at, generated: at, ..row };
        let stamp_before = Some(before.updated);
        let change = Change { op: Op::Update, kind: Kind::Users, id, stamp_before, row, fields, comment: None };
        self.tell(books, &change, caller, at);
    }
}
