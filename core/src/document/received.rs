//! Changes that clients made: they come as they are, and what they wrote is read from the document.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use automerge::{
    ActorId, Automerge, Change, ChangeHash, ObjType, PatchAction, Prop, ROOT, ReadDoc, ScalarValue, Value as AmValue,
    legacy, transaction::Transactable,
};

use super::{
    Actor, Document, DocumentError, Log, Put, commit_options, decode, fields_object, op_hash, sorted_heads,
    to_automerge, type_of,
};
use crate::{
    ids::{FieldName, ModelName},
    journal::{Hash, Heads},
    model::{Field, Model},
    policies::Merge,
    time::Millis,
    value::{Fields, Value},
};

/// What one change wrote.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// The model's fields that it wrote.
    pub fields: BTreeMap<FieldName, WrittenField>,
    /// Keys beside the model's fields that it wrote.
    pub strays: BTreeSet<String>,
    /// Whether it marked the record as deleted (`Some(true)`) or took that mark away.
    pub deleted: Option<bool>,
}

/// What one change did to one field.
#[derive(Clone, Debug)]
pub struct WrittenField {
    /// The value that its writer saw before.
    pub old: Value,
    /// The value that its writer sees since.
    pub new: Value,
    /// The changes whose ops the writer saw before, the newest first.
    pub over: Heads,
    /// The change's op is visible in the document. Edits inside a text object, and keys that were removed, leave no such op.
    pub visible: bool,
    /// The writer edited inside the very object that stands in the document.
    pub in_place: bool,
    /// The field now holds an object of another shape than this service would write.
    pub misshapen: bool,
}

impl Document {
    /// A document from a client's changes, which the caller has vetted.
    pub fn from_changes(changes: &[Change]) -> Result<Self, DocumentError> {
        let mut doc = Automerge::new();
        doc.apply_changes(changes.to_vec())?;
        Ok(Self::of(doc))
    }

    /// One of the actor's changes, where it has made any.
    pub fn any_change_of(&mut self, actor: &ActorId) -> Result<Option<Hash>, DocumentError> {
        let changes = self.load()?.get_changes_meta(&[]);
        Ok(changes.iter().find(|change| *change.actor == *actor).map(|change| Hash(change.hash.0)))
    }

    /// A document that is in memory.
    pub fn of(doc: Automerge) -> Self {
        Self {
            heads: sorted_heads(&doc),
            saved: Vec::new(),
            seal: None,
            size: 0,
            loaded: Some(Arc::new(doc)),
            dirty: true,
            log: Log::default(),
        }
    }

    /// The document in memory, for whoever keeps it there.
    pub fn into_automerge(mut self) -> Automerge {
        self.loaded.take().map(Arc::unwrap_or_clone).unwrap_or_default()
    }

    /// The changes after `heads`, each as a chunk of Automerge's format, in an order in which they can be applied.
    pub fn changes_after(&mut self, heads: &Heads) -> Result<Vec<(Hash, Vec<u8>)>, DocumentError> {
        let heads = to_automerge(heads);
        let changes = self.load()?.get_changes(&heads);
        Ok(changes.iter().map(|change| (Hash(change.hash().0), change.raw_bytes().to_vec())).collect())
    }

    /// The document itself, for the sync protocol, which asks for more than a record's values.
    pub fn automerge(&mut self) -> Result<&Automerge, DocumentError> {
        self.load()
    }

    /// Adds a client's change, which the caller has vetted and whose dependencies are there, and reads what it wrote.
    pub fn receive(&mut self, change: &Change, model: &Model) -> Result<Written, DocumentError> {
        let doc = self.load_mut()?;
        doc.apply_changes([change.clone()])?;
        let written = written(doc, change, model)?;
        self.heads = sorted_heads(self.load()?);
        self.dirty = true;
        Ok(written)
    }

    /// Which of these changes the writer of a change with these dependencies had seen.
    pub fn seen_by(&mut self, deps: &[ChangeHash], hashes: &[Hash]) -> Result<BTreeSet<Hash>, DocumentError> {
        let doc = self.load()?;
        let unseen: BTreeSet<ChangeHash> = doc.get_changes_meta(deps).into_iter().map(|meta| meta.hash).collect();
        Ok(hashes.iter().filter(|hash| !unseen.contains(&ChangeHash(hash.0))).copied().collect())
    }

    /// Removes keys that are no fields of the model.
    pub fn remove_strays(
        &mut self,
        actor: &Actor,
        strays: &BTreeSet<String>,
        at: Millis,
    ) -> Result<Option<Hash>, DocumentError> {
        self.change(actor, |doc| {
            let Some(map) = fields_object(doc) else { return Ok(None) };
            let mut tx = doc.transaction();
            for stray in strays {
                tx.delete(&map, stray.as_str())?;
            }
            Ok(tx.commit_with(commit_options(at)).0)
        })
    }

    /// Whether the field holds one object of a shape in which clients edit it in place: a text object.
    pub fn holds_text_object(&mut self, name: &FieldName) -> Result<bool, DocumentError> {
        let doc = self.load()?;
        let Some(map) = fields_object(doc) else { return Ok(false) };
        Ok(matches!(doc.get(&map, name.as_str())?, Some((AmValue::Object(ObjType::Text), _))))
    }

    /// The keys beside the model's fields.
    pub fn strays(&mut self, model: &Model) -> Result<BTreeSet<String>, DocumentError> {
        let doc = self.load()?;
        let Some(map) = fields_object(doc) else { return Ok(BTreeSet::new()) };
        Ok(doc.keys(&map).filter(|key| !model.fields.contains_key(key.as_str())).collect())
    }

    /// Makes the document show these values, and where its content has moved to. Fields that differ are written as the
    /// service's edits.
    pub fn mirror(
        &mut self,
        actor: &Actor,
        model: &Model,
        fields: &Fields,
        deleted: Option<Millis>,
        moved_to: &str,
        at: Millis,
    ) -> Result<(), DocumentError> {
        let shown = self.fields(model)?;
        let blank = Value::Null;
        let mut puts = Vec::new();
        for (name, field) in &model.fields {
            let (old, new) = (shown.get(name).unwrap_or(&blank), fields.get(name).unwrap_or(&blank));
            if !old.same_as(new) {
                puts.push(Put { name, field, old, new, as_text_object: self.holds_text_object(name)? });
            }
        }
        let heads = self.heads.clone();
        if !puts.is_empty() {
            self.write_at(actor, &heads, &puts, at)?;
        }
        self.change(actor, |doc| {
            let mut tx = doc.transaction();
            let shown = tx.get(ROOT, "moved_to")?.and_then(|(value, _)| value.as_str().map(str::to_owned));
            if shown.as_deref() != Some(moved_to) {
                tx.put(ROOT, "moved_to", moved_to)?;
            }
            match (deleted, tx.get(ROOT, "deleted")?.is_some()) {
                (Some(since), false) => tx.put(ROOT, "deleted", ScalarValue::Timestamp(since.0))?,
                (None, true) => tx.delete(ROOT, "deleted")?,
                _ => {}
            }
            Ok(tx.commit_with(commit_options(at)).0)
        })?;
        Ok(())
    }

    /// Makes the document say no longer that its content has moved.
    pub fn stay(&mut self, actor: &Actor, at: Millis) -> Result<(), DocumentError> {
        self.change(actor, |doc| {
            let mut tx = doc.transaction();
            if tx.get(ROOT, "moved_to")?.is_some() {
                tx.delete(ROOT, "moved_to")?;
            }
            Ok(tx.commit_with(commit_options(at)).0)
        })?;
        Ok(())
    }

    /// Whether the document says that its record is deleted.
    pub fn says_deleted(&mut self) -> Result<bool, DocumentError> {
        Ok(marks_deleted(self.load()?, None))
    }

    /// The model that a document says it belongs to, and whether it has fields; `None` where it names no model.
    pub fn says_type(doc: &Automerge) -> Result<Option<(ModelName, bool)>, DocumentError> {
        Ok(type_of(doc)?.map(|model| (model, fields_object(doc).is_some())))
    }

    /// Whether the field holds an object of another shape than this service would write.
    pub fn is_misshapen(&mut self, name: &FieldName, field: &Field) -> Result<bool, DocumentError> {
        misshapen(self.load()?, name, field)
    }
}

/// Whether the document, now or as of these heads, marks its record as deleted: by a time, `true`, or anything else that does not
/// plainly say no.
fn marks_deleted(doc: &Automerge, heads: Option<&[ChangeHash]>) -> bool {
    let mark = match heads {
        Some(heads) => doc.get_at(ROOT, "deleted", heads),
        None => doc.get(ROOT, "deleted"),
    };
    match mark {
        Ok(Some((AmValue::Scalar(scalar), _))) => {
            !matches!(scalar.as_ref(), ScalarValue::Null | ScalarValue::Boolean(false) | ScalarValue::Int(0))
        }
        Ok(mark) => mark.is_some(),
        Err(_) => false,
    }
}

/// The key at the root, other than `deleted`, that a change touches: a record's document has a fixed shape, and a second map of
/// fields would hide the first.
pub fn root_touched_by(change: &Change) -> Option<String> {
    change.decode().operations.into_iter().find_map(|op| match (op.obj, op.key) {
        (legacy::ObjectId::Root, legacy::Key::Map(key)) if key != "deleted" => Some(key.to_string()),
        _ => None,
    })
}

/// What two writers who both began with `old` made of it together.
pub fn merge_texts(old: &str, ours: &str, theirs: &str) -> Result<String, DocumentError> {
    let mut doc = Automerge::new();
    let mut tx = doc.transaction();
    let text = tx.put_object(ROOT, "text", ObjType::Text)?;
    tx.splice_text(&text, 0, 0, old)?;
    tx.commit();
    // The two actors' order decides whose insertion comes first at one place; it is the same at every replay.
    let mut other = doc.fork().with_actor(ActorId::from([1]));
    for (doc, new) in [(&mut doc, ours), (&mut other, theirs)] {
        let mut tx = doc.transaction();
        tx.update_text(&text, new)?;
        tx.commit();
    }
    doc.merge(&mut other)?;
    Ok(doc.text(&text)?)
}

fn written(doc: &Automerge, change: &Change, model: &Model) -> Result<Written, DocumentError> {
    let (own, deps) = (Hash(change.hash().0), change.deps());
    let touched = touched(doc, change);
    let mut written =
        Written { deleted: touched.deleted.then(|| marks_deleted(doc, Some(&[change.hash()]))), ..Written::default() };
    let Some(map) = fields_object(doc) else { return Ok(written) };
    for key in doc.keys(&map).filter(|key| touched.keys.contains(key) && !model.fields.contains_key(key.as_str())) {
        written.strays.insert(key);
    }
    let after = [change.hash()];
    for (name, field) in &model.fields {
        let standing = doc.get_all(&map, name.as_str())?;
        let hashes = standing.iter().map(|(_, id)| op_hash(doc, id)).collect::<Result<Heads, _>>()?;
        let visible = hashes.contains(&own);
        if !visible && !touched.keys.contains(name.as_str()) {
            continue;
        }
        let before = doc.get_all_at(&map, name.as_str(), deps)?;
        let read = |found: Option<&(AmValue<'_>, automerge::ObjId)>, heads: &[ChangeHash]| {
            found.map_or(Ok(Value::Null), |(value, id)| decode(doc, field, value, id, Some(heads)))
        };
        let now = doc.get_all_at(&map, name.as_str(), &after)?;
        let same_object = before.last().map(|(_, id)| id) == standing.last().map(|(_, id)| id);
        written.fields.insert(
            name.clone(),
            WrittenField {
                old: read(before.last(), deps)?,
                new: read(now.last(), &after)?,
                over: before.iter().rev().map(|(_, id)| op_hash(doc, id)).collect::<Result<_, _>>()?,
                visible,
                in_place: !visible && same_object && !before.is_empty(),
                misshapen: misshapen(doc, name, field)?,
            },
        );
    }
    Ok(written)
}

/// The keys that a change touched.
#[derive(Default)]
struct Touched {
    keys: BTreeSet<String>,
    deleted: bool,
}

/// Compares the document as the change's writer saw it before with how the writer sees it since.
fn touched(doc: &Automerge, change: &Change) -> Touched {
    let mut touched = Touched::default();
    for patch in doc.diff(change.deps(), &[change.hash()]) {
        let mut keys = patch.path.iter().map(|(_, prop)| prop);
        let own = match &patch.action {
            PatchAction::PutMap { key, .. } | PatchAction::DeleteMap { key } => Some(key.as_str()),
            PatchAction::Increment { prop: Prop::Map(key), .. } | PatchAction::Conflict { prop: Prop::Map(key) } => {
                Some(key.as_str())
            }
            _ => None,
        };
        match (keys.next(), keys.next(), own) {
            (None, _, Some("deleted")) => touched.deleted = true,
            (Some(Prop::Map(root)), Some(Prop::Map(key)), _) if root == "fields" => {
                touched.keys.insert(key.clone());
            }
            (Some(Prop::Map(root)), None, Some(key)) if root == "fields" => {
                touched.keys.insert(key.to_owned());
            }
            _ => {}
        }
    }
    touched
}

fn misshapen(doc: &Automerge, name: &FieldName, field: &Field) -> Result<bool, DocumentError> {
    let Some(map) = fields_object(doc) else { return Ok(false) };
    let Some((value, _)) = doc.get(&map, name.as_str())? else { return Ok(false) };
    Ok(match (field.policy.merge(), &value) {
        (_, AmValue::Object(ObjType::List | ObjType::Table)) => true,
        (Merge::Set, value) => !matches!(value, AmValue::Object(ObjType::Map)),
        (_, AmValue::Object(ObjType::Map)) => true,
        (Merge::Text, AmValue::Scalar(scalar)) => !scalar.is_null(),
        _ => false,
    })
}
