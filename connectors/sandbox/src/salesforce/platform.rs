//! The emulated org: its data, its sessions, its quota, and the clock under which they move.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::cursors::Cursors;
use super::quota::Quota;
use super::sessions::{Principal, SESSION_IDLE_MAX, Sessions};
use super::store::{ObjectNo, Store};
use super::table::{Record, Row};
use super::transaction::{Caller, Transaction};
use crate::clock::Micros;
use crate::ledger::{Actor, Event, Op};
use crate::people::{People, Population};
use crate::sandbox::Parts;

/// The name of the connected app's user.
pub(crate) const INTEGRATION_USER: &str = "integration";
/// The name of the user behind the long-lived token.
pub(crate) const ORDINARY_USER: &str = "user";
/// The name under which the platform's own jobs appear in the ledger.
const AUTOMATION: &str = "automation";

/// The shortest and longest time between a transaction's stamp and its commit.
const COMMIT_LAG: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// The emulated org.
#[derive(Debug)]
pub struct SalesforceState {
    pub(crate) parts: Parts,
    pub(crate) store: Mutex<Store>,
    pub(crate) sessions: Mutex<Sessions>,
    pub(crate) quota: Mutex<Quota>,
    pub(crate) cursors: Mutex<Cursors>,
    /// The integration's and the ordinary user's numbers.
    users: (u32, u32),
    /// Woken whenever held-back transactions have been committed.
    committed: Notify,
}

impl SalesforceState {
    /// An org that holds its side of the population.
    #[must_use]
    pub fn new(parts: Parts, population: &Population, seed: u64) -> Self {
        let now = parts.clock.now();
        let mut store = Store::new(&People::new(seed, population));
        let users = (store.user(INTEGRATION_USER, now), store.user(ORDINARY_USER, now));
        let idle_max = parts.clock.scaled_life(SESSION_IDLE_MAX);
        let sessions = Sessions::new(&parts.credentials, idle_max, now, seed);
        let cursors = Cursors::new(&parts.clock);
        Self {
            store: Mutex::new(store),
            sessions: Mutex::new(sessions),
            quota: Mutex::default(),
            cursors: Mutex::new(cursors),
            users,
            committed: Notify::new(),
            parts,
        }
    }

    /// The caller behind a principal.
    pub(crate) fn caller(&self, principal: Principal) -> Caller {
        let (actor, user) = match principal {
            Principal::Integration => (Actor::integration(INTEGRATION_USER), self.users.0),
            Principal::User => (Actor::user(ORDINARY_USER), self.users.1),
        };
        Caller { actor, user, allows_duplicates: false, auto_assigns: true }
    }

    /// The caller for a user who is named at the side door.
    pub(crate) fn named_user(&self, name: &str) -> Caller {
        let user = self.store.lock().user(name, self.parts.clock.now());
        Caller { actor: Actor::user(name), user, allows_duplicates: true, auto_assigns: true }
    }

    /// Looks at the data as it is visible now.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&Store) -> T) -> T {
        let mut store = self.store.lock();
        store.settle(self.parts.clock.now(), &self.parts.ledger);
        look(&store)
    }

    /// Changes object types.
    pub(crate) fn change_schema<T>(&self, change: impl FnOnce(&mut Store, Micros) -> T) -> T {
        let now = self.parts.clock.now();
        change(&mut self.store.lock(), now)
    }

    /// Runs one transaction and returns when it is committed, which may be seconds after its rows were stamped.
    pub(crate) async fn write<T>(&self, caller: &Caller, via: &str, work: impl FnOnce(&mut Transaction<'_>) -> T) -> T {
        let (result, ticket) = self.stamp(caller, via, work);
        if let Some((ticket, commits_at)) = ticket {
            self.wait_for(ticket, commits_at).await;
        }
        result
    }

    /// Runs one transaction and returns at once; its rows may become visible later.
    pub(crate) fn write_behind<T>(
        &self,
        caller: &Caller,
        via: &str,
        work: impl FnOnce(&mut Transaction<'_>) -> T,
    ) -> T {
        self.stamp(caller, via, work).0
    }

    /// Commits everything that is held back. Returns how many transactions there were.
    pub(crate) fn settle_all(&self) -> usize {
        let count = self.store.lock().settle_all(self.parts.clock.now(), &self.parts.ledger);
        self.committed.notify_waiters();
        count
    }

    /// Notes in the ledger that the integration was shown a record.
    pub(crate) fn log_read(&self, caller: &Caller, record: &Record<'_>, via: &Arc<str>) {
        if !self.parts.ledger.log_reads() || !caller.is_integration() {
            return;
        }
        let stamp = Some(record.stamp_text());
        self.parts.ledger.append(Event {
            at_us: self.parts.clock.now(),
            actor: caller.actor.clone(),
            op: Op::Read,
            object: record.table.schema.name.into(),
            id: record.id().to_string(),
            fields: Default::default(),
            stamp_before: stamp.clone(),
            stamp_after: stamp,
            redundant: false,
            via: via.clone(),
        });
    }

    fn stamp<T>(
        &self,
        caller: &Caller,
        via: &str,
        work: impl FnOnce(&mut Transaction<'_>) -> T,
    ) -> (T, Option<(u64, Micros)>) {
        let Self { parts, .. } = self;
        let mut store = self.store.lock();
        let now = parts.clock.now();
        store.settle(now, &parts.ledger);
        let mut transaction = Transaction::begin(&mut store, &parts.faults, &parts.ledger, caller, via.into(), now);
        let result = work(&mut transaction);
        if transaction.is_empty() {
            return (result, None);
        }
        let commits_at = self.commit_lag().map(|lag| now.plus(lag));
        let touched = transaction.first_object();
        let ticket = transaction.commit(commits_at);
        if let Some(object) = touched {
            self.touch_something(&mut store, object);
        }
        (result, ticket.zip(commits_at))
    }

    /// How long this transaction is held back, if it is.
    fn commit_lag(&self) -> Option<Duration> {
        let Parts { clock, faults, .. } = &self.parts;
        let (shortest, longest) = COMMIT_LAG;
        if clock.scaled(longest).is_zero() || !faults.roll("late_commit") {
            return None;
        }
        Some(clock.scaled(shortest + (longest - shortest).mul_f64(faults.draw("late_commit"))))
    }

    async fn wait_for(&self, ticket: u64, commits_at: Micros) {
        loop {
            let woken = self.committed.notified();
            {
                let mut store = self.store.lock();
                store.settle(self.parts.clock.now(), &self.parts.ledger);
                if !store.is_pending(ticket) {
                    return;
                }
            }
            tokio::select! {
                () = woken => {}
                () = self.parts.clock.wait_until(commits_at) => {}
            }
        }
    }

    /// A background job moves the stamp of some record and nothing else.
    fn touch_something(&self, store: &mut Store, object: ObjectNo) {
        let Parts { clock, faults, ledger, .. } = &self.parts;
        let len = store.table(object).len();
        if len == 0 || !faults.roll("system_touch") {
            return;
        }
        // The draw is below 1, so the product is below `len`.
        let number = (faults.draw("system_touch") * f64::from(len)) as u32;
        let now = clock.now();
        let table = store.table_mut(object);
        let Some(record) = table.live(number) else { return };
        let (stamp_before, id, row) = (record.stamp_text(), record.id().to_string(), record.row.clone());
        table.set(number, Some(Row { stamp: now.floor_to_second().max(row.stamp), ..row }));
        ledger.append(Event {
            at_us: now,
            actor: Actor::system(AUTOMATION),
            op: Op::Update,
            object: table.schema.name.into(),
            id,
            fields: Default::default(),
            stamp_before: Some(stamp_before),
            stamp_after: table.record(number).map(|record| record.stamp_text()),
            redundant: true,
            via: AUTOMATION.into(),
        });
    }
}
