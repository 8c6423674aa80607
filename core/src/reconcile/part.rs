//! One record becomes two: an object leaves its record and is a record of its own from now on.

use super::{FollowUp, Now, Outcome, Pass, ReconcileError, identity::stands, link};
use crate::{
    identity::Deed,
    ids::{ConnectionId, RecordId},
    plan::SyncPlan,
    record::RecordState,
    replica::{Observation, Source},
};

/// What a split made of a record.
#[derive(Debug)]
pub struct Parted {
    /// What became of the record that is left.
    pub left: Outcome,
    /// The new record.
    pub state: RecordState,
    /// What became of it.
    pub outcome: Outcome,
    /// What was done.
    pub deed: Deed,
}

/// Splits the object of a connection from its record. The new record begins with what that system showed last; the one that is
/// left keeps its values, and gets no other object there by itself.
pub fn split(
    plan: &SyncPlan,
    state: &mut RecordState,
    connection: &ConnectionId,
    into: RecordId,
    now: Now,
) -> Result<Parted, ReconcileError> {
    stands(state)?;
    let mut pass = Pass::new(plan, state, now);
    let (object, former) = pass.let_go(connection)?;
    let left = pass.finish()?;
    let shown = Observation {
        id: object.clone(),
        aliases: Vec::new(),
        deleted: false,
        fields: former.replica.baseline.clone(),
        clocks: Default::default(),
        past: Default::default(),
        version: former.replica.version,
        source: Source::ById,
        begun: former.replica.looked,
        key: None,
    };
    let (mut new, mut outcome) = link::create(plan, into, connection, shown, now)?;
    let heads = new.document.heads().clone();
    if let Some(replica) = new.replicas.get_mut(connection) {
        // Writes that were not read back yet are the object's, whichever record it is.
        replica.written = former.replica.written.clone();
        replica.written.values_mut().for_each(|written| written.heads.clone_from(&heads));
    }
    outcome.follow_ups.insert(FollowUp::Read { connection: connection.clone(), id: object.clone() });
    let (connection, fields) = (connection.clone(), new.fields.clone());
    let deed = Deed::Split { into, connection, object, former: Box::new(former), fields };
    Ok(Parted { left, state: new, outcome, deed })
}
