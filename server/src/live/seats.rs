//! How many sockets and long-polls are open, bounded per tenant and in all.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use syncline_core::ids::TenantId;

use super::limits::Limits;

/// Hands out [`Seat`]s.
#[derive(Debug)]
pub(super) struct Seats {
    per_tenant_max: usize,
    max: usize,
    taken: Arc<Mutex<HashMap<TenantId, usize>>>,
}

/// One open socket or long-poll; dropping it frees the seat.
#[derive(Debug)]
pub struct Seat {
    taken: Arc<Mutex<HashMap<TenantId, usize>>>,
    tenant: TenantId,
}

impl Seats {
    /// Nobody sits yet.
    pub(super) fn new(limits: &Limits) -> Self {
        Self { per_tenant_max: limits.seats_per_tenant_max, max: limits.seats_max, taken: Arc::default() }
    }

    /// A seat, or `None` at the tenant's or the service's bound.
    pub(super) fn take(&self, tenant: &TenantId) -> Option<Seat> {
        let mut taken = lock(&self.taken);
        if taken.values().sum::<usize>() >= self.max {
            return None;
        }
        let count = taken.entry(tenant.clone()).or_default();
        if *count >= self.per_tenant_max {
            return None;
        }
        *count += 1;
        Some(Seat { taken: Arc::clone(&self.taken), tenant: tenant.clone() })
    }

    /// How many seats all tenants together hold.
    pub(super) fn taken_in_all(&self) -> usize {
        lock(&self.taken).values().sum()
    }

    /// How many seats the tenant holds.
    pub(super) fn taken(&self, tenant: &TenantId) -> usize {
        lock(&self.taken).get(tenant).copied().unwrap_or_default()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        if let Some(count) = taken.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.tenant);
            }
        }
    }
}

/// A panic elsewhere cannot leave a count half changed, so a poisoned lock is as good as any.
fn lock(taken: &Mutex<HashMap<TenantId, usize>>) -> MutexGuard<'_, HashMap<TenantId, usize>> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_and_the_service_are_bounded_and_a_dropped_seat_is_free_again() {
        let seats = Seats::new(&Limits { seats_per_tenant_max: 2, seats_max: 3, ..Limits::default() });
        let (acme, other) = (TenantId::new("acme"), TenantId::new("other"));
        let first = seats.take(&acme);
        let second = seats.take(&acme);
        assert!(first.is_some() && second.is_some());
        assert!(seats.take(&acme).is_none(), "the tenant's bound");
        let third = seats.take(&other);
        assert!(third.is_some(), "one tenant's bound is not another's");
        assert!(seats.take(&other).is_none(), "the service's bound");
        drop(first);
        assert!(seats.take(&other).is_some());
        drop((second, third));
        assert!(lock(&seats.taken).is_empty(), "a tenant without seats costs nothing");
    }
}
