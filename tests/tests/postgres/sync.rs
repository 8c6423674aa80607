//! The binary between two databases, one followed by triggers and one by its own log.

use std::{collections::BTreeSet, net::TcpListener};

use syncline_tests::{
    api::KEY,
    patience::eventually,
    postgres::{PASSWORD, TestDatabase},
    process::{self, Process},
};
use tempfile::TempDir;

use crate::lab::PEOPLE;

/// A person as a table has them.
type Person = (Option<String>, String, Option<String>);

struct Stage {
    crm: TestDatabase,
    shop: TestDatabase,
    folder: TempDir,
    environment: Vec<(String, String)>,
}

impl Stage {
    async fn set() -> Self {
        let (crm, shop) = (TestDatabase::create().await, TestDatabase::create().await);
        for database in [&crm, &shop] {
            database.run(PEOPLE).await;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let text = include_str!("syncline.yaml")
            .replace("$PORT", &taken.local_addr().expect("an address").port().to_string())
            .replace("$CRM", &crm.url)
            .replace("$SHOP", &shop.url);
        std::fs::write(folder.path().join("syncline.yaml"), text).expect("a written configuration");
        let environment =
            [("SECRETS_KEY", "0123456789abcdef".repeat(4)), ("API_KEY", KEY.into()), ("DB_PASSWORD", PASSWORD.into())];
        let environment = environment.map(|(name, value)| (name.to_owned(), value)).to_vec();
        Self { crm, shop, folder, environment }
    }

    /// Runs a verb, which must go well; what it printed.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        let done = process::run(self.folder.path(), &self.environment, arguments);
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(done.status.success(), "{arguments:?}: {said}{}", String::from_utf8_lossy(&done.stderr));
        said
    }

    fn install(&self) {
        for connection in ["crm-db", "shop-db"] {
            let planned = self.run(&["connector", "postgres", "install", connection, "--dry-run"]);
            assert!(planned.contains("CREATE "), "{planned}");
            let done = self.run(&["connector", "postgres", "install", connection]);
            assert!(done.ends_with("-- Done.\n"), "{done}");
            assert!(self.run(&["connector", "postgres", "install", connection]).contains("Nothing is to be done"));
        }
    }

    fn serve(&self) -> Process {
        Process::serve(self.folder.path(), &self.environment, &self.folder.path().join("log"))
    }

    /// Waits until both tables hold exactly these people.
    async fn agree_on(&self, expected: &[(&str, &str, Option<&str>)]) {
        let expected: BTreeSet<Person> = expected
            .iter()
            .map(|(email, name, title)| (Some((*email).to_owned()), (*name).to_owned(), title.map(str::to_owned)))
            .collect();
        eventually("the tables agree", async || {
            for database in [&self.crm, &self.shop] {
                let rows = people(database).await;
                if rows.len() != expected.len() || rows.iter().cloned().collect::<BTreeSet<_>>() != expected {
                    return Err(format!("{rows:?}"));
                }
            }
            Ok(())
        })
        .await;
    }
}

async fn people(database: &TestDatabase) -> Vec<Person> {
    sqlx::query_as("SELECT email, name, title FROM people").fetch_all(&database.pool).await.expect("rows")
}

/// How many changes the triggers have noted, and how many of them are ours.
async fn noted(database: &TestDatabase) -> (i64, i64) {
    sqlx::query_as("SELECT count(*), count(author) FROM syncline.changes")
        .fetch_one(&database.pool)
        .await
        .expect("a count")
}

#[tokio::test]
async fn two_tables_are_the_same() {
    let stage = Stage::set().await;
    stage.crm.run("INSERT INTO people (email, name) VALUES ('ann@x.org', 'Ann'), ('ben@x.org', 'Ben')").await;
    stage
        .shop
        .run("INSERT INTO people (email, name, title) VALUES ('ben@x.org', 'Ben', 'CEO'), ('cleo@x.org', 'Cleo', NULL)")
        .await;
    let refused = process::run(stage.folder.path(), &stage.environment, &["check"]);
    assert!(!refused.status.success(), "check says that nothing is installed");
    let said = format!("{}{}", String::from_utf8_lossy(&refused.stdout), String::from_utf8_lossy(&refused.stderr));
    assert!(said.contains("syncline connector postgres install"), "{said}");
    stage.install();
    let checked = stage.run(&["check"]);
    assert!(checked.contains("are followed"), "{checked}");
    assert!(checked.contains("max_slot_wal_keep_size"), "check warns of a slot without a limit: {checked}");

    let server = stage.serve();
    let (ann, cleo) = (("ann@x.org", "Ann", None), ("cleo@x.org", "Cleo", None));
    stage.agree_on(&[ann, ("ben@x.org", "Ben", Some("CEO")), cleo]).await;

    // Edits, new rows and deletes go both ways, as they happen.
    stage.crm.run("UPDATE people SET title = 'CTO' WHERE email = 'ben@x.org'").await;
    stage.agree_on(&[ann, ("ben@x.org", "Ben", Some("CTO")), cleo]).await;
    stage.shop.run("UPDATE people SET name = 'Benjamin' WHERE email = 'ben@x.org'; DELETE FROM people WHERE email = 'cleo@x.org'").await;
    let ben = ("ben@x.org", "Benjamin", Some("CTO"));
    stage.agree_on(&[ann, ben]).await;
    stage.shop.run("INSERT INTO people (email, name) VALUES ('dan@x.org', 'Dan')").await;
    let dan = ("dan@x.org", "Dan", None);
    stage.agree_on(&[ann, ben, dan]).await;

    // What we wrote ourselves says so, and causes nothing more.
    let before = noted(&stage.crm).await;
    assert!(before.1 > 0 && before.1 < before.0, "{before:?}");
    stage.crm.run("UPDATE people SET title = title").await;
    stage.crm.run("UPDATE people SET title = 'Clerk' WHERE email = 'ann@x.org'").await;
    let ann = ("ann@x.org", "Ann", Some("Clerk"));
    stage.agree_on(&[ann, ben, dan]).await;
    assert_eq!(noted(&stage.crm).await, (before.0 + 4, before.1), "only users have written here since");

    // What happens while nobody looks is found afterwards.
    drop(server);
    stage.crm.run("DELETE FROM people WHERE email = 'dan@x.org'; INSERT INTO people (email, name) VALUES ('eve@x.org', 'Eve')").await;
    stage.shop.run("UPDATE people SET name = 'Anna' WHERE email = 'ann@x.org'").await;
    let server = stage.serve();
    stage.agree_on(&[("ann@x.org", "Anna", Some("Clerk")), ben, ("eve@x.org", "Eve", None)]).await;

    // A column that is renamed is left out, and nothing is cleared because of it.
    stage.shop.run("ALTER TABLE people RENAME COLUMN title TO job; UPDATE people SET name = 'Evelyn' WHERE email = 'eve@x.org'").await;
    eventually("the other columns are synced", async || {
        let rows = people(&stage.crm).await;
        rows.iter().any(|row| row.1 == "Evelyn").then_some(()).ok_or_else(|| format!("{rows:?}"))
    })
    .await;
    stage.crm.run("UPDATE people SET title = 'Boss' WHERE email = 'ann@x.org'").await;
    let titles = people(&stage.crm).await.into_iter().filter(|row| row.2.is_some()).count();
    assert_eq!(titles, 2, "nothing was cleared");
    drop(server);
    stage.shop.run("ALTER TABLE people RENAME COLUMN job TO title").await;
    let server = stage.serve();
    let anna = ("ann@x.org", "Anna", Some("Boss"));
    stage.agree_on(&[anna, ben, ("eve@x.org", "Evelyn", None)]).await;

    // A log that was shortened makes the table be listed again, and what is missing then is looked up.
    drop(server);
    stage
        .crm
        .run("DELETE FROM people WHERE email = 'eve@x.org'; UPDATE syncline.kept SET since = clock_timestamp(), shortened = (SELECT xid FROM syncline.changes ORDER BY xid DESC LIMIT 1); DELETE FROM syncline.changes")
        .await;
    let server = stage.serve();
    stage.agree_on(&[anna, ben]).await;
    drop(server);
    for connection in ["crm-db", "shop-db"] {
        stage.run(&["connector", "postgres", "uninstall", connection]);
    }
}
