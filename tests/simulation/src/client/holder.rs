//! Programs that hold documents: they edit their copies without asking, exchange changes when they are online, and come back
//! after records have begun anew.

use std::collections::{BTreeMap, BTreeSet};

use automerge::{
    ActorId, Automerge, Change, ChangeHash, ObjId, ObjType, ROOT, ReadDoc, ScalarValue,
    transaction::{CommitOptions, Transactable, Transaction},
};
use rand::RngExt;
use syncline_core::{
    document::Document,
    ids::{FieldName, RecordId},
    model::Model,
    repo::DocumentId,
    value::{Fields, Value},
};

use super::{Told, Wish};
use crate::{
    checker::Invariant, event::HolderDeed, fault::Fault, ledger::Written, model::Shape, mutant::Mutant, world::World,
};

/// A document that a program holds.
#[derive(Clone, Debug)]
pub(crate) struct Copy {
    pub(crate) id: DocumentId,
    pub(crate) doc: Automerge,
    /// Own changes that the service has.
    sent: BTreeSet<ChangeHash>,
    /// Own changes that it has not, with their places in the ledger.
    pub(crate) unsent: Vec<(ChangeHash, usize)>,
    /// The service has refused something: the program begins anew from what the service has.
    spoiled: bool,
}

/// A program that holds documents.
#[derive(Debug)]
pub(crate) struct Holder {
    pub(crate) tenant: usize,
    pub(crate) name: String,
    /// How many actors it has used.
    actors: u32,
    pub(crate) online: bool,
    pub(crate) copies: BTreeMap<RecordId, Copy>,
    /// What it held some time ago.
    backup: BTreeMap<RecordId, Copy>,
}

impl Holder {
    pub(crate) fn new(tenant: usize, name: String) -> Self {
        Self { tenant, name, actors: 1, online: true, copies: BTreeMap::new(), backup: BTreeMap::new() }
    }

    fn actor(&self) -> ActorId {
        ActorId::from(format!("{}/{}", self.name, self.actors).into_bytes())
    }
}

impl World {
    pub(crate) fn holder(&mut self, holder: usize, pick: usize, deed: HolderDeed) {
        if self.strikes_somewhere(Fault::ClientRestored).is_some() {
            self.put_back(holder);
        }
        match deed {
            HolderDeed::Toggle => {
                let online = !self.holders[holder].online;
                self.holders[holder].online = online;
                self.note(|| format!("holder {holder} goes {}", if online { "online" } else { "offline" }));
                if online {
                    self.sync_all(holder);
                }
            }
            HolderDeed::Edit => self.holder_edits(holder, pick),
            HolderDeed::Sync => self.sync_all(holder),
        }
    }

    /// The program is put back to what it held some time ago. A well-behaved one knows, and goes on as another actor.
    fn put_back(&mut self, holder: usize) {
        let reused = self.mutant == Some(Mutant::ActorReused);
        self.note(|| format!("holder {holder} is put back to an earlier state"));
        let holder = &mut self.holders[holder];
        // What it had not sent yet was in its store as well; only what it had heard and sent since is gone.
        let now = std::mem::replace(&mut holder.copies, holder.backup.clone());
        if !reused {
            holder.actors += 1;
            let actor = holder.actor();
            holder.copies.values_mut().for_each(|copy| {
                copy.doc.set_actor(actor.clone());
            });
        }
        holder.copies.extend(now.into_iter().filter(|(_, copy)| !copy.unsent.is_empty()));
    }

    /// Begins to hold the documents of records, and exchanges what is new.
    pub(crate) fn sync_all(&mut self, holder: usize) {
        if !self.holders[holder].online || self.process.is_none() {
            return;
        }
        self.holders[holder].backup = self.holders[holder].copies.clone();
        let tenant = self.holders[holder].tenant;
        let records: Vec<RecordId> = self.store.tenants[tenant].records.keys().copied().collect();
        for record in records {
            if self.holders[holder].copies.get(&record).is_none_or(|copy| copy.spoiled) {
                self.take_copy(holder, record);
            }
            self.sync_one(holder, record);
        }
    }

    /// Opens a record's document as the service has it, and follows it where it has moved meanwhile.
    fn take_copy(&mut self, holder: usize, record: RecordId) {
        let tenant = self.holders[holder].tenant;
        let Some(state) = self.store.tenants[tenant].records.get_mut(&record) else { return };
        let id = state.document_id();
        // A stored document that cannot be read is a fault of the store.
        let Ok(stored) = state.document.automerge() else {
            return self.violate(Invariant::Kept, format!("the document of {record} cannot be read"));
        };
        let mut doc = stored.clone();
        let holder = &mut self.holders[holder];
        doc.set_actor(holder.actor());
        let copy = Copy { id, doc, sent: BTreeSet::new(), unsent: Vec::new(), spoiled: false };
        holder.copies.insert(record, copy);
    }

    fn sync_one(&mut self, holder: usize, record: RecordId) {
        let tenant = self.holders[holder].tenant;
        let Some(copy) = self.holders[holder].copies.get(&record) else { return };
        let changes: Vec<Change> =
            copy.unsent.iter().filter_map(|(hash, _)| copy.doc.get_change_by_hash(hash)).collect();
        let writes = copy.unsent.iter().map(|(_, write)| *write).collect();
        let (document, have) = (copy.id, copy.doc.get_heads());
        self.send_request(tenant, Wish::Sync { holder, document, changes, have, writes });
    }

    /// What the service told of a document.
    pub(crate) fn synced(&mut self, told: Told) {
        let Told::Synced { holder, document, writes, accepted, refused, news, moved_to } = told else { return };
        writes.iter().for_each(|write| self.ledger.acknowledge(*write));
        let program = &mut self.holders[holder];
        let Some((record, copy)) = program.copies.iter_mut().find(|(_, copy)| copy.id == document) else { return };
        let record = *record;
        copy.unsent.retain(|(hash, _)| !accepted.contains(hash));
        copy.sent.extend(accepted);
        let spoiled = copy.doc.apply_changes(news).is_err() || refused;
        if spoiled {
            copy.spoiled = true;
            copy.unsent.clear();
        }
        if moved_to.is_some() && copy.unsent.is_empty() {
            self.note(|| format!("holder {holder} follows {record} to its new document"));
            self.take_copy(holder, record);
        }
        if spoiled {
            // These programs keep to the protocol.
            self.violate(Invariant::Kept, format!("what holder {holder} wrote into {record} was refused"));
        }
    }

    fn holder_edits(&mut self, holder: usize, pick: usize) {
        let tenant = self.holders[holder].tenant;
        let names = self.editable(tenant);
        let name = names[self.rng.random_range(0..names.len())].clone();
        let model = self.plans[tenant].model.clone();
        let word = self.word(tenant);
        let held = &self.holders[holder].copies;
        let Some(record) = held.keys().nth(pick % held.len().max(1)).copied() else { return };
        let doc = held[&record].doc.clone();
        let saw = shown(&doc, &model).remove(&name).unwrap_or_default();
        let value = Shape::of(&name).edited(&saw, &word, &mut self.rng);
        let now = self.now;
        let Some(copy) = self.holders[holder].copies.get_mut(&record).filter(|copy| !copy.spoiled) else { return };
        let Some(hash) = write(&mut copy.doc, &name, &saw, &value, now.0 / 1_000) else { return };
        let (field, who) = (name.clone(), format!("holder {holder}"));
        self.note(|| {
            format!("holder {holder} sets {name} of {record} to {} where it saw {}", value.to_json(), saw.to_json())
        });
        let written = Written { tenant, field, value, saw, acknowledged: false, who };
        let write = self.ledger.wrote(written);
        self.counts.thing("edits of held documents");
        if let Some(copy) = self.holders[holder].copies.get_mut(&record) {
            copy.unsent.push((hash, write));
        }
        self.sync_if_online(holder, record);
    }

    fn sync_if_online(&mut self, holder: usize, record: RecordId) {
        if self.holders[holder].online && self.process.is_some() {
            self.sync_one(holder, record);
        }
    }
}

/// What a document shows.
pub(crate) fn shown(doc: &Automerge, model: &Model) -> Fields {
    // A document that does not read shows nothing, and then differs from the record, which is what the checker looks for.
    Document::of(doc.clone()).fields(model).unwrap_or_default()
}

fn fields_of(doc: &Automerge) -> Option<ObjId> {
    match doc.get(ROOT, "fields") {
        Ok(Some((automerge::Value::Object(ObjType::Map), id))) => Some(id),
        _ => None,
    }
}

/// Writes a value into a copy, as a program would.
fn write(doc: &mut Automerge, name: &FieldName, saw: &Value, value: &Value, seconds: i64) -> Option<ChangeHash> {
    let fields = fields_of(doc)?;
    let mut tx = doc.transaction();
    put(&mut tx, &fields, name.as_str(), saw, value).ok()?;
    tx.commit_with(CommitOptions::default().with_time(seconds)).0
}

fn put(
    tx: &mut Transaction<'_>,
    fields: &ObjId,
    name: &str,
    saw: &Value,
    value: &Value,
) -> Result<(), automerge::AutomergeError> {
    let standing = tx.get(fields, name)?;
    match (Shape::of(&name.into()), value, standing) {
        (Shape::Count, Value::Int(number), Some((automerge::Value::Scalar(scalar), _)))
            if matches!(scalar.as_ref(), ScalarValue::Counter(_)) =>
        {
            let before = if let Value::Int(before) = saw { *before } else { 0 };
            tx.increment(fields, name, number - before)
        }
        (Shape::Count, Value::Int(number), _) => tx.put(fields, name, ScalarValue::counter(*number)),
        (Shape::Prose, Value::Text(text), Some((automerge::Value::Object(ObjType::Text), object))) => {
            tx.update_text(&object, text)
        }
        (Shape::Prose, Value::Text(text), _) => {
            let object = tx.put_object(fields, name, ObjType::Text)?;
            tx.splice_text(&object, 0, 0, text)
        }
        (Shape::Members, Value::Set(members), standing) => {
            let object = match standing {
                Some((automerge::Value::Object(ObjType::Map), object)) => object,
                _ => tx.put_object(fields, name, ObjType::Map)?,
            };
            let before = if let Value::Set(before) = saw { before.clone() } else { BTreeSet::new() };
            for member in members.difference(&before) {
                tx.put(&object, member.as_str(), true)?;
            }
            for member in before.difference(members) {
                tx.delete(&object, member.as_str())?;
            }
            Ok(())
        }
        (_, Value::Int(number), _) => tx.put(fields, name, *number),
        (_, Value::Text(text), _) => tx.put(fields, name, text.as_str()),
        _ => tx.put(fields, name, ScalarValue::Null),
    }
}
