//! Writing: a transaction for each row, some at the same time, so that no row spoils another.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::stream::{FuturesUnordered, StreamExt};
use sqlx::{PgConnection, Transaction, postgres::PgDatabaseError};
use syncline_core::{
    ids::{ExternalId, ObjectName},
    remote::{ProviderError, Remedy, RemoteVersion, WriteOutcome, WriteRequest, WriteResult, WriteVerb},
};

use super::{
    Postgres,
    change::{self, Change},
    database::Database,
    errors,
    rows::{self, Shape},
    table::Table,
};
use crate::{
    connector::{Credentials, Writer},
    rest::{Outcomes, batches},
};

/// Rows of one call of the engine.
const ROWS_MAX: usize = 100;

/// So long may a row take until its commit is sent. Together with the server's own limits this ends before the engine counts on
/// it that nothing is under way any more.
const ROW_TIMEOUT: Duration = Duration::from_secs(20);

/// Who notes say has written, where it was us.
pub(super) const AUTHOR: &str = "syncline";

#[async_trait]
impl Writer for Postgres {
    fn batch_max(&self) -> usize {
        ROWS_MAX
    }

    fn conditional(&self) -> bool {
        true
    }

    fn calls(&self, requests: &[WriteRequest]) -> u32 {
        u32::try_from(requests.len()).unwrap_or(u32::MAX)
    }

    async fn write(&self, credentials: &Credentials, requests: &[WriteRequest], fields: &[String]) -> Vec<WriteResult> {
        let mut outcomes = Outcomes::default();
        let database = match self.database(credentials) {
            Ok(database) => database,
            Err(error) => {
                outcomes.settle_all(&requests.iter().collect::<Vec<_>>(), &WriteOutcome::NotApplied(error));
                return outcomes.finish(requests);
            }
        };
        // A connection stays free for reads.
        let together = self.settings.connections_max.saturating_sub(1).max(1) as usize;
        let mut unreached = None;
        for wave in batches(requests, usize::MAX, target) {
            let mut waiting = wave.into_iter();
            let mut under_way = FuturesUnordered::new();
            loop {
                while under_way.len() < together && unreached.is_none() {
                    let Some(row) = waiting.next() else { break };
                    let database = &database;
                    under_way.push(async move { (row, write_row(database, row, fields).await) });
                }
                let Some((row, written)) = under_way.next().await else { break };
                let outcome = written.unwrap_or_else(|Unreached(error)| {
                    unreached = Some(error.clone());
                    WriteOutcome::NotApplied(error)
                });
                outcomes.settle(row, outcome);
            }
            if let Some(error) = &unreached {
                outcomes.settle_all(&waiting.collect::<Vec<_>>(), &WriteOutcome::NotApplied(error.clone()));
            }
        }
        outcomes.finish(requests)
    }
}

fn target(row: &&WriteRequest) -> Option<(ObjectName, String)> {
    let name = match &row.verb {
        WriteVerb::Update { id, .. } | WriteVerb::Delete { id, .. } => format!("id {id}"),
        WriteVerb::Create { key } => format!("key {}", key.as_ref()?.value),
    };
    Some((row.object.clone(), name))
}

/// No connection was to be had: other rows need not try.
struct Unreached(ProviderError);

/// Writes a row in a transaction of its own. Until its commit is sent nothing of it can last.
async fn write_row(database: &Database, row: &WriteRequest, fields: &[String]) -> Result<WriteOutcome, Unreached> {
    let table = match database.table(&row.object).await {
        Ok(table) => table,
        Err(error) if error.remedy == Remedy::Configure => return Ok(WriteOutcome::NotApplied(error)),
        Err(error) => return Err(Unreached(error)),
    };
    let transaction = database.pool.begin().await.map_err(|error| Unreached(errors::classify(&error)))?;
    let committing = AtomicBool::new(false);
    let written = tokio::time::timeout(ROW_TIMEOUT, carry_through(transaction, &table, row, fields, &committing)).await;
    Ok(match written {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) if committing.load(Ordering::Relaxed) && is_in_doubt(&error) => {
            WriteOutcome::Unknown { message: "the connection was lost while the row was committed".to_owned() }
        }
        Ok(Err(error)) => ended(database, &table, row, &error).await,
        Err(_) if committing.load(Ordering::Relaxed) => {
            WriteOutcome::Unknown { message: "the commit of the row was not answered in time".to_owned() }
        }
        Err(_) => WriteOutcome::NotApplied(ProviderError {
            remedy: Remedy::Retry,
            message: format!("the row took longer than {} s and was not committed", ROW_TIMEOUT.as_secs()),
        }),
    })
}

/// Whether an error at a commit leaves open what became of it: the server did not say that it failed.
fn is_in_doubt(error: &sqlx::Error) -> bool {
    let code = errors::code(error);
    // The server goes down, or does not know itself.
    code.is_empty() || code.starts_with("57P") || matches!(code, "40003" | "08007")
}

async fn carry_through(
    mut transaction: Transaction<'_, sqlx::Postgres>,
    table: &Table,
    row: &WriteRequest,
    fields: &[String],
    committing: &AtomicBool,
) -> Result<WriteOutcome, sqlx::Error> {
    sqlx::query("SELECT set_config('syncline.author', $1, true)").bind(AUTHOR).execute(&mut *transaction).await?;
    let outcome = carry_out(&mut transaction, table, row, fields).await?;
    if matches!(outcome, WriteOutcome::Applied { .. }) {
        committing.store(true, Ordering::Relaxed);
        transaction.commit().await?;
    } else {
        transaction.rollback().await?;
    }
    Ok(outcome)
}

async fn carry_out(
    connection: &mut PgConnection,
    table: &Table,
    row: &WriteRequest,
    fields: &[String],
) -> Result<WriteOutcome, sqlx::Error> {
    match &row.verb {
        WriteVerb::Update { id, expected } => {
            if let Some(outcome) = held(connection, table, id, expected.as_ref()).await? {
                return Ok(outcome);
            }
            update(connection, table, id, row, fields).await
        }
        WriteVerb::Delete { id, expected } => {
            if let Some(outcome) = held(connection, table, id, expected.as_ref()).await? {
                return Ok(outcome);
            }
            match change::delete(connection, table, &known_key(table, id)).await? {
                0 => Ok(kept_out(table)),
                _ => Ok(WriteOutcome::Applied { id: id.clone(), created: false, object: None, whole: false }),
            }
        }
        WriteVerb::Create { key } => {
            let mut body = row.body.clone();
            if let Some(key) = key {
                if !table.is_unique(&key.field) {
                    return Ok(WriteOutcome::NotApplied(ProviderError {
                        remedy: Remedy::Configure,
                        message: format!(
                            "two rows of {} may hold one `{}`, which is to be the key of ours: give the column a unique index",
                            table.name, key.field
                        ),
                    }));
                }
                if let Some(id) = change::bearer(connection, table, key).await? {
                    let mut again = row.clone();
                    again.body.retain(|field, _| !table.is_key(field));
                    return update(connection, table, &id, &again, fields).await;
                }
                body.insert(key.field.clone(), key.value.clone().into());
            }
            let change = match Change::new(table, &body, true) {
                Ok(change) => change,
                Err(refused) => return Ok(WriteOutcome::Refused(refused)),
            };
            match change.insert(connection, table).await? {
                None => Ok(kept_out(table)),
                Some(id) => applied(connection, table, id, true, fields).await,
            }
        }
    }
}

async fn update(
    connection: &mut PgConnection,
    table: &Table,
    id: &ExternalId,
    row: &WriteRequest,
    fields: &[String],
) -> Result<WriteOutcome, sqlx::Error> {
    let change = match Change::new(table, &row.body, false) {
        Ok(change) => change,
        Err(refused) => return Ok(WriteOutcome::Refused(refused)),
    };
    if !change.is_empty() && change.update(connection, table, &known_key(table, id)).await? == 0 {
        return Ok(kept_out(table));
    }
    applied(connection, table, id.clone(), false, fields).await
}

/// Locks a row, so that nobody changes it until the transaction ends, and only then looks at its version: what somebody
/// committed before shows in it. The outcome is `None` where the row may be written.
async fn held(
    connection: &mut PgConnection,
    table: &Table,
    id: &ExternalId,
    expected: Option<&RemoteVersion>,
) -> Result<Option<WriteOutcome>, sqlx::Error> {
    let Some(key) = rows::key_of(table, id) else { return Ok(Some(WriteOutcome::Gone)) };
    if !change::lock(connection, table, &key).await? {
        return Ok(Some(WriteOutcome::Gone));
    }
    let Some(expected) = expected else { return Ok(None) };
    let Ok(bare) = Shape::new(table, &[]) else { return Ok(None) };
    let shown = rows::by_keys(&mut *connection, &bare, &[key]).await?.pop();
    let version = shown.and_then(|row| row.ok()?.version);
    Ok(version.filter(|version| version.newer_than(expected)).map(|_| WriteOutcome::Stale))
}

/// The row as it is after everything that the table's own triggers did to it.
async fn applied(
    connection: &mut PgConnection,
    table: &Table,
    id: ExternalId,
    created: bool,
    fields: &[String],
) -> Result<WriteOutcome, sqlx::Error> {
    let shown = match Shape::new(table, fields) {
        Ok(shape) => rows::by_keys(connection, &shape, &[known_key(table, &id)]).await?.pop(),
        Err(_) => None,
    };
    let object = shown.and_then(Result::ok).map(Box::new);
    let whole = object.as_ref().is_some_and(|object| object.version.is_some());
    Ok(WriteOutcome::Applied { id, created, object, whole })
}

fn known_key(table: &Table, id: &ExternalId) -> Vec<String> {
    rows::key_of(table, id).unwrap_or_else(|| vec![id.to_string()])
}

/// A trigger or a rule of the table's owner left the row as it was, without an error.
fn kept_out(table: &Table) -> WriteOutcome {
    let message = format!("a trigger, a rule or row security of {} left the row as it was", table.name);
    Outcomes::refused("kept_out", message, Vec::new())
}

/// How a row ended whose transaction failed, and so left nothing.
async fn ended(database: &Database, table: &Table, row: &WriteRequest, error: &sqlx::Error) -> WriteOutcome {
    let failed = database.failed(&row.object, error);
    let Some(server) = errors::server(error) else { return WriteOutcome::NotApplied(failed) };
    if server.code() == "23505" {
        return taken(database, table, row, server).await;
    }
    if !errors::blames_values(error) {
        return WriteOutcome::NotApplied(failed);
    }
    let about = server.constraint().and_then(|name| table.about.get(name)).cloned().unwrap_or_default();
    let mut fields: Vec<String> = server.column().map(str::to_owned).into_iter().chain(about).collect();
    if fields.is_empty() && server.code().starts_with("22") {
        fields = change::culprits(&database.pool, table, &row.body).await;
    }
    fields.dedup();
    Outcomes::refused(server.code(), server.message(), fields)
}

/// Another row holds a unique value. Where it holds our key, another attempt has made it meanwhile, and the next one will find it.
async fn taken(database: &Database, table: &Table, row: &WriteRequest, server: &PgDatabaseError) -> WriteOutcome {
    let columns = server.constraint().and_then(|name| table.about.get(name)).cloned().unwrap_or_default();
    let message = server.message().to_owned();
    match &row.verb {
        WriteVerb::Create { key: Some(key) } if columns == [key.field.clone()] => {
            WriteOutcome::NotApplied(ProviderError { remedy: Remedy::Retry, message })
        }
        WriteVerb::Create { .. } => {
            // A look that fails only leaves the row without its name.
            let id = change::holder(&database.pool, table, &columns, &row.body).await.ok().flatten();
            WriteOutcome::Exists { id, message }
        }
        _ => Outcomes::refused(server.code(), message, columns),
    }
}
