//! The records of one object type and every change that the platform makes to them.
//!
//! Nothing here knows HTTP, chance or the wall clock: what varies comes in with [`Write`].

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::{Map, Value};

use super::author::Author;
use super::index::{Image, SearchIndex};
use super::normalise::{Invalid, Rules, Stored, fold_email, normalise, raw_text};
use super::packed::Packed;
use super::record::{Record, RecordId};
use super::schema::{ObjectKind, PropertyId, Rule, Schema};
use super::standard;

/// The circumstances of a write.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Write {
    /// When, in milliseconds since 1970.
    pub(crate) at_ms: i64,
    /// By whom.
    pub(crate) author: Author,
    /// The account's rules.
    pub(crate) rules: Rules,
    /// When a search sees it; at once where absent.
    pub(crate) indexed_ms: Option<i64>,
    /// The stage that a new contact gets where none is given.
    pub(crate) default_stage: Option<&'static str>,
}

/// One field of a change.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FieldChange {
    /// The property's name.
    pub(crate) name: String,
    /// The stored value before.
    pub(crate) before: Option<String>,
    /// The value as it was sent; null where the platform moved the field.
    pub(crate) sent: Value,
    /// The stored value after.
    pub(crate) after: Option<String>,
}

impl FieldChange {
    /// Whether the stored value differs.
    pub(crate) fn is_change(&self) -> bool {
        self.before != self.after
    }
}

/// An accepted write.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Change {
    /// The record.
    pub(crate) id: RecordId,
    /// What was sent and what became of it.
    pub(crate) fields: Vec<FieldChange>,
    /// The change time before; absent for a creation.
    pub(crate) stamp_before: Option<i64>,
    /// The change time after.
    pub(crate) stamp_after: i64,
}

/// A refused write.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Refusal {
    /// No live record under that id.
    NotFound,
    /// Values that the definitions refuse.
    Invalid(Vec<Invalid>),
    /// Another live contact has the e-mail address.
    EmailTaken(RecordId),
    /// Another live record has the value of a unique property.
    ValueTaken {
        /// The property.
        property: String,
        /// The value.
        value: String,
        /// Who has it.
        existing: RecordId,
    },
    /// The address was erased for privacy and may not come back.
    EmailBlocked(String),
}

/// The prepared values of a write: one entry per property.
type Prepared = Vec<(PropertyId, Value, Stored)>;

/// The records of one object type.
#[derive(Debug)]
pub(crate) struct Table {
    kind: ObjectKind,
    pub(super) schema: Schema,
    pub(super) records: BTreeMap<RecordId, Record>,
    /// The archived among the records, so that listing them does not walk the live ones.
    archived: BTreeSet<RecordId>,
    /// Ids of merged records, with the record in which they live on.
    pub(super) aliases: HashMap<RecordId, RecordId>,
    /// The holders of unique values among the live records.
    unique: HashMap<PropertyId, HashMap<Box<str>, RecordId>>,
    blocked_emails: HashSet<String>,
    /// Records that something inside the platform holds.
    locked: HashSet<RecordId>,
    index: SearchIndex,
    next_id: RecordId,
}

/// The first id that a table gives.
const FIRST_ID: RecordId = 100_001;

impl Table {
    /// An empty table with the standard properties.
    pub(crate) fn new(kind: ObjectKind) -> Self {
        Self {
            kind,
            schema: standard::schema(kind),
            records: BTreeMap::new(),
            archived: BTreeSet::new(),
            aliases: HashMap::new(),
            unique: HashMap::new(),
            blocked_emails: HashSet::new(),
            locked: HashSet::new(),
            index: SearchIndex::default(),
            next_id: FIRST_ID,
        }
    }

    /// The object type.
    pub(crate) fn kind(&self) -> ObjectKind {
        self.kind
    }

    /// Holds a live record against the app, or lets go of it. Returns whether there is one.
    pub(crate) fn set_locked(&mut self, id: RecordId, locked: bool) -> bool {
        let Some((id, _)) = self.live(id) else { return false };
        if locked {
            self.locked.insert(id)
        } else {
            self.locked.remove(&id)
        };
        true
    }

    /// Whether something inside the platform holds the record.
    pub(crate) fn is_locked(&self, id: RecordId) -> bool {
        self.locked.contains(&self.resolve(id))
    }

    /// The property definitions.
    pub(crate) fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The property definitions, to add to them.
    pub(crate) fn schema_mut(&mut self) -> &mut Schema {
        &mut self.schema
    }

    /// The search index.
    pub(crate) fn index(&self) -> &SearchIndex {
        &self.index
    }

    /// Makes visible in the index what is due.
    pub(crate) fn advance_index(&mut self, now_ms: i64) {
        self.index.advance(now_ms);
    }

    /// How many records are live.
    pub(crate) fn live_count(&self) -> usize {
        self.records.len() - self.archived.len()
    }

    /// The records from an id on, live and archived, in the order of the ids.
    pub(crate) fn from(&self, first: RecordId) -> impl Iterator<Item = (RecordId, &Record)> {
        self.records.range(first..).map(|(id, record)| (*id, record))
    }

    /// The archived records from an id on.
    pub(crate) fn archived_from(&self, first: RecordId) -> impl Iterator<Item = (RecordId, &Record)> {
        self.archived.range(first..).filter_map(|id| self.records.get(id).map(|record| (*id, record)))
    }

    /// The id under which a record lives, after any merges.
    pub(crate) fn resolve(&self, id: RecordId) -> RecordId {
        let mut id = id;
        while let Some(survivor) = self.aliases.get(&id) {
            id = *survivor;
        }
        id
    }

    /// A record by id, live or archived, after any merges.
    pub(crate) fn get(&self, id: RecordId) -> Option<(RecordId, &Record)> {
        let id = self.resolve(id);
        self.records.get(&id).map(|record| (id, record))
    }

    /// A live record by id.
    pub(crate) fn live(&self, id: RecordId) -> Option<(RecordId, &Record)> {
        self.get(id).filter(|(_, record)| record.archived_ms.is_none())
    }

    /// The live record that has a value of a unique property.
    pub(crate) fn holder(&self, property: PropertyId, value: &str) -> Option<RecordId> {
        let key = self.unique_key(property, value);
        self.unique.get(&property).and_then(|holders| holders.get(key.as_str())).copied()
    }

    fn unique_key(&self, property: PropertyId, value: &str) -> String {
        match self.schema.get(property).rule {
            Rule::Email => fold_email(value),
            _ => value.to_owned(),
        }
    }

    /// Creates a record.
    pub(crate) fn create(&mut self, values: &Map<String, Value>, write: &Write) -> Result<Change, Refusal> {
        let mut prepared = self.prepare(values, None, write.rules)?;
        self.check_unique(&prepared, None)?;
        if let (Some(stage), Some(id)) = (write.default_stage, self.schema.find("lifecyclestage"))
            && prepared.iter().all(|(property, _, stored)| *property != id || !matches!(stored, Stored::Text(_)))
        {
            prepared.push((id, Value::Null, Stored::Text(stage.to_owned())));
        }
        let fields = self.field_changes(&prepared, &Packed::default());
        let packed = Packed::new(prepared.iter().filter_map(|(id, _, stored)| match stored {
            Stored::Text(text) => Some((*id, text.as_str())),
            Stored::Cleared | Stored::Kept => None,
        }));
        let id = self.insert(Record::new(packed, write.at_ms, write.author), write.indexed_ms);
        Ok(Change { id, fields, stamp_before: None, stamp_after: write.at_ms })
    }

    /// The unique values that a write would take, or why it would be refused. Nothing is changed.
    pub(crate) fn claims(
        &self,
        target: Option<RecordId>,
        values: &Map<String, Value>,
        rules: Rules,
    ) -> Result<Vec<(PropertyId, String)>, Refusal> {
        let record = target.and_then(|id| self.live(id)).map(|(_, record)| record);
        let prepared = self.prepare(values, record, rules)?;
        self.check_unique(&prepared, target)?;
        let unique = prepared.into_iter().filter(|(id, _, _)| self.schema.get(*id).unique);
        Ok(unique
            .filter_map(|(id, _, stored)| match stored {
                Stored::Text(text) => Some((id, self.unique_key(id, &text))),
                Stored::Cleared | Stored::Kept => None,
            })
            .collect())
    }

    /// Adds a record with a fresh id, and makes it findable.
    pub(crate) fn insert(&mut self, record: Record, indexed_ms: Option<i64>) -> RecordId {
        let id = self.next_id;
        self.next_id += 1;
        self.hold_unique(id, &record.values);
        self.index.put(id, None, &record, indexed_ms);
        self.records.insert(id, record);
        id
    }

    /// Writes to a live record.
    pub(crate) fn update(
        &mut self,
        id: RecordId,
        values: &Map<String, Value>,
        write: &Write,
    ) -> Result<Change, Refusal> {
        let (id, record) = self.live(id).ok_or(Refusal::NotFound)?;
        let prepared = self.prepare(values, Some(record), write.rules)?;
        self.check_unique(&prepared, Some(id))?;
        let fields = self.field_changes(&prepared, &record.values);
        let (stamp_before, current) = (record.modified_ms, record.values.clone());
        let changes: Vec<(PropertyId, Option<&str>)> = prepared
            .iter()
            .filter_map(|(property, _, stored)| match stored {
                Stored::Text(text) => Some((*property, Some(text.as_str()))),
                Stored::Cleared => Some((*property, None)),
                Stored::Kept => None,
            })
            .filter(|(property, text)| current.get(*property) != *text)
            .collect();
        if changes.is_empty() {
            return Ok(Change { id, fields, stamp_before: Some(stamp_before), stamp_after: stamp_before });
        }
        let stamp_after = self.change(id, &changes, write);
        Ok(Change { id, fields, stamp_before: Some(stamp_before), stamp_after })
    }

    /// Applies changes to a record that exists, and returns the new change time.
    pub(super) fn change(&mut self, id: RecordId, changes: &[(PropertyId, Option<&str>)], write: &Write) -> i64 {
        let Some(record) = self.records.get_mut(&id) else { return write.at_ms };
        let before = Image::of(record);
        if changes.is_empty() {
            record.modified_ms = record.modified_ms.max(write.at_ms);
        } else {
            record.apply(self.kind, changes, write.at_ms, write.author);
        }
        let (stamp, after) = (record.modified_ms, record.values.clone());
        self.index.put(id, Some(before.clone()), record, write.indexed_ms);
        self.release_unique(id, &before.values);
        self.hold_unique(id, &after);
        stamp
    }

    /// Moves a live record's change time and nothing else.
    pub(crate) fn touch(&mut self, id: RecordId, write: &Write) -> Option<Change> {
        let (id, record) = self.live(id)?;
        let stamp_before = Some(record.modified_ms);
        let stamp_after = self.change(id, &[], write);
        Some(Change { id, fields: Vec::new(), stamp_before, stamp_after })
    }

    /// The live record that stands at a share (0 to 1) of the way through the ids, or the next one.
    pub(crate) fn any_live(&self, share: f64) -> Option<RecordId> {
        // Both conversions only choose a record at random, so that rounding does no harm.
        let offset = ((self.next_id - FIRST_ID) as f64 * share) as RecordId;
        self.from(FIRST_ID + offset).find(|(_, record)| record.archived_ms.is_none()).map(|(id, _)| id)
    }

    /// Archives a live record.
    pub(crate) fn archive(&mut self, id: RecordId, at_ms: i64) -> Result<Change, Refusal> {
        let (id, _) = self.live(id).ok_or(Refusal::NotFound)?;
        let record = self.records.get_mut(&id).ok_or(Refusal::NotFound)?;
        record.archived_ms = Some(at_ms);
        let stamp_before = record.modified_ms;
        self.index.remove(id, record);
        record.modified_ms = record.modified_ms.max(at_ms);
        let change =
            Change { id, fields: Vec::new(), stamp_before: Some(stamp_before), stamp_after: record.modified_ms };
        let values = record.values.clone();
        self.release_unique(id, &values);
        self.archived.insert(id);
        Ok(change)
    }

    /// Brings an archived record back, unless another live one has its unique values by now.
    pub(crate) fn restore(&mut self, id: RecordId, write: &Write) -> Result<Change, Refusal> {
        let id = self.resolve(id);
        if !self.archived.contains(&id) {
            return Err(Refusal::NotFound);
        }
        let values = self.records.get(&id).map(|record| record.values.clone()).unwrap_or_default();
        let held: Prepared =
            values.iter().map(|(property, text)| (property, Value::Null, Stored::Text(text.to_owned()))).collect();
        self.check_unique(&held, Some(id))?;
        let record = self.records.get_mut(&id).ok_or(Refusal::NotFound)?;
        let stamp_before = record.modified_ms;
        record.archived_ms = None;
        record.modified_ms = record.modified_ms.max(write.at_ms);
        let stamp_after = record.modified_ms;
        self.index.put(id, None, record, write.indexed_ms);
        self.archived.remove(&id);
        self.hold_unique(id, &values);
        Ok(Change { id, fields: Vec::new(), stamp_before: Some(stamp_before), stamp_after })
    }

    /// Erases a record for privacy, archived or not, and bars its address for ever.
    pub(crate) fn erase(&mut self, id: RecordId) -> Result<Change, Refusal> {
        let id = self.resolve(id);
        let record = self.records.remove(&id).ok_or(Refusal::NotFound)?;
        if !self.archived.remove(&id) {
            self.index.remove(id, &record);
        }
        self.release_unique(id, &record.values);
        if let Some(email) = self.schema.find("email").and_then(|property| record.values.get(property)) {
            self.blocked_emails.insert(fold_email(email));
        }
        Ok(Change { id, fields: Vec::new(), stamp_before: Some(record.modified_ms), stamp_after: record.modified_ms })
    }

    /// Bars an address that no record has.
    pub(crate) fn block_email(&mut self, email: &str) {
        self.blocked_emails.insert(fold_email(email));
    }

    /// Takes a live record out of the table without a trace.
    pub(super) fn take_out(&mut self, id: RecordId) -> Option<Record> {
        let record = self.records.remove(&id)?;
        self.index.remove(id, &record);
        self.release_unique(id, &record.values);
        Some(record)
    }

    /// Checks and normalises every value of a write; all refusals come at once.
    fn prepare(&self, values: &Map<String, Value>, record: Option<&Record>, rules: Rules) -> Result<Prepared, Refusal> {
        let mut prepared: Prepared = Vec::with_capacity(values.len());
        let mut invalid = Vec::new();
        for (name, value) in values {
            let Some(id) = self.schema.find(name) else {
                let message = format!("Property \"{name}\" does not exist");
                invalid.push(Invalid::new(name, "PROPERTY_DOESNT_EXIST", message));
                continue;
            };
            let current = record.and_then(|record| record.values.get(id));
            let stored = raw_text(name, value).and_then(|raw| normalise(self.schema.get(id), &raw, current, rules));
            match stored {
                Ok(stored) => prepared.push((id, value.clone(), stored)),
                Err(reason) => invalid.push(reason),
            }
        }
        if invalid.is_empty() { Ok(prepared) } else { Err(Refusal::Invalid(invalid)) }
    }

    fn field_changes(&self, prepared: &Prepared, current: &Packed) -> Vec<FieldChange> {
        prepared
            .iter()
            .map(|(id, sent, stored)| {
                let before = current.get(*id).map(str::to_owned);
                let after = match stored {
                    Stored::Text(text) => Some(text.clone()),
                    Stored::Cleared => None,
                    Stored::Kept => before.clone(),
                };
                FieldChange { name: self.schema.get(*id).name.clone(), before, sent: sent.clone(), after }
            })
            .collect()
    }

    /// Refuses values of unique properties that another live record has.
    fn check_unique(&self, prepared: &Prepared, own: Option<RecordId>) -> Result<(), Refusal> {
        for (id, _, stored) in prepared {
            let property = self.schema.get(*id);
            let Stored::Text(value) = stored else { continue };
            if !property.unique {
                continue;
            }
            if property.rule == Rule::Email && self.blocked_emails.contains(value) {
                return Err(Refusal::EmailBlocked(value.clone()));
            }
            match self.holder(*id, value).filter(|existing| own != Some(*existing)) {
                None => {}
                Some(existing) if property.rule == Rule::Email => return Err(Refusal::EmailTaken(existing)),
                Some(existing) => {
                    return Err(Refusal::ValueTaken {
                        property: property.name.clone(),
                        value: value.clone(),
                        existing,
                    });
                }
            }
        }
        Ok(())
    }

    /// The unique values of a record: property and key. Further addresses of a merged contact count
    /// as addresses.
    fn unique_values(&self, values: &Packed) -> Vec<(PropertyId, String)> {
        let mut keys: Vec<(PropertyId, String)> = values
            .iter()
            .filter(|(property, _)| self.schema.get(*property).unique)
            .map(|(property, text)| (property, self.unique_key(property, text)))
            .collect();
        if let (Some(email), Some(more)) = (self.schema.find("email"), self.schema.find("hs_additional_emails")) {
            keys.extend(
                values.get(more).into_iter().flat_map(|list| list.split(';')).map(|text| (email, fold_email(text))),
            );
        }
        keys
    }

    fn hold_unique(&mut self, id: RecordId, values: &Packed) {
        for (property, key) in self.unique_values(values) {
            self.unique.entry(property).or_default().entry(key.into()).or_insert(id);
        }
    }

    fn release_unique(&mut self, id: RecordId, values: &Packed) {
        for (property, key) in self.unique_values(values) {
            if let Some(holders) = self.unique.get_mut(&property)
                && holders.get(key.as_str()) == Some(&id)
            {
                holders.remove(key.as_str());
            }
        }
    }
}
