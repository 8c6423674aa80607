//! Following changes: nothing is missed, whatever the order of commits, and nothing is left behind.

use std::{collections::BTreeSet, time::Duration};

use serde_json::json;
use sqlx::Executor as _;
use syncline_core::remote::Remedy;

use crate::{for_both_captures, lab::Lab};

for_both_captures!(
    every_kind_of_change_is_told,
    late_commits_are_not_lost,
    many_writers_at_once_are_all_read,
    a_wait_ends_with_a_change_or_with_patience,
    a_key_that_changes_is_another_row,
    what_is_installed_can_be_taken_away,
);

fn ids(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

async fn every_kind_of_change_is_told(capture: &str) {
    let lab = Lab::people_by(capture).await;
    let start = lab.end().await;
    lab.database.run("INSERT INTO people (name) VALUES ('Ann'), ('Ben'), ('Cleo'), ('Dan')").await;
    let (changed, deleted, next) = lab.rest(&start).await;
    assert_eq!((changed, deleted), (ids(&["1", "2", "3", "4"]), ids(&[])));
    lab.database.run("UPDATE people SET title = 'CEO' WHERE id < 3; DELETE FROM people WHERE id IN (2, 3)").await;
    let (changed, deleted, next) = lab.rest(&next).await;
    assert_eq!((changed, deleted), (ids(&["1"]), ids(&["2", "3"])));
    let (changed, deleted, _) = lab.rest(&next).await;
    assert_eq!((changed, deleted), (ids(&[]), ids(&[])));
}

/// A transaction that began first and commits last is read when it commits, and holds nobody up before.
async fn late_commits_are_not_lost(capture: &str) {
    let lab = Lab::people_by(capture).await;
    lab.database.run("INSERT INTO people (name) VALUES ('Ann'), ('Ben'), ('Cleo')").await;
    let (_, _, start) = lab.rest(&lab.end().await).await;
    let mut slow = lab.database.pool.begin().await.expect("a transaction");
    slow.execute("UPDATE people SET title = 'late' WHERE id = 1").await.expect("an update");
    lab.database.run("UPDATE people SET title = 'soon' WHERE id = 2").await;
    let (changed, _, next) = lab.rest(&start).await;
    assert_eq!(changed, ids(&["2"]), "what is committed is told though an older transaction is open");
    lab.database.run("UPDATE people SET title = 'soon' WHERE id = 3").await;
    slow.commit().await.expect("a commit");
    let (changed, _, next) = lab.rest(&next).await;
    assert_eq!(changed, ids(&["1", "3"]));
    assert_eq!(lab.rest(&next).await.0, ids(&[]), "and nothing twice");
}

/// Twenty writers commit in any order, some not at all, while one reads: what was read is exactly what was committed.
async fn many_writers_at_once_are_all_read(capture: &str) {
    let lab = Lab::people_by(capture).await;
    let start = lab.end().await;
    let writers = (0..20).map(|writer| {
        let pool = lab.database.pool.clone();
        tokio::spawn(async move {
            let mut made = BTreeSet::new();
            for n in 0..10 {
                let mut transaction = pool.begin().await.expect("a transaction");
                let id: i64 = sqlx::query_scalar("INSERT INTO people (name) VALUES ($1) RETURNING id")
                    .bind(format!("{writer}.{n}"))
                    .fetch_one(&mut *transaction)
                    .await
                    .expect("a row");
                if (writer + n) % 3 == 0 {
                    transaction.rollback().await.expect("a rollback");
                } else {
                    transaction.commit().await.expect("a commit");
                    made.insert(id.to_string());
                }
            }
            made
        })
    });
    let writers: Vec<_> = writers.collect();
    let (mut seen, mut place) = (BTreeSet::new(), start);
    while !writers.iter().all(tokio::task::JoinHandle::is_finished) {
        let (changed, _, next) = lab.rest(&place).await;
        for id in changed {
            assert!(seen.insert(id.clone()), "row {id} is told twice");
        }
        place = next;
        tokio::task::yield_now().await;
    }
    seen.extend(lab.rest(&place).await.0);
    let mut made = BTreeSet::new();
    for writer in writers {
        made.extend(writer.await.expect("a writer"));
    }
    assert_eq!(seen, made);
}

async fn a_wait_ends_with_a_change_or_with_patience(capture: &str) {
    let lab = Lab::people_by(capture).await;
    let start = lab.end().await;
    let wait = |after: String, patience| {
        let lab = &lab;
        async move { lab.log().wait(&lab.credentials, &lab.object.into(), &after, patience).await.expect("a wait") }
    };
    wait(start.clone(), Duration::from_millis(5)).await;
    let long = Duration::from_secs(3_600);
    let write = async {
        lab.database.run("INSERT INTO people (name) VALUES ('Ann')").await;
    };
    tokio::join!(wait(start.clone(), long), write);
    // What came before the wait ends it at once, also when its notice was heard by an earlier one.
    wait(start.clone(), long).await;
    let (changed, _, next) = lab.rest(&start).await;
    assert_eq!(changed, ids(&["1"]));
    wait(next.clone(), Duration::from_millis(5)).await;
    // What lies before the position hides nothing of what follows.
    let part = lab.changes(&next, 100).await.expect("changes");
    lab.database.run("UPDATE people SET title = 'CEO'").await;
    wait(part.next.clone(), long).await;
    // Nor does it where what follows was read, and not asked for further.
    let last = lab.changes(&part.next, 100).await.expect("changes");
    assert_eq!(last.changed, ["1".into()]);
    let last = last.next;
    lab.database.run("UPDATE people SET title = 'CTO'").await;
    wait(last, long).await;
}

async fn a_key_that_changes_is_another_row(capture: &str) {
    let lab = Lab::of(
        "CREATE TABLE parts (maker text, number int, label text, PRIMARY KEY (maker, number))",
        "parts",
        json!({ "capture": capture }),
    )
    .await;
    let start = lab.end().await;
    lab.database.run("INSERT INTO parts VALUES ('a \"b\"', 1, 'x'), ('c', 2, 'y')").await;
    let (changed, _, next) = lab.rest(&start).await;
    let first = r#"["a \"b\"", "1"]"#;
    assert_eq!(changed, ids(&[first, r#"["c", "2"]"#]));
    let row = lab.one(first, &["maker", "number", "label"]).await;
    assert_eq!((row.deleted, &row.fields["label"], &row.fields["number"]), (false, &json!("x"), &json!(1)));
    lab.database.run("UPDATE parts SET number = number + 1").await;
    let (changed, deleted, _) = lab.rest(&next).await;
    assert_eq!(changed, ids(&[r#"["a \"b\"", "2"]"#, r#"["c", "3"]"#]));
    assert_eq!(deleted, ids(&[first, r#"["c", "2"]"#]));
    assert!(lab.one(first, &["label"]).await.deleted);
    // Renamed columns and tables are still followed, and their writers are not disturbed.
    lab.database
        .run("ALTER TABLE parts RENAME COLUMN maker TO vendor; UPDATE parts SET label = 'z' WHERE number = 3")
        .await;
}

async fn what_is_installed_can_be_taken_away(capture: &str) {
    let lab = Lab::people_by(capture).await;
    let objects = [lab.object.into()];
    let installer = lab.installer();
    let again = installer.install(&lab.credentials, &objects).await.expect("a plan");
    assert!(again.iter().all(|step| step.statement.is_none()), "once is enough: {again:?}");
    let start = lab.end().await;
    for step in installer.uninstall(&lab.credentials, &objects).await.expect("a plan") {
        assert!(!step.what.is_empty());
        installer.carry_out(&lab.credentials, &step).await.expect("it is taken away");
    }
    let left: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM pg_namespace WHERE nspname = 'syncline') + (SELECT count(*) FROM pg_trigger \
         WHERE NOT tgisinternal) + (SELECT count(*) FROM pg_publication) + (SELECT count(*) FROM pg_replication_slots \
         WHERE database = current_database())",
    )
    .fetch_one(&lab.database.pool)
    .await
    .expect("a count");
    assert_eq!(left, 0);
    let end = lab.log().end(&lab.credentials, &lab.object.into()).await;
    assert_eq!(end.as_ref().map_err(|error| &error.remedy).err(), Some(&Remedy::Configure), "{end:?}");
    lab.install().await;
    let anew = lab.changes(&start, 10).await;
    assert_eq!(anew.map_err(|error| error.remedy).err(), Some(Remedy::Resync), "another log than before");
}
