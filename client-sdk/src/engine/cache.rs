//! The loaded documents, of which there are at most so many.

use std::collections::BTreeSet;

use lru::LruCache;
use syncline_core::repo::DocumentId;

use super::doc::Doc;

/// The most documents that are loaded at once, by default.
pub(crate) const LOADED_MAX: usize = 512;
/// The most memory that loaded documents may take, by default and roughly.
pub(crate) const LOADED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The most documents that are opened in one connection, by default; the server allows some more. When others wait and
/// nothing is being said, the connection is made anew: what was agreed on needs no open document, since the feed tells of
/// changes.
pub(crate) const OPENED_MAX: usize = 8_000;

/// How many documents may be loaded or open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The most documents that are loaded.
    pub(crate) documents_max: usize,
    /// The most memory in bytes, roughly.
    pub(crate) bytes_max: usize,
    /// The most documents that are opened in one connection.
    pub(crate) opened_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { documents_max: LOADED_MAX, bytes_max: LOADED_BYTES_MAX, opened_max: OPENED_MAX }
    }
}

/// Loaded documents, the least recently used of which make room for others.
pub(super) struct Cache {
    docs: LruCache<DocumentId, Doc>,
    limits: Limits,
    /// Documents that were looked for and are not in the store.
    absent: BTreeSet<DocumentId>,
}

impl Cache {
    pub(super) fn new(limits: Limits) -> Self {
        Self { docs: LruCache::unbounded(), limits, absent: BTreeSet::new() }
    }

    /// Whether it is known if the document is in the store.
    pub(super) fn knows(&self, id: DocumentId) -> bool {
        self.docs.contains(&id) || self.absent.contains(&id)
    }

    pub(super) fn put(&mut self, id: DocumentId, doc: Doc) {
        self.absent.remove(&id);
        self.docs.put(id, doc);
    }

    pub(super) fn put_absent(&mut self, id: DocumentId) {
        self.absent.insert(id);
    }

    pub(super) fn get(&mut self, id: DocumentId) -> Option<&mut Doc> {
        self.docs.get_mut(&id)
    }

    /// Unloads a document, because it is no longer kept or has to be read anew.
    pub(super) fn remove(&mut self, id: DocumentId) {
        self.docs.pop(&id);
        self.absent.remove(&id);
    }

    /// Unloads everything: what is here may hold more than was stored.
    pub(super) fn clear(&mut self) {
        self.docs.clear();
        self.absent.clear();
    }

    /// Unloads what goes beyond the limits. Documents in a conversation stay: their state is nowhere else.
    pub(super) fn trim(&mut self, is_busy: impl Fn(&DocumentId) -> bool) {
        self.absent.clear();
        let mut bytes: usize = self.docs.iter().map(|(_, doc)| doc.bytes()).sum();
        for _ in 0..self.docs.len() {
            if self.docs.len() <= self.limits.documents_max && bytes <= self.limits.bytes_max {
                break;
            }
            let Some((id, doc)) = self.docs.pop_lru() else { break };
            if is_busy(&id) {
                self.docs.put(id, doc);
            } else {
                bytes = bytes.saturating_sub(doc.bytes());
            }
        }
    }

    /// How many documents are loaded.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.docs.len()
    }
}
