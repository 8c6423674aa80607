//! Epochs: a record whose history has grown long begins anew, with a document and a journal that hold what stands and nothing
//! else. The old document is sealed: whoever still has it is told where the record went, and what they write there is replayed.

use std::collections::BTreeMap;

use super::{
    Pass, ReconcileError,
    agree::{agrees, owed},
};
use crate::{
    document::{Actor, Document},
    ids::FieldName,
    journal::{ChangeEntry, Hash, Ops, Origin},
    mutant::{self, Rule},
    outbox::Delivery,
    plan::{Side, SyncPlan},
    record::RecordState,
    replica::{Link, Reflected, Replica},
    repo::DocumentId,
    time::Clock,
    value::Fields,
};

/// What a record leaves behind when it begins a new epoch.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// The id of the document that is sealed.
    pub id: DocumentId,
    /// That document, which says where the record went.
    pub document: Document,
    /// Where the record's first change stood in the journal, with the values that only the document kept until now; `None`
    /// in later epochs, whose first change repeats what is known.
    pub genesis: Option<ChangeEntry>,
}

impl Pass<'_> {
    /// Begins a new epoch, but only where nothing is lost by it: every system shows what the record says, so that there is
    /// nobody whose next edit would have to be placed in the old history. Otherwise nothing happens.
    pub(super) fn renew(&mut self) -> Result<(), ReconcileError> {
        if !may_renew(self.plan, self.state) {
            return Ok(());
        }
        let (mut sealed, hash) = self.begin_epoch()?;
        let (service, moved_to) = (self.service_actor(), self.state.document_id().url());
        sealed.document.mirror(&service, &self.plan.model, &self.state.fields, None, &moved_to, self.now.at)?;
        self.reflect(hash);
        self.out.sealed = Some(Box::new(sealed));
        Ok(())
    }

    /// Puts a new document in the place of the one that is there, with what stands and nothing else. What is left behind does
    /// not say yet where its content went.
    pub(super) fn begin_epoch(&mut self) -> Result<(Sealed, Hash), ReconcileError> {
        let genesis = self.repeat_genesis()?;
        let (mut clocks, mut origins) = (BTreeMap::new(), BTreeMap::new());
        let names: Vec<FieldName> = self.state.fields.keys().cloned().collect();
        for name in names {
            if let Some(standing) = self.standing(&name)?.filter(|_| !mutant::off(Rule::EpochKeepsWriters)) {
                clocks.insert(name.clone(), standing.clock);
                origins.insert(name, standing.origin);
            }
        }
        let (tenant, model) = (&self.state.tenant, &self.plan.model);
        let id = self.state.document_id();
        self.state.epoch = self.plan.writer.record_epoch(Some(self.state.epoch));
        let (document, hash) =
            Document::renewed(&Actor::epoch(tenant, self.state.id, self.state.epoch), model, &self.state.fields)?;
        let document = std::mem::replace(&mut self.state.document, document);
        self.state.journal.clear();
        let ops = Ops::Genesis { clock: Clock::exact(self.now.at), clocks, origins, values: Fields::new() };
        self.record(ChangeEntry { hash, at: self.now.at, origin: Origin::Service, ops });
        Ok((Sealed { id, document, genesis }, hash))
    }

    /// Every system has seen the first change of the epoch.
    pub(super) fn reflect(&mut self, hash: Hash) {
        for (connection, replica) in &mut self.state.replicas {
            if !matches!(replica.link, Link::Unlinked) {
                replica.reflected = Reflected { common: vec![hash], ..Reflected::default() };
                self.out.touched.insert(connection.clone());
            }
        }
    }

    /// The change that created the record, with its values, which will not be read from a document any more.
    fn repeat_genesis(&mut self) -> Result<Option<ChangeEntry>, ReconcileError> {
        let Some(mut first) = self.state.journal.first().filter(|first| !first.begins_epoch()).cloned() else {
            return Ok(None);
        };
        let Ops::Genesis { values, .. } = &mut first.ops else { return Ok(None) };
        for (name, field) in &self.plan.model.fields {
            if let Some(value) = self.genesis_value(name, field, first.hash)? {
                values.insert(name.clone(), value);
            }
        }
        Ok(Some(first))
    }
}

/// Whether every system shows what the record says, and no read or write is under way that could say otherwise: then a new
/// epoch can begin.
pub fn may_renew(plan: &SyncPlan, state: &RecordState) -> bool {
    let settled = |replica: &Replica| {
        replica.intent.is_none()
            && replica.held.is_empty()
            && replica.written.is_empty()
            && replica.parked.is_empty()
            && (replica.delivery == Delivery::Clean || mutant::off(Rule::EpochNeedsAgreement))
            && !replica.unread_end()
            || mutant::off(Rule::EpochNeedsRest)
    };
    let agrees = |replica: &Replica, side: &Side| match replica.link {
        _ if mutant::off(Rule::EpochNeedsAgreement) => true,
        Link::Linked { .. } => side.mapping.fields().all(|name| agrees(&state.fields, replica, side, name)),
        _ => owed(plan, state, replica, side).is_none(),
    };
    let known = state.replicas.keys().all(|connection| plan.sides.contains_key(connection));
    let mut replicas = plan.sides.iter().map(|(connection, side)| (state.replicas.get(connection), side));
    known
        && state.deleted.is_none()
        && replicas.all(|(replica, side)| replica.is_some_and(|replica| settled(replica) && agrees(replica, side)))
}
