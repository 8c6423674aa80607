//! The client's heart: what happened goes in, what is to be done comes out. No clock, no randomness, no IO; time and
//! randomness are arguments, so whole histories of several clients are replayed from a seed.
//!
//! An input is handled in three steps, see [`Engine::missing`], [`Engine::bring`] and [`Engine::handle`]: the engine says
//! what it has to see of the store, is shown it, and acts. Several inputs make a batch; [`Engine::finish`] ends it. Only
//! when its writes are durable may its messages be sent and anybody be told.
//!
//! # Layout
//!
//! * `input`, `effects`: what goes in and what comes out.
//! * `rows`: the records of a batch. `cache`, `doc`: loaded documents and their conversations with the server.
//! * `session`: one connection. `talk`: what the server says in it. `backlog`: whose turn it is.
//! * `edit`: what the application does. `feed`: what the server's HTTP side tells. `moves`: documents that take
//!   another's place.

mod backlog;
mod cache;
mod doc;
mod edit;
mod effects;
mod feed;
mod input;
mod moves;
mod rows;
#[cfg(test)]
mod scenes;
mod session;
#[cfg(test)]
mod simulated_client;
#[cfg(test)]
mod simulated_server;
#[cfg(test)]
mod simulation;
mod talk;

pub(crate) use cache::Limits;
pub use effects::Source;
pub(crate) use effects::{Ask, Effects, Notice, Touched};
pub(crate) use input::{Brought, Input, Need, Told};

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    num::NonZeroUsize,
};

use lru::LruCache;
use rand::Rng;
use syncline_core::{
    ids::{ModelName, RecordId},
    live::JsonFields,
    repo::{DocumentId, PeerId, SessionId},
    time::Millis,
};

use crate::{
    document::DocumentError,
    store::{Row, SetFields, SubsetState, Write},
};
use cache::Cache;
use doc::Doc;
use rows::Rows;
use session::Session;

/// The most records that the application may attend to at once: each is a conversation in every connection.
pub(crate) const ATTENDED_MAX: usize = 1024;
/// For how many records the feed's last word is remembered until the document says the same.
// The number is not zero.
const TOLD_MAX: NonZeroUsize = NonZeroUsize::new(1024).unwrap();
/// For how many senders the number of their last ephemeral message is remembered.
// The number is not zero.
const SPEAKERS_MAX: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// Why the application's wish was not fulfilled. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    #[error("there is no record {0} here")]
    Unknown(RecordId),
    #[error("the document of record {0} has not been fetched yet")]
    NotHeld(RecordId),
    #[error("there is no connection")]
    Offline,
    #[error("more than {ATTENDED_MAX} records are attended to")]
    TooMany,
    #[error(transparent)]
    Document(#[from] DocumentError),
}

/// How this client introduces itself.
#[derive(Clone, Debug)]
pub(crate) struct Me {
    /// Its name in the protocol, one for each run.
    pub(crate) peer: PeerId,
    /// Tells its ephemeral messages from those of its other runs.
    pub(crate) session: SessionId,
}

/// The client's state beside the store.
pub(crate) struct Engine {
    me: Me,
    limits: Limits,
    rows: Rows,
    cache: Cache,
    session: Option<Session>,
    sessions: u64,
    subsets: Vec<SubsetState>,
    sets: SetFields,
    /// The highest number that a listing has had.
    listing: u64,
    attended: BTreeMap<RecordId, usize>,
    told: LruCache<RecordId, Told>,
    /// How often records have moved to another document in this run, of those that did so last.
    hops: LruCache<RecordId, u32>,
    speakers: LruCache<(PeerId, SessionId), u64>,
    said: u64,
    /// What follows from inputs and needs the store again.
    tasks: VecDeque<Input>,
    effects: Effects,
}

impl Engine {
    /// An engine over a store that holds these subsets and knows these fields for sets.
    pub(crate) fn new(me: Me, limits: Limits, subsets: Vec<SubsetState>, sets: SetFields) -> Self {
        let listing = subsets.iter().map(|state| state.listing).max().unwrap_or_default();
        Self {
            me,
            rows: Rows::default(),
            limits,
            cache: Cache::new(limits),
            session: None,
            sessions: 0,
            subsets,
            sets,
            listing,
            attended: BTreeMap::new(),
            told: LruCache::new(TOLD_MAX),
            hops: LruCache::new(TOLD_MAX),
            speakers: LruCache::new(SPEAKERS_MAX),
            said: 0,
            tasks: VecDeque::new(),
            effects: Effects::default(),
        }
    }

    /// What must be brought before the input can be handled; ask again after each.
    pub(crate) fn missing(&self, input: &Input) -> Option<Need> {
        match input {
            Input::Edit { record, .. } | Input::Discard { record } => self.missing_document_of(*record),
            Input::Attend { record, .. } | Input::Say { record, .. } | Input::Retry { record } => {
                self.rows.needs_row(*record)
            }
            Input::Frame(message) => self.missing_for_message(message),
            Input::Listed { rows, .. } => rows.iter().find_map(|told| self.missing_for_told(told)),
            Input::Change { told, .. } => told.as_ref().and_then(|told| self.missing_for_told(told)),
            Input::Unwanted { records, .. } => records.iter().find_map(|record| self.rows.needs_row(*record)),
            Input::Sync { document } => self.missing_owned(*document),
            Input::Move { record } => self.missing_for_move(*record),
            Input::Create { .. }
            | Input::Connected
            | Input::Lost
            | Input::Hold { .. }
            | Input::Release { .. }
            | Input::ListEnd { .. }
            | Input::Stale { .. }
            | Input::Tick => None,
        }
    }

    /// Takes in what was read from the store.
    pub(crate) fn bring(&mut self, brought: Brought) {
        if let Brought::Document(id, stored) = brought {
            match stored.map(|stored| Doc::load(id, stored)) {
                Some(Ok(doc)) => self.cache.put(id, doc),
                Some(Err(error)) => {
                    self.cache.put_absent(id);
                    self.notice(Notice::Damaged { record: id.record(), reason: error.to_string() });
                }
                None => self.cache.put_absent(id),
            }
        } else {
            self.rows.bring(brought);
        }
    }

    /// Acts on an input for which nothing is missing.
    pub(crate) fn handle(&mut self, input: Input, now: Millis, rng: &mut dyn Rng) -> Result<(), EngineError> {
        match input {
            Input::Create { model, record, fields } => self.create(model, record, &fields, now, rng)?,
            Input::Edit { record, edits, deleted } => self.edit(record, &edits, deleted, now)?,
            Input::Attend { record, on } => self.attend(record, on)?,
            Input::Say { record, data } => self.say(record, data)?,
            Input::Retry { record } => self.retry(record)?,
            Input::Discard { record } => self.discard(record, rng)?,
            Input::Connected => self.connected(),
            Input::Lost => self.session = None,
            Input::Frame(message) => self.hear(message, now, rng),
            Input::Hold { subset } => self.hold(subset),
            Input::Release { subset } => self.release(&subset),
            Input::Listed { subset, listing, rows } => self.listed(&subset, listing, rows),
            Input::ListEnd { subset, listing, cursor } => self.list_end(subset, listing, cursor),
            Input::Change { subset, cursor, told } => self.change(&subset, cursor, told),
            Input::Unwanted { subset, listing, records } => self.unwanted(&subset, listing, &records),
            Input::Stale { documents, more } => self.stale(documents, more),
            Input::Sync { document } => self.sync(document, now, rng),
            Input::Move { record } => self.follow(record, now),
            Input::Tick => self.tick(now),
        }
        self.take_turns(now);
        Ok(())
    }

    /// The next input that follows from earlier ones; to be handled in the same batch.
    pub(crate) fn task(&mut self) -> Option<Input> {
        self.tasks.pop_front()
    }

    /// Ends a batch.
    pub(crate) fn finish(&mut self) -> Effects {
        let (writes, touched) = self.rows.finish();
        let mut effects = std::mem::take(&mut self.effects);
        effects.writes.extend(writes);
        effects.touched.extend(touched);
        let session = self.session.as_ref();
        self.cache.trim(|id| session.is_some_and(|session| session.is_busy(id)));
        effects
    }

    /// Forgets everything that is not in the store: the writes of the last batch could not be made durable. The
    /// connection has to be made anew, since the conversations in it are forgotten too.
    pub(crate) fn forget(&mut self) {
        self.rows = Rows::default();
        self.cache.clear();
        self.session = None;
        self.tasks.clear();
        self.effects = Effects::default();
    }

    /// After [`Engine::forget`]: what the store says is replicated, and which fields are sets.
    pub(crate) fn restore(&mut self, subsets: Vec<SubsetState>, sets: SetFields) {
        self.subsets = subsets;
        self.sets = sets;
    }

    /// When [`Input::Tick`] is due.
    pub(crate) fn wakes_at(&self) -> Option<Millis> {
        self.session.as_ref()?.stalls_at()
    }

    /// A record of this batch, or one that was brought.
    pub(crate) fn row(&self, record: RecordId) -> Option<&Row> {
        self.rows.get(record)
    }

    /// Whether the server does not give out a document in this connection.
    pub(crate) fn is_unavailable(&self, document: DocumentId) -> bool {
        self.session.as_ref().is_some_and(|session| session.unavailable.contains(&document))
    }

    /// How many documents are loaded.
    #[cfg(test)]
    pub(crate) fn loaded(&self) -> usize {
        self.cache.len()
    }

    /// What is replicated.
    pub(crate) fn subsets(&self) -> &[SubsetState] {
        &self.subsets
    }

    fn missing_document_of(&self, record: RecordId) -> Option<Need> {
        self.rows.needs_row(record).or_else(|| self.missing_document(self.rows.get(record)?.document))
    }

    fn missing_document(&self, id: DocumentId) -> Option<Need> {
        (!self.cache.knows(id)).then_some(Need::Document(id))
    }

    /// What is missing to talk about a document: nothing where it is nobody's.
    fn missing_owned(&self, id: DocumentId) -> Option<Need> {
        self.rows.needs_owner(id).or_else(|| {
            let is_known = self.rows.owner(id).is_some() || self.rows.mover(id).is_some();
            is_known.then(|| self.missing_document(id)).flatten()
        })
    }

    fn notice(&mut self, notice: Notice) {
        self.effects.notices.push(notice);
    }

    fn store(&mut self, writes: impl IntoIterator<Item = Write>) {
        self.effects.writes.extend(writes);
    }

    fn sets(&self, model: &ModelName) -> BTreeSet<String> {
        self.sets.get(model).cloned().unwrap_or_default()
    }

    /// Whether some subset holds a record with these fields.
    fn is_wanted(&self, row: &Row) -> bool {
        self.attended.contains_key(&row.record)
            || self.subsets.iter().any(|state| state.subset.holds(&row.model, &row.fields))
    }

    /// Forgets a record and its documents.
    fn drop_record(&mut self, row: &Row) {
        for id in [Some(row.document), row.moving_to].into_iter().flatten() {
            self.cache.remove(id);
            self.store([Write::DropDocument(id)]);
            self.session.iter_mut().for_each(|session| session.rest(id));
        }
        self.told.pop(&row.record);
        self.rows.drop(row.record);
    }

    /// Makes a record say what its document says. `is_heard` tells that the server has just spoken about it.
    fn refresh(&mut self, record: RecordId, is_heard: bool) -> Result<(), DocumentError> {
        let Some(mut row) = self.rows.get(record).cloned() else { return Ok(()) };
        let sets = self.sets(&row.model);
        let Some(doc) = self.cache.get(row.document) else { return Ok(()) };
        if !doc.has_content() {
            return Ok(());
        }
        let shown = doc.show(&sets)?;
        let fields = shown.fields();
        let is_settled = doc.is_settled();
        row.held = true;
        row.pending = doc.pending();
        row.deleted = shown.deleted;
        if row.pending == 0 {
            row.refused = None;
        }
        if row.pending > 0 || row.moving_to.is_some() {
            row.stale = true;
        } else if is_heard && is_settled {
            row.stale = self.told.peek(&record).is_some_and(|told| !says_same(&told.fields, &fields));
        }
        row.fields = fields;
        if row.pending == 0 && is_settled && !self.is_wanted(&row) {
            self.drop_record(&row);
        } else {
            self.rows.put(row);
        }
        Ok(())
    }
}

/// Whether the feed and a document say the same of every field that the feed names.
fn says_same(told: &JsonFields, shown: &JsonFields) -> bool {
    let nothing = serde_json::Value::Null;
    let is_nothing = |value: &serde_json::Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    told.iter().all(|(name, value)| {
        let shown = shown.get(name).unwrap_or(&nothing);
        value == shown || is_nothing(value) && is_nothing(shown)
    })
}

/// Sixteen random bytes: an actor, or the id of a record.
fn draw(rng: &mut dyn Rng) -> [u8; 16] {
    let mut bytes = [0; 16];
    rng.fill_bytes(&mut bytes);
    bytes
}
