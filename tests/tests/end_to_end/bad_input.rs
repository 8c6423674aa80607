//! Bad input: rows that cannot be taken in, requests that make no sense, and files that are not what they should be.

use std::path::Path;

use reqwest::Method;
use serde_json::{Value as Json, json};
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{
    api::{KEY, id_of},
    patience::eventually,
    stage::{Server, Stage},
};

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_cannot_be_taken_in_hold_up_nobody_and_are_taken_once_mended() {
    let stage = Stage::set(0, 0).await;
    stage.amend(
        "    match: [[email]]",
        "      tier: {type: enum, values: [bronze, silver]}\n      birthdate: {type: date}\n    match: [[email]]",
    );
    stage.amend(
        "phone: phone, title: jobtitle}",
        "phone: phone, title: jobtitle, tier: {field: tier, direction: read}, \
         birthdate: {field: date_of_birth, direction: read}}",
    );
    let hubspot = stage.hubspot();
    let long = "x".repeat(129);
    for (email, field, value) in [
        ("good@x.example", "tier", "silver"),
        ("long@x.example", "title", long.as_str()),
        ("enum@x.example", "tier", "gold"),
        ("date@x.example", "date_of_birth", "yesterday"),
    ] {
        hubspot.create(&[("email", email), ("last_name", "Row"), (field, value)]).await;
    }
    let server = stage.serve().await;
    let rows = quarantined(&server, 3).await;
    for says in ["128", "gold", "yesterday"] {
        let found = rows.iter().any(|row| row["reason"].as_str().is_some_and(|reason| reason.contains(says)));
        assert!(found, "no reason says {says}: {rows:?}");
    }
    eventually("the good row is taken in", async || {
        stage.salesforce().by_email("good@x.example").await.map(drop).ok_or_else(|| "it is not".to_owned())
    })
    .await;
    eventually("nothing is held up", async || server.idle().await).await;
    let replayed = replay(&server, &rows[0]).await;
    replayed.refused(409, "still cannot be taken in");
    quarantined(&server, 3).await;

    // One is mended by its user and read again by itself.
    let object = hubspot.by_email("long@x.example").await.expect("an object");
    hubspot.edit(&object.id, &[("title", "Short")]).await;
    let rows = quarantined(&server, 2).await;
    // One is mended in the configuration and replayed.
    server.end();
    stage.amend("values: [bronze, silver]", "values: [bronze, silver, gold]");
    let server = stage.serve().await;
    let gold = rows.iter().find(|row| row["reason"].to_string().contains("gold")).expect("the row");
    // A poll looks back a little, and may be faster.
    assert!([202, 404].contains(&replay(&server, gold).await.status));
    quarantined(&server, 1).await;
    // And one is deleted.
    hubspot.delete(&hubspot.by_email("date@x.example").await.expect("an object").id).await;
    assert_eq!(replay(&server, &quarantined(&server, 1).await[0]).await.status, 202);
    quarantined(&server, 0).await;
    assert_eq!(server.agree().await.records.len(), 3);
    server.stays_quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_make_no_sense_are_refused_with_the_reason() {
    let stage = Stage::set(0, 0).await;
    let server = stage.serve().await;
    let made = server.api.post("/v1/records/contact", &json!({"last_name": "Noether", "email": "e@x.example"})).await;
    let id = id_of(&made);
    let record = format!("/v1/records/contact/{id}");
    let nobody = "/v1/records/contact/00000000-0000-7000-8000-000000000000";
    let key = format!("Bearer {KEY}");
    let keyed = [("authorization", key.as_str())];
    let stale = [("authorization", key.as_str()), ("if-match", "\"7\"")];
    let long = json!({"first_name": "x".repeat(41)});
    for (method, path, headers, body, status, says) in [
        (Method::GET, "/v1/records/contact", &[][..], None, 401, "API key"),
        (Method::GET, "/v1/records/contact?limit=many", &keyed, None, 400, "limit"),
        (Method::POST, "/v1/records/contact", &keyed, Some(json!(["no", "fields"])), 422, "map"),
        (Method::GET, nobody, &keyed, None, 404, "record"),
        (Method::GET, "/v1/records/invoice", &keyed, None, 404, "invoice"),
        (Method::PATCH, &record, &stale, Some(json!({"title": "CTO"})), 412, "version"),
        (Method::PATCH, &record, &keyed, Some(json!({"colour": "red"})), 422, "colour"),
        (Method::PATCH, &record, &keyed, Some(json!({"title": 7})), 422, "title"),
        (Method::PATCH, &record, &keyed, Some(long), 422, "first_name"),
        (Method::POST, "/v1/conflicts/77/resolve", &keyed, Some(json!({"choice": "winner"})), 404, "77"),
        (Method::POST, "/v1/quarantine/77/replay", &keyed, None, 404, "77"),
    ] {
        server.api.call_with(method, path, headers, body.as_ref()).await.refused(status, says);
    }
    assert_eq!(server.api.call(Method::DELETE, &record, None).await.status, 204);
    let edited = server.api.call(Method::PATCH, &record, Some(&json!({"title": "CTO"}))).await;
    edited.refused(409, "undelete it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_names_all_its_faults_at_once_and_where_they_are() {
    let stage = Stage::set(0, 0).await;
    stage.amend("version: 1\nserver:", "version: 1\nserveur: {}\nserver:");
    stage.amend("title: {type: text, max: 128, canonical: [trim]}", "title: {type: txt}");
    stage.amend("match: [[email]]", "match: [[mail]]");
    stage.amend("poll: 300ms", "poll: soon");
    stage.amend("{env: API_KEY}", "{env: NO_SUCH_VARIABLE}");
    let refused = stage.run(&["serve"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    let text = std::fs::read_to_string(stage.config()).expect("the configuration");
    for (fault, at) in [
        ("serveur", "serveur:"),
        ("txt", "type: txt"),
        ("mail", "[[mail]]"),
        ("soon", "poll: soon"),
        ("NO_SUCH_VARIABLE", "{env: NO_SUCH_VARIABLE}"),
    ] {
        let line = text.lines().position(|line| line.contains(at)).expect("the fault") + 1;
        let place = format!("syncline.yaml:{line}:");
        let named = said.lines().any(|said| said.contains(&place) && said.contains(fault));
        assert!(named, "{place} with {fault} is not in:\n{said}");
    }
    assert!(!stage.database().exists(), "nothing was begun");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_used_is_named_and_left_alone() {
    let stage = Stage::set(0, 0).await;
    let server = stage.serve().await;
    // Where two servers share neither a port nor knowledge of each other, the database still keeps them apart.
    stage.amend(&format!("listen: \"127.0.0.1:{}\"", stage.port), "listen: \"127.0.0.1:0\"");
    refused(&stage, "in use by another syncline process", "stop that process");
    server.end();

    let mut other = open(&stage.database()).await;
    execute(&mut other, "BEGIN EXCLUSIVE").await;
    refused(&stage, "locked by another program", "close the program");
    execute(&mut other, "ROLLBACK").await;

    let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (9999, 'later', 1, x'00', 0)";
    execute(&mut other, later).await;
    other.close().await.expect("closed");
    let before = std::fs::read(stage.database()).expect("the database");
    refused(&stage, "schema version 9999", "use the newer version");
    assert_eq!(std::fs::read(stage.database()).expect("the database"), before, "nothing was changed");

    std::fs::write(stage.database(), "a letter, not a database. ".repeat(200)).expect("written");
    refused(&stage, "not a syncline database", "restore it from a backup");

    stage.amend("database: syncline.db", "database: /proc/syncline.db");
    refused(&stage, "/proc/syncline.db", "may be written");
}

/// The rows in quarantine, once they are so many.
async fn quarantined(server: &Server<'_>, number: usize) -> Vec<Json> {
    eventually("rows in quarantine", async || {
        let rows = server.api.quarantine().await;
        if rows.len() == number { Ok(rows) } else { Err(format!("{} of {number}: {rows:?}", rows.len())) }
    })
    .await
}

async fn replay(server: &Server<'_>, row: &Json) -> crate::api::Reply {
    server.api.call(Method::POST, &format!("/v1/quarantine/{}/replay", row["id"]), None).await
}

/// Asserts that the server does not start, and says why and how to mend it.
#[track_caller]
fn refused(stage: &Stage, why: &str, remedy: &str) {
    let refused = stage.run(&["serve"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains(why), "`{why}` is not in:\n{said}");
    assert!(said.contains(remedy), "`{remedy}` is not in:\n{said}");
}

async fn open(database: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(database);
    SqliteConnection::connect_with(&options).await.expect("the database opens")
}

async fn execute(connection: &mut SqliteConnection, statement: &'static str) {
    sqlx::query(statement).execute(connection).await.expect("the statement is carried out");
}
