//! The task that owns the engine: takes in what happens, commits, and only then sends and tells.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Weak, atomic::AtomicU64},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use syncline_core::{ids::RecordId, live::Cursor, time::Millis};
use tokio::{
    sync::{broadcast, mpsc, oneshot, watch},
    task::JoinHandle,
};

use super::{
    command::{Change, Command},
    error::ClientError,
    presence::Ear,
    state::{ClientEvent, ConnectionState},
    subscriber::Subscriber,
};
use crate::{
    engine::{Ask, Brought, Effects, Engine, EngineError, Input, Need, Notice, Touched},
    store::{Row, RowQuery, Store, StoreError, Subset, Tally},
    transport::{self, Credentials, Down, FeedEvent, LinkEvent, Outbox},
};

/// The most things that are made durable in one commit: enough to share the cost of a flush, few enough to answer soon.
const BATCH_MAX: usize = 64;
/// How many stale documents are asked of the store at once.
const STALE_PAGE: usize = 256;
/// How many records a search for unlisted ones, or a snapshot, reads at once.
const PAGE: usize = 500;
/// The most callers that wait for documents to be fetched.
const FETCHES_MAX: usize = 1024;
/// The most feed events that wait; the feed's socket waits then.
const FEED_MAX: usize = 16;

/// A wish that was handled and whose answer waits for the commit.
enum Answer {
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

/// Live queries that want to begin, or to begin anew, after the commit.
type Snapshots = Vec<(Arc<Subscriber>, oneshot::Sender<Result<Vec<Row>, ClientError>>)>;

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
            tally,
        };
        for state in driver.engine.subsets().to_vec() {
            driver.follow(state.subset, state.cursor);
        }
        driver
    }

    /// Works until the last handle of the client is gone.
    pub(super) async fn run(mut self) {
        loop {
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
        self.end();
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

    /// Whoever waits for a document waits in vain while there is no connection.
    fn end_fetches(&mut self) {
        for (record, waiting) in self.fetches.drain() {
            waiting.into_iter().for_each(|reply| drop(reply.send(Err(ClientError::NotHeld { record }))));
        }
    }

    async fn batch(&mut self, commands: Vec<Command>, inputs: Vec<Input>) {
        let mut answers = Vec::new();
        let mut snapshots = Snapshots::new();
        let result = self.handle_all(commands, inputs, &mut answers, &mut snapshots).await;
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
        answers.into_iter().for_each(|answer| self.answer(answer));
        for (subscriber, reply) in snapshots {
            let rows = self.snapshot(&subscriber).await;
            drop(reply.send(rows.map_err(ClientError::from)));
        }
    }

    async fn handle_all(
        &mut self,
        commands: Vec<Command>,
        inputs: Vec<Input>,
        answers: &mut Vec<Answer>,
        snapshots: &mut Snapshots,
    ) -> Result<(), StoreError> {
        for input in inputs {
            // What the server says is no application's wish: where it fails, the engine has told so.
            let _ = self.handle(input).await?;
        }
        for command in commands {
            match command {
                Command::Input { input, model, record, reply } => {
                    self.on_hold(&input);
                    let result = self.handle(input).await?;
                    answers.push(Answer::Row(reply, self.outcome(result, &model, record)));
                }
                Command::Edit { model, record, change, reply } => {
                    let result = self.edit(&model, record, change).await?;
                    answers.push(Answer::Row(reply, result));
                }
                Command::Snapshot { subscriber, reply } => snapshots.push((subscriber, reply)),
                Command::Fetch { model, record, reply } => {
                    let result = self.fetch(&model, record).await?;
                    answers.push(Answer::Fetch(record, reply, result));
                }
                Command::Listen { ear } => self.ears.push(Arc::downgrade(&ear)),
            }
        }
        Ok(())
    }

    fn outcome(
        &self,
        result: Result<(), EngineError>,
        model: &str,
        record: Option<RecordId>,
    ) -> Result<Option<Row>, ClientError> {
        let record = record.unwrap_or(RecordId(uuid::Uuid::nil()));
        result.map(|()| self.engine.row(record).cloned()).map_err(|error| ClientError::of(error, model, record))
    }

    /// Gives a document its turn, unless it is here.
    async fn fetch(&mut self, model: &str, record: RecordId) -> Result<Result<Fetching, ClientError>, StoreError> {
        if let Err(error) = self.handle(Input::Attend { record, on: true }).await? {
            return Ok(Err(ClientError::of(error, model, record)));
        }
        // The turn is taken; nobody has to attend for it to go on.
        let _ = self.handle(Input::Attend { record, on: false }).await?;
        Ok(match self.engine.row(record) {
            Some(row) if row.held => Ok(Fetching::Done),
            Some(row) if self.engine.is_unavailable(row.document) => Err(ClientError::Unavailable { record }),
            _ => Ok(Fetching::UnderWay),
        })
    }

    /// Runs an edit on what the record holds now.
    async fn edit(
        &mut self,
        model: &str,
        record: RecordId,
        change: Change,
    ) -> Result<Result<Option<Row>, ClientError>, StoreError> {
        let probe = Input::Edit { record, edits: Vec::new(), deleted: None };
        self.bring(&probe).await?;
        let row = self.engine.row(record).filter(|row| row.model.as_str() == model && row.deleted.is_none());
        let Some(row) = row else {
            return Ok(Err(ClientError::Unknown { model: model.to_owned(), record }));
        };
        let edits = match change(&row.fields) {
            Ok(edits) => edits,
            Err(error) => return Ok(Err(error)),
        };
        let result = self.handle(Input::Edit { record, edits, deleted: None }).await?;
        Ok(self.outcome(result, model, Some(record)))
    }

    /// A subset that is held from now on is followed; one that is released no longer is.
    fn on_hold(&mut self, input: &Input) {
        match input {
            Input::Hold { subset } => self.follow(subset.clone(), None),
            Input::Release { subset } => self.feeds.retain(|(followed, task)| {
                let is_other = followed != subset;
                if !is_other {
                    task.abort();
                }
                is_other
            }),
            _ => {}
        }
    }

    fn follow(&mut self, subset: Subset, cursor: Option<Cursor>) {
        if self.feeds.iter().any(|(followed, _)| *followed == subset) {
            return;
        }
        let following = transport::follow(
            self.credentials.clone(),
            subset.clone(),
            cursor,
            self.listings.clone(),
            self.feed_in.clone(),
        );
        self.feeds.push((subset, tokio::spawn(following)));
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

    /// The batch's writes are durable: now messages go out and everybody is told.
    async fn carry_out(&mut self, effects: Effects) {
        self.send(effects.messages);
        if let Some(reason) = effects.close {
            self.outbox = None;
            self.lines.state.send_replace(ConnectionState::Offline { reason, retry_in: Duration::ZERO });
        }
        effects.touched.iter().for_each(|touched| self.tell(touched));
        self.lines.tally.send_if_modified(|tally| std::mem::replace(tally, self.tally) != self.tally);
        effects.notices.into_iter().for_each(|notice| self.notify(notice));
        for ask in effects.asks {
            if let Err(error) = self.look_up(ask).await {
                self.fail(&error);
            }
        }
    }

    fn send(&mut self, messages: Vec<syncline_core::repo::Message>) {
        for message in messages {
            let Some(outbox) = &self.outbox else { return };
            if outbox.try_send(message).is_err() {
                // The connection does not move. Dropping it makes a new one, in which everything is said again.
                self.outbox = None;
            }
        }
    }

    fn tell(&mut self, touched: &Touched) {
        self.tally = self.tally.replaced(touched.before.as_ref(), touched.after.as_ref());
        self.subscribers.retain(|subscriber| match subscriber.upgrade() {
            Some(subscriber) => {
                subscriber.tell(touched);
                true
            }
            None => false,
        });
        if let Some(row) = touched.after.as_ref().filter(|row| row.held) {
            let waiting = self.fetches.remove(&row.record).into_iter().flatten();
            waiting.for_each(|reply| drop(reply.send(Ok(()))));
        }
    }

    fn notify(&mut self, notice: Notice) {
        let event = match notice {
            Notice::Joined => {
                self.lines.state.send_replace(ConnectionState::Online);
                return;
            }
            Notice::Said { record, by, data } => {
                self.ears.retain(|ear| ear.strong_count() > 0);
                let ears = self.ears.iter().filter_map(Weak::upgrade).filter(|ear| ear.record == record);
                ears.for_each(|ear| ear.hear(&by, &data));
                return;
            }
            Notice::Refused { model, record, reason } => ClientEvent::Refused { model, record, reason },
            Notice::Draft { model, record, reason } => ClientEvent::Draft { model, record, reason },
            Notice::Unavailable { model, record } => {
                let waiting = self.fetches.remove(&record).into_iter().flatten();
                waiting.for_each(|reply| drop(reply.send(Err(ClientError::Unavailable { record }))));
                ClientEvent::Unavailable { model, record }
            }
            Notice::Merged { model, from, into } => ClientEvent::Merged { model, from, into },
            Notice::Damaged { record, reason } => ClientEvent::Damaged { record, reason },
            Notice::Astray { record, .. } => {
                ClientEvent::Damaged { record, reason: "its documents point at each other without end".to_owned() }
            }
        };
        // Nobody may be listening.
        let _ = self.lines.events.send(event);
    }

    /// Reads what the engine asks for; the answers are inputs of their own.
    async fn look_up(&mut self, ask: Ask) -> Result<(), StoreError> {
        match ask {
            Ask::Stale { after } => {
                let documents = self.store.stale(after, STALE_PAGE).await?;
                self.inputs.push_back(Input::Stale { more: documents.len() == STALE_PAGE, documents });
            }
            Ask::Unlisted { subset, listing } => self.sweeps.push_back(Sweep { subset, listing, after: None }),
        }
        Ok(())
    }

    /// One page of a search for records that are no longer wanted: what is unwanted may be everything.
    async fn sweep(&mut self, sweep: Sweep) {
        let Sweep { subset, listing, after } = sweep;
        match self.store.unlisted(&subset.model, listing, after, PAGE).await {
            Ok(records) => {
                if let Some(after) = records.last().copied().filter(|_| records.len() == PAGE) {
                    self.sweeps.push_back(Sweep { subset: subset.clone(), listing, after: Some(after) });
                }
                self.inputs.push_back(Input::Unwanted { subset, listing, records });
            }
            Err(error) => self.fail(&error),
        }
    }

    /// Answers a wish after the commit.
    fn answer(&mut self, answer: Answer) {
        match answer {
            Answer::Row(reply, result) => drop(reply.send(result)),
            Answer::Fetch(_, reply, Ok(Fetching::Done)) => drop(reply.send(Ok(()))),
            Answer::Fetch(_, reply, Err(error)) => drop(reply.send(Err(error))),
            Answer::Fetch(record, reply, Ok(Fetching::UnderWay)) => {
                let is_online = matches!(*self.lines.state.borrow(), ConnectionState::Online);
                let waiting: usize = self.fetches.values().map(Vec::len).sum();
                if !is_online {
                    drop(reply.send(Err(ClientError::NotHeld { record })));
                } else if waiting >= FETCHES_MAX {
                    drop(reply.send(Err(ClientError::TooMany { what: "waiting edits", max: FETCHES_MAX })));
                } else {
                    self.fetches.entry(record).or_default().push(reply);
                }
            }
        }
    }

    /// The store failed: what was not kept is forgotten, and the connection is made anew.
    fn fail(&mut self, error: &StoreError) {
        self.engine.forget();
        self.outbox = None;
        self.inputs.clear();
        self.sweeps.clear();
        self.feeds.drain(..).for_each(|(_, task)| task.abort());
        self.is_broken = true;
        let _ = self.lines.events.send(ClientEvent::StoreFailed { reason: error.to_string() });
    }

    /// After a failure of the store, the feeds go on from where the store has them. Until it can be read, every wish
    /// fails with the store's own error.
    async fn mend(&mut self) {
        let (Ok(subsets), Ok(sets)) = (self.store.subsets().await, self.store.set_fields().await) else { return };
        // What the feeds had sent before they were ended is sent again from the stored cursors.
        while self.feed.try_recv().is_ok() {}
        self.engine.restore(subsets, sets);
        for state in self.engine.subsets().to_vec() {
            self.follow(state.subset, state.cursor);
        }
        self.is_broken = false;
    }

    /// The records of a query as they stand now; what follows is told from here on.
    async fn snapshot(&mut self, subscriber: &Arc<Subscriber>) -> Result<Vec<Row>, StoreError> {
        let mut rows: Vec<Row> = Vec::new();
        loop {
            let after = rows.last().map(|row| row.record);
            let query = RowQuery { model: &subscriber.model, filter: &subscriber.filter, after, limit: PAGE };
            let page = self.store.rows(query).await?;
            let is_last = page.len() < PAGE;
            rows.extend(page);
            if is_last {
                break;
            }
        }
        subscriber.catch_up();
        let is_new = self.subscribers.iter().all(|known| !std::ptr::eq(known.as_ptr(), Arc::as_ptr(subscriber)));
        if is_new {
            self.subscribers.push(Arc::downgrade(subscriber));
        }
        Ok(rows)
    }

    fn end(self) {
        self.feeds.iter().for_each(|(_, task)| task.abort());
        self.subscribers.iter().filter_map(Weak::upgrade).for_each(|subscriber| subscriber.close());
        let reason = "every handle of the client was dropped".to_owned();
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
        Answer::Row(reply, _) => Answer::Row(reply, Err(error.clone().into())),
        Answer::Fetch(record, reply, _) => Answer::Fetch(record, reply, Err(error.clone().into())),
    }
}
