//! Changes that clients make in their own copies of a record's document: each story makes some, hands them in, and looks at
//! the record and at what every plain Automerge client sees.

#[path = "catalogue/stories.rs"]
mod stories;
#[path = "catalogue/suites.rs"]
mod suites;

use std::collections::{BTreeMap, BTreeSet};

use automerge::{
    ActorId, Automerge, Change, ObjId, ObjType, ROOT, ReadDoc, ScalarValue,
    transaction::{CommitOptions, Transactable, Transaction},
};
use syncline_core::{
    ids::{FieldName, RecordId},
    model::{Canonical, DeleteEffect, DeleteRace, DeleteRule, Field, FieldType, Model},
    mutant::Rule,
    plan::SyncPlan,
    policies::Policy,
    reconcile::{self, ClientEdit, Input, Now, Outcome, Received},
    record::RecordState,
    time::{Millis, Tick},
    value::{Fields, Value},
    writer::WriterEpochs,
};

/// A record and everything that lost in it.
struct Story {
    plan: SyncPlan,
    state: RecordState,
    at: i64,
    lost: Vec<Value>,
}

/// A client with a copy of the document.
struct Client {
    name: &'static str,
    doc: Automerge,
}

fn model() -> Model {
    let text = || Field::of(FieldType::Text { max_len: 40 });
    let any = || FieldType::Set { values: BTreeSet::new() };
    let stages = vec!["lead".to_owned(), "mql".to_owned(), "customer".to_owned()];
    let fields = [
        ("name", Field { canonical: vec![Canonical::Trim], ..text() }),
        ("stage", Field { policy: Policy::ForwardOnly(stages), ..text() }),
        ("age", Field::of(FieldType::Int)),
        ("tags", Field { policy: Policy::Set, ..Field::of(any()) }),
        ("notes", Field { policy: Policy::Text, ..text() }),
        ("visits", Field { policy: Policy::Counter, ..Field::of(FieldType::Int) }),
        ("score", Field { computed: true, ..Field::of(FieldType::Int) }),
    ];
    Model {
        name: "contact".into(),
        fields: fields.into_iter().map(|(name, field)| (FieldName::new(name), field)).collect(),
        match_keys: Vec::new(),
        deletes: DeleteRule { effect: DeleteEffect::Propagate, race: DeleteRace::EditWins },
    }
}

fn set(members: &[&str]) -> Value {
    Value::Set(members.iter().map(|member| (*member).to_owned()).collect())
}

fn values(values: &[(&str, Value)]) -> Fields {
    values.iter().map(|(name, value)| (FieldName::new(name), value.clone())).collect()
}

impl Story {
    /// A record that holds a value in most fields.
    fn new() -> Self {
        Self::of(model())
    }

    fn of(model: Model) -> Self {
        let plan = SyncPlan { tenant: "acme".into(), model, sides: BTreeMap::new(), writer: WriterEpochs::default() };
        let fields = values(&[
            ("name", Value::text("Ann")),
            ("stage", Value::text("mql")),
            ("age", Value::Int(30)),
            ("tags", set(&["a", "b"])),
            ("notes", Value::text("one two")),
            ("visits", Value::Int(5)),
        ]);
        let now = Now { at: Millis(0), tick: Tick(1) };
        let (state, _) = reconcile::create_by_client(&plan, RecordId(Default::default()), "app", &fields, now).unwrap();
        Self { plan, state, at: 0, lost: Vec::new() }
    }

    /// A record that a client begins.
    fn begun_by(client: &Client) -> (Self, Outcome) {
        let plan =
            SyncPlan { tenant: "acme".into(), model: model(), sides: BTreeMap::new(), writer: WriterEpochs::default() };
        let received = Received { principal: client.name.into(), changes: client.doc.get_changes(&[]) };
        let now = Now { at: Millis(0), tick: Tick(1) };
        let (state, outcome) =
            reconcile::create_from_document(&plan, RecordId(Default::default()), &received, now).unwrap();
        (Self { plan, state, at: 0, lost: Vec::new() }, outcome)
    }

    /// A new client that holds the document as it is now.
    fn client(&mut self, name: &'static str) -> Client {
        let doc = self.state.document.automerge().unwrap().fork().with_actor(ActorId::from(name.as_bytes()));
        Client { name, doc }
    }

    fn give(&mut self, input: Input) -> Outcome {
        self.at += 10_000;
        let now = Now { at: Millis(self.at), tick: Tick(self.at as u64) };
        let outcome = reconcile::reconcile(&self.plan, &mut self.state, input, now).unwrap();
        self.lost.extend(outcome.conflicts.iter().map(|row| row.loser.value.clone()));
        outcome
    }

    fn app_sets(&mut self, name: &str, value: Value) {
        let fields = values(&[(name, value)]);
        self.give(Input::Edited(ClientEdit { principal: "app".into(), fields, delete: None, settles: false }));
    }

    /// The client's changes arrive, and the client learns all that it does not know.
    fn sync(&mut self, client: &mut Client) -> Outcome {
        let changes: Vec<Change> = self.state.document.automerge().unwrap().get_changes_added(&client.doc);
        let outcome = self.give(Input::Received(Received { principal: client.name.into(), changes }));
        client.learns(self);
        outcome
    }

    fn value(&self, name: &str) -> Value {
        self.state.fields.get(name).cloned().unwrap_or_default()
    }

    /// The record's values are what a plain Automerge client sees, one value in each field.
    fn check(&mut self) {
        let shown = self.state.document.fields(&self.plan.model).unwrap();
        assert_eq!(shown, self.state.fields);
        for (name, field) in &self.plan.model.fields {
            assert!(self.state.document.visible(name, field).unwrap().len() <= 1, "{name} shows several values");
        }
    }
}

impl Client {
    /// A client that begins a document.
    fn beginning(name: &'static str, write: impl FnOnce(&mut Transaction<'_>, &ObjId)) -> Self {
        let mut client = Self { name, doc: Automerge::new().with_actor(ActorId::from(name.as_bytes())) };
        let mut tx = client.doc.transaction();
        tx.put(ROOT, "type", "contact").unwrap();
        let fields = tx.put_object(ROOT, "fields", ObjType::Map).unwrap();
        write(&mut tx, &fields);
        tx.commit();
        client
    }

    fn edits(&mut self, write: impl FnOnce(&mut Transaction<'_>, &ObjId)) {
        let fields = self.doc.get(ROOT, "fields").unwrap().unwrap().1;
        let mut tx = self.doc.transaction();
        write(&mut tx, &fields);
        tx.commit_with(CommitOptions::default().with_time(0));
    }

    /// Assigns a string as JavaScript does, as a text object.
    fn assigns(&mut self, name: &str, text: &str) {
        self.edits(|tx, fields| {
            let object = tx.put_object(fields, name, ObjType::Text).unwrap();
            tx.splice_text(&object, 0, 0, text).unwrap();
        });
    }

    /// Edits the text object in place, as JavaScript's `updateText` does.
    fn types(&mut self, name: &str, text: &str) {
        self.edits(|tx, fields| {
            let object = tx.get(fields, name).unwrap().unwrap().1;
            tx.update_text(&object, text).unwrap();
        });
    }

    fn puts(&mut self, name: &str, value: impl Into<ScalarValue>) {
        self.edits(|tx, fields| tx.put(fields, name, value.into()).unwrap());
    }

    fn learns(&mut self, story: &mut Story) {
        let mut known = story.state.document.automerge().unwrap().clone();
        self.doc.merge(&mut known).unwrap();
    }

    fn shows(&self, name: &str) -> String {
        let fields = self.doc.get(ROOT, "fields").unwrap().unwrap().1;
        match self.doc.get(&fields, name).unwrap() {
            Some((automerge::Value::Object(ObjType::Text), id)) => self.doc.text(&id).unwrap(),
            Some((value, _)) => value.into_string().unwrap_or_else(|value| format!("{value:?}")),
            None => "absent".into(),
        }
    }
}

#[test]
fn a_value_that_fits_stands_as_the_client_wrote_it() {
    let mut story = Story::new();
    let mut ann = story.client("ann");
    ann.assigns("name", "Anna");
    ann.puts("age", 31);
    let outcome = story.sync(&mut ann);
    assert_eq!((story.value("name"), story.value("age")), (Value::text("Anna"), Value::Int(31)));
    assert_eq!(outcome.entries.len(), 2, "the service has nothing to add");
    assert_eq!(outcome.changed.len(), 2);
    assert_eq!(outcome.changed[&FieldName::new("name")].to_string(), "client:ann");
    story.check();
}

#[test]
fn text_typed_inside_an_ordinary_field_counts_as_its_value() {
    let mut story = Story::new();
    let mut ann = story.client("ann");
    ann.assigns("name", "Anna");
    story.sync(&mut ann);
    for text in ["Anna L", "Anna Le", "Anna Lee"] {
        ann.types("name", text);
    }
    story.sync(&mut ann);
    assert_eq!(story.value("name"), Value::text("Anna Lee"));
    assert_eq!(ann.shows("name"), "Anna Lee");
    ann.types("name", "Anna-Lee");
    story.sync(&mut ann);
    assert_eq!(story.value("name"), Value::text("Anna-Lee"), "and it can still be edited in place");
    assert_eq!(story.lost, [], "nobody disagreed");
    story.check();
}

#[test]
fn an_edit_in_place_is_a_candidate_against_a_value_that_replaced_the_text() {
    let mut story = Story::new();
    let mut ann = story.client("ann");
    ann.assigns("name", "Anna");
    story.sync(&mut ann);
    ann.types("name", "Annabel");
    story.app_sets("name", Value::text("Bea"));
    story.sync(&mut ann);
    assert_eq!(story.value("name"), Value::text("Annabel"), "the later one");
    assert_eq!(story.lost, [Value::text("Bea")], "and the other is kept");
    assert_eq!(ann.shows("name"), "Annabel");
    story.check();
}

#[test]
fn two_who_type_in_one_ordinary_field_do_not_mix_their_texts() {
    let mut story = Story::new();
    let mut ann = story.client("ann");
    ann.assigns("name", "Smith");
    story.sync(&mut ann);
    let mut bob = story.client("bob");
    ann.types("name", "Smithers");
    bob.types("name", "Smithson");
    story.sync(&mut ann);
    story.sync(&mut bob);
    ann.learns(&mut story);
    assert_eq!(story.value("name"), Value::text("Smithson"));
    assert_eq!(story.lost, [Value::text("Smithers")]);
    assert_eq!((ann.shows("name"), bob.shows("name")), ("Smithson".into(), "Smithson".into()));
    story.check();
}

#[test]
fn concurrent_values_are_settled_and_the_loser_is_kept() {
    let mut story = Story::new();
    let (mut ann, mut bob) = (story.client("ann"), story.client("bob"));
    ann.puts("age", 31);
    bob.puts("age", 32);
    story.sync(&mut ann);
    story.sync(&mut bob);
    ann.learns(&mut story);
    assert_eq!(story.value("age"), Value::Int(32));
    assert_eq!(story.lost, [Value::Int(31)]);
    assert_eq!(ann.doc.get_heads(), bob.doc.get_heads());
    story.check();
}

#[test]
fn what_does_not_fit_is_put_back_and_kept() {
    for (name, value, lost) in [
        ("age", ScalarValue::from("old"), Some(Value::text("old"))),
        ("stage", ScalarValue::from("lead"), Some(Value::text("lead"))),
        ("score", ScalarValue::from(7), None),
        ("visits", ScalarValue::from("many"), None),
        ("notes", ScalarValue::from("x".repeat(41)), None),
        ("tags", ScalarValue::from(true), None),
    ] {
        let mut story = Story::new();
        let before = story.value(name);
        let mut ann = story.client("ann");
        ann.puts(name, value.clone());
        story.sync(&mut ann);
        assert!(story.value(name).same_as(&before), "{name} = {value:?} became {:?}", story.value(name));
        if let Some(lost) = lost {
            assert_eq!(story.lost, [lost], "{name}");
        }
        story.check();
    }
}

#[test]
fn spellings_are_folded_and_strange_keys_removed() {
    let mut story = Story::new();
    let mut ann = story.client("ann");
    ann.assigns("name", "  Bea ");
    ann.puts("shoe_size", 40);
    story.sync(&mut ann);
    assert_eq!(story.value("name"), Value::text("Bea"));
    assert_eq!((ann.shows("name"), ann.shows("shoe_size")), ("Bea".into(), "absent".into()));
    story.check();
}

#[test]
fn a_removed_key_is_a_cleared_field() {
    let mut story = Story::new();
    let mut ann = story.client("ann");
    ann.edits(|tx, fields| tx.delete(fields, "age").unwrap());
    story.sync(&mut ann);
    assert_eq!(story.value("age"), Value::Null);
    ann.puts("age", 40);
    story.sync(&mut ann);
    assert_eq!(story.value("age"), Value::Int(40));
    assert_eq!(story.lost, []);
    story.check();
}

#[test]
fn members_of_a_set_survive_a_client_that_replaces_the_whole() {
    type Write = fn(&mut Transaction<'_>, &ObjId);
    let member: Write = |tx, fields| {
        let tags = tx.get(fields, "tags").unwrap().unwrap().1;
        tx.put(&tags, "c", true).unwrap();
        tx.delete(&tags, "a").unwrap();
    };
    let map: Write = |tx, fields| {
        let tags = tx.put_object(fields, "tags", ObjType::Map).unwrap();
        tx.put(&tags, "b", true).unwrap();
        tx.put(&tags, "c", true).unwrap();
    };
    let list: Write = |tx, fields| {
        let tags = tx.put_object(fields, "tags", ObjType::List).unwrap();
        tx.insert(&tags, 0, "b").unwrap();
        tx.insert(&tags, 1, "c").unwrap();
    };
    for write in [member, map, list] {
        let mut story = Story::new();
        let mut ann = story.client("ann");
        story.app_sets("tags", set(&["a", "b", "d"]));
        ann.edits(write);
        story.sync(&mut ann);
        assert_eq!(story.value("tags"), set(&["b", "c", "d"]));
        story.app_sets("tags", set(&["b", "c", "d", "e"]));
        ann.learns(&mut story);
        assert_eq!(story.value("tags"), set(&["b", "c", "d", "e"]), "the set is whole again");
        story.check();
    }
}

#[test]
fn merged_text_and_counters_take_every_writer_in() {
    for in_place in [true, false] {
        let mut story = Story::new();
        let mut ann = story.client("ann");
        story.app_sets("notes", Value::text("one two three"));
        if in_place {
            ann.types("notes", "zero one two")
        } else {
            ann.assigns("notes", "zero one two")
        }
        story.sync(&mut ann);
        assert_eq!(story.value("notes"), Value::text("zero one two three"));
        story.check();
    }
    for counts in [true, false] {
        let mut story = Story::new();
        let mut ann = story.client("ann");
        story.app_sets("visits", Value::Int(7));
        ann.edits(|tx, fields| {
            if counts { tx.increment(fields, "visits", 3).unwrap() } else { tx.put(fields, "visits", 8).unwrap() }
        });
        story.sync(&mut ann);
        assert_eq!(story.value("visits"), Value::Int(10), "5, 2 more here and 3 more there");
        story.check();
    }
}

#[test]
fn of_two_texts_that_were_begun_apart_the_later_stands_and_the_other_is_kept() {
    let mut story = Story::new();
    story.app_sets("notes", Value::Null);
    let (mut ann, mut bob) = (story.client("ann"), story.client("bob"));
    ann.assigns("notes", "from ann");
    bob.assigns("notes", "from bob");
    story.sync(&mut ann);
    story.sync(&mut bob);
    assert_eq!(story.value("notes"), Value::text("from bob"));
    assert_eq!(story.lost, [Value::text("from ann")]);
    ann.learns(&mut story);
    assert_eq!((ann.shows("notes"), bob.shows("notes")), ("from bob".into(), "from bob".into()));
}

#[test]
fn a_client_deletes_and_restores() {
    let mut story = Story::new();
    let mut ann = story.client("ann");
    let mark = |client: &mut Client| {
        let mut tx = client.doc.transaction();
        tx.put(ROOT, "deleted", ScalarValue::Timestamp(1)).unwrap();
        tx.commit();
    };
    mark(&mut ann);
    let outcome = story.sync(&mut ann);
    assert_eq!((outcome.deleted, story.state.deleted.is_some()), (Some(true), true));
    let mut tx = ann.doc.transaction();
    tx.delete(ROOT, "deleted").unwrap();
    tx.commit();
    let outcome = story.sync(&mut ann);
    assert_eq!((outcome.deleted, story.state.deleted), (Some(false), None));

    story.app_sets("name", Value::text("Bea"));
    mark(&mut ann);
    story.sync(&mut ann);
    assert_eq!(story.state.deleted, None, "an edit that the deleter had not seen brings the record back");
    assert!(ann.doc.get(ROOT, "deleted").unwrap().is_none());

    let mut bob = story.client("bob");
    mark(&mut ann);
    story.sync(&mut ann);
    bob.puts("age", 50);
    story.sync(&mut bob);
    assert_eq!((story.state.deleted, story.value("age")), (None, Value::Int(50)));
    story.check();
}

#[test]
fn a_client_that_deletes_and_restores_before_it_hears_of_either_restores() {
    let mut story = Story::new();
    let mut ann = story.client("ann");
    let mut tx = ann.doc.transaction();
    tx.put(ROOT, "deleted", ScalarValue::Timestamp(1)).unwrap();
    tx.commit();
    let mut tx = ann.doc.transaction();
    tx.delete(ROOT, "deleted").unwrap();
    tx.commit();
    story.sync(&mut ann);
    assert_eq!(story.state.deleted, None);
    assert!(ann.doc.get(ROOT, "deleted").unwrap().is_none());
}

#[test]
fn a_mark_that_says_no_deletes_nothing_and_restores() {
    for mark in [ScalarValue::Boolean(false), ScalarValue::Null, ScalarValue::Int(0)] {
        let mut story = Story::new();
        let mut ann = story.client("ann");
        let mut write = |story: &mut Story, mark: ScalarValue| {
            let mut tx = ann.doc.transaction();
            tx.put(ROOT, "deleted", mark).unwrap();
            tx.commit();
            story.sync(&mut ann);
            story.state.deleted.is_some()
        };
        assert!(!write(&mut story, mark.clone()), "{mark:?} deletes");
        assert!(write(&mut story, ScalarValue::Boolean(true)));
        assert!(!write(&mut story, mark.clone()), "{mark:?} does not restore");
    }
}

#[test]
fn a_delete_that_wins_keeps_what_it_lost() {
    let rule = DeleteRule { effect: DeleteEffect::Propagate, race: DeleteRace::DeleteWins };
    let mut story = Story::of(Model { deletes: rule, ..model() });
    let mut ann = story.client("ann");
    story.app_sets("name", Value::text("Bea"));
    let mut tx = ann.doc.transaction();
    tx.put(ROOT, "deleted", ScalarValue::Timestamp(1)).unwrap();
    tx.commit();
    story.sync(&mut ann);
    assert!(story.state.deleted.is_some());
    assert_eq!(story.lost, [Value::text("Bea")]);
}

#[test]
fn a_client_begins_a_record_and_goes_on() {
    let mut ann = Client::beginning("ann", |tx, fields| {
        let name = tx.put_object(fields, "name", ObjType::Text).unwrap();
        tx.splice_text(&name, 0, 0, " Ann ").unwrap();
        tx.put(fields, "age", "not a number").unwrap();
        tx.put(fields, "shoe_size", 40).unwrap();
        let tags = tx.put_object(fields, "tags", ObjType::List).unwrap();
        tx.insert(&tags, 0, "a").unwrap();
    });
    ann.puts("visits", 2);
    let (mut story, outcome) = Story::begun_by(&ann);
    assert!(outcome.created);
    let kept: Vec<&Value> = outcome.conflicts.iter().map(|row| &row.loser.value).collect();
    assert_eq!(kept, [&Value::text("not a number")]);
    let expected =
        [("name", Value::text("Ann")), ("age", Value::Null), ("tags", set(&["a"])), ("visits", Value::Int(2))];
    for (name, value) in expected {
        assert!(story.value(name).same_as(&value), "{name} is {:?}", story.value(name));
    }
    ann.learns(&mut story);
    assert_eq!(ann.shows("shoe_size"), "absent");
    ann.assigns("name", "Anna");
    story.sync(&mut ann);
    story.app_sets("visits", Value::Int(3));
    assert_eq!((story.value("name"), story.value("visits")), (Value::text("Anna"), Value::Int(3)));
    assert_eq!(story.lost, []);
    story.check();
}

#[test]
fn no_rule_about_clients_can_be_spared() {
    stories::assert_each_is_needed(
        suites::Suite::Clients,
        &[
            (Rule::EqualsAgree, two_who_write_the_same_agree),
            (Rule::ClientTimeIsBounded, a_clock_that_is_ahead_wins_nothing),
            (Rule::HiddenEditIsSeen, text_typed_inside_an_ordinary_field_counts_as_its_value),
            (Rule::UnfitIsRefused, what_does_not_fit_is_put_back_and_kept),
            (Rule::ClientDeleteMeetsEdits, a_client_deletes_and_restores),
        ],
    );
}

/// Nobody is asked to choose between equal values.
fn two_who_write_the_same_agree() {
    let mut model = model();
    model.fields.get_mut("age").unwrap().policy = Policy::Manual;
    let mut story = Story::of(model);
    let (mut ann, mut bob) = (story.client("ann"), story.client("bob"));
    ann.puts("age", 31);
    bob.puts("age", 31);
    story.sync(&mut ann);
    story.sync(&mut bob);
    assert_eq!((story.value("age"), &story.lost[..]), (Value::Int(31), &[][..]));
    story.check();
}

fn a_clock_that_is_ahead_wins_nothing() {
    let mut story = Story::new();
    let (mut ann, mut bob) = (story.client("ann"), story.client("bob"));
    let fields = ann.doc.get(ROOT, "fields").unwrap().unwrap().1;
    let mut tx = ann.doc.transaction();
    tx.put(&fields, "age", 31).unwrap();
    tx.commit_with(CommitOptions::default().with_time(4_000_000_000));
    bob.puts("age", 32);
    story.sync(&mut ann);
    story.sync(&mut bob);
    assert_eq!((story.value("age"), &story.lost[..]), (Value::Int(32), &[Value::Int(31)][..]));
}
