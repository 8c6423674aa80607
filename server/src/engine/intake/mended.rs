//! Quarantined rows whose objects can be read again: a reading that goes well releases them.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use syncline_core::{
    ids::{ConnectionId, ExternalId, TenantId},
    plan::SyncPlan,
};

use super::Arrival;
use crate::store::{
    StoreError, TenantStore,
    quarantine::{QuarantineId, Quarantined},
};

/// Finds what is mended, and remembers which tenants have nothing in quarantine: their readings need no look-up.
#[derive(Debug, Default)]
pub(super) struct Mended {
    spotless: Mutex<HashSet<TenantId>>,
}

impl Mended {
    /// The quarantined rows of the objects that these arrivals show, but for those that are set aside again.
    pub(super) async fn among(
        &self,
        plan: &SyncPlan,
        tenant: &dyn TenantStore,
        arrivals: &[Arrival],
        set_aside: &[Quarantined],
    ) -> Result<Vec<QuarantineId>, StoreError> {
        if !set_aside.is_empty() {
            self.spotless().remove(&plan.tenant);
        } else if self.spotless().contains(&plan.tenant) {
            return Ok(Vec::new());
        } else if tenant.count_quarantine(None).await? == 0 {
            self.spotless().insert(plan.tenant.clone());
            return Ok(Vec::new());
        }
        let mut released = Vec::new();
        for (connection, ids) in read_well(arrivals, set_aside) {
            let Some(side) = plan.sides.get(&connection) else { continue };
            let ids: Vec<ExternalId> = ids.into_iter().collect();
            let found = tenant.find_quarantined(&connection, &side.object, &ids).await?;
            released.extend(found.into_iter().map(|(_, row)| row));
        }
        Ok(released)
    }

    /// A panic elsewhere cannot leave the set half changed.
    fn spotless(&self) -> MutexGuard<'_, HashSet<TenantId>> {
        self.spotless.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_well(arrivals: &[Arrival], set_aside: &[Quarantined]) -> BTreeMap<ConnectionId, BTreeSet<ExternalId>> {
    let again: BTreeSet<(&ConnectionId, &ExternalId)> =
        set_aside.iter().filter_map(|row| Some((&row.connection, row.external_id.as_ref()?))).collect();
    let mut well: BTreeMap<ConnectionId, BTreeSet<ExternalId>> = BTreeMap::new();
    for arrival in arrivals {
        if let Arrival::Observed { connection, observation, .. } = arrival
            && !again.contains(&(connection, &observation.id))
        {
            well.entry(connection.clone()).or_default().insert(observation.id.clone());
        }
    }
    well
}
