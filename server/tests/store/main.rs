//! The suite that every store passes, and what is particular to SQLite.
//!
//! The stories in `stories` are generic over the store; [`stamp`] makes a test of each for each store. A new store costs one
//! line and no new test.

mod copies;
mod damage;
mod ground;
mod people;
mod polls;
mod sqlite;
mod stories;

use std::sync::Arc;

use syncline_server::store::Store;
use syncline_server::store::sqlite::SqliteStore;

/// A store that can be closed and opened again on the same data.
struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("syncline.db")
    }

    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(self.file()).await.unwrap())
    }
}

/// Makes a test of each story.
macro_rules! stamp {
    ($($module:ident: $($story:ident),+ $(,)?);+ $(;)?) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() {
                let home = Home::new();
                stories::$module::$story(home.open().await).await;
            }
        )+)+
    };
}

stamp! {
    commits:
        a_record_comes_back_as_it_was_committed,
        a_touched_replica_alone_leaves_the_record_as_it_was,
        a_stale_record_takes_the_whole_batch_with_it,
        a_record_is_created_once,
        one_object_belongs_to_one_record,
        an_object_moves_between_records_of_one_batch,
        a_record_may_not_come_twice_in_a_batch,
        a_checkpoint_is_committed_with_its_records_or_not_at_all,
        a_dropped_commit_leaves_everything_or_nothing,
        large_batches_are_one_commit;
    matches:
        records_are_found_by_their_present_match_keys,
        deleted_records_match_nothing,
        objects_are_found_by_present_ids_and_aliases,
        linked_objects_are_listed_page_by_page;
    readers:
        pages_show_every_record_once_in_the_order_of_change,
        filters_compare_canonical_values,
        a_record_shows_its_links_and_origins,
        history_tells_who_wrote_what_in_order,
        records_are_counted_by_model;
    feeds:
        the_feed_is_gap_free_under_concurrent_commits,
        a_failed_commit_leaves_no_gap,
        changes_come_back_as_announced,
        an_old_cursor_is_told_to_read_again;
    documents:
        a_document_grows_by_chunks_and_is_written_anew_as_one,
        a_records_document_is_found_under_the_records_id,
        a_record_that_begins_anew_is_found_by_both_documents,
        an_actor_belongs_to_whoever_used_it_first,
        refusals_are_listed_newest_first_page_by_page,
        documents_are_their_tenants_own;
    identity:
        operations_are_listed_newest_first_and_taken_back_once,
        what_was_cut_off_stays_so_until_it_is_allowed_again,
        a_record_says_where_it_went_and_gives_its_objects_away;
    work:
        deliveries_are_due_in_order,
        deliveries_are_listed_page_by_page,
        conflicts_are_kept_once_and_closed_once,
        quarantined_rows_count_their_attempts_until_released,
        hints_are_kept_once_and_worked_off,
        syncs_keep_their_state_and_progress;
    held:
        held_deletes_wait_until_they_are_answered_and_let_go,
        what_is_known_is_counted_as_far_as_it_matters,
        deliveries_to_what_is_held_are_not_due;
    erasures:
        nothing_is_left_of_what_was_erased,
        the_feed_keeps_its_places_and_says_what_was_erased,
        marks_keep_out_what_was_erased_until_it_is_readmitted;
    retention:
        only_what_is_old_is_dropped_and_in_steps,
        of_a_history_only_earlier_epochs_are_dropped,
        a_moved_document_is_emptied_and_stays_known_as_moved,
        the_feed_is_trimmed_by_age_and_says_so;
    instance:
        keys_are_found_by_hash_only,
        secrets_and_offsets_belong_to_a_connection,
        ticks_are_never_handed_out_twice,
        a_closed_store_says_so,
        a_tenant_sees_nothing_of_another;
}
