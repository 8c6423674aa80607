//! What belongs to the instance, and the walls between tenants.

use std::{collections::BTreeSet, sync::Arc};

use syncline_connectors::connector::Hint;
use syncline_core::{
    ids::TenantId,
    live::Cursor,
    matching::MatchKey,
    time::{Millis, Tick},
    value::Value,
};
use syncline_server::{
    secrets::{Place, Sealed, SecretsKey},
    store::{
        CommitBatch, CommitError, Store, StoreError, TenantStore,
        conflicts::{Closed, Closing, ConflictQuery},
        deliveries::{DeliveryQuery, DeliveryState},
        keys::{ApiKey, KeyHash},
        quarantine::{QuarantineCause, Quarantined},
        records::RecordQuery,
        syncs::{CheckpointPut, Stream, SyncState},
    },
};

use crate::people::*;

pub(crate) async fn keys_are_found_by_hash_only(store: Arc<dyn Store>) {
    let key = |name: &str, tenant: Option<&str>| ApiKey {
        name: name.into(),
        tenant: tenant.map(Into::into),
        created_at: NOW,
        last_used_at: None,
    };
    let (backend, admin) = (KeyHash::of("backend secret"), KeyHash::of("admin secret"));
    store.put_api_key(&backend, &key("backend", Some("acme"))).await.unwrap();
    store.put_api_key(&admin, &key("admin", None)).await.unwrap();
    assert_eq!(store.api_key(&backend).await.unwrap(), Some(key("backend", Some("acme"))));
    assert_eq!(store.api_key(&KeyHash::of("guess")).await.unwrap(), None);
    assert_eq!(store.api_keys().await.unwrap(), [key("admin", None), key("backend", Some("acme"))]);

    let minute = 60_000;
    for (at, noted) in [(0, 0), (minute - 1, 0), (minute, minute), (minute + 1, minute)] {
        store.api_key_used(&backend, NOW.plus(at)).await.unwrap();
        let found = store.api_key(&backend).await.unwrap().unwrap().last_used_at;
        assert_eq!(found, Some(NOW.plus(noted)), "used at {at}");
    }
    // A new secret under an old name replaces the old one.
    let renewed = KeyHash::of("backend secret 2");
    store.put_api_key(&renewed, &key("backend", Some("acme"))).await.unwrap();
    assert_eq!(store.api_key(&backend).await.unwrap(), None);
    assert!(store.revoke_api_key("backend").await.unwrap());
    assert!(!store.revoke_api_key("backend").await.unwrap());
    assert_eq!(store.api_key(&renewed).await.unwrap(), None);
}

pub(crate) async fn secrets_and_offsets_belong_to_a_connection(store: Arc<dyn Store>) {
    let tenant = store.tenant(&acme());
    assert_eq!(tenant.credentials(&crm()).await.unwrap(), None);
    assert_eq!(tenant.clock_offset_ms(&crm()).await.unwrap(), None);
    let key = SecretsKey::parse(&SecretsKey::generate()).unwrap();
    let (name, connection) = (acme(), crm());
    let place = Place { tenant: &name, connection: &connection, purpose: "credentials" };
    for secret in ["first", "second"] {
        let sealed = key.seal(&place, secret.as_bytes()).unwrap();
        tenant.put_credentials(&crm(), &sealed, NOW).await.unwrap();
        let stored = tenant.credentials(&crm()).await.unwrap().unwrap();
        assert_eq!(key.open(&place, &stored).unwrap(), secret.as_bytes());
    }
    tenant.put_clock_offset_ms(&crm(), -1_500).await.unwrap();
    assert_eq!(tenant.clock_offset_ms(&crm()).await.unwrap(), Some(-1_500));
    assert_eq!(tenant.clock_offset_ms(&desk()).await.unwrap(), None);
    assert_eq!(tenant.credentials(&desk()).await.unwrap(), None);
}

pub(crate) async fn ticks_are_never_handed_out_twice(store: Arc<dyn Store>) {
    let mut seen = BTreeSet::new();
    for count in [1, 1_000, 1, 5] {
        let Tick(first) = store.reserve_ticks(count).await.unwrap();
        assert!(first > 0, "tick 0 is before everything");
        for tick in first..first + count {
            assert!(seen.insert(tick), "tick {tick} was handed out before");
        }
    }
    assert_eq!(store.setting("colour").await.unwrap(), None);
    for value in ["red", "blue"] {
        store.put_setting("colour", value).await.unwrap();
        assert_eq!(store.setting("colour").await.unwrap().as_deref(), Some(value));
    }
}

pub(crate) async fn a_closed_store_says_so(store: Arc<dyn Store>) {
    let tenant = populate(&*store, 1).await;
    store.probe().await.unwrap();
    store.close().await.unwrap();
    store.close().await.unwrap();
    assert!(matches!(store.probe().await, Err(StoreError::Closed)));
    assert!(matches!(tenant.load(&[id_of(&acme(), 0)]).await, Err(StoreError::Closed)));
    let refused = tenant.commit(CommitBatch::of(vec![newborn(&acme(), 1)])).await;
    assert!(matches!(refused, Err(CommitError::Store(StoreError::Closed))));
}

/// A text that occurs nowhere else.
const CANARY: &str = "canary-7f3a9c";

/// Fills one tenant with the canary wherever something can be stored.
async fn plant(tenant: &dyn TenantStore) {
    let name = tenant.tenant().clone();
    let mut fields = person(0);
    fields.insert("name".into(), Value::text(CANARY));
    let mut record = newborn_with(&name, 0, fields);
    record.conflicts = vec![conflict(CANARY, 1, 2)];
    let stream = Stream { sync: "contacts".into(), connection: crm(), name: "backfill".into() };
    let batch = CommitBatch {
        records: vec![record],
        checkpoints: vec![CheckpointPut { stream, state: CANARY.into(), rows: 1 }],
        quarantine: vec![Quarantined {
            sync: "contacts".into(),
            connection: crm(),
            object: "Contact".into(),
            external_id: Some(CANARY.into()),
            cause: QuarantineCause::Invalid,
            reason: CANARY.into(),
            raw: CANARY.into(),
            at: NOW,
        }],
        ..CommitBatch::default()
    };
    tenant.commit(batch).await.unwrap();
    let hint = Hint { object: "Contact".into(), id: CANARY.into(), account: None, dedupe: CANARY.into() };
    tenant.put_hints(&crm(), &[hint], NOW).await.unwrap();
    let state = SyncState { last_error: Some(CANARY.into()), ..SyncState::new("contacts", crm()) };
    tenant.put_sync_state(&state).await.unwrap();
    tenant.put_credentials(&crm(), &Sealed::from_bytes(CANARY.into()), NOW).await.unwrap();
    tenant.put_clock_offset_ms(&crm(), 77).await.unwrap();
}

/// Everything that a tenant can read, as text.
async fn everything(tenant: &dyn TenantStore, foreign: &TenantId) -> String {
    let record = id_of(foreign, 0);
    let stream = Stream { sync: "contacts".into(), connection: crm(), name: "backfill".into() };
    let all = ConflictQuery { limit: 100, ..ConflictQuery::default() };
    let dirty = DeliveryQuery { state: DeliveryState::Dirty, connection: None, after: None, limit: 100 };
    let contact = "contact".into();
    let object = "Contact".into();
    let keys = [MatchKey { name: "email".into(), value: "person0@example.com".into() }];
    let mut seen = Vec::new();
    macro_rules! see {
        ($($call:expr),+ $(,)?) => { $(seen.push(format!("{:?}", $call.await.unwrap()));)+ };
    }
    see!(
        tenant.load(&[record]),
        tenant.find_replicas(&crm(), &object, &[external(0), CANARY.into()]),
        tenant.find_matches(&contact, &keys),
        tenant.list_records(&RecordQuery { include_deleted: true, ..RecordQuery::of(contact.clone()) }),
        tenant.get_record(&contact, record),
        tenant.history(&contact, record),
        tenant.count_records(),
        tenant.changes(Cursor(0), &[], 100),
        tenant.feed_span(),
        tenant.list_conflicts(&all),
        tenant.list_conflicts(&ConflictQuery { record: Some(record), ..all.clone() }),
        tenant.count_conflicts(),
        tenant.list_deliveries(&dirty),
        tenant.due_deliveries(&desk(), &contact, Millis(i64::MAX), 100),
        tenant.next_due(&desk(), &contact),
        tenant.count_deliveries(None),
        tenant.checkpoint(&stream),
        tenant.checkpoints("contacts"),
        tenant.sync_states(),
        tenant.sync_state("contacts", &crm()),
        tenant.list_quarantine(None, None, 100),
        tenant.find_quarantined(&crm(), &object, &[CANARY.into()]),
        tenant.count_quarantine(None),
        tenant.pending_hints(&crm(), 100),
        tenant.credentials(&crm()),
        tenant.clock_offset_ms(&crm()),
    );
    for id in 1..20 {
        see!(
            tenant.get_conflict(syncline_server::store::conflicts::ConflictId(id)),
            tenant.get_quarantined(syncline_server::store::quarantine::QuarantineId(id)),
        );
    }
    seen.join("\n")
}

pub(crate) async fn a_tenant_sees_nothing_of_another(store: Arc<dyn Store>) {
    let (rich, poor) = (store.tenant(&acme()), store.tenant(&"poor".into()));
    let empty = everything(&*poor, &acme()).await;
    plant(&*rich).await;
    let owner = everything(&*rich, &acme()).await;
    assert!(owner.matches(CANARY).count() > 10, "the owner sees the canary: {owner}");
    assert_eq!(everything(&*poor, &acme()).await, empty, "an unknown tenant sees what it saw before");

    // The other tenant has connections of the same names and the same external ids.
    poor.commit(CommitBatch::of(vec![newborn(&"poor".into(), 0)])).await.unwrap();
    poor.put_clock_offset_ms(&crm(), 1).await.unwrap();
    let seen = everything(&*poor, &acme()).await;
    assert!(!seen.contains(CANARY) && !seen.contains("77"), "{seen}");
    assert!(!seen.contains(&id_of(&acme(), 0).to_string()), "{seen}");

    // Nor can it change anything: not a record, not a row by its number.
    let foreign = edited(load(&*rich, 0).await, "email", Value::text("x"), NOW);
    assert!(matches!(poor.commit(CommitBatch::of(vec![foreign])).await, Err(CommitError::Store(StoreError::Value(_)))));
    let mut disguised = edited(load(&*rich, 0).await, "email", Value::text("x"), NOW);
    disguised.state.tenant = "poor".into();
    assert!(matches!(poor.commit(CommitBatch::of(vec![disguised])).await, Err(CommitError::Stale(_))));
    let conflicts = rich.list_conflicts(&ConflictQuery { limit: 10, ..ConflictQuery::default() }).await.unwrap();
    let quarantined = rich.list_quarantine(None, None, 10).await.unwrap();
    let hints = rich.pending_hints(&crm(), 10).await.unwrap();
    let closed = Closed { at: NOW, by: "mallory".into(), choice: "loser".into() };
    let attack = CommitBatch {
        conflicts_closed: vec![Closing { id: conflicts[0].id, closed }],
        released: vec![quarantined[0].id],
        hints_done: vec![hints[0].id],
        ..CommitBatch::default()
    };
    poor.commit(attack).await.unwrap();
    poor.finish_hints(&[hints[0].id]).await.unwrap();
    poor.trim_hints(Millis(i64::MAX)).await.unwrap();
    poor.trim_feed(0).await.unwrap();
    poor.forget_checkpoints("contacts", &crm()).await.unwrap();
    assert_eq!(everything(&*rich, &acme()).await, owner, "nothing of the owner's has changed");
}
