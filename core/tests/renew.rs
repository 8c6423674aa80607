//! Records that begin anew: each story lets a history grow, begins another, and looks at what stands.

#[path = "catalogue/stories.rs"]
mod stories;
#[path = "catalogue/suites.rs"]
mod suites;

use std::collections::{BTreeMap, BTreeSet};

use automerge::{Automerge, ROOT, ReadDoc};
use syncline_core::{
    ids::{FieldName, RecordId},
    journal::{Ops, Origin},
    model::{DeleteEffect, DeleteRace, DeleteRule, Field, FieldType, Model},
    mutant::Rule,
    plan::SyncPlan,
    policies::Policy,
    reconcile::{self, ClientEdit, Input, Now, Outcome, Replayed},
    record::RecordState,
    repo::DocumentId,
    time::{Millis, Tick},
    value::{Fields, Value},
    writer::WriterEpochs,
};

/// A record that only clients of the API edit.
struct Story {
    plan: SyncPlan,
    state: RecordState,
    at: i64,
}

fn model() -> Model {
    let text = || Field::of(FieldType::Text { max_len: 200 });
    let first = Policy::Prefer(vec!["client".to_owned()]);
    let fields = [
        ("name", text()),
        ("owner", Field { policy: first, ..text() }),
        ("tags", Field { policy: Policy::Set, ..Field::of(FieldType::Set { values: BTreeSet::new() }) }),
        ("notes", Field { policy: Policy::Text, ..text() }),
        ("visits", Field { policy: Policy::Counter, ..Field::of(FieldType::Int) }),
    ];
    Model {
        name: "contact".into(),
        fields: fields.into_iter().map(|(name, field)| (FieldName::new(name), field)).collect(),
        match_keys: Vec::new(),
        deletes: DeleteRule { effect: DeleteEffect::Propagate, race: DeleteRace::EditWins },
    }
}

fn fields(fields: &[(&str, Value)]) -> Fields {
    fields.iter().map(|(name, value)| (FieldName::new(*name), value.clone())).collect()
}

impl Story {
    fn begin(first: &[(&str, Value)]) -> Self {
        let plan =
            SyncPlan { tenant: "acme".into(), model: model(), sides: BTreeMap::new(), writer: WriterEpochs::default() };
        let now = Now { at: Millis(0), tick: Tick(1) };
        let (state, _) =
            reconcile::create_by_client(&plan, RecordId(Default::default()), "first", &fields(first), now).unwrap();
        Self { plan, state, at: 0 }
    }

    fn input(&mut self, input: Input) -> Outcome {
        self.at += 60_000;
        let now = Now { at: Millis(self.at), tick: Tick(self.at as u64) };
        reconcile::reconcile(&self.plan, &mut self.state, input, now).unwrap()
    }

    fn edit(&mut self, principal: &str, edits: &[(&str, Value)]) -> Outcome {
        let edit = ClientEdit { principal: principal.into(), fields: fields(edits), delete: None, settles: false };
        self.input(Input::Edited(edit))
    }

    fn renew(&mut self) -> reconcile::Sealed {
        *self.input(Input::Renew).sealed.expect("nothing keeps the record from it")
    }

    /// A client comes back from an earlier epoch.
    fn replay(&mut self, field: &str, saw: Value, wrote: Value, written_at: i64) -> Outcome {
        self.input(Input::Replayed(Replayed {
            principal: "late".into(),
            fields: [(FieldName::new(field), (saw, wrote))].into(),
            written_at: Some(Millis(written_at)),
            delete: None,
        }))
    }

    fn shows(&self, field: &str) -> &Value {
        self.state.fields.get(field).unwrap_or(&Value::Null)
    }
}

#[test]
fn what_stands_goes_on_and_nothing_else() {
    let mut story = Story::begin(&[("name", Value::text("Ann")), ("tags", Value::Set(["a".to_owned()].into()))]);
    story.edit("second", &[("notes", Value::text("one")), ("visits", Value::Int(3)), ("name", Value::text("Anna"))]);
    story.edit("first", &[("name", Value::Null)]);
    let (before, version) = (story.state.fields.clone(), story.state.version);
    let clocks: Vec<_> =
        story.state.journal.iter().rev().find_map(|entry| entry.clock_of(&"notes".into())).into_iter().collect();
    let outcome = story.input(Input::Renew);
    let mut sealed = *outcome.sealed.clone().expect("sealed");

    assert!(!outcome.is_visible() && story.state.version == version, "nobody is told: nothing changed");
    assert_eq!(story.state.document.fields(&story.plan.model).unwrap(), before, "what was cleared stays cleared");
    let [entry] = story.state.journal.as_slice() else { panic!("{:?}", story.state.journal) };
    assert!(entry.begins_epoch());
    assert_eq!(entry.clock_of(&"notes".into()).into_iter().collect::<Vec<_>>(), clocks);
    assert_eq!(entry.origin_of(&"notes".into()), &Origin::Client("second".into()));
    assert_eq!((story.state.epoch, sealed.id), (1, DocumentId::from(story.state.id)));
    assert_ne!(story.state.document_id(), sealed.id);
    let Ops::Genesis { values, .. } = sealed.genesis.expect("of the first epoch").ops else { panic!("no genesis") };
    assert_eq!(values["name"], Value::text("Ann"), "its values were in the document alone");
    let old = Automerge::load(sealed.document.save()).unwrap();
    let moved_to = old.get(ROOT, "moved_to").unwrap().expect("it says so").0;
    assert_eq!(moved_to.as_str(), Some(story.state.document_id().url().as_str()));
    assert!(story.renew().genesis.is_none(), "later geneses repeat what is known");
}

#[test]
fn two_that_begin_the_same_epoch_get_the_same_document() {
    let mut story = Story::begin(&[("name", Value::text("Ann"))]);
    let mut twin = Story { state: story.state.clone(), plan: story.plan.clone(), at: 1_000_000 };
    story.renew();
    twin.renew();
    assert_eq!(story.state.document.heads(), twin.state.document.heads());
    story.renew();
    assert_ne!(story.state.document.heads(), twin.state.document.heads(), "another epoch is another document");
}

#[test]
fn policies_choose_by_whoever_wrote_what_stands() {
    let mut story = Story::begin(&[("owner", Value::text("x"))]);
    story.edit("first", &[("owner", Value::text("by the first"))]);
    story.renew();
    let outcome = story.replay("owner", Value::text("x"), Value::text("late"), 1);
    assert_eq!(story.shows("owner"), &Value::text("by the first"), "who is preferred wrote it in an earlier epoch");
    assert_eq!(outcome.conflicts[0].loser.value, Value::text("late"));
}

#[test]
fn a_late_edit_contends_with_what_its_author_had_not_seen_and_with_nothing_else() {
    for (what, since, saw, wrote, written_at, stands, lost) in [
        ("nobody else wrote", None, "old", "late", 1, "late", None),
        ("the newer wins", Some("newer"), "old", "late", 1, "newer", Some("late")),
        ("also where that is the late one", Some("older"), "old", "late", i64::MAX, "late", Some("older")),
        ("both wrote the same", Some("same"), "old", "same", 1, "same", None),
        ("it had seen what stands", Some("seen"), "seen", "late", 1, "late", None),
    ] {
        for epochs in 1..3 {
            let mut story = Story::begin(&[("name", Value::text("old"))]);
            for epoch in 0..epochs {
                if let (0, Some(since)) = (epoch, since) {
                    story.edit("first", &[("name", Value::text(since))]);
                }
                story.renew();
            }
            let outcome = story.replay("name", Value::text(saw), Value::text(wrote), written_at);
            assert_eq!(story.shows("name"), &Value::text(stands), "{what}, {epochs} epochs");
            let losers: Vec<_> = outcome.conflicts.iter().map(|row| row.loser.value.clone()).collect();
            assert_eq!(losers, lost.map(Value::text).into_iter().collect::<Vec<_>>(), "{what}, {epochs} epochs");
        }
    }
}

/// Fails without `Input::Renew` at the limit: the longest document grows with every edit.
#[test]
fn row_32_a_record_that_is_edited_for_ever_stays_short() {
    let mut story = Story::begin(&[("name", Value::text("Ann"))]);
    let (mut longest, mut epochs) = (0, 0);
    for n in 0..10_000 {
        story.edit("first", &[("name", Value::text(format!("Ann the {n}th of her name")))]);
        if story.state.journal.len() > 1_000 {
            longest = longest.max(story.state.document.save().len());
            story.renew();
            epochs += 1;
        }
    }
    assert_eq!(epochs, 10);
    assert!(longest < 64 * 1024, "{longest} bytes");
    assert!(story.state.journal.len() <= 1_001);
}

#[test]
fn no_rule_about_epochs_can_be_spared() {
    let story: fn() = policies_choose_by_whoever_wrote_what_stands;
    stories::assert_each_is_needed(suites::Suite::Epochs, &[(Rule::EpochKeepsWriters, story)]);
}
