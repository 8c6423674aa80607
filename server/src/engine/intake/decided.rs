//! What people decide about which object is which record.

use syncline_core::{
    identity::{Deed, Operation, Undone},
    ids::{ConnectionId, ExternalId, RecordId},
    reconcile::{
        Now, Outcome, ReconcileError,
        identity::{self, LinkUndone, MergeUndone, Refusal, SplitUndone},
    },
    record::RecordState,
    replica::Observation,
};

use super::working::Working;
use crate::store::ExternalRef;

/// How many merges are followed from one record to the next. Nobody merges so often; more is a circle.
pub(in crate::engine) const MERGES_MAX: usize = 32;

/// One decision.
#[derive(Clone, Debug)]
pub enum Decision {
    /// The record is this object, which was just read by id.
    Link {
        /// The record.
        record: RecordId,
        /// In which connection.
        connection: ConnectionId,
        /// The object.
        observation: Box<Observation>,
    },
    /// The record lets go of its object.
    Unlink {
        /// The record.
        record: RecordId,
        /// In which connection.
        connection: ConnectionId,
    },
    /// Two records are one.
    Merge {
        /// The one that stays.
        survivor: RecordId,
        /// The one that goes into it.
        absorbed: RecordId,
    },
    /// The record's object is a record of its own.
    Split {
        /// The record.
        record: RecordId,
        /// In which connection.
        connection: ConnectionId,
    },
    /// The object, which was just read by id, is a record of its own, whatever it matches.
    Separate {
        /// In which connection.
        connection: ConnectionId,
        /// The object.
        observation: Box<Observation>,
    },
    /// An operation is taken back.
    Undo(Box<Operation>),
}

impl Decision {
    /// The records that it concerns.
    pub(super) fn records(&self) -> Vec<RecordId> {
        match self {
            Self::Link { record, .. } | Self::Unlink { record, .. } | Self::Split { record, .. } => vec![*record],
            Self::Merge { survivor, absorbed } => vec![*survivor, *absorbed],
            Self::Separate { .. } => Vec::new(),
            Self::Undo(operation) => operation.other().into_iter().chain([operation.record]).collect(),
        }
    }

    /// The object that it names, if it was just read.
    pub(in crate::engine) fn object(&self) -> Option<(&ConnectionId, &ExternalId)> {
        match self {
            Self::Link { connection, observation, .. } | Self::Separate { connection, observation } => {
                Some((connection, &observation.id))
            }
            _ => None,
        }
    }
}

impl Working<'_> {
    /// Carries a decision out. The record that it leaves is that of which it was asked, or the one that it makes.
    pub(super) fn decided(
        &mut self,
        by: &str,
        decision: Decision,
        now: Now,
    ) -> Result<Option<RecordId>, ReconcileError> {
        match decision {
            Decision::Link { record, connection, observation } => {
                self.link_by_hand(by, record, &connection, *observation, now)?;
                Ok(Some(record))
            }
            Decision::Unlink { record, connection } => {
                self.unlink_by_hand(by, record, &connection, now)?;
                Ok(Some(record))
            }
            Decision::Merge { survivor, absorbed } => {
                self.merge_records(by, survivor, absorbed, now)?;
                Ok(Some(survivor))
            }
            Decision::Split { record, connection } => self.split_record(by, record, &connection, now),
            Decision::Separate { connection, observation } => {
                self.refuse_held(&connection, &observation.id, None)?;
                self.create_from(&connection, &observation, now).map(Some)
            }
            Decision::Undo(operation) => {
                let record = operation.record;
                self.undo(by, *operation, now)?;
                Ok(Some(record))
            }
        }
    }

    /// The record that stands for this one: itself, or the one that it was merged into.
    pub(super) fn survivor(&self, record: RecordId) -> RecordId {
        survivor_among(record, |id| self.works.get(id).map(|work| &work.commit.state))
    }

    fn link_by_hand(
        &mut self,
        by: &str,
        record: RecordId,
        connection: &ConnectionId,
        observation: Observation,
        now: Now,
    ) -> Result<(), ReconcileError> {
        let id = observation.id.clone();
        self.refuse_held(connection, &id, Some(record))?;
        let plan = self.plan;
        let deed = self.change(record, |state| identity::link(plan, state, connection, observation, now))?;
        self.routes.linked(connection, &id, record);
        let Some(deed) = deed else { return Ok(()) };
        let object = self.object(connection, &id);
        self.note(record, |commit| commit.maybe_same.push(object));
        self.keep_operation(by, record, deed, now);
        Ok(())
    }

    fn unlink_by_hand(
        &mut self,
        by: &str,
        record: RecordId,
        connection: &ConnectionId,
        now: Now,
    ) -> Result<(), ReconcileError> {
        let plan = self.plan;
        let deed = self.change(record, |state| identity::unlink(plan, state, connection, now))?;
        let Some(deed) = deed else { return Ok(()) };
        if let Deed::Unlink { object, .. } = &deed {
            let object = self.object(connection, object);
            self.note(record, |commit| commit.not_same.push(object));
        }
        self.keep_operation(by, record, deed, now);
        Ok(())
    }

    fn merge_records(
        &mut self,
        by: &str,
        survivor: RecordId,
        absorbed: RecordId,
        now: Now,
    ) -> Result<(), ReconcileError> {
        if self.works.get(&absorbed).is_some_and(|work| work.commit.state.merged_into == Some(survivor)) {
            return Ok(());
        }
        let plan = self.plan;
        let deed = self.change_both(survivor, absorbed, |survivor, absorbed| {
            let united = identity::merge(plan, survivor, absorbed, by, now)?;
            Ok((united.survivor, united.absorbed, united.deed))
        })?;
        if let Some(deed) = deed {
            self.keep_operation(by, survivor, deed, now);
        }
        Ok(())
    }

    fn split_record(
        &mut self,
        by: &str,
        record: RecordId,
        connection: &ConnectionId,
        now: Now,
    ) -> Result<Option<RecordId>, ReconcileError> {
        let (plan, mut parted) = (self.plan, None);
        let into = RecordId::created(&plan.tenant, &plan.model.name, &format!("{record}/split/{}", now.tick.0));
        let deed = self.change(record, |state| {
            let split = identity::split(plan, state, connection, into, now)?;
            parted = Some((split.state, split.outcome));
            Ok((split.left, Some(split.deed)))
        })?;
        let (Some(deed), Some((state, outcome))) = (deed, parted) else { return Ok(None) };
        if let Deed::Split { object, .. } = &deed {
            self.release(record, connection, object);
            self.routes.linked(connection, object, into);
            let object = self.object(connection, object);
            self.note(record, |commit| commit.not_same.push(object));
        }
        self.insert(state, false, outcome);
        self.keep_operation(by, record, deed, now);
        Ok(Some(into))
    }

    fn undo(&mut self, by: &str, mut operation: Operation, now: Now) -> Result<(), ReconcileError> {
        let (plan, record) = (self.plan, operation.record);
        match &operation.deed {
            Deed::Link { connection, object, former, changed } => {
                let undone = LinkUndone { connection, object, former, changed };
                self.change(record, |state| Ok((identity::undo_link(plan, state, by, undone, now)?, None::<()>)))?;
                let object = self.object(connection, object);
                self.note(record, |commit| commit.not_same.push(object));
            }
            Deed::Unlink { connection, object, former } => {
                self.change(record, |state| {
                    Ok((identity::undo_unlink(plan, state, connection, object, former, now)?, None::<()>))
                })?;
                let object = self.object(connection, object);
                self.note(record, |commit| commit.maybe_same.push(object));
            }
            Deed::Merge { absorbed, moved, set_aside, epoch, changed } => {
                let merge = MergeUndone { at: operation.at, moved, set_aside, epoch: *epoch, changed };
                self.change_both(record, *absorbed, |survivor, absorbed| {
                    let (left, back) = identity::undo_merge(plan, survivor, absorbed, by, merge, now)?;
                    Ok((left, back, ()))
                })?;
                for (connection, moved) in moved {
                    self.release(record, connection, &moved.object);
                }
            }
            Deed::Split { into, connection, object, former, fields } => {
                let split = SplitUndone { connection, object, former, fields };
                self.change_both(record, *into, |survivor, absorbed| {
                    let united = identity::undo_split(plan, survivor, absorbed, by, split, now)?;
                    Ok((united.survivor, united.absorbed, ()))
                })?;
                let object = self.object(connection, object);
                self.note(record, |commit| commit.maybe_same.push(object));
            }
        }
        operation.undone = Some(Undone { by: by.to_owned(), at: now.at });
        self.operations.push(operation);
        Ok(())
    }

    /// Refuses an object that is another record's, and takes it from one that has let go of it.
    fn refuse_held(
        &mut self,
        connection: &ConnectionId,
        object: &ExternalId,
        by: Option<RecordId>,
    ) -> Result<(), ReconcileError> {
        let Some(holder) = self.routes.known(connection, object).filter(|holder| Some(*holder) != by) else {
            return Ok(());
        };
        let replica = self.works.get(&holder).and_then(|work| work.commit.state.replicas.get(connection));
        if replica.is_some_and(|replica| replica.link.linked() == Some(object)) {
            return Err(Refusal::Held { connection: connection.clone(), object: object.clone(), holder }.into());
        }
        self.release(holder, connection, object);
        Ok(())
    }

    /// The object is no longer found as this record's, though its replica may remember it.
    fn release(&mut self, holder: RecordId, connection: &ConnectionId, object: &ExternalId) {
        let object = self.object(connection, object);
        self.note(holder, |commit| commit.given_up.push(object));
    }

    fn object(&self, connection: &ConnectionId, id: &ExternalId) -> ExternalRef {
        let object = self.plan.sides.get(connection).map_or_else(|| "".into(), |side| side.object.clone());
        ExternalRef { connection: connection.clone(), object, id: id.clone() }
    }

    fn keep_operation(&mut self, by: &str, record: RecordId, deed: Deed, now: Now) {
        let model = self.plan.model.name.clone();
        let (id, by) = (now.tick.into(), by.to_owned());
        self.operations.push(Operation { id, by, at: now.at, model, record, deed, undone: None });
    }

    /// Changes one record.
    fn change<T>(
        &mut self,
        record: RecordId,
        change: impl FnOnce(&mut RecordState) -> Result<(Outcome, Option<T>), ReconcileError>,
    ) -> Result<Option<T>, ReconcileError> {
        let Some(work) = self.works.get_mut(&record) else { return Ok(None) };
        let before = work.commit.state.fields.clone();
        let (outcome, done) = change(&mut work.commit.state)?;
        self.changed(record, false, outcome, &before);
        Ok(done)
    }

    /// Changes two records at once.
    fn change_both<T>(
        &mut self,
        survivor: RecordId,
        absorbed: RecordId,
        change: impl FnOnce(&mut RecordState, &mut RecordState) -> Result<(Outcome, Outcome, T), ReconcileError>,
    ) -> Result<Option<T>, ReconcileError> {
        if survivor == absorbed {
            return Err(Refusal::Same(survivor).into());
        }
        let (Some(mut first), Some(mut second)) = (self.works.remove(&survivor), self.works.remove(&absorbed)) else {
            return Ok(None);
        };
        let before = [first.commit.state.fields.clone(), second.commit.state.fields.clone()];
        let changed = change(&mut first.commit.state, &mut second.commit.state);
        self.works.insert(survivor, first);
        self.works.insert(absorbed, second);
        let (left, right, done) = changed?;
        self.changed(survivor, false, left, &before[0]);
        self.changed(absorbed, false, right, &before[1]);
        Ok(Some(done))
    }
}

/// Follows merges from a record to the one that stands for it, as far as these states tell.
pub(super) fn survivor_among<'a>(
    record: RecordId,
    state_of: impl Fn(&RecordId) -> Option<&'a RecordState>,
) -> RecordId {
    let mut standing = record;
    for _ in 0..MERGES_MAX {
        match state_of(&standing).and_then(|state| state.merged_into) {
            Some(into) => standing = into,
            None => break,
        }
    }
    standing
}
