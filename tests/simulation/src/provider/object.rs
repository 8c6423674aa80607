//! One object of a provider, with everything that it ever held.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use syncline_core::{
    ids::{ExternalId, RecordId},
    remote::{PastValue, Raw},
    time::Millis,
};

/// One value that a field held.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) value: Json,
    /// By the provider's clock.
    pub(crate) at: Millis,
    pub(crate) by_us: bool,
}

/// What a list shows of an object from some time on.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// By this service's clock.
    pub(crate) visible: Millis,
    pub(crate) fields: Raw,
    pub(crate) stamp: Millis,
    pub(crate) deleted: bool,
}

/// One object.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) id: ExternalId,
    /// Since when it is deleted, by the provider's clock.
    pub(crate) deleted: Option<Millis>,
    /// The object that it was merged into.
    pub(crate) merged_into: Option<ExternalId>,
    /// Its modification stamp, by the provider's clock.
    pub(crate) stamp: Millis,
    /// Counts its changes, whoever made them.
    pub(crate) revision: u64,
    /// The revision that an answer to the running process showed last.
    pub(crate) shown: Option<u64>,
    /// The record for which a create of ours made it.
    pub(crate) made_for: Option<RecordId>,
    pub(crate) fields: BTreeMap<String, Vec<Entry>>,
    /// What lists show, newest last.
    pub(crate) rows: Vec<Row>,
}

impl Object {
    /// The most rows that an index can lag through.
    const ROWS_MAX: usize = 6;

    pub(crate) fn is_live(&self) -> bool {
        self.deleted.is_none() && self.merged_into.is_none()
    }

    pub(crate) fn value(&self, name: &str) -> Json {
        self.fields.get(name).and_then(|entries| entries.last()).map_or(Json::Null, |entry| entry.value.clone())
    }

    pub(crate) fn raw(&self) -> Raw {
        self.fields.keys().map(|name| (name.clone(), self.value(name))).collect()
    }

    pub(crate) fn history(&self) -> BTreeMap<String, Vec<PastValue>> {
        let past = |entry: &Entry| PastValue { value: entry.value.clone(), at: entry.at, by_us: entry.by_us };
        self.fields.iter().map(|(name, entries)| (name.clone(), entries.iter().rev().map(past).collect())).collect()
    }

    /// Lets lists show the object as it is now, from `visible` on.
    pub(crate) fn index(&mut self, visible: Millis) {
        let visible = self.rows.last().map_or(visible, |row| row.visible.max(visible));
        let deleted = !self.is_live();
        self.rows.push(Row { visible, fields: self.raw(), stamp: self.stamp, deleted });
        if self.rows.len() > Self::ROWS_MAX {
            self.rows.remove(0);
        }
    }

    /// What lists show of it now.
    pub(crate) fn row(&self, now: Millis) -> Option<&Row> {
        self.rows.iter().rev().find(|row| row.visible <= now)
    }
}
