//! Reading rows: whole tables by their keys, single rows by id, schemas, and the server's clock.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use sqlx::AssertSqlSafe;
use syncline_core::{
    ids::{ExternalId, ObjectName},
    remote::{
        CursorFacts, Key, ObjectSchema, Page, PageRequest, ProviderError, Raw, Remedy, RemoteObject, Walk, Window,
    },
    time::Millis,
};

use super::{
    Postgres,
    database::Database,
    describe, errors, find,
    rows::{self, Shape},
    table::{Capture, Table},
};
use crate::connector::{Credentials, Deleted, Probe, Reader};

/// The most rows of a page.
const ROWS_MAX: u32 = 2_000;
/// The most ids of a read.
const IDS_MAX: usize = 500;

#[async_trait]
impl Reader for Postgres {
    /// Changes come by the feed: no window of time is ever read.
    fn cursor(&self, _object: &ObjectName) -> CursorFacts {
        CursorFacts {
            walk: Walk::IdWithinWindow,
            precision_ms: 1,
            lag_ms: 0,
            overlap_ms: 0,
            rows_max: None,
            page_max: ROWS_MAX,
            tokens_shift: false,
        }
    }

    fn by_id_max(&self) -> usize {
        IDS_MAX
    }

    fn keeps_history(&self) -> bool {
        false
    }

    async fn page(&self, credentials: &Credentials, request: &PageRequest) -> Result<Page, ProviderError> {
        if request.window.is_some() {
            let message = "tables are not read by time: their changes come by the feed".to_owned();
            return Err(ProviderError { remedy: Remedy::Configure, message });
        }
        if request.deleted {
            // Deletes come by the feed as well.
            return Ok(Page::default());
        }
        let database = self.database(credentials)?;
        let table = database.table(&request.object).await?;
        page(&database, &table, request).await
    }

    async fn by_id(
        &self,
        credentials: &Credentials,
        object: &ObjectName,
        ids: &[ExternalId],
        fields: &[String],
        _history: bool,
    ) -> Result<Vec<RemoteObject>, ProviderError> {
        let database = self.database(credentials)?;
        let table = database.table(object).await?;
        by_id(&database, &table, object, ids, fields).await
    }

    async fn deleted(
        &self,
        _credentials: &Credentials,
        _object: &ObjectName,
        _window: Window,
    ) -> Result<Option<Deleted>, ProviderError> {
        Ok(None)
    }

    async fn find(
        &self,
        credentials: &Credentials,
        object: &ObjectName,
        searches: &[Vec<Key>],
        fields: &[String],
    ) -> Result<Vec<RemoteObject>, ProviderError> {
        let database = self.database(credentials)?;
        let table = database.table(object).await?;
        find::find(&database, &table, object, searches, fields).await
    }

    async fn describe(&self, credentials: &Credentials, object: &ObjectName) -> Result<ObjectSchema, ProviderError> {
        let table = self.database(credentials)?.look_at_table(object).await?;
        Ok(describe::schema(&table))
    }

    async fn probe(&self, credentials: &Credentials) -> Result<Probe, ProviderError> {
        let database = self.database(credentials)?;
        let statement =
            format!("SELECT {}, current_user || '@' || current_database()", rows::milliseconds("clock_timestamp()"));
        let (now, account): (i64, String) = sqlx::query_as(AssertSqlSafe(statement))
            .fetch_one(&database.pool)
            .await
            .map_err(|error| errors::classify(&error))?;
        Ok(Probe { now: Millis(now), account })
    }
}

/// A page in the order of the key. A page is what one statement shows at one moment; rows that change or come meanwhile are the
/// feed's, whose position was taken before the first page.
async fn page(database: &Database, table: &Table, request: &PageRequest) -> Result<Page, ProviderError> {
    let shape = Shape::new(table, &request.fields)?;
    let order = table.key().map(|column| rows::of_row(&column.name)).collect::<Vec<_>>().join(", ");
    let after = request.token.as_deref().map(ExternalId::from).or(request.after.as_ref().map(|place| place.id.clone()));
    let after = match &after {
        None => None,
        Some(id) => Some(rows::key_of(table, id).ok_or_else(|| ProviderError {
            remedy: Remedy::Restart,
            message: "the page's place is no key of this table".to_owned(),
        })?),
    };
    let mut statement = shape.select();
    if after.is_some() {
        let places = table.key().enumerate();
        let values = places.map(|(place, column)| format!("${}::text::{}", place + 1, column.plain));
        statement += &format!(" WHERE ({order}) > ({})", values.collect::<Vec<_>>().join(", "));
    }
    let limit = request.limit.clamp(1, ROWS_MAX);
    statement += &format!(" ORDER BY {order} LIMIT {limit}");
    let mut query = sqlx::query(AssertSqlSafe(statement));
    for text in after.into_iter().flatten() {
        query = query.bind(text);
    }
    let failed = |error: sqlx::Error| database.failed(&request.object, &error);
    let found = query.fetch_all(&database.pool).await.map_err(failed)?;
    let mut page = Page::default();
    let mut last = None;
    for row in &found {
        let read = shape.read(row).map_err(failed)?;
        last = match &read {
            Ok(object) => Some(object.id.to_string()),
            Err(malformed) => malformed.id.as_ref().map(ToString::to_string),
        };
        match read {
            Ok(object) => page.objects.push(object),
            Err(malformed) => {
                database.forget(&request.object);
                page.malformed.push(malformed);
            }
        }
    }
    // One statement shows all that is there: fewer rows than were asked for are the last.
    page.next = last.filter(|_| found.len() as u32 == limit);
    Ok(page)
}

/// The rows with these ids. What is not there is deleted: a table read by its key hides nothing but what row security hides.
pub(super) async fn by_id(
    database: &Database,
    table: &Table,
    object: &ObjectName,
    ids: &[ExternalId],
    fields: &[String],
) -> Result<Vec<RemoteObject>, ProviderError> {
    let shape = Shape::new(table, fields)?;
    let wanted: BTreeSet<&ExternalId> = ids.iter().collect();
    let askable: Vec<(&ExternalId, Vec<String>)> =
        wanted.iter().filter_map(|id| Some((*id, rows::key_of(table, id)?))).collect();
    let keys: Vec<Vec<String>> = askable.iter().map(|(_, key)| key.clone()).collect();
    let mut found = Vec::new();
    let mut no_ids = BTreeSet::new();
    match rows::by_keys(&database.pool, &shape, &keys).await {
        Ok(rows) => found = rows,
        // One of them is no value of the key's type: each is asked for by itself.
        Err(error) if errors::code(&error).starts_with("22") => {
            for (id, key) in &askable {
                match rows::by_keys(&database.pool, &shape, std::slice::from_ref(key)).await {
                    Ok(rows) => found.extend(rows),
                    Err(error) if errors::code(&error).starts_with("22") => drop(no_ids.insert(*id)),
                    Err(error) => return Err(database.failed(object, &error)),
                }
            }
        }
        Err(error) => return Err(database.failed(object, &error)),
    }
    let mut objects = BTreeMap::new();
    for row in found {
        let row = row.map_err(|malformed| {
            database.forget(object);
            let id = malformed.id.map_or_else(String::new, |id| id.to_string());
            ProviderError { remedy: Remedy::Retry, message: format!("row {id}: {}", malformed.reason) }
        })?;
        objects.insert(row.id.clone(), row);
    }
    let missing: Vec<ExternalId> = wanted.into_iter().filter(|id| !objects.contains_key(*id)).cloned().collect();
    let mut ends = ends(database, table, object, &missing).await?;
    let mut objects: Vec<RemoteObject> = objects.into_values().collect();
    for id in missing {
        let is_id = rows::key_of(table, &id).is_some() && !no_ids.contains(&id);
        let end = ends.remove(&id).flatten().filter(|_| is_id);
        objects.push(rows::object(id, true, end.map(|ms| rows::at(Millis(ms))), Raw::new()));
    }
    Ok(objects)
}

/// When each of the missing rows ended, at the latest. Where row security hides rows, only a noted delete is one.
async fn ends(
    database: &Database,
    table: &Table,
    object: &ObjectName,
    missing: &[ExternalId],
) -> Result<BTreeMap<ExternalId, Option<i64>>, ProviderError> {
    if missing.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (oid, hides) = (table.oid, table.hides_rows);
    let time = match table.capture {
        Capture::Triggers => format!(
            "COALESCE((SELECT CASE WHEN c.deleted OR NOT {hides} THEN c.at END FROM syncline.changes c \
             WHERE c.object = {oid} AND c.id = k.id ORDER BY c.at DESC LIMIT 1), \
             CASE WHEN NOT {hides} THEN (SELECT s.since FROM syncline.kept s WHERE s.object = {oid}) END)"
        ),
        Capture::None | Capture::Decoding { .. } => format!("CASE WHEN NOT {hides} THEN statement_timestamp() END"),
    };
    let statement = format!("SELECT k.id, {} FROM unnest($1::text[]) AS k(id)", rows::milliseconds(&time));
    let ids: Vec<&str> = missing.iter().map(|id| id.as_str()).collect();
    let ends: Vec<(String, Option<i64>)> = sqlx::query_as(AssertSqlSafe(statement))
        .bind(ids)
        .fetch_all(&database.pool)
        .await
        .map_err(|error| database.failed(object, &error))?;
    Ok(ends.into_iter().map(|(id, end)| (ExternalId::from(id), end)).collect())
}
