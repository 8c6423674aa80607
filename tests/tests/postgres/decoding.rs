//! The database's own log: what the slot keeps, who reads it, and what must be there.

use serde_json::json;
use syncline_core::remote::Remedy;

use crate::lab::{Lab, PEOPLE, id_of};

async fn kept_from(lab: &Lab) -> String {
    sqlx::query_scalar("SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE database = current_database()")
        .fetch_one(&lab.database.pool)
        .await
        .expect("a slot")
}

/// What was read is kept until the next part is asked for, since only then it is durable here.
#[tokio::test]
async fn the_slot_moves_on_when_the_next_part_is_read() {
    let lab = Lab::people_by("decoding").await;
    let start = lab.end().await;
    lab.database.run("INSERT INTO people (name) VALUES ('Ann')").await;
    let before = kept_from(&lab).await;
    let first = lab.changes(&start, 100).await.expect("changes");
    let again = lab.changes(&start, 100).await.expect("changes");
    assert_eq!((first.changed.len(), &first.changed), (1, &again.changed), "after a crash it is read once more");
    assert_eq!(kept_from(&lab).await, before);
    let next = lab.changes(&first.next, 100).await.expect("changes");
    assert_eq!(next.changed, []);
    assert_ne!(kept_from(&lab).await, before);
    let other = lab.changes(&start, 100).await;
    assert_eq!(other.map_err(|error| error.remedy).err(), Some(Remedy::Resync), "what was let go of is gone");
}

#[tokio::test]
async fn an_emptied_table_and_a_lost_slot_are_told() {
    let lab = Lab::people_by("decoding").await;
    let start = lab.end().await;
    lab.database.run("TRUNCATE people").await;
    let emptied = lab.changes(&start, 100).await;
    assert_eq!(emptied.map_err(|error| error.remedy).err(), Some(Remedy::Resync));
    let drop =
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()";
    lab.database.run(drop).await;
    let gone = lab.changes(&start, 100).await;
    assert_eq!(gone.map_err(|error| error.remedy).err(), Some(Remedy::Resync));
    let end = lab.log().end(&lab.credentials, &lab.object.into()).await;
    assert_eq!(end.map_err(|error| error.remedy).err(), Some(Remedy::Configure), "it has to be installed again");
}

/// Where nobody says how, the log is decoded if the server lets us, and else triggers are made.
#[tokio::test]
async fn the_way_is_chosen_by_what_is_allowed() {
    let lab = Lab::of(PEOPLE, "people", json!({})).await;
    assert!(lab.end().await.contains("decoding"), "the server allows it");
    let nothing = Lab::of(
        "CREATE TABLE things (id int PRIMARY KEY); ALTER TABLE things REPLICA IDENTITY NOTHING",
        "things",
        json!({}),
    )
    .await;
    assert!(nothing.end().await.contains("triggers"), "this table's log does not name its rows");
}

/// The server keeps the time of commits here, which is a row's version.
#[tokio::test]
async fn an_unseen_edit_is_not_overwritten() {
    let lab = Lab::people_by("decoding").await;
    let id = id_of(&lab.create("k", json!({"name": "Ann"})).await);
    let seen = lab.one(&id, &[]).await.version;
    assert!(seen.is_some());
    // Times of commits are compared in milliseconds: the edit is made when the next has begun.
    lab.database
        .run("DO $$ BEGIN WHILE clock_timestamp() < (SELECT pg_xact_commit_timestamp(xmin) FROM people) + interval '2 ms' LOOP END LOOP; END $$; UPDATE people SET title = 'by a user'")
        .await;
    let ours = lab.update(&id, seen, json!({"title": "by us"})).await;
    assert_eq!(ours, syncline_core::remote::WriteOutcome::Stale);
}
