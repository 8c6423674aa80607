//! The floor: the same records as Automerge documents in a SQLite table, and nothing else. It shares no code with the
//! store or the core, so that it cannot be slow for the same reason.

use automerge::{ActorId, Automerge, ObjType, ROOT, ReadDoc, ScalarValue, hydrate, transaction::Transactable};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Row, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use syncline_core::value::{Fields, Value};
use tempfile::TempDir;

use crate::Result;

/// Rows in one statement, as many as the store's statements have.
const ROWS_PER_STATEMENT: usize = 128;

/// A database with documents.
pub(crate) struct Floor {
    connection: SqliteConnection,
    actor: ActorId,
    _folder: TempDir,
}

impl Floor {
    /// An empty database with the same durability as the service's: `synchronous=FULL`, write-ahead log.
    pub(crate) async fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut connection = SqliteConnectOptions::new()
            .filename(folder.path().join("floor.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("cache_size", "-65536")
            .pragma("wal_autocheckpoint", "8000")
            .disable_statement_logging()
            .connect()
            .await?;
        for table in [
            "CREATE TABLE documents (id INTEGER PRIMARY KEY, document BLOB NOT NULL)",
            "CREATE TABLE changes (id INTEGER NOT NULL, change BLOB NOT NULL)",
        ] {
            sqlx::query(table).execute(&mut connection).await?;
        }
        Ok(Self { connection, actor: ActorId::from([7; 16]), _folder: folder })
    }

    /// A document for each of the records, from one batch initialisation, saved and inserted in one transaction.
    pub(crate) async fn insert(&mut self, first: u64, records: &[Fields]) -> Result<()> {
        let documents = records.iter().map(|fields| self.document(fields)).collect::<Result<Vec<_>>>()?;
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        let mut ids = first as i64..;
        for rows in documents.chunks(ROWS_PER_STATEMENT) {
            let places = vec!["(?,?)"; rows.len()].join(",");
            let mut statement =
                sqlx::query(AssertSqlSafe(format!("INSERT INTO documents (id, document) VALUES {places}")));
            // The rows first: at their end no id is taken.
            for (document, id) in rows.iter().zip(ids.by_ref()) {
                statement = statement.bind(id).bind(document.as_slice());
            }
            statement.execute(&mut *transaction).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// One row, committed by itself.
    pub(crate) async fn append(&mut self, id: u64, bytes: &[u8]) -> Result<()> {
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("INSERT INTO changes (id, change) VALUES (?, ?)")
            .bind(id as i64)
            .bind(bytes)
            .execute(&mut *transaction)
            .await?;
        Ok(transaction.commit().await?)
    }

    fn document(&self, fields: &Fields) -> Result<Vec<u8>> {
        let mut document = Automerge::new().with_actor(self.actor.clone());
        let mut members = hydrate::Map::default();
        for (name, value) in fields {
            insert(&mut members, name.as_str(), hydrated(value));
        }
        let mut root = hydrate::Map::default();
        insert(&mut root, "fields", hydrate::Value::Map(members));
        let mut transaction = document.transaction();
        transaction.init_root_from_hydrate(&root)?;
        transaction.commit();
        Ok(document.save())
    }

    /// One field of one stored document is changed: loaded, put, the change saved and inserted in a transaction.
    pub(crate) async fn change(&mut self, id: u64, field: &str, value: &str) -> Result<()> {
        let row = sqlx::query("SELECT document FROM documents WHERE id = ?")
            .bind(id as i64)
            .fetch_one(&mut self.connection)
            .await?;
        let mut document = Automerge::load(row.try_get(0)?)?.with_actor(self.actor.clone());
        let before = document.get_heads();
        let mut transaction = document.transaction();
        let Some((automerge::Value::Object(ObjType::Map), map)) = transaction.get(ROOT, "fields")? else {
            return Err("a document of the floor has no fields".into());
        };
        transaction.put(&map, field, value)?;
        transaction.commit();
        let change = document.save_after(&before);
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("INSERT INTO changes (id, change) VALUES (?, ?)")
            .bind(id as i64)
            .bind(change)
            .execute(&mut *transaction)
            .await?;
        Ok(transaction.commit().await?)
    }
}

fn insert(map: &mut hydrate::Map, key: &str, value: hydrate::Value) {
    map.insert(key.to_owned(), hydrate::MapValue { value, conflict: false });
}

fn hydrated(value: &Value) -> hydrate::Value {
    let scalar = match value {
        Value::Null => ScalarValue::Null,
        Value::Bool(flag) => ScalarValue::Boolean(*flag),
        Value::Int(number) => ScalarValue::Int(*number),
        Value::Text(text) => ScalarValue::Str(text.as_str().into()),
        Value::Decimal(number) => ScalarValue::Str(number.to_string().into()),
        Value::Date(day) => ScalarValue::Str(day.to_string().into()),
        Value::DateTime(at) => ScalarValue::Timestamp(at.0),
        Value::Set(members) => {
            let mut map = hydrate::Map::default();
            for member in members {
                insert(&mut map, member, hydrate::Value::Scalar(ScalarValue::Boolean(true)));
            }
            return hydrate::Value::Map(map);
        }
    };
    hydrate::Value::Scalar(scalar)
}
