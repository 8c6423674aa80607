//! Two systems, `crm` and `desk`, hold one person; `app` is a client. A story tells what happens to that record.

use std::collections::BTreeMap;

use syncline_core::{
    ids::{ConnectionId, FieldName, RecordId},
    mapping::{Mapping, MappingSpec},
    model::{DeleteEffect, DeleteRace, DeleteRule, Field, FieldType, Model},
    outbox::Delivery,
    plan::{Side, SyncPlan},
    policies::Policy,
    reconcile::{self, ClientEdit, Input, Now, Outcome, Receipt, Verdict},
    record::RecordState,
    remote::RemoteVersion,
    replica::{Observation, Source},
    time::{Millis, Tick},
    value::{Fields, Value},
    writer::WriterEpochs,
};

/// How long nothing that was sent can still arrive.
pub(crate) const DEADLINE_MS: i64 = 30_000;

/// A record whose `name` is `Ann` in both systems, and what has become of it.
pub(crate) struct Story {
    pub(crate) plan: SyncPlan,
    pub(crate) state: RecordState,
    pub(crate) tick: u64,
    pub(crate) at: i64,
    pub(crate) lost: Vec<(String, bool)>,
}

pub(crate) fn fields(values: &[(&str, &str)]) -> Fields {
    let value = |text: &str| if text.is_empty() { Value::Null } else { Value::text(text) };
    values.iter().map(|(name, text)| (FieldName::new(name), value(text))).collect()
}

pub(crate) fn plan(field: Field) -> SyncPlan {
    let phone = Field::of(FieldType::Text { max_len: 100 });
    let fields = BTreeMap::from([(FieldName::new("name"), field), (FieldName::new("phone"), phone)]);
    let deletes = DeleteRule { effect: DeleteEffect::Propagate, race: DeleteRace::EditWins };
    let model = Model { name: "person".into(), fields, match_keys: Vec::new(), deletes };
    let spec = MappingSpec(model.fields.keys().map(|name| (name.to_string(), name.as_str().into())).collect());
    let side = |rank| Side {
        object: "people".into(),
        mapping: Mapping::new(&model, &spec).unwrap(),
        key_field: None,
        creates: true,
        writes: true,
        history: false,
        rank,
    };
    let sides = BTreeMap::from([("crm".into(), side(1)), ("desk".into(), side(2))]);
    SyncPlan { tenant: "acme".into(), model, sides, writer: WriterEpochs::default() }
}

impl Story {
    pub(crate) fn new() -> Self {
        Self::with(Policy::Latest)
    }

    pub(crate) fn with(policy: Policy) -> Self {
        let mut story = Self::of(Field { policy, ..Field::of(FieldType::Text { max_len: 100 }) }, "Ann");
        story.reads("desk", "1", &[("name", "Ann"), ("phone", "")]);
        story
    }

    /// The record as only `crm` shows it.
    pub(crate) fn of(field: Field, name: &str) -> Self {
        let plan = plan(field);
        let first = reading("1", &[("name", name), ("phone", "")], Tick(1), 0);
        let now = Now { at: Millis(0), tick: Tick(2) };
        let (state, _) =
            reconcile::create_from(&plan, RecordId(Default::default()), &"crm".into(), first, now).unwrap();
        Self { plan, state, tick: 2, at: 0, lost: Vec::new() }
    }

    pub(crate) fn tick(&mut self) -> Tick {
        self.tick += 1;
        Tick(self.tick)
    }

    /// Time passes, more than any clock's uncertainty.
    pub(crate) fn give(&mut self, input: Input) -> Outcome {
        let now = Now { at: Millis(self.at), tick: self.tick() };
        let outcome = reconcile::reconcile(&self.plan, &mut self.state, input, now).unwrap();
        let text = |row: &syncline_core::conflict::Conflict| (row.loser.value.to_json().to_string(), row.uncertain);
        self.lost.extend(outcome.conflicts.iter().map(text));
        outcome
    }

    /// A read by id shows these values now.
    pub(crate) fn reads(&mut self, system: &str, id: &str, values: &[(&str, &str)]) -> Verdict {
        self.at += 10_000;
        let begun = self.tick();
        self.observes(system, reading(id, values, begun, self.at)).verdict
    }

    pub(crate) fn observes(&mut self, system: &str, observation: Observation) -> Outcome {
        self.give(Input::Observed { connection: system.into(), observation })
    }

    pub(crate) fn app_sets(&mut self, name: &str, value: &str) {
        self.at += 10_000;
        self.edit(fields(&[(name, value)]), None);
    }

    pub(crate) fn edit(&mut self, fields: Fields, delete: Option<bool>) {
        self.give(Input::Edited(ClientEdit { principal: "app".into(), fields, delete, settles: false }));
    }

    /// Opens a write to this system; the values that it would send.
    pub(crate) fn sends(&mut self, system: &str) -> Option<Fields> {
        self.at += 10_000;
        let looked_at = Millis(self.at);
        let input = Input::Prepare { connection: system.into(), looked_at, conditional: false };
        self.give(input).intent.map(|intent| intent.fields)
    }

    pub(crate) fn ends(&mut self, system: &str, result: Receipt) -> Outcome {
        let connection = ConnectionId::new(system);
        let intent = self.state.replicas[&connection].intent.as_ref().expect("a write is open").id;
        self.give(Input::Receipt { connection, intent, result })
    }

    /// The write was accepted; its answer may show the object.
    pub(crate) fn accepted(&mut self, system: &str, answer: Option<&[(&str, &str)]>) -> Outcome {
        let answer = answer.map(|values| Box::new(reading("1", values, Tick(self.tick), self.at)));
        self.ends(system, Receipt::Applied { id: "1".into(), answer, whole: false })
    }

    /// The write's answer was lost, the time passes in which it could still arrive, and the writer comes to look what became of it.
    pub(crate) fn answer_lost(&mut self, system: &str) {
        self.answer_is_given_up(system);
        self.at += DEADLINE_MS;
        let input = Input::Prepare { connection: system.into(), looked_at: Millis(self.at), conditional: false };
        assert_eq!(self.give(input).intent, None, "the write is still open");
    }

    /// The write's answer was lost just now.
    pub(crate) fn answer_is_given_up(&mut self, system: &str) {
        let wait_until = Millis(self.at + DEADLINE_MS);
        self.ends(system, Receipt::Unknown { message: "timeout".into(), wait_until });
    }

    /// Sends what is owed and has it accepted, read back as it was sent.
    pub(crate) fn delivers(&mut self, system: &str) {
        self.sends(system).expect("something is owed");
        self.accepted(system, None);
    }

    pub(crate) fn shows(&self, name: &str) -> String {
        self.state.fields.get(name).map(|value| value.to_json().to_string()).unwrap_or_default()
    }

    pub(crate) fn is_owed(&self, system: &str) -> bool {
        matches!(self.state.replicas[system].delivery, Delivery::Dirty { .. })
    }

    pub(crate) fn lost(&self) -> Vec<&str> {
        self.lost.iter().map(|(value, _)| value.as_str()).collect()
    }
}

pub(crate) fn reading(id: &str, values: &[(&str, &str)], begun: Tick, stamp: i64) -> Observation {
    Observation {
        id: id.into(),
        aliases: Vec::new(),
        deleted: false,
        fields: fields(values),
        clocks: BTreeMap::new(),
        past: BTreeMap::new(),
        version: Some(RemoteVersion { stamp: Millis(stamp), precision_ms: 1 }),
        source: Source::ById,
        begun,
        key: None,
    }
}
