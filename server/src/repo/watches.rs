//! Records into which documents moved that somebody has open: those documents are to be kept like their records.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use syncline_core::{
    ids::{RecordId, TenantId},
    repo::DocumentId,
};
use tokio::sync::Notify;

/// How many records with moved documents are watched; beyond them all are forgotten, and watched again when opened again.
const WATCHED_MAX: usize = 10_000;

/// The moved documents that were opened since the start, by record, and those whose record moved on.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    board: Mutex<Board>,
    bell: Notify,
}

#[derive(Debug, Default)]
struct Board {
    watched: HashMap<(TenantId, RecordId), BTreeSet<DocumentId>>,
    due: BTreeSet<(TenantId, RecordId)>,
}

impl Watches {
    /// Somebody opened the document.
    pub(crate) fn watch(&self, tenant: &TenantId, record: RecordId, document: DocumentId) {
        let mut board = self.board();
        if board.watched.len() >= WATCHED_MAX {
            board.watched.clear();
        }
        board.watched.entry((tenant.clone(), record)).or_default().insert(document);
    }

    /// These records were committed.
    pub(crate) fn moved_on(&self, tenant: &TenantId, records: impl Iterator<Item = RecordId>) {
        let mut board = self.board();
        if board.watched.is_empty() {
            return;
        }
        for record in records {
            let key = (tenant.clone(), record);
            if board.watched.contains_key(&key) {
                board.due.insert(key);
                self.bell.notify_one();
            }
        }
    }

    /// Waits for a record that moved on, and for which documents that matters.
    pub(crate) async fn due(&self) -> (TenantId, RecordId, Vec<DocumentId>) {
        loop {
            {
                let mut board = self.board();
                if let Some(key) = board.due.pop_first() {
                    let documents = board.watched.get(&key).into_iter().flatten().copied().collect();
                    return (key.0, key.1, documents);
                }
            }
            self.bell.notified().await;
        }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
