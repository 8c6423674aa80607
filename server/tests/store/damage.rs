//! Damaged documents: found before anything is made of them, rebuilt where that is proved to lose nothing, else set apart,
//! while everything else goes on.

use std::collections::BTreeSet;

use sqlx::Connection;
use syncline_core::{ids::RecordId, journal::Hash, record::RecordState, repo::DocumentId, time::Millis, value::Value};
use syncline_server::{
    engine::intake::{IntakeError, Rebuilt},
    store::{
        CommitBatch, StoreError,
        documents::{DocumentKind, DocumentWrite},
    },
};

use crate::{
    ground::{Ground, LATE, PASTS, Past},
    people::*,
};

/// What may become of a record's document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    /// A bit of it flips.
    Flipped,
    /// Its end is missing.
    Truncated,
    /// Nothing of it is left.
    Empty,
    /// It is one that loads well, of another state.
    Exchanged,
    /// The heads beside it are others.
    WrongHeads,
}

const DAMAGES: [Damage; 5] = [Damage::Flipped, Damage::Truncated, Damage::Empty, Damage::Exchanged, Damage::WrongHeads];

async fn harm(ground: &Ground, record: RecordId, damage: Damage) {
    let mut stranger = ground.stranger().await;
    let id = record.0.as_bytes().to_vec();
    let (mut document, mut heads): (Vec<u8>, Vec<u8>) =
        sqlx::query_as("SELECT document, heads FROM records WHERE id = ?")
            .bind(&id)
            .fetch_one(&mut stranger)
            .await
            .unwrap();
    let middle = document.len() / 2;
    match damage {
        Damage::Flipped => document[middle] ^= 0b100,
        Damage::Truncated => document.truncate(middle),
        Damage::Empty => document.clear(),
        Damage::Exchanged => document = newborn(&acme(), 99).state.document.save().to_vec(),
        Damage::WrongHeads => heads[5] ^= 1,
    }
    sqlx::query("UPDATE records SET document = ?, heads = ? WHERE id = ?")
        .bind(document)
        .bind(heads)
        .bind(&id)
        .execute(&mut stranger)
        .await
        .unwrap();
    stranger.close().await.unwrap();
}

async fn forget_log(ground: &Ground) {
    let mut stranger = ground.stranger().await;
    sqlx::query("DELETE FROM changes").execute(&mut stranger).await.unwrap();
    stranger.close().await.unwrap();
}

fn hashes(state: &mut RecordState) -> BTreeSet<Hash> {
    state.document.changes_after(&Vec::new()).unwrap().into_iter().map(|(hash, _)| hash).collect()
}

/// Row 29: a damaged document is noticed, is not handed to clients, and is made again change by change from the log or from
/// what implies it, while the batch that met it goes on. Fails without the seal's check in `saved_document` (clients are given
/// the damaged bytes as they are), without `reconcile::rebuild`, and without `Log::append`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_29_document_bytes_corrupted_or_truncated() {
    let ground = Ground::new().await;
    let tenant = ground.tenant();
    let mut n = 0;
    for past in PASTS {
        for damage in DAMAGES {
            n += 2;
            let (damaged, neighbour) = (n, n + 1);
            let mut before = ground.live_through(damaged, past).await;
            ground.live_through(neighbour, Past::Unedited).await;
            harm(&ground, before.id, damage).await;
            assert!(load(&*tenant, damaged).await.document.verify().is_err(), "{past:?}, {damage:?}: it is noticed");
            let handed = tenant.saved_document(before.document_id()).await;
            assert!(matches!(handed, Err(StoreError::Damaged { .. })), "{past:?}, {damage:?}: {handed:?}");

            let arrivals = vec![ground.shows(damaged, "late", LATE).await, ground.shows(neighbour, "late", 20).await];
            let taken = ground.take(arrivals).await;
            assert!(taken.records.iter().all(Option::is_some), "{past:?}, {damage:?}: {:?}", taken.quarantined);
            let mut after = load(&*tenant, damaged).await;
            let (known, now) = (hashes(&mut before), hashes(&mut after));
            assert!(known.is_subset(&now) && known.len() < now.len(), "{past:?}, {damage:?}: every change is there");
            assert_eq!(
                (after.document_id(), after.fields["name"].clone()),
                (before.document_id(), Value::text("late"))
            );
            assert_eq!(after.document.fields(&contact()).unwrap(), after.fields, "{past:?}, {damage:?}");
            assert_eq!(load(&*tenant, neighbour).await.fields["name"], Value::text("late"));
            assert!(tenant.damaged_records(None, 10).await.unwrap().is_empty());
        }
    }
}

/// Row 29, where the log is gone as well: the record is set apart, the others go on, nothing is owed of it, and a person
/// begins it anew with the values that stood. Fails without `Run::Damaged` (the batch fails), without the damages in
/// `due_deliveries`, or if `rebuild` began anew by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_29_what_nothing_proves_waits_for_a_person() {
    let ground = Ground::new().await;
    let tenant = ground.tenant();
    let before = ground.live_through(1, Past::Edited).await;
    ground.live_through(2, Past::Edited).await;
    let due = async || {
        let due = tenant.due_deliveries(&crm(), &contact().name, Millis(i64::MAX), 10).await.unwrap();
        due.into_iter().collect::<BTreeSet<_>>()
    };
    let (one, two) = (id_of(&acme(), 1), id_of(&acme(), 2));
    assert_eq!(due().await, BTreeSet::from([one, two]), "the CRM is owed the app's edits");
    harm(&ground, one, Damage::Truncated).await;
    forget_log(&ground).await;

    let seen = vec![ground.shows(1, "late", LATE).await, ground.shows(2, "late", LATE).await];
    let taken = ground.take(seen).await;
    assert_eq!(taken.records, [None, Some(two)]);
    assert!(taken.quarantined[0].1.contains("records rebuild contact"), "{:?}", taken.quarantined);
    assert_eq!(load(&*tenant, 2).await.fields["name"], Value::text("late"), "the other record goes on");
    let rows = tenant.list_quarantine(None, None, 10).await.unwrap();
    assert_eq!(rows.len(), 1, "the reading is kept until the record is mended");
    let listed = tenant.damaged_records(None, 10).await.unwrap();
    assert_eq!(listed.iter().map(|row| row.record).collect::<Vec<_>>(), [one]);
    assert!(!due().await.contains(&one), "nothing is written of it");

    let rebuild = async |from_values| ground.intake().rebuild("contacts", &ground.plan, one, from_values).await;
    assert!(matches!(rebuild(false).await, Err(IntakeError::Damaged { .. })));
    assert_eq!(rebuild(true).await.unwrap(), Rebuilt::FromValues);
    let mut after = load(&*tenant, 1).await;
    assert_eq!((&after.fields, after.version), (&before.fields, before.version), "the values that stood stand");
    assert_eq!(after.document.fields(&contact()).unwrap(), after.fields);
    assert_ne!(after.document_id(), before.document_id());
    assert!(tenant.damaged_records(None, 10).await.unwrap().is_empty());
    assert!(due().await.contains(&one), "what was owed is owed again");
    assert_eq!(rebuild(true).await.unwrap(), Rebuilt::Sound, "a sound document is left alone");
    let again = vec![ground.shows(1, "later", 2 * LATE).await];
    assert_eq!(ground.take(again).await.records, [Some(one)]);
    assert_eq!(load(&*tenant, 1).await.fields["name"], Value::text("later"));
    assert!(
        tenant.list_quarantine(None, None, 10).await.unwrap().is_empty(),
        "a reading that goes well releases the row"
    );
}

/// Row 29, of documents that are no record's own: the loss of a whole chunk is noticed too. Fails without the comparison of
/// lengths in `saved_document`, and without the chunks' sums.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_29_chunks_of_a_clients_document_are_checked() {
    for statement in [
        "DELETE FROM document_chunks WHERE n = 1",
        "UPDATE document_chunks SET chunk = zeroblob(length(chunk)) WHERE n = 0",
        "UPDATE document_chunks SET chunk = x'' WHERE n = 1",
    ] {
        let ground = Ground::new().await;
        let (tenant, id) = (ground.tenant(), DocumentId::from_bytes([7; 16]));
        let put = DocumentWrite::Put {
            id,
            kind: DocumentKind::Free,
            principal: "app".into(),
            heads: vec![Hash([1; 32])],
            saved: vec![5; 100],
            ops: 1,
        };
        let append = DocumentWrite::Append { id, heads: vec![Hash([2; 32])], chunk: vec![6; 50], ops: 2 };
        for write in [put, append] {
            tenant.commit(CommitBatch { documents: vec![write], ..CommitBatch::default() }).await.unwrap();
        }
        assert_eq!(tenant.saved_document(id).await.unwrap().unwrap().saved.len(), 150);
        let mut stranger = ground.stranger().await;
        sqlx::query(statement).execute(&mut stranger).await.unwrap();
        stranger.close().await.unwrap();
        let refused = tenant.saved_document(id).await;
        assert!(
            matches!(refused, Err(StoreError::Damaged { document, .. }) if document == id),
            "{statement}: {refused:?}"
        );
    }
}

/// What the seal and the log cost of a record that is loaded or written.
#[test]
fn a_seal_is_checked_in_less_than_the_time_of_decoding() {
    let mut state = newborn(&acme(), 1).state;
    let saved = state.document.save().to_vec();
    let (heads, seal) = (state.document.heads().clone(), state.document.seal().unwrap());
    let time = |work: &dyn Fn()| {
        let begun = std::time::Instant::now();
        (0..200).for_each(|_| work());
        begun.elapsed()
    };
    let checked = time(&|| assert_eq!(seal.broken_by(&heads, &saved), None));
    let decoded = time(&|| drop(automerge::Automerge::load(&saved).unwrap()));
    assert!(checked < decoded, "{checked:?} against {decoded:?} of {} bytes", saved.len());
}
