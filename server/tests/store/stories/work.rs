//! Work that waits: deliveries, conflicts, quarantine, hints, syncs.

use std::sync::Arc;

use syncline_connectors::connector::Hint;
use syncline_core::{ids::ModelName, outbox::Delivery, replica::Link, time::Millis};
use syncline_server::store::{
    CommitBatch, RecordCommit, Store, TenantStore,
    conflicts::{Closed, Closing, ConflictCount, ConflictId, ConflictQuery},
    deliveries::{DeliveryCount, DeliveryQuery, DeliveryState},
    inbox::HintPut,
    quarantine::{QuarantineCause, Quarantined},
    syncs::{CheckpointPut, Phase, Stream, SyncState},
};

use crate::people::*;

async fn set_delivery(tenant: &dyn TenantStore, n: u64, delivery: Delivery) {
    let mut commit = RecordCommit::new(load(tenant, n).await);
    let replica = commit.state.replicas.get_mut(&desk()).unwrap();
    replica.delivery = delivery;
    replica.link = Link::Linked { id: external(n) };
    commit.touched.insert(desk());
    commit_one(tenant, commit).await;
}

fn dirty(due: i64) -> Delivery {
    Delivery::Dirty { due: NOW.plus(due), attempts: 3, error: Some("later".into()) }
}

fn parked(since: i64) -> Delivery {
    Delivery::Parked { reason: "refused".into(), since: NOW.plus(since) }
}

pub(crate) async fn deliveries_are_due_in_order(store: Arc<dyn Store>) {
    let tenant = populate(&*store, 5).await;
    let (contact, company) = (ModelName::new("contact"), ModelName::new("company"));
    assert_eq!(tenant.next_due(&crm(), &contact).await.unwrap(), None);
    for (n, delivery) in [(0, dirty(50)), (1, dirty(-10)), (2, Delivery::Clean), (3, parked(-99)), (4, dirty(-20))] {
        set_delivery(&*tenant, n, delivery).await;
    }
    for (now, limit, wanted) in
        [(-21, 10, vec![]), (-20, 10, vec![4]), (0, 10, vec![4, 1]), (0, 1, vec![4]), (50, 10, vec![4, 1, 0])]
    {
        let due = tenant.due_deliveries(&desk(), &contact, NOW.plus(now), limit).await.unwrap();
        let wanted: Vec<_> = wanted.into_iter().map(|n| id_of(&acme(), n)).collect();
        assert_eq!(due, wanted, "at {now}, at most {limit}");
    }
    assert_eq!(tenant.next_due(&desk(), &contact).await.unwrap(), Some(NOW.plus(-20)));
    assert!(tenant.due_deliveries(&crm(), &contact, NOW.plus(99), 10).await.unwrap().is_empty());
    assert_eq!(tenant.next_due(&desk(), &company).await.unwrap(), None, "no company is owed anything");
    assert!(tenant.due_deliveries(&desk(), &company, NOW.plus(99), 10).await.unwrap().is_empty());
    let count = tenant.count_deliveries(Some(&desk())).await.unwrap();
    assert_eq!(count, DeliveryCount { clean: 1, dirty: 3, parked: 1 });
    assert_eq!(tenant.count_deliveries(None).await.unwrap(), DeliveryCount { clean: 6, dirty: 3, parked: 1 });
}

pub(crate) async fn deliveries_are_listed_page_by_page(store: Arc<dyn Store>) {
    let tenant = populate(&*store, 4).await;
    for n in 0..3 {
        set_delivery(&*tenant, n, parked(n as i64)).await;
    }
    let query = DeliveryQuery { state: DeliveryState::Parked, connection: Some(desk()), after: None, limit: 10 };
    let rows = tenant.list_deliveries(&query).await.unwrap();
    assert_eq!(rows.len(), 3);
    let first = rows.iter().find(|row| row.record == id_of(&acme(), 0)).unwrap();
    assert_eq!((first.delivery.clone(), first.external_id.clone()), (parked(0), Some(external(0))));
    assert_eq!((first.model.as_str(), first.object.as_str(), &first.connection), ("contact", "Contact", &desk()));
    let (mut after, mut paged) = (None, Vec::new());
    loop {
        let page = tenant.list_deliveries(&DeliveryQuery { after, limit: 1, ..query.clone() }).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.connection.clone(), last.record));
        paged.extend(page);
    }
    assert_eq!(paged, rows);
    let dirty = DeliveryQuery { state: DeliveryState::Dirty, connection: None, ..query.clone() };
    let rows = tenant.list_deliveries(&dirty).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.record).collect::<Vec<_>>(), [id_of(&acme(), 3)]);
    let other = DeliveryQuery { connection: Some(crm()), ..query };
    assert!(tenant.list_deliveries(&other).await.unwrap().is_empty());
}

pub(crate) async fn conflicts_are_kept_once_and_closed_once(store: Arc<dyn Store>) {
    let tenant = populate(&*store, 2).await;
    for n in [0, 1] {
        // The second commit repeats one conflict and brings another.
        for conflicts in [vec![conflict("name", 1, 2)], vec![conflict("name", 1, 2), conflict("email", 1, 2)]] {
            let mut commit = RecordCommit::new(load(&*tenant, n).await);
            commit.conflicts = conflicts;
            commit_one(&*tenant, commit).await;
        }
    }
    let all = ConflictQuery { limit: 100, ..ConflictQuery::default() };
    let rows = tenant.list_conflicts(&all).await.unwrap();
    assert_eq!(rows.len(), 4);
    assert_eq!(rows[0].conflict, conflict("name", 1, 2));
    assert_eq!((rows[0].record, rows[0].model.as_str(), &rows[0].closed), (id_of(&acme(), 0), "contact", &None));

    let closing =
        |by: &str| Closing { id: rows[0].id, closed: Closed { at: NOW, by: by.into(), choice: "loser".into() } };
    for by in ["ann", "bob"] {
        let batch = CommitBatch { conflicts_closed: vec![closing(by)], ..CommitBatch::default() };
        tenant.commit(batch).await.unwrap();
    }
    let row = tenant.get_conflict(rows[0].id).await.unwrap().unwrap();
    assert_eq!(row.closed, Some(closing("ann").closed), "the first closing stands");
    assert_eq!(tenant.count_conflicts().await.unwrap(), ConflictCount { open: 3, closed: 1 });
    assert_eq!(tenant.get_conflict(ConflictId(999)).await.unwrap(), None);

    let count = async |query: ConflictQuery| tenant.list_conflicts(&query).await.unwrap().len();
    assert_eq!(count(ConflictQuery { open: Some(true), ..all.clone() }).await, 3);
    assert_eq!(count(ConflictQuery { open: Some(false), ..all.clone() }).await, 1);
    assert_eq!(count(ConflictQuery { record: Some(id_of(&acme(), 1)), ..all.clone() }).await, 2);
    assert_eq!(count(ConflictQuery { model: Some("company".into()), ..all.clone() }).await, 0);
    assert_eq!(count(ConflictQuery { after: Some(rows[2].id), ..all.clone() }).await, 1);
    assert_eq!(count(ConflictQuery { limit: 2, ..all }).await, 2);
}

pub(crate) async fn quarantined_rows_count_their_attempts_until_released(store: Arc<dyn Store>) {
    let tenant = store.tenant(&acme());
    let row = |id: Option<u64>, reason: &str, at: i64| Quarantined {
        sync: "contacts".into(),
        connection: crm(),
        object: "Contact".into(),
        external_id: id.map(external),
        cause: QuarantineCause::Invalid,
        reason: reason.into(),
        raw: serde_json::json!({"Id": id, "Name": "\u{0}x"}),
        at: NOW.plus(at),
    };
    let rows = vec![row(Some(1), "too long", 0), row(Some(2), "unknown", 0), row(None, "no id", 0)];
    let batch = |quarantine| CommitBatch { quarantine, ..CommitBatch::default() };
    tenant.commit(batch(rows)).await.unwrap();
    tenant.commit(batch(vec![row(Some(1), "still too long", 5), row(None, "no id", 5)])).await.unwrap();

    let kept = tenant.list_quarantine(None, None, 10).await.unwrap();
    assert_eq!(kept.len(), 3);
    assert_eq!((kept[0].attempts, kept[0].last_at), (2, NOW.plus(5)));
    assert_eq!(kept[0].row, row(Some(1), "still too long", 0), "the latest reason, the first time");
    assert_eq!((kept[1].attempts, &kept[1].row), (1, &row(Some(2), "unknown", 0)));
    assert_eq!(kept[2].attempts, 2, "a row without an id is known by its content");
    assert_eq!(tenant.list_quarantine(Some(&crm()), Some(kept[0].id), 1).await.unwrap(), kept[1..2]);
    assert!(tenant.list_quarantine(Some(&desk()), None, 10).await.unwrap().is_empty());
    let found = tenant.find_quarantined(&crm(), &"Contact".into(), &[external(2), external(3)]).await.unwrap();
    assert_eq!(found, [(external(2), kept[1].id)]);

    let release = CommitBatch { released: vec![kept[1].id], ..CommitBatch::default() };
    tenant.commit(release).await.unwrap();
    assert_eq!(tenant.get_quarantined(kept[1].id).await.unwrap(), None);
    assert_eq!(tenant.get_quarantined(kept[0].id).await.unwrap().as_ref(), Some(&kept[0]));
    assert_eq!(tenant.count_quarantine(None).await.unwrap(), 2);
    assert_eq!(tenant.count_quarantine(Some(&desk())).await.unwrap(), 0);
}

pub(crate) async fn hints_are_kept_once_and_worked_off(store: Arc<dyn Store>) {
    let tenant = store.tenant(&acme());
    let hint = |n: u64| Hint {
        object: "contacts".into(),
        id: external(n),
        account: (n == 0).then(|| "portal".into()),
        dedupe: format!("event {n}"),
    };
    assert_eq!(tenant.put_hints(&desk(), &[hint(0), hint(1), hint(0)], NOW).await.unwrap(), 2);
    assert_eq!(tenant.put_hints(&desk(), &[hint(1), hint(2)], NOW.plus(9)).await.unwrap(), 1);
    assert_eq!(tenant.put_hints(&crm(), &[hint(1)], NOW).await.unwrap(), 1, "connections are apart");

    let pending = tenant.pending_hints(&desk(), 10).await.unwrap();
    assert_eq!(pending.iter().map(|row| row.hint.clone()).collect::<Vec<_>>(), [hint(0), hint(1), hint(2)]);
    assert_eq!(pending.iter().map(|row| row.at).collect::<Vec<_>>(), [NOW, NOW, NOW.plus(9)]);
    assert_eq!(tenant.pending_hints(&desk(), 2).await.unwrap(), pending[..2]);

    let done = CommitBatch { hints_done: vec![pending[0].id], ..CommitBatch::default() };
    tenant.commit(done).await.unwrap();
    tenant.finish_hints(&[pending[2].id]).await.unwrap();
    assert_eq!(tenant.pending_hints(&desk(), 10).await.unwrap(), pending[1..2]);
    assert_eq!(
        tenant.put_hints(&desk(), &[hint(0), hint(2)], NOW).await.unwrap(),
        0,
        "a repeat is known when worked off"
    );

    assert_eq!(tenant.trim_hints(NOW.plus(9)).await.unwrap(), 1, "only old and worked-off ones are dropped");
    assert_eq!(tenant.put_hints(&desk(), &[hint(0), hint(1), hint(2)], NOW).await.unwrap(), 1);

    let put = |n| HintPut { connection: crm(), hint: hint(n), at: NOW.plus(5) };
    tenant.commit(CommitBatch { hints: vec![put(7), put(1)], ..CommitBatch::default() }).await.unwrap();
    let pending = tenant.pending_hints(&crm(), 10).await.unwrap();
    let rows: Vec<(Hint, Millis)> = pending.into_iter().map(|row| (row.hint, row.at)).collect();
    assert_eq!(rows, [(hint(1), NOW), (hint(7), NOW.plus(5))], "those of a commit wait with the others");
}

pub(crate) async fn syncs_keep_their_state_and_progress(store: Arc<dyn Store>) {
    let tenant = store.tenant(&acme());
    let stream = |connection, name: &str| Stream { sync: "contacts".into(), connection, name: name.into() };
    assert_eq!(tenant.checkpoint(&stream(crm(), "backfill")).await.unwrap(), None);
    assert_eq!(tenant.sync_state("contacts", &crm()).await.unwrap(), None);
    let mut state = SyncState::new("contacts", crm());
    state.phase = Phase::WaitingApproval;
    state.started_at = Some(NOW);
    state.expected = Some(1_000);
    tenant.put_sync_state(&state).await.unwrap();
    let put = |stream, state: &str, rows| CheckpointPut { stream, state: state.into(), rows };
    let batch = CommitBatch {
        checkpoints: vec![
            put(stream(crm(), "backfill"), "{\"page\":2}", 200),
            put(stream(crm(), "changes"), "{}", 0),
            put(stream(desk(), "backfill"), "{}", 5),
        ],
        ..CommitBatch::default()
    };
    tenant.commit(batch).await.unwrap();

    state.approved = true;
    state.phase = Phase::Degraded;
    state.last_error = Some("no".into());
    state.last_success_at = Some(Millis(1));
    state.read = 7;
    tenant.put_sync_state(&state).await.unwrap();
    state.read = 200;
    assert_eq!(
        tenant.sync_state("contacts", &crm()).await.unwrap().as_ref(),
        Some(&state),
        "only checkpoints count rows"
    );
    let states = tenant.sync_states().await.unwrap();
    assert_eq!(
        states.iter().map(|state| (&state.connection, state.read)).collect::<Vec<_>>(),
        [(&crm(), 200), (&desk(), 5)]
    );
    let kept = tenant.checkpoints("contacts").await.unwrap();
    assert_eq!(kept.len(), 3);
    assert!(tenant.checkpoints("others").await.unwrap().is_empty());

    tenant.forget_checkpoints("contacts", &crm()).await.unwrap();
    assert_eq!(tenant.checkpoint(&stream(crm(), "backfill")).await.unwrap(), None);
    assert_eq!(tenant.checkpoint(&stream(desk(), "backfill")).await.unwrap().as_deref(), Some("{}"));
    let state = tenant.sync_state("contacts", &crm()).await.unwrap().unwrap();
    assert_eq!((state.read, state.expected, state.approved), (0, None, true));
}
