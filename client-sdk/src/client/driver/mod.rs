//! The task that owns the engine: takes in what happens, commits, and only then sends and tells.

mod tidings;
mod upkeep;
mod wishes;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Weak, atomic::AtomicU64},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use syncline_core::{ids::RecordId, time::Millis};
use tokio::{
    sync::{broadcast, mpsc, oneshot, watch},
    task::JoinHandle,
};

use super::{
    command::Command,
    error::ClientError,
    presence::Ear,
    state::{ClientEvent, ConnectionState},
    subscriber::Subscriber,
};
use crate::{
    engine::{Brought, Engine, EngineError, Input, Need},
    store::{Row, Store, StoreError, Subset, Tally},
    transport::{Credentials, Down, FeedEvent, LinkEvent, Outbox},
};

/// The most things that are made durable in one commit: enough to share the cost of a flush, few enough to answer soon.
const BATCH_MAX: usize = 64;
/// How many records a search for unlisted ones reads at once.
const PAGE: usize = 500;
/// The most feed events that wait; the feed's socket waits then.
const FEED_MAX: usize = 16;

/// A wish that was handled and whose answer waits for the commit.
enum Answer {
    Done(oneshot::Sender<()>),
    Row(oneshot::Sender<Result<Option<Row>, ClientError>>, Result<Option<Row>, ClientError>),
    Fetch(RecordId, oneshot::Sender<Result<(), ClientError>>, Result<Fetching, ClientError>),
}

/// How far the fetching of a document has come.
enum Fetching {
    Done,
    UnderWay,
}

/// A search for records that a listing did not show.
struct Sweep {
    subset: Subset,
    listing: u64,
    after: Option<RecordId>,
}

/// What the driver talks to.
pub(super) struct Lines {
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) link: mpsc::Receiver<LinkEvent>,
    pub(super) state: watch::Sender<ConnectionState>,
    pub(super) tally: watch::Sender<Tally>,
    pub(super) events: broadcast::Sender<ClientEvent>,
}

pub(super) struct Driver {
    engine: Engine,
    store: Arc<dyn Store>,
    credentials: Arc<Credentials>,
    lines: Lines,
    outbox: Option<Outbox>,
    feed: mpsc::Receiver<FeedEvent>,
    feed_in: mpsc::Sender<FeedEvent>,
    feeds: Vec<(Subset, JoinHandle<()>)>,
    listings: Arc<AtomicU64>,
    subscribers: Vec<Weak<Subscriber>>,
    ears: Vec<Weak<Ear>>,
    fetches: HashMap<RecordId, Vec<oneshot::Sender<Result<(), ClientError>>>>,
    inputs: VecDeque<Input>,
    sweeps: VecDeque<Sweep>,
    /// The store failed: what the engine remembers may never have been kept.
    is_broken: bool,
    /// Who waits for the client's end.
    closing: Vec<oneshot::Sender<()>>,
    tally: Tally,
}

fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// One thing that happened.
enum Happened {
    Command(Command),
    Link(LinkEvent),
    Feed(FeedEvent),
    Tick,
    Closed,
}

impl Driver {
    pub(super) fn new(
        engine: Engine,
        store: Arc<dyn Store>,
        credentials: Arc<Credentials>,
        lines: Lines,
        tally: Tally,
    ) -> Self {
        let (feed_in, feed) = mpsc::channel(FEED_MAX);
        let listing = engine.subsets().iter().map(|state| state.listing).max().unwrap_or_default();
        let mut driver = Self {
            engine,
            store,
            credentials,
            lines,
            outbox: None,
            feed,
            feed_in,
            feeds: Vec::new(),
            listings: Arc::new(AtomicU64::new(listing)),
            subscribers: Vec::new(),
            ears: Vec::new(),
            fetches: HashMap::new(),
            inputs: VecDeque::new(),
            sweeps: VecDeque::new(),
            is_broken: false,
            closing: Vec::new(),
            tally,
        };
        for state in driver.engine.subsets().to_vec() {
            driver.follow(state.subset, state.cursor);
        }
        driver
    }

    /// Works until the last handle of the client is gone, or somebody closes it.
    pub(super) async fn run(mut self) {
        while self.closing.is_empty() {
            if self.is_broken {
                self.mend().await;
            } else if let Some(input) = self.inputs.pop_front() {
                self.batch(Vec::new(), vec![input]).await;
                continue;
            } else if let Some(sweep) = self.sweeps.pop_front() {
                self.sweep(sweep).await;
                continue;
            }
            match self.next().await {
                Happened::Closed => break,
                happened => self.take(happened).await,
            }
        }
        let waiting = std::mem::take(&mut self.closing);
        self.end();
        for reply in waiting {
            // Whoever waited may have given up.
            let _ = reply.send(());
        }
    }

    async fn next(&mut self) -> Happened {
        let wake =
            self.engine.wakes_at().map(|at| Duration::from_millis(at.0.saturating_sub(now().0).max(0).cast_unsigned()));
        tokio::select! {
            command = self.lines.commands.recv() => command.map_or(Happened::Closed, Happened::Command),
            Some(event) = self.lines.link.recv() => Happened::Link(event),
            Some(event) = self.feed.recv() => Happened::Feed(event),
            () = tokio::time::sleep(wake.unwrap_or_default()), if wake.is_some() => Happened::Tick,
        }
    }

    /// Takes in one thing and what else has happened by now, as one batch.
    async fn take(&mut self, first: Happened) {
        let mut commands = Vec::new();
        let mut inputs = Vec::new();
        let mut next = Some(first);
        while let Some(happened) = next.take() {
            match happened {
                Happened::Command(command) => commands.push(command),
                Happened::Link(event) => inputs.extend(self.link(event)),
                Happened::Feed(event) => inputs.push(feed_input(event)),
                Happened::Tick => inputs.push(Input::Tick),
                Happened::Closed => {}
            }
            // What the link brings is handled in its order and never overtaken by a change of the link itself.
            if commands.len() + inputs.len() < BATCH_MAX {
                next = self.ready();
            }
        }
        self.batch(commands, inputs).await;
    }

    fn ready(&mut self) -> Option<Happened> {
        if let Ok(command) = self.lines.commands.try_recv() {
            return Some(Happened::Command(command));
        }
        if let Ok(event) = self.lines.link.try_recv() {
            return Some(Happened::Link(event));
        }
        self.feed.try_recv().ok().map(Happened::Feed)
    }

    fn link(&mut self, event: LinkEvent) -> Option<Input> {
        match event {
            LinkEvent::Connecting => {
                self.lines.state.send_replace(ConnectionState::Connecting);
                None
            }
            LinkEvent::Up(outbox) => {
                self.outbox = Some(outbox);
                Some(Input::Connected)
            }
            LinkEvent::Frame(message) => Some(Input::Frame(message)),
            LinkEvent::Down { why, wait } => {
                self.outbox = None;
                self.lines.state.send_replace(match why {
                    Down::Unauthorised(reason) => ConnectionState::Unauthorised { reason },
                    Down::Lost(reason) | Down::Overloaded(reason) => {
                        ConnectionState::Offline { reason, retry_in: wait }
                    }
                });
                self.end_fetches();
                Some(Input::Lost)
            }
        }
    }

    async fn batch(&mut self, commands: Vec<Command>, inputs: Vec<Input>) {
        let mut answers = Vec::new();
        let mut subscribed = Vec::new();
        let result = self.handle_all(commands, inputs, &mut answers, &mut subscribed).await;
        let effects = self.engine.finish();
        let result = match result {
            Ok(()) if effects.writes.is_empty() => Ok(()),
            Ok(()) => self.store.commit(effects.writes.clone()).await,
            Err(error) => Err(error),
        };
        match result {
            Ok(()) => self.carry_out(effects).await,
            Err(error) => {
                self.fail(&error);
                answers = answers.into_iter().map(|answer| failed(answer, &error)).collect();
            }
        }
        subscribed.iter().for_each(|subscriber| self.subscribe(subscriber));
        answers.into_iter().for_each(|answer| self.answer(answer));
    }

    /// Handles an input and what follows from it.
    async fn handle(&mut self, input: Input) -> Result<Result<(), EngineError>, StoreError> {
        self.bring(&input).await?;
        let result = self.engine.handle(input, now(), &mut rand::rng());
        while let Some(task) = self.engine.task() {
            self.bring(&task).await?;
            // A task is nobody's wish: where it fails, the engine has told so.
            let _ = self.engine.handle(task, now(), &mut rand::rng());
        }
        Ok(result)
    }

    async fn bring(&mut self, input: &Input) -> Result<(), StoreError> {
        while let Some(need) = self.engine.missing(input) {
            let brought = match need {
                Need::Row(record) => Brought::Row(record, self.store.row(record).await?),
                Need::Owner(id) => Brought::Owner(id, self.store.owner(id).await?),
                Need::Mover(id) => Brought::Mover(id, self.store.mover(id).await?),
                Need::Document(id) => Brought::Document(id, self.store.document(id).await?),
            };
            self.engine.bring(brought);
        }
        Ok(())
    }

    fn end(self) {
        self.feeds.iter().for_each(|(_, task)| task.abort());
        self.subscribers.iter().filter_map(Weak::upgrade).for_each(|subscriber| subscriber.close());
        let reason = "it was closed, or every handle of it was dropped".to_owned();
        self.lines.state.send_replace(ConnectionState::Closed { reason });
    }
}

fn feed_input(event: FeedEvent) -> Input {
    match event {
        FeedEvent::Listed { subset, listing, rows } => Input::Listed { subset, listing, rows },
        FeedEvent::ListEnd { subset, listing, cursor } => Input::ListEnd { subset, listing, cursor },
        FeedEvent::Change { subset, cursor, told } => Input::Change { subset, cursor, told: Some(*told) },
    }
}

fn failed(answer: Answer, error: &StoreError) -> Answer {
    match answer {
        done @ Answer::Done(_) => done,
        Answer::Row(reply, _) => Answer::Row(reply, Err(error.clone().into())),
        Answer::Fetch(record, reply, _) => Answer::Fetch(record, reply, Err(error.clone().into())),
    }
}
