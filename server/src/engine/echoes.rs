//! Rows that a list shows again and again though nothing about them is new. Reads by time overlap, because providers commit
//! late, so every change is listed many times; a row that was found to be an echo, and has not been touched since, need not
//! be looked up again.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
};

use syncline_core::{ids::ExternalId, remote::RemoteObject};

/// The most rows that are remembered; with more, everything is forgotten and looked up again.
const ROWS_MAX: usize = 50_000;

/// What the last reading of each object showed, where that was an echo.
#[derive(Debug, Default)]
pub(super) struct Echoes {
    rows: Mutex<HashMap<ExternalId, u64>>,
    keys: RandomState,
}

impl Echoes {
    /// Leaves out the rows that would be echoes once more; returns how many.
    pub(super) fn skim(&self, objects: &mut Vec<RemoteObject>) -> usize {
        let rows = self.rows();
        let before = objects.len();
        objects.retain(|object| rows.get(&object.id) != Some(&self.digest(object)));
        before - objects.len()
    }

    /// This reading of the object was an echo.
    pub(super) fn remember(&self, object: &RemoteObject) {
        let mut rows = self.rows();
        if rows.len() >= ROWS_MAX {
            rows.clear();
        }
        rows.insert(object.id.clone(), self.digest(object));
    }

    /// Something about the object has arrived: its next reading counts.
    pub(super) fn forget(&self, id: &ExternalId) {
        self.rows().remove(id);
    }

    fn digest(&self, object: &RemoteObject) -> u64 {
        self.keys.hash_one((object.deleted, &object.version, &object.aliases, &object.fields))
    }

    fn rows(&self) -> MutexGuard<'_, HashMap<ExternalId, u64>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(id: &str, title: &str) -> RemoteObject {
        RemoteObject {
            id: id.into(),
            aliases: Vec::new(),
            deleted: false,
            version: None,
            author: None,
            fields: [("title".to_owned(), json!(title))].into_iter().collect(),
            history: Default::default(),
        }
    }

    #[test]
    fn only_a_repetition_of_an_echo_is_left_out() {
        let echoes = Echoes::default();
        echoes.remember(&object("1", "CEO"));
        echoes.remember(&object("2", "CFO"));
        echoes.forget(&"2".into());
        let mut page = vec![object("1", "CEO"), object("2", "CFO"), object("1", "CTO"), object("3", "CEO")];
        assert_eq!(echoes.skim(&mut page), 1);
        let left: Vec<_> = page.iter().map(|object| (object.id.as_str(), object.fields["title"].as_str())).collect();
        assert_eq!(left, [("2", Some("CFO")), ("1", Some("CTO")), ("3", Some("CEO"))]);
    }

    #[test]
    fn the_memory_is_bounded() {
        let echoes = Echoes::default();
        (0..=ROWS_MAX).for_each(|id| echoes.remember(&object(&id.to_string(), "CEO")));
        assert_eq!(echoes.rows().len(), 1);
    }
}
