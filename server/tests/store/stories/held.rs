//! Deletes that wait for a person.

use std::{collections::BTreeMap, sync::Arc};

use syncline_core::{
    guard::{Coming, DeleteGuard, GuardState, Signal},
    ids::ModelName,
};
use syncline_server::store::{
    CommitBatch, Store, TenantStore,
    held::{DeleteSource, GuardPut, HeldWrite, Standing},
};

use crate::people::*;

const SYNC: &str = "contacts";

fn from_crm() -> DeleteSource {
    DeleteSource::Connection(crm())
}

fn hold(source: &DeleteSource, n: u64) -> HeldWrite {
    HeldWrite::Hold {
        sync: SYNC.into(),
        source: source.clone(),
        record: id_of(&acme(), n),
        object: source.connection().map(|_| external(n)),
        at: NOW,
    }
}

fn let_go(source: &DeleteSource, n: u64) -> HeldWrite {
    HeldWrite::LetGo { source: source.clone(), record: id_of(&acme(), n) }
}

/// A guard that asks about so many deletes.
fn asking(deletes: u64) -> GuardState {
    let mut state = GuardState::default();
    let coming = Coming { deletes, known: 10, signal: Signal::Reading };
    assert!(!state.admit(&DeleteGuard::default(), 3_600_000, NOW, coming));
    state
}

async fn commit(tenant: &dyn TenantStore, held: Vec<HeldWrite>, guards: Vec<GuardPut>) {
    tenant.commit(CommitBatch { held, guards, ..CommitBatch::default() }).await.unwrap();
}

pub(crate) async fn held_deletes_wait_until_they_are_answered_and_let_go(store: Arc<dyn Store>) {
    let tenant = populate(&*store, 5).await;
    let put = |state| GuardPut { sync: SYNC.into(), source: from_crm(), state };
    let writes = [0, 1, 2].map(|n| hold(&from_crm(), n)).into_iter().chain([hold(&DeleteSource::Clients, 1)]).collect();
    commit(&*tenant, writes, vec![put(asking(7))]).await;
    // Held again, it is the same delete.
    commit(&*tenant, vec![hold(&from_crm(), 0)], Vec::new()).await;
    let counts = tenant.count_held(SYNC).await.unwrap();
    let waits = |source| (source, Standing::Waits);
    assert_eq!(counts, BTreeMap::from([(waits(DeleteSource::Clients), 1), (waits(from_crm()), 3)]));
    assert!(tenant.count_held("other").await.unwrap().is_empty());
    assert_eq!(tenant.delete_guards().await.unwrap(), [put(asking(7))]);

    let mut after = None;
    let mut paged = Vec::new();
    loop {
        let page = tenant.list_held(SYNC, &from_crm(), Standing::Waits, after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.place);
        paged.extend(page.into_iter().map(|row| (row.record, row.object.unwrap())));
    }
    assert_eq!(paged, [0, 1, 2].map(|n| (id_of(&acme(), n), external(n))));

    tenant.answer_held(&put(GuardState::default()), Standing::Rejected).await.unwrap();
    commit(&*tenant, vec![hold(&from_crm(), 3), let_go(&from_crm(), 1)], Vec::new()).await;
    let ids: Vec<_> = (0..5).map(|n| id_of(&acme(), n)).collect();
    let standings = tenant.held_deletes(&from_crm(), &ids).await.unwrap();
    let expected = [(0, Standing::Rejected), (2, Standing::Rejected), (3, Standing::Waits)];
    assert_eq!(standings, expected.map(|(n, standing)| (id_of(&acme(), n), standing)).into());
    assert_eq!(tenant.delete_guards().await.unwrap(), [put(GuardState::default())]);
    let stranger = store.tenant(&"other".into());
    assert!(stranger.held_deletes(&from_crm(), &ids).await.unwrap().is_empty());
    assert!(stranger.delete_guards().await.unwrap().is_empty());
}

pub(crate) async fn what_is_known_is_counted_as_far_as_it_matters(store: Arc<dyn Store>) {
    let tenant = populate(&*store, 5).await;
    commit_one(&*tenant, deleted(load(&*tenant, 4).await, NOW)).await;
    let contact = ModelName::new("contact");
    for (at_most, expected) in [(0, 0), (3, 3), (4, 4), (u64::MAX, 4)] {
        let objects = tenant.count_live_objects(&crm(), &"Contact".into(), at_most).await.unwrap();
        let records = tenant.count_live_records(&contact, at_most).await.unwrap();
        assert_eq!((objects, records), (expected, expected), "at most {at_most}");
    }
    assert_eq!(tenant.count_live_objects(&desk(), &"Contact".into(), 9).await.unwrap(), 0);
}

/// Fails without the held deletes in the statement that finds what is due.
pub(crate) async fn deliveries_to_what_is_held_are_not_due(store: Arc<dyn Store>) {
    let tenant = populate(&*store, 4).await;
    let from_desk = DeleteSource::Connection(desk());
    let contact = ModelName::new("contact");
    let due = async || {
        let due = tenant.due_deliveries(&desk(), &contact, NOW, 10).await.unwrap();
        let mut people: Vec<u64> = (0..4).filter(|n| due.contains(&id_of(&acme(), *n))).collect();
        people.sort_unstable();
        people
    };
    assert_eq!(due().await, [0, 1, 2, 3]);
    commit(&*tenant, vec![hold(&from_desk, 0), hold(&from_crm(), 1), hold(&DeleteSource::Clients, 2)], Vec::new())
        .await;
    assert_eq!(due().await, [1, 3], "what another system lost is still owed to this one");
    let put = |source| GuardPut { sync: SYNC.into(), source, state: GuardState::default() };
    tenant.answer_held(&put(from_desk.clone()), Standing::Approved).await.unwrap();
    tenant.answer_held(&put(DeleteSource::Clients), Standing::Rejected).await.unwrap();
    assert_eq!(due().await, [0, 1, 3], "what clients deleted waits until it is back");
    commit(&*tenant, vec![let_go(&DeleteSource::Clients, 2)], Vec::new()).await;
    assert_eq!(due().await, [0, 1, 2, 3]);
    commit(&*tenant, (0..4).map(|n| hold(&DeleteSource::Clients, n)).collect(), Vec::new()).await;
    assert_eq!(tenant.next_due(&desk(), &contact).await.unwrap(), None, "nobody has to be woken for them");
}
