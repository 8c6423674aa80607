//! After every input: a replica whose baseline equals the record's projection reflects the document's heads; one that
//! differs where it can be written is dirty.

use super::{Pass, ReconcileError};
use crate::{
    ids::{ConnectionId, FieldName},
    model::DeleteEffect,
    mutant::{self, Rule},
    outbox::Delivery,
    plan::{Side, SyncPlan},
    record::RecordState,
    replica::{IntentVerb, Link, ParkCause, Parked, Reflected, Replica, StoredForm},
    value::{Fields, Value},
};

/// How one mapped field of a replica stands against the record.
enum Standing {
    /// The system shows the record's value, in its own form.
    Agrees,
    /// The system is to be sent this value.
    Owed(Value),
    /// The values differ, but nothing can be sent.
    Apart,
}

impl Pass<'_> {
    /// Brings every replica that this pass may have moved up to date with the record.
    pub(super) fn agree(&mut self) -> Result<(), ReconcileError> {
        let everywhere = !self.written.is_empty() || self.out.created || self.before_deleted != self.state.deleted;
        let connections: Vec<ConnectionId> = self
            .plan
            .sides
            .keys()
            .filter(|connection| everywhere || self.moved.contains(*connection))
            .cloned()
            .collect();
        for connection in connections {
            self.agree_one(&connection)?;
        }
        Ok(())
    }

    fn agree_one(&mut self, connection: &ConnectionId) -> Result<(), ReconcileError> {
        let side = self.side(connection)?;
        if !self.state.replicas.contains_key(connection) {
            // The connection joined the sync after the record was created.
            self.state.replicas.insert(connection.clone(), super::unlinked(side));
            self.out.touched.insert(connection.clone());
        }
        let before = self.replica(connection)?.clone();
        self.park_what_cannot_be_said(connection, side)?;
        self.keep_spelling(connection, side)?;
        if self.replica(connection)?.intent.is_none() {
            self.advance(connection, side)?;
            self.mark(connection, side)?;
        }
        if *self.replica(connection)? != before {
            self.out.touched.insert(connection.clone());
        }
        Ok(())
    }

    /// Parks fields whose value this system cannot hold, and tries parked fields again once their value has changed.
    fn park_what_cannot_be_said(&mut self, connection: &ConnectionId, side: &Side) -> Result<(), ReconcileError> {
        let at = self.now.at;
        let fields = self.state.fields.clone();
        let replica = self
            .state
            .replicas
            .get_mut(connection)
            .ok_or_else(|| ReconcileError::UnknownConnection(connection.clone()))?;
        replica.parked.retain(|name, parked| {
            fields.get(name).is_some_and(|value| *value == parked.value) || mutant::off(Rule::ParkingEndsWithValue)
        });
        for name in side.mapping.fields().filter(|name| side.writes && side.mapping.writable(name)) {
            let Some(value) = fields.get(name).filter(|_| !replica.parked.contains_key(name)) else { continue };
            if let Err(fault) = side.mapping.project(name, value) {
                let parked = Parked { reason: fault.message, value: value.clone(), at, cause: ParkCause::Unfit };
                replica.parked.insert(name.clone(), parked);
            }
        }
        Ok(())
    }

    /// Of a text that this system spells in its own way only what its user changed was taken over. What it shows of the rest
    /// is its stored form, as it was before: sending it the record's spelling once more would change nothing.
    fn keep_spelling(&mut self, connection: &ConnectionId, side: &Side) -> Result<(), ReconcileError> {
        for name in self.respelled.remove(connection).unwrap_or_default() {
            let Some(value) = self.state.fields.get(&name) else { continue };
            let Ok(sent) = side.mapping.project(&name, value) else { continue };
            let replica = self.replica_mut(connection)?;
            let Some(stored) = replica.baseline.get(&name).cloned() else { continue };
            if stored != sent && stored.loose_fold() == sent.loose_fold() {
                replica.stored.insert(name, StoredForm { sent, stored });
            }
        }
        Ok(())
    }

    /// Moves the reflected heads of the fields that agree; the others keep theirs.
    fn advance(&mut self, connection: &ConnectionId, side: &Side) -> Result<(), ReconcileError> {
        let heads = self.state.document.heads().clone();
        let replica = self.replica(connection)?;
        if matches!(replica.link, Link::Unlinked) || mutant::off(Rule::AgreementAdvancesHeads) {
            return Ok(());
        }
        let mut reflected = Reflected { common: heads, ..Reflected::default() };
        for name in side.mapping.fields() {
            if !agrees(&self.state.fields, replica, side, name) && !mutant::off(Rule::HeadsArePerField) {
                reflected.set(name, replica.reflected.of(name).clone());
            }
        }
        if reflected != replica.reflected {
            self.replica_mut(connection)?.reflected = reflected;
        }
        Ok(())
    }

    /// Marks the delivery: level-triggered, so that it only ever says whether something is owed.
    fn mark(&mut self, connection: &ConnectionId, side: &Side) -> Result<(), ReconcileError> {
        let owed = self.owed(self.replica(connection)?, side).is_some();
        let now = self.now.at;
        let changed =
            !self.written.is_empty() || self.before_deleted != self.state.deleted || self.moved.contains(connection);
        let replica = self.replica(connection)?;
        let delivery = match (&replica.delivery, owed) {
            (Delivery::Dirty { .. }, true) => return Ok(()),
            (Delivery::Parked { .. }, true) if !changed || self.given_up.as_ref() == Some(connection) => return Ok(()),
            (_, true) => Delivery::Dirty { due: now, attempts: 0, error: None },
            (_, false) => Delivery::Clean,
        };
        if replica.delivery != delivery {
            self.replica_mut(connection)?.delivery = delivery;
        }
        Ok(())
    }

    /// What a delivery to this replica would do now.
    pub(super) fn owed(&self, replica: &Replica, side: &Side) -> Option<IntentVerb> {
        owed(self.plan, self.state, replica, side)
    }

    /// The value that a delivery would send for this field now.
    pub(super) fn owed_value(&self, replica: &Replica, side: &Side, name: &FieldName) -> Option<Value> {
        match standing_of(&self.state.fields, replica, side, name) {
            Standing::Owed(value) => Some(value),
            Standing::Agrees | Standing::Apart => None,
        }
    }
}

/// What a delivery to this replica would do now.
pub(super) fn owed(plan: &SyncPlan, state: &RecordState, replica: &Replica, side: &Side) -> Option<IntentVerb> {
    if !side.writes {
        return None;
    }
    let owes = |name| matches!(standing_of(&state.fields, replica, side, name), Standing::Owed(_));
    let any_field = || side.mapping.fields().any(owes);
    match (&replica.link, state.deleted) {
        (Link::Linked { .. }, Some(_)) => {
            (plan.model.deletes.effect == DeleteEffect::Propagate).then_some(IntentVerb::Delete)
        }
        (Link::Linked { .. }, None) => any_field().then_some(IntentVerb::Update),
        (Link::Unlinked, None) if side.creates => any_field().then_some(IntentVerb::Create),
        (Link::Gone { .. }, None) if side.creates => Some(IntentVerb::Create),
        _ => None,
    }
}

/// Whether the system shows the record's value of this field.
pub(super) fn agrees(fields: &Fields, replica: &Replica, side: &Side, name: &FieldName) -> bool {
    matches!(standing_of(fields, replica, side, name), Standing::Agrees)
}

fn standing_of(fields: &Fields, replica: &Replica, side: &Side, name: &FieldName) -> Standing {
    let value = fields.get(name);
    let projected = match value.map(|value| side.mapping.project(name, value)) {
        Some(Ok(projected)) => projected,
        Some(Err(_)) => return Standing::Apart,
        None => Value::Null,
    };
    let baseline = replica.baseline.get(name).unwrap_or(&Value::Null);
    let stored = replica.stored.get(name);
    let holds = |stored: &Value| stored == baseline || mutant::off(Rule::StoredFormEndsWithBaseline);
    if baseline.same_as(&projected) || stored.is_some_and(|form| form.sent == projected && holds(&form.stored)) {
        return Standing::Agrees;
    }
    let sendable = side.writes && side.mapping.writable(name) && value.is_some() && !replica.parked.contains_key(name);
    if sendable { Standing::Owed(projected) } else { Standing::Apart }
}
