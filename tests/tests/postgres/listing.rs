//! A list while everybody writes, and the log behind it: together they are the whole table.

use std::collections::BTreeMap;

use serde_json::Value;
use sqlx::AssertSqlSafe;
use syncline_core::{
    read::{Backfill, ReadSpec, Step},
    remote::CursorFacts,
    time::Millis,
};

use crate::{
    for_both_captures,
    lab::{Lab, PEOPLE},
};

for_both_captures!(a_list_and_its_log_are_the_whole_table);

const ROWS: i64 = 1_500;
const WRITERS: i64 = 6;
const ROUNDS: i64 = 60;

/// Changes, deletes and adds rows all over the table; some of it in transactions that end late, or are taken back.
async fn write(lab: &Lab, writer: i64) {
    for round in 0..ROUNDS {
        let id = 1 + (writer * 251 + round * 97) % ROWS;
        let mut transaction = lab.database.pool.begin().await.expect("a transaction");
        let statements = format!(
            "UPDATE people SET title = '{writer}.{round}' WHERE id = {id}; \
             DELETE FROM people WHERE id = {id} AND {round} % 5 = 0; \
             INSERT INTO people (name) SELECT '{writer}.{round}' WHERE {round} % 3 = 0"
        );
        // Two who wait for each other's rows: the one that is told so has changed nothing.
        let done = sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut *transaction).await;
        tokio::task::yield_now().await;
        if done.is_ok() && round % 7 != 0 {
            transaction.commit().await.expect("a commit");
        }
    }
}

async fn a_list_and_its_log_are_the_whole_table(capture: &str) {
    let rows = format!("{PEOPLE} INSERT INTO people (name) SELECT 'Person ' || n FROM generate_series(1, {ROWS}) AS n");
    let lab = Lab::of(&rows, "people", serde_json::json!({ "capture": capture })).await;
    let start = lab.end().await;
    let reader = lab.connector.reader();
    let spec = ReadSpec {
        object: lab.object.into(),
        fields: vec!["title".to_owned()],
        facts: CursorFacts { page_max: 40, ..reader.cursor(&lab.object.into()) },
        deleted: false,
    };
    let mut known: BTreeMap<String, Value> = BTreeMap::new();
    let list = async {
        let mut machine = Backfill::begin(spec, Millis(0));
        while let Step::Fetch(request) = machine.next() {
            let page = reader.page(&lab.credentials, &request).await.expect("a page");
            machine.page(&page).expect("the list advances");
            known.extend(page.objects.into_iter().map(|row| (row.id.to_string(), row.fields["title"].clone())));
            tokio::task::yield_now().await;
        }
    };
    let writers = futures_util::future::join_all((0..WRITERS).map(|writer| write(&lab, writer)));
    tokio::join!(list, writers);
    let mut after = start;
    loop {
        let changes = lab.changes(&after, 50).await.expect("changes");
        let ids: Vec<&str> = changes.changed.iter().chain(&changes.deleted).map(|id| id.as_str()).collect();
        for row in lab.by_id(&ids, &["title"]).await.expect("the rows are read") {
            assert!(row.version.is_some());
            match row.deleted {
                true => drop(known.remove(row.id.as_str())),
                false => drop(known.insert(row.id.to_string(), row.fields["title"].clone())),
            }
        }
        after = changes.next;
        if !changes.more {
            break;
        }
    }
    let stored: Vec<(String, Option<String>)> =
        sqlx::query_as("SELECT id::text, title FROM people").fetch_all(&lab.database.pool).await.expect("rows");
    assert!(stored.iter().any(|(_, title)| title.is_some()), "somebody has written");
    let stored: BTreeMap<String, Value> = stored.into_iter().map(|(id, title)| (id, Value::from(title))).collect();
    assert_eq!(known, stored);
}
