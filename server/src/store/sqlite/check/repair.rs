//! Mending what can be mended without losing anything: a document from what proves it, a log from a sound document, a seal, and
//! rows that serve nobody.

use std::path::Path;

use sqlx::{Connection, Row, SqliteConnection};
use syncline_core::{
    document::{Document, Evidence},
    journal::ChangeEntry,
    writer::WriterEpochs,
};

use super::{
    Models,
    documents::{self, Stored},
    ties::ORPHANS,
};
use crate::store::{
    StoreError, WRITER_EPOCHS,
    sqlite::{
        codec::{decode, decode_epoch, encode_heads, seal_columns},
        open::{self, SqliteOptions},
        values::decode_fields,
    },
};

/// What was mended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Repaired {
    /// Documents that were made again as they had been committed.
    pub documents: u64,
    /// Logs that were begun again from sound documents.
    pub logs: u64,
    /// Checksums that were filled in.
    pub seals: u64,
    /// Rows that pointed at nothing.
    pub orphans: u64,
    /// Links and match keys that were put back.
    pub ties: u64,
}

/// Mends what can be mended without losing anything. No server may hold the database.
///
/// # Errors
/// The database is in use, or cannot be written; what was mended until then stays so.
pub async fn repair(path: &Path, models: &Models) -> Result<Repaired, StoreError> {
    let _claim = open::claim(path)?;
    let mut connection = open::read_write(&SqliteOptions::new(path)).await?;
    let mut repaired = Repaired::default();
    let mut after = 0;
    let writer = writer_epochs(&mut connection).await?;
    loop {
        let mut page = documents::page(&mut connection, after).await?;
        let Some(last) = page.last() else { break };
        after = last.pk;
        let mut tx = connection.begin().await?;
        for stored in &mut page {
            mend(&mut tx, stored, models, &writer, &mut repaired).await?;
        }
        tx.commit().await?;
    }
    let mut tx = connection.begin().await?;
    for (table, _, column) in ORPHANS {
        let statement =
            format!("DELETE FROM {table} WHERE NOT EXISTS (SELECT 1 FROM records r WHERE r.pk = {table}.{column})");
        repaired.orphans += sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut *tx).await?.rows_affected();
    }
    for statement in [
        "DELETE FROM document_chunks WHERE NOT EXISTS (SELECT 1 FROM documents d \
            WHERE d.tenant = document_chunks.tenant AND d.id = document_chunks.id)",
        "DELETE FROM damages WHERE NOT EXISTS (SELECT 1 FROM records r WHERE r.pk = damages.record)",
    ] {
        repaired.orphans += sqlx::query(statement).execute(&mut *tx).await?.rows_affected();
    }
    for statement in [
        // An object that another record has taken stays with it: that is for a person.
        "INSERT OR IGNORE INTO links (connection, object, external_id, record) \
         SELECT p.connection, p.replica ->> '$.object', p.replica ->> '$.link.id', p.record FROM replicas p \
         WHERE p.replica ->> '$.link.state' = 'linked' AND EXISTS (SELECT 1 FROM connections c WHERE c.pk = p.connection)",
        "DELETE FROM match_keys WHERE instr((SELECT r.match_keys FROM records r WHERE r.pk = match_keys.record), hash) = 0",
        "INSERT OR IGNORE INTO match_keys (hash, record) \
         WITH RECURSIVE part (record, keys, at) AS ( \
            SELECT pk, match_keys, 1 FROM records WHERE length(match_keys) >= 16 \
            UNION ALL SELECT record, keys, at + 16 FROM part WHERE at + 31 <= length(keys)) \
         SELECT substr(keys, at, 16), record FROM part",
    ] {
        repaired.ties += sqlx::query(statement).execute(&mut *tx).await?.rows_affected();
    }
    tx.commit().await?;
    connection.close().await?;
    Ok(repaired)
}

/// Makes one record's document, log and seal sound, as far as that is proved.
async fn mend(
    connection: &mut SqliteConnection,
    stored: &mut Stored,
    models: &Models,
    writer: &WriterEpochs,
    repaired: &mut Repaired,
) -> Result<(), StoreError> {
    let log = documents::log(connection, stored.pk).await?;
    let was_sealed = stored.sealed;
    if stored.document.verify().is_err() {
        let Some(document) = proved(connection, stored, &log, models, writer).await? else { return Ok(()) };
        stored.document = document;
        repaired.documents += 1;
    } else {
        repaired.seals += u64::from(!was_sealed);
        if stored.logged && !documents::log_holds(&log, &stored.document) {
            begin_log(connection, stored).await?;
            repaired.logs += 1;
        } else if was_sealed {
            return Ok(());
        }
    }
    let saved = stored.document.save().to_vec();
    let (bytes, sum) = seal_columns(stored.document.seal());
    sqlx::query("UPDATE records SET document = ?, heads = ?, document_bytes = ?, document_sum = ? WHERE pk = ?")
        .bind(saved)
        .bind(encode_heads(stored.document.heads()))
        .bind(bytes)
        .bind(sum)
        .bind(stored.pk)
        .execute(&mut *connection)
        .await?;
    sqlx::query("DELETE FROM damages WHERE record = ?").bind(stored.pk).execute(connection).await?;
    Ok(())
}

/// The document that was committed, where the log or the row proves it.
async fn proved(
    connection: &mut SqliteConnection,
    stored: &Stored,
    log: &[u8],
    models: &Models,
    writer: &WriterEpochs,
) -> Result<Option<Document>, StoreError> {
    let Some(model) = models.get(&(stored.tenant.clone(), stored.model.clone())) else { return Ok(None) };
    let row = sqlx::query(
        "SELECT epoch, epoch_revision, genesis, fields, (SELECT '[' || group_concat(entry) || ']' FROM \
            (SELECT j.entry FROM journal j WHERE j.record = r.pk AND j.revision >= r.epoch_revision \
             ORDER BY j.revision, j.n)) FROM records r WHERE pk = ?",
    )
    .bind(stored.pk)
    .fetch_one(connection)
    .await?;
    let mut journal: Vec<ChangeEntry> = match row.try_get::<Option<&str>, _>(4)? {
        Some(entries) => decode("the journal", entries)?,
        None => Vec::new(),
    };
    if let (0, Some(genesis)) = (row.try_get::<i64, _>(1)?, row.try_get::<Option<&str>, _>(2)?) {
        journal.insert(0, decode("a journal entry", genesis)?);
    }
    let known = Evidence {
        tenant: &stored.tenant,
        record: stored.id,
        epoch: decode_epoch(row.try_get(0)?)?,
        model,
        fields: &decode_fields(row.try_get(3)?)?,
        heads: stored.document.heads(),
        journal: &journal,
        writer,
    };
    Document::rebuilt(log, &known).map_err(|error| StoreError::Value(error.to_string()))
}

/// Begins a record's log again with the whole document.
async fn begin_log(connection: &mut SqliteConnection, stored: &mut Stored) -> Result<(), StoreError> {
    let saved = stored.document.save().to_vec();
    sqlx::query("DELETE FROM changes WHERE record = ?").bind(stored.pk).execute(&mut *connection).await?;
    sqlx::query("INSERT INTO changes (record, revision, chunk) SELECT pk, revision, ? FROM records WHERE pk = ?")
        .bind(saved)
        .bind(stored.pk)
        .execute(connection)
        .await?;
    Ok(())
}

async fn writer_epochs(connection: &mut SqliteConnection) -> Result<WriterEpochs, StoreError> {
    let stored: Option<String> = sqlx::query_scalar("SELECT value FROM settings WHERE name = ?")
        .bind(WRITER_EPOCHS)
        .fetch_optional(connection)
        .await?;
    stored.map_or(Ok(WriterEpochs::default()), |text| decode("the writer epochs", &text))
}

impl Repaired {
    /// Whether anything was.
    pub fn anything(&self) -> bool {
        *self != Self::default()
    }
}
