//! What every store must do, stamped onto each.

mod stories;

use syncline_client::store::{MemoryStore, SqliteStore};

/// Stamps each story onto a store.
macro_rules! stamp {
    ($store:ident: $open:expr; $($story:ident)*) => {
        mod $store {
            use super::*;
            $(#[tokio::test]
            async fn $story() {
                // The folder is removed when the story ends.
                let folder = tempfile::tempdir().unwrap();
                let open = $open;
                stories::$story(open(folder.path().join("client.db")).await).await;
            })*
        }
    };
}

macro_rules! stamp_all {
    ($($stories:tt)*) => {
        stamp!(memory: async |_| MemoryStore::new(); $($stories)*);
        stamp!(sqlite: async |path| SqliteStore::open(path).await.unwrap(); $($stories)*);
    };
}

stamp_all! {
    a_record_is_kept_and_replaced_as_a_whole
    a_record_is_found_by_its_documents
    documents_grow_by_changes_until_they_are_stored_as_a_whole
    records_are_listed_by_model_filter_and_place
    deleted_records_are_kept_and_not_listed
    stale_documents_are_found_page_by_page_without_refused_ones
    records_that_a_listing_did_not_show_are_found
    what_is_open_is_counted
    subsets_and_set_fields_are_kept
    writes_are_made_in_order
}

mod sqlite_alone {
    use super::*;
    use syncline_client::store::{Store as _, StoreError, Write};

    #[tokio::test]
    async fn what_was_committed_is_there_after_the_file_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.db");
        let store = SqliteStore::open(&path).await.unwrap();
        let row = stories::row(1);
        store.commit(vec![Write::PutRow(Box::new(row.clone()))]).await.unwrap();
        drop(store);
        let store = SqliteStore::open(&path).await.unwrap();
        assert_eq!(store.row(row.record).await.unwrap(), Some(row));
    }

    #[tokio::test]
    async fn a_file_in_use_is_refused_and_free_again_when_it_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.db");
        let store = SqliteStore::open(&path).await.unwrap();
        assert!(matches!(SqliteStore::open(&path).await, Err(StoreError::InUse { .. })));
        drop(store);
        assert!(SqliteStore::open(&path).await.is_ok());
    }

    #[tokio::test]
    async fn files_that_are_no_store_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.db");
        std::fs::write(&path, "this is no database, and long enough to be read as one").unwrap();
        assert!(matches!(SqliteStore::open(&path).await, Err(StoreError::Open { .. })));
        let nowhere = folder.path().join("missing").join("client.db");
        assert!(matches!(SqliteStore::open(&nowhere).await, Err(StoreError::Open { .. })));
    }
}
