//! Edits by clients of the API. A client edits what it sees, so its edits are made at the document's present heads.

use super::{Now, Outcome, Pass, ReconcileError, link, merge::FieldEdit, newborn};
use crate::{
    document::{Actor, Document},
    ids::RecordId,
    journal::{ChangeEntry, Ops, Origin},
    mutant::{self, Rule},
    plan::SyncPlan,
    reconcile::ClientEdit,
    record::RecordState,
    time::Clock,
    value::Fields,
};

pub(super) fn create(
    plan: &SyncPlan,
    id: RecordId,
    principal: &str,
    fields: &Fields,
    now: Now,
) -> Result<(RecordState, Outcome), ReconcileError> {
    let actor = Actor::principal(&plan.tenant, principal, plan.writer.current);
    let fields = link::said(fields);
    let (document, hash) = Document::genesis(&actor, &plan.model, &fields, now.at)?;
    let ops = Ops::genesis(Clock::exact(now.at), Default::default());
    let entry = ChangeEntry { hash, at: now.at, origin: Origin::Client(principal.to_owned()), ops };
    let state = newborn(plan, id, document, entry.clone(), fields, now);
    link::finish_created(plan, state, entry, now)
}

impl Pass<'_> {
    pub(super) fn client_edit(&mut self, edit: &ClientEdit) -> Result<(), ReconcileError> {
        let (actor, origin) = self.client(&edit.principal);
        if edit.delete == Some(false) && self.state.deleted.is_some() {
            self.undelete(&origin, &actor)?;
        }
        let heads = self.state.document.heads().clone();
        let clock = Clock::exact(self.now.at);
        let mut edits = Vec::new();
        for (name, new) in &edit.fields {
            let old = self.state.fields.get(name).cloned().unwrap_or_default();
            if edit.settles && !mutant::off(Rule::ChoiceEndsWaiting) {
                self.settle_by_hand(name);
            }
            if old == *new {
                continue;
            }
            self.forget_writes(name);
            let (name, new) = (name.clone(), new.clone());
            edits.push(FieldEdit { name, old, new, clock, heads: heads.clone(), unseen: Vec::new() });
        }
        self.make_edits(&origin, &actor, edits)?;
        if edit.delete == Some(true) {
            self.delete(&origin, &actor)?;
        }
        Ok(())
    }

    /// As whom the service writes what a client of the API edits.
    pub(super) fn client(&self, principal: &str) -> (Actor, Origin) {
        let actor = Actor::principal(&self.state.tenant, principal, self.plan.writer.current);
        (actor, Origin::Client(principal.to_owned()))
    }

    /// A person has chosen: the field is written again everywhere.
    fn settle_by_hand(&mut self, name: &crate::ids::FieldName) {
        for (connection, replica) in &mut self.state.replicas {
            if replica.parked.remove(name).is_some() {
                self.out.touched.insert(connection.clone());
                self.moved.insert(connection.clone());
            }
        }
    }
}
