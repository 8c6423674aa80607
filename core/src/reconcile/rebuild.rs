//! A damaged document is made again: from the log of its changes, where it is proved to be the same; or, when a person says
//! so, from what the record's row and journal hold, as a new epoch.

use std::collections::BTreeMap;

use super::{Pass, ReconcileError};
use crate::{
    document::{Actor, Document, DocumentError, Evidence},
    ids::FieldName,
    journal::{ChangeEntry, Ops, Origin},
    plan::SyncPlan,
    record::RecordState,
    time::Clock,
    value::Fields,
};

/// Puts the document in place that the log holds, or that the record's values imply, but only where it is proved to be the one
/// that was committed: then nothing is lost, and whoever holds the document goes on with it. Says whether it was.
///
/// # Errors
/// Automerge refuses to make the change that the values imply.
pub fn rebuild(plan: &SyncPlan, state: &mut RecordState, log: &[u8]) -> Result<bool, DocumentError> {
    let known = Evidence {
        tenant: &state.tenant,
        record: state.id,
        epoch: state.epoch,
        model: &plan.model,
        fields: &state.fields,
        heads: state.document.heads(),
        journal: &state.journal,
        writer: &plan.writer,
    };
    let Some(document) = Document::rebuilt(log, &known)? else { return Ok(false) };
    state.document = document;
    Ok(true)
}

impl Pass<'_> {
    /// Begins a new epoch without looking into the document: with the values that stand, each with the clock and the writer
    /// that the journal names.
    pub(super) fn start_over(&mut self) -> Result<(), ReconcileError> {
        let (mut clocks, mut origins) = (BTreeMap::new(), BTreeMap::new());
        for name in self.state.fields.keys() {
            if let Some((clock, origin)) = self.recorded(name) {
                clocks.insert(name.clone(), clock);
                origins.insert(name.clone(), origin);
            }
        }
        self.state.epoch = self.plan.writer.record_epoch(Some(self.state.epoch));
        let actor = Actor::epoch(&self.state.tenant, self.state.id, self.state.epoch);
        let (mut document, hash) = Document::renewed(&actor, &self.plan.model, &self.state.fields)?;
        let ops = Ops::Genesis { clock: Clock::exact(self.now.at), clocks, origins, values: Fields::new() };
        let mut entries = vec![ChangeEntry { hash, at: self.now.at, origin: Origin::Service, ops }];
        if let Some(since) = self.state.deleted {
            let marked = document.set_deleted(&self.service_actor(), Some(since), self.now.at)?;
            entries.extend(marked.map(|hash| ChangeEntry {
                hash,
                at: self.now.at,
                origin: Origin::Service,
                ops: Ops::Deleted(true),
            }));
        }
        self.state.document = document;
        self.state.journal.clear();
        entries.into_iter().for_each(|entry| self.record(entry));
        self.reflect(hash);
        self.forget_old_heads();
        self.out.started_over = true;
        Ok(())
    }

    /// When and by whom the standing value of a field was written, as far as the journal tells.
    fn recorded(&self, name: &FieldName) -> Option<(Clock, Origin)> {
        let standing = self.state.fields.get(name)?;
        let says_so = |entry: &&ChangeEntry| match &entry.ops {
            Ops::Edit(ops) => ops.get(name).is_some_and(|op| op.value.same_as(standing)),
            _ => false,
        };
        let newest = self.entries_of(name).find(says_so).or_else(|| self.entries_of(name).next())?;
        Some((newest.clock_of(name)?, newest.origin_of(name).clone()))
    }

    /// Writes that are under way name heads of the history that is gone; their systems have seen the new one's beginning.
    fn forget_old_heads(&mut self) {
        let heads = self.state.document.heads().clone();
        for (connection, replica) in &mut self.state.replicas {
            if replica.intent.is_none() && replica.written.is_empty() {
                continue;
            }
            if let Some(intent) = &mut replica.intent {
                intent.heads = heads.clone();
            }
            replica.written.values_mut().for_each(|written| written.heads = heads.clone());
            self.out.touched.insert(connection.clone());
        }
    }
}
