//! Deletes and restores, and deletes that meet edits which the deleter had not seen.

use super::{Pass, ReconcileError, Verdict};
use crate::{
    conflict::Candidate,
    document::Actor,
    ids::{ConnectionId, ExternalId, FieldName},
    journal::{ChangeEntry, Hash, Ops, Origin},
    model::{DeleteEffect, DeleteRace},
    mutant::{self, Rule},
    replica::{Link, Observation, Replica},
    time::Clock,
    value::Value,
};

impl Pass<'_> {
    /// A system's user deleted the object.
    pub(super) fn observed_deleted(
        &mut self,
        connection: &ConnectionId,
        observation: &Observation,
    ) -> Result<(), ReconcileError> {
        let id = observation.id.clone();
        self.slipped_before_delete(connection, observation)?;
        let unseen = self.unseen_by(connection, observation)?;
        let effect = if self.delete_refused { DeleteEffect::Ignore } else { self.plan.model.deletes.effect };
        let race = self.plan.model.deletes.race;
        let outlives = effect == DeleteEffect::Ignore
            || effect == DeleteEffect::Propagate && race == DeleteRace::EditWins && !unseen.is_empty();
        // Of a record that is deleted already, the object is remembered: it may be restored.
        let comes_back = outlives && (self.state.deleted.is_none() || mutant::off(Rule::DeletedTwiceIsGone));
        if comes_back {
            // The record outlives the object, so its users' last edits are not theirs to take along.
            self.keep_last_edits(connection, observation)?;
        }
        let side = self.side(connection)?;
        let tick = self.now.tick;
        let fresh = super::unlinked(side);
        let replica = self.replica_mut(connection)?;
        let version = observation.version.or(replica.version);
        *replica = Replica { settled: tick, looked: observation.begun, version, ..fresh };
        replica.link = match (effect, comes_back) {
            (_, true) => Link::Unlinked,
            (DeleteEffect::Detach, _) => Link::Detached { id },
            _ => Link::Gone { id },
        };
        if comes_back {
            // The new object's stamps have nothing to do with the old one's.
            replica.version = None;
        }
        self.moved.insert(connection.clone());
        self.out.verdict = Verdict::Changed;
        if effect != DeleteEffect::Propagate || comes_back || self.state.deleted.is_some() {
            return Ok(());
        }
        let origin = Origin::Connection(connection.clone());
        let hash = self.delete(&origin, &self.connection_actor(connection))?;
        if let Some(hash) = hash {
            for name in unseen {
                self.keep_lost_to_delete(&name, hash, &origin)?;
            }
        }
        Ok(())
    }

    /// Makes the edits that the last values of a deleted object show.
    fn keep_last_edits(&mut self, connection: &ConnectionId, observation: &Observation) -> Result<(), ReconcileError> {
        if mutant::off(Rule::LastEditsOutlive) {
            return Ok(());
        }
        let last = last_values(observation.clone());
        let edits = self.differences(connection, &last)?;
        self.make_edits(&Origin::Connection(connection.clone()), &self.connection_actor(connection), edits)?;
        Ok(())
    }

    /// Our last write may have overwritten an edit that nobody has read yet; the delete must not take it along unseen.
    fn slipped_before_delete(
        &mut self,
        connection: &ConnectionId,
        observation: &Observation,
    ) -> Result<(), ReconcileError> {
        let slipped = self.account_for_written(connection, observation)?;
        let origin = Origin::Connection(connection.clone());
        let made = self.make_edits(&origin, &self.connection_actor(connection), slipped)?;
        self.revive_for(made.keys().cloned().collect())
    }

    /// The first reading of an object after we deleted it: what its users changed between our last look and the delete.
    pub(super) fn last_words(
        &mut self,
        connection: &ConnectionId,
        observation: Observation,
    ) -> Result<(), ReconcileError> {
        let observation = last_values(observation);
        let mut edits = self.account_for_written(connection, &observation)?;
        edits.extend(self.differences(connection, &observation)?);
        let side = self.side(connection)?;
        let replica = self.replica_mut(connection)?;
        *replica = Replica { link: replica.link.clone(), settled: replica.settled, ..super::unlinked(side) };
        let origin = Origin::Connection(connection.clone());
        let mut edited = Vec::new();
        for edit in edits {
            // One at a time: what slipped in before a write and what came after it may be of one field.
            edited.extend(self.make_edits(&origin, &self.connection_actor(connection), vec![edit])?.into_keys());
        }
        self.revive_for(edited)?;
        if self.state.deleted.is_none() && matches!(self.replica(connection)?.link, Link::Gone { .. }) {
            self.lose_link(connection)?;
        }
        self.moved.insert(connection.clone());
        Ok(())
    }

    /// Settles the race of these edits with the delete that they met, if there was one.
    pub(super) fn revive_for(&mut self, edited: Vec<FieldName>) -> Result<(), ReconcileError> {
        let meets = self.state.deleted.is_some() && !edited.is_empty() && !mutant::off(Rule::LateEditMeetsDelete);
        if meets { self.edit_meets_delete(&edited) } else { Ok(()) }
    }

    /// Forgets the object, so that another is made or found.
    pub(super) fn lose_link(&mut self, connection: &ConnectionId) -> Result<(), ReconcileError> {
        let side = self.side(connection)?;
        let tick = self.now.tick;
        *self.replica_mut(connection)? = Replica { settled: tick, ..super::unlinked(side) };
        self.moved.insert(connection.clone());
        Ok(())
    }

    /// The fields whose present value this system had not seen when it deleted the object. What the object held at its end
    /// was there to be seen, though the answer to our write may have been lost.
    fn unseen_by(&self, connection: &ConnectionId, end: &Observation) -> Result<Vec<FieldName>, ReconcileError> {
        let side = self.side(connection)?;
        let replica = self.replica(connection)?;
        let held = |name: &FieldName, owed: &Value| {
            end.fields.get(name).is_some_and(|held| !held.is_blank() && held.loose_fold() == owed.loose_fold())
        };
        let unseen = |name: &&FieldName| self.owed_value(replica, side, name).is_some_and(|owed| !held(name, &owed));
        Ok(side.mapping.fields().filter(unseen).filter(|_| !mutant::off(Rule::UnseenSurvivesDelete)).cloned().collect())
    }

    pub(super) fn keep_lost_to_delete(
        &mut self,
        name: &FieldName,
        delete: Hash,
        origin: &Origin,
    ) -> Result<(), ReconcileError> {
        let Some(loser) = self.standing(name)? else { return Ok(()) };
        let winner =
            Candidate { op: delete, value: Value::Null, origin: origin.clone(), clock: Clock::arrival(self.now.at) };
        self.keep_loser(name, &loser, &winner, "deleted", false);
        Ok(())
    }

    /// Marks the record as deleted; the systems that hold it are told by their deliveries.
    pub(super) fn delete(&mut self, origin: &Origin, actor: &Actor) -> Result<Option<Hash>, ReconcileError> {
        if self.state.deleted.is_some() {
            return Ok(None);
        }
        self.set_deleted(origin, actor, true)
    }

    /// Brings a deleted record back; where its objects are gone, new ones are created.
    pub(super) fn undelete(&mut self, origin: &Origin, actor: &Actor) -> Result<(), ReconcileError> {
        if self.state.deleted.is_none() {
            return Ok(());
        }
        self.set_deleted(origin, actor, false)?;
        let gone: Vec<ConnectionId> = self
            .state
            .replicas
            .iter()
            .filter(|(_, replica)| matches!(replica.link, Link::Gone { .. }) && !replica.unread_end())
            .map(|(connection, _)| connection.clone())
            .collect();
        gone.iter().try_for_each(|connection| self.lose_link(connection))
    }

    fn set_deleted(&mut self, origin: &Origin, actor: &Actor, deleted: bool) -> Result<Option<Hash>, ReconcileError> {
        let since = deleted.then_some(self.now.at);
        let hash = self.state.document.set_deleted(actor, since, self.now.at)?;
        self.state.deleted = since;
        if let Some(hash) = hash {
            self.record(ChangeEntry { hash, at: self.now.at, origin: origin.clone(), ops: Ops::Deleted(deleted) });
        }
        Ok(hash)
    }

    /// The provider shows an object again that was deleted: somebody restored it there.
    pub(super) fn observed_restored(
        &mut self,
        connection: &ConnectionId,
        observation: Observation,
    ) -> Result<(), ReconcileError> {
        if mutant::off(Rule::RestoreCounts) {
            return Ok(());
        }
        let origin = Origin::Connection(connection.clone());
        let actor = self.connection_actor(connection);
        self.undelete(&origin, &actor)?;
        let side = self.side(connection)?;
        *self.replica_mut(connection)? = super::unlinked(side);
        self.link(connection, observation)
    }

    /// An edit arrived for a record that was deleted meanwhile by somebody who had not seen it.
    pub(super) fn edit_meets_delete(&mut self, edited: &[FieldName]) -> Result<(), ReconcileError> {
        let Some(deletion) = self.state.journal.iter().rev().find(|entry| entry.ops == Ops::Deleted(true)) else {
            return Ok(());
        };
        let (delete, origin) = (deletion.hash, deletion.origin.clone());
        match self.plan.model.deletes.race {
            DeleteRace::EditWins => {
                let service = self.service_actor();
                self.undelete(&Origin::Service, &service)
            }
            DeleteRace::DeleteWins => {
                for name in edited {
                    self.keep_lost_to_delete(name, delete, &origin)?;
                }
                Ok(())
            }
        }
    }

    /// The linked object was merged into another object of its system. The survivor belongs to another record, so this
    /// record is left without a copy there; nothing is deleted anywhere.
    pub(super) fn merged(&mut self, connection: &ConnectionId, into: &ExternalId) -> Result<(), ReconcileError> {
        let side = self.side(connection)?;
        let tick = self.now.tick;
        let known = self.replica(connection)?.link.external_id().filter(|_| !mutant::off(Rule::MergedLetsGo));
        let Some(id) = known.cloned().filter(|id| id != into) else { return Ok(()) };
        self.keep_what_waits(connection)?;
        *self.replica_mut(connection)? =
            Replica { link: Link::Detached { id }, settled: tick, ..super::unlinked(side) };
        self.moved.insert(connection.clone());
        self.out.verdict = Verdict::Changed;
        Ok(())
    }
}

/// What a deleted object held last. Blanks say nothing here, because providers empty what they delete.
fn last_values(mut end: Observation) -> Observation {
    end.fields.retain(|_, value| !value.is_blank() || mutant::off(Rule::BlankEndSaysNothing));
    end
}
