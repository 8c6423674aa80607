//! Which object is which record: what a person decides, what that does to values, and what taking it back brings. Two systems,
//! `crm` and `desk`, hold people; `app` is a client. Everything ends with all sides at rest and no write made in vain.

use std::collections::BTreeMap;

use automerge::{Automerge, ROOT, ReadDoc};
use syncline_core::{
    identity::{Deed, Former},
    ids::{ConnectionId, ExternalId, FieldName, RecordId},
    mapping::{Mapping, MappingSpec},
    model::{DeleteEffect, DeleteRace, DeleteRule, Field, FieldType, Model},
    plan::{Side, SyncPlan},
    policies::Policy,
    reconcile::{
        self, ClientEdit, FollowUp, Input, Now, Outcome, Receipt, ReconcileError,
        identity::{self, LinkUndone, MergeUndone, Refusal, SplitUndone, United},
    },
    record::RecordState,
    remote::RemoteVersion,
    replica::{IntentVerb, Link, Observation, Replica, Source},
    time::{Millis, Tick},
    value::{Fields, Value},
    writer::WriterEpochs,
};

/// Two systems and the records of their people.
struct World {
    plan: SyncPlan,
    tick: u64,
    at: i64,
    /// What each object holds, and when it last changed.
    objects: BTreeMap<(&'static str, String), (Fields, i64)>,
    /// The values that lost.
    lost: Vec<String>,
    writes: usize,
}

fn values(values: &[(&str, &str)]) -> Fields {
    let value = |text: &str| if text.is_empty() { Value::Null } else { Value::text(text) };
    values.iter().map(|(name, text)| (FieldName::new(*name), value(text))).collect()
}

fn plan() -> SyncPlan {
    let text = || Field::of(FieldType::Text { max_len: 100 });
    let set = Field { policy: Policy::Set, ..Field::of(FieldType::Set { values: Default::default() }) };
    let fields = [("name", text()), ("phone", text()), ("title", text()), ("tags", set)];
    let fields = fields.map(|(name, field)| (FieldName::new(name), field)).into();
    let deletes = DeleteRule { effect: DeleteEffect::Propagate, race: DeleteRace::EditWins };
    let model = Model { name: "person".into(), fields, match_keys: vec![vec!["name".into()]], deletes };
    let spec = MappingSpec(["name", "phone", "title"].map(|name| (name.to_owned(), name.into())).into());
    let side = |rank| Side {
        object: "people".into(),
        mapping: Mapping::new(&model, &spec).unwrap(),
        key_field: None,
        creates: false,
        writes: true,
        history: false,
        rank,
    };
    let sides = BTreeMap::from([("crm".into(), side(1)), ("desk".into(), side(2))]);
    SyncPlan { tenant: "acme".into(), model, sides, writer: WriterEpochs::default() }
}

impl World {
    fn new() -> Self {
        Self { plan: plan(), tick: 0, at: 0, objects: BTreeMap::new(), lost: Vec::new(), writes: 0 }
    }

    /// Time passes, more than any clock's uncertainty.
    fn now(&mut self) -> Now {
        self.at += 10_000;
        self.tick += 1;
        Now { at: Millis(self.at), tick: Tick(self.tick) }
    }

    /// A user edits an object, or makes one.
    fn user(&mut self, system: &'static str, id: &str, edits: &[(&str, &str)]) {
        let at = self.now().at.0;
        let (fields, stamp) = self.objects.entry((system, id.to_owned())).or_default();
        fields.extend(values(edits));
        *stamp = at;
    }

    fn shows(&self, system: &'static str, id: &str, field: &str) -> String {
        text(self.objects[&(system, id.to_owned())].0.get(field))
    }

    /// A read by id.
    fn reading(&mut self, system: &'static str, id: &str) -> Observation {
        self.tick += 1;
        let (fields, stamp) = self.objects[&(system, id.to_owned())].clone();
        Observation {
            id: id.into(),
            aliases: Vec::new(),
            deleted: false,
            fields,
            clocks: BTreeMap::new(),
            past: BTreeMap::new(),
            version: Some(RemoteVersion { stamp: Millis(stamp), precision_ms: 1 }),
            source: Source::ById,
            begun: Tick(self.tick),
            key: None,
        }
    }

    /// A record that begins with an object.
    fn record(&mut self, n: u128, system: &'static str, id: &str, fields: &[(&str, &str)]) -> RecordState {
        self.user(system, id, fields);
        let (reading, now) = (self.reading(system, id), self.now());
        let id = RecordId(uuid::Uuid::from_u128(n));
        reconcile::create_from(&self.plan, id, &system.into(), reading, now).unwrap().0
    }

    fn note(&mut self, outcome: &Outcome) {
        self.lost.extend(outcome.conflicts.iter().map(|row| text(Some(&row.loser.value))));
    }

    fn give(&mut self, state: &mut RecordState, input: Input) -> Outcome {
        let now = self.now();
        let outcome = reconcile::reconcile(&self.plan, state, input, now).unwrap();
        self.note(&outcome);
        outcome
    }

    fn edit(&mut self, state: &mut RecordState, edits: &[(&str, &str)]) {
        let edit = ClientEdit { principal: "app".into(), fields: values(edits), delete: None, settles: false };
        self.give(state, Input::Edited(edit));
    }

    fn look(&mut self, state: &mut RecordState, system: &'static str) {
        let Some(id) = linked(state, system) else { return };
        let observation = self.reading(system, &id);
        self.give(state, Input::Observed { connection: system.into(), observation });
    }

    /// Reads and writes until nothing is owed; then every linked object shows what the record says.
    fn settle(&mut self, state: &mut RecordState) {
        for _ in 0..4 {
            for system in ["crm", "desk"] {
                self.look(state, system);
                self.deliver(state, system);
            }
        }
        let writes = self.writes;
        for system in ["crm", "desk"] {
            self.deliver(state, system);
            let Some(id) = linked(state, system) else { continue };
            for field in ["name", "phone", "title"] {
                assert_eq!(self.shows(system, &id, field), text(state.fields.get(field)), "{field} in {system}");
            }
        }
        assert_eq!(self.writes, writes, "they never come to rest");
    }

    fn deliver(&mut self, state: &mut RecordState, system: &'static str) {
        let looked_at = Millis(self.at);
        let input = Input::Prepare { connection: system.into(), looked_at, conditional: false };
        let Some(intent) = self.give(state, input).intent else { return };
        assert_eq!(intent.verb, IntentVerb::Update, "nothing is created or deleted");
        let id = linked(state, system).expect("linked");
        let at = self.now().at.0;
        let (fields, stamp) = self.objects.get_mut(&(system, id.clone())).unwrap();
        let before = fields.clone();
        fields.extend(intent.fields);
        assert_ne!(*fields, before, "a write in vain to {system} {id}");
        *stamp = at;
        self.writes += 1;
        let result = Receipt::Applied { id: id.as_str().into(), answer: None, whole: false };
        let outcome = self.give(state, Input::Receipt { connection: system.into(), intent: intent.id, result });
        assert!(outcome.follow_ups.iter().any(|FollowUp::Read { id: read, .. }| read.as_str() == id));
        self.look(state, system);
    }

    fn link(
        &mut self,
        state: &mut RecordState,
        system: &'static str,
        id: &str,
    ) -> Result<Option<Deed>, ReconcileError> {
        let (observation, now) = (self.reading(system, id), self.now());
        let (outcome, deed) = identity::link(&self.plan, state, &system.into(), observation, now)?;
        self.note(&outcome);
        Ok(deed)
    }

    fn unlink(&mut self, state: &mut RecordState, system: &'static str) -> Result<Option<Deed>, ReconcileError> {
        let now = self.now();
        Ok(identity::unlink(&self.plan, state, &system.into(), now)?.1)
    }

    fn merge(&mut self, survivor: &mut RecordState, absorbed: &mut RecordState) -> Result<United, ReconcileError> {
        let now = self.now();
        let united = identity::merge(&self.plan, survivor, absorbed, "app", now)?;
        self.note(&united.survivor);
        self.note(&united.absorbed);
        Ok(united)
    }

    fn undo_merge(
        &mut self,
        survivor: &mut RecordState,
        absorbed: &mut RecordState,
        at: Millis,
        deed: &Deed,
    ) -> Result<(), ReconcileError> {
        let Deed::Merge { moved, set_aside, epoch, changed, .. } = deed else { panic!("{deed:?}") };
        let (merge, now) = (MergeUndone { at, moved, set_aside, epoch: *epoch, changed }, self.now());
        let (left, back) = identity::undo_merge(&self.plan, survivor, absorbed, "app", merge, now)?;
        self.note(&left);
        self.note(&back);
        Ok(())
    }
}

fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::Text(text)) => text.clone(),
        _ => String::new(),
    }
}

fn says(state: &RecordState, field: &str) -> String {
    text(state.fields.get(field))
}

fn replica<'a>(state: &'a RecordState, system: &str) -> &'a Replica {
    &state.replicas[&ConnectionId::new(system)]
}

fn linked(state: &RecordState, system: &str) -> Option<String> {
    replica(state, system).link.linked().map(ToString::to_string)
}

fn refusal(result: Result<impl Sized, ReconcileError>) -> Refusal {
    match result {
        Err(ReconcileError::Identity(refusal)) => refusal,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was done"),
    }
}

#[test]
fn a_link_by_hand_meets_as_at_first_sight_and_its_undo_gives_back_what_nobody_edited_since() {
    let mut world = World::new();
    let mut ann = world.record(1, "crm", "c1", &[("name", "Ann"), ("title", "CTO"), ("phone", "1")]);
    world.user("desk", "d1", &[("name", "Anna"), ("title", ""), ("phone", "2")]);
    let deed = world.link(&mut ann, "desk", "d1").unwrap().expect("a deed");
    assert!(world.link(&mut ann, "desk", "d1").unwrap().is_none(), "it is there already");
    world.settle(&mut ann);
    assert_eq!(["name", "title", "phone"].map(|field| says(&ann, field)), ["Anna", "CTO", "2"], "the newer, no blank");
    assert_eq!(world.lost, ["Ann", "1"]);

    world.user("desk", "d1", &[("phone", "3")]);
    world.settle(&mut ann);
    let Deed::Link { connection, object, former, changed } = &deed else { panic!("{deed:?}") };
    let now = world.now();
    let undone = LinkUndone { connection, object, former, changed };
    identity::undo_link(&world.plan, &mut ann, "app", undone, now).unwrap();
    world.settle(&mut ann);
    assert_eq!(linked(&ann, "desk"), None);
    assert_eq!(["name", "phone"].map(|field| says(&ann, field)), ["Ann", "3"], "the later edit stays");
    assert_eq!(world.shows("desk", "d1", "name"), "Anna", "what is let go of keeps what it shows");
    let again = identity::undo_link(&world.plan, &mut ann, "app", undone, now);
    assert!(matches!(refusal(again), Refusal::Superseded { .. }));
}

#[test]
fn an_object_that_was_let_go_of_lives_on_by_itself_and_comes_back_with_what_both_sides_edited() {
    for renews in [false, true] {
        let mut world = World::new();
        let mut ann = world.record(1, "crm", "c1", &[("name", "Ann"), ("title", "CTO"), ("phone", "1")]);
        world.user("desk", "d1", &[("name", "Ann"), ("title", "CTO"), ("phone", "1")]);
        world.link(&mut ann, "desk", "d1").unwrap();
        world.settle(&mut ann);
        let deed = world.unlink(&mut ann, "desk").unwrap().expect("a deed");
        assert!(world.unlink(&mut ann, "desk").unwrap().is_none(), "it is done already");
        assert_eq!(replica(&ann, "desk").link, Link::Detached { id: "d1".into() });

        world.edit(&mut ann, &[("title", "CEO")]);
        world.user("desk", "d1", &[("phone", "2")]);
        let reading = world.reading("desk", "d1");
        world.give(&mut ann, Input::Observed { connection: "desk".into(), observation: reading });
        world.settle(&mut ann);
        assert_eq!((says(&ann, "phone"), world.shows("desk", "d1", "title")), ("1".into(), "CTO".into()));
        if renews {
            assert!(world.give(&mut ann, Input::Renew).sealed.is_some());
        }

        let Deed::Unlink { connection, object, former } = &deed else { panic!("{deed:?}") };
        let now = world.now();
        let outcome = identity::undo_unlink(&world.plan, &mut ann, connection, object, former, now).unwrap();
        assert!(!outcome.follow_ups.is_empty(), "it is read at once");
        world.settle(&mut ann);
        assert_eq!(["title", "phone"].map(|field| says(&ann, field)), ["CEO", "2"], "renewed: {renews}");
        assert!(world.lost.is_empty(), "nobody contended: {:?}", world.lost);
    }
}

#[test]
fn what_cannot_be_done_is_refused_with_the_way_out_and_changes_nothing() {
    let mut world = World::new();
    let mut ann = world.record(1, "crm", "c1", &[("name", "Ann")]);
    let mut bob = world.record(2, "crm", "c2", &[("name", "Bob")]);
    world.user("crm", "c3", &[("name", "Cy")]);
    let object = ExternalId::new("c1");
    let (crm, desk) = (ConnectionId::new("crm"), ConnectionId::new("desk"));
    let mut deleted = bob.clone();
    let delete = ClientEdit { principal: "app".into(), fields: Fields::new(), delete: Some(true), settles: false };
    world.give(&mut deleted, Input::Edited(delete));
    let mut busy = bob.clone();
    world.edit(&mut busy, &[("name", "Rob")]);
    world.give(&mut busy, Input::Prepare { connection: crm.clone(), looked_at: Millis(world.at), conditional: false });

    let record = ann.id;
    let before = (ann.fields.clone(), ann.replicas.clone());
    assert_eq!(refusal(world.link(&mut ann, "crm", "c3")), Refusal::Linked { record, connection: crm.clone(), object });
    assert_eq!(refusal(world.unlink(&mut ann, "desk")), Refusal::NotLinked { record, connection: desk });
    assert_eq!(refusal(world.unlink(&mut deleted, "crm")), Refusal::Deleted(bob.id));
    assert_eq!(refusal(world.unlink(&mut busy, "crm")), Refusal::Busy { record: bob.id, connection: crm.clone() });
    assert_eq!(refusal(world.merge(&mut ann, &mut deleted)), Refusal::Deleted(bob.id));
    assert_eq!(refusal(world.merge(&mut ann, &mut busy)), Refusal::Busy { record: bob.id, connection: crm.clone() });
    let mut twin = ann.clone();
    assert_eq!(refusal(world.merge(&mut ann, &mut twin)), Refusal::Same(record));
    assert_eq!((&ann.fields, &ann.replicas), (&before.0, &before.1));

    world.merge(&mut ann, &mut bob).unwrap();
    assert_eq!(refusal(world.merge(&mut ann, &mut bob)), Refusal::Merged { record: bob.id, into: record });
    let edit = ClientEdit { principal: "app".into(), fields: values(&[("name", "x")]), delete: None, settles: false };
    let now = world.now();
    let late = reconcile::reconcile(&world.plan, &mut bob, Input::Edited(edit), now);
    assert_eq!(refusal(late), Refusal::Merged { record: bob.id, into: record });
}

/// Two records of one person: one known to `crm`, one to `desk`.
fn two_of_one(world: &mut World) -> (RecordState, RecordState) {
    let mut ann = world.record(1, "crm", "c1", &[("name", "Ann"), ("phone", "1"), ("title", "")]);
    let mut twin = world.record(2, "desk", "d1", &[("name", "Ann"), ("phone", "2"), ("title", "CTO")]);
    let tags = |tag: &str| Fields::from([("tags".into(), Value::Set([tag.to_owned()].into()))]);
    for (state, tag) in [(&mut ann, "vip"), (&mut twin, "eu")] {
        let edit = ClientEdit { principal: "app".into(), fields: tags(tag), delete: None, settles: false };
        world.give(state, Input::Edited(edit));
    }
    (ann, twin)
}

fn tags(state: &RecordState) -> Vec<String> {
    match state.fields.get("tags") {
        Some(Value::Set(tags)) => tags.iter().cloned().collect(),
        _ => Vec::new(),
    }
}

#[test]
fn merged_records_hold_what_both_held_and_the_end_of_one_says_where_it_went() {
    let mut world = World::new();
    let (mut ann, mut twin) = two_of_one(&mut world);
    let first_document = twin.document_id();
    let united = world.merge(&mut ann, &mut twin).unwrap();
    assert_eq!(["name", "phone", "title"].map(|field| says(&ann, field)), ["Ann", "2", "CTO"]);
    assert_eq!(tags(&ann), ["eu", "vip"]);
    assert_eq!(world.lost, ["1"], "the older number is kept");
    assert_eq!(linked(&ann, "desk").as_deref(), Some("d1"));
    world.settle(&mut ann);

    assert_eq!((twin.merged_into, twin.deleted.is_some()), (Some(ann.id), true));
    assert_eq!(linked(&twin, "desk"), None);
    assert_eq!(united.absorbed.deleted, Some(true));
    let mut sealed = *united.absorbed.sealed.expect("its document is left behind");
    assert_eq!(sealed.id, first_document);
    assert_ne!(twin.document_id(), first_document);
    for document in [&mut sealed.document, &mut twin.document] {
        let doc = Automerge::load(document.save()).unwrap();
        let moved_to = doc.get(ROOT, "moved_to").unwrap().expect("it says so").0;
        assert_eq!(moved_to.as_str(), Some(ann.document_id().url().as_str()));
    }
}

#[test]
fn an_object_that_came_along_contends_with_what_its_users_had_not_seen() {
    let mut world = World::new();
    let (mut ann, mut twin) = two_of_one(&mut world);
    world.edit(&mut ann, &[("phone", "3")]);
    world.merge(&mut ann, &mut twin).unwrap();
    assert_eq!(says(&ann, "phone"), "3");
    world.user("desk", "d1", &[("phone", "4")]);
    world.settle(&mut ann);
    assert_eq!(says(&ann, "phone"), "4");
    assert!(world.lost.contains(&"3".to_owned()), "its user had seen 2, not 3: {:?}", world.lost);
}

#[test]
fn where_both_have_an_object_the_other_stays_as_it_is() {
    let mut world = World::new();
    let mut ann = world.record(1, "crm", "c1", &[("name", "Ann"), ("title", "")]);
    let mut twin = world.record(2, "crm", "c2", &[("name", "Ann"), ("title", "CTO")]);
    let united = world.merge(&mut ann, &mut twin).unwrap();
    world.settle(&mut ann);
    assert_eq!((linked(&ann, "crm").as_deref(), says(&ann, "title").as_str()), (Some("c1"), "CTO"));
    assert_eq!(replica(&twin, "crm").link, Link::Detached { id: "c2".into() });
    let Deed::Merge { moved, set_aside, .. } = &united.deed else { panic!("{united:?}") };
    assert!(moved.is_empty());
    assert_eq!(set_aside.keys().map(ConnectionId::as_str).collect::<Vec<_>>(), ["crm"]);

    // And comes back, with what its users made of it meanwhile.
    world.user("crm", "c2", &[("title", "CEO")]);
    let at = Millis(world.at);
    world.undo_merge(&mut ann, &mut twin, at, &united.deed).unwrap();
    world.settle(&mut ann);
    world.settle(&mut twin);
    assert_eq!((linked(&twin, "crm").as_deref(), says(&twin, "title").as_str()), (Some("c2"), "CEO"));
    assert_eq!(says(&ann, "title"), "", "it had none before");
}

#[test]
fn a_merge_that_is_taken_back_loses_nothing_that_was_edited_since() {
    for renews in [false, true] {
        let mut world = World::new();
        let (mut ann, mut twin) = two_of_one(&mut world);
        world.settle(&mut ann);
        world.settle(&mut twin);
        let united = world.merge(&mut ann, &mut twin).unwrap();
        let at = Millis(world.at);
        world.settle(&mut ann);
        if renews {
            assert!(world.give(&mut ann, Input::Renew).sealed.is_some());
        }
        // One by a user of the object that came along, one by a user of the other, one by a client.
        world.user("desk", "d1", &[("phone", "22")]);
        world.settle(&mut ann);
        world.user("crm", "c1", &[("name", "Anna")]);
        world.settle(&mut ann);
        let tags_now = Value::Set(["eu".to_owned(), "new".to_owned(), "vip".to_owned()].into());
        let edit = ClientEdit {
            principal: "app".into(),
            fields: Fields::from([("tags".into(), tags_now)]),
            delete: None,
            settles: false,
        };
        world.give(&mut ann, Input::Edited(edit));

        world.undo_merge(&mut ann, &mut twin, at, &united.deed).unwrap();
        world.settle(&mut ann);
        world.settle(&mut twin);
        assert_eq!((linked(&ann, "desk"), linked(&twin, "desk").as_deref()), (None, Some("d1")), "renewed: {renews}");
        assert_eq!((twin.merged_into, twin.deleted), (None, None));
        assert_eq!(
            ["name", "phone", "title"].map(|field| says(&twin, field)),
            ["Ann", "22", "CTO"],
            "renewed: {renews}"
        );
        assert_eq!(["name", "phone", "title"].map(|field| says(&ann, field)), ["Anna", "22", ""], "renewed: {renews}");
        assert_eq!((tags(&ann), tags(&twin)), (vec!["new".into(), "vip".into()], vec!["eu".into()]));
        let doc = Automerge::load(twin.document.save()).unwrap();
        assert!(doc.get(ROOT, "moved_to").unwrap().is_none(), "its document stays where it is");
        assert!(matches!(refusal(world.undo_merge(&mut ann, &mut twin, at, &united.deed)), Refusal::Superseded { .. }));
        // It can be done once more.
        world.merge(&mut ann, &mut twin).unwrap();
        world.settle(&mut ann);
    }
}

#[test]
fn a_split_begins_with_what_its_system_shows_and_its_undo_brings_the_edits_back() {
    let mut world = World::new();
    let mut ann = world.record(1, "crm", "c1", &[("name", "Ann"), ("phone", "1"), ("title", "CTO")]);
    world.user("desk", "d1", &[("name", "Ann"), ("phone", "1"), ("title", "CTO")]);
    world.link(&mut ann, "desk", "d1").unwrap();
    world.settle(&mut ann);
    let now = world.now();
    let into = RecordId(uuid::Uuid::from_u128(9));
    let parted = identity::split(&world.plan, &mut ann, &"desk".into(), into, now).unwrap();
    let mut other = parted.state;
    assert_eq!(replica(&ann, "desk").link, Link::Detached { id: "d1".into() });
    assert_eq!((linked(&other, "desk").as_deref(), says(&other, "title").as_str()), (Some("d1"), "CTO"));

    world.edit(&mut ann, &[("title", "CEO")]);
    world.user("desk", "d1", &[("phone", "2")]);
    world.settle(&mut ann);
    world.settle(&mut other);
    assert_eq!(
        (says(&ann, "phone"), says(&other, "phone"), says(&other, "title")),
        ("1".into(), "2".into(), "CTO".into())
    );

    let Deed::Split { connection, object, former, fields, .. } = &parted.deed else { panic!("{:?}", parted.deed) };
    let split = SplitUndone { connection, object, former, fields };
    let now = world.now();
    identity::undo_split(&world.plan, &mut ann, &mut other, "app", split, now).unwrap();
    world.settle(&mut ann);
    assert_eq!(["name", "phone", "title"].map(|field| says(&ann, field)), ["Ann", "2", "CEO"]);
    assert_eq!((linked(&ann, "desk").as_deref(), other.merged_into), (Some("d1"), Some(ann.id)));
    assert!(world.lost.is_empty(), "nobody contended: {:?}", world.lost);
}

/// What an operation keeps must survive being stored.
#[test]
fn deeds_are_read_as_they_were_written() {
    let mut world = World::new();
    let (mut ann, mut twin) = two_of_one(&mut world);
    let merge = world.merge(&mut ann, &mut twin).unwrap().deed;
    let unlink = world.unlink(&mut ann, "desk").unwrap().expect("a deed");
    let Deed::Unlink { former, .. } = &unlink else { panic!("{unlink:?}") };
    let former: &Former = former;
    assert_eq!(former.replica.link.linked().map(ExternalId::as_str), Some("d1"));
    for (deed, verb) in [(merge, "merge"), (unlink, "unlink")] {
        let text = serde_json::to_string(&deed).unwrap();
        assert_eq!((serde_json::from_str::<Deed>(&text).unwrap(), deed.verb()), (deed, verb));
    }
}
