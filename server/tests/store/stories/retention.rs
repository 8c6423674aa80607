//! What is kept for a while only.

use std::sync::Arc;

use syncline_core::{repo::DocumentId, time::Millis, value::Value};
use syncline_server::store::{
    CommitBatch, Store,
    conflicts::{Closed, Closing, ConflictQuery},
    documents::{DocumentKind, DocumentWrite},
    feed::FeedSpan,
    quarantine::{QuarantineCause, Quarantined},
    retention::Old,
};

use crate::people::*;

/// Long after everything that a story writes, by the store's own clock as well.
const LATER: Millis = Millis(4_000_000_000_000);

pub(crate) async fn only_what_is_old_is_dropped_and_in_steps(store: Arc<dyn Store>) {
    let tenant = populate(&*store, 1).await;
    let mut commit = edited(load(&*tenant, 0).await, "name", Value::text("Ann"), NOW);
    commit.conflicts = vec![conflict("name", 1, 2), conflict("name", 3, 4), conflict("email", 1, 2)];
    commit_one(&*tenant, commit).await;
    let all = ConflictQuery { limit: 10, ..ConflictQuery::default() };
    let rows = tenant.list_conflicts(&all).await.unwrap();
    let closed = Closed { at: NOW, by: "ann".into(), choice: "winner".into() };
    let closings = rows.iter().take(2).map(|row| Closing { id: row.id, closed: closed.clone() }).collect();
    let quarantine = vec![Quarantined {
        sync: "contacts".into(),
        connection: crm(),
        object: "Contact".into(),
        external_id: Some(external(9)),
        cause: QuarantineCause::Invalid,
        reason: "it does not fit".into(),
        raw: serde_json::Value::Null,
        at: NOW,
    }];
    tenant.commit(CommitBatch { conflicts_closed: closings, quarantine, ..CommitBatch::default() }).await.unwrap();

    for what in [Old::Conflicts, Old::Quarantine, Old::History, Old::Erasures] {
        assert_eq!(tenant.drop_old(what, NOW, 10).await.unwrap(), 0, "{what:?} is not older than itself");
    }
    assert_eq!(tenant.drop_old(Old::Conflicts, NOW.plus(1), 1).await.unwrap(), 1);
    assert_eq!(tenant.drop_old(Old::Conflicts, NOW.plus(1), 10).await.unwrap(), 1);
    let left = tenant.list_conflicts(&all).await.unwrap();
    assert_eq!(left.iter().map(|row| row.id).collect::<Vec<_>>(), [rows[2].id], "an open one stays");
    assert_eq!(tenant.drop_old(Old::Quarantine, NOW.plus(1), 10).await.unwrap(), 1);
    assert_eq!(tenant.count_quarantine(None).await.unwrap(), 0);
}

/// Fails without the comparison with the epoch's first revision: the present epoch's history is what merging needs.
pub(crate) async fn of_a_history_only_earlier_epochs_are_dropped(store: Arc<dyn Store>) {
    let tenant = populate(&*store, 2).await;
    commit_one(&*tenant, edited(load(&*tenant, 0).await, "name", Value::text("Ann"), NOW)).await;
    commit_one(&*tenant, renewed(load(&*tenant, 0).await, None, NOW)).await;
    commit_one(&*tenant, edited(load(&*tenant, 0).await, "name", Value::text("Bea"), NOW)).await;
    let before = load(&*tenant, 0).await.journal;
    assert_eq!(before.len(), 2);
    assert_eq!(tenant.drop_old(Old::History, LATER, 100).await.unwrap(), 1, "an edit; its creation stays");
    assert_eq!(load(&*tenant, 0).await.journal, before);
    assert_eq!(load(&*tenant, 1).await.journal.len(), 1, "a record that never began anew keeps everything");
}

pub(crate) async fn a_moved_document_is_emptied_and_stays_known_as_moved(store: Arc<dyn Store>) {
    let tenant = populate(&*store, 1).await;
    let id = DocumentId::from_bytes([7; 16]);
    let kind = DocumentKind::Moved { record: id_of(&acme(), 0), model: "contact".into() };
    let put = |id: DocumentId, kind: DocumentKind| DocumentWrite::Put {
        id,
        kind,
        principal: String::new(),
        heads: Vec::new(),
        saved: b"what it held".to_vec(),
        ops: 1,
    };
    let documents = vec![put(id, kind.clone()), put(DocumentId::from_bytes([8; 16]), DocumentKind::Free)];
    tenant.commit(CommitBatch { documents, ..CommitBatch::default() }).await.unwrap();
    assert!(tenant.old_moved_documents(NOW, 10).await.unwrap().is_empty(), "it has just moved");
    assert_eq!(tenant.old_moved_documents(LATER, 10).await.unwrap(), [id], "what did not move is never old");
    tenant.empty_documents(&[id]).await.unwrap();
    assert!(tenant.old_moved_documents(LATER, 10).await.unwrap().is_empty());
    assert_eq!(tenant.saved_document(id).await.unwrap(), None);
    assert_eq!(tenant.find_documents(&[id]).await.unwrap()[&id].kind, kind);
}

pub(crate) async fn the_feed_is_trimmed_by_age_and_says_so(store: Arc<dyn Store>) {
    let tenant = populate(&*store, 3).await;
    let edit = edited(load(&*tenant, 0).await, "name", Value::text("Ann"), NOW.plus(10));
    commit_one(&*tenant, edit).await;
    for (before, place) in [(NOW, 0), (NOW.plus(1), 3), (NOW.plus(10), 3), (NOW.plus(11), 4)] {
        assert_eq!(tenant.feed_before(before).await.unwrap(), place, "before {before:?}");
    }
    tenant.trim_feed(4 - 3).await.unwrap();
    let FeedSpan { floor, head } = tenant.feed_span().await.unwrap();
    assert_eq!((floor.0, head.0), (3, 4));
    assert_eq!(tenant.feed_before(NOW).await.unwrap(), 3, "what is dropped stays dropped");
}
