//! Between columns and values.

use sqlx::{Row as _, sqlite::SqliteRow};
use syncline_core::{ids::RecordId, repo::DocumentId, time::Millis};

use super::{Row, StoreError};

/// The columns of a record, in the order in which [`row`] reads them.
pub(super) const ROW: &str =
    "id, model, document, fields, deleted, version, held, stale, pending, refused, moving_to, listed";

/// Reads a record.
pub(super) fn row(found: &SqliteRow) -> Result<Row, StoreError> {
    let fields: &str = found.try_get(3)?;
    let moving_to: Option<&[u8]> = found.try_get(10)?;
    Ok(Row {
        record: record(found.try_get(0)?)?,
        model: found.try_get::<&str, _>(1)?.into(),
        document: document(found.try_get(2)?)?,
        fields: serde_json::from_str(fields).map_err(|error| StoreError::Damaged(error.to_string()))?,
        deleted: found.try_get::<Option<i64>, _>(4)?.map(Millis),
        version: found.try_get::<i64, _>(5)?.cast_unsigned(),
        held: found.try_get(6)?,
        stale: found.try_get(7)?,
        pending: found.try_get(8)?,
        refused: found.try_get(9)?,
        moving_to: moving_to.map(document).transpose()?,
        listed: found.try_get::<i64, _>(11)?.cast_unsigned(),
    })
}

/// Reads a record's id.
pub(super) fn record(bytes: &[u8]) -> Result<RecordId, StoreError> {
    Ok(RecordId(uuid::Uuid::from_bytes(exactly(bytes)?)))
}

/// Reads a document's id.
pub(super) fn document(bytes: &[u8]) -> Result<DocumentId, StoreError> {
    Ok(DocumentId::from_bytes(exactly(bytes)?))
}

/// Reads bytes of known number.
pub(super) fn exactly<const N: usize>(bytes: &[u8]) -> Result<[u8; N], StoreError> {
    bytes.try_into().map_err(|_| StoreError::Damaged(format!("{} bytes stand where {N} belong", bytes.len())))
}
