//! The simulated world: providers, clients, the network between them, the store, and one process of the service that comes and
//! goes. Everything that happens is an [`Item`] on the agenda.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use syncline_core::{
    ids::{ConnectionId, FieldName},
    plan::SyncPlan,
    time::Millis,
    value::{Fields, Value},
};

use crate::{
    agenda::Agenda,
    checker::{Invariant, Violation},
    client::{Request, Response, api::Api, holder::Holder, subscriber::Subscriber},
    engine::memory::Memory,
    executor::{Handle, Lock, Running, Signal, TaskId},
    fault::{Counts, Fault},
    ledger::Ledger,
    mutant::Mutant,
    network::Call,
    provider::Provider,
    store::{Hint, Store},
    trace::Trace,
};

/// When every world begins, by the clocks in it that are right.
pub(crate) const BEGINNING: Millis = Millis(1_700_000_000_000);

/// Something that happens.
#[derive(Debug)]
pub(crate) enum Item {
    /// A task's time has come.
    Wake(TaskId),
    /// A request takes effect at its provider.
    Effect(u64),
    /// An answer arrives.
    Answer(u64),
    /// Whoever waits for an answer gives up.
    Timeout(u64),
    /// A webhook arrives.
    Hint { system: usize, hint: Hint, payload: Box<syncline_core::remote::RemoteObject> },
    /// A client's request arrives.
    Request(Request),
    /// The service's response arrives at a client.
    Response(Response),
    /// A subscriber reads what is new.
    Feed(usize),
    /// A subscriber connects again.
    Plug(usize),
    /// A process starts.
    Restart,
}

/// One tenant's account at a provider.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) tenant: usize,
    pub(crate) connection: ConnectionId,
    pub(crate) provider: Provider,
}

/// How the service is configured in this run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) poll_ms: i64,
    pub(crate) sweep_ms: i64,
    /// From so many journal entries on a record begins anew.
    pub(crate) history_max: usize,
}

pub(crate) struct World {
    pub(crate) rng: ChaCha8Rng,
    pub(crate) now: Millis,
    agenda: Agenda<Item>,
    pub(crate) trace: Trace,
    pub(crate) counts: Counts,
    pub(crate) ledger: Ledger,
    pub(crate) mutant: Option<Mutant>,
    pub(crate) settings: Settings,
    pub(crate) plans: Vec<Rc<SyncPlan>>,
    pub(crate) accounts: Vec<Account>,
    pub(crate) store: Store,
    /// What the running process holds; `None` while none runs.
    pub(crate) process: Option<Memory>,
    /// For tasks that begin later; only while the world runs.
    pub(crate) handle: Option<Handle>,
    /// A process is to be started.
    pub(crate) starts: bool,
    /// The process has just died.
    pub(crate) died: bool,
    pub(crate) ready: VecDeque<TaskId>,
    pub(crate) current: TaskId,
    pub(crate) spawned: Vec<(TaskId, Running)>,
    pub(crate) tasks_made: u64,
    pub(crate) signals: BTreeSet<(Signal, usize)>,
    pub(crate) listeners: BTreeMap<(Signal, usize), Vec<TaskId>>,
    pub(crate) locks: BTreeMap<Lock, VecDeque<TaskId>>,
    pub(crate) calls: BTreeMap<u64, Call>,
    pub(crate) calls_made: u64,
    pub(crate) cut_until: Vec<Millis>,
    /// Trouble that waits for its occasion.
    armed: Vec<(usize, Fault)>,
    pub(crate) api: Vec<Api>,
    pub(crate) holders: Vec<Holder>,
    pub(crate) subscribers: Vec<Subscriber>,
    pub(crate) violation: Option<Violation>,
    /// The number of the present event, which the values that it brings bear.
    pub(crate) event: u32,
    pub(crate) words: u32,
    pub(crate) hints_sent: u64,
    pub(crate) requests_made: u64,
}

impl World {
    pub(crate) fn new(
        rng: ChaCha8Rng,
        settings: Settings,
        plans: Vec<Rc<SyncPlan>>,
        accounts: Vec<Account>,
        mutant: Option<Mutant>,
        trace: bool,
    ) -> Self {
        let cut_until = accounts.iter().map(|_| Millis(0)).collect();
        let store = Store::new(plans.len());
        let api = plans.iter().map(|_| Api::default()).collect();
        Self {
            rng,
            now: BEGINNING,
            agenda: Agenda::default(),
            trace: Trace::new(BEGINNING, trace),
            counts: Counts::default(),
            ledger: Ledger::default(),
            mutant,
            settings,
            plans,
            accounts,
            store,
            process: None,
            handle: None,
            starts: true,
            died: false,
            ready: VecDeque::new(),
            current: TaskId::default(),
            spawned: Vec::new(),
            tasks_made: 0,
            signals: BTreeSet::new(),
            listeners: BTreeMap::new(),
            locks: BTreeMap::new(),
            calls: BTreeMap::new(),
            calls_made: 0,
            cut_until,
            armed: Vec::new(),
            api,
            holders: Vec::new(),
            subscribers: Vec::new(),
            violation: None,
            event: 0,
            words: 0,
            hints_sent: 0,
            requests_made: 0,
        }
    }

    /// Plans something.
    pub(crate) fn at(&mut self, at: Millis, item: Item) {
        self.agenda.plan(at, item);
    }

    /// Everything that is yet to happen.
    pub(crate) fn ahead(&self) -> impl Iterator<Item = &Item> {
        self.agenda.iter()
    }

    /// Lets the next thing happen; `false` where nothing is left until then.
    pub(crate) fn advance(&mut self, until: Millis) -> bool {
        if self.starts {
            return true;
        }
        if self.agenda.next_at().is_none_or(|at| at > until) {
            self.now = self.now.max(until);
            return false;
        }
        let Some((at, item)) = self.agenda.pop() else { return false };
        self.now = self.now.max(at);
        let (kind, what) = item.digest();
        self.trace.step(self.now, kind, what);
        match item {
            Item::Wake(task) => self.wake(task),
            Item::Effect(call) => self.effect(call),
            Item::Answer(call) => self.arrive(call),
            Item::Timeout(call) => self.give_up(call),
            Item::Hint { system, hint, payload } => self.hint_arrives(system, hint, *payload),
            Item::Request(request) => self.request_arrives(request),
            Item::Response(response) => self.response_arrives(response),
            Item::Feed(subscriber) => self.feed(subscriber),
            Item::Plug(subscriber) => self.plug(subscriber),
            Item::Restart => self.starts = self.process.is_none(),
        }
        true
    }

    /// After a crash: what was in memory is gone, and a new process starts after a while.
    pub(crate) fn bury(&mut self) {
        self.process = None;
        self.ready.clear();
        self.spawned.clear();
        self.signals.clear();
        self.listeners.clear();
        self.locks.clear();
        self.calls.values_mut().for_each(Call::abandon);
        for account in &mut self.accounts {
            account.provider.objects.values_mut().for_each(|object| object.shown = None);
        }
        if self.mutant == Some(Mutant::OutboxForgets) {
            self.store.forget_deliveries();
        }
        if self.mutant == Some(Mutant::TombstoneDropped) {
            self.store.forget_tombstones();
        }
        self.store.reopen();
        let at = self.now.plus(self.rng.random_range(50..3_000));
        self.at(at, Item::Restart);
    }

    /// Draws everything from here on from this seed.
    pub(crate) fn reseed(&mut self, seed: u64) {
        self.rng = ChaCha8Rng::seed_from_u64(seed);
    }

    /// Arms a fault.
    pub(crate) fn arm(&mut self, system: usize, fault: Fault) {
        self.armed.push((system, fault));
    }

    /// No trouble from here on.
    pub(crate) fn calm(&mut self) {
        self.armed.clear();
        self.cut_until.iter_mut().for_each(|until| *until = Millis(0));
    }

    /// Whether this trouble happens now at this system. It then counts as having happened.
    pub(crate) fn strikes(&mut self, system: usize, fault: Fault) -> bool {
        let armed = self.armed.iter().position(|armed| *armed == (system, fault));
        self.strike(armed, fault).is_some()
    }

    /// Whether this trouble happens now, wherever it was armed.
    pub(crate) fn strikes_somewhere(&mut self, fault: Fault) -> Option<usize> {
        let armed = self.armed.iter().position(|(_, armed)| *armed == fault);
        self.strike(armed, fault)
    }

    fn strike(&mut self, armed: Option<usize>, fault: Fault) -> Option<usize> {
        let (system, _) = self.armed.remove(armed?);
        self.counts.fault(fault);
        self.note(|| format!("!! {fault} at system {system}"));
        Some(system)
    }

    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        self.trace.note(self.now, line);
    }

    /// An invariant is broken. The first one counts.
    pub(crate) fn violate(&mut self, invariant: Invariant, what: String) {
        self.note(|| format!("## {invariant}: {what}"));
        self.violation.get_or_insert(Violation { invariant, what });
    }

    /// A text that nobody used before. It tells the tenant, so that one that strays is known; and begins and ends unlike others,
    /// because where a text was edited can only be told by its characters.
    pub(crate) fn word(&mut self, tenant: usize) -> String {
        self.words += 1;
        let mark = if tenant == 0 { "Word" } else { "Canary" };
        let salt = u64::from(self.event).wrapping_mul(0x9e37_79b9).wrapping_add(u64::from(self.words) * 0x85eb_ca6b);
        let letter = |shift: u32| char::from(b"bcdfghklmnprstvw"[(salt >> shift) as usize % 16]);
        let [a, b, c, d] = [3, 9, 15, 21].map(letter);
        format!("{a}{b}{mark}{}x{}{c}{d}", self.event, self.words)
    }

    /// The accounts of a tenant, by their number.
    pub(crate) fn systems_of(&self, tenant: usize) -> impl Iterator<Item = usize> {
        self.accounts.iter().enumerate().filter(move |(_, account)| account.tenant == tenant).map(|(system, _)| system)
    }

    pub(crate) fn system_of(&self, connection: &ConnectionId) -> Option<usize> {
        self.accounts.iter().position(|account| account.connection == *connection)
    }

    /// A tenant's plan and one of its sides.
    pub(crate) fn side(&self, system: usize) -> (&Rc<SyncPlan>, &syncline_core::plan::Side) {
        let account = &self.accounts[system];
        let plan = &self.plans[account.tenant];
        (plan, &plan.sides[&account.connection])
    }

    /// The canonical values that an object holds.
    pub(crate) fn values(&self, system: usize, raw: &syncline_core::remote::Raw) -> Fields {
        self.side(system).1.mapping.read(raw).fields
    }

    pub(crate) fn value(&self, system: usize, raw: &syncline_core::remote::Raw, field: &FieldName) -> Value {
        self.values(system, raw).remove(field).unwrap_or_default()
    }
}

impl Item {
    fn digest(&self) -> (u8, u64) {
        match self {
            Self::Wake(task) => (0, task.0),
            Self::Effect(call) => (1, *call),
            Self::Answer(call) => (2, *call),
            Self::Timeout(call) => (3, *call),
            Self::Hint { system, .. } => (4, *system as u64),
            Self::Request(request) => (5, request.id),
            Self::Response(response) => (6, response.id),
            Self::Feed(subscriber) => (7, *subscriber as u64),
            Self::Plug(subscriber) => (8, *subscriber as u64),
            Self::Restart => (9, 0),
        }
    }
}

/// Fields in one short line.
pub(crate) fn brief(fields: &Fields) -> String {
    fields.iter().map(|(name, value)| format!("{name}={}", value.to_json())).collect::<Vec<_>>().join(" ")
}
