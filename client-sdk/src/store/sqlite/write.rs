//! The writes, one statement or two each.

use sqlx::{SqliteConnection, query};

use super::{Row, StoreError, Write};

/// Makes one write inside the transaction that the connection is in.
pub(super) async fn apply(connection: &mut SqliteConnection, write: &Write) -> Result<(), StoreError> {
    match write {
        Write::PutRow(row) => return put_row(connection, row).await,
        Write::DropRow(record) => {
            query("DELETE FROM record WHERE id = ?").bind(&record.0.as_bytes()[..]).execute(connection).await?;
        }
        Write::PutDocument { id, actor, saved, acked } => {
            let key = &id.as_bytes()[..];
            query("DELETE FROM change WHERE document = ?").bind(key).execute(&mut *connection).await?;
            query("INSERT OR REPLACE INTO document (id, actor, saved, acked) VALUES (?, ?, ?, ?)")
                .bind(key)
                .bind(&actor[..])
                .bind(&saved[..])
                .bind(acked.concat())
                .execute(connection)
                .await?;
        }
        Write::Append { id, changes } => {
            query(
                "INSERT INTO change (document, number, bytes)
                 SELECT ?1, coalesce((SELECT max(number) FROM change WHERE document = ?1), 0) + 1, ?2",
            )
            .bind(&id.as_bytes()[..])
            .bind(&changes[..])
            .execute(connection)
            .await?;
        }
        Write::Acknowledge { id, acked } => {
            query("UPDATE document SET acked = ? WHERE id = ?")
                .bind(acked.concat())
                .bind(&id.as_bytes()[..])
                .execute(connection)
                .await?;
        }
        Write::DropDocument(id) => {
            let key = &id.as_bytes()[..];
            query("DELETE FROM change WHERE document = ?").bind(key).execute(&mut *connection).await?;
            query("DELETE FROM document WHERE id = ?").bind(key).execute(connection).await?;
        }
        Write::PutSubset { subset, cursor, listing } => {
            query("INSERT OR REPLACE INTO subset (subset, cursor, listing) VALUES (?, ?, ?)")
                .bind(json(subset)?)
                .bind(cursor.map(|cursor| cursor.0.cast_signed()))
                .bind(listing.cast_signed())
                .execute(connection)
                .await?;
        }
        Write::DropSubset(subset) => {
            query("DELETE FROM subset WHERE subset = ?").bind(json(subset)?).execute(connection).await?;
        }
        Write::PutSetField { model, field } => {
            query("INSERT OR REPLACE INTO set_field (model, field) VALUES (?, ?)")
                .bind(model.as_str())
                .bind(field)
                .execute(connection)
                .await?;
        }
    }
    Ok(())
}

async fn put_row(connection: &mut SqliteConnection, row: &Row) -> Result<(), StoreError> {
    query(
        "INSERT OR REPLACE INTO record
         (id, model, document, fields, deleted, version, held, stale, pending, refused, moving_to, listed)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&row.record.0.as_bytes()[..])
    .bind(row.model.as_str())
    .bind(&row.document.as_bytes()[..])
    .bind(json(&row.fields)?)
    .bind(row.deleted.map(|at| at.0))
    .bind(row.version.cast_signed())
    .bind(row.held)
    .bind(row.stale)
    .bind(row.pending)
    .bind(&row.refused)
    .bind(row.moving_to.as_ref().map(|id| &id.as_bytes()[..]))
    .bind(row.listed.cast_signed())
    .execute(connection)
    .await?;
    Ok(())
}

fn json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Failed(error.to_string()))
}
