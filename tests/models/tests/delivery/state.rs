//! Everything that a history of a write can differ in.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
};

use syncline_core::{
    document::Document,
    ids::{FieldName, RecordId},
    mapping::{Mapping, MappingSpec},
    model::{DeleteEffect, DeleteRace, DeleteRule, Field, FieldType, Model},
    mutant::{self, Rule},
    plan::{Side, SyncPlan},
    reconcile::{self, ClientEdit, FollowUp, Input, Now, Outcome, Receipt},
    record::RecordState,
    replica::{Intent, Observation, Replica, Source},
    time::{Millis, Tick},
    value::{Fields, Value},
    writer::WriterEpochs,
};

use crate::provider::{Kind, Provider};

/// The connection.
pub(crate) const CRM: &str = "crm";
/// The values of the story: the first, the client's, and those of users.
const FIRST: &str = "Ann";
const FIRST_PHONE: &str = "1";
pub(crate) const OURS: &str = "Bea";
pub(crate) const THEIRS: &str = "cleo";
pub(crate) const THEIR_PHONE: &str = "2";

/// How often each thing may still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    /// A user edits the field that we write.
    pub(crate) name_edits: u8,
    /// A user edits another field.
    pub(crate) phone_edits: u8,
    /// A list is read.
    pub(crate) lists: u8,
    /// A webhook asks for a look.
    pub(crate) hints: u8,
    /// An answer is given up although the write is under way or has taken effect.
    pub(crate) timeouts: u8,
    /// A write never arrives.
    pub(crate) losses: u8,
}

/// What the writer is at.
#[derive(Clone, Debug)]
pub(crate) enum Writer {
    /// Nothing.
    Idle,
    /// It has looked, at this time.
    Looked(Millis),
    /// It waits for the answer.
    Waiting(Tick),
}

/// A read by id under way.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) begun: Tick,
    /// What the provider showed, once it has.
    pub(crate) shown: Option<Observation>,
}

/// A name that lost to another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lost {
    pub(crate) loser: String,
    pub(crate) winner: String,
    /// It may have been replaced by somebody who saw it.
    pub(crate) uncertain: bool,
}

#[derive(Clone)]
pub(crate) struct State {
    pub(crate) record: RecordState,
    pub(crate) provider: Provider,
    pub(crate) now: Millis,
    tick: u64,
    pub(crate) writer: Writer,
    /// The write under way.
    pub(crate) request: Option<Intent>,
    /// Its answer under way.
    pub(crate) answer: Option<Receipt>,
    pub(crate) reads: Vec<Reading>,
    pub(crate) list: Option<Observation>,
    /// Somebody has asked for a read by id.
    pub(crate) asked: bool,
    /// The object has changed since the service was last shown it.
    pub(crate) unseen: bool,
    /// What lost.
    pub(crate) conflicts: BTreeSet<Lost>,
    pub(crate) left: Budget,
    /// Users' values that our write replaced although nobody could have seen them.
    pub(crate) blind: BTreeSet<String>,
    /// A user's name came after the look that our write went by.
    pub(crate) slipped: bool,
    /// The client's value was overwritten by a user who saw it.
    pub(crate) replaced: bool,
    pub(crate) seen: Seen,
    digest: u64,
}

/// What has happened, so that it can be shown that it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Seen {
    pub(crate) held: bool,
    pub(crate) refused: bool,
    pub(crate) written: bool,
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.digest.hash(hasher);
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("fields", &self.record.fields)
            .field("provider", &self.provider)
            .finish_non_exhaustive()
    }
}

pub(crate) fn name() -> FieldName {
    FieldName::new("name")
}

pub(crate) fn phone() -> FieldName {
    FieldName::new("phone")
}

fn fields(values: &[(FieldName, &str)]) -> Fields {
    values.iter().map(|(name, text)| (name.clone(), Value::text(*text))).collect()
}

fn text_of(value: &Value) -> String {
    value.to_json().as_str().unwrap_or_default().to_owned()
}

/// The plan of one side of this kind.
pub(crate) fn plan(kind: Kind) -> SyncPlan {
    let text = || Field::of(FieldType::Text { max_len: 100 });
    let deletes = DeleteRule { effect: DeleteEffect::Propagate, race: DeleteRace::EditWins };
    let members = BTreeMap::from([(name(), text()), (phone(), text())]);
    let model = Model { name: "person".into(), fields: members, match_keys: Vec::new(), deletes };
    let spec = MappingSpec(model.fields.keys().map(|name| (name.to_string(), name.as_str().into())).collect());
    let side = Side {
        object: "people".into(),
        mapping: Mapping::new(&model, &spec).expect("the mapping is plain"),
        key_field: None,
        creates: true,
        writes: true,
        history: kind.history,
        rank: 1,
    };
    let sides = BTreeMap::from([(CRM.into(), side)]);
    SyncPlan { tenant: "acme".into(), model, sides, writer: WriterEpochs::default() }
}

impl State {
    /// The record is linked and agrees, and a client has just set its name.
    pub(crate) fn new(plan: &SyncPlan, kind: Kind, left: Budget) -> Self {
        let now = Millis(1_700_000_000_000);
        let provider = Provider::new(kind, &fields(&[(name(), FIRST), (phone(), FIRST_PHONE)]), now);
        let first = provider.read(Tick(1), Source::ById);
        let at = Now { at: now, tick: Tick(2) };
        let (record, _) = reconcile::create_from(plan, RecordId(uuid::Uuid::nil()), &CRM.into(), first, at)
            .expect("a record is created");
        let mut state = Self {
            record,
            provider,
            now,
            tick: 2,
            writer: Writer::Idle,
            request: None,
            answer: None,
            reads: Vec::new(),
            list: None,
            asked: false,
            unseen: false,
            conflicts: BTreeSet::new(),
            left,
            blind: BTreeSet::new(),
            slipped: false,
            replaced: false,
            seen: Seen::default(),
            digest: 0,
        };
        let edit =
            ClientEdit { principal: "app".into(), fields: fields(&[(name(), OURS)]), delete: None, settles: false };
        state.give(plan, None, Input::Edited(edit));
        state.sealed()
    }

    pub(crate) fn tick(&mut self) -> Tick {
        self.tick += 1;
        Tick(self.tick)
    }

    pub(crate) fn replica(&self) -> &Replica {
        &self.record.replicas[CRM]
    }

    /// The name that the provider held at first.
    pub(crate) fn first(&self) -> String {
        text_of(&self.provider.stored(&Value::text(FIRST)))
    }

    /// What the provider shows at once to who asks now.
    pub(crate) fn shown(&mut self, source: Source) -> Observation {
        self.unseen = false;
        let begun = self.tick();
        self.provider.read(begun, source)
    }

    /// One input to the heart, with a rule switched off perhaps.
    pub(crate) fn give(&mut self, plan: &SyncPlan, without: Option<Rule>, input: Input) -> Outcome {
        let now = Now { at: self.now, tick: self.tick() };
        let record = &mut self.record;
        let run = || reconcile::reconcile(plan, record, input, now).expect("the input is taken");
        let outcome = match without {
            Some(rule) => mutant::with(rule, run),
            None => run(),
        };
        for FollowUp::Read { .. } in &outcome.follow_ups {
            self.asked = true;
        }
        self.conflicts.extend(outcome.conflicts.iter().map(|row| Lost {
            loser: text_of(&row.loser.value),
            winner: text_of(&row.winner.value),
            uncertain: row.uncertain,
        }));
        self.seen.held |= !self.replica().held.is_empty();
        outcome
    }

    pub(crate) fn observe(&mut self, plan: &SyncPlan, without: Option<Rule>, observation: Observation) {
        self.give(plan, without, Input::Observed { connection: CRM.into(), observation });
    }

    pub(crate) fn text(&self, name: &FieldName) -> String {
        self.record.fields.get(name).map(text_of).unwrap_or_default()
    }

    /// The state with its document folded up, since thousands of states wait at a time, and with its digest.
    pub(crate) fn sealed(mut self) -> Self {
        let saved = self.record.document.save().to_vec();
        self.record.document = Document::from_saved(saved, self.record.document.heads().clone());
        let mut hasher = DefaultHasher::new();
        self.projection().hash(&mut hasher);
        self.digest = hasher.finish();
        self
    }

    /// What the future depends on, with names that do not tell how it came about.
    fn projection(&self) -> String {
        let journal: Vec<_> =
            self.record.journal.iter().map(|entry| (&entry.hash, &entry.origin, &entry.ops)).collect();
        let of_the_record = (self.replica(), journal, &self.record.fields);
        let under_way = (&self.writer, &self.request, &self.answer, &self.reads, &self.list, self.asked, self.unseen);
        let of_the_model = (&self.conflicts, self.left, &self.blind, (self.slipped, self.replaced), self.seen);
        let mut text = format!("{:?}", (self.now, &self.provider, of_the_record, under_way, of_the_model));
        for (place, entry) in self.record.journal.iter().enumerate() {
            text = text.replace(&format!("{:?}", entry.hash), &format!("change {place}"));
        }
        with_ticks_in_order(&text)
    }
}

/// Replaces each tick by its rank among those that the text names.
fn with_ticks_in_order(text: &str) -> String {
    const TICK: &str = "Tick(";
    let number = |part: &str| part.split(')').next().and_then(|digits| digits.parse::<u64>().ok());
    let ticks: BTreeSet<u64> = text.split(TICK).skip(1).filter_map(number).collect();
    let ranks: BTreeMap<u64, usize> = ticks.into_iter().zip(0..).collect();
    let mut parts = text.split(TICK);
    let mut ordered = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (digits, rest) = part.split_once(')').unwrap_or((part, ""));
        let rank = digits.parse().ok().and_then(|tick: u64| ranks.get(&tick));
        ordered.push_str(&format!("{TICK}{})", rank.copied().unwrap_or_default()));
        ordered.push_str(rest);
    }
    ordered
}
