//! The emulated account: its records, and the bookkeeping around every read and write of them.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::caller::{Caller, PORTAL_ID};
use super::errors::ApiError;
use super::events;
use super::limits::Limits;
use super::normalise::{Invalid, Rules};
use super::outbox::Outbox;
use super::record::{RecordId, View};
use super::schema::ObjectKind;
use super::table::{Change, FieldChange, Refusal, Table, Write};
use super::time::iso;
use super::tokens::Tokens;
use super::{seed, switches};
use crate::clock::Micros;
use crate::ledger::{Event, FieldWrite, Op};
use crate::people::{People, Population};
use crate::sandbox::Parts;

/// The shortest and the longest time that a write takes to reach the search index.
const INDEX_LAG_MIN: Duration = Duration::from_millis(200);
const INDEX_LAG_MAX: Duration = Duration::from_secs(20);

/// The emulated account.
#[derive(Debug)]
pub struct HubSpotState {
    pub(crate) parts: Parts,
    tables: Mutex<Tables>,
    pub(crate) tokens: Mutex<Tokens>,
    pub(crate) limits: Mutex<Limits>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) stop: CancellationToken,
}

/// The records of the account, by object type.
#[derive(Debug)]
pub(crate) struct Tables {
    contacts: Table,
    companies: Table,
}

impl Tables {
    /// The records of one type.
    pub(crate) fn of(&mut self, kind: ObjectKind) -> &mut Table {
        match kind {
            ObjectKind::Contacts => &mut self.contacts,
            ObjectKind::Companies => &mut self.companies,
        }
    }
}

impl HubSpotState {
    /// An account that holds its side of the population.
    #[must_use]
    pub fn new(parts: Parts, people: &Population, seed: u64) -> Self {
        let mut contacts = Table::new(ObjectKind::Contacts);
        seed::add_custom_properties(&mut contacts);
        let phone_validation = parts.faults.is_on(switches::PHONE_VALIDATION);
        let rules = Rules { phone_validation, lifecycle_forward_only: true };
        seed::import(&mut contacts, &People::new(seed, people), rules);
        let tables = Tables { contacts, companies: Table::new(ObjectKind::Companies) };
        Self {
            tables: Mutex::new(tables),
            tokens: Mutex::new(Tokens::new(parts.credentials.clone(), seed, parts.clock.now())),
            limits: Mutex::new(Limits::new(&parts.clock)),
            outbox: Arc::new(Outbox::new(&parts)),
            stop: CancellationToken::new(),
            parts,
        }
    }

    /// The records, for as long as the guard lives. Ledger entries of what is done with them are
    /// appended under the guard, so that the ledger's order is the platform's.
    pub(crate) fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock()
    }

    /// The rules as the switches stand.
    pub(crate) fn rules(&self) -> Rules {
        Rules {
            phone_validation: self.parts.faults.is_on(switches::PHONE_VALIDATION),
            lifecycle_forward_only: self.parts.faults.is_on(switches::LIFECYCLE_FORWARD_ONLY),
        }
    }

    /// Creates a record.
    pub(crate) fn create(
        &self,
        table: &mut Table,
        values: &Map<String, Value>,
        caller: &Caller,
    ) -> Result<RecordId, ApiError> {
        let (at, write) = self.write(table.kind(), caller);
        let change = table.create(values, &write).map_err(|refusal| self.refused(refusal))?;
        self.log(table.kind(), Op::Create, &change, caller, at);
        self.outbox.publish(events::created(table.kind(), &change), caller, at);
        self.disturb(table);
        Ok(change.id)
    }

    /// Writes to a record, and returns the id under which it lives.
    pub(crate) fn update(
        &self,
        table: &mut Table,
        id: RecordId,
        values: &Map<String, Value>,
        caller: &Caller,
    ) -> Result<RecordId, ApiError> {
        let (at, write) = self.write(table.kind(), caller);
        let mut change = table.update(id, values, &write).map_err(|refusal| self.refused(refusal))?;
        if !change.fields.iter().any(FieldChange::is_change)
            && self.parts.faults.roll(switches::STAMP_BUMP)
            && let Some(touched) = table.touch(change.id, &write)
        {
            change.stamp_after = touched.stamp_after;
        }
        self.count_rules(&change);
        self.log(table.kind(), Op::Update, &change, caller, at);
        self.outbox.publish(events::changed(table.kind(), &change), caller, at);
        self.disturb(table);
        Ok(change.id)
    }

    /// Archives a record.
    pub(crate) fn archive(&self, table: &mut Table, id: RecordId, caller: &Caller) -> Result<(), ApiError> {
        let at = self.parts.clock.now();
        let change = table.archive(id, at.millis()).map_err(|refusal| self.refused(refusal))?;
        self.log(table.kind(), Op::Delete, &change, caller, at);
        self.outbox.publish(events::archived(table.kind(), &change), caller, at);
        Ok(())
    }

    /// Brings an archived record back.
    pub(crate) fn restore(&self, table: &mut Table, id: RecordId, caller: &Caller) -> Result<(), ApiError> {
        let (at, write) = self.write(table.kind(), caller);
        let change = table.restore(id, &write).map_err(|refusal| self.refused(refusal))?;
        self.log(table.kind(), Op::Restore, &change, caller, at);
        self.outbox.publish(events::restored(table.kind(), &change), caller, at);
        Ok(())
    }

    /// Erases a record for privacy.
    pub(crate) fn erase(&self, table: &mut Table, id: RecordId, caller: &Caller) -> Result<(), ApiError> {
        let at = self.parts.clock.now();
        let change = table.erase(id).map_err(|refusal| self.refused(refusal))?;
        self.log(table.kind(), Op::Delete, &change, caller, at);
        self.outbox.publish(events::erased(table.kind(), &change), caller, at);
        Ok(())
    }

    /// Merges one record into another, and returns the id of the result.
    pub(crate) fn merge(
        &self,
        table: &mut Table,
        primary: RecordId,
        other: RecordId,
        caller: &Caller,
    ) -> Result<RecordId, ApiError> {
        let (at, write) = self.write(table.kind(), caller);
        let fresh_id = self.parts.faults.is_on(switches::MERGE_NEW_ID);
        let (primary, other) = (table.resolve(primary), table.resolve(other));
        let change = table.merge(primary, other, fresh_id, &write).map_err(|refusal| self.refused(refusal))?;
        if fresh_id {
            self.parts.faults.count(switches::MERGE_NEW_ID);
        }
        for absorbed in [primary, other].into_iter().filter(|id| *id != change.id) {
            self.log(table.kind(), Op::Merge, &absorption(absorbed, &change), caller, at);
        }
        let op = if fresh_id { Op::Create } else { Op::Update };
        self.log(table.kind(), op, &change, caller, at);
        self.outbox.publish(events::merged(table.kind(), &change, primary, other), caller, at);
        Ok(change.id)
    }

    /// Notes in the ledger that the integration was shown a version of a record.
    pub(crate) fn shown(&self, kind: ObjectKind, view: &View<'_>, caller: &Caller) {
        if !caller.is_integration() || !self.parts.ledger.log_reads() {
            return;
        }
        self.parts.ledger.append(Event {
            at_us: self.parts.clock.now(),
            actor: caller.actor.clone(),
            op: Op::Read,
            object: kind.plural().into(),
            id: view.id.to_string(),
            fields: Default::default(),
            stamp_before: None,
            stamp_after: Some(iso(view.modified_ms)),
            redundant: false,
            via: caller.via.clone(),
        });
    }

    /// The circumstances of a write that happens now.
    fn write(&self, kind: ObjectKind, caller: &Caller) -> (Micros, Write) {
        let faults = &self.parts.faults;
        let at = self.parts.clock.now();
        let lags = faults.roll(switches::INDEX_LAG);
        let stage = kind == ObjectKind::Contacts && faults.is_on(switches::DEFAULT_LIFECYCLE_STAGE);
        let write = Write {
            at_ms: at.millis(),
            author: caller.author,
            rules: self.rules(),
            indexed_ms: lags.then(|| at.plus(self.index_lag()).millis()),
            default_stage: stage.then_some("lead"),
        };
        (at, write)
    }

    /// Most writes reach the index soon, and a few very late.
    fn index_lag(&self) -> Duration {
        let share = self.parts.faults.draw(switches::INDEX_LAG).powi(3);
        self.parts.clock.scaled(INDEX_LAG_MIN + (INDEX_LAG_MAX - INDEX_LAG_MIN).mul_f64(share))
    }

    /// Now and then a calculated property moves the change time of some record.
    fn disturb(&self, table: &mut Table) {
        if !self.parts.faults.roll(switches::STAMP_BUMP) {
            return;
        }
        let share = self.parts.faults.draw(switches::STAMP_BUMP);
        let Some(id) = table.any_live(share) else { return };
        let caller = Caller::platform("calculated property");
        let (at, write) = self.write(table.kind(), &caller);
        if let Some(change) = table.touch(id, &write) {
            self.log(table.kind(), Op::Update, &change, &caller, at);
        }
    }

    /// Counts the rules that made a difference to an accepted write.
    fn count_rules(&self, change: &Change) {
        let kept = |field: &FieldChange| {
            field.name == "lifecyclestage" && !field.is_change() && field.sent.as_str() != field.after.as_deref()
        };
        if change.fields.iter().any(kept) {
            self.parts.faults.count(switches::LIFECYCLE_FORWARD_ONLY);
        }
    }

    /// Counts a refusal and puts it into words.
    pub(crate) fn refused(&self, refusal: Refusal) -> ApiError {
        self.count_rejected();
        refusal_error(refusal)
    }

    /// Counts a write that was refused.
    pub(crate) fn count_rejected(&self) {
        self.parts.ledger.count_rejected();
    }

    fn log(&self, kind: ObjectKind, op: Op, change: &Change, caller: &Caller, at: Micros) {
        let fields = change
            .fields
            .iter()
            .map(|field| {
                let written = FieldWrite {
                    before: field.before.clone().into(),
                    sent: field.sent.clone(),
                    after: field.after.clone().into(),
                };
                (field.name.clone(), written)
            })
            .collect();
        let by_platform = caller.actor.kind == crate::ledger::ActorKind::System;
        self.parts.ledger.append(Event {
            at_us: at,
            actor: caller.actor.clone(),
            op,
            object: kind.plural().into(),
            id: change.id.to_string(),
            fields,
            stamp_before: change.stamp_before.map(iso),
            stamp_after: Some(iso(change.stamp_after)),
            redundant: op == Op::Update && !by_platform && !change.fields.iter().any(FieldChange::is_change),
            via: caller.via.clone(),
        });
    }
}

impl Drop for HubSpotState {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The ledger's view of a record that lives on in another.
fn absorption(absorbed: RecordId, change: &Change) -> Change {
    let survivor = change.id.to_string();
    let into =
        FieldChange { name: "into".to_owned(), before: None, sent: survivor.as_str().into(), after: Some(survivor) };
    Change { id: absorbed, fields: vec![into], ..change.clone() }
}

/// A refusal in the platform's words.
pub(crate) fn refusal_error(refusal: Refusal) -> ApiError {
    match refusal {
        Refusal::NotFound => ApiError::not_found(),
        Refusal::Invalid(invalid) => ApiError::properties(&invalid, PORTAL_ID),
        Refusal::EmailTaken(existing) => ApiError::contact_exists(existing),
        Refusal::ValueTaken { property, value, existing } => ApiError::value_taken(&property, &value, existing),
        Refusal::EmailBlocked(email) => ApiError::properties(
            &[Invalid::new(
                "email",
                "GDPR_BLOCKLISTED_EMAIL",
                format!("{email} was deleted for privacy and is blocklisted"),
            )],
            PORTAL_ID,
        ),
    }
}
