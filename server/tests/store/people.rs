//! Records to store: contacts with a value of every type.

use std::collections::{BTreeMap, BTreeSet};

use syncline_core::{
    conflict::{Candidate, Conflict},
    document::{Actor, Document, Put},
    ids::{ConnectionId, ExternalId, RecordId, TenantId},
    journal::{ChangeEntry, Hash, Op, Ops, Origin},
    live::{Action, ChangedField},
    matching::MatchKey,
    model::{DeleteEffect, DeleteRace, DeleteRule, Field, FieldType, Model},
    outbox::Delivery,
    policies::Policy,
    record::RecordState,
    remote::RemoteVersion,
    replica::{Link, Reflected, Replica},
    time::{Clock, Millis, Tick},
    value::{Fields, Value},
};
use syncline_server::store::{
    Announcement, CommitBatch, Committed, ExternalRef, RecordCommit, Renewed, Store, TenantStore,
};

pub(crate) const NOW: Millis = Millis(1_700_000_000_000);

pub(crate) fn acme() -> TenantId {
    "acme".into()
}

pub(crate) fn crm() -> ConnectionId {
    "acme-crm".into()
}

pub(crate) fn desk() -> ConnectionId {
    "acme-desk".into()
}

/// A model with a field of every type.
pub(crate) fn contact() -> Model {
    let field = |ty, policy| Field {
        ty,
        policy,
        blank_never_wins: false,
        computed: false,
        required: false,
        canonical: Vec::new(),
    };
    let text = || FieldType::Text { max_len: 200 };
    Model {
        name: "contact".into(),
        fields: BTreeMap::from([
            ("email".into(), field(text(), Policy::Latest)),
            ("name".into(), field(text(), Policy::Latest)),
            ("vip".into(), field(FieldType::Bool, Policy::Latest)),
            ("visits".into(), field(FieldType::Int, Policy::Latest)),
            ("amount".into(), field(FieldType::Decimal { scale: 2 }, Policy::Latest)),
            ("born".into(), field(FieldType::Date, Policy::Latest)),
            ("seen".into(), field(FieldType::DateTime, Policy::Latest)),
            ("tags".into(), field(FieldType::Set { values: BTreeSet::new() }, Policy::Set)),
        ]),
        match_keys: vec![vec!["email".into()], vec!["name".into(), "born".into()]],
        deletes: DeleteRule { effect: DeleteEffect::Propagate, race: DeleteRace::EditWins },
    }
}

/// The `n`-th person's values.
pub(crate) fn person(n: u64) -> Fields {
    Fields::from([
        ("email".into(), Value::text(format!("person{n}@example.com"))),
        ("name".into(), Value::text(format!("Zoë \"{n}\" O’Neil\u{a0}\n"))),
        ("vip".into(), Value::Bool(n.is_multiple_of(2))),
        ("visits".into(), Value::Int(n as i64)),
        ("amount".into(), Value::Decimal(format!("{n}.25").parse().unwrap())),
        ("born".into(), Value::Date(jiff::civil::date(1980, 2, 29))),
        ("seen".into(), Value::DateTime(NOW.plus(n as i64))),
        ("tags".into(), Value::Set(BTreeSet::from([format!("group{}", n % 3), "all".into()]))),
    ])
}

pub(crate) fn origin() -> Origin {
    Origin::Connection(crm())
}

pub(crate) fn id_of(tenant: &TenantId, n: u64) -> RecordId {
    RecordId::first_seen(tenant, &crm(), &"Contact".into(), &external(n))
}

pub(crate) fn external(n: u64) -> ExternalId {
    format!("003-{n}").into()
}

pub(crate) fn reference(connection: ConnectionId, id: ExternalId) -> ExternalRef {
    ExternalRef { connection, object: "Contact".into(), id }
}

/// The commit that creates the `n`-th person, as seen in the CRM and owed to the desk.
pub(crate) fn newborn(tenant: &TenantId, n: u64) -> RecordCommit {
    newborn_with(tenant, n, person(n))
}

/// The commit that creates a record with these values.
pub(crate) fn newborn_with(tenant: &TenantId, n: u64, fields: Fields) -> RecordCommit {
    let model = contact();
    let actor = Actor::connection(tenant, &crm(), 1);
    let (document, hash) = Document::genesis(&actor, &model, &fields, NOW).unwrap();
    let entry =
        ChangeEntry { hash, at: NOW, origin: origin(), ops: Ops::genesis(Clock::arrival(NOW), BTreeMap::new()) };
    let mut linked = replica(Link::Linked { id: external(n) }, Delivery::Clean);
    linked.baseline = fields.clone();
    linked.reflected = Reflected { common: vec![hash], fields: BTreeMap::new() };
    linked.version = Some(RemoteVersion { stamp: NOW, precision_ms: 1_000 });
    linked.looked = Tick(n);
    let owed = replica(Link::Unlinked, Delivery::Dirty { due: NOW, attempts: 0, error: None });
    let changed = fields
        .keys()
        .map(|field| ChangedField { field: field.clone(), origin: origin(), before: serde_json::Value::Null })
        .collect();
    let keys = MatchKey::all(&model, &fields);
    let mut commit = RecordCommit::new(RecordState {
        tenant: tenant.clone(),
        id: id_of(tenant, n),
        model: model.name,
        revision: 0,
        epoch: 0,
        version: 1,
        fields,
        deleted: None,
        merged_into: None,
        document,
        journal: vec![entry.clone()],
        replicas: BTreeMap::from([(crm(), linked), (desk(), owed)]),
        first_seen_at: NOW,
        last_modified_at: NOW,
    });
    commit.entries = vec![entry];
    commit.announcement = Some(Announcement { action: Action::Created, changed });
    commit.match_keys = Some(keys);
    commit
}

pub(crate) fn replica(link: Link, delivery: Delivery) -> Replica {
    Replica {
        object: "Contact".into(),
        link,
        baseline: Fields::new(),
        reflected: Reflected::default(),
        version: None,
        looked: Tick(0),
        settled: Tick(0),
        stored: BTreeMap::new(),
        intent: None,
        held: Vec::new(),
        written: BTreeMap::new(),
        parked: BTreeMap::new(),
        writes: BTreeMap::new(),
        delivery,
    }
}

/// The commit in which a client of the API sets one field of a loaded record.
pub(crate) fn edited(mut state: RecordState, field: &str, value: Value, at: Millis) -> RecordCommit {
    let model = contact();
    let name = field.into();
    let actor = Actor::principal(&state.tenant, "app", 1);
    let old = state.fields.get(&name).cloned().unwrap_or_default();
    let heads = state.document.heads().clone();
    let put = Put { name: &name, field: &model.fields[&name], old: &old, new: &value, as_text_object: false };
    let hash = state.document.write_at(&actor, &heads, &[put], at).unwrap().unwrap();
    let by = Origin::Client("app".into());
    let op = Op { value: value.clone(), clock: Clock::exact(at), over: heads, repeats: None, inherited: None };
    let entry = ChangeEntry { hash, at, origin: by.clone(), ops: Ops::Edit(BTreeMap::from([(name.clone(), op)])) };
    state.fields.insert(name.clone(), value);
    state.version += 1;
    state.last_modified_at = at;
    state.journal.push(entry.clone());
    let keys = MatchKey::all(&model, &state.fields);
    let mut commit = RecordCommit::new(state);
    commit.entries = vec![entry];
    commit.match_keys = Some(keys);
    commit.announcement = Some(Announcement {
        action: Action::Updated,
        changed: vec![ChangedField { field: name, origin: by, before: old.to_json() }],
    });
    commit
}

/// The commit that deletes a loaded record.
pub(crate) fn deleted(mut state: RecordState, at: Millis) -> RecordCommit {
    let actor = Actor::principal(&state.tenant, "app", 1);
    let hash = state.document.set_deleted(&actor, Some(at), at).unwrap().unwrap();
    let entry = ChangeEntry { hash, at, origin: Origin::Client("app".into()), ops: Ops::Deleted(true) };
    state.deleted = Some(at);
    state.version += 1;
    state.last_modified_at = at;
    state.journal.push(entry.clone());
    let mut commit = RecordCommit::new(state);
    commit.entries = vec![entry];
    commit.announcement = Some(Announcement { action: Action::Deleted, changed: Vec::new() });
    commit
}

/// The commit with which a loaded record begins a new epoch; `genesis` stands in place of the entry that created it.
pub(crate) fn renewed(mut state: RecordState, genesis: Option<ChangeEntry>, at: Millis) -> RecordCommit {
    state.epoch += 1;
    let actor = Actor::epoch(&state.tenant, state.id, state.epoch);
    let (document, hash) = Document::renewed(&actor, &contact(), &state.fields).unwrap();
    let ops = Ops::genesis(Clock::exact(at), BTreeMap::new());
    let entry = ChangeEntry { hash, at, origin: Origin::Service, ops };
    (state.document, state.journal) = (document, vec![entry.clone()]);
    let mut commit = RecordCommit::new(state);
    commit.entries = vec![entry];
    commit.renewed = Some(Renewed { genesis });
    commit
}

/// A conflict of one field between two made-up ops.
pub(crate) fn conflict(field: &str, loser: u8, winner: u8) -> Conflict {
    let candidate = |op: u8| Candidate {
        op: Hash([op; 32]),
        value: Value::text(format!("value {op}")),
        origin: origin(),
        clock: Clock::exact(NOW),
    };
    Conflict {
        field: field.into(),
        loser: candidate(loser),
        winner: candidate(winner),
        reason: "latest".into(),
        uncertain: false,
        at: NOW,
    }
}

/// Commits the first `count` people.
pub(crate) async fn populate(store: &dyn Store, count: u64) -> std::sync::Arc<dyn TenantStore> {
    let tenant = store.tenant(&acme());
    tenant.commit(CommitBatch::of((0..count).map(|n| newborn(&acme(), n)).collect())).await.unwrap();
    tenant
}

/// Loads the `n`-th person.
pub(crate) async fn load(tenant: &dyn TenantStore, n: u64) -> RecordState {
    tenant.load(&[id_of(tenant.tenant(), n)]).await.unwrap().pop().expect("the record is stored")
}

/// Commits one record.
pub(crate) async fn commit_one(tenant: &dyn TenantStore, record: RecordCommit) -> Committed {
    tenant.commit(CommitBatch::of(vec![record])).await.unwrap()
}

/// Asserts that two states are the same in everything that is stored.
pub(crate) fn assert_same(found: &mut RecordState, wanted: &mut RecordState) {
    assert_eq!((&found.tenant, found.id, &found.model), (&wanted.tenant, wanted.id, &wanted.model));
    assert_eq!((found.revision, found.version), (wanted.revision, wanted.version));
    assert_eq!((&found.fields, found.deleted), (&wanted.fields, wanted.deleted));
    assert_eq!((found.first_seen_at, found.last_modified_at), (wanted.first_seen_at, wanted.last_modified_at));
    assert_eq!(found.journal, wanted.journal);
    assert_eq!(found.replicas, wanted.replicas);
    assert_eq!(found.document.heads(), wanted.document.heads());
    assert_eq!(found.document.save(), wanted.document.save());
    assert_eq!(found.document.fields(&contact()).unwrap(), found.fields, "fields and document agree");
}
