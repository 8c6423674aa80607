//! Writes: each row by itself, never over what somebody else has written unseen.

use serde_json::json;
use sqlx::Executor as _;
use syncline_connectors::connector::Credentials;
use syncline_core::remote::{Remedy, WriteOutcome, WriteVerb};

use crate::lab::{Lab, id_of};

/// A user's transaction that is open while we write: the row waits for its end, and is then seen to have changed.
#[tokio::test]
async fn an_edit_that_commits_meanwhile_is_not_overwritten() {
    let lab = Lab::people().await;
    let id = id_of(&lab.create("k", json!({"name": "Ann"})).await);
    let seen = lab.one(&id, &[]).await.version;
    let mut user = lab.database.pool.begin().await.expect("a transaction");
    user.execute("UPDATE people SET title = 'by a user'").await.expect("an edit");
    let ours = lab.update(&id, seen, json!({"title": "by us"}));
    let theirs = async {
        // By then our write waits for the row, or has not begun: both must end alike.
        tokio::task::yield_now().await;
        user.commit().await.expect("a commit");
    };
    assert_eq!(tokio::join!(ours, theirs).0, WriteOutcome::Stale);
    assert_eq!(lab.one(&id, &["title"]).await.fields["title"], "by a user");
    let delete = WriteVerb::Delete { id: id.as_str().into(), expected: seen };
    assert_eq!(lab.write(delete, json!({}), &[]).await, WriteOutcome::Stale, "a delete has not seen it either");
    let fresh = lab.one(&id, &[]).await.version;
    assert!(fresh.map(|version| version.stamp) > seen.map(|version| version.stamp));
    assert_eq!(id_of(&lab.update(&id, fresh, json!({"title": "by us"})).await), id);
}

/// However fast states follow each other, no two have one version.
#[tokio::test]
async fn every_state_has_a_version_of_its_own() {
    let lab = Lab::people().await;
    lab.database.run("INSERT INTO people (name) VALUES ('Ann')").await;
    let mut last = None;
    for n in 0..50 {
        lab.database.run(&format!("UPDATE people SET title = '{n}'; UPDATE people SET title = '{n}.'")).await;
        let version = lab.one("1", &[]).await.version.expect("a version");
        assert!(last.is_none_or(|last| version.newer_than(&last)), "{version:?} after {last:?}");
        last = Some(version);
    }
}

#[tokio::test]
async fn constraints_refuse_with_their_fields() {
    let lab = Lab::of(
        "CREATE TABLE teams (id int PRIMARY KEY);
         CREATE TABLE people (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, syncline_id text UNIQUE, name text NOT NULL,
             email text UNIQUE, age int CHECK (age > 0), team int REFERENCES teams DEFERRABLE INITIALLY DEFERRED);
         CREATE FUNCTION no_bob() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN IF NEW.name = 'Bob' THEN RAISE 'no Bob here'; END IF;
                      IF NEW.name = 'Nobody' THEN RETURN NULL; END IF; RETURN NEW; END $$;
         CREATE TRIGGER no_bob BEFORE INSERT OR UPDATE ON people FOR EACH ROW EXECUTE FUNCTION no_bob();",
        "people",
        json!({"capture": "triggers"}),
    )
    .await;
    let cases = [
        (json!({"name": null}), "23502", vec!["name"]),
        (json!({"name": "Ann", "age": -1}), "23514", vec!["age"]),
        (json!({"name": "Ann", "team": 7}), "23503", vec!["team"]),
        (json!({"name": "Bob"}), "P0001", vec![]),
        (json!({"name": "Nobody"}), "kept_out", vec![]),
    ];
    for (body, code, fields) in cases {
        let outcome = lab.create("k", body.clone()).await;
        let WriteOutcome::Refused(refusal) = outcome else { panic!("{body}: {outcome:?}") };
        assert_eq!(
            (refusal.code.as_str(), refusal.fields),
            (code, fields.iter().map(|field| (*field).to_owned()).collect())
        );
    }
    let ann = id_of(&lab.create("a", json!({"name": "Ann", "email": "ann@example.com"})).await);
    let twin = lab.create("b", json!({"name": "Ann", "email": "ann@example.com"})).await;
    assert!(matches!(&twin, WriteOutcome::Exists { id: Some(id), .. } if id.as_str() == ann), "{twin:?}");
    let ben = id_of(&lab.create("b", json!({"name": "Ben"})).await);
    let taken = lab.update(&ben, None, json!({"email": "ann@example.com"})).await;
    assert!(matches!(&taken, WriteOutcome::Refused(refusal) if refusal.fields == ["email"]), "{taken:?}");
    let key = lab.update(&ben, None, json!({"id": 77})).await;
    assert!(matches!(&key, WriteOutcome::Refused(_)), "{key:?}");
}

#[tokio::test]
async fn a_key_that_is_not_unique_is_none() {
    let lab = Lab::of(
        "CREATE TABLE notes (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, syncline_id text)",
        "notes",
        json!({"capture": "triggers"}),
    )
    .await;
    let outcome = lab.create("k", json!({})).await;
    assert!(matches!(&outcome, WriteOutcome::NotApplied(error) if error.remedy == Remedy::Configure), "{outcome:?}");
}

/// Two attempts at one create at once make one row.
#[tokio::test]
async fn attempts_at_once_make_one_row() {
    let lab = Lab::people().await;
    for round in 0..10 {
        let key = format!("k{round}");
        let (first, second) =
            tokio::join!(lab.create(&key, json!({"name": "Ann"})), lab.create(&key, json!({"name": "Ann"})));
        for outcome in [first, second] {
            let retry = matches!(&outcome, WriteOutcome::NotApplied(error) if error.remedy == Remedy::Retry);
            assert!(retry || matches!(outcome, WriteOutcome::Applied { .. }), "{outcome:?}");
        }
    }
    let count: i64 =
        sqlx::query_scalar("SELECT count(*) FROM people").fetch_one(&lab.database.pool).await.expect("a count");
    assert_eq!(count, 10);
}

#[tokio::test]
async fn what_the_tables_own_triggers_make_of_a_row_is_shown() {
    let lab = Lab::of(
        "CREATE TABLE people (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, syncline_id text UNIQUE, name text);
         CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN UPDATE people SET name = upper(NEW.name) WHERE id = NEW.id AND name <> upper(NEW.name); RETURN NULL; END $$;
         CREATE TRIGGER shout AFTER INSERT OR UPDATE ON people FOR EACH ROW EXECUTE FUNCTION shout();",
        "people",
        json!({"capture": "triggers"}),
    )
    .await;
    let outcome = lab.write(WriteVerb::Create { key: None }, json!({"name": "Ann"}), &["name"]).await;
    let WriteOutcome::Applied { object: Some(object), whole: true, .. } = &outcome else { panic!("{outcome:?}") };
    assert_eq!(object.fields["name"], "ANN");
    assert_eq!(lab.one(object.id.as_str(), &["name"]).await.version, object.version);
}

#[tokio::test]
async fn trouble_with_the_connection_has_its_remedy() {
    let lab = Lab::people().await;
    let probe = |credentials: Credentials| {
        let connector = lab.connector.clone();
        async move { connector.reader().probe(&credentials).await.map_err(|error| error.remedy) }
    };
    let with = |access_token: &str, base_url: &str| Credentials {
        access_token: access_token.to_owned(),
        base_url: Some(base_url.to_owned()),
        ..lab.credentials.clone()
    };
    let url = lab.database.url.clone();
    let secret = lab.credentials.access_token.clone();
    assert!(probe(lab.credentials.clone()).await.is_ok());
    assert_eq!(probe(with("wrong", &url)).await, Err(Remedy::Reauthorise));
    assert!(probe(lab.credentials.clone()).await.is_ok(), "the right password opens connections again");
    assert_eq!(probe(with(&secret, &format!("{url}_nowhere"))).await, Err(Remedy::Configure));
    assert_eq!(probe(with(&secret, "postgres://syncline@127.0.0.1:1/x")).await, Err(Remedy::Retry));
    let unsent = lab.connector.writer().expect("a writer");
    let rows = [syncline_core::remote::WriteRequest {
        object: "people".into(),
        verb: WriteVerb::Delete { id: "1".into(), expected: None },
        body: Default::default(),
        trace: 0,
    }];
    let outcome = unsent.write(&with(&secret, "postgres://syncline@127.0.0.1:1/x"), &rows, &[]).await.remove(0).outcome;
    assert!(matches!(&outcome, WriteOutcome::NotApplied(error) if error.remedy == Remedy::Retry), "{outcome:?}");
    // A connection that the server has ended meanwhile is replaced, and nothing was written by halves.
    let id = id_of(&lab.create("k", json!({"name": "Ann"})).await);
    lab.database
        .run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database() AND application_name = 'syncline'")
        .await;
    let outcome = lab.update(&id, None, json!({"title": "CEO"})).await;
    assert!(matches!(&outcome, WriteOutcome::Applied { .. } | WriteOutcome::NotApplied(_)), "{outcome:?}");
}
