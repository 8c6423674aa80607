//! A provider that holds one object with a name and a phone number.

use std::collections::BTreeMap;

use syncline_core::{
    ids::FieldName,
    reconcile::Receipt,
    remote::RemoteVersion,
    replica::{Intent, Observation, Past, Source},
    time::{Clock, ClockKind, Millis, Tick},
    value::{Fields, Value},
};

/// How it behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// How coarse its stamps are.
    pub(crate) precision_ms: u32,
    /// Whether it refuses a write that follows somebody else's.
    pub(crate) conditional: bool,
    /// Whether it keeps a history of fields.
    pub(crate) history: bool,
    /// Whether it stores text in lower case.
    pub(crate) lowers: bool,
}

/// One value that a field held.
#[derive(Clone, Debug)]
struct Entry {
    value: Value,
    at: Millis,
    by_us: bool,
}

/// What a list shows.
#[derive(Clone, Debug)]
struct Row {
    fields: Fields,
    stamp: Millis,
}

/// The object.
#[derive(Clone, Debug)]
pub(crate) struct Provider {
    kind: Kind,
    fields: BTreeMap<FieldName, Vec<Entry>>,
    stamp: Millis,
    /// The object before its last change, which a lagging list still shows.
    before: Option<Row>,
    /// How many writes of ours changed nothing although we had seen all that stood there.
    pub(crate) redundant: u8,
}

impl Provider {
    pub(crate) fn new(kind: Kind, values: &Fields, now: Millis) -> Self {
        let fields = values.keys().map(|name| (name.clone(), Vec::new())).collect();
        let mut provider = Self { kind, fields, stamp: now, before: None, redundant: 0 };
        provider.set(values, false, now);
        provider.before = None;
        provider
    }

    pub(crate) fn value(&self, name: &FieldName) -> Value {
        self.fields[name].last().map_or(Value::Null, |entry| entry.value.clone())
    }

    fn values(&self) -> Fields {
        self.fields.keys().map(|name| (name.clone(), self.value(name))).collect()
    }

    /// What it makes of a value.
    pub(crate) fn stored(&self, value: &Value) -> Value {
        match value {
            Value::Text(text) if self.kind.lowers => Value::text(text.to_lowercase()),
            value => value.clone(),
        }
    }

    /// Somebody sets fields.
    pub(crate) fn set(&mut self, values: &Fields, by_us: bool, now: Millis) {
        self.before = Some(Row { fields: self.values(), stamp: self.stamp });
        for (name, value) in values {
            let value = self.stored(value);
            self.fields.get_mut(name).expect("a field of the object").push(Entry { value, at: now, by_us });
        }
        let precision = i64::from(self.kind.precision_ms);
        self.stamp = Millis(now.0.div_euclid(precision) * precision);
    }

    /// Takes a write of ours, or refuses it.
    pub(crate) fn take(&mut self, intent: &Intent, now: Millis, tick: Tick) -> Receipt {
        let newer = intent.expected.is_some_and(|expected| self.stamp > expected.stamp);
        if self.kind.conditional && newer {
            return Receipt::Stale;
        }
        let changes = intent.fields.iter().any(|(name, value)| self.value(name) != self.stored(value));
        let seen = intent.expected.is_some_and(|expected| self.stamp <= expected.stamp);
        self.redundant += u8::from(seen && !changes);
        self.set(&intent.fields, true, now);
        let answer = self.kind.history.then(|| Box::new(self.read(tick, Source::Answer)));
        Receipt::Applied { id: "1".into(), whole: answer.is_some(), answer }
    }

    /// What a consistent read shows.
    pub(crate) fn read(&self, begun: Tick, source: Source) -> Observation {
        let mut observation = self.shown(self.values(), self.stamp, begun, source);
        if self.kind.history && source == Source::ById {
            for (name, entries) in &self.fields {
                let past = |entry: &Entry| Past {
                    value: entry.value.clone(),
                    at: entry.at,
                    stamp: entry.at,
                    by_us: entry.by_us,
                };
                observation.past.insert(name.clone(), entries.iter().rev().map(past).collect());
                if let Some(newest) = entries.last() {
                    let clock = Clock { at: newest.at, precision_ms: 1, kind: ClockKind::Field };
                    observation.clocks.insert(name.clone(), clock);
                }
            }
        }
        observation
    }

    /// What a list shows that lags by one change; `None` where nothing has changed.
    pub(crate) fn lagging_row(&self, begun: Tick) -> Option<Observation> {
        let row = self.before.as_ref()?;
        Some(self.shown(row.fields.clone(), row.stamp, begun, Source::List))
    }

    fn shown(&self, fields: Fields, stamp: Millis, begun: Tick, source: Source) -> Observation {
        Observation {
            id: "1".into(),
            aliases: Vec::new(),
            deleted: false,
            fields,
            clocks: BTreeMap::new(),
            past: BTreeMap::new(),
            version: Some(RemoteVersion { stamp, precision_ms: self.kind.precision_ms }),
            source,
            begun,
            key: None,
        }
    }
}
