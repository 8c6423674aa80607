//! The in-process notifier: tells the subscribers of a tenant what has just been committed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use syncline_core::{
    ids::TenantId,
    live::{Change, Cursor},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    limits::Limits,
    ring::{Published, Ring},
    seats::{Seat, Seats},
};

/// Announces commits to subscribers. A tenant without subscribers costs nothing: nothing is encoded or kept for it.
#[derive(Debug)]
pub struct FeedHub {
    limits: Limits,
    feeds: Mutex<HashMap<TenantId, Arc<Feed>>>,
    seats: Seats,
    closing: CancellationToken,
}

#[derive(Debug)]
struct Feed {
    ring: RwLock<Ring>,
    /// The newest place announced; 0 until something is.
    head: watch::Sender<Cursor>,
}

impl FeedHub {
    /// A hub without subscribers, with the usual bounds.
    pub fn new() -> Self {
        Self::bounded(Limits::default())
    }

    /// A hub with bounds of one's own.
    pub fn bounded(limits: Limits) -> Self {
        Self { limits, feeds: Mutex::default(), seats: Seats::new(&limits), closing: CancellationToken::new() }
    }

    /// The bounds.
    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Announces changes that are durably committed, in the feed's order. Returns at once; never fails: whoever misses an
    /// announcement reads the log at the next one.
    pub fn published(&self, tenant: &TenantId, changes: Vec<Change>) {
        let Some(newest) = changes.last().map(|change| change.cursor) else { return };
        let Some(feed) = self.listened(tenant) else { return };
        {
            let mut ring = feed.ring.write().unwrap_or_else(PoisonError::into_inner);
            for change in changes {
                match Published::new(change) {
                    Ok(published) => ring.push(published),
                    // The gap that this leaves sends subscribers to the log.
                    Err(error) => tracing::error!(%tenant, %error, "a change could not be encoded"),
                }
            }
        }
        feed.head.send_if_modified(|head| {
            let newer = newest > *head;
            *head = newest.max(*head);
            newer
        });
    }

    /// Forgets the changes that are in memory: some of them have other values now, and the log has to tell.
    pub fn forget(&self, tenant: &TenantId) {
        if let Some(feed) = self.listened(tenant) {
            feed.ring.write().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    /// Listens to a tenant's commits from now on.
    pub fn listen(&self, tenant: &TenantId) -> Tail {
        let mut feeds = self.lock();
        let feed = feeds.entry(tenant.clone()).or_insert_with(|| {
            Arc::new(Feed { ring: RwLock::new(Ring::new(&self.limits)), head: watch::Sender::new(Cursor::default()) })
        });
        Tail { head: feed.head.subscribe(), feed: Arc::clone(feed) }
    }

    /// A seat for a socket or a long-poll, or `None` where the bound is reached.
    pub fn seat(&self, tenant: &TenantId) -> Option<Seat> {
        self.seats.take(tenant)
    }

    /// How many sockets and long-polls the tenant holds open.
    pub fn seats_taken(&self, tenant: &TenantId) -> usize {
        self.seats.taken(tenant)
    }

    /// How many sockets and long-polls all tenants together hold open.
    pub fn seats_taken_in_all(&self) -> usize {
        self.seats.taken_in_all()
    }

    /// Ends every socket and every long-poll, so that a graceful shutdown need not wait for them.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// Cancelled when the hub is closed.
    pub(crate) fn closing(&self) -> CancellationToken {
        self.closing.clone()
    }

    /// The tenant's feed, where anybody listens; a feed that nobody listens to any more is forgotten.
    fn listened(&self, tenant: &TenantId) -> Option<Arc<Feed>> {
        let mut feeds = self.lock();
        let feed = feeds.get(tenant)?;
        if feed.head.receiver_count() == 0 {
            feeds.remove(tenant);
            return None;
        }
        Some(Arc::clone(feed))
    }

    /// Each critical section leaves the map whole, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, Arc<Feed>>> {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for FeedHub {
    fn default() -> Self {
        Self::new()
    }
}

/// One listener's view of a tenant's newest changes.
#[derive(Debug)]
pub struct Tail {
    feed: Arc<Feed>,
    head: watch::Receiver<Cursor>,
}

impl Tail {
    /// Waits until something is committed that was not yet when this listener last looked.
    pub async fn changed(&mut self) {
        if self.head.changed().await.is_err() {
            // The sender lives in the feed that this listener holds, so it cannot be gone.
            std::future::pending().await
        }
    }

    /// The newest place announced since this feed was first listened to; marks it as seen.
    pub(super) fn head(&mut self) -> Cursor {
        *self.head.borrow_and_update()
    }

    /// The changes after `cursor` from memory, at most a batch; `None` where only the log can tell.
    pub(super) fn after(&self, cursor: Cursor) -> Option<Vec<Arc<Published>>> {
        self.feed.ring.read().unwrap_or_else(PoisonError::into_inner).after(cursor)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::sample, *};

    fn seen(tail: &Tail, cursor: u64) -> Option<Vec<u64>> {
        let changes = tail.after(Cursor(cursor))?;
        Some(changes.iter().map(|published| published.change.cursor.0).collect())
    }

    #[tokio::test]
    async fn every_listener_of_the_tenant_hears_each_commit_and_shares_its_text() {
        let hub = FeedHub::new();
        let (acme, other) = (TenantId::new("acme"), TenantId::new("other"));
        let (mut first, mut second) = (hub.listen(&acme), hub.listen(&acme));
        let stranger = hub.listen(&other);
        hub.published(&acme, vec![sample::change(1), sample::change(2)]);
        for tail in [&mut first, &mut second] {
            tail.changed().await;
            assert_eq!(tail.head(), Cursor(2));
            assert_eq!(seen(tail, 0), Some(vec![1, 2]));
        }
        assert_eq!(seen(&stranger, 0), None, "another tenant's listener hears nothing");
        let (a, b) = (first.after(Cursor(1)).unwrap(), second.after(Cursor(1)).unwrap());
        assert!(Arc::ptr_eq(&a[0], &b[0]), "a change is encoded once");
    }

    #[tokio::test]
    async fn a_late_announcement_neither_moves_the_head_back_nor_opens_a_gap() {
        let hub = FeedHub::new();
        let acme = TenantId::new("acme");
        let mut tail = hub.listen(&acme);
        hub.published(&acme, vec![sample::change(3)]);
        hub.published(&acme, vec![sample::change(2)]);
        assert_eq!(tail.head(), Cursor(3));
        assert_eq!(seen(&tail, 1), None, "the log has to tell");
        assert_eq!(seen(&tail, 2), Some(vec![3]));
    }

    #[test]
    fn a_tenant_that_nobody_listens_to_costs_nothing() {
        let hub = FeedHub::new();
        let acme = TenantId::new("acme");
        drop(hub.listen(&acme));
        hub.published(&acme, vec![sample::change(1)]);
        assert!(hub.lock().is_empty());
    }
}
