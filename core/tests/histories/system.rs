//! A simulated provider holding one object: its clock, its history, its ways of respelling what it is given.

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
}

/// One value that a field held.
#[derive(Clone, Debug)]
struct Entry {
    value: Value,
    at: Millis,
    by_us: bool,
}

/// The provider with its one object.
#[derive(Clone, Debug)]
pub(crate) struct System {
    pub(crate) kind: Kind,
    pub(crate) id: ExternalId,
    pub(crate) exists: bool,
    pub(crate) deleted: bool,
    stamp: Millis,
    fields: BTreeMap<FieldName, Vec<Entry>>,
    /// What a search index would still show.
    indexed: Option<(Fields, Millis)>,
    /// How many of our writes changed nothing.
    pub(crate) redundant: u64,
    generation: u32,
}

impl System {
    pub(crate) fn new(kind: Kind, name: &str) -> Self {
        Self {
            kind,
            id: ExternalId::new(format!("{name}-0")),
            exists: false,
            deleted: false,
            stamp: Millis(0),
            fields: BTreeMap::new(),
            indexed: None,
            redundant: 0,
            generation: 0,
        }
    }

    pub(crate) fn value(&self, name: &FieldName) -> Value {
        self.fields.get(name).and_then(|entries| entries.last()).map_or(Value::Null, |entry| entry.value.clone())
    }

    pub(crate) fn values(&self) -> Fields {
        self.fields.keys().map(|name| (name.clone(), self.value(name))).collect()
    }

    fn normalise(&self, value: &Value) -> Value {
        match value {
            Value::Text(text) if self.kind.lowers => Value::text(text.to_lowercase()),
            value => value.clone(),
        }
    }

    /// Somebody sets fields; returns the stored values.
    pub(crate) fn set(&mut self, values: &Fields, names: &[FieldName], by_us: bool, now: Millis) {
        self.indexed = Some((self.values(), self.stamp));
        if !self.exists || self.deleted {
            self.generation += 1;
            let stem = self.id.as_str().rsplit_once('-').map_or("x", |(stem, _)| stem).to_owned();
            self.id = ExternalId::new(format!("{stem}-{}", self.generation));
            self.fields = names.iter().map(|name| (name.clone(), Vec::new())).collect();
            self.exists = true;
            self.deleted = false;
        }
        let mut changed = false;
        for (name, value) in values {
            let value = self.normalise(value);
            changed |= self.value(name) != value;
            self.fields.entry(name.clone()).or_default().push(Entry { value, at: now, by_us });
        }
        if by_us && !changed {
            self.redundant += 1;
        }
        let precision = i64::from(self.kind.precision_ms);
        self.stamp = Millis(now.0.div_euclid(precision) * precision).max(self.stamp);
    }

    pub(crate) fn version(&self) -> RemoteVersion {
        RemoteVersion { stamp: self.stamp, precision_ms: self.kind.precision_ms }
    }

    /// What a consistent read shows.
    pub(crate) fn read(&self, begun: Tick, source: Source) -> Observation {
        let mut observation = Observation {
            id: self.id.clone(),
            aliases: Vec::new(),
            deleted: self.deleted,
            fields: self.values(),
            clocks: BTreeMap::new(),
            past: BTreeMap::new(),
            version: Some(self.version()),
            source,
            begun,
            key: None,
        };
        if self.kind.history && source == Source::ById {
            for (name, entries) in &self.fields {
                let newest_first = entries.iter().rev();
                let past =
                    newest_first.map(|entry| Past { value: entry.value.clone(), at: entry.at, by_us: entry.by_us });
                observation.past.insert(name.clone(), past.collect());
                if let Some(newest) = entries.last() {
                    let clock = Clock { at: newest.at, precision_ms: 1, kind: ClockKind::Field };
                    observation.clocks.insert(name.clone(), clock);
                }
            }
        }
        observation
    }

    /// What a search index shows, which may be the object before its last change.
    pub(crate) fn read_index(&self, begun: Tick, lags: bool) -> Observation {
        let mut observation = self.read(begun, Source::List);
        if let (true, Some((fields, stamp))) = (lags, &self.indexed) {
            observation.fields = fields.clone();
            observation.deleted = false;
            observation.version = Some(RemoteVersion { stamp: *stamp, precision_ms: self.kind.precision_ms });
        }
        observation
    }

    /// Our write arrives; `false`: refused because somebody wrote since.
    pub(crate) fn write(
        &mut self,
        fields: &Fields,
        expected: Option<RemoteVersion>,
        names: &[FieldName],
        now: Millis,
    ) -> bool {
        let stale =
            self.kind.conditional && self.exists && expected.is_some_and(|expected| expected.stamp < self.stamp);
        if !stale {
            self.set(fields, names, true, now);
        }
        !stale
    }
}
