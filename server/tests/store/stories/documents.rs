//! Documents as clients hold them.

use std::sync::Arc;

use syncline_core::{
    ids::RecordId,
    journal::{Hash, Heads},
    repo::DocumentId,
    value::Value,
};
use syncline_server::store::{
    CommitBatch, Store, TenantStore,
    documents::{ActorClaim, DocumentKind, DocumentWrite, DocumentsUsage, Found, Refusal},
};

use crate::people::*;

fn document(n: u8) -> DocumentId {
    DocumentId::from_bytes([n; 16])
}

fn heads(n: u8) -> Heads {
    vec![Hash([n; 32])]
}

fn put(id: DocumentId, kind: DocumentKind, saved: &[u8]) -> DocumentWrite {
    DocumentWrite::Put { id, kind, principal: "ann".into(), heads: heads(1), saved: saved.to_vec(), ops: 3 }
}

async fn commit(tenant: &dyn TenantStore, documents: Vec<DocumentWrite>) {
    tenant.commit(CommitBatch { documents, ..CommitBatch::default() }).await.unwrap();
}

pub(crate) async fn a_document_grows_by_chunks_and_is_written_anew_as_one(store: Arc<dyn Store>) {
    let tenant = store.tenant(&acme());
    assert_eq!(tenant.saved_document(document(1)).await.unwrap(), None);
    commit(&*tenant, vec![put(document(1), DocumentKind::Free, b"whole")]).await;
    for (n, chunk) in [(2, b"one".to_vec()), (3, b"two".to_vec())] {
        let write = DocumentWrite::Append { id: document(1), heads: heads(n), chunk, ops: u64::from(n) * 10 };
        commit(&*tenant, vec![write]).await;
    }
    let saved = tenant.saved_document(document(1)).await.unwrap().unwrap();
    assert_eq!((saved.saved.as_slice(), saved.chunks), (&b"wholeonetwo"[..], 3));
    assert_eq!(saved.found, Found { kind: DocumentKind::Free, heads: heads(3) });
    assert_eq!(tenant.documents_usage().await.unwrap(), DocumentsUsage { documents: 1, bytes: 11 });

    commit(&*tenant, vec![put(document(1), DocumentKind::Draft, b"new")]).await;
    let saved = tenant.saved_document(document(1)).await.unwrap().unwrap();
    assert_eq!((saved.saved.as_slice(), saved.chunks, saved.found.kind), (&b"new"[..], 1, DocumentKind::Draft));
    commit(&*tenant, vec![DocumentWrite::Drop { id: document(1) }]).await;
    assert_eq!(tenant.saved_document(document(1)).await.unwrap(), None);
    assert_eq!(tenant.documents_usage().await.unwrap(), DocumentsUsage::default());
}

pub(crate) async fn a_records_document_is_found_under_the_records_id(store: Arc<dyn Store>) {
    let tenant = store.tenant(&acme());
    let ann = newborn(&acme(), 1);
    let (id, heads) = (ann.state.id, ann.state.document.heads().clone());
    tenant.commit(CommitBatch::of(vec![ann])).await.unwrap();
    let moved = DocumentKind::Moved { record: id, model: "contact".into() };
    commit(&*tenant, vec![put(document(9), moved.clone(), b"copy")]).await;

    let found = tenant.find_documents(&[id.into(), document(9), document(8)]).await.unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[&DocumentId::from(id)].heads, heads);
    assert!(matches!(&found[&DocumentId::from(id)].kind, DocumentKind::Record { record, .. } if *record == id));
    assert_eq!(found[&document(9)].kind, moved);
    assert_eq!(tenant.moved_into(id).await.unwrap(), [document(9)]);
    assert_eq!(tenant.moved_into(RecordId(uuid::Uuid::nil())).await.unwrap(), []);
    let saved = tenant.saved_document(id.into()).await.unwrap().unwrap();
    assert_eq!(saved.found.heads, heads);
    assert!(!saved.saved.is_empty());
}

pub(crate) async fn an_actor_belongs_to_whoever_used_it_first(store: Arc<dyn Store>) {
    let tenant = store.tenant(&acme());
    let claim = |actor: &[u8], principal: &str| ActorClaim { actor: actor.to_vec(), principal: principal.into() };
    for claims in [vec![claim(b"a", "ann"), claim(b"b", "bob")], vec![claim(b"a", "bob")]] {
        tenant.commit(CommitBatch { actors: claims, ..CommitBatch::default() }).await.unwrap();
    }
    let owners = tenant.actor_owners(&[b"a".to_vec(), b"b".to_vec(), b"c".to_vec()]).await.unwrap();
    assert_eq!(owners.len(), 2);
    assert_eq!((owners[&b"a"[..]].as_str(), owners[&b"b"[..]].as_str()), ("ann", "bob"));
}

pub(crate) async fn documents_are_their_tenants_own(store: Arc<dyn Store>) {
    let (ours, theirs) = (store.tenant(&acme()), store.tenant(&"other".into()));
    commit(&*ours, vec![put(document(1), DocumentKind::Free, b"ours")]).await;
    assert_eq!(theirs.saved_document(document(1)).await.unwrap(), None);
    commit(&*theirs, vec![put(document(1), DocumentKind::Free, b"theirs")]).await;
    commit(&*theirs, vec![DocumentWrite::Drop { id: document(1) }]).await;
    assert_eq!(ours.saved_document(document(1)).await.unwrap().unwrap().saved, b"ours");
    ours.commit(CommitBatch {
        actors: vec![ActorClaim { actor: b"a".to_vec(), principal: "ann".into() }],
        ..CommitBatch::default()
    })
    .await
    .unwrap();
    assert!(theirs.actor_owners(&[b"a".to_vec()]).await.unwrap().is_empty());
}

pub(crate) async fn refusals_are_listed_newest_first_page_by_page(store: Arc<dyn Store>) {
    let tenant = store.tenant(&acme());
    assert!(tenant.refusals(None, 10).await.unwrap().is_empty());
    let refusal = |n: u8| Refusal {
        at: NOW.plus(i64::from(n)),
        principal: "ann".into(),
        document: document(n),
        reason: format!("reason {n}"),
    };
    for n in 1..=5 {
        tenant.note_refusal(&refusal(n)).await.unwrap();
    }
    let first = tenant.refusals(None, 2).await.unwrap();
    assert_eq!(first.iter().map(|(_, refusal)| refusal.clone()).collect::<Vec<_>>(), [refusal(5), refusal(4)]);
    let rest = tenant.refusals(first.last().map(|(id, _)| *id), 10).await.unwrap();
    assert_eq!(rest.into_iter().map(|(_, refusal)| refusal).collect::<Vec<_>>(), [refusal(3), refusal(2), refusal(1)]);
    assert!(store.tenant(&"other".into()).refusals(None, 10).await.unwrap().is_empty());
}

pub(crate) async fn a_record_that_begins_anew_is_found_by_both_documents(store: Arc<dyn Store>) {
    let tenant = populate(&*store, 2).await;
    let mut histories = Vec::new();
    for (epoch, name) in (1..=2).zip(["a", "b"]) {
        commit_one(&*tenant, edited(load(&*tenant, 0).await, "name", Value::text(name), NOW.plus(epoch))).await;
        let mut state = load(&*tenant, 0).await;
        let (old, saved) = (state.document_id(), state.document.save().to_vec());
        let genesis = state.journal.first().cloned();
        let renewal = renewed(state, genesis.clone().filter(|_| epoch == 1), NOW.plus(epoch));
        let entry = renewal.entries[0].clone();
        let mut expected = renewal.state.clone();
        let put = DocumentWrite::Put {
            id: old,
            kind: DocumentKind::Moved { record: expected.id, model: "contact".into() },
            principal: String::new(),
            heads: heads(1),
            saved: saved.clone(),
            ops: 3,
        };
        let batch = CommitBatch { documents: vec![put], ..CommitBatch::of(vec![renewal]) };
        tenant.commit(batch).await.unwrap();

        expected.revision += 1;
        assert_same(&mut load(&*tenant, 0).await, &mut expected);
        let new = expected.document_id();
        let found = tenant.find_documents(&[old, new]).await.unwrap();
        assert_eq!(found[&old].kind, DocumentKind::Moved { record: expected.id, model: "contact".into() });
        assert_eq!(found[&new].kind, DocumentKind::Record { record: expected.id, model: "contact".into() });
        assert_eq!(tenant.saved_document(old).await.unwrap().unwrap().saved, saved);
        assert_eq!(tenant.saved_document(new).await.unwrap().unwrap().saved, expected.document.save());
        let row = tenant.get_record(&"contact".into(), expected.id).await.unwrap().unwrap();
        assert_eq!(row.document, new);
        histories.push(tenant.history(&"contact".into(), expected.id).await.unwrap().unwrap());
        assert_eq!(histories.last().unwrap().last(), Some(&entry));
        commit_one(&*tenant, edited(load(&*tenant, 0).await, "name", Value::text("after"), NOW.plus(9))).await;
        assert_eq!(load(&*tenant, 0).await.journal.len(), 2, "the present epoch's");
    }
    assert_eq!(histories[1][..histories[0].len()], histories[0], "the journal goes on");
    assert_eq!(
        tenant.documents_usage().await.unwrap(),
        DocumentsUsage::default(),
        "what the service keeps is not theirs"
    );
    assert_eq!(load(&*tenant, 1).await.document_id(), DocumentId::from(id_of(&acme(), 1)), "others are left alone");
}
