//! The emulated account: its objects, and the bookkeeping around every read and write of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::caller::Caller;
use super::events;
use super::idempotency::Keys;
use super::index::SearchIndex;
use super::jobs::Jobs;
use super::kind::{Id, Kind};
use super::limits::Limits;
use super::normalise::Rules;
use super::outbox::Outbox;
use super::render;
use super::schema::Schema;
use super::table::{Row, Table};
use super::thread::{Comment, Thread};
use super::time::iso;
use super::tokens::Tokens;
use super::{seed, switches};
use crate::clock::Micros;
use crate::ledger::{Event, FieldWrite, Op};
use crate::people::{People, Population};
use crate::sandbox::Parts;

/// The shortest and the longest time that a write takes to reach the search index.
const INDEX_LAG_MIN: Duration = Duration::from_secs(1);
const INDEX_LAG_MAX: Duration = Duration::from_secs(120);

/// How long a solved ticket stays solved.
pub(crate) const SOLVED: Duration = Duration::from_secs(28 * 86_400);

/// The emulated account.
#[derive(Debug)]
pub struct ZendeskState {
    pub(crate) parts: Parts,
    books: Mutex<Books>,
    pub(crate) tokens: Mutex<Tokens>,
    pub(crate) limits: Mutex<Limits>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) stop: CancellationToken,
    /// Rung when a job or a closing was planned.
    pub(crate) planned: Arc<Notify>,
}

/// Everything that the account holds.
#[derive(Debug)]
pub(crate) struct Books {
    tables: BTreeMap<Kind, Table>,
    schemas: BTreeMap<Kind, Schema>,
    /// What was said and done, by ticket.
    pub(crate) threads: BTreeMap<Id, Thread>,
    /// What searches see.
    pub(crate) index: SearchIndex,
    /// Work that is done later.
    pub(crate) jobs: Jobs,
    /// Answers to creations that carried a key.
    pub(crate) keys: Keys,
    /// Objects that something inside the platform holds.
    pub(crate) locked: BTreeSet<(Kind, Id)>,
    /// When solved tickets close.
    pub(crate) closing: BTreeSet<(Micros, Id)>,
    last_id: Id,
}

impl Books {
    /// An account without objects.
    pub(crate) fn new(seed: u64) -> Self {
        let table = |kind| match kind {
            Kind::Tickets => Table::new(kind, 1, 1),
            Kind::Users => Table::new(kind, 900_000_001_020, 20),
            Kind::Organizations => Table::new(kind, 910_000_000_020, 20),
        };
        Self {
            tables: Kind::ALL.map(|kind| (kind, table(kind))).into(),
            schemas: Kind::ALL.map(|kind| (kind, Schema::new(kind))).into(),
            threads: BTreeMap::new(),
            index: SearchIndex::default(),
            jobs: Jobs::new(seed),
            keys: Keys::default(),
            locked: BTreeSet::new(),
            closing: BTreeSet::new(),
            last_id: 700_000_000_000,
        }
    }

    /// The objects of one type.
    pub(crate) fn table(&self, kind: Kind) -> &Table {
        &self.tables[&kind]
    }

    /// The objects of one type, to change them.
    pub(crate) fn table_mut(&mut self, kind: Kind) -> &mut Table {
        self.tables.entry(kind).or_insert_with(|| Table::new(kind, 1, 1))
    }

    /// What objects of one type may hold.
    pub(crate) fn schema(&self, kind: Kind) -> &Schema {
        &self.schemas[&kind]
    }

    /// What objects of one type may hold, to change it.
    pub(crate) fn schema_mut(&mut self, kind: Kind) -> &mut Schema {
        self.schemas.entry(kind).or_insert_with(|| Schema::new(kind))
    }

    /// A fresh id for what has no table of its own.
    pub(crate) fn fresh_id(&mut self) -> Id {
        self.last_id += 20;
        self.last_id
    }
}

/// One field of a write.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FieldChange {
    /// The attribute.
    pub(crate) name: String,
    /// What it held.
    pub(crate) before: Value,
    /// What was sent, null where the platform moved it.
    pub(crate) sent: Value,
    /// What it holds.
    pub(crate) after: Value,
}

impl FieldChange {
    /// Whether the stored value moved.
    pub(crate) fn is_change(&self) -> bool {
        self.before != self.after
    }
}

/// What happened to an object.
#[derive(Debug)]
pub(crate) struct Change {
    /// What was done.
    pub(crate) op: Op,
    /// To which type of object.
    pub(crate) kind: Kind,
    /// To which object.
    pub(crate) id: Id,
    /// The stamp before.
    pub(crate) stamp_before: Option<Micros>,
    /// The object afterwards.
    pub(crate) row: Row,
    /// Field by field.
    pub(crate) fields: Vec<FieldChange>,
    /// What was said.
    pub(crate) comment: Option<Comment>,
}

impl ZendeskState {
    /// An account that holds its side of the population, and so many tickets.
    #[must_use]
    pub fn new(parts: Parts, people: &Population, tickets: u64, seed: u64) -> Self {
        let mut books = Books::new(seed);
        let now = parts.clock.now();
        seed::fields(&mut books);
        seed::staff(&mut books, now);
        seed::import(&mut books, &People::new(seed, people), tickets, parts.faults.is_on(switches::TAG_MIRROR));
        Self {
            books: Mutex::new(books),
            tokens: Mutex::new(Tokens::new(parts.credentials.clone(), seed, now)),
            limits: Mutex::new(Limits::new(&parts.clock)),
            outbox: Arc::new(Outbox::new(&parts)),
            stop: CancellationToken::new(),
            planned: Arc::new(Notify::new()),
            parts,
        }
    }

    /// Everything, for as long as the guard lives, with all done that was due by now. Ledger entries of what is done with
    /// it are appended under the guard, so that the ledger's order is the platform's.
    pub(crate) fn books(&self) -> MutexGuard<'_, Books> {
        let mut books = self.books.lock();
        self.catch_up(&mut books, self.parts.clock.peek());
        books
    }

    /// Does what was due by `now`: shows writes to searches, closes solved tickets, runs jobs.
    pub(crate) fn catch_up(&self, books: &mut Books, now: Micros) {
        books.index.advance(now);
        while let Some((due, id)) = books.closing.first().copied().filter(|(due, _)| *due <= now) {
            books.closing.remove(&(due, id));
            self.close(books, id);
        }
        self.run_jobs(books, now);
    }

    /// When something is to be done next.
    fn next_due(&self) -> Option<Micros> {
        let books = self.books.lock();
        let closing = books.closing.first().map(|(due, _)| *due);
        closing.into_iter().chain(books.jobs.next_due()).min()
    }

    /// The rules of values as the switches stand.
    pub(crate) fn rules(&self) -> Rules {
        Rules {
            numbers_as_text: self.parts.faults.is_on(switches::NUMBERS_AS_TEXT),
            tags_split: self.parts.faults.is_on(switches::TAGS_SPLIT),
        }
    }

    /// An object on the wire.
    pub(crate) fn render(&self, books: &Books, kind: Kind, id: Id, row: &Row) -> Value {
        render::object(books.schema(kind), kind, id, row, &self.parts.base_url)
    }

    /// An object as it is shown to somebody, which the ledger notes.
    pub(crate) fn show(&self, books: &Books, kind: Kind, id: Id, row: &Row, caller: &Caller) -> Value {
        if caller.is_integration() && self.parts.ledger.log_reads() {
            self.parts.ledger.append(Event {
                at_us: self.parts.clock.now(),
                actor: caller.actor.clone(),
                op: Op::Read,
                object: kind.plural().into(),
                id: id.to_string(),
                fields: BTreeMap::new(),
                stamp_before: None,
                stamp_after: Some(iso(row.updated)),
                redundant: false,
                via: caller.via.clone(),
            });
        }
        self.render(books, kind, id, row)
    }

    /// A row of a list, which now and then lacks what every row has.
    pub(crate) fn listed(&self, books: &Books, kind: Kind, id: Id, row: &Row, caller: &Caller) -> Value {
        let mut shown = self.show(books, kind, id, row, caller);
        if !caller.is_integration() || !self.parts.faults.roll(switches::MALFORMED_ROW) {
            return shown;
        }
        match self.parts.faults.draw(switches::MALFORMED_ROW) {
            share if share < 0.3 => shown["id"] = Value::Null,
            share if share < 0.6 => shown["tags"] = "not a list".into(),
            share if share < 0.8 => shown["updated_at"] = "".into(),
            _ => shown = Value::Null,
        }
        shown
    }

    /// Puts an object in its place and tells everybody: index, ledger, webhooks.
    pub(crate) fn tell(&self, books: &mut Books, change: &Change, caller: &Caller, at: Micros) {
        books.table_mut(change.kind).put(change.id, change.row.clone());
        let lags = self.parts.faults.roll(switches::INDEX_LAG);
        let due = lags.then(|| {
            let share = self.parts.faults.draw(switches::INDEX_LAG).powi(3);
            at.plus(self.parts.clock.scaled(INDEX_LAG_MIN + (INDEX_LAG_MAX - INDEX_LAG_MIN).mul_f64(share)))
        });
        books.index.put(change.kind, change.id, &change.row, due);
        self.log(change, caller, at);
        let moved = change.comment.is_some() || change.fields.iter().any(FieldChange::is_change);
        if change.op != Op::Update || moved {
            let schema = books.schema(change.kind);
            self.outbox.publish(&events::of(schema, change, caller), change, caller, at);
        }
    }

    /// Now and then the platform touches some ticket without changing it.
    pub(crate) fn disturb(&self, books: &mut Books) {
        if !self.parts.faults.roll(switches::SYSTEM_UPDATE) {
            return;
        }
        let live: Vec<Id> =
            books.table(Kind::Tickets).all().filter(|(_, row)| row.is_live()).map(|(id, _)| id).collect();
        let share = self.parts.faults.draw(switches::SYSTEM_UPDATE);
        // The product only chooses a ticket at random, so that rounding does no harm.
        let Some(id) = live.get((live.len() as f64 * share) as usize).copied() else { return };
        let Some(mut row) = books.table(Kind::Tickets).live(id).cloned() else { return };
        let at = self.parts.clock.now();
        row.generated = at;
        let stamp = Some(row.updated);
        books.table_mut(Kind::Tickets).put(id, row.clone());
        let (kind, op) = (Kind::Tickets, Op::Update);
        let change = Change { op, kind, id, stamp_before: stamp, row, fields: Vec::new(), comment: None };
        self.log(&change, &Caller::platform("system update"), at);
    }

    /// Notes a write in the ledger.
    pub(crate) fn log(&self, change: &Change, caller: &Caller, at: Micros) {
        let mut fields: BTreeMap<String, FieldWrite> = change
            .fields
            .iter()
            .map(|field| {
                let FieldChange { name, before, sent, after } = field.clone();
                (name, FieldWrite { before, sent, after })
            })
            .collect();
        if let Some(comment) = &change.comment {
            let body = Value::from(comment.body.as_str());
            fields.insert("comment".to_owned(), FieldWrite { before: Value::Null, sent: body.clone(), after: body });
        }
        let moved = change.comment.is_some() || change.fields.iter().any(FieldChange::is_change);
        self.parts.ledger.append(Event {
            at_us: at,
            actor: caller.actor.clone(),
            op: change.op,
            object: change.kind.plural().into(),
            id: change.id.to_string(),
            fields,
            stamp_before: change.stamp_before.map(iso),
            stamp_after: Some(iso(change.row.updated)),
            redundant: change.op == Op::Update && !caller.is_platform() && !moved,
            via: caller.via.clone(),
        });
    }
}

/// Does what comes due, until the account ends. It holds the account only while it works, so that it does not keep it.
pub(crate) async fn do_chores(account: Weak<ZendeskState>, stop: CancellationToken) {
    loop {
        let Some((clock, planned, due)) =
            account.upgrade().map(|account| (account.parts.clock.clone(), account.planned.clone(), account.next_due()))
        else {
            return;
        };
        let wait = async {
            match due {
                Some(due) => clock.wait_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = wait => drop(account.upgrade().as_ref().map(|account| drop(account.books()))),
            () = planned.notified() => {}
            () = stop.cancelled() => return,
        }
    }
}

impl Drop for ZendeskState {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
