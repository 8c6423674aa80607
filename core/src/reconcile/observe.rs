//! Readings: does this one count, and what did its system change since we last knew?
//!
//! A reading is compared with that system's own baseline, never with the merged record: only what this system itself
//! changed is an edit.

use super::{FollowUp, Pass, ReconcileError, Verdict, merge::FieldEdit};
use crate::{
    conflict::Candidate,
    ids::{ConnectionId, ExternalId, FieldName},
    journal::{Heads, Origin},
    mutant::{self, Rule},
    policies::Merge,
    replica::{Intent, Link, Observation, Past, Replica, Source, StoredForm, Suspect},
    time::Clock,
    value::Value,
};

/// What a reading is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Worth {
    /// It shows the present.
    Counts,
    /// It may show the past; a read by id will tell.
    Confirm,
    /// It shows the past.
    Stale,
}

/// Whether a reading ends a write whose answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closes {
    /// It shows what became of the write.
    Yes,
    /// It came after the deadline but may have been begun before it, and the write may have taken effect behind it.
    PerhapsTooEarly,
    /// It does not.
    No,
}

impl Pass<'_> {
    pub(super) fn observe(
        &mut self,
        connection: &ConnectionId,
        observation: Observation,
    ) -> Result<(), ReconcileError> {
        let replica = self.replica(connection)?;
        if let Some(intent) = &replica.intent {
            match self.closes(replica, intent, &observation) {
                Closes::Yes => self.settle_uncertain(connection, &observation)?,
                // What is held is judged later as an ordinary reading, which would forget that the delete was refused.
                Closes::PerhapsTooEarly if self.delete_refused => return self.note_rest(connection),
                Closes::PerhapsTooEarly => {
                    self.note_rest(connection)?;
                    self.look_again(connection, observation.id.clone());
                    return self.hold(connection, observation);
                }
                Closes::No if self.delete_refused => return Ok(()),
                Closes::No if mutant::off(Rule::HoldWhileOpen) => {}
                Closes::No => return self.hold(connection, observation),
            }
        }
        match self.replica(connection)?.link.clone() {
            Link::Unlinked if observation.deleted => Ok(()),
            Link::Unlinked if self.may_show_the_lost_object(connection, &observation)? => {
                self.look_again(connection, observation.id);
                Ok(())
            }
            Link::Unlinked => self.link(connection, observation),
            Link::Detached { .. } => Ok(()),
            Link::Gone { id } if id != observation.id && !observation.aliases.contains(&id) => {
                self.out.verdict = Verdict::Stale;
                Ok(())
            }
            Link::Gone { .. } => self.observe_gone(connection, observation),
            Link::Linked { id } => self.observe_linked(connection, &id, observation),
        }
    }

    /// Whether a reading ends a write whose answer was lost: it is of the object that was written, and was begun when nothing
    /// could be under way any more. A create is not settled by the end of an object that was lost before.
    fn closes(&self, replica: &Replica, intent: &Intent, observation: &Observation) -> Closes {
        let of_this = match &replica.link {
            Link::Unlinked => !observation.deleted,
            link => link.external_id().is_some_and(|id| *id == observation.id || observation.aliases.contains(id)),
        };
        let waited = self.is_at_rest(replica) || mutant::off(Rule::DeadlineIsWaitedOut);
        let later = observation.begun > replica.settled || mutant::off(Rule::LostAnswerNeedsLaterRead);
        if !(intent.uncertain && of_this && waited && observation.source == Source::ById && later) {
            return Closes::No;
        }
        // What a create made proves by being there that nothing is to come.
        let linked = replica.link.linked().is_some();
        let begun_before_rest = intent.rested.is_none_or(|rested| observation.begun <= rested);
        let any_will_do = [Rule::LookFollowsDeadline, Rule::DeadlineIsWaitedOut, Rule::LostAnswerNeedsLaterRead];
        if linked && begun_before_rest && !any_will_do.into_iter().any(mutant::off) {
            Closes::PerhapsTooEarly
        } else {
            Closes::Yes
        }
    }

    /// Whether nothing of a write whose answer was lost can be under way any more.
    pub(super) fn is_at_rest(&self, replica: &Replica) -> bool {
        replica.delivery.due().is_none_or(|wait_until| wait_until <= self.now.at)
    }

    /// Notes that the deadline of a write whose answer was lost has passed: a reading that is begun from now on closes it.
    pub(super) fn note_rest(&mut self, connection: &ConnectionId) -> Result<(), ReconcileError> {
        let tick = self.now.tick;
        if let Some(intent) = &mut self.replica_mut(connection)?.intent {
            intent.rested.get_or_insert(tick);
        }
        Ok(())
    }

    /// A replica that has lost its object is linked again only by a read by id: a list may still show the one that is gone.
    fn may_show_the_lost_object(
        &self,
        connection: &ConnectionId,
        observation: &Observation,
    ) -> Result<bool, ReconcileError> {
        let replica = self.replica(connection)?;
        if mutant::off(Rule::RelinkNeedsReadById) {
            return Ok(false);
        }
        Ok(observation.begun <= replica.settled || replica.is_used() && observation.source == Source::List)
    }

    fn observe_linked(
        &mut self,
        connection: &ConnectionId,
        id: &ExternalId,
        observation: Observation,
    ) -> Result<(), ReconcileError> {
        if observation.id != *id && observation.aliases.contains(id) {
            self.merged_into(connection, &observation)?;
        } else if observation.id != *id {
            self.out.verdict = Verdict::Stale;
            return Ok(());
        }
        match self.worth(self.replica(connection)?, &observation) {
            Worth::Stale if self.is_overtaken_read_back(self.replica(connection)?, &observation) => {
                self.look_again(connection, observation.id);
                Ok(())
            }
            Worth::Stale => {
                self.out.verdict = Verdict::Stale;
                Ok(())
            }
            Worth::Confirm => {
                self.look_again(connection, observation.id);
                Ok(())
            }
            Worth::Counts if observation.deleted => self.observed_deleted(connection, &observation),
            Worth::Counts => self.adopt(connection, observation),
        }
    }

    /// The object was merged into another one, which holds values of its own, of any age. What differs from what the former
    /// one showed is an edit by whoever merged them; of what was written to that one nothing more will be seen.
    fn merged_into(&mut self, connection: &ConnectionId, observation: &Observation) -> Result<(), ReconcileError> {
        if !mutant::off(Rule::MergedIsAnother) {
            self.keep_what_waits(connection)?;
            let model = &self.plan.model;
            let replica = self.replica_mut(connection)?;
            replica.version = None;
            replica.baseline.retain(|name, _| observation.fields.contains_key(name));
            for (name, field) in &model.fields {
                if field.policy.merge() == Merge::Text {
                    replica.reflected.set(name, Heads::new());
                }
            }
        }
        self.replica_mut(connection)?.link = Link::Linked { id: observation.id.clone() };
        Ok(())
    }

    /// Whether the reading was to show what our last write met, but somebody's edit came in first: what slipped in before our write
    /// is still to be looked for.
    fn is_overtaken_read_back(&self, replica: &Replica, observation: &Observation) -> bool {
        let by_id = observation.source == Source::ById;
        let owed = by_id && !replica.written.is_empty() && observation.begun <= replica.settled;
        owed && !mutant::off(Rule::ReadBackIsRepeated)
    }

    fn observe_gone(&mut self, connection: &ConnectionId, observation: Observation) -> Result<(), ReconcileError> {
        if observation.deleted {
            let replica = self.replica(connection)?;
            let shows_the_end = observation.source == Source::ById && observation.begun > replica.settled;
            return if shows_the_end && replica.unread_end() {
                self.last_words(connection, observation)
            } else {
                Ok(())
            };
        }
        match self.worth(self.replica(connection)?, &observation) {
            Worth::Stale => {
                self.out.verdict = Verdict::Stale;
                Ok(())
            }
            Worth::Counts if self.shows_a_restore(connection, &observation)? => {
                self.observed_restored(connection, observation)
            }
            _ => {
                self.look_again(connection, observation.id);
                Ok(())
            }
        }
    }

    /// Whether a reading of a living object proves that it was deleted and is back: one that was begun before we knew of the
    /// delete may show how the object was, with an edit that is news and no restore.
    fn shows_a_restore(&self, connection: &ConnectionId, observation: &Observation) -> Result<bool, ReconcileError> {
        let later = observation.begun > self.replica(connection)?.settled || mutant::off(Rule::RestoreIsReadLater);
        Ok(observation.source == Source::ById && later)
    }

    /// Asks for a read by id, whose answer will count.
    pub(super) fn look_again(&mut self, connection: &ConnectionId, id: ExternalId) {
        self.out.verdict = self.out.verdict.or_changed(Verdict::Unconfirmed);
        self.out.follow_ups.insert(FollowUp::Read { connection: connection.clone(), id });
    }

    /// Keeps an observation until the open intent is closed.
    fn hold(&mut self, connection: &ConnectionId, observation: Observation) -> Result<(), ReconcileError> {
        let replica = self.replica_mut(connection)?;
        let repeats = |held: &Observation| Observation { begun: observation.begun, ..held.clone() } == observation;
        match replica.held.last_mut().filter(|held| repeats(held)) {
            // An object that rests while a write waits is shown again and again; that must not push out what was seen before.
            Some(held) => held.begun = held.begun.max(observation.begun),
            None => {
                if replica.held.len() == Replica::HELD_MAX && !mutant::off(Rule::HeldIsBounded) {
                    replica.held.remove(0);
                }
                replica.held.push(observation);
            }
        }
        self.out.verdict = Verdict::Held;
        Ok(())
    }

    fn worth(&self, replica: &Replica, observation: &Observation) -> Worth {
        let newer = match (&observation.version, &replica.version) {
            (Some(seen), Some(known)) if seen.stamp < known.stamp && !mutant::off(Rule::OlderIsStale) => {
                return Worth::Stale;
            }
            (Some(seen), Some(known)) => Some(seen.newer_than(known)),
            _ => None,
        };
        let fine = observation.version.is_some_and(|version| version.is_fine());
        let early = observation.begun <= replica.settled && !mutant::off(Rule::BegunBeforeMustBeNewer);
        if early && !(fine && newer == Some(true)) {
            return if self.shows_nothing_new(replica, observation) { Worth::Stale } else { Worth::Confirm };
        }
        match observation.source {
            Source::ById | Source::Answer => Worth::Counts,
            Source::List if observation.deleted && !mutant::off(Rule::DeleteNeedsReadById) => Worth::Confirm,
            Source::List if newer == Some(true) || self.shows_nothing_new(replica, observation) => Worth::Counts,
            Source::List if mutant::off(Rule::ListMustBeNewer) => Worth::Counts,
            Source::List => Worth::Confirm,
        }
    }

    fn shows_nothing_new(&self, replica: &Replica, observation: &Observation) -> bool {
        !observation.deleted
            && observation
                .fields
                .iter()
                .all(|(name, value)| replica.baseline.get(name).unwrap_or(&Value::Null).same_as(value))
    }

    /// Takes a reading that counts: what differs from the baseline is an edit by that system's users.
    pub(super) fn adopt(&mut self, connection: &ConnectionId, observation: Observation) -> Result<(), ReconcileError> {
        let by_id = observation.source == Source::ById;
        let slipped = if by_id { self.account_for_written(connection, &observation)? } else { Vec::new() };
        let edits = self.differences(connection, &observation)?;
        let edited = !edits.is_empty() || !slipped.is_empty();
        let origin = Origin::Connection(connection.clone());
        let actor = self.connection_actor(connection);
        // What slipped in before our write came before what the reading shows.
        let made_before = self.make_edits(&origin, &actor, slipped)?;
        let made = self.make_edits(&origin, &actor, edits)?;
        self.revive_for(made_before.into_keys().chain(made.keys().cloned()).collect())?;
        let tick = self.now.tick;
        let replica = self.replica(connection)?;
        let moves = replica.version != observation.version && observation.version.is_some();
        if edited || moves && !mutant::off(Rule::SameStillAdvances) {
            let replica = self.replica_mut(connection)?;
            for (name, hash) in made {
                replica.reflected.set(&name, vec![hash]);
            }
            replica.version = observation.version.or(replica.version);
            replica.looked = replica.looked.max(observation.begun);
            if edited {
                replica.settled = replica.settled.max(tick);
            }
        }
        if edited {
            self.moved.insert(connection.clone());
            self.out.verdict = Verdict::Changed;
        }
        Ok(())
    }

    /// Moves the baseline to what the reading shows and returns what its users edited.
    pub(super) fn differences(
        &mut self,
        connection: &ConnectionId,
        observation: &Observation,
    ) -> Result<Vec<FieldEdit>, ReconcileError> {
        let mut edits = Vec::new();
        for (name, value) in &observation.fields {
            let replica = self.replica(connection)?;
            let old = replica.baseline.get(name).cloned().unwrap_or_default();
            if old.same_as(value) {
                continue;
            }
            let form = match stored_form(replica, observation, name, value) {
                None if old.is_blank() => self.spelling_of(connection, name, value)?,
                form => form,
            };
            let known_elsewhere = self.shows_already(connection, name, value)?;
            let edit = if form.is_none() && !known_elsewhere && self.editable(name) {
                self.edit_by(connection, observation, name, old, value)?
            } else {
                None
            };
            let by_a_user = form.is_none();
            let replica = self.replica_mut(connection)?;
            replica.baseline.insert(name.clone(), value.clone());
            match form {
                Some(form) => replica.stored.insert(name.clone(), form),
                None if mutant::off(Rule::StoredFormEndsWithBaseline) => None,
                None => replica.stored.remove(name),
            };
            if by_a_user {
                replica.parked.remove(name);
                // A system that changes what we wrote there may be a machine that insists; elsewhere people edit.
                if replica.writes.remove(name).is_none() {
                    self.forget_writes(name);
                }
            }
            self.moved.insert(connection.clone());
            edits.extend(edit);
        }
        Ok(edits)
    }

    /// A person has edited the field: our writes of it do not alternate by themselves.
    pub(super) fn forget_writes(&mut self, name: &FieldName) {
        for (connection, replica) in &mut self.state.replicas {
            if replica.writes.remove(name).is_some() {
                self.out.touched.insert(connection.clone());
            }
        }
    }

    fn editable(&self, name: &FieldName) -> bool {
        self.plan.model.field(name).is_some_and(|field| !field.computed)
    }

    /// The record's value in this system's spelling, where the system showed none before, as at first sight.
    fn spelling_of(
        &self,
        connection: &ConnectionId,
        name: &FieldName,
        value: &Value,
    ) -> Result<Option<StoredForm>, ReconcileError> {
        let side = self.side(connection)?;
        let Some(Ok(sent)) = self.state.fields.get(name).map(|shown| side.mapping.project(name, shown)) else {
            return Ok(None);
        };
        let is_spelling = sent != *value && !value.is_blank() && sent.loose_fold() == value.loose_fold();
        let counts = is_spelling && !mutant::off(Rule::SpellingIsStoredForm);
        Ok(counts.then(|| StoredForm { sent, stored: value.clone() }))
    }

    /// Whether the record already holds the value, so that this system has merely come to agree.
    fn shows_already(
        &self,
        connection: &ConnectionId,
        name: &FieldName,
        value: &Value,
    ) -> Result<bool, ReconcileError> {
        let side = self.side(connection)?;
        let shown = self.state.fields.get(name).map(|shown| side.mapping.project(name, shown));
        Ok(matches!(shown, Some(Ok(shown)) if shown == *value) && !mutant::off(Rule::AgreeingIsNoEdit))
    }

    fn edit_by(
        &mut self,
        connection: &ConnectionId,
        observation: &Observation,
        name: &FieldName,
        old: Value,
        new: &Value,
    ) -> Result<Option<FieldEdit>, ReconcileError> {
        let reflected = self.replica(connection)?.reflected.of(name).clone();
        let clock = self.clock_of(observation, name);
        self.edit_at(&Origin::Connection(connection.clone()), name, old, new.clone(), clock, reflected)
    }

    /// An edit at heads that may be empty: a system that has seen nothing of the field meets whatever stands there now.
    /// `None` where the value was kept as a conflict instead.
    pub(super) fn edit_at(
        &mut self,
        origin: &Origin,
        name: &FieldName,
        old: Value,
        new: Value,
        clock: Clock,
        heads: Heads,
    ) -> Result<Option<FieldEdit>, ReconcileError> {
        let merge = self.plan.model.field(name).map(|field| field.policy.merge());
        if merge == Some(Merge::Text) && (heads.is_empty() || self.grew_apart(name, &heads)?) {
            return self.meet_as_wholes(origin, name, &new, clock);
        }
        let (heads, unseen) = if heads.is_empty() {
            let standing = self.standing(name)?.map(|candidate| candidate.op);
            (self.state.document.heads().clone(), standing.into_iter().collect())
        } else {
            (heads, Heads::new())
        };
        Ok(Some(FieldEdit { name: name.clone(), old, new, clock, heads, unseen }))
    }

    /// Whether somebody began the text that a writer with these heads, who saw none, would begin a second time: of two
    /// texts one would hide the other.
    fn grew_apart(&mut self, name: &FieldName, heads: &Heads) -> Result<bool, ReconcileError> {
        let Some(field) = self.plan.model.field(name) else { return Ok(false) };
        let began = *heads != *self.state.document.heads() && self.hashes_at(name, field, heads)?.is_empty();
        Ok(began && !self.state.document.visible(name, field)?.is_empty())
    }

    /// The best clock for a value that a reading shows.
    pub(super) fn clock_of(&self, observation: &Observation, name: &FieldName) -> Clock {
        match (observation.clocks.get(name), observation.version) {
            (Some(clock), _) => *clock,
            (None, Some(version)) => {
                Clock { at: version.stamp, precision_ms: version.precision_ms, kind: crate::time::ClockKind::Record }
            }
            (None, None) => Clock::arrival(self.now.at),
        }
    }

    /// Accounts for every value that may have been overwritten by our last write: one that the provider's history shows
    /// slipped in is an edit after all; one that was only glimpsed becomes an uncertain conflict.
    pub(super) fn account_for_written(
        &mut self,
        connection: &ConnectionId,
        observation: &Observation,
    ) -> Result<Vec<FieldEdit>, ReconcileError> {
        if self.replica(connection)?.written.is_empty() {
            return Ok(Vec::new());
        }
        let written = std::mem::take(&mut self.replica_mut(connection)?.written);
        let mut slipped = Vec::new();
        for (name, written) in &written {
            let shown = observation.fields.get(name).cloned().unwrap_or_default();
            let form = stored_form_of(&written.sent, observation, name, &shown);
            if let Some(form) = form.filter(|form| form.sent != form.stored) {
                let replica = self.replica_mut(connection)?;
                replica.baseline.insert(name.clone(), form.stored.clone());
                replica.stored.insert(name.clone(), form);
                self.moved.insert(connection.clone());
            }
            let history = observation.past.get(name).filter(|_| !mutant::off(Rule::SlippedInIsEdit));
            let past = slipped_in(&written.sent, &written.before, history.map_or(&[], Vec::as_slice));
            // What was written after this reading is no loss: the next one shows it.
            let is_later = |suspect: &&Suspect| {
                let versions = suspect.version.zip(observation.version);
                versions.is_some_and(|(seen, now)| seen.stamp >= now.stamp.plus(i64::from(now.precision_ms.max(1))))
            };
            for suspect in written.suspects.iter().filter(|suspect| !is_later(suspect)) {
                if suspect.value != shown && !past.iter().any(|past| past.value == suspect.value) {
                    self.keep_suspect(connection, name, &suspect.value, suspect.clock)?;
                }
            }
            for past in past {
                let clock = Clock::exact(past.at);
                let (old, new, heads) = (written.before.clone(), past.value.clone(), written.heads.clone());
                slipped.extend(self.edit_at(&Origin::Connection(connection.clone()), name, old, new, clock, heads)?);
            }
        }
        Ok(slipped)
    }

    /// Keeps what readings showed that waited for a write, and are not to be judged any more: nobody shows the object again.
    pub(super) fn keep_what_waits(&mut self, connection: &ConnectionId) -> Result<(), ReconcileError> {
        let replica = self.replica_mut(connection)?;
        let (held, written) = (std::mem::take(&mut replica.held), std::mem::take(&mut replica.written));
        for (name, written) in written {
            for Suspect { value, clock, .. } in written.suspects {
                self.keep_suspect(connection, &name, &value, clock)?;
            }
        }
        for observation in held {
            for (name, history) in &observation.past {
                let replica = self.replica(connection)?;
                let Some(sent) = replica.intent.as_ref().and_then(|intent| intent.fields.get(name)) else { continue };
                let before = replica.baseline.get(name).cloned().unwrap_or_default();
                for past in slipped_in(&sent.clone(), &before, history) {
                    self.keep_suspect(connection, name, &past.value, Clock::exact(past.at))?;
                }
            }
            for (name, value) in &observation.fields {
                let replica = self.replica(connection)?;
                let sent = replica.intent.as_ref().and_then(|intent| intent.fields.get(name));
                let ours = [sent, replica.baseline.get(name), self.state.fields.get(name)];
                if !value.is_blank() && !ours.into_iter().flatten().any(|ours| ours.loose_fold() == value.loose_fold())
                {
                    let clock = self.clock_of(&observation, name);
                    self.keep_suspect(connection, name, value, clock)?;
                }
            }
        }
        Ok(())
    }

    /// Keeps a value that was glimpsed while our write was under way and that nobody shows any more.
    fn keep_suspect(
        &mut self,
        connection: &ConnectionId,
        name: &FieldName,
        value: &Value,
        clock: Clock,
    ) -> Result<(), ReconcileError> {
        let winner = self.standing(name)?.filter(|_| !mutant::off(Rule::GlimpsedIsKept));
        let Some(winner) = winner else { return Ok(()) };
        let op = self.name_of_unseen(name, value, clock.at);
        let loser = Candidate { op, value: value.clone(), origin: Origin::Connection(connection.clone()), clock };
        self.keep_loser(name, &loser, &winner, "overwritten", true);
        Ok(())
    }
}

impl Verdict {
    /// `other`, unless the record has changed already.
    pub(super) fn or_changed(self, other: Self) -> Self {
        if self == Self::Changed { self } else { other }
    }
}

/// The provider's own transformation of a value that we sent, where that can be proved.
fn stored_form(replica: &Replica, observation: &Observation, name: &FieldName, shown: &Value) -> Option<StoredForm> {
    stored_form_of(&replica.written.get(name)?.sent, observation, name, shown)
}

/// The form in which the provider keeps what was sent, if it is one: a loose fold maps one to the other, or the provider
/// names us as its author.
pub(super) fn stored_form_of(
    sent: &Value,
    observation: &Observation,
    name: &FieldName,
    shown: &Value,
) -> Option<StoredForm> {
    let folds = shown.loose_fold() == sent.loose_fold();
    let ours = observation.past.get(name).and_then(|past| past.first()).is_some_and(|newest| newest.by_us);
    let proved = folds || ours || mutant::off(Rule::StoredFormNeedsProof);
    proved.then(|| StoredForm { sent: sent.clone(), stored: shown.clone() })
}

/// The users' values that the history shows between what we last saw and our own write, oldest first.
fn slipped_in<'a>(sent: &Value, before: &Value, history: &'a [Past]) -> Vec<&'a Past> {
    let is_form = |past: &Past, value: &Value| past.value.loose_fold() == value.loose_fold();
    let mut slipped: Vec<&Past> = history
        .iter()
        .skip_while(|past| !(past.by_us && is_form(past, sent)))
        .skip(1)
        .take_while(|past| !past.by_us && !is_form(past, before))
        .collect();
    slipped.reverse();
    slipped
}
