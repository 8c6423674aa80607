//! The readings.

use sqlx::{AssertSqlSafe, QueryBuilder, Row as _, Sqlite, SqliteConnection, query, query_scalar};
use syncline_core::{
    ids::{ModelName, RecordId},
    live::{Cursor, Filter},
    repo::DocumentId,
};

use super::{Row, RowQuery, SetFields, StoreError, StoredDocument, SubsetState, Tally, values};

/// How many rows are read at once where a filter may leave most of them out.
const PAGE: usize = 500;

pub(super) async fn row(connection: &mut SqliteConnection, record: RecordId) -> Result<Option<Row>, StoreError> {
    let statement = AssertSqlSafe(format!("SELECT {} FROM record WHERE id = ?", values::ROW));
    let found = query(statement).bind(&record.0.as_bytes()[..]).fetch_optional(connection).await?;
    found.as_ref().map(values::row).transpose()
}

pub(super) async fn owner(connection: &mut SqliteConnection, id: DocumentId) -> Result<Option<Row>, StoreError> {
    let statement = AssertSqlSafe(format!("SELECT {} FROM record WHERE document = ? LIMIT 1", values::ROW));
    let found = query(statement).bind(&id.as_bytes()[..]).fetch_optional(connection).await?;
    found.as_ref().map(values::row).transpose()
}

pub(super) async fn mover(connection: &mut SqliteConnection, id: DocumentId) -> Result<Option<Row>, StoreError> {
    let statement = format!("SELECT {} FROM record WHERE moving_to IS NOT NULL AND moving_to = ? LIMIT 1", values::ROW);
    let found = query(AssertSqlSafe(statement)).bind(&id.as_bytes()[..]).fetch_optional(connection).await?;
    found.as_ref().map(values::row).transpose()
}

/// Reads pages until there is enough: the database leaves out what it can, and the filter itself has the last word.
pub(super) async fn rows(connection: &mut SqliteConnection, wanted: RowQuery<'_>) -> Result<Vec<Row>, StoreError> {
    let mut found = Vec::new();
    let mut after = wanted.after;
    while found.len() < wanted.limit {
        let page = page(connection, &wanted, after).await?;
        let is_last = page.len() < PAGE;
        after = page.last().map(|row| row.record);
        found.extend(page.into_iter().filter(|row| wanted.filter.matches(&row.fields)));
        if is_last {
            break;
        }
    }
    found.truncate(wanted.limit);
    Ok(found)
}

async fn page(
    connection: &mut SqliteConnection,
    wanted: &RowQuery<'_>,
    after: Option<RecordId>,
) -> Result<Vec<Row>, StoreError> {
    let mut statement = QueryBuilder::<Sqlite>::new(format!("SELECT {} FROM record WHERE model = ", values::ROW));
    statement.push_bind(wanted.model.as_str().to_owned()).push(" AND deleted IS NULL");
    if let Some(after) = after {
        statement.push(" AND id > ").push_bind(after.0.as_bytes().to_vec());
    }
    for (path, text) in texts(wanted.filter) {
        // Of a text this yields the text itself, and of a set its members.
        statement.push(" AND EXISTS (SELECT 1 FROM json_each(record.fields, ").push_bind(path);
        statement.push(") WHERE value = ").push_bind(text).push(")");
    }
    statement.push(format!(" ORDER BY id LIMIT {PAGE}"));
    statement.build().fetch_all(connection).await?.iter().map(values::row).collect()
}

/// The conditions that the database can check: fields that must be, or contain, a text.
fn texts(filter: &Filter) -> impl Iterator<Item = (String, String)> {
    filter.0.iter().filter_map(|(name, wanted)| {
        let plain = !name.as_str().contains(['"', '\\']);
        let text = wanted.as_str().filter(|_| plain)?;
        Some((format!("$.\"{name}\""), text.to_owned()))
    })
}

pub(super) async fn document(
    connection: &mut SqliteConnection,
    id: DocumentId,
) -> Result<Option<StoredDocument>, StoreError> {
    let key = &id.as_bytes()[..];
    let found = query("SELECT actor, saved, acked FROM document WHERE id = ?")
        .bind(key)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(found) = found else { return Ok(None) };
    let changes = query_scalar("SELECT bytes FROM change WHERE document = ? ORDER BY number").bind(key);
    Ok(Some(StoredDocument {
        actor: values::exactly(found.try_get(0)?)?,
        saved: found.try_get(1)?,
        changes: changes.fetch_all(connection).await?,
        acked: found.try_get::<&[u8], _>(2)?.chunks(32).map(values::exactly).collect::<Result<_, _>>()?,
    }))
}

pub(super) async fn stale(
    connection: &mut SqliteConnection,
    after: Option<RecordId>,
    limit: usize,
) -> Result<Vec<(RecordId, DocumentId)>, StoreError> {
    let found =
        query("SELECT id, document FROM record WHERE stale = 1 AND refused IS NULL AND id > ? ORDER BY id LIMIT ?")
            .bind(above(after))
            .bind(rows_at_most(limit))
            .fetch_all(connection)
            .await?;
    found.iter().map(|row| Ok((values::record(row.try_get(0)?)?, values::document(row.try_get(1)?)?))).collect()
}

pub(super) async fn unlisted(
    connection: &mut SqliteConnection,
    model: &ModelName,
    listing: u64,
    after: Option<RecordId>,
    limit: usize,
) -> Result<Vec<RecordId>, StoreError> {
    let found: Vec<Vec<u8>> =
        query_scalar("SELECT id FROM record WHERE model = ? AND listed < ? AND id > ? ORDER BY id LIMIT ?")
            .bind(model.as_str())
            .bind(listing.cast_signed())
            .bind(above(after))
            .bind(rows_at_most(limit))
            .fetch_all(connection)
            .await?;
    found.iter().map(|id| values::record(id)).collect()
}

pub(super) async fn tally(connection: &mut SqliteConnection) -> Result<Tally, StoreError> {
    let records: i64 =
        query_scalar("SELECT count(*) FROM record WHERE deleted IS NULL").fetch_one(&mut *connection).await?;
    let stale: i64 = query_scalar("SELECT count(*) FROM record WHERE stale = 1 AND refused IS NULL")
        .fetch_one(&mut *connection)
        .await?;
    let open = query(
        "SELECT coalesce(sum(CASE WHEN refused IS NULL THEN pending ELSE 0 END), 0),
                coalesce(sum(CASE WHEN refused IS NULL THEN 0 ELSE pending END), 0)
         FROM record WHERE pending > 0",
    )
    .fetch_one(connection)
    .await?;
    let count = |number: i64| u64::try_from(number).unwrap_or_default();
    Ok(Tally {
        records: count(records),
        pending: count(open.try_get(0)?),
        refused: count(open.try_get(1)?),
        stale: count(stale),
    })
}

pub(super) async fn subsets(connection: &mut SqliteConnection) -> Result<Vec<SubsetState>, StoreError> {
    let found = query("SELECT subset, cursor, listing FROM subset ORDER BY subset").fetch_all(connection).await?;
    let read = |row: &sqlx::sqlite::SqliteRow| {
        let subset = serde_json::from_str(row.try_get(0)?).map_err(|error| StoreError::Damaged(error.to_string()))?;
        let cursor = row.try_get::<Option<i64>, _>(1)?.map(|cursor| Cursor(cursor.cast_unsigned()));
        Ok(SubsetState { subset, cursor, listing: row.try_get::<i64, _>(2)?.cast_unsigned() })
    };
    found.iter().map(read).collect()
}

pub(super) async fn set_fields(connection: &mut SqliteConnection) -> Result<SetFields, StoreError> {
    let mut fields = SetFields::new();
    for row in query("SELECT model, field FROM set_field").fetch_all(connection).await? {
        fields.entry(row.try_get::<&str, _>(0)?.into()).or_default().insert(row.try_get(1)?);
    }
    Ok(fields)
}

/// Every id is above an empty one.
fn above(after: Option<RecordId>) -> Vec<u8> {
    after.map(|record| record.0.as_bytes().to_vec()).unwrap_or_default()
}

fn rows_at_most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
