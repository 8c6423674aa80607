//! A simulated provider: its objects, its clock, and its ways of showing, refusing and respelling what it is given.
//!
//! # Layout
//!
//! * [`quirks`]: how it behaves. [`object`]: what it keeps of one object.
//! * [`read`]: lists, reads by id, searches, deletes. [`write`](mod@write): what a request of ours does.
//! * [`users`]: what its own users do.

pub(crate) mod object;
pub(crate) mod quirks;
mod read;
mod users;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use syncline_core::{ids::ExternalId, time::Millis};

use self::{
    object::{Entry, Object},
    quirks::Quirks,
};
pub(crate) use self::{
    read::DeletedIds,
    write::{Done, KEY_TAKEN},
};

/// The provider's field for our record's id.
pub(crate) const KEY_FIELD: &str = "our_key";
/// A provider's field that no model maps.
pub(crate) const UNMAPPED: &str = "unmapped";

/// One account at a provider.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) name: String,
    pub(crate) quirks: Quirks,
    pub(crate) objects: BTreeMap<ExternalId, Object>,
    made: u32,
    /// No index shows anything newer until then.
    pub(crate) stalled_until: Millis,
    /// Writes of ours that changed nothing, although we had been shown what stood there.
    pub(crate) redundant: Vec<String>,
    pub(crate) token_expired: bool,
    /// It has forgotten once what it deleted.
    pub(crate) forgot: bool,
    /// It has shown an empty list once where there were objects: what was to be read there only a sweep finds.
    pub(crate) hid: bool,
    /// Objects whose change nobody was told of yet.
    pub(crate) stirred: BTreeSet<ExternalId>,
}

impl Provider {
    pub(crate) fn new(name: String, quirks: Quirks) -> Self {
        Self {
            name,
            quirks,
            objects: BTreeMap::new(),
            made: 0,
            stalled_until: Millis(0),
            redundant: Vec::new(),
            token_expired: false,
            forgot: false,
            hid: false,
            stirred: BTreeSet::new(),
        }
    }

    /// The provider's own time.
    pub(crate) fn clock(&self, now: Millis) -> Millis {
        now.plus(self.quirks.offset_ms)
    }

    /// The object that an id means today.
    pub(crate) fn resolve(&self, id: &ExternalId) -> Option<&Object> {
        let object = self.objects.get(id)?;
        match &object.merged_into {
            Some(into) => self.resolve(into),
            None => Some(object),
        }
    }

    pub(crate) fn live(&self) -> impl Iterator<Item = &Object> {
        self.objects.values().filter(|object| object.is_live())
    }

    /// The objects whose present revision the running process has been shown.
    pub(crate) fn fresh(&self) -> Vec<(ExternalId, u64)> {
        let fresh = self.objects.values().filter(|object| object.shown == Some(object.revision));
        fresh.map(|object| (object.id.clone(), object.revision)).collect()
    }

    /// Ids that were merged into this object.
    pub(crate) fn aliases(&self, id: &ExternalId) -> Vec<ExternalId> {
        let mut aliases = Vec::new();
        for object in self.objects.values().filter(|object| object.merged_into.as_ref() == Some(id)) {
            aliases.push(object.id.clone());
            aliases.extend(self.aliases(&object.id));
        }
        aliases
    }

    fn stamp(&self, now: Millis) -> Millis {
        let precision = i64::from(self.quirks.precision_ms);
        Millis(self.clock(now).0.div_euclid(precision) * precision)
    }

    fn normalised(&self, value: Json) -> Json {
        let Json::String(mut text) = value else { return value };
        if self.quirks.lowers {
            text = text.to_lowercase();
        }
        if self.quirks.trims {
            text = text.trim().to_owned();
        }
        Json::String(text)
    }

    /// Makes an object; lists show it from `visible` on.
    fn make(&mut self, now: Millis) -> ExternalId {
        self.made += 1;
        // Ids do not come in the order of time.
        let id = ExternalId::new(format!("{}-{}{}", self.name, (self.made * 7) % 10, self.made));
        let stamp = self.stamp(now);
        self.objects.insert(
            id.clone(),
            Object {
                id: id.clone(),
                deleted: None,
                merged_into: None,
                stamp,
                revision: 0,
                shown: None,
                made_for: None,
                fields: BTreeMap::new(),
                rows: Vec::new(),
            },
        );
        id
    }

    /// Sets fields of an object.
    fn set(&mut self, id: &ExternalId, values: impl IntoIterator<Item = (String, Json)>, by_us: bool, now: Millis) {
        let at = self.clock(now);
        let values: Vec<(String, Json)> =
            values.into_iter().map(|(name, value)| (name, self.normalised(value))).collect();
        if let Some(object) = self.objects.get_mut(id) {
            for (name, value) in values {
                object.fields.entry(name).or_default().push(Entry { value, at, by_us });
            }
        }
    }

    /// After every change of an object: its stamp moves, and lists will show it.
    fn changed(&mut self, id: &ExternalId, now: Millis, lag_ms: u32) {
        let stamp = self.stamp(now);
        let visible = now.plus(i64::from(lag_ms)).max(self.stalled_until);
        if let Some(object) = self.objects.get_mut(id) {
            object.stamp = object.stamp.max(stamp);
            object.revision += 1;
            object.index(visible);
            self.stirred.insert(id.clone());
        }
    }
}
