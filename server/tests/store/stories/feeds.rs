//! The change feed.

use std::sync::Arc;

use syncline_core::{
    live::{Action, Change, Cursor},
    value::Value,
};
use syncline_server::store::{
    CommitBatch, CommitError, Store, TenantStore,
    feed::{Changes, FeedSpan},
};

use crate::people::*;

async fn page(tenant: &dyn TenantStore, after: u64, limit: u32) -> (Vec<Change>, Cursor) {
    match tenant.changes(Cursor(after), &[], limit).await.unwrap() {
        Changes::Page { changes, next } => (changes, next),
        Changes::TooOld { head } => panic!("{after} is too old, the head is {head:?}"),
    }
}

pub(crate) async fn the_feed_is_gap_free_under_concurrent_commits(store: Arc<dyn Store>) {
    const WRITERS: u64 = 6;
    const EACH: u64 = 12;
    let other = "other".into();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let (tenant, neighbour) = (store.tenant(&acme()), store.tenant(&other));
        writers.spawn(async move {
            for n in 0..EACH {
                let id = writer * EACH + n;
                // Every third batch fails, and every second one has company in another tenant.
                let mut records = vec![newborn(&acme(), id)];
                if n % 3 == 2 {
                    records.push(newborn(&acme(), id - 1));
                    let refused = tenant.commit(CommitBatch::of(records)).await;
                    assert!(matches!(refused, Err(CommitError::Stale(_))), "{refused:?}");
                } else {
                    tenant.commit(CommitBatch::of(records)).await.unwrap();
                }
                if n % 2 == 0 {
                    neighbour.commit(CommitBatch::of(vec![newborn(neighbour.tenant(), id)])).await.unwrap();
                }
            }
        });
    }
    // A reader that follows all the while sees every place in order.
    let tenant = store.tenant(&acme());
    let mut followed = 0;
    while let Some(ended) = writers.join_next().await {
        ended.unwrap();
        let (changes, _) = page(&*tenant, followed, 1_000).await;
        for change in changes {
            followed += 1;
            assert_eq!(change.cursor.0, followed);
        }
    }
    assert_eq!(followed, WRITERS * EACH * 2 / 3);
    let (changes, _) = page(&*store.tenant(&other), 0, 1_000).await;
    let places: Vec<u64> = changes.iter().map(|change| change.cursor.0).collect();
    assert_eq!(places, (1..=WRITERS * EACH / 2).collect::<Vec<_>>(), "each tenant counts by itself");
}

pub(crate) async fn a_failed_commit_leaves_no_gap(store: Arc<dyn Store>) {
    let tenant = populate(&*store, 2).await;
    let refused = tenant.commit(CommitBatch::of(vec![newborn(&acme(), 5), newborn(&acme(), 0)])).await;
    assert!(refused.is_err());
    let committed = commit_one(&*tenant, newborn(&acme(), 5)).await;
    assert_eq!(committed.changes[0].cursor, Cursor(3));
}

pub(crate) async fn changes_come_back_as_announced(store: Arc<dyn Store>) {
    let tenant = store.tenant(&acme());
    assert_eq!(tenant.feed_span().await.unwrap(), FeedSpan::default());
    assert_eq!(page(&*tenant, 0, 10).await, (Vec::new(), Cursor(0)), "an unknown tenant has an empty feed");

    let mut announced = commit_one(&*tenant, newborn(&acme(), 0)).await.changes;
    let edit = edited(load(&*tenant, 0).await, "name", Value::text("x"), NOW.plus(1));
    announced.extend(commit_one(&*tenant, edit).await.changes);
    let mut company = newborn(&acme(), 1);
    company.state.model = "company".into();
    announced.extend(commit_one(&*tenant, company).await.changes);
    announced.extend(commit_one(&*tenant, deleted(load(&*tenant, 0).await, NOW.plus(2))).await.changes);

    let actions: Vec<Action> = announced.iter().map(|change| change.event.action).collect();
    assert_eq!(actions, [Action::Created, Action::Updated, Action::Created, Action::Deleted]);
    assert_eq!(announced[1].event.fields["name"], "x", "an event shows the fields as they were then");
    assert_eq!(announced[1].event.changed[0].before, person(0)["name"].to_json());
    assert_eq!(announced[0].event.changed.len(), person(0).len());

    assert_eq!(page(&*tenant, 0, 1_000).await, (announced.clone(), Cursor(4)));
    assert_eq!(page(&*tenant, 1, 2).await, (announced[1..3].to_vec(), Cursor(3)));
    assert_eq!(page(&*tenant, 4, 10).await, (Vec::new(), Cursor(4)));
    match tenant.changes(Cursor(0), &["contact".into()], 10).await.unwrap() {
        Changes::Page { changes, next } => {
            assert_eq!(changes, [announced[0].clone(), announced[1].clone(), announced[3].clone()]);
            assert_eq!(next, Cursor(4));
        }
        other => panic!("{other:?}"),
    }
    match tenant.changes(Cursor(0), &["nothing".into()], 10).await.unwrap() {
        Changes::Page { changes, next } => assert_eq!((changes, next), (Vec::new(), Cursor(4)), "skipped is examined"),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn an_old_cursor_is_told_to_read_again(store: Arc<dyn Store>) {
    let tenant = populate(&*store, 10).await;
    assert_eq!(tenant.trim_feed(20).await.unwrap(), 0);
    assert_eq!(tenant.trim_feed(4).await.unwrap(), 6);
    assert_eq!(tenant.trim_feed(4).await.unwrap(), 0);
    assert_eq!(tenant.feed_span().await.unwrap(), FeedSpan { floor: Cursor(6), head: Cursor(10) });
    for after in 0..6 {
        let answer = tenant.changes(Cursor(after), &[], 10).await.unwrap();
        assert_eq!(answer, Changes::TooOld { head: Cursor(10) }, "after {after}");
    }
    let (changes, next) = page(&*tenant, 6, 10).await;
    assert_eq!((changes.len(), next), (4, Cursor(10)));
    // Numbers go on where they were.
    assert_eq!(commit_one(&*tenant, newborn(&acme(), 10)).await.changes[0].cursor, Cursor(11));
    assert_eq!(
        tenant
            .list_records(&syncline_server::store::records::RecordQuery::of("contact".into()))
            .await
            .unwrap()
            .rows
            .len(),
        11
    );
}
