//! The one transaction.

use std::{collections::BTreeMap, sync::Arc};

use syncline_core::{
    outbox::Delivery,
    remote::RemoteVersion,
    replica::{Intent, IntentVerb, Link, ParkCause, Parked, StoredForm},
    time::Tick,
    value::{Fields, Value},
};
use syncline_server::store::{
    CommitBatch, CommitError, RecordCommit, Store, StoreError,
    conflicts::ConflictQuery,
    syncs::{CheckpointPut, Stream},
};

use crate::{people::*, polls::drop_after};

pub(crate) async fn a_record_comes_back_as_it_was_committed(store: Arc<dyn Store>) {
    let tenant = store.tenant(&acme());
    let mut commit = newborn(&acme(), 7);
    let side = commit.state.replicas.get_mut(&desk()).unwrap();
    let heads = commit.state.document.heads().clone();
    side.reflected.set(&"email".into(), heads.clone());
    side.stored.insert("name".into(), StoredForm { sent: Value::text("a "), stored: Value::text("a") });
    side.parked.insert(
        "vip".into(),
        Parked { reason: "refused".into(), value: Value::Bool(true), at: NOW, cause: ParkCause::Refused },
    );
    side.writes.insert("email".into(), vec![Value::Null, Value::text("x")]);
    side.intent = Some(Intent {
        id: Tick(9),
        verb: IntentVerb::Create,
        fields: person(7),
        heads,
        expected: Some(RemoteVersion { stamp: NOW, precision_ms: 1 }),
        opened: NOW,
        uncertain: true,
        rested: None,
    });
    let mut wanted = commit.state.clone();
    wanted.revision = 1;
    commit_one(&*tenant, commit).await;
    assert_same(&mut load(&*tenant, 7).await, &mut wanted);

    // A second commit changes everything that can change.
    let mut commit = edited(load(&*tenant, 7).await, "email", Value::text("new@example.com"), NOW.plus(5));
    let side = commit.state.replicas.get_mut(&desk()).unwrap();
    side.link = Link::Linked { id: external(99) };
    side.delivery = Delivery::Parked { reason: "no".into(), since: NOW };
    commit.touched.insert(desk());
    let mut wanted = commit.state.clone();
    wanted.revision = 2;
    commit_one(&*tenant, commit).await;
    assert_same(&mut load(&*tenant, 7).await, &mut wanted);
    assert!(tenant.load(&[id_of(&acme(), 8)]).await.unwrap().is_empty(), "unknown ids are left out");
}

pub(crate) async fn a_touched_replica_alone_leaves_the_record_as_it_was(store: Arc<dyn Store>) {
    let tenant = populate(&*store, 1).await;
    let mut state = load(&*tenant, 0).await;
    for replica in state.replicas.values_mut() {
        replica.looked = Tick(1_000);
    }
    let mut commit = RecordCommit::new(state);
    commit.touched.insert(crm());
    let committed = commit_one(&*tenant, commit).await;
    assert!(committed.changes.is_empty());

    let state = load(&*tenant, 0).await;
    assert_eq!((state.revision, state.version, &state.fields), (2, 1, &person(0)));
    assert_eq!(state.replicas[&crm()].looked, Tick(1_000), "the touched replica is stored");
    assert_eq!(state.replicas[&desk()].looked, Tick(0), "the other one is not");
}

pub(crate) async fn a_stale_record_takes_the_whole_batch_with_it(store: Arc<dyn Store>) {
    let tenant = populate(&*store, 3).await;
    let old = load(&*tenant, 1).await;
    commit_one(&*tenant, edited(load(&*tenant, 1).await, "name", Value::text("first"), NOW)).await;

    let late = [
        edited(load(&*tenant, 0).await, "name", Value::text("fresh"), NOW),
        edited(old.clone(), "name", Value::text("late"), NOW),
        newborn(&acme(), 50),
    ];
    let refused = tenant.commit(CommitBatch::of(late.into())).await;
    assert!(matches!(refused, Err(CommitError::Stale(ids)) if ids == [id_of(&acme(), 1)]));
    let mut touch = RecordCommit::new(old);
    touch.touched.insert(crm());
    let refused = tenant.commit(CommitBatch::of(vec![touch])).await;
    assert!(matches!(refused, Err(CommitError::Stale(ids)) if ids == [id_of(&acme(), 1)]), "touches are compared too");

    assert_eq!(load(&*tenant, 0).await.revision, 1, "nothing of the batch is stored");
    assert_eq!(load(&*tenant, 1).await.fields["name"], Value::text("first"));
    assert!(tenant.load(&[id_of(&acme(), 50)]).await.unwrap().is_empty());
}

pub(crate) async fn a_record_is_created_once(store: Arc<dyn Store>) {
    let tenant = populate(&*store, 2).await;
    let again = tenant.commit(CommitBatch::of(vec![newborn(&acme(), 2), newborn(&acme(), 1)])).await;
    assert!(matches!(again, Err(CommitError::Stale(ids)) if ids == [id_of(&acme(), 1)]));
    assert_eq!(tenant.feed_span().await.unwrap().head.0, 2);
    commit_one(&*tenant, newborn(&acme(), 2)).await;
}

pub(crate) async fn one_object_belongs_to_one_record(store: Arc<dyn Store>) {
    let tenant = populate(&*store, 2).await;
    let mut thief = newborn(&acme(), 5);
    thief.state.replicas.get_mut(&crm()).unwrap().link = Link::Linked { id: external(1) };
    let mut by_alias = newborn(&acme(), 6);
    by_alias.aliases.push(reference(crm(), external(1)));
    for commit in [thief, by_alias] {
        let name = commit.state.id;
        match tenant.commit(CommitBatch::of(vec![newborn(&acme(), 4), commit])).await {
            Err(CommitError::Taken { connection, object, id, holder }) => {
                assert_eq!((connection, object.as_str(), id), (crm(), "Contact", external(1)));
                assert_eq!(holder, id_of(&acme(), 1));
            }
            other => panic!("{other:?} for {name}"),
        }
    }
    assert!(tenant.load(&[id_of(&acme(), 4)]).await.unwrap().is_empty(), "nothing of the batch is stored");
    // The same id in another connection, or of another object, is another object.
    let mut elsewhere = newborn(&acme(), 7);
    elsewhere.aliases.push(reference(desk(), external(1)));
    let mut account = reference(crm(), external(1));
    account.object = "Account".into();
    elsewhere.aliases.push(account);
    commit_one(&*tenant, elsewhere).await;
}

pub(crate) async fn an_object_moves_between_records_of_one_batch(store: Arc<dyn Store>) {
    let tenant = populate(&*store, 2).await;
    let mut loser = RecordCommit::new(load(&*tenant, 0).await);
    loser.given_up.push(reference(crm(), external(0)));
    loser.touched.insert(crm());
    let mut survivor = RecordCommit::new(load(&*tenant, 1).await);
    survivor.aliases.push(reference(crm(), external(0)));
    // The taker comes first: the order in the batch does not matter.
    tenant.commit(CommitBatch::of(vec![survivor, loser])).await.unwrap();
    let found = tenant.find_replicas(&crm(), &"Contact".into(), &[external(0), external(1)]).await.unwrap();
    assert_eq!(found[&external(0)], id_of(&acme(), 1));
    assert_eq!(found[&external(1)], id_of(&acme(), 1));
}

pub(crate) async fn a_record_may_not_come_twice_in_a_batch(store: Arc<dyn Store>) {
    let tenant = populate(&*store, 1).await;
    let twice = vec![RecordCommit::new(load(&*tenant, 0).await), RecordCommit::new(load(&*tenant, 0).await)];
    let refused = tenant.commit(CommitBatch::of(twice)).await;
    assert!(matches!(refused, Err(CommitError::Store(StoreError::Value(_)))));
}

pub(crate) async fn a_checkpoint_is_committed_with_its_records_or_not_at_all(store: Arc<dyn Store>) {
    let tenant = populate(&*store, 1).await;
    let stream = Stream { sync: "contacts".into(), connection: crm(), name: "backfill".into() };
    let page = |records, state: &str| CommitBatch {
        records,
        checkpoints: vec![CheckpointPut { stream: stream.clone(), state: state.into(), rows: 10 }],
        ..CommitBatch::default()
    };
    tenant.commit(page(vec![newborn(&acme(), 1)], "page 1")).await.unwrap();
    let refused = tenant.commit(page(vec![newborn(&acme(), 2), newborn(&acme(), 1)], "page 2")).await;
    assert!(matches!(refused, Err(CommitError::Stale(_))));
    assert_eq!(tenant.checkpoint(&stream).await.unwrap().as_deref(), Some("page 1"));
    tenant.commit(page(vec![newborn(&acme(), 2)], "page 2")).await.unwrap();
    assert_eq!(tenant.checkpoint(&stream).await.unwrap().as_deref(), Some("page 2"));
    assert_eq!(tenant.sync_state("contacts", &crm()).await.unwrap().unwrap().read, 20);
}

pub(crate) async fn a_dropped_commit_leaves_everything_or_nothing(store: Arc<dyn Store>) {
    let tenant = populate(&*store, 1).await;
    let (mut nothing, mut polls, mut n) = (0, 1, 100);
    loop {
        let mut commit = newborn(&acme(), n);
        commit.conflicts = vec![conflict("name", n as u8, 0)];
        let before = tenant.feed_span().await.unwrap().head;
        let ended = drop_after(polls, tenant.commit(CommitBatch::of(vec![commit]))).await;
        // The next commit ends whatever the dropped one left open.
        commit_one(&*tenant, edited(load(&*tenant, 0).await, "visits", Value::Int(n as i64), NOW)).await;
        let head = tenant.feed_span().await.unwrap().head;
        let stored = !tenant.load(&[id_of(&acme(), n)]).await.unwrap().is_empty();
        let found = tenant.find_replicas(&crm(), &"Contact".into(), &[external(n)]).await.unwrap().len();
        let query = ConflictQuery { record: Some(id_of(&acme(), n)), limit: 10, ..ConflictQuery::default() };
        let conflicts = tenant.list_conflicts(&query).await.unwrap().len();
        assert_eq!((found, conflicts), (usize::from(stored), usize::from(stored)), "after {polls} polls");
        assert_eq!(head.0, before.0 + 1 + u64::from(stored), "after {polls} polls");
        nothing += usize::from(!stored);
        if ended.is_some() {
            assert!(stored, "a commit that ended well is stored");
            // On a busy machine one poll can take a commit to its end; then the story begins again.
            if nothing > 0 {
                break;
            }
            assert!(n < 200, "the commit was dropped before its end at least once");
            polls = 0;
        }
        (polls, n) = (polls + 1, n + 1);
    }
}

pub(crate) async fn large_batches_are_one_commit(store: Arc<dyn Store>) {
    // More rows than any statement takes, and a number of them that no power of two divides.
    const COUNT: u64 = 333;
    let tenant = populate(&*store, COUNT).await;
    let ids: Vec<_> = (0..COUNT).map(|n| id_of(&acme(), n)).collect();
    let states: BTreeMap<_, _> = tenant.load(&ids).await.unwrap().into_iter().map(|state| (state.id, state)).collect();
    assert_eq!(states.len() as u64, COUNT);
    for n in 0..COUNT {
        assert_eq!(states[&id_of(&acme(), n)].fields, person(n));
    }
    let edits = states.into_values().map(|state| edited(state, "visits", Value::Int(-1), NOW)).collect();
    assert_eq!(tenant.commit(CommitBatch::of(edits)).await.unwrap().changes.len() as u64, COUNT);
    let states = tenant.load(&ids).await.unwrap();
    assert!(states.iter().all(|state| state.revision == 2 && state.fields["visits"] == Value::Int(-1)));
    assert_eq!(tenant.feed_span().await.unwrap().head.0, 2 * COUNT);
    let blank = newborn_with(&acme(), COUNT, Fields::new());
    commit_one(&*tenant, blank).await;
    assert!(load(&*tenant, COUNT).await.fields.is_empty());
}
