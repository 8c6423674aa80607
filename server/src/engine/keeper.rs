//! The keeper: keeps what is only kept for a while from growing for ever. Everything goes in short steps, so that commits come
//! in between.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use syncline_core::{ids::TenantId, time::Millis};
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use crate::{
    config::Retention,
    failpoint::{Point, reach},
    repo::RepoHub,
    store::{Store, StoreError, TenantStore, retention::Old},
};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(600);
/// Rows that one step drops.
const ROWS_PER_STEP: u32 = 500;
/// Steps of one kind in one round; what is left goes in the next.
const STEPS_MAX: usize = 1_000;

/// What the keeper needs.
pub(super) struct Keeper {
    pub(super) store: Arc<dyn Store>,
    pub(super) repo: Arc<RepoHub>,
    pub(super) tenants: BTreeSet<TenantId>,
    pub(super) retention: Retention,
}

impl Keeper {
    /// Runs until the service stops. It looks at once, so that a service that is often started anew keeps no more either.
    pub(super) async fn run(self, stop: CancellationToken) {
        loop {
            for tenant in &self.tenants {
                tokio::select! {
                    tidied = self.tidy(tenant, Clock::wall()) => {
                        if let Err(error) = tidied {
                            tracing::warn!(%tenant, %error, "what is old could not be dropped");
                        }
                    }
                    () = stop.cancelled() => return,
                }
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// One round for a tenant.
    async fn tidy(&self, tenant: &TenantId, now: Millis) -> Result<(), StoreError> {
        let (store, keep) = (self.store.tenant(tenant), &self.retention);
        reach(Point::KeeperBefore);
        store.trim_hints(before(now, keep.hints)).await?;
        reach(Point::KeeperBetween);
        store.trim_feed(keep.changes).await?;
        if let Some(age) = keep.changes_age {
            let (head, old) = (store.feed_span().await?.head.0, store.feed_before(before(now, age)).await?);
            store.trim_feed(head.saturating_sub(old)).await?;
        }
        for (what, age) in [
            (Old::History, keep.history),
            (Old::Conflicts, keep.conflicts),
            (Old::Quarantine, keep.quarantine),
            (Old::Erasures, keep.erasures),
        ] {
            if let Some(age) = age {
                drop_old(store.as_ref(), what, before(now, age)).await?;
            }
        }
        if let Some(age) = keep.documents {
            self.empty_documents(tenant, store.as_ref(), before(now, age)).await?;
        }
        reach(Point::KeeperAfter);
        Ok(())
    }

    /// Drops what moved documents hold, but for those that somebody has open.
    async fn empty_documents(
        &self,
        tenant: &TenantId,
        store: &dyn TenantStore,
        before: Millis,
    ) -> Result<(), StoreError> {
        for _ in 0..STEPS_MAX {
            let mut old = store.old_moved_documents(before, ROWS_PER_STEP).await?;
            let all = old.len();
            old.retain(|document| !self.repo.is_open(tenant, *document));
            store.empty_documents(&old).await?;
            if all < ROWS_PER_STEP as usize || old.is_empty() {
                break;
            }
        }
        Ok(())
    }
}

async fn drop_old(store: &dyn TenantStore, what: Old, before: Millis) -> Result<(), StoreError> {
    for _ in 0..STEPS_MAX {
        if store.drop_old(what, before, ROWS_PER_STEP).await? < u64::from(ROWS_PER_STEP) {
            break;
        }
    }
    Ok(())
}

fn before(now: Millis, age: Duration) -> Millis {
    now.plus(i64::try_from(age.as_millis()).map_or(i64::MIN, |age| -age))
}
