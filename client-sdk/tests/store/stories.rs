//! The stories.

use serde_json::json;
use syncline_client::{
    Cursor, Filter, RecordId,
    store::{Row, RowQuery, Store, StoredDocument, Subset, SubsetState, Tally, Write},
};
use syncline_core::{repo::DocumentId, time::Millis};

/// The record of a number; ids are in the numbers' order.
pub(crate) fn row(number: u8) -> Row {
    let document = DocumentId::from_bytes([number; 16]);
    Row {
        record: document.record(),
        model: "contact".into(),
        document,
        fields: json!({"name": format!("n{number}"), "tags": ["all", format!("t{number}")], "age": number})
            .as_object()
            .unwrap()
            .clone(),
        deleted: None,
        version: 3,
        held: true,
        stale: false,
        pending: 0,
        refused: None,
        moving_to: None,
        listed: 7,
    }
}

fn id(number: u8) -> DocumentId {
    DocumentId::from_bytes([number; 16])
}

fn put(row: &Row) -> Write {
    Write::PutRow(Box::new(row.clone()))
}

async fn put_all(store: &impl Store, rows: &[Row]) {
    store.commit(rows.iter().map(put).collect()).await.unwrap();
}

async fn listed(store: &impl Store, filter: serde_json::Value, after: Option<RecordId>, limit: usize) -> Vec<RecordId> {
    let filter: Filter = serde_json::from_value(filter).unwrap();
    let query = RowQuery { model: &"contact".into(), filter: &filter, after, limit };
    store.rows(query).await.unwrap().into_iter().map(|row| row.record).collect()
}

pub(crate) async fn a_record_is_kept_and_replaced_as_a_whole(store: impl Store) {
    let mut wanted = row(1);
    assert_eq!(store.row(wanted.record).await.unwrap(), None);
    put_all(&store, &[wanted.clone()]).await;
    assert_eq!(store.row(wanted.record).await.unwrap(), Some(wanted.clone()));
    wanted.fields.insert("name".into(), json!("quo\"te\u{1f}\u{0} \\ ü"));
    (wanted.deleted, wanted.refused, wanted.pending) = (Some(Millis(-5)), Some("no".into()), 2);
    (wanted.moving_to, wanted.version) = (Some(id(9)), u64::MAX);
    put_all(&store, &[wanted.clone()]).await;
    assert_eq!(store.row(wanted.record).await.unwrap(), Some(wanted.clone()));
    store.commit(vec![Write::DropRow(wanted.record)]).await.unwrap();
    assert_eq!(store.row(wanted.record).await.unwrap(), None);
}

pub(crate) async fn a_record_is_found_by_its_documents(store: impl Store) {
    let mut first = row(1);
    first.moving_to = Some(id(2));
    let second = row(2);
    put_all(&store, &[second.clone(), first.clone()]).await;
    assert_eq!(store.owner(id(1)).await.unwrap(), Some(first.clone()));
    assert_eq!(store.owner(id(2)).await.unwrap(), Some(second.clone()));
    assert_eq!(store.mover(id(2)).await.unwrap(), Some(first.clone()));
    assert_eq!(store.mover(id(1)).await.unwrap(), None);
    // The first takes over the second's document.
    (first.document, first.moving_to) = (id(2), None);
    store.commit(vec![Write::DropRow(second.record), put(&first)]).await.unwrap();
    assert_eq!(store.owner(id(2)).await.unwrap(), Some(first));
    assert_eq!(store.owner(id(1)).await.unwrap(), None);
    assert_eq!(store.mover(id(2)).await.unwrap(), None);
}

pub(crate) async fn documents_grow_by_changes_until_they_are_stored_as_a_whole(store: impl Store) {
    let whole =
        |saved: &[u8]| Write::PutDocument { id: id(1), actor: [4; 16], saved: saved.into(), acked: vec![[8; 32]] };
    let append = |changes: &[u8]| Write::Append { id: id(1), changes: changes.into() };
    assert_eq!(store.document(id(1)).await.unwrap(), None);
    store.commit(vec![whole(&[1]), append(&[2]), append(&[3])]).await.unwrap();
    store.commit(vec![append(&[4]), Write::Acknowledge { id: id(1), acked: vec![[5; 32], [6; 32]] }]).await.unwrap();
    let expected = StoredDocument {
        actor: [4; 16],
        saved: vec![1],
        changes: vec![vec![2], vec![3], vec![4]],
        acked: vec![[5; 32], [6; 32]],
    };
    assert_eq!(store.document(id(1)).await.unwrap(), Some(expected));
    store.commit(vec![whole(&[9])]).await.unwrap();
    let document = store.document(id(1)).await.unwrap().unwrap();
    assert_eq!((document.saved, document.changes), (vec![9], vec![]));
    store.commit(vec![Write::DropDocument(id(1))]).await.unwrap();
    assert_eq!(store.document(id(1)).await.unwrap(), None);
}

pub(crate) async fn records_are_listed_by_model_filter_and_place(store: impl Store) {
    let mut other = row(3);
    other.model = "company".into();
    put_all(&store, &[row(2), row(1), other, row(4)]).await;
    let ids = |numbers: &[u8]| numbers.iter().map(|number| row(*number).record).collect::<Vec<_>>();
    for (filter, expected) in [
        (json!({}), ids(&[1, 2, 4])),
        (json!({"name": "n2"}), ids(&[2])),
        (json!({"tags": "t4"}), ids(&[4])),
        (json!({"tags": "all", "age": 1}), ids(&[1])),
        (json!({"tags": ["t2", "all"]}), ids(&[2])),
        (json!({"phone": null}), ids(&[1, 2, 4])),
        (json!({"age": "1"}), ids(&[])),
        (json!({"na\"me": "n2"}), ids(&[])),
    ] {
        assert_eq!(listed(&store, filter.clone(), None, 10).await, expected, "{filter}");
    }
    assert_eq!(listed(&store, json!({}), None, 2).await, ids(&[1, 2]));
    assert_eq!(listed(&store, json!({}), Some(row(2).record), 2).await, ids(&[4]));
}

pub(crate) async fn deleted_records_are_kept_and_not_listed(store: impl Store) {
    let mut gone = row(1);
    gone.deleted = Some(Millis(0));
    put_all(&store, &[gone.clone(), row(2)]).await;
    assert_eq!(listed(&store, json!({}), None, 10).await, [row(2).record]);
    assert_eq!(store.row(gone.record).await.unwrap(), Some(gone));
}

pub(crate) async fn stale_documents_are_found_page_by_page_without_refused_ones(store: impl Store) {
    let rows: Vec<Row> = (1..=5).map(|number| Row { stale: number != 2, ..row(number) }).collect();
    put_all(&store, &rows).await;
    put_all(&store, &[Row { refused: Some("no".into()), stale: true, ..row(3) }]).await;
    let first = store.stale(None, 2).await.unwrap();
    assert_eq!(first, [(row(1).record, id(1)), (row(4).record, id(4))]);
    assert_eq!(store.stale(Some(row(4).record), 2).await.unwrap(), [(row(5).record, id(5))]);
}

pub(crate) async fn records_that_a_listing_did_not_show_are_found(store: impl Store) {
    put_all(&store, &[Row { listed: 0, ..row(1) }, Row { listed: 8, ..row(2) }, Row { listed: 7, ..row(3) }]).await;
    let model = "contact".into();
    assert_eq!(store.unlisted(&model, 8, None, 10).await.unwrap(), [row(1).record, row(3).record]);
    assert_eq!(store.unlisted(&model, 8, Some(row(1).record), 10).await.unwrap(), [row(3).record]);
    assert_eq!(store.unlisted(&"company".into(), 8, None, 10).await.unwrap(), []);
}

pub(crate) async fn what_is_open_is_counted(store: impl Store) {
    assert_eq!(store.tally().await.unwrap(), Tally::default());
    let refused = Row { pending: 2, refused: Some("no".into()), stale: true, ..row(3) };
    put_all(&store, &[row(1), Row { pending: 3, stale: true, ..row(2) }, refused]).await;
    put_all(&store, &[Row { deleted: Some(Millis(1)), ..row(4) }]).await;
    assert_eq!(store.tally().await.unwrap(), Tally { records: 3, pending: 3, refused: 2, stale: 1 });
    store.commit(vec![put(&row(2)), Write::DropRow(row(1).record)]).await.unwrap();
    assert_eq!(store.tally().await.unwrap(), Tally { records: 2, pending: 0, refused: 2, stale: 0 });
}

pub(crate) async fn subsets_and_set_fields_are_kept(store: impl Store) {
    let subset =
        Subset { model: "contact".into(), filter: serde_json::from_value(json!({"stage": "customer"})).unwrap() };
    let state =
        |cursor: Option<u64>, listing| SubsetState { subset: subset.clone(), cursor: cursor.map(Cursor), listing };
    let put =
        |state: SubsetState| Write::PutSubset { subset: state.subset, cursor: state.cursor, listing: state.listing };
    store.commit(vec![put(state(None, 0)), put(state(Some(12), 3))]).await.unwrap();
    assert_eq!(store.subsets().await.unwrap(), [state(Some(12), 3)]);
    store.commit(vec![Write::DropSubset(subset.clone())]).await.unwrap();
    assert_eq!(store.subsets().await.unwrap(), []);
    let set = || Write::PutSetField { model: "contact".into(), field: "tags".into() };
    store.commit(vec![set(), set()]).await.unwrap();
    assert_eq!(store.set_fields().await.unwrap(), [("contact".into(), ["tags".to_owned()].into())].into());
}

pub(crate) async fn writes_are_made_in_order(store: impl Store) {
    let drop = Write::DropRow(row(1).record);
    store.commit(vec![put(&row(1)), drop.clone()]).await.unwrap();
    assert_eq!(store.row(row(1).record).await.unwrap(), None);
    store.commit(vec![drop, put(&row(1))]).await.unwrap();
    assert_eq!(store.row(row(1).record).await.unwrap(), Some(row(1)));
}
