//! How many sockets and long-polls are open, bounded per tenant and in all.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use syncline_core::ids::TenantId;

use super::limits;

/// Hands out [`Seat`]s.
#[derive(Debug, Default)]
pub(super) struct Seats {
    taken: Arc<Mutex<HashMap<TenantId, usize>>>,
}

/// One open socket or long-poll; dropping it frees the seat.
#[derive(Debug)]
pub struct Seat {
    taken: Arc<Mutex<HashMap<TenantId, usize>>>,
    tenant: TenantId,
}

impl Seats {
    /// A seat, or `None` at the tenant's or the service's bound.
    pub(super) fn take(&self, tenant: &TenantId) -> Option<Seat> {
        let mut taken = lock(&self.taken);
        if taken.values().sum::<usize>() >= limits::SEATS_MAX {
            return None;
        }
        let count = taken.entry(tenant.clone()).or_default();
        if *count >= limits::SEATS_PER_TENANT_MAX {
            return None;
        }
        *count += 1;
        Some(Seat { taken: Arc::clone(&self.taken), tenant: tenant.clone() })
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
    fn a_tenant_is_bounded_and_a_dropped_seat_is_free_again() {
        let seats = Seats::default();
        let (acme, other) = (TenantId::new("acme"), TenantId::new("other"));
        let mut held: Vec<_> = (0..limits::SEATS_PER_TENANT_MAX).map(|_| seats.take(&acme).unwrap()).collect();
        assert!(seats.take(&acme).is_none());
        assert!(seats.take(&other).is_some(), "one tenant's bound is not another's");
        held.pop();
        assert!(seats.take(&acme).is_some());
        drop(held);
        assert!(lock(&seats.taken).is_empty(), "a tenant without seats costs nothing");
    }
}
