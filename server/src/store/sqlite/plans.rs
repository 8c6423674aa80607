//! The plans that SQLite makes of the hot statements: each finds its rows by an index.

use sqlx::{AssertSqlSafe, Row};

use super::{SqliteStore, commit, conflicts, deliveries, documents, feed, held, identity, intake, issues, quarantine};

/// What a statement may read from end to end: what the caller gave it, and what it has found by an index itself.
const GIVEN: [&str; 8] = ["CONSTANT", "v", "ids", "wanted", "json_each", "(subquery-1)", "(subquery-2)", "f"];

#[tokio::test]
async fn hot_statements_find_their_rows_by_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("plans.db")).await.unwrap();
    let mut statements: Vec<String> = commit::HOT.iter().map(|statement| statement.over_one_row()).collect();
    statements.extend(
        [
            &intake::HOT[..],
            &conflicts::HOT,
            &deliveries::HOT,
            &documents::HOT,
            &feed::HOT,
            &held::HOT,
            &identity::HOT,
            &issues::HOT,
            &quarantine::HOT,
        ]
        .concat()
        .into_iter()
        .map(str::to_owned),
    );
    for statement in statements {
        for step in plan(&store, &statement).await {
            let scanned = step.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
            let fine = scanned.is_none_or(|name| GIVEN.contains(&name)) && !step.contains("TEMP B-TREE");
            assert!(fine, "`{step}` in the plan of {statement}");
        }
    }
    let whole = plan(&store, "SELECT * FROM records WHERE version = 1 ORDER BY version").await;
    assert_eq!(whole, ["SCAN records"], "a plan that reads a table from end to end is told as such");
}

async fn plan(store: &SqliteStore, statement: &str) -> Vec<String> {
    let explain = format!("EXPLAIN QUERY PLAN {statement}");
    let steps = sqlx::query(AssertSqlSafe(explain)).fetch_all(&store.shared.readers).await.unwrap();
    steps.iter().map(|step| step.try_get("detail").unwrap()).collect()
}
