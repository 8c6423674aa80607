//! The keeper: keeps what is only kept for a while from growing for ever.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use syncline_core::ids::TenantId;
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use crate::store::{Store, StoreError};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(600);
/// How long a worked-off hint is remembered, to recognise repeats: providers deliver again for about a day.
const HINTS_KEPT_MS: i64 = 3 * 24 * 3_600_000;
/// How many changes a tenant's feed keeps: a subscriber that was away for longer takes a snapshot.
const CHANGES_KEPT: u64 = 1_000_000;

/// Runs until the service stops.
pub(super) async fn run(store: Arc<dyn Store>, tenants: BTreeSet<TenantId>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => return,
        }
        for tenant in &tenants {
            if let Err(error) = tidy(store.as_ref(), tenant).await {
                tracing::warn!(%tenant, %error, "old changes and hints could not be dropped");
            }
        }
    }
}

async fn tidy(store: &dyn Store, tenant: &TenantId) -> Result<(), StoreError> {
    let tenant = store.tenant(tenant);
    tenant.trim_hints(Clock::wall().plus(-HINTS_KEPT_MS)).await?;
    tenant.trim_feed(CHANGES_KEPT).await?;
    Ok(())
}
