//! The Automerge document of a record: `{ v, type, fields: { name → scalar | Text | Counter | set map }, deleted }`.
//!
//! Values go in and out in canonical form; everything that is particular to Automerge stays in this folder.
//!
//! # Layout
//!
//! * this file: actors, documents, and the changes that this service makes.
//! * `received`: changes that clients made. `values`: one value on its way in or out.
//! * `seal`: what shows that stored bytes are damaged. `log`: what a document is rebuilt from.

mod log;
mod received;
mod seal;
mod values;

use std::sync::Arc;

use automerge::{
    ActorId, Automerge, AutomergeError, ChangeHash, ObjId, ObjType, PatchLog, ROOT, ReadDoc, ScalarValue,
    Value as AmValue, hydrate,
    transaction::{CommitOptions, Transactable},
};

pub use self::{
    log::Evidence,
    received::{Written, WrittenField, merge_texts, root_touched_by},
    seal::Seal,
};
use self::{
    log::Log,
    values::{decode, hydrate_value, insert, write_value},
};
use crate::{
    ids::{ConnectionId, FieldName, ModelName, RecordId, TenantId},
    journal::{Hash, Heads},
    model::{Field, Model},
    mutant::{self, Rule},
    policies::Merge,
    time::Millis,
    value::{Fields, Value},
};

/// The version of the document's shape, kept in it as `v`.
const SHAPE_VERSION: i64 = 1;

/// A document that could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The saved bytes are damaged or belong to another record.
    #[error("the stored document is damaged ({0}): rebuild it with `syncline records rebuild`, or restore a backup")]
    Damaged(String),
    /// Automerge refused an operation.
    #[error("Automerge refused an operation: {0}")]
    Automerge(#[from] AutomergeError),
}

/// Who writes: an Automerge actor. Connection actors and client actors are derived, so that no two writers share one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor(ActorId);

impl Actor {
    /// The actor of a connection's changes in one writer epoch.
    pub fn connection(tenant: &TenantId, connection: &ConnectionId, epoch: u32) -> Self {
        Self::derive("connection", tenant.as_str(), connection.as_str(), epoch)
    }

    /// The actor of the changes that this service makes for an API principal.
    pub fn principal(tenant: &TenantId, principal: &str, epoch: u32) -> Self {
        Self::derive("principal", tenant.as_str(), principal, epoch)
    }

    /// The actor of compensating ops.
    pub fn service(tenant: &TenantId, epoch: u32) -> Self {
        Self::derive("service", tenant.as_str(), "", epoch)
    }

    /// The actor of the change that begins a record's epoch.
    pub fn epoch(tenant: &TenantId, record: RecordId, epoch: u32) -> Self {
        Self::derive("epoch", tenant.as_str(), &record.to_string(), epoch)
    }

    /// Whether a client's actor pretends to be this one, or one that Automerge derives from it for an edit at earlier heads.
    pub fn is_borrowed_by(&self, actor: &ActorId) -> bool {
        let derived = actor.to_bytes().ends_with(self.0.to_bytes()) && !mutant::off(Rule::DerivedActorIsReserved);
        derived || *actor == self.0
    }

    fn derive(kind: &str, tenant: &str, name: &str, epoch: u32) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("syncline 2026 automerge actor");
        for part in [kind, tenant, name] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.update(&epoch.to_le_bytes());
        Self(ActorId::from(&hasher.finalize().as_bytes()[..16]))
    }
}

/// A record's Automerge document, loaded only when something has to be written or looked up in its history.
#[derive(Clone, Debug)]
pub struct Document {
    heads: Heads,
    saved: Vec<u8>,
    /// What was stored with `saved`, where that is known; a document that was saved anew has another one.
    seal: Option<Seal>,
    size: usize,
    /// Shared by copies of a record until one of them writes, so that a copy for a reading costs nothing.
    loaded: Option<Arc<Automerge>>,
    dirty: bool,
    log: Log,
}

/// One value to write into a field.
#[derive(Clone, Debug, PartialEq)]
pub struct Put<'a> {
    /// The field's name.
    pub name: &'a FieldName,
    /// The field's declaration; it decides how the value is merged.
    pub field: &'a Field,
    /// What the writer saw before; sets, texts and counters are written as the difference from it.
    pub old: &'a Value,
    /// What the writer wants to see.
    pub new: &'a Value,
    /// Write a text as a text object, which JavaScript clients edit in place, though the field holds one value at a time.
    pub as_text_object: bool,
}

impl Document {
    /// Creates the document of a new record in one batch-initialised change. Blank fields are left out: absent means "not managed".
    pub fn genesis(actor: &Actor, model: &Model, fields: &Fields, at: Millis) -> Result<(Self, Hash), DocumentError> {
        Self::begin(actor, model, fields, at, |_, value| !value.is_blank())
    }

    /// The document of a record's new epoch: the same whoever makes it, and whenever. What was cleared stays cleared.
    pub fn renewed(actor: &Actor, model: &Model, fields: &Fields) -> Result<(Self, Hash), DocumentError> {
        let says = |field: &Field, value: &Value| !value.is_blank() || field.policy.merge() == Merge::Register;
        Self::begin(actor, model, fields, Millis(0), says)
    }

    fn begin(
        actor: &Actor,
        model: &Model,
        fields: &Fields,
        at: Millis,
        says: impl Fn(&Field, &Value) -> bool,
    ) -> Result<(Self, Hash), DocumentError> {
        let mut doc = Automerge::new().with_actor(actor.0.clone());
        let mut members = hydrate::Map::default();
        for (name, value) in fields {
            if let Some(field) = model.field(name).filter(|field| says(field, value)) {
                insert(&mut members, name.as_str(), hydrate_value(field, value, &doc));
            }
        }
        let mut root = hydrate::Map::default();
        insert(&mut root, "v", hydrate::Value::Scalar(ScalarValue::Int(SHAPE_VERSION)));
        insert(&mut root, "type", hydrate::Value::Scalar(ScalarValue::Str(model.name.as_str().into())));
        insert(&mut root, "fields", hydrate::Value::Map(members));
        let mut tx = doc.transaction();
        tx.init_root_from_hydrate(&root)?;
        let (hash, _) = tx.commit_with(commit_options(at));
        let hash = hash.ok_or_else(|| DocumentError::Damaged("creating the document made no change".into()))?;
        let hash = Hash(hash.0);
        Ok((Self { log: Log::implied(hash), ..Self::of(doc) }, hash))
    }

    /// A stored document. Nothing is decoded until it is needed; `heads` are checked then.
    pub fn from_saved(saved: Vec<u8>, heads: Heads) -> Self {
        let size = saved.len();
        Self { heads, saved, seal: None, size, loaded: None, dirty: false, log: Log::default() }
    }

    /// The same document with what was stored beside it: its seal, compared when it is decoded, and whether its changes are in
    /// the log.
    pub fn kept_with(mut self, seal: Option<Seal>, logged: bool) -> Self {
        self.seal = seal;
        self.log = if logged { Log::up_to(self.heads.clone()) } else { Log::default() };
        self
    }

    /// The document's heads, sorted.
    pub fn heads(&self) -> &Heads {
        &self.heads
    }

    /// The document in Automerge's file format.
    pub fn save(&mut self) -> &[u8] {
        if let (true, Some(doc)) = (self.dirty, &self.loaded) {
            self.saved = doc.save();
            self.seal = Some(Seal::of(&self.heads, &self.saved));
            self.log.append(doc, &self.heads, &self.saved);
            self.size = self.saved.len();
            self.dirty = false;
        }
        &self.saved
    }

    /// What is stored beside the saved bytes. Bytes that were not saved anew keep the seal that they came with, so that damage
    /// is not sealed as if it were sound; `None` where they came without one.
    pub fn seal(&self) -> Option<Seal> {
        self.seal
    }

    /// Decodes the document, which shows every damage, and seals what was stored without a seal.
    ///
    /// # Errors
    /// It is damaged.
    pub fn verify(&mut self) -> Result<(), DocumentError> {
        self.load()?;
        if !self.dirty {
            self.seal = Some(Seal::of(&self.heads, &self.saved));
        }
        Ok(())
    }

    /// Whether the log holds every change of the document once what [`Document::logged`] gives is stored.
    pub fn is_logged(&self) -> bool {
        self.log.is_begun()
    }

    /// What saving has added to the log of the document's changes, in Automerge's format; `None` where that has nothing new.
    pub fn logged(&self) -> Option<&[u8]> {
        self.log.appended()
    }

    /// Takes the decoded document out, to be used further; what is left can be stored where it was saved before. `None`
    /// where it is not decoded.
    pub fn take_decoded(&mut self) -> Option<Self> {
        let loaded = self.loaded.take()?;
        let log = self.log.continued(&self.heads);
        let (heads, size) = (self.heads.clone(), self.size);
        Some(Self { heads, saved: Vec::new(), seal: None, size, loaded: Some(loaded), dirty: true, log })
    }

    /// How many bytes it had when it was last saved; 0 where it never was.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The value that every plain Automerge client sees, field by field; absent fields are missing.
    pub fn fields(&mut self, model: &Model) -> Result<Fields, DocumentError> {
        let doc = self.load()?;
        let Some(map) = fields_object(doc) else { return Ok(Fields::new()) };
        let mut fields = Fields::new();
        for (name, field) in &model.fields {
            if let Some((value, id)) = doc.get(&map, name.as_str())? {
                fields.insert(name.clone(), decode(doc, field, &value, &id, None)?);
            }
        }
        Ok(fields)
    }

    /// Every visible value of a field with the change that wrote it; more than one where writers did not see each other.
    /// The winner of plain Automerge comes last.
    pub fn visible(&mut self, name: &FieldName, field: &Field) -> Result<Vec<(Hash, Value)>, DocumentError> {
        let doc = self.load()?;
        let Some(map) = fields_object(doc) else { return Ok(Vec::new()) };
        doc.get_all(&map, name.as_str())?
            .iter()
            .map(|(value, id)| Ok((op_hash(doc, id)?, decode(doc, field, value, id, None)?)))
            .collect()
    }

    /// Like [`Document::visible`], as of earlier heads.
    pub fn visible_at(
        &mut self,
        name: &FieldName,
        field: &Field,
        heads: &Heads,
    ) -> Result<Vec<(Hash, Value)>, DocumentError> {
        let doc = self.load()?;
        let heads = to_automerge(heads);
        let Some(map) = fields_object(doc) else { return Ok(Vec::new()) };
        doc.get_all_at(&map, name.as_str(), &heads)?
            .iter()
            .map(|(value, id)| Ok((op_hash(doc, id)?, decode(doc, field, value, id, Some(&heads))?)))
            .collect()
    }

    /// Writes the values in one change as a writer who has seen exactly `heads`. Returns `None` where nothing had to be written.
    pub fn write_at(
        &mut self,
        actor: &Actor,
        heads: &Heads,
        puts: &[Put<'_>],
        at: Millis,
    ) -> Result<Option<Hash>, DocumentError> {
        let current = *heads == self.heads;
        let heads = to_automerge(heads);
        self.change(actor, |doc| {
            let mut tx = if current {
                doc.transaction()
            } else {
                doc.transaction_at(PatchLog::inactive(), &heads)
                    .map_err(|mismatch| DocumentError::Damaged(mismatch.to_string()))?
            };
            let map = match tx.get(ROOT, "fields")? {
                Some((AmValue::Object(ObjType::Map), id)) => id,
                _ => tx.put_object(ROOT, "fields", ObjType::Map)?,
            };
            for put in puts {
                write_value(&mut tx, &map, put)?;
            }
            Ok(tx.commit_with(commit_options(at)).0)
        })
    }

    /// Marks the record as deleted since `deleted`, or as live again.
    pub fn set_deleted(
        &mut self,
        actor: &Actor,
        deleted: Option<Millis>,
        at: Millis,
    ) -> Result<Option<Hash>, DocumentError> {
        self.change(actor, |doc| {
            let mut tx = doc.transaction();
            match deleted {
                Some(since) => tx.put(ROOT, "deleted", ScalarValue::Timestamp(since.0))?,
                None => tx.delete(ROOT, "deleted")?,
            }
            Ok(tx.commit_with(commit_options(at)).0)
        })
    }

    fn change(
        &mut self,
        actor: &Actor,
        write: impl FnOnce(&mut Automerge) -> Result<Option<ChangeHash>, DocumentError>,
    ) -> Result<Option<Hash>, DocumentError> {
        let doc = self.load_mut()?;
        doc.set_actor(actor.0.clone());
        let hash = write(doc)?.map(|hash| Hash(hash.0));
        let heads = sorted_heads(doc);
        if hash.is_some() {
            self.heads = heads;
            self.dirty = true;
        }
        Ok(hash)
    }

    fn load(&mut self) -> Result<&Automerge, DocumentError> {
        self.decoded().map(|doc| &**doc)
    }

    /// The decoded document, to be changed.
    fn load_mut(&mut self) -> Result<&mut Automerge, DocumentError> {
        self.decoded().map(Arc::make_mut)
    }

    fn decoded(&mut self) -> Result<&mut Arc<Automerge>, DocumentError> {
        if self.loaded.is_none() {
            if let Some(broken) = self.seal.and_then(|seal| seal.broken_by(&self.heads, &self.saved)) {
                return Err(DocumentError::Damaged(broken));
            }
            let doc = Automerge::load(&self.saved).map_err(|error| DocumentError::Damaged(error.to_string()))?;
            // Truncation at a chunk boundary loads as an older state: only the heads tell.
            if sorted_heads(&doc) != self.heads {
                return Err(DocumentError::Damaged("its heads are not those that were committed".into()));
            }
            self.loaded = Some(Arc::new(doc));
        }
        self.loaded.as_mut().ok_or_else(|| DocumentError::Damaged("the document is not loaded".into()))
    }
}

/// The model that a document says it belongs to.
fn type_of(doc: &Automerge) -> Result<Option<ModelName>, DocumentError> {
    Ok(match doc.get(ROOT, "type")? {
        Some((AmValue::Scalar(scalar), _)) => match scalar.as_ref() {
            ScalarValue::Str(name) => Some(ModelName::new(name.as_str())),
            _ => None,
        },
        Some((AmValue::Object(ObjType::Text), id)) => Some(ModelName::new(doc.text(&id)?)),
        _ => None,
    })
}

fn commit_options(at: Millis) -> CommitOptions {
    CommitOptions::default().with_time(at.0.div_euclid(1_000))
}

fn sorted_heads(doc: &Automerge) -> Heads {
    let mut heads: Heads = doc.get_heads().into_iter().map(|hash| Hash(hash.0)).collect();
    heads.sort_unstable();
    heads
}

fn to_automerge(heads: &Heads) -> Vec<ChangeHash> {
    heads.iter().map(|hash| ChangeHash(hash.0)).collect()
}

fn fields_object(doc: &Automerge) -> Option<ObjId> {
    match doc.get(ROOT, "fields") {
        Ok(Some((AmValue::Object(ObjType::Map), id))) => Some(id),
        _ => None,
    }
}

fn op_hash(doc: &Automerge, id: &ObjId) -> Result<Hash, DocumentError> {
    doc.hash_for_opid(id)
        .map(|hash| Hash(hash.0))
        .ok_or_else(|| DocumentError::Damaged("an op belongs to no change".into()))
}
