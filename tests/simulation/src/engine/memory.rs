//! What a process holds in memory. A crash takes all of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use syncline_core::{
    budget::Budgets,
    ids::{ExternalId, RecordId},
    remote::RemoteVersion,
    replica::Observation,
    value::Fields,
};

use super::intake::Arrival;
use crate::{store::Entry, world::Account};

/// How many entries of a feed are kept in memory.
const RING_MAX: usize = 8;

/// What a reading that was an echo showed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Echo {
    deleted: bool,
    version: Option<RemoteVersion>,
    aliases: Vec<ExternalId>,
    fields: Fields,
}

impl Echo {
    /// What a reading shows, with its object's id.
    pub(crate) fn of(arrival: &Arrival) -> Option<(ExternalId, Self)> {
        let Arrival::Observed { observation, .. } = arrival else { return None };
        let Observation { id, deleted, version, aliases, fields, .. } = observation.clone();
        Some((id, Self { deleted, version, aliases, fields }))
    }
}

/// What is held of one side.
#[derive(Debug)]
pub(crate) struct SideMemory {
    /// Objects to be looked at, with the hints that asked for it.
    pub(crate) looks: BTreeMap<ExternalId, Vec<u64>>,
    /// Records that one of the writer's lanes brings up to date now.
    pub(crate) claimed: BTreeSet<RecordId>,
    pub(crate) budgets: Budgets,
    /// How far the provider's clock is ahead, as measured.
    pub(crate) offset_ms: i64,
    /// Rows that were echoes and have not been touched since.
    pub(crate) echoes: BTreeMap<ExternalId, Echo>,
    /// A person lets a mass delete pass.
    pub(crate) approved: bool,
    /// A person wants everything listed again.
    pub(crate) sweep_now: bool,
}

/// What a process holds.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) sides: Vec<SideMemory>,
    /// The end of each tenant's feed.
    rings: Vec<VecDeque<Entry>>,
}

impl Memory {
    pub(crate) fn new(accounts: &[Account], tenants: usize) -> Self {
        let side = |account: &Account| SideMemory {
            looks: BTreeMap::new(),
            claimed: BTreeSet::new(),
            budgets: Budgets::new(account.provider.quirks.budgets()),
            offset_ms: 0,
            echoes: BTreeMap::new(),
            approved: false,
            sweep_now: false,
        };
        Self { sides: accounts.iter().map(side).collect(), rings: (0..tenants).map(|_| VecDeque::new()).collect() }
    }

    pub(crate) fn published(&mut self, tenant: usize, entries: &[Entry]) {
        let ring = &mut self.rings[tenant];
        ring.extend(entries.iter().cloned());
        while ring.len() > RING_MAX {
            ring.pop_front();
        }
    }

    /// What follows a cursor; `None` where the ring does not reach back so far.
    pub(crate) fn after(&self, tenant: usize, cursor: u64) -> Option<Vec<Entry>> {
        let ring = &self.rings[tenant];
        let reaches = ring.front().is_some_and(|first| first.seq <= cursor + 1);
        reaches.then(|| ring.iter().filter(|entry| entry.seq > cursor).cloned().collect())
    }
}
