//! Two records become one, and two again.
//!
//! The survivor takes the other's values as edits that did not see its own, and its objects where it has none. The other is
//! sealed like a record that begins a new epoch, and says where it went: whoever holds its document moves on, and what is still
//! written there is replayed into the survivor.

use std::collections::BTreeMap;

use super::{
    Now, Outcome, Pass, ReconcileError, Verdict,
    identity::{Refusal, stands},
    merge::FieldEdit,
    receive::merged_value,
};
use crate::{
    conflict::Candidate,
    document::Actor,
    identity::{Changes, Deed, Former, Moved},
    ids::{ConnectionId, ExternalId, FieldName, RecordId},
    journal::{Hash, Origin},
    outbox::Delivery,
    plan::SyncPlan,
    policies::Merge,
    record::RecordState,
    replica::{Link, Reflected, Replica},
    value::{Fields, Value},
};

/// What became of two records that were united, or parted again.
#[derive(Debug)]
pub struct United {
    /// The one that survives.
    pub survivor: Outcome,
    /// The one that went into it.
    pub absorbed: Outcome,
    /// What was done.
    pub deed: Deed,
}

/// Merges `absorbed` into `survivor`. Where both have an object in one connection, the absorbed record's is let go of: a person
/// decides there which of the two objects is to stay.
pub fn merge(
    plan: &SyncPlan,
    survivor: &mut RecordState,
    absorbed: &mut RecordState,
    by: &str,
    now: Now,
) -> Result<United, ReconcileError> {
    unite(plan, survivor, absorbed, by, None, now)
}

/// Takes a split back: the object returns to its record, and what was edited in the record that it had become is an edit here.
pub fn undo_split(
    plan: &SyncPlan,
    survivor: &mut RecordState,
    absorbed: &mut RecordState,
    by: &str,
    split: SplitUndone<'_>,
    now: Now,
) -> Result<United, ReconcileError> {
    let linked = absorbed.replicas.get(split.connection).is_some_and(|replica| replica.link.linked().is_some());
    let left =
        survivor.replicas.get(split.connection).is_some_and(|replica| matches!(replica.link, Link::Detached { .. }));
    if !linked || !left {
        stands(absorbed)?;
        let what = format!("object {} was linked, unlinked or deleted", split.object);
        return Err(Refusal::Superseded { what }.into());
    }
    unite(plan, survivor, absorbed, by, Some(split), now)
}

/// A split that is taken back.
#[derive(Clone, Copy, Debug)]
pub struct SplitUndone<'a> {
    /// In which connection.
    pub connection: &'a ConnectionId,
    /// The object.
    pub object: &'a ExternalId,
    /// The replica before.
    pub former: &'a Former,
    /// What the new record began with.
    pub fields: &'a Fields,
}

fn unite(
    plan: &SyncPlan,
    survivor: &mut RecordState,
    absorbed: &mut RecordState,
    by: &str,
    split: Option<SplitUndone<'_>>,
    now: Now,
) -> Result<United, ReconcileError> {
    if survivor.id == absorbed.id {
        return Err(Refusal::Same(survivor.id).into());
    }
    stands(survivor)?;
    stands(absorbed)?;
    let moving = moving(survivor, absorbed, split)?;
    let incoming = Pass::new(plan, absorbed, now).standing_values(split.map(|split| split.fields))?;
    let mut pass = Pass::new(plan, survivor, now);
    let stood = pass.state.fields.clone();
    let met = pass.absorb(&incoming)?;
    let moved = pass.take_over(moving.clone(), &incoming, &met, split)?;
    let changed = pass.changes_since(&stood)?;
    let epoch = pass.state.epoch;
    let survived = pass.finish()?;
    let mut pass = Pass::new(plan, absorbed, now);
    let set_aside = pass.give_away(&moving)?;
    pass.seal_into(survivor, by)?;
    let sealed = pass.finish()?;
    let deed = Deed::Merge { absorbed: absorbed.id, moved, set_aside, epoch, changed };
    Ok(United { survivor: survived, absorbed: sealed, deed })
}

/// The linked replicas for which the survivor has room.
fn moving(
    survivor: &RecordState,
    absorbed: &RecordState,
    split: Option<SplitUndone<'_>>,
) -> Result<BTreeMap<ConnectionId, Replica>, Refusal> {
    let busy = |record: RecordId, connection: &ConnectionId| Refusal::Busy { record, connection: connection.clone() };
    let mut moving = BTreeMap::new();
    for (connection, replica) in &absorbed.replicas {
        if replica.intent.is_some() {
            return Err(busy(absorbed.id, connection));
        }
        let Some(object) = replica.link.linked() else { continue };
        let theirs = survivor.replicas.get(connection);
        let room = theirs.is_none_or(|theirs| match &theirs.link {
            Link::Unlinked => true,
            Link::Detached { id } => id == object || split.is_some_and(|split| split.connection == connection),
            Link::Linked { .. } | Link::Gone { .. } => false,
        });
        if room {
            if theirs.is_some_and(|theirs| theirs.intent.is_some()) {
                return Err(busy(survivor.id, connection));
            }
            moving.insert(connection.clone(), replica.clone());
        }
    }
    Ok(moving)
}

/// What the absorbed record says of one field, and, where the two were one before, what it said when they parted.
struct Incoming {
    candidate: Candidate,
    parted_with: Option<Value>,
}

impl Pass<'_> {
    /// The values that stand, each with who wrote it; after a split only those that were edited since.
    fn standing_values(&mut self, since: Option<&Fields>) -> Result<BTreeMap<FieldName, Incoming>, ReconcileError> {
        let mut values = BTreeMap::new();
        let names: Vec<FieldName> = self.state.fields.keys().cloned().collect();
        for name in names {
            let parted_with = since.map(|since| since.get(&name).cloned().unwrap_or_default());
            let Some(mut candidate) = self.standing(&name)? else { continue };
            candidate.value = self.state.fields.get(&name).cloned().unwrap_or_default();
            if parted_with.as_ref().is_none_or(|before| !before.same_as(&candidate.value)) {
                values.insert(name, Incoming { candidate, parted_with });
            }
        }
        Ok(values)
    }

    /// Makes another record's values edits of this one. Returns, by field, the change at which a system that shows the other's
    /// value stands.
    fn absorb(
        &mut self,
        incoming: &BTreeMap<FieldName, Incoming>,
    ) -> Result<BTreeMap<FieldName, Hash>, ReconcileError> {
        let mut met = BTreeMap::new();
        let mut by_writer: BTreeMap<Origin, Vec<FieldEdit>> = BTreeMap::new();
        for (name, incoming) in incoming {
            match self.meeting(name, incoming)? {
                Meeting::Agrees => {}
                Meeting::Behind(hash) => drop(met.insert(name.clone(), hash)),
                Meeting::Edit(edit) => {
                    self.forget_writes(name);
                    by_writer.entry(incoming.candidate.origin.clone()).or_default().push(*edit);
                }
            }
        }
        for (origin, edits) in by_writer {
            let actor = self.actor_of(&origin);
            met.extend(self.make_edits(&origin, &actor, edits)?);
        }
        Ok(met)
    }

    fn meeting(&mut self, name: &FieldName, incoming: &Incoming) -> Result<Meeting, ReconcileError> {
        let Incoming { candidate, parted_with } = incoming;
        let Some(field) = self.plan.model.field(name).filter(|field| !field.computed) else {
            return Ok(Meeting::Agrees);
        };
        let value = &candidate.value;
        let standing = self.state.fields.get(name).cloned().unwrap_or_default();
        if let Some(old) = parted_with {
            if field.policy.merge() != Merge::Register {
                let merged = merged_value(field, old, value, &standing)?;
                return Ok(self.present_edit(name, standing, merged, candidate));
            }
            if standing.same_as(old) {
                return Ok(self.present_edit(name, standing, value.clone(), candidate));
            }
        } else if value.is_blank() {
            // A record that says nothing of a field takes nothing away from one that does.
            return Ok(Meeting::Agrees);
        }
        if value.same_as(&standing) || !value.is_blank() && value.loose_fold() == standing.loose_fold() {
            return Ok(Meeting::Agrees);
        }
        if parted_with.is_none()
            && let Some(hash) = self.once_held(name, value)?
        {
            return Ok(Meeting::Behind(hash));
        }
        let edit = self.contest_by(&candidate.origin, name, value, candidate.clock)?;
        Ok(edit.map_or(Meeting::Agrees, |edit| Meeting::Edit(Box::new(edit))))
    }

    /// An edit by somebody who saw what stands.
    fn present_edit(&self, name: &FieldName, old: Value, new: Value, candidate: &Candidate) -> Meeting {
        if old.same_as(&new) {
            return Meeting::Agrees;
        }
        let heads = self.state.document.heads().clone();
        let (name, clock) = (name.clone(), candidate.clock);
        Meeting::Edit(Box::new(FieldEdit { name, old, new, clock, heads, unseen: Vec::new() }))
    }

    /// As whom the service writes what somebody wrote elsewhere.
    fn actor_of(&self, origin: &Origin) -> Actor {
        match origin {
            Origin::Connection(connection) => self.connection_actor(connection),
            Origin::Client(principal) => self.client(principal).0,
            Origin::Service => self.service_actor(),
        }
    }

    /// Takes over another record's objects. What each shows it has seen; of everything else here it has seen nothing.
    fn take_over(
        &mut self,
        moving: BTreeMap<ConnectionId, Replica>,
        incoming: &BTreeMap<FieldName, Incoming>,
        met: &BTreeMap<FieldName, Hash>,
        split: Option<SplitUndone<'_>>,
    ) -> Result<BTreeMap<ConnectionId, Moved>, ReconcileError> {
        let mut moved = BTreeMap::new();
        for (connection, mut replica) in moving {
            let side = self.side(&connection)?;
            let Some(object) = replica.link.linked().cloned() else { continue };
            let former =
                split.filter(|split| *split.connection == connection && split.former.epoch == self.state.epoch);
            let mut reflected = Reflected::default();
            for name in side.mapping.fields() {
                let shown = replica.baseline.get(name).unwrap_or(&Value::Null);
                let says = incoming.get(name).map(|incoming| &incoming.candidate.value);
                let shows_it = says.is_some_and(|value| {
                    side.mapping.project(name, value).is_ok_and(|projected| {
                        let form = replica.stored.get(name);
                        projected.same_as(shown)
                            || form.is_some_and(|form| form.sent == projected && form.stored == *shown)
                    })
                });
                if let Some(hash) = met.get(name).filter(|_| shows_it) {
                    reflected.set(name, vec![*hash]);
                } else if let Some(split) = former
                    && split.former.replica.baseline.get(name).unwrap_or(&Value::Null).same_as(shown)
                {
                    // It shows what it showed before the split.
                    reflected.set(name, split.former.replica.reflected.of(name).clone());
                }
            }
            replica.forget_heads();
            replica.reflected = reflected;
            replica.settled = self.now.tick;
            replica.delivery = Delivery::Clean;
            replica.writes.clear();
            let before = self.state.replicas.insert(connection.clone(), replica).map_or(Link::Unlinked, |old| old.link);
            self.out.touched.insert(connection.clone());
            self.moved.insert(connection.clone());
            self.read_back(&connection)?;
            moved.insert(connection, Moved { object, before });
        }
        self.out.verdict = Verdict::Changed;
        Ok(moved)
    }

    /// Lets go of every object: those that move, and those for which the survivor has no room, which live on by themselves.
    fn give_away(
        &mut self,
        moving: &BTreeMap<ConnectionId, Replica>,
    ) -> Result<BTreeMap<ConnectionId, Former>, ReconcileError> {
        let tick = self.now.tick;
        let mut set_aside = BTreeMap::new();
        let connections: Vec<ConnectionId> = self.state.replicas.keys().cloned().collect();
        for connection in connections {
            let replica = self.replica(&connection)?.clone();
            let link = match replica.link.external_id() {
                Some(id) if !moving.contains_key(&connection) => Link::Detached { id: id.clone() },
                _ => Link::Unlinked,
            };
            if matches!(link, Link::Detached { .. }) && link != replica.link {
                set_aside.insert(connection.clone(), Former { epoch: self.state.epoch, replica: replica.clone() });
            }
            *self.replica_mut(&connection)? = bare(&replica, link, tick);
        }
        Ok(set_aside)
    }

    /// Ends the record: it begins an epoch in which it is deleted, and everything of it says where it went.
    fn seal_into(&mut self, survivor: &RecordState, by: &str) -> Result<(), ReconcileError> {
        let (mut sealed, _) = self.begin_epoch()?;
        let (service, at) = (self.service_actor(), self.now.at);
        let (model, moved_to) = (&self.plan.model, survivor.document_id().url());
        sealed.document.mirror(&service, model, &survivor.fields, None, &moved_to, at)?;
        self.delete(&Origin::Client(by.to_owned()), &service)?;
        let (fields, deleted) = (self.state.fields.clone(), self.state.deleted);
        self.state.document.mirror(&service, model, &fields, deleted, &moved_to, at)?;
        self.state.merged_into = Some(survivor.id);
        self.out.sealed = Some(Box::new(sealed));
        Ok(())
    }
}

/// What another record's value means here.
enum Meeting {
    /// Nothing: it says what stands, or nothing at all.
    Agrees,
    /// The record held it before.
    Behind(Hash),
    /// It is an edit.
    Edit(Box<FieldEdit>),
}

fn bare(replica: &Replica, link: Link, settled: crate::time::Tick) -> Replica {
    Replica {
        object: replica.object.clone(),
        link,
        baseline: Fields::new(),
        reflected: Reflected::default(),
        version: None,
        looked: Default::default(),
        settled,
        stored: BTreeMap::new(),
        intent: None,
        held: Vec::new(),
        written: BTreeMap::new(),
        parked: BTreeMap::new(),
        writes: BTreeMap::new(),
        delivery: Delivery::Clean,
    }
}

/// A merge that is taken back.
#[derive(Clone, Copy, Debug)]
pub struct MergeUndone<'a> {
    /// When it was made.
    pub at: crate::time::Millis,
    /// The objects that came along.
    pub moved: &'a BTreeMap<ConnectionId, Moved>,
    /// The replicas that were let go of.
    pub set_aside: &'a BTreeMap<ConnectionId, Former>,
    /// The survivor's epoch then.
    pub epoch: u32,
    /// The fields that it changed.
    pub changed: &'a Changes,
}

/// Takes a merge back: the absorbed record is there again under its own id, with its objects, with what it held, and with what
/// the users of those objects edited since. The survivor gets back what it held, but for fields that were edited since.
pub fn undo_merge(
    plan: &SyncPlan,
    survivor: &mut RecordState,
    absorbed: &mut RecordState,
    by: &str,
    merge: MergeUndone<'_>,
    now: Now,
) -> Result<(Outcome, Outcome), ReconcileError> {
    stands(survivor)?;
    if absorbed.merged_into != Some(survivor.id) {
        let what = format!("record {} was brought back, or merged into another record,", absorbed.id);
        return Err(Refusal::Superseded { what }.into());
    }
    let mut pass = Pass::new(plan, survivor, now);
    for connection in merge.moved.keys() {
        pass.at_rest(connection)?;
    }
    let later = pass.edited_since(&merge)?;
    pass.take_back(by, merge.epoch, merge.changed)?;
    let mut returning = BTreeMap::new();
    for (connection, moved) in merge.moved {
        let replica = pass.replica(connection)?.clone();
        *pass.replica_mut(connection)? = bare(&replica, moved.before.clone(), now.tick);
        pass.moved.insert(connection.clone());
        returning.insert(connection.clone(), replica);
    }
    pass.out.verdict = Verdict::Changed;
    let survived = pass.finish()?;
    absorbed.merged_into = None;
    let mut pass = Pass::new(plan, absorbed, now);
    pass.come_back(by, returning, merge.set_aside, later)?;
    Ok((survived, pass.finish()?))
}

impl Pass<'_> {
    /// What the users of the objects that came along have edited since the merge, where it stands.
    fn edited_since(&mut self, merge: &MergeUndone<'_>) -> Result<BTreeMap<FieldName, Candidate>, ReconcileError> {
        let mut later = BTreeMap::new();
        let names: Vec<FieldName> = self.state.fields.keys().cloned().collect();
        for name in names {
            let Some(mut standing) = self.standing(&name)? else { continue };
            let of_theirs =
                matches!(&standing.origin, Origin::Connection(connection) if merge.moved.contains_key(connection));
            let brought = merge.changed.get(&name).is_some_and(|changed| changed.op == Some(standing.op));
            let entry = self.state.journal.iter().find(|entry| entry.hash == standing.op);
            // In a later epoch the entry is gone, and the value's own time has to tell.
            let written_at =
                entry.filter(|_| merge.epoch == self.state.epoch).map_or(standing.clock.at, |entry| entry.at);
            if of_theirs && !brought && written_at > merge.at {
                standing.value = self.state.fields.get(&name).cloned().unwrap_or_default();
                later.insert(name, standing);
            }
        }
        Ok(later)
    }

    /// The record is there again, with the objects that return to it.
    fn come_back(
        &mut self,
        by: &str,
        returning: BTreeMap<ConnectionId, Replica>,
        set_aside: &BTreeMap<ConnectionId, Former>,
        later: BTreeMap<FieldName, Candidate>,
    ) -> Result<(), ReconcileError> {
        let (origin, service) = (Origin::Client(by.to_owned()), self.service_actor());
        self.undelete(&origin, &service)?;
        self.state.document.stay(&service, self.now.at)?;
        for (name, candidate) in later {
            let old = self.state.fields.get(&name).cloned().unwrap_or_default();
            if let Meeting::Edit(edit) = self.present_edit(&name, old, candidate.value.clone(), &candidate) {
                let actor = self.actor_of(&candidate.origin);
                self.make_edits(&candidate.origin, &actor, vec![*edit])?;
            }
        }
        for (connection, mut replica) in returning {
            replica.forget_heads();
            self.bring_back(&connection, &Former { epoch: self.state.epoch, replica })?;
        }
        for (connection, former) in set_aside {
            if self.replica(connection)?.link.external_id() == former.replica.link.external_id() {
                self.bring_back(connection, former)?;
            }
        }
        Ok(())
    }
}
