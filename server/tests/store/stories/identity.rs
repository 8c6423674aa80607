//! What people decided about which object is which record.

use std::{collections::BTreeMap, sync::Arc};

use syncline_core::{
    identity::{Deed, Former, Operation, OperationId, Undone},
    ids::RecordId,
    live::Action,
    replica::Link,
};
use syncline_server::store::{
    CommitBatch, RecordCommit, Store, TenantStore,
    feed::Changes,
    identity::{OPERATIONS_PAGE_MAX, OperationQuery},
};

use crate::people::*;

fn operation(id: u64, record: RecordId, deed: Deed) -> Operation {
    Operation { id: OperationId(id), by: "ann".into(), at: NOW, model: "contact".into(), record, deed, undone: None }
}

fn merge(absorbed: RecordId) -> Deed {
    let (moved, set_aside) = (BTreeMap::new(), BTreeMap::new());
    Deed::Merge { absorbed, moved, set_aside, epoch: 0, changed: BTreeMap::new() }
}

async fn keep(tenant: &dyn TenantStore, operations: Vec<Operation>) {
    tenant.commit(CommitBatch { operations, ..CommitBatch::default() }).await.unwrap();
}

pub(crate) async fn operations_are_listed_newest_first_and_taken_back_once(store: Arc<dyn Store>) {
    let tenant = populate(&*store, 2).await;
    let (ann, bob) = (id_of(&acme(), 0), id_of(&acme(), 1));
    let replica = load(&*tenant, 0).await.replicas[&crm()].clone();
    let former = Box::new(Former { epoch: 3, replica });
    let unlink = Deed::Unlink { connection: crm(), object: external(0), former };
    let mut all = vec![operation(1, ann, unlink), operation(2, ann, merge(bob)), operation(7, bob, merge(ann))];
    keep(&*tenant, all.clone()).await;
    assert_eq!(tenant.operation(OperationId(1)).await.unwrap().as_ref(), Some(&all[0]), "as it was kept");
    assert_eq!(tenant.operation(OperationId(3)).await.unwrap(), None);

    all[1].undone = Some(Undone { by: "bob".into(), at: NOW.plus(1) });
    keep(&*tenant, vec![all[1].clone()]).await;
    all.reverse();
    let query = OperationQuery { limit: OPERATIONS_PAGE_MAX, ..OperationQuery::default() };
    assert_eq!(tenant.operations(&query).await.unwrap(), all);
    for (record, before, limit, expected) in [
        (Some(ann), None, 10, &[7, 2, 1][..]),
        (Some(bob), None, 10, &[7, 2]),
        (Some(id_of(&acme(), 9)), None, 10, &[]),
        (None, Some(7), 10, &[2, 1]),
        (Some(ann), Some(7), 1, &[2]),
        (None, None, 0, &[7]),
    ] {
        let query = OperationQuery { record, before: before.map(OperationId), limit };
        let listed: Vec<u64> = tenant.operations(&query).await.unwrap().iter().map(|row| row.id.0).collect();
        assert_eq!(listed, expected, "{query:?}");
    }
    let other = store.tenant(&"other".into());
    assert!(other.operations(&query).await.unwrap().is_empty());
    assert_eq!(other.operation(OperationId(1)).await.unwrap(), None);
}

pub(crate) async fn what_was_cut_off_stays_so_until_it_is_allowed_again(store: Arc<dyn Store>) {
    let tenant = populate(&*store, 2).await;
    let objects = [external(0), external(1), "003-free".into()];
    let find = async || tenant.not_same(&crm(), &"Contact".into(), &objects).await.unwrap();
    assert!(find().await.is_empty());
    for n in [0, 1] {
        let mut commit = RecordCommit::new(load(&*tenant, n).await);
        commit.not_same = vec![reference(crm(), "003-free".into())];
        commit_one(&*tenant, commit).await;
    }
    let found = find().await;
    assert_eq!(found.keys().collect::<Vec<_>>(), [&objects[2]]);
    assert_eq!(found[&objects[2]], [id_of(&acme(), 0), id_of(&acme(), 1)].into());
    for (connection, object) in [(desk(), "Contact"), (crm(), "Lead"), ("unknown".into(), "Contact")] {
        assert!(tenant.not_same(&connection, &object.into(), &objects).await.unwrap().is_empty());
    }
    let mut commit = RecordCommit::new(load(&*tenant, 0).await);
    commit.maybe_same = vec![reference(crm(), "003-free".into())];
    commit_one(&*tenant, commit).await;
    assert_eq!(find().await[&objects[2]], [id_of(&acme(), 1)].into());
}

pub(crate) async fn a_record_says_where_it_went_and_gives_its_objects_away(store: Arc<dyn Store>) {
    let tenant = populate(&*store, 2).await;
    let (ann, bob) = (id_of(&acme(), 0), id_of(&acme(), 1));
    let mut absorbed = deleted(load(&*tenant, 1).await, NOW);
    absorbed.state.merged_into = Some(ann);
    let link = &mut absorbed.state.replicas.get_mut(&crm()).unwrap().link;
    let object = link.linked().unwrap().clone();
    *link = Link::Unlinked;
    absorbed.touched.insert(crm());
    absorbed.given_up = vec![reference(crm(), object.clone())];
    let mut survivor = RecordCommit::new(load(&*tenant, 0).await);
    survivor.aliases = vec![reference(crm(), object.clone())];
    tenant.commit(CommitBatch::of(vec![survivor, absorbed])).await.unwrap();

    assert_eq!(load(&*tenant, 1).await.merged_into, Some(ann));
    assert_eq!(load(&*tenant, 0).await.merged_into, None);
    let row = tenant.get_record(&"contact".into(), bob).await.unwrap().unwrap();
    assert_eq!((row.merged_into, row.deleted), (Some(ann), Some(NOW)));
    let found = tenant.find_replicas(&crm(), &"Contact".into(), std::slice::from_ref(&object)).await.unwrap();
    assert_eq!(found[&object], ann);
    let Changes::Page { changes, .. } = tenant.changes(Default::default(), &[], 100).await.unwrap() else {
        panic!("the feed reaches back to its beginning")
    };
    let last = &changes.last().unwrap().event;
    assert_eq!((last.record, last.action, last.merged_into), (bob, Action::Deleted, Some(ann)));
    assert!(changes[..changes.len() - 1].iter().all(|change| change.event.merged_into.is_none()));

    // It may come back.
    let mut back = load(&*tenant, 1).await;
    back.merged_into = None;
    back.deleted = None;
    back.version += 1;
    let mut commit = RecordCommit::new(back);
    commit.announcement = Some(syncline_server::store::Announcement { action: Action::Restored, changed: Vec::new() });
    commit_one(&*tenant, commit).await;
    assert_eq!(load(&*tenant, 1).await.merged_into, None);
}
