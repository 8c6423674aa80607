//! The end of a write. A receipt settles only the fields that were sent; everything else in it is an ordinary reading.

use super::{FollowUp, Pass, Receipt, ReconcileError, Stray, Verdict, observe::stored_form_of};
use crate::{
    ids::{ConnectionId, ExternalId, FieldName},
    journal::Heads,
    mutant::{self, Rule},
    outbox::Delivery,
    policies::Merge,
    remote::{Refusal, Remedy},
    replica::{Intent, IntentVerb, Link, Observation, ParkCause, Parked, Replica, Source, Suspect, Written},
    time::{Clock, Millis, Tick},
    value::Value,
};

impl Pass<'_> {
    pub(super) fn receipt(
        &mut self,
        connection: &ConnectionId,
        id: Tick,
        result: Receipt,
    ) -> Result<(), ReconcileError> {
        self.out.verdict = Verdict::Delivery;
        self.moved.insert(connection.clone());
        let no_intent = ReconcileError::NoIntent(id, connection.clone());
        if self.replica(connection)?.intent.as_ref().is_none_or(|intent| intent.id != id) {
            return Err(no_intent);
        }
        if let Receipt::Unknown { message, wait_until } = result {
            return self.lost_answer(connection, &message, wait_until);
        }
        let Some(intent) = self.replica_mut(connection)?.intent.take() else { return Err(no_intent) };
        match result {
            Receipt::Applied { id, answer, whole } => self.applied(connection, &intent, id, answer, whole)?,
            Receipt::Gone => self.gone(connection, &intent)?,
            Receipt::Stale => {
                let now = self.now.at;
                let replica = self.replica_mut(connection)?;
                replica.delivery = Delivery::Dirty { due: now, attempts: 0, error: None };
                self.read_back(connection)?;
            }
            Receipt::Exists { id, message } => self.exists(connection, id, &message)?,
            Receipt::Refused { fields, refusal } => self.refused(connection, &intent, &fields, &refusal)?,
            Receipt::NotApplied { error, jitter } => {
                let (now, tick) = (self.now.at, self.now.tick);
                let replica = self.replica_mut(connection)?;
                if intent.verb == IntentVerb::Create {
                    // Whoever looked found nothing: what a reading showed before is not there any more.
                    replica.settled = tick;
                }
                match &error.remedy {
                    // Where the provider does not say how long, its budget is what waits.
                    Remedy::Wait { after_ms, .. } => replica.delivery.wait(now, after_ms.unwrap_or(0)),
                    // The connection waits for a person, and every delivery to it with it: none of them has failed.
                    Remedy::Reauthorise => replica.delivery.wait(now, 0),
                    Remedy::Configure => replica.delivery.parked(now, &error.message),
                    Remedy::Busy { after_ms } => {
                        replica.delivery.failed(now, &error.message, jitter);
                        replica.delivery.wait(now, *after_ms);
                    }
                    _ => replica.delivery.failed(now, &error.message, jitter),
                }
            }
            Receipt::Unknown { .. } => {}
        }
        if matches!(self.replica(connection)?.delivery, Delivery::Parked { .. }) {
            self.given_up = Some(connection.clone());
        }
        self.release_held(connection, &intent)?;
        self.out.verdict = self.out.verdict.or_changed(Verdict::Delivery);
        Ok(())
    }

    fn applied(
        &mut self,
        connection: &ConnectionId,
        intent: &Intent,
        id: ExternalId,
        answer: Option<Box<Observation>>,
        whole: bool,
    ) -> Result<(), ReconcileError> {
        let tick = self.now.tick;
        if intent.verb == IntentVerb::Delete {
            let replica = self.replica_mut(connection)?;
            replica.link = Link::Gone { id };
            replica.settled = tick;
            replica.delivery = Delivery::Clean;
            // What its users changed since our last look shows only now.
            return self.read_back(connection);
        }
        // A provider that keeps a history is asked for it: only there a value shows that slipped in before our write.
        let history = self.side(connection)?.history && !mutant::off(Rule::HistoryIsReadBack);
        let clean = whole && self.replica(connection)?.held.is_empty() && !history;
        self.settle_sent(connection, intent)?;
        let replica = self.replica_mut(connection)?;
        replica.link = Link::Linked { id };
        replica.settled = tick;
        // What the write made of the version is not known: no reading from before it can be told to be newer.
        replica.version = replica.version.filter(|_| mutant::off(Rule::WriteForgetsVersion));
        // Whatever is still owed is marked again before the commit.
        replica.delivery = Delivery::Clean;
        if let Some(answer) = answer {
            self.adopt_answer(connection, intent, *answer, clean)?;
        }
        if !clean {
            self.read_back(connection)?;
        }
        Ok(())
    }

    /// The baseline becomes what was sent, at the heads at which the patch was computed, for the sent fields only.
    fn settle_sent(&mut self, connection: &ConnectionId, intent: &Intent) -> Result<(), ReconcileError> {
        let seen = self.seen_by(intent);
        let replica = self.replica_mut(connection)?;
        for (name, sent) in &intent.fields {
            let before = replica.baseline.insert(name.clone(), sent.clone()).unwrap_or_default();
            let heads = replica.reflected.of(name).clone();
            replica.reflected.set(name, seen.clone());
            replica.stored.remove(name);
            replica.written.insert(name.clone(), Written { sent: sent.clone(), before, heads, suspects: Vec::new() });
            let writes = replica.writes.entry(name.clone()).or_default();
            writes.push(sent.clone());
            if writes.len() > Replica::WRITES_MAX {
                writes.remove(0);
            }
        }
        Ok(())
    }

    /// What a system has seen that took a write: the heads at which its patch was computed.
    fn seen_by(&self, intent: &Intent) -> Heads {
        if mutant::off(Rule::WriteShowsItsHeads) { self.state.document.heads().clone() } else { intent.heads.clone() }
    }

    /// Reads the write's own answer: a sent field that came back in another form is the provider's transformation if a
    /// loose fold or the author proves it, else an edit by somebody whose write ours did not see.
    fn adopt_answer(
        &mut self,
        connection: &ConnectionId,
        intent: &Intent,
        mut answer: Observation,
        clean: bool,
    ) -> Result<(), ReconcileError> {
        answer.source = Source::Answer;
        answer.begun = self.now.tick;
        let origin = crate::journal::Origin::Connection(connection.clone());
        let mut edits = Vec::new();
        for (name, sent) in &intent.fields {
            let Some(shown) = answer.fields.remove(name) else { continue };
            if shown.same_as(sent) {
            } else if let Some(form) = stored_form_of(sent, &answer, name, &shown) {
                let replica = self.replica_mut(connection)?;
                replica.baseline.insert(name.clone(), shown);
                replica.stored.insert(name.clone(), form);
            } else {
                let (old, heads) = self.before_write(connection, name)?;
                let clock = self.clock_of(&answer, name);
                edits.extend(self.edit_at(&origin, name, old, shown.clone(), clock, heads)?);
                self.replica_mut(connection)?.baseline.insert(name.clone(), shown);
            }
            if clean {
                self.replica_mut(connection)?.written.remove(name);
            }
        }
        let actor = self.connection_actor(connection);
        for (name, hash) in self.make_edits(&origin, &actor, edits)? {
            self.replica_mut(connection)?.reflected.set(&name, vec![hash]);
        }
        if mutant::off(Rule::SettleOnlySent) {
            self.replica_mut(connection)?.baseline.append(&mut answer.fields);
        }
        self.adopt(connection, answer)
    }

    fn before_write(&self, connection: &ConnectionId, name: &FieldName) -> Result<(Value, Heads), ReconcileError> {
        let written = self.replica(connection)?.written.get(name);
        Ok(written.map(|written| (written.before.clone(), written.heads.clone())).unwrap_or_default())
    }

    fn gone(&mut self, connection: &ConnectionId, intent: &Intent) -> Result<(), ReconcileError> {
        let Some(id) = self.replica(connection)?.link.linked().cloned() else { return Ok(()) };
        if intent.verb == IntentVerb::Delete {
            let tick = self.now.tick;
            let replica = self.replica_mut(connection)?;
            replica.link = Link::Gone { id };
            replica.settled = tick;
            // Its own users deleted it, and saw what they deleted.
            replica.baseline.clear();
            return self.read_back(connection);
        }
        // Gone for a write can also mean "hidden from us": only a reading decides.
        let now = self.now.at;
        self.replica_mut(connection)?.delivery.failed(
            now,
            "the object is gone, or hidden from this connection's user",
            0,
        );
        self.read_back(connection)
    }

    fn exists(
        &mut self,
        connection: &ConnectionId,
        id: Option<ExternalId>,
        message: &str,
    ) -> Result<(), ReconcileError> {
        let now = self.now.at;
        let replica = self.replica_mut(connection)?;
        match id {
            Some(id) => {
                // The reading links the object, or shows that it belongs to another record.
                replica.delivery.failed(now, message, 0);
                self.out.follow_ups.insert(FollowUp::Read { connection: connection.clone(), id });
            }
            None => replica.delivery.parked(now, message),
        }
        Ok(())
    }

    /// The provider refused values: those fields are parked, the others are sent again. A field whose value has changed since it
    /// was sent is sent again too: nobody has refused the new value yet.
    fn refused(
        &mut self,
        connection: &ConnectionId,
        intent: &Intent,
        fields: &[FieldName],
        refusal: &Refusal,
    ) -> Result<(), ReconcileError> {
        let at = self.now.at;
        let reason = format!("{}: {}", refusal.code, refusal.message);
        let values = self.state.fields.clone();
        let sent: Vec<&FieldName> = fields.iter().filter(|name| intent.fields.contains_key(*name)).collect();
        let side = self.side(connection)?;
        let stands = |name: &&FieldName| {
            let now = values.get(*name).and_then(|value| side.mapping.project(name, value).ok());
            now.as_ref() == intent.fields.get(*name) && !mutant::off(Rule::RefusedIsParked)
        };
        let replica = self.replica_mut(connection)?;
        if sent.is_empty() {
            // No field that could be left out is at fault: the write as a whole cannot be made.
            replica.delivery.parked(at, &reason);
            return Ok(());
        }
        for name in sent.into_iter().filter(stands) {
            let value = values.get(name).cloned().unwrap_or_default();
            let cause = ParkCause::Refused;
            replica.parked.insert(name.clone(), Parked { reason: reason.clone(), value, at, cause });
        }
        replica.delivery = Delivery::Dirty { due: at, attempts: 0, error: Some(reason) };
        Ok(())
    }

    /// Nobody knows whether the write took effect: it stays open until a reading by id, begun after nothing can be under
    /// way any more, has shown what the object holds.
    fn lost_answer(
        &mut self,
        connection: &ConnectionId,
        message: &str,
        wait_until: Millis,
    ) -> Result<(), ReconcileError> {
        let tick = self.now.tick;
        let replica = self.replica_mut(connection)?;
        if let Some(intent) = &mut replica.intent {
            intent.uncertain = true;
        }
        // A reading that was begun before now may show the object before the write took effect.
        replica.settled = tick;
        replica.delivery = Delivery::Dirty { due: wait_until, attempts: 1, error: Some(message.to_owned()) };
        Ok(())
    }

    /// A reading by id came after a lost answer: sent fields that show a form of what was sent have been written.
    pub(super) fn settle_uncertain(
        &mut self,
        connection: &ConnectionId,
        observation: &Observation,
    ) -> Result<(), ReconcileError> {
        let tick = self.now.tick;
        let model = &self.plan.model;
        let Some(intent) = self.replica_mut(connection)?.intent.take() else { return Ok(()) };
        let seen = self.seen_by(&intent);
        // What was created for another record, or what the object was merged into meanwhile. Without our key in it, the object that
        // a create turned up may be another record's of ours.
        let of_another = observation.key.map_or(intent.verb == IntentVerb::Create, |key| key != self.state.id)
            || self.replica(connection)?.link.external_id().is_some_and(|id| *id != observation.id);
        let replica = self.replica_mut(connection)?;
        for (name, sent) in &intent.fields {
            if !observation.fields.contains_key(name) {
                continue;
            }
            let before = replica.baseline.get(name).cloned().unwrap_or_default();
            let merge = model.field(name).map_or(Merge::Register, |field| field.policy.merge());
            let effect = match was_glimpsed(&replica.held, observation, name, sent, &before) {
                true => Effect::Proved,
                false => effect_of(&intent, observation, name, &before, merge, of_another),
            };
            if effect == Effect::None {
                continue;
            }
            let heads = replica.reflected.of(name).clone();
            let written = Written { sent: sent.clone(), before, heads, suspects: Vec::new() };
            replica.written.insert(name.clone(), written);
            if effect == Effect::Proved {
                replica.reflected.set(name, seen.clone());
                replica.baseline.insert(name.clone(), sent.clone());
                replica.stored.remove(name);
            }
        }
        if intent.verb == IntentVerb::Create && matches!(replica.link, Link::Unlinked) {
            self.found(connection, observation)?;
        }
        let replica = self.replica_mut(connection)?;
        if let (IntentVerb::Delete, true, Some(id)) = (intent.verb, observation.deleted, replica.link.linked().cloned())
        {
            replica.link = Link::Gone { id };
        }
        replica.version = None;
        replica.settled = replica.settled.max(Tick(observation.begun.0.saturating_sub(1)));
        replica.looked = replica.looked.max(tick);
        self.moved.insert(connection.clone());
        self.release_held(connection, &intent)?;
        // What became of the readings that waited says nothing of the one that ended their waiting.
        self.out.verdict = self.out.verdict.or_changed(Verdict::Echo);
        Ok(())
    }

    /// Readings that waited for the write: their values of sent fields must be accounted for, and each is then judged like
    /// any reading begun before the write was closed.
    fn release_held(&mut self, connection: &ConnectionId, intent: &Intent) -> Result<(), ReconcileError> {
        let held = std::mem::take(&mut self.replica_mut(connection)?.held);
        if held.is_empty() {
            return Ok(());
        }
        for observation in &held {
            self.suspect(connection, intent, observation)?;
        }
        for observation in held {
            if self.is_of_another(connection, &observation)? {
                // It was held because it could have been what a create of ours made. That has ended: whose is it?
                let stray = Stray { connection: connection.clone(), id: observation.id, at: self.now.at };
                self.out.strays.insert(stray);
            } else {
                self.observe(connection, observation)?;
            }
        }
        self.read_back(connection)
    }

    /// A value of a sent field that is neither what stood there before nor what was sent may have been overwritten by us,
    /// unless the reading is no newer than our look before the write, or shows another object.
    fn suspect(
        &mut self,
        connection: &ConnectionId,
        intent: &Intent,
        observation: &Observation,
    ) -> Result<(), ReconcileError> {
        let of_another = self.replica(connection)?.link.external_id() != Some(&observation.id);
        let from_before = observation.version.zip(intent.expected).is_some_and(|(seen, looked)| {
            if seen.is_fine() { !seen.newer_than(&looked) } else { looked.newer_than(&seen) }
        });
        if of_another || from_before {
            return Ok(());
        }
        for name in intent.fields.keys() {
            let Some(shown) = observation.fields.get(name) else { continue };
            let clock: Clock = self.clock_of(observation, name);
            let Some(written) = self.replica_mut(connection)?.written.get_mut(name) else { continue };
            let fold = shown.loose_fold();
            let known = fold == written.sent.loose_fold() || fold == written.before.loose_fold();
            if !known && !written.suspects.iter().any(|suspect| suspect.value == *shown) {
                written.suspects.push(Suspect { value: shown.clone(), clock, version: observation.version });
            }
        }
        Ok(())
    }

    /// Whether a reading shows another object than the one that the replica is linked to; without a link nobody knows.
    fn is_of_another(&self, connection: &ConnectionId, observation: &Observation) -> Result<bool, ReconcileError> {
        Ok(match &self.replica(connection)?.link {
            Link::Linked { id } => *id != observation.id && !observation.aliases.contains(id),
            Link::Unlinked => true,
            Link::Gone { .. } | Link::Detached { .. } => false,
        })
    }

    pub(super) fn read_back(&mut self, connection: &ConnectionId) -> Result<(), ReconcileError> {
        let replica = self.replica(connection)?;
        let gone = replica.link.external_id().filter(|_| replica.unread_end());
        if let Some(id) = replica.link.linked().or(gone).cloned() {
            self.out.follow_ups.insert(FollowUp::Read { connection: connection.clone(), id });
        }
        Ok(())
    }
}

/// Whether a reading that waited shows what was sent: a field that shows again what stood there before was changed back.
fn was_glimpsed(held: &[Observation], now: &Observation, name: &FieldName, sent: &Value, before: &Value) -> bool {
    let shows = |held: &Observation| held.fields.get(name).is_some_and(|shown| shown.loose_fold() == sent.loose_fold());
    let changes = sent.loose_fold() != before.loose_fold();
    changes && held.iter().any(|held| held.id == now.id && shows(held)) && !mutant::off(Rule::GlimpsedIsProof)
}

/// Whether a write whose answer was lost took effect on a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// It did: the field shows a form of what was sent, or the provider's history holds our write.
    Proved,
    /// It did not.
    None,
    /// The field shows a third value, which may stand before our write or after it.
    Unknown,
}

fn effect_of(
    intent: &Intent,
    observation: &Observation,
    name: &FieldName,
    before: &Value,
    merge: Merge,
    of_another: bool,
) -> Effect {
    let Some(sent) = intent.fields.get(name) else { return Effect::None };
    let shown = observation.fields.get(name).unwrap_or(&Value::Null);
    let history = observation.past.get(name).filter(|_| !of_another || mutant::off(Rule::OlderWriteIsNoProof));
    if let (Some(history), Some(looked)) = (history, intent.expected) {
        // Only this write of ours can be newer than the look before it.
        let ours = |from: Millis| history.iter().any(|past| past.by_us && past.stamp >= from);
        if ours(looked.stamp.plus(i64::from(looked.precision_ms.max(1)))) {
            return Effect::Proved;
        }
        if !ours(looked.stamp) {
            return Effect::None;
        }
    }
    match shown {
        shown if shown.same_as(before) => Effect::None,
        shown if shown.loose_fold() == sent.loose_fold() => Effect::Proved,
        // Another object, restored or merged, with a write of ours that was not this one.
        _ if was_not_made(intent, observation, name, of_another) && !mutant::off(Rule::OlderWriteIsNoProof) => {
            Effect::None
        }
        Value::Text(shown) if merge == Merge::Text && was_written_on(sent, before, shown) => Effect::Proved,
        _ => Effect::Unknown,
    }
}

/// Whether what stands there was not made by this write: the object is another one, or the newest value of its history was
/// written by us before the create was even opened, by any clock's uncertainty.
fn was_not_made(intent: &Intent, observation: &Observation, name: &FieldName, of_another: bool) -> bool {
    let newest = observation.past.get(name).and_then(|history| history.first());
    let until = intent.opened.plus(-Clock::UNCERTAINTY_MS_MIN);
    let older = newest.is_some_and(|newest| newest.by_us && newest.at < until);
    of_another || intent.verb == IntentVerb::Create && older
}

/// Whether somebody went on writing on the text that was sent, and not on the one before. An edit leaves a head and a tail
/// of the text that it was made on, so of the two that one was written on which lacks less. Often neither lacks anything; then
/// what we had put in is looked for: where the edit would have cut it in two, characters only happen to be the same.
fn was_written_on(sent: &Value, before: &Value, shown: &str) -> bool {
    let Value::Text(sent) = sent else { return false };
    let before = if let Value::Text(before) = before { before } else { "" };
    let (added, edit) = (Cut::between(sent, before), Cut::between(sent, shown));
    let splits = edit.until > added.from && edit.from < added.until && !mutant::off(Rule::AddedTextIsWhole);
    edit.lacks() <= Cut::between(before, shown).lacks() && !splits
}

/// Where one edit of a text began and ended, in characters of that text. An edit that only inserted is a place, or one of several
/// where characters repeat: then it began behind where it ended.
struct Cut {
    from: usize,
    until: usize,
}

impl Cut {
    fn between(text: &str, edited: &str) -> Self {
        let same = |(a, b): &(char, char)| a == b;
        let head = text.chars().zip(edited.chars()).take_while(same).count();
        let tail = text.chars().rev().zip(edited.chars().rev()).take_while(same).count();
        Self { from: head, until: text.chars().count() - tail }
    }

    /// How many characters of the text the edit removed.
    fn lacks(&self) -> usize {
        self.until.saturating_sub(self.from)
    }
}
