//! A table of PostgreSQL as one more subject, with its users, who speak SQL.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map, Value};
use sqlx::AssertSqlSafe;
use syncline_connectors::{
    connector::Credentials,
    registry::{self, Integration},
};
use syncline_tests::postgres::{PASSWORD, TestDatabase};

use crate::{
    side_door::{SideDoor, Stored},
    subject::{Can, Subject, Vocabulary, Wire},
};

/// As many people as the emulators have.
const PEOPLE: &str = "
CREATE TABLE people (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, syncline_id text UNIQUE,
    email text UNIQUE CHECK (email LIKE '%@%'), name text NOT NULL, title text
);
CREATE INDEX ON people (lower(email));
INSERT INTO people (email, name, title) SELECT n || '@example.org', 'Person ' || n, 'Clerk' FROM generate_series(1, 250) AS n;";

/// The table and its users.
pub(crate) struct People(TestDatabase);

impl Subject {
    /// A table, followed by triggers.
    pub(crate) async fn postgres() -> Self {
        let words = Vocabulary {
            object: "people",
            key: "syncline_id",
            email: "email",
            last_name: "name",
            title: "title",
            refused: ("email", "no address"),
            add_field: |name| panic!("a column such as {name} is its owner's to add"),
            stamp_step: Duration::from_millis(1),
            pace: Duration::ZERO,
            unreadable: None,
            can: Can {
                delete: true,
                restore: false,
                merge: false,
                tell_deletes: false,
                add_fields: false,
                search: true,
                refuse_stale: true,
                tell_never: false,
                meter: false,
                fail: false,
            },
        };
        let database = TestDatabase::create().await;
        database.run(PEOPLE).await;
        let settings = serde_json::json!({"capture": "triggers"});
        let integration = Integration { settings, ..Integration::default() };
        let connector =
            registry::build("postgres", integration, std::sync::Arc::new(Wire::new())).expect("the connector is built");
        let credentials = Credentials {
            access_token: PASSWORD.to_owned(),
            refresh_token: None,
            expires_at: None,
            base_url: Some(database.url.clone()),
        };
        let installer = connector.installer().expect("tables are prepared");
        for step in installer.install(&credentials, &["people".into()]).await.expect("a plan") {
            installer.carry_out(&credentials, &step).await.expect("it is installed");
        }
        Self::of_table(words, connector, credentials, SideDoor::of_table(People(database)))
    }
}

impl People {
    pub(crate) async fn create(&self, fields: &Value) -> String {
        let fields = fields.as_object().expect("fields");
        let values: Vec<String> = fields.values().map(literal).collect();
        let columns: Vec<&str> = fields.keys().map(String::as_str).collect();
        let statement =
            format!("INSERT INTO people ({}) VALUES ({}) RETURNING id::text", columns.join(", "), values.join(", "));
        sqlx::query_scalar(AssertSqlSafe(statement)).fetch_one(&self.0.pool).await.expect("a row")
    }

    pub(crate) async fn edit(&self, id: &str, fields: &Value) {
        let fields = fields.as_object().expect("fields");
        let sets: Vec<String> = fields.iter().map(|(name, value)| format!("{name} = {}", literal(value))).collect();
        self.0.run(&format!("UPDATE people SET {} WHERE id = {id}", sets.join(", "))).await;
    }

    pub(crate) async fn delete(&self, id: &str) {
        self.0.run(&format!("DELETE FROM people WHERE id = {id}")).await;
    }

    /// Everything that is stored. What was deleted is not.
    pub(crate) async fn stored(&self) -> BTreeMap<String, Stored> {
        let rows: Vec<(String, String)> = sqlx::query_as("SELECT id::text, to_json(people)::text FROM people")
            .fetch_all(&self.0.pool)
            .await
            .expect("rows");
        let stored = |text: String| {
            let fields: Map<String, Value> = serde_json::from_str(&text).expect("a row is an object");
            Stored { deleted: false, fields: Value::Object(fields) }
        };
        rows.into_iter().map(|(id, text)| (id, stored(text))).collect()
    }

    /// A database has no faults of its own to be switched on.
    pub(crate) fn weather(&self, name: &str) {
        assert!(["off", "storm"].contains(&name), "{name} is no weather");
    }
}

/// A value in a statement.
fn literal(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::String(text) => format!("'{}'", text.replace('\'', "''")),
        other => format!("'{other}'"),
    }
}
