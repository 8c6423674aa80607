//! The log that triggers write: how far it reaches back, who may read it, and what it says of our own writes.

use std::collections::BTreeSet;

use serde_json::json;
use sqlx::Executor as _;
use syncline_core::remote::Remedy;

use crate::lab::{Lab, id_of};

fn ids(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

#[tokio::test]
async fn a_position_may_be_read_from_again() {
    let lab = Lab::people().await;
    let start = lab.end().await;
    lab.database.run("INSERT INTO people (name) VALUES ('Ann'), ('Ben'); DELETE FROM people WHERE id = 2").await;
    for _ in 0..2 {
        let (changed, deleted, _) = lab.rest(&start).await;
        assert_eq!((changed, deleted), (ids(&["1"]), ids(&["2"])));
    }
}

#[tokio::test]
async fn our_own_writes_say_so() {
    let lab = Lab::people().await;
    let created = lab.create("k1", json!({"name": "Ann"})).await;
    let id = id_of(&created);
    assert_eq!(lab.one(&id, &["name"]).await.author.as_deref(), Some("syncline"));
    lab.database.run("UPDATE people SET title = 'CEO'").await;
    assert_eq!(lab.one(&id, &["name"]).await.author, None);
}

#[tokio::test]
async fn a_log_that_no_longer_reaches_back_says_so() {
    let lab = Lab::people().await;
    let start = lab.end().await;
    lab.database.run("INSERT INTO people (name) VALUES ('Ann')").await;
    let here = lab.end().await;
    lab.database.run("UPDATE syncline.changes SET at = at - interval '90 days'").await;
    // The first read shortens the log.
    let _ = lab.changes(&here, 10).await;
    let lost = lab.changes(&start, 10).await;
    assert_eq!(lost.map_err(|error| error.remedy).err(), Some(Remedy::Resync));
    assert_eq!(lab.rest(&here).await.0, ids(&[]), "who has read it has missed nothing");
    assert!(lab.one("1", &["name"]).await.version.is_some());

    lab.database.run("TRUNCATE people").await;
    let emptied = lab.changes(&here, 10).await;
    assert_eq!(emptied.map_err(|error| error.remedy).err(), Some(Remedy::Resync));

    let elsewhere = here.replace(r#""seen":""#, r#""seen":"9"#);
    let restored = lab.changes(&elsewhere, 10).await;
    assert!(restored.is_err(), "a position of another server is none of this one");
}

/// A writer of the table needs no right to the log, and sees nothing of it.
#[tokio::test]
async fn writers_of_the_table_need_no_rights_to_the_log() {
    let lab = Lab::people().await;
    let start = lab.end().await;
    let role = format!("clerk_{}", lab.database.url.rsplit('/').next().expect("a name"));
    lab.database.run(&format!("CREATE ROLE {role}; GRANT INSERT, UPDATE ON people TO {role}")).await;
    let mut connection = lab.database.pool.acquire().await.expect("a connection");
    let insert = format!("SET ROLE {role}; INSERT INTO people (name) VALUES ('Ann'); RESET ROLE");
    connection.execute(sqlx::AssertSqlSafe(insert)).await.expect("the clerk writes");
    assert_eq!(lab.rest(&start).await.0, ids(&["1"]));
    let peek =
        connection.execute(sqlx::AssertSqlSafe(format!("SET ROLE {role}; SELECT * FROM syncline.changes"))).await;
    assert!(peek.is_err());
    connection.execute("RESET ROLE").await.expect("back again");
    lab.database.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}
