//! Feeds, searches of the store, and what is done when the store fails.

use syncline_core::live::Cursor;

use super::{Driver, PAGE, Sweep};
use crate::{
    client::state::ClientEvent,
    engine::{Ask, Input},
    store::{StoreError, Subset},
    transport,
};

/// How many stale documents are asked of the store at once.
const STALE_PAGE: usize = 256;

impl Driver {
    pub(super) fn follow(&mut self, subset: Subset, cursor: Option<Cursor>) {
        if self.feeds.iter().any(|(followed, _)| *followed == subset) {
            return;
        }
        let following = transport::follow(
            self.credentials.clone(),
            subset.clone(),
            cursor,
            self.listings.clone(),
            self.feed_in.clone(),
        );
        self.feeds.push((subset, tokio::spawn(following)));
    }

    /// Reads what the engine asks for; the answers are inputs of their own.
    pub(super) async fn look_up(&mut self, ask: Ask) -> Result<(), StoreError> {
        match ask {
            Ask::Stale { after } => {
                let documents = self.store.stale(after, STALE_PAGE).await?;
                self.inputs.push_back(Input::Stale { more: documents.len() == STALE_PAGE, documents });
            }
            Ask::Unlisted { subset, listing } => self.sweeps.push_back(Sweep { subset, listing, after: None }),
        }
        Ok(())
    }

    /// One page of a search for records that are no longer wanted: what is unwanted may be everything.
    pub(super) async fn sweep(&mut self, sweep: Sweep) {
        let Sweep { subset, listing, after } = sweep;
        match self.store.unlisted(&subset.model, listing, after, PAGE).await {
            Ok(records) => {
                if let Some(after) = records.last().copied().filter(|_| records.len() == PAGE) {
                    self.sweeps.push_back(Sweep { subset: subset.clone(), listing, after: Some(after) });
                }
                self.inputs.push_back(Input::Unwanted { subset, listing, records });
            }
            Err(error) => self.fail(&error),
        }
    }

    /// The store failed: what was not kept is forgotten, and the connection is made anew.
    pub(super) fn fail(&mut self, error: &StoreError) {
        self.engine.forget();
        self.outbox = None;
        self.inputs.clear();
        self.sweeps.clear();
        self.feeds.drain(..).for_each(|(_, task)| task.abort());
        self.is_broken = true;
        let _ = self.lines.events.send(ClientEvent::StoreFailed { reason: error.to_string() });
    }

    /// After a failure of the store, the feeds go on from where the store has them. Until it can be read, every wish
    /// fails with the store's own error.
    pub(super) async fn mend(&mut self) {
        let (Ok(subsets), Ok(sets)) = (self.store.subsets().await, self.store.set_fields().await) else { return };
        // What the feeds had sent before they were ended is sent again from the stored cursors.
        while self.feed.try_recv().is_ok() {}
        self.engine.restore(subsets, sets);
        for state in self.engine.subsets().to_vec() {
            self.follow(state.subset, state.cursor);
        }
        self.is_broken = false;
    }
}
