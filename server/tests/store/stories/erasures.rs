//! Records that are removed for good.

use std::{collections::BTreeMap, sync::Arc};

use syncline_connectors::connector::Hint;
use syncline_core::{
    live::{Action, Cursor},
    repo::DocumentId,
    value::Value,
};
use syncline_server::store::{
    CommitBatch, Store, TenantStore,
    conflicts::ConflictQuery,
    documents::{DocumentKind, DocumentWrite},
    erasures::{EraseOrder, ErasedMark, ErasureId, Receipt},
    feed::Changes,
    held::{DeleteSource, HeldWrite},
    quarantine::{QuarantineCause, Quarantined},
};

use crate::people::*;

const CANARY: &str = "canary-of-the-erased@example.com";

fn receipt() -> Receipt {
    Receipt {
        model: "contact".into(),
        asked_at: NOW,
        asked_by: "ann".into(),
        everywhere: false,
        erased_at: None,
        rows: BTreeMap::new(),
        proof: None,
        readmitted: None,
    }
}

/// A record whose every trace holds the canary, and another one beside it.
async fn plant(tenant: &dyn TenantStore) {
    commit_one(tenant, edited(load(tenant, 1).await, "email", Value::text(CANARY), NOW)).await;
    let mut commit = edited(load(tenant, 1).await, "name", Value::text(format!("{CANARY} once more")), NOW);
    let mut conflict = conflict("name", 1, 2);
    conflict.loser.value = Value::text(CANARY);
    commit.conflicts = vec![conflict];
    commit_one(tenant, commit).await;
    let state = load(tenant, 1).await;
    let sealed = DocumentWrite::Put {
        id: DocumentId::from_bytes([7; 16]),
        kind: DocumentKind::Moved { record: state.id, model: state.model.clone() },
        principal: String::new(),
        heads: Vec::new(),
        saved: CANARY.as_bytes().to_vec(),
        ops: 1,
    };
    let quarantined = |id: Option<u64>| Quarantined {
        sync: "contacts".into(),
        connection: crm(),
        object: "Contact".into(),
        external_id: id.map(external),
        cause: QuarantineCause::Invalid,
        reason: "it does not fit".into(),
        raw: serde_json::json!({ "email": CANARY }),
        at: NOW,
    };
    let hold = HeldWrite::Hold {
        sync: "contacts".into(),
        source: DeleteSource::Clients,
        record: state.id,
        object: None,
        at: NOW,
    };
    let batch = CommitBatch {
        documents: vec![sealed],
        quarantine: vec![quarantined(Some(1)), quarantined(None)],
        held: vec![hold],
        ..CommitBatch::default()
    };
    tenant.commit(batch).await.unwrap();
    let hint = Hint { object: "Contact".into(), id: external(1), account: None, dedupe: "first".into() };
    tenant.put_hints(&crm(), &[hint], NOW).await.unwrap();
    tenant.note_damage(state.id, CANARY, NOW).await.unwrap();
}

async fn erase(tenant: &dyn TenantStore, n: u64, marks: Vec<ErasedMark>) -> (ErasureId, Receipt) {
    let record = id_of(&acme(), n);
    let kept = tenant.kept_of(record).await.unwrap().unwrap();
    let (feed, _) = tenant.feed_places(record, Cursor::default()).await.unwrap();
    let erasure = tenant.open_erasure(&receipt(), Some(record)).await.unwrap();
    assert_eq!(tenant.erasures_under_way().await.unwrap(), [(erasure, record, receipt())]);
    let order = EraseOrder {
        record,
        objects: kept.objects,
        documents: kept.documents,
        feed,
        names: vec![CANARY.into()],
        marks,
        at: NOW.plus(1),
        erasure,
        receipt: receipt(),
    };
    let erased = tenant.erase(order).await.unwrap();
    tenant.close_erasure(erasure, &erased.receipt).await.unwrap();
    (erasure, erased.receipt)
}

/// Fails without any one of the statements that remove, and without `secure_delete`.
pub(crate) async fn nothing_is_left_of_what_was_erased(store: Arc<dyn Store>) {
    let tenant = populate(&*store, 3).await;
    plant(&*tenant).await;
    let texts = [CANARY.to_owned(), "never written".to_owned()];
    let before = tenant.search_files(&texts, false).await.unwrap();
    assert_eq!(before.found.into_iter().collect::<Vec<_>>(), [CANARY], "it is there to be found");
    let holders = tenant.search_rows(&texts).await.unwrap();
    for table in ["records", "journal", "feed", "conflicts", "quarantine", "document_chunks"] {
        assert!(holders[table].contains(CANARY), "{table}");
    }

    let (_, receipt) = erase(&*tenant, 1, Vec::new()).await;
    let tables: Vec<(&str, u64)> = receipt.rows.iter().map(|(table, rows)| (table.as_str(), *rows)).collect();
    let expected = [
        ("changes", 2),
        ("conflicts", 1),
        ("damages", 1),
        ("document_chunks", 1),
        ("documents", 1),
        ("feed", 3),
        ("held_deletes", 1),
        ("inbox", 1),
        ("journal", 2),
        ("links", 1),
        ("match_keys", 2),
        ("quarantine", 2),
        ("records", 1),
        ("replicas", 2),
    ];
    assert_eq!(tables, expected);
    let after = tenant.search_files(&texts, false).await.unwrap();
    assert!(after.found.is_empty() && after.files >= 1 && after.bytes > 0, "{after:?}");
    assert!(tenant.search_rows(&texts).await.unwrap().is_empty());
    assert!(tenant.load(&[id_of(&acme(), 1)]).await.unwrap().is_empty());
    assert_eq!(tenant.kept_of(id_of(&acme(), 1)).await.unwrap(), None);
    assert!(tenant.list_conflicts(&ConflictQuery { limit: 10, ..ConflictQuery::default() }).await.unwrap().is_empty());
    for n in [0, 2] {
        assert_eq!(load(&*tenant, n).await.fields, person(n), "the others are as they were");
    }
}

pub(crate) async fn the_feed_keeps_its_places_and_says_what_was_erased(store: Arc<dyn Store>) {
    let tenant = populate(&*store, 3).await;
    plant(&*tenant).await;
    erase(&*tenant, 1, Vec::new()).await;
    let Changes::Page { changes, next } = tenant.changes(Cursor::default(), &[], 100).await.unwrap() else {
        panic!("the feed reaches back to its beginning")
    };
    assert_eq!(changes.iter().map(|change| change.cursor.0).collect::<Vec<_>>(), (1..=6).collect::<Vec<_>>());
    assert_eq!(next, Cursor(6));
    for change in changes {
        let erased = change.event.record == id_of(&acme(), 1);
        assert_eq!(change.event.action == Action::Erased, erased, "{change:?}");
        assert_eq!(change.event.fields.is_empty() && change.event.changed.is_empty(), erased, "{change:?}");
    }
}

pub(crate) async fn marks_keep_out_what_was_erased_until_it_is_readmitted(store: Arc<dyn Store>) {
    let tenant = populate(&*store, 2).await;
    let (ours, strangers) = (ErasedMark([1; 32]), ErasedMark([2; 32]));
    assert!(!tenant.has_erased().await.unwrap());
    let (erasure, receipt) = erase(&*tenant, 1, vec![ours]).await;
    assert!(tenant.has_erased().await.unwrap());
    assert_eq!(tenant.find_erased(&[ours, strangers]).await.unwrap(), [ours].into());
    assert!(store.tenant(&"other".into()).find_erased(&[ours]).await.unwrap().is_empty());
    assert!(tenant.erasures_under_way().await.unwrap().is_empty());
    assert_eq!(receipt.erased_at, Some(NOW.plus(1)));
    assert_eq!(tenant.list_erasures(None, 10).await.unwrap(), [(erasure, receipt.clone())]);
    assert!(tenant.list_erasures(Some(erasure), 10).await.unwrap().is_empty());

    let readmitted = Receipt { readmitted: Some((NOW, "ann".into())), ..receipt };
    tenant.readmit(erasure, &readmitted).await.unwrap();
    assert!(tenant.find_erased(&[ours]).await.unwrap().is_empty());
    assert_eq!(tenant.get_erasure(erasure).await.unwrap(), Some(readmitted));
}
