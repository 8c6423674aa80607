//! One client: an engine over a store, with a line that can be cut and a process that can be killed.

use std::collections::VecDeque;

use futures_util::FutureExt as _;
use rand_chacha::ChaCha8Rng;
use syncline_core::{
    ids::RecordId,
    live::{Cursor, Filter},
    repo::{Message, PeerId, SessionId},
    time::Millis,
};

use crate::{
    engine::{Ask, Brought, Effects, Engine, EngineError, Input, Limits, Me, Need, Notice},
    store::{MemoryStore, Row, RowQuery, Store as _, Subset},
};

/// Where a process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Death {
    /// Before the batch was committed: it never happened.
    BeforeCommit,
    /// After it was committed, before anything was sent.
    AfterCommit,
}

pub(super) struct Client {
    pub(super) engine: Engine,
    pub(super) store: MemoryStore,
    pub(super) up: VecDeque<Message>,
    pub(super) is_connected: bool,
    /// The engine wants another connection.
    pub(super) is_done: bool,
    /// How much of the feed was heard.
    pub(super) heard: usize,
    pub(super) notices: Vec<Notice>,
    pub(super) now: Millis,
    rng: ChaCha8Rng,
    number: usize,
    runs: usize,
}

/// Everything is ready at once in a memory store.
fn ready<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("a memory store never waits")
}

pub(super) fn subset() -> Subset {
    Subset { model: "contact".into(), filter: Filter::default() }
}

impl Client {
    pub(super) fn new(number: usize, rng: ChaCha8Rng) -> Self {
        let store = MemoryStore::new();
        let mut client = Self {
            engine: Self::engine(&store, number, 0),
            store,
            up: VecDeque::new(),
            is_connected: false,
            is_done: false,
            heard: 0,
            notices: Vec::new(),
            now: Millis(0),
            rng,
            number,
            runs: 0,
        };
        client.run(Input::Hold { subset: subset() }, None).unwrap();
        client
    }

    fn engine(store: &MemoryStore, number: usize, run: usize) -> Engine {
        let me = Me {
            peer: PeerId::new(&format!("client-{number}-{run}")).unwrap(),
            session: SessionId::new(&format!("{run}")).unwrap(),
        };
        let subsets = ready(store.subsets()).unwrap();
        // Few enough that documents are unloaded all the time.
        let limits = Limits { documents_max: 2, opened_max: 12, ..Limits::default() };
        Engine::new(me, limits, subsets, ready(store.set_fields()).unwrap())
    }

    pub(super) fn peer(&self) -> PeerId {
        PeerId::new(&format!("client-{}-{}", self.number, self.runs)).unwrap()
    }

    /// Kills the process and starts it anew on what the store holds.
    pub(super) fn restart(&mut self) {
        self.runs += 1;
        self.engine = Self::engine(&self.store, self.number, self.runs);
        self.is_connected = false;
        self.up.clear();
        self.heard = self.engine.subsets()[0].cursor.map_or(0, |cursor| cursor.0 as usize);
    }

    /// Handles an input and what follows from it as one batch. `false` where the process died.
    pub(super) fn run(&mut self, input: Input, death: Option<Death>) -> Result<bool, EngineError> {
        self.now = self.now.plus(1);
        let result = self.step(input);
        while let Some(task) = self.engine.task() {
            self.step(task).unwrap();
        }
        let effects = self.engine.finish();
        if death == Some(Death::BeforeCommit) {
            self.restart();
            return Ok(false);
        }
        ready(self.store.commit(effects.writes.clone())).unwrap();
        if death == Some(Death::AfterCommit) {
            self.restart();
            return Ok(true);
        }
        self.carry_out(effects);
        result.map(|()| true)
    }

    fn carry_out(&mut self, effects: Effects) {
        self.is_done |= effects.close.is_some();
        if self.is_connected {
            self.up.extend(effects.messages);
        }
        self.notices.extend(effects.notices);
        for ask in effects.asks {
            let input = match ask {
                Ask::Stale { after } => {
                    let documents = ready(self.store.stale(after, 3)).unwrap();
                    Input::Stale { more: documents.len() == 3, documents }
                }
                Ask::Unlisted { subset, listing } => {
                    let records = ready(self.store.unlisted(&subset.model, listing, None, 1000)).unwrap();
                    Input::Unwanted { subset, listing, records }
                }
            };
            self.run(input, None).unwrap();
        }
    }

    fn step(&mut self, input: Input) -> Result<(), EngineError> {
        while let Some(need) = self.engine.missing(&input) {
            let brought = match need {
                Need::Row(record) => Brought::Row(record, ready(self.store.row(record)).unwrap()),
                Need::Owner(id) => Brought::Owner(id, ready(self.store.owner(id)).unwrap()),
                Need::Mover(id) => Brought::Mover(id, ready(self.store.mover(id)).unwrap()),
                Need::Document(id) => Brought::Document(id, ready(self.store.document(id)).unwrap()),
            };
            self.engine.bring(brought);
        }
        self.engine.handle(input, self.now, &mut self.rng)
    }

    pub(super) fn row(&self, record: RecordId) -> Option<Row> {
        ready(self.store.row(record)).unwrap()
    }

    pub(super) fn rows(&self) -> Vec<Row> {
        let (model, filter) = ("contact".into(), Filter::default());
        ready(self.store.rows(RowQuery { model: &model, filter: &filter, after: None, limit: 1000 })).unwrap()
    }

    pub(super) fn pending(&self) -> u64 {
        let tally = ready(self.store.tally()).unwrap();
        tally.pending + tally.refused
    }

    pub(super) fn cursor(&self) -> Option<Cursor> {
        self.engine.subsets()[0].cursor
    }
}
