//! What a person decides about which object is which record, one record at a time: linking, unlinking, and taking both back.
//! Records that become one, or two, are in `unite` and `part`.
//!
//! Each function changes nothing where it says so by `None`: what was asked for is there already.

use super::{ClientEdit, FollowUp, Now, Outcome, Pass, ReconcileError, Verdict, receive::merged_value};
pub use super::{
    part::{Parted, split},
    unite::{MergeUndone, SplitUndone, United, merge, undo_merge, undo_split},
};
use crate::{
    identity::{Changed, Changes, Deed, Former},
    ids::{ConnectionId, ExternalId, FieldName, RecordId},
    outbox::Delivery,
    plan::SyncPlan,
    policies::Merge,
    record::RecordState,
    replica::{Link, Observation, Reflected, Replica},
    value::{Fields, Value},
};

/// Why a record's identity cannot be changed so now; each says what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The record was merged into another one.
    #[error("record {record} was merged into record {into}: name that one, or undo the merge first")]
    Merged {
        /// The record.
        record: RecordId,
        /// The record that it went into.
        into: RecordId,
    },
    /// The record is deleted.
    #[error("record {0} is deleted: undelete it first")]
    Deleted(RecordId),
    /// Both records are the same.
    #[error("record {0} cannot be merged with itself: name two records")]
    Same(RecordId),
    /// A write is on its way, or nobody knows whether it arrived.
    #[error(
        "a write of record {record} to connection `{connection}` is under way, or nobody knows yet how it ended: repeat this once \
         it has"
    )]
    Busy {
        /// The record.
        record: RecordId,
        /// Where.
        connection: ConnectionId,
    },
    /// The record has another object there.
    #[error(
        "record {record} is linked to object {object} of connection `{connection}`: unlink that first, or merge the records"
    )]
    Linked {
        /// The record.
        record: RecordId,
        /// Where.
        connection: ConnectionId,
        /// The object that it is linked to.
        object: ExternalId,
    },
    /// The record has no object there.
    #[error("record {record} is linked to no object of connection `{connection}`: look at its links")]
    NotLinked {
        /// The record.
        record: RecordId,
        /// Where.
        connection: ConnectionId,
    },
    /// The object belongs to another record.
    #[error(
        "object {object} of connection `{connection}` belongs to record {holder}: two records cannot share one object, so unlink it \
         there, or merge the two records"
    )]
    Held {
        /// The connection.
        connection: ConnectionId,
        /// The object.
        object: ExternalId,
        /// The record that it belongs to.
        holder: RecordId,
    },
    /// The object is deleted there.
    #[error("object {object} of connection `{connection}` is deleted there: restore it, or link another one")]
    ObjectDeleted {
        /// The connection.
        connection: ConnectionId,
        /// The object.
        object: ExternalId,
    },
    /// What the operation did has been changed since.
    #[error("{what} since: undo that first")]
    Superseded {
        /// What happened since, in words.
        what: String,
    },
}

/// Links a record to an object that was just read by id. Values that differ are edits that did not see the record's, as at first
/// link: the fields' policies choose, and what loses is kept.
pub fn link(
    plan: &SyncPlan,
    state: &mut RecordState,
    connection: &ConnectionId,
    observation: Observation,
    now: Now,
) -> Result<(Outcome, Option<Deed>), ReconcileError> {
    stands(state)?;
    let mut pass = Pass::new(plan, state, now);
    pass.join(connection)?;
    let replica = pass.at_rest(connection)?;
    match replica.link.linked() {
        Some(id) if *id == observation.id || observation.aliases.contains(id) => return Ok((Outcome::new(), None)),
        Some(id) => {
            return Err(
                Refusal::Linked { record: pass.state.id, connection: connection.clone(), object: id.clone() }.into()
            );
        }
        None if observation.deleted => {
            let (connection, object) = (connection.clone(), observation.id);
            return Err(Refusal::ObjectDeleted { connection, object }.into());
        }
        None => {}
    }
    let former = Box::new(Former { epoch: pass.state.epoch, replica: replica.clone() });
    let (stood, object) = (pass.state.fields.clone(), observation.id.clone());
    let side = pass.side(connection)?;
    *pass.replica_mut(connection)? = super::unlinked(side);
    pass.link(connection, observation)?;
    let changed = pass.changes_since(&stood)?;
    let deed = Deed::Link { connection: connection.clone(), object, former, changed };
    Ok((pass.finish()?, Some(deed)))
}

/// Takes a link back: the fields that the object's values changed get back what they held, unless somebody edited them since; the
/// object keeps what it shows.
pub fn undo_link(
    plan: &SyncPlan,
    state: &mut RecordState,
    by: &str,
    deed: LinkUndone<'_>,
    now: Now,
) -> Result<Outcome, ReconcileError> {
    stands(state)?;
    let LinkUndone { connection, object, former, changed } = deed;
    let mut pass = Pass::new(plan, state, now);
    let replica = pass.at_rest(connection)?;
    if replica.link.linked() != Some(object) {
        return Err(pass.superseded(connection));
    }
    pass.take_back(by, former.epoch, changed)?;
    pass.bring_back(connection, former)?;
    pass.finish()
}

/// A link that is taken back.
#[derive(Clone, Copy, Debug)]
pub struct LinkUndone<'a> {
    /// In which connection.
    pub connection: &'a ConnectionId,
    /// The object.
    pub object: &'a ExternalId,
    /// The replica before.
    pub former: &'a Former,
    /// The fields that the link changed.
    pub changed: &'a Changes,
}

/// Lets go of an object. Nothing is deleted or written there, and the record gets no other object there by itself.
pub fn unlink(
    plan: &SyncPlan,
    state: &mut RecordState,
    connection: &ConnectionId,
    now: Now,
) -> Result<(Outcome, Option<Deed>), ReconcileError> {
    stands(state)?;
    let mut pass = Pass::new(plan, state, now);
    pass.join(connection)?;
    if matches!(pass.replica(connection)?.link, Link::Detached { .. }) {
        return Ok((Outcome::new(), None));
    }
    let (object, former) = pass.let_go(connection)?;
    let deed = Deed::Unlink { connection: connection.clone(), object, former: Box::new(former) };
    Ok((pass.finish()?, Some(deed)))
}

/// Links the record again to an object that it had let go of, as if it had been linked all along: what either side changed
/// meanwhile is an edit against what that side showed last.
pub fn undo_unlink(
    plan: &SyncPlan,
    state: &mut RecordState,
    connection: &ConnectionId,
    object: &ExternalId,
    former: &Former,
    now: Now,
) -> Result<Outcome, ReconcileError> {
    stands(state)?;
    let mut pass = Pass::new(plan, state, now);
    match &pass.at_rest(connection)?.link {
        Link::Detached { id } if id == object => {}
        _ => return Err(pass.superseded(connection)),
    }
    pass.bring_back(connection, former)?;
    pass.finish()
}

/// Refuses a record that is not there any more.
pub(super) fn stands(state: &RecordState) -> Result<(), Refusal> {
    match (state.merged_into, state.deleted) {
        (Some(into), _) => Err(Refusal::Merged { record: state.id, into }),
        (None, Some(_)) => Err(Refusal::Deleted(state.id)),
        (None, None) => Ok(()),
    }
}

impl Pass<'_> {
    /// A connection that joined the sync after the record was created has no replica yet.
    fn join(&mut self, connection: &ConnectionId) -> Result<(), ReconcileError> {
        let side = self.side(connection)?;
        self.state.replicas.entry(connection.clone()).or_insert_with(|| super::unlinked(side));
        Ok(())
    }

    /// The replica, where no write is under way.
    pub(super) fn at_rest(&self, connection: &ConnectionId) -> Result<&Replica, ReconcileError> {
        let replica = self.replica(connection)?;
        if replica.intent.is_some() {
            return Err(Refusal::Busy { record: self.state.id, connection: connection.clone() }.into());
        }
        Ok(replica)
    }

    fn superseded(&self, connection: &ConnectionId) -> ReconcileError {
        let what = format!("record {} was linked or unlinked in connection `{connection}`", self.state.id);
        Refusal::Superseded { what }.into()
    }

    /// Cuts the link; the replica as it was.
    pub(super) fn let_go(&mut self, connection: &ConnectionId) -> Result<(ExternalId, Former), ReconcileError> {
        let replica = self.at_rest(connection)?.clone();
        let Some(id) = replica.link.linked().cloned() else {
            return Err(Refusal::NotLinked { record: self.state.id, connection: connection.clone() }.into());
        };
        let (side, tick) = (self.side(connection)?, self.now.tick);
        let link = Link::Detached { id: id.clone() };
        *self.replica_mut(connection)? = Replica { link, settled: tick, ..super::unlinked(side) };
        self.moved.insert(connection.clone());
        self.out.verdict = Verdict::Changed;
        Ok((id, Former { epoch: self.state.epoch, replica }))
    }

    /// Puts a replica back as it was, and has its object read.
    pub(super) fn bring_back(&mut self, connection: &ConnectionId, former: &Former) -> Result<(), ReconcileError> {
        let tick = self.now.tick;
        let mut replica = former.replica.clone();
        if former.epoch != self.state.epoch {
            replica.forget_heads();
        }
        replica.settled = tick;
        replica.delivery = Delivery::Clean;
        replica.writes.clear();
        if let Some(id) = replica.link.linked().cloned() {
            self.out.follow_ups.insert(FollowUp::Read { connection: connection.clone(), id });
        }
        *self.replica_mut(connection)? = replica;
        self.moved.insert(connection.clone());
        self.out.verdict = Verdict::Changed;
        Ok(())
    }

    /// The fields that differ from what stood, each with the op that stands now.
    pub(super) fn changes_since(&mut self, stood: &Fields) -> Result<Changes, ReconcileError> {
        if self.written.is_empty() {
            return Ok(Changes::new());
        }
        self.state.fields = self.state.document.fields(&self.plan.model)?;
        let mut changes = Changes::new();
        for name in self.written.clone() {
            let value = |fields: &Fields| fields.get(&name).cloned().unwrap_or_default();
            let (before, after) = (value(stood), value(&self.state.fields));
            if before != after {
                let op = self.standing(&name)?.map(|standing| standing.op);
                changes.insert(name, Changed { before, after, op });
            }
        }
        Ok(changes)
    }

    /// Gives fields back what they held before an operation changed them. What somebody edited since stays; of sets, texts and
    /// counters only what the operation brought is taken out.
    pub(super) fn take_back(&mut self, by: &str, epoch: u32, changes: &Changes) -> Result<(), ReconcileError> {
        let mut fields = Fields::new();
        for (name, changed) in changes {
            let Some(field) = self.plan.model.field(name) else { continue };
            let value = if field.policy.merge() != Merge::Register {
                let standing = self.state.fields.get(name).cloned().unwrap_or_default();
                merged_value(field, &changed.after, &changed.before, &standing)?
            } else if self.is_untouched(name, epoch, changed)? {
                changed.before.clone()
            } else {
                continue;
            };
            if !(field.required && value.is_blank()) {
                fields.insert(name.clone(), value);
            }
        }
        let edit = ClientEdit { principal: by.to_owned(), fields, delete: None, settles: false };
        self.client_edit(&edit)
    }

    /// Whether nobody has edited the field since the operation.
    fn is_untouched(&mut self, name: &FieldName, epoch: u32, changed: &Changed) -> Result<bool, ReconcileError> {
        if epoch != self.state.epoch || changed.op.is_none() {
            // The op is gone with its epoch; the value has to tell.
            let standing = self.state.fields.get(name).unwrap_or(&Value::Null);
            return Ok(standing.same_as(&changed.after));
        }
        Ok(self.standing(name)?.map(|standing| standing.op) == changed.op)
    }
}

impl Replica {
    /// Makes the replica one that has seen nothing of the document: its heads were of another one. What it shows stays known, so
    /// that only what its users change is an edit, and such an edit contends with whatever stands.
    pub(super) fn forget_heads(&mut self) {
        self.reflected = Reflected::default();
        self.written.values_mut().for_each(|written| written.heads.clear());
    }
}
