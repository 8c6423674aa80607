//! Writer epochs: under which numbers this service has written, one for each life of its store.

use serde::{Deserialize, Serialize};

/// The writer epochs of a store. Every actor of the service is a hash over its name and the current epoch; when a backup is
/// restored, a new epoch begins, because clients may hold changes that the restored store has forgotten: the same actor would
/// give their places in its sequence to other changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriterEpochs {
    /// The epoch in which the service writes now.
    pub current: u32,
    /// Earlier ones, oldest first. Nothing is written in them any more.
    #[serde(default)]
    pub retired: Vec<u32>,
}

impl WriterEpochs {
    /// The epoch of a store that was never restored.
    pub const FIRST: u32 = 1;

    /// All epochs, the current one first.
    pub fn all(&self) -> impl Iterator<Item = u32> {
        std::iter::once(self.current).chain(self.retired.iter().rev().copied())
    }

    /// The number of a record's next epoch, or of its first, where it has had `before` others. After a restore the numbers go on
    /// above all that the lost life of the store can have used, since the ids of documents are derived from them.
    pub fn record_epoch(&self, before: Option<u32>) -> u32 {
        let next = before.map_or(0, |epoch| epoch + 1);
        if self.retired.is_empty() { next } else { next.max(self.current) }
    }
}

impl Default for WriterEpochs {
    fn default() -> Self {
        Self { current: Self::FIRST, retired: Vec::new() }
    }
}
