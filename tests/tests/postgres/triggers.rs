//! The log that triggers write: how far it reaches back, who may read it, and what it says of our own writes.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

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

/// A burst of notices is one reason to look and not one for each.
#[tokio::test]
async fn notices_that_were_heard_end_no_further_wait() {
    let lab = Lab::people().await;
    let wait = async |after: &str, patience| {
        lab.log().wait(&lab.credentials, &lab.object.into(), after, patience).await.expect("a wait");
    };
    let start = lab.end().await;
    wait(&start, Duration::from_millis(1)).await;
    for n in 0..20 {
        lab.database.run(&format!("INSERT INTO people (name) VALUES ('{n}')")).await;
    }
    wait(&start, Duration::from_secs(3_600)).await;
    let (changed, _, next) = lab.rest(&start).await;
    assert_eq!(changed.len(), 20);
    let patience = Duration::from_millis(50);
    let begun = Instant::now();
    wait(&next, patience).await;
    assert!(begun.elapsed() >= patience, "nothing follows");
}

/// A product's own user owns its tables and is no superuser: that is enough for triggers.
#[tokio::test]
async fn the_owner_of_the_table_may_install() {
    let mut lab = Lab::people().await;
    let name = lab.database.url.rsplit('/').next().expect("a name").to_owned();
    let owner = format!("owner_{name}");
    lab.database
        .run(&format!(
            "CREATE ROLE {owner} LOGIN PASSWORD 'another-secret'; GRANT CREATE ON DATABASE {name} TO {owner};
             CREATE SCHEMA own AUTHORIZATION {owner}; CREATE TABLE own.things (id int PRIMARY KEY, label text);
             ALTER TABLE own.things OWNER TO {owner}; DROP SCHEMA syncline CASCADE"
        ))
        .await;
    lab.credentials.base_url = Some(lab.database.url.replacen("syncline@", &format!("{owner}@"), 1));
    lab.credentials.access_token = "another-secret".to_owned();
    lab.object = "own.things";
    lab.install().await;
    let start = lab.end().await;
    assert!(start.contains("triggers"), "its user may not decode: {start}");
    lab.database.run("INSERT INTO own.things VALUES (1, 'x'), (2, 'y'); DELETE FROM own.things WHERE id = 2").await;
    let (changed, deleted, _) = lab.rest(&start).await;
    assert_eq!((changed, deleted), (ids(&["1"]), ids(&["2"])));
    let version = lab.one("1", &["label"]).await.version;
    assert_eq!(id_of(&lab.update("1", version, json!({"label": "z"})).await), "1");
    // Where row security hides rows, one that is not shown may be there.
    assert!(lab.one("3", &["label"]).await.version.is_some());
    lab.database
        .run(
            "ALTER TABLE own.things ENABLE ROW LEVEL SECURITY; ALTER TABLE own.things FORCE ROW LEVEL SECURITY;
             INSERT INTO own.things VALUES (4, 'hidden'); CREATE POLICY shown ON own.things USING (id < 4)",
        )
        .await;
    lab.connector.reader().describe(&lab.credentials, &lab.object.into()).await.expect("a schema");
    for (id, is_known) in [("2", true), ("3", false), ("4", false)] {
        let row = lab.one(id, &["label"]).await;
        assert_eq!((row.deleted, row.version.is_some()), (true, is_known), "{id}");
    }
    lab.database.run(&format!("DROP OWNED BY {owner} CASCADE; DROP ROLE {owner}")).await;
}
