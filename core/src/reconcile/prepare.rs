//! What a delivery sends: computed at the moment of sending, as projection minus baseline, and written down first.

use std::collections::BTreeMap;

use super::{Pass, ReconcileError, Verdict};
use crate::{
    ids::{ConnectionId, FieldName},
    mutant::{self, Rule},
    outbox::Delivery,
    plan::Side,
    replica::{Intent, IntentVerb, Link, ParkCause, Parked, Replica},
    time::Millis,
    value::{Fields, Value},
};

/// How often a deleted object is looked at before its record is given a new one.
const LAST_WORDS_LOOKS: u32 = 3;

impl Pass<'_> {
    /// Opens an intent for whatever is owed to this system now; nothing, where nothing is.
    pub(super) fn prepare(
        &mut self,
        connection: &ConnectionId,
        looked_at: Millis,
        conditional: bool,
    ) -> Result<(), ReconcileError> {
        self.out.verdict = Verdict::Delivery;
        let side = self.side(connection)?;
        let replica = self.replica(connection)?;
        if let Some(intent) = &replica.intent {
            let rests = intent.uncertain && intent.rested.is_none() && self.is_at_rest(replica);
            return if rests { self.note_rest(connection) } else { Ok(()) };
        }
        if matches!(replica.delivery, Delivery::Parked { .. }) {
            // It was given up while this was under way, and waits for a person: an intent would stay open as long.
            return Ok(());
        }
        if let Some(wait_ms) = unsettled_second(replica, looked_at, conditional) {
            let now = self.now.at;
            self.replica_mut(connection)?.delivery.wait(now, wait_ms);
            return Ok(());
        }
        self.park_flapping(connection, side)?;
        let replica = self.replica(connection)?;
        let Some(verb) = self.owed(replica, side) else {
            self.replica_mut(connection)?.delivery = Delivery::Clean;
            return Ok(());
        };
        if verb == IntentVerb::Create && matches!(replica.link, Link::Gone { .. }) {
            return self.await_last_words(connection);
        }
        let fields = match verb {
            IntentVerb::Delete => Fields::new(),
            IntentVerb::Create | IntentVerb::Update => self.patch(replica, side),
        };
        let intent = Intent {
            id: self.now.tick,
            verb,
            fields,
            heads: self.state.document.heads().clone(),
            expected: replica.version,
            opened: self.now.at,
            uncertain: false,
            rested: None,
        };
        self.replica_mut(connection)?.intent = Some(intent.clone());
        self.out.intent = Some(intent);
        Ok(())
    }

    /// The record came back before anybody has read what the object held when we deleted it: a new object is made only
    /// after that, or after nobody could read it a few times.
    fn await_last_words(&mut self, connection: &ConnectionId) -> Result<(), ReconcileError> {
        let now = self.now.at;
        let replica = self.replica_mut(connection)?;
        let waits = replica.unread_end() && !mutant::off(Rule::CreateAwaitsEnd);
        if !waits || replica.delivery.attempts() >= LAST_WORDS_LOOKS {
            return self.lose_link(connection);
        }
        replica.delivery.failed(now, "waiting to read what the deleted object held last", 0);
        self.read_back(connection)
    }

    fn patch(&self, replica: &Replica, side: &Side) -> Fields {
        side.mapping.fields().filter_map(|name| Some((name.clone(), self.owed_value(replica, side, name)?))).collect()
    }

    /// Parks a field that our own writes alone turn to and fro: A, B, A, B, and now A once more.
    fn park_flapping(&mut self, connection: &ConnectionId, side: &Side) -> Result<(), ReconcileError> {
        let replica = self.replica(connection)?;
        let flapping: Vec<(FieldName, Value)> = side
            .mapping
            .fields()
            .filter_map(|name| {
                let value = self.owed_value(replica, side, name)?;
                let past = replica.writes.get(name)?;
                let alternates = past.len() == Replica::WRITES_MAX
                    && past.iter().rev().enumerate().all(|(age, sent)| (*sent == value) == (age % 2 == 1));
                (alternates && !mutant::off(Rule::FlappingIsParked))
                    .then(|| (name.clone(), self.state.fields.get(name).cloned().unwrap_or_default()))
            })
            .collect();
        let at = self.now.at;
        for (name, value) in flapping {
            let reason = "our own writes alternate between two values with no user's edit between them: \
                          two systems insist on different values; edit the field once to choose"
                .to_owned();
            self.replica_mut(connection)?.parked.insert(name, Parked { reason, value, at, cause: ParkCause::Flapping });
            self.moved.insert(connection.clone());
        }
        Ok(())
    }

    /// Parks what is owed of fields that the provider's object lacks, and lets go of fields that it has again. Nothing is sent
    /// and nothing is cleared meanwhile: the baseline stays what the system showed last.
    pub(super) fn lacks(
        &mut self,
        connection: &ConnectionId,
        fields: &BTreeMap<FieldName, String>,
    ) -> Result<(), ReconcileError> {
        self.out.verdict = Verdict::Delivery;
        let side = self.side(connection)?;
        let replica = self.replica(connection)?;
        let back: Vec<FieldName> = replica
            .parked
            .iter()
            .filter(|(name, parked)| parked.cause == ParkCause::Missing && !fields.contains_key(*name))
            .map(|(name, _)| name.clone())
            .collect();
        let waits = |name: &FieldName| {
            // What the provider refused because its field is gone waits for the field, not for another value.
            let refused = replica.parked.get(name).is_some_and(|parked| parked.cause == ParkCause::Refused);
            refused || self.owed_value(replica, side, name).is_some()
        };
        let gone: Vec<(FieldName, Parked)> = fields
            .iter()
            .filter(|(name, _)| waits(name))
            .map(|(name, reason)| {
                let value = self.state.fields.get(name).cloned().unwrap_or_default();
                let parked = Parked { reason: reason.clone(), value, at: self.now.at, cause: ParkCause::Missing };
                (name.clone(), parked)
            })
            .collect();
        if !back.is_empty() || !gone.is_empty() {
            let replica = self.replica_mut(connection)?;
            replica.parked.retain(|name, _| !back.contains(name));
            replica.parked.extend(gone);
            self.moved.insert(connection.clone());
        }
        Ok(())
    }

    /// A person wants everything parked here tried again. A write whose end nobody knows keeps its time: what is looked up
    /// before nothing can be under way any more says nothing, and a create would be made twice.
    pub(super) fn replay(&mut self, connection: &ConnectionId) -> Result<(), ReconcileError> {
        let now = self.now.at;
        let replica = self.replica_mut(connection)?;
        replica.parked.clear();
        replica.writes.clear();
        // A write that is under way, or whose end nobody knows, ends by its receipt or by a reading that is late enough. Looking
        // before that could take it for lost, and send it twice.
        if replica.intent.is_none() {
            replica.delivery.replay(now);
        }
        self.moved.insert(connection.clone());
        self.out.verdict = Verdict::Delivery;
        Ok(())
    }
}

/// How long to wait before a conditional write, where the object's stamp was so fresh at our look that a later edit can
/// share it: such an edit would pass the precondition unseen.
fn unsettled_second(replica: &Replica, looked_at: Millis, conditional: bool) -> Option<u64> {
    let version = replica.version.filter(|version| conditional && !version.is_fine())?;
    replica.link.linked()?;
    let safe_from = version.stamp.plus(i64::from(version.precision_ms));
    let settled = looked_at >= safe_from || mutant::off(Rule::SecondMustPass);
    // Between clocks that agree no stamp is further ahead than this. Where one is, the provider's clock was not known yet, and
    // by the next look it may be.
    (!settled).then(|| safe_from.0.abs_diff(looked_at.0).min(u64::from(version.precision_ms)))
}
