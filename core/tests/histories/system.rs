//! A simulated provider holding one entity: its clock, its history, its ways of respelling what it is given. Where the
//! object was deleted, a new one takes its place; the old one can still be read by its id.

use std::collections::BTreeMap;

use syncline_core::{
    ids::{ExternalId, FieldName},
    remote::RemoteVersion,
    replica::{Observation, Past, Source},
    time::{Clock, ClockKind, Millis, Tick},
    value::{Fields, Value},
};

/// How a provider behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// How coarse its stamps are.
    pub(crate) precision_ms: u32,
    /// Whether it keeps a history of fields.
    pub(crate) history: bool,
    /// Whether it refuses a write that follows somebody else's.
    pub(crate) conditional: bool,
    /// Whether it lower-cases text without declaring it.
    pub(crate) lowers: bool,
    /// Whether a deleted object's values can still be read.
    pub(crate) keeps_deleted: bool,
    /// Whether it shows a deleted object with blanks, where its values cannot be read.
    pub(crate) empties_deleted: bool,
    /// Whether there are texts that it cannot take.
    pub(crate) refuses: bool,
}

impl Kind {
    /// Whether an edit between our look and our write is overwritten without a trace, unless a reading glimpses it.
    pub(crate) fn is_blind(&self) -> bool {
        !self.history && !self.conditional
    }
}

/// One value that a field held.
#[derive(Clone, Debug)]
struct Entry {
    value: Value,
    at: Millis,
    by_us: bool,
}

/// One object.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) id: ExternalId,
    pub(crate) deleted: bool,
    stamp: Millis,
    fields: BTreeMap<FieldName, Vec<Entry>>,
}

/// What a search index shows of an object.
#[derive(Clone, Debug)]
struct Row {
    id: ExternalId,
    fields: Fields,
    stamp: Millis,
}

/// The provider with its objects, the present one last.
#[derive(Clone, Debug)]
pub(crate) struct System {
    pub(crate) kind: Kind,
    name: String,
    objects: Vec<Object>,
    /// What a search index would still show.
    indexed: Option<Row>,
    /// How many of our writes changed nothing.
    pub(crate) redundant: u64,
}

impl Object {
    fn value(&self, name: &FieldName) -> Value {
        self.fields.get(name).and_then(|entries| entries.last()).map_or(Value::Null, |entry| entry.value.clone())
    }

    pub(crate) fn values(&self) -> Fields {
        self.fields.keys().map(|name| (name.clone(), self.value(name))).collect()
    }

    fn row(&self) -> Row {
        Row { id: self.id.clone(), fields: self.values(), stamp: self.stamp }
    }
}

impl System {
    pub(crate) fn new(kind: Kind, name: &str) -> Self {
        Self { kind, name: name.to_owned(), objects: Vec::new(), indexed: None, redundant: 0 }
    }

    /// The present object, deleted or not.
    pub(crate) fn object(&self) -> Option<&Object> {
        self.objects.last()
    }

    /// The present object, if it lives.
    pub(crate) fn live(&self) -> Option<&Object> {
        self.object().filter(|object| !object.deleted)
    }

    pub(crate) fn value(&self, name: &FieldName) -> Value {
        self.object().map_or(Value::Null, |object| object.value(name))
    }

    /// Every value that users gave the present object.
    pub(crate) fn held_by_users(&self) -> Vec<(FieldName, Value)> {
        let values = |(name, entries): (&FieldName, &Vec<Entry>)| {
            let users = entries.iter().filter(|entry| !entry.by_us);
            users.map(|entry| (name.clone(), entry.value.clone())).collect::<Vec<_>>()
        };
        self.object().into_iter().flat_map(|object| object.fields.iter().flat_map(values)).collect()
    }

    /// Whether it cannot take the value: texts whose number ends with a 3 or a 7, in systems that cannot take everything.
    pub(crate) fn refuses(&self, value: &Value) -> bool {
        self.kind.refuses && matches!(value, Value::Text(text) if text.ends_with(['3', '7']))
    }

    /// Somebody restores the present object.
    pub(crate) fn restore(&mut self, now: Millis) {
        let stamp = self.stamped(now);
        if let Some(object) = self.objects.last_mut() {
            object.deleted = false;
            object.stamp = stamp;
        }
    }

    fn normalise(&self, value: &Value) -> Value {
        match value {
            Value::Text(text) if self.kind.lowers => Value::text(text.to_lowercase()),
            value => value.clone(),
        }
    }

    /// Somebody sets fields of the present object, or of a new one where none lives.
    pub(crate) fn set(&mut self, values: &Fields, names: &[FieldName], by_us: bool, now: Millis) {
        self.indexed = self.object().map(Object::row);
        if self.live().is_none() {
            let id = ExternalId::new(format!("{}-{}", self.name, self.objects.len()));
            let fields = names.iter().map(|name| (name.clone(), Vec::new())).collect();
            self.objects.push(Object { id, deleted: false, stamp: now, fields });
        }
        let values: Fields = values.iter().map(|(name, value)| (name.clone(), self.normalise(value))).collect();
        let stamp = self.stamped(now);
        let Some(object) = self.objects.last_mut() else { return };
        for (name, value) in values {
            object.fields.entry(name).or_default().push(Entry { value, at: now, by_us });
        }
        object.stamp = stamp;
    }

    /// Somebody deletes the present object.
    pub(crate) fn delete(&mut self, now: Millis) {
        self.indexed = self.object().map(Object::row);
        let stamp = self.stamped(now);
        if let Some(object) = self.objects.last_mut() {
            object.deleted = true;
            object.stamp = stamp;
        }
    }

    fn stamped(&self, now: Millis) -> Millis {
        let precision = i64::from(self.kind.precision_ms);
        Millis(now.0.div_euclid(precision) * precision)
    }

    /// Whether somebody wrote since a reading with this version.
    pub(crate) fn is_stale(&self, expected: Option<RemoteVersion>) -> bool {
        let stamp = self.live().map(|object| object.stamp);
        self.kind.conditional && expected.is_some_and(|expected| stamp.is_some_and(|stamp| expected.stamp < stamp))
    }

    /// Counts a write of ours that changes nothing, although we saw all that stood there.
    pub(crate) fn count_redundant(&mut self, values: &Fields, expected: Option<RemoteVersion>) {
        let Some(object) = self.live() else { return };
        let seen = expected.is_some_and(|expected| object.stamp <= expected.stamp);
        let changed = values.iter().any(|(name, value)| object.value(name) != self.normalise(value));
        self.redundant += u64::from(seen && !changed);
    }

    /// Whether a reading shows the past.
    pub(crate) fn is_past(&self, observation: &Observation) -> bool {
        let Some(object) = self.object() else { return false };
        object.id != observation.id || observation.version.is_some_and(|version| version.stamp < object.stamp)
    }

    /// What a consistent read of the present object shows.
    pub(crate) fn read(&self, begun: Tick, source: Source) -> Option<Observation> {
        self.object().map(|object| self.show(object, begun, source))
    }

    /// What a read of any object by its id shows.
    pub(crate) fn read_by_id(&self, id: &ExternalId, begun: Tick) -> Option<Observation> {
        self.objects.iter().find(|object| object.id == *id).map(|object| self.show(object, begun, Source::ById))
    }

    fn show(&self, object: &Object, begun: Tick, source: Source) -> Observation {
        let legible = !object.deleted || self.kind.keeps_deleted;
        let mut observation = Observation {
            id: object.id.clone(),
            aliases: Vec::new(),
            deleted: object.deleted,
            fields: match legible {
                true => object.values(),
                false if self.kind.empties_deleted => {
                    object.fields.keys().map(|name| (name.clone(), Value::Null)).collect()
                }
                false => Fields::new(),
            },
            clocks: BTreeMap::new(),
            past: BTreeMap::new(),
            version: Some(RemoteVersion { stamp: object.stamp, precision_ms: self.kind.precision_ms }),
            source,
            begun,
            key: None,
        };
        if self.kind.history && source == Source::ById && legible {
            object.fields.iter().for_each(|(name, entries)| show_history(name, entries, &mut observation));
        }
        observation
    }

    /// What a search index shows, which may be the object before its last change.
    pub(crate) fn read_index(&self, begun: Tick, lags: bool) -> Option<Observation> {
        let mut observation = self.read(begun, Source::List)?;
        if let (true, Some(row)) = (lags, &self.indexed) {
            observation.id = row.id.clone();
            observation.fields = row.fields.clone();
            observation.deleted = false;
            observation.version = Some(RemoteVersion { stamp: row.stamp, precision_ms: self.kind.precision_ms });
        }
        // Lists leave deleted objects out.
        (!observation.deleted).then_some(observation)
    }
}

fn show_history(name: &FieldName, entries: &[Entry], observation: &mut Observation) {
    let newest_first = entries.iter().rev();
    let past = newest_first.map(|entry| Past {
        value: entry.value.clone(),
        at: entry.at,
        stamp: entry.at,
        by_us: entry.by_us,
    });
    observation.past.insert(name.clone(), past.collect());
    if let Some(newest) = entries.last() {
        let clock = Clock { at: newest.at, precision_ms: 1, kind: ClockKind::Field };
        observation.clocks.insert(name.clone(), clock);
    }
}
