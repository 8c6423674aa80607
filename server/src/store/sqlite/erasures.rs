//! Erasures: rows go in one transaction, and their bytes with them, because the writer overwrites what it frees.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, BufReader},
    path::PathBuf,
    time::Duration,
};

use aho_corasick::AhoCorasick;
use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};
use syncline_core::{
    ids::{ModelName, RecordId},
    live::{Action, Change, Cursor, FeedEvent},
    repo::DocumentId,
};

use super::{
    SqliteTenant,
    codec::{KEY_HASH_LEN, decode, decode_id, encode, hexadecimal, id_bytes, signed, unsigned},
    documents::decode_document_id,
    names::TenantNames,
};
use crate::store::{
    CommitError, ExternalRef, StoreError,
    erasures::{EraseOrder, Erased, ErasedMark, ErasureId, Erasures, FileSearch, KeptOf, Receipt},
};

/// How often the log is tried to be folded in while readers hold it.
const FOLDS_MAX: usize = 100;
/// Time between two tries.
const FOLD_EVERY: Duration = Duration::from_millis(100);
/// The most erasures under way in one answer.
const UNDER_WAY_MAX: i64 = 100;
/// The most receipts in one answer.
const PAGE_MAX: u32 = 1_000;

/// What hangs on a record by its row number.
const BY_ROW: [(&str, &str); 8] = [
    ("journal", "DELETE FROM journal WHERE record = ?"),
    ("replicas", "DELETE FROM replicas WHERE record = ?"),
    ("conflicts", "DELETE FROM conflicts WHERE record = ?"),
    ("changes", "DELETE FROM changes WHERE record = ?"),
    ("damages", "DELETE FROM damages WHERE record = ?"),
    ("held_deletes", "DELETE FROM held_deletes WHERE record = ?"),
    ("not_same", "DELETE FROM not_same WHERE record = ?"),
    ("former_links", "DELETE FROM former_links WHERE record = (SELECT id FROM records WHERE pk = ?)"),
];

#[async_trait]
impl Erasures for SqliteTenant {
    async fn kept_of(&self, record: RecordId) -> Result<Option<KeptOf>, StoreError> {
        let Some(names) = self.names() else { return Ok(None) };
        let row = sqlx::query("SELECT pk, coalesce(document_id, id) FROM records WHERE id = ? AND tenant = ?")
            .bind(id_bytes(record))
            .bind(names.pk)
            .fetch_optional(self.readers())
            .await?;
        let Some(row) = row else { return Ok(None) };
        let mut kept = KeptOf::default();
        let links = sqlx::query("SELECT connection, object, external_id FROM links WHERE record = ?")
            .bind(row.try_get::<i64, _>(0)?)
            .fetch_all(self.readers())
            .await?;
        for link in &links {
            kept.objects.push(ExternalRef {
                connection: names.connection(link.try_get(0)?)?.clone(),
                object: link.try_get::<&str, _>(1)?.into(),
                id: link.try_get::<&str, _>(2)?.into(),
            });
        }
        kept.documents.push(DocumentId::from(record));
        kept.documents.push(decode_document_id(row.try_get(1)?)?);
        let moved = sqlx::query_scalar::<_, Vec<u8>>("SELECT id FROM documents WHERE tenant = ? AND record = ?")
            .bind(names.pk)
            .bind(id_bytes(record))
            .fetch_all(self.readers())
            .await?;
        for id in moved {
            kept.documents.push(decode_document_id(&id)?);
        }
        kept.documents.sort_unstable();
        kept.documents.dedup();
        Ok(Some(kept))
    }

    async fn feed_places(&self, record: RecordId, after: Cursor) -> Result<(Vec<Cursor>, Cursor), StoreError> {
        let Some(names) = self.names() else { return Ok((Vec::new(), after)) };
        let head: i64 = sqlx::query_scalar("SELECT feed_head FROM tenants WHERE pk = ?")
            .bind(names.pk)
            .fetch_one(self.readers())
            .await?;
        let places: Vec<i64> =
            sqlx::query_scalar("SELECT seq FROM feed WHERE tenant = ? AND seq > ? AND seq <= ? AND record = ?")
                .bind(names.pk)
                .bind(signed(after.0)?)
                .bind(head)
                .bind(id_bytes(record))
                .fetch_all(self.readers())
                .await?;
        Ok((places.into_iter().map(|place| Cursor(unsigned(place))).collect(), Cursor(unsigned(head))))
    }

    async fn erase(&self, order: EraseOrder) -> Result<Erased, CommitError> {
        let names = self.ensure_names([]).await?;
        let mut tx = self.writer().begin().await?;
        match remove(tx.connection(), &names, &order).await {
            Ok(erased) => {
                tx.commit().await?;
                Ok(erased)
            }
            Err(error) => {
                tx.roll_back().await?;
                Err(error.into())
            }
        }
    }

    async fn drop_documents(&self, documents: &[DocumentId]) -> Result<(), StoreError> {
        let Some(names) = self.names() else { return Ok(()) };
        let mut tx = self.writer().begin().await?;
        drop_documents(tx.connection(), &names, documents, &mut BTreeMap::new()).await?;
        tx.commit().await
    }

    async fn search_files(&self, texts: &[String], rewrite: bool) -> Result<FileSearch, StoreError> {
        fold(self, rewrite).await?;
        let path: String = sqlx::query_scalar("SELECT file FROM pragma_database_list WHERE name = 'main'")
            .fetch_one(self.readers())
            .await?;
        let texts = texts.to_vec();
        let search = tokio::task::spawn_blocking(move || search_files(&[path.clone(), format!("{path}-wal")], &texts));
        search
            .await
            .map_err(|error| StoreError::Database(format!("the search of the files failed: {error}")))?
            .map_err(|error| StoreError::Database(format!("the database's files cannot be searched: {error}")))
    }

    async fn search_rows(&self, texts: &[String]) -> Result<BTreeMap<String, BTreeSet<String>>, StoreError> {
        let columns = sqlx::query(
            "SELECT t.name, c.name FROM sqlite_schema t CROSS JOIN pragma_table_info(t.name) c \
             WHERE t.type = 'table' AND c.type IN ('TEXT', 'BLOB') ORDER BY 1, 2",
        )
        .fetch_all(self.readers())
        .await?;
        let mut holders: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for column in &columns {
            let (table, column): (String, String) = (column.try_get(0)?, column.try_get(1)?);
            // The names come from the schema itself.
            let sql = format!(
                "SELECT wanted.value FROM json_each(?) wanted WHERE EXISTS (SELECT 1 FROM \"{table}\" \
                 WHERE instr(CAST(\"{column}\" AS BLOB), CAST(wanted.value AS BLOB)) > 0 \
                 OR instr(CAST(\"{column}\" AS BLOB), CAST(trim(json_quote(wanted.value), '\"') AS BLOB)) > 0)"
            );
            let held: Vec<String> =
                sqlx::query_scalar(AssertSqlSafe(sql)).bind(encode(texts)?).fetch_all(self.readers()).await?;
            if !held.is_empty() {
                holders.entry(table).or_default().extend(held);
            }
        }
        Ok(holders)
    }

    async fn find_erased(&self, marks: &[ErasedMark]) -> Result<BTreeSet<ErasedMark>, StoreError> {
        let Some(names) = self.names() else { return Ok(BTreeSet::new()) };
        let wanted: Vec<String> = marks.iter().map(|mark| hexadecimal(&mark.0)).collect();
        let found: Vec<Vec<u8>> = sqlx::query_scalar(
            "SELECT e.hash FROM json_each(?) wanted CROSS JOIN erased e ON e.tenant = ? AND e.hash = unhex(wanted.value)",
        )
        .bind(encode(&wanted)?)
        .bind(names.pk)
        .fetch_all(self.readers())
        .await?;
        Ok(found.into_iter().filter_map(|hash| hash.try_into().ok().map(ErasedMark)).collect())
    }

    async fn has_erased(&self) -> Result<bool, StoreError> {
        let Some(names) = self.names() else { return Ok(false) };
        Ok(sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM erased WHERE tenant = ?)")
            .bind(names.pk)
            .fetch_one(self.readers())
            .await?)
    }

    async fn open_erasure(&self, receipt: &Receipt, record: Option<RecordId>) -> Result<ErasureId, StoreError> {
        let names = self.ensure_names([]).await?;
        let mut tx = self.writer().begin().await?;
        let pk: i64 =
            sqlx::query_scalar("INSERT INTO erasures (tenant, at, record, receipt) VALUES (?, ?, ?, ?) RETURNING pk")
                .bind(names.pk)
                .bind(receipt.asked_at.0)
                .bind(record.map(id_bytes))
                .bind(encode(receipt)?)
                .fetch_one(tx.connection())
                .await?;
        tx.commit().await?;
        Ok(ErasureId(pk))
    }

    async fn close_erasure(&self, id: ErasureId, receipt: &Receipt) -> Result<(), StoreError> {
        let names = self.ensure_names([]).await?;
        let mut tx = self.writer().begin().await?;
        put_receipt(tx.connection(), &names, id, receipt).await?;
        tx.commit().await
    }

    async fn erasures_under_way(&self) -> Result<Vec<(ErasureId, RecordId, Receipt)>, StoreError> {
        let Some(names) = self.names() else { return Ok(Vec::new()) };
        let rows = sqlx::query(
            "SELECT pk, record, receipt FROM erasures WHERE tenant = ? AND record IS NOT NULL ORDER BY pk LIMIT ?",
        )
        .bind(names.pk)
        .bind(UNDER_WAY_MAX)
        .fetch_all(self.readers())
        .await?;
        rows.iter()
            .map(|row| {
                let receipt = decode("an erasure's receipt", row.try_get(2)?)?;
                Ok((ErasureId(row.try_get(0)?), decode_id(row.try_get(1)?)?, receipt))
            })
            .collect()
    }

    async fn get_erasure(&self, id: ErasureId) -> Result<Option<Receipt>, StoreError> {
        let Some(names) = self.names() else { return Ok(None) };
        let receipt: Option<String> = sqlx::query_scalar("SELECT receipt FROM erasures WHERE pk = ? AND tenant = ?")
            .bind(id.0)
            .bind(names.pk)
            .fetch_optional(self.readers())
            .await?;
        receipt.map(|receipt| decode("an erasure's receipt", &receipt)).transpose()
    }

    async fn list_erasures(
        &self,
        before: Option<ErasureId>,
        limit: u32,
    ) -> Result<Vec<(ErasureId, Receipt)>, StoreError> {
        let Some(names) = self.names() else { return Ok(Vec::new()) };
        let rows = sqlx::query("SELECT pk, receipt FROM erasures WHERE tenant = ? AND pk < ? ORDER BY pk DESC LIMIT ?")
            .bind(names.pk)
            .bind(before.map_or(i64::MAX, |ErasureId(pk)| pk))
            .bind(limit.clamp(1, PAGE_MAX))
            .fetch_all(self.readers())
            .await?;
        rows.iter()
            .map(|row| Ok((ErasureId(row.try_get(0)?), decode("an erasure's receipt", row.try_get(1)?)?)))
            .collect()
    }

    async fn readmit(&self, id: ErasureId, receipt: &Receipt) -> Result<(), StoreError> {
        let names = self.ensure_names([]).await?;
        let mut tx = self.writer().begin().await?;
        sqlx::query("DELETE FROM erased WHERE erasure = ? AND tenant = ?")
            .bind(id.0)
            .bind(names.pk)
            .execute(tx.connection())
            .await?;
        put_receipt(tx.connection(), &names, id, receipt).await?;
        tx.commit().await
    }
}

async fn put_receipt(
    connection: &mut SqliteConnection,
    names: &TenantNames,
    id: ErasureId,
    receipt: &Receipt,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE erasures SET receipt = ?, record = NULL WHERE pk = ? AND tenant = ?")
        .bind(encode(receipt)?)
        .bind(id.0)
        .bind(names.pk)
        .execute(connection)
        .await?;
    Ok(())
}

/// Removes everything that is kept of the record, and leaves the marks.
async fn remove(
    connection: &mut SqliteConnection,
    names: &TenantNames,
    order: &EraseOrder,
) -> Result<Erased, StoreError> {
    let mut rows = order.receipt.rows.clone();
    let row = sqlx::query("SELECT pk, model, version, match_keys FROM records WHERE id = ? AND tenant = ?")
        .bind(id_bytes(order.record))
        .bind(names.pk)
        .fetch_optional(&mut *connection)
        .await?;
    let row = row.ok_or_else(|| StoreError::Value(format!("there is no record {}", order.record)))?;
    let pk: i64 = row.try_get(0)?;
    let (model, version): (String, i64) = (row.try_get(1)?, row.try_get(2)?);
    let keys: Vec<u8> = row.try_get(3)?;
    remove_signs(connection, names, order, &mut rows).await?;
    for key in keys.as_chunks::<KEY_HASH_LEN>().0 {
        let gone = sqlx::query("DELETE FROM match_keys WHERE hash = ? AND record = ?").bind(key.to_vec()).bind(pk);
        count(&mut rows, "match_keys", gone.execute(&mut *connection).await?.rows_affected());
    }
    for (table, statement) in BY_ROW {
        let gone = sqlx::query(statement).bind(pk).execute(&mut *connection).await?;
        count(&mut rows, table, gone.rows_affected());
    }
    let gone = sqlx::query("DELETE FROM identity_operations WHERE tenant = ?1 AND (record = ?2 OR other = ?2)")
        .bind(names.pk)
        .bind(id_bytes(order.record))
        .execute(&mut *connection)
        .await?;
    count(&mut rows, "identity_operations", gone.rows_affected());
    drop_documents(connection, names, &order.documents, &mut rows).await?;
    for place in &order.feed {
        let emptied = sqlx::query(
            "UPDATE feed SET action = 'erased', fields = '{}', changed = '[]' WHERE tenant = ? AND seq = ?",
        );
        let emptied = emptied.bind(names.pk).bind(signed(place.0)?).execute(&mut *connection).await?;
        count(&mut rows, "feed", emptied.rows_affected());
    }
    let gone = sqlx::query("DELETE FROM records WHERE pk = ?").bind(pk).execute(&mut *connection).await?;
    count(&mut rows, "records", gone.rows_affected());
    for ErasedMark(hash) in &order.marks {
        sqlx::query(
            "INSERT INTO erased (tenant, hash, erasure) VALUES (?, ?, ?) ON CONFLICT (tenant, hash) DO NOTHING",
        )
        .bind(names.pk)
        .bind(hash.to_vec())
        .bind(order.erasure.0)
        .execute(&mut *connection)
        .await?;
    }
    let receipt = Receipt { rows, erased_at: Some(order.at), ..order.receipt.clone() };
    sqlx::query("UPDATE erasures SET receipt = ? WHERE pk = ? AND tenant = ?")
        .bind(encode(&receipt)?)
        .bind(order.erasure.0)
        .bind(names.pk)
        .execute(&mut *connection)
        .await?;
    let change = announce(connection, names, order, &model, version + 1).await?;
    Ok(Erased { receipt, change })
}

/// Removes what names the record's objects rather than the record: links, hints, and rows in quarantine.
async fn remove_signs(
    connection: &mut SqliteConnection,
    names: &TenantNames,
    order: &EraseOrder,
    rows: &mut BTreeMap<String, u64>,
) -> Result<(), StoreError> {
    for object in &order.objects {
        for (table, statement) in [
            ("links", "DELETE FROM links WHERE connection = ? AND object = ? AND external_id = ?"),
            ("former_links", "DELETE FROM former_links WHERE connection = ? AND object = ? AND external_id = ?"),
            ("quarantine", "DELETE FROM quarantine WHERE connection = ? AND object = ? AND subject = 'id:' || ?"),
            ("inbox", "DELETE FROM inbox WHERE connection = ? AND object = ? AND external_id = ?"),
        ] {
            let gone = sqlx::query(statement)
                .bind(names.known(&object.connection)?)
                .bind(object.object.as_str())
                .bind(object.id.as_str())
                .execute(&mut *connection)
                .await?;
            count(rows, table, gone.rows_affected());
        }
    }
    let gone = sqlx::query(
        "DELETE FROM quarantine WHERE tenant = ? AND EXISTS (SELECT 1 FROM json_each(?) named \
         WHERE instr(quarantine.raw, named.value) > 0 OR instr(quarantine.reason, named.value) > 0)",
    );
    let gone = gone.bind(names.pk).bind(encode(&order.names)?).execute(connection).await?;
    count(rows, "quarantine", gone.rows_affected());
    Ok(())
}

async fn drop_documents(
    connection: &mut SqliteConnection,
    names: &TenantNames,
    documents: &[DocumentId],
    rows: &mut BTreeMap<String, u64>,
) -> Result<(), StoreError> {
    for document in documents {
        for (table, statement) in [
            ("documents", "DELETE FROM documents WHERE tenant = ? AND id = ?"),
            ("document_chunks", "DELETE FROM document_chunks WHERE tenant = ? AND id = ?"),
            ("refusals", "DELETE FROM refusals WHERE tenant = ? AND document = ?"),
        ] {
            let gone = sqlx::query(statement).bind(names.pk).bind(document.as_bytes().to_vec());
            count(rows, table, gone.execute(&mut *connection).await?.rows_affected());
        }
    }
    Ok(())
}

/// Appends the entry that tells subscribers.
async fn announce(
    connection: &mut SqliteConnection,
    names: &TenantNames,
    order: &EraseOrder,
    model: &str,
    version: i64,
) -> Result<Change, StoreError> {
    let head: i64 = sqlx::query_scalar("UPDATE tenants SET feed_head = feed_head + 1 WHERE pk = ? RETURNING feed_head")
        .bind(names.pk)
        .fetch_one(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO feed (tenant, seq, record, model, action, version, at, fields, changed) \
         VALUES (?, ?, ?, ?, 'erased', ?, ?, '{}', '[]')",
    )
    .bind(names.pk)
    .bind(head)
    .bind(id_bytes(order.record))
    .bind(model)
    .bind(version)
    .bind(order.at.0)
    .execute(connection)
    .await?;
    let event = FeedEvent {
        record: order.record,
        model: ModelName::new(model),
        action: Action::Erased,
        version: unsigned(version),
        changed: Vec::new(),
        fields: serde_json::Map::new(),
        merged_into: None,
        at: order.at,
    };
    Ok(Change { cursor: Cursor(unsigned(head)), event })
}

fn count(rows: &mut BTreeMap<String, u64>, table: &str, number: u64) {
    if number > 0 {
        *rows.entry(table.to_owned()).or_default() += number;
    }
}

/// Folds the log into the file and empties it, so that what was overwritten is in neither; readers of an older state are
/// waited for.
async fn fold(store: &SqliteTenant, rewrite: bool) -> Result<(), StoreError> {
    if rewrite {
        let mut alone = store.writer().reserve().await?;
        sqlx::query("VACUUM").execute(alone.connection()).await?;
        alone.committed();
    }
    for _ in 0..FOLDS_MAX {
        let mut alone = store.writer().reserve().await?;
        let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(alone.connection()).await?;
        alone.committed();
        if row.try_get::<i64, _>(0)? == 0 {
            return Ok(());
        }
        tokio::time::sleep(FOLD_EVERY).await;
    }
    tracing::warn!("the write-ahead log could not be emptied while readers hold it: it is searched as it is");
    Ok(())
}

/// Reads the files from end to end. A text that stands escaped in JSON is searched for in that form as well.
fn search_files(paths: &[String], texts: &[String]) -> io::Result<FileSearch> {
    let mut patterns: Vec<(Vec<u8>, usize)> = Vec::new();
    for (place, text) in texts.iter().enumerate() {
        patterns.push((text.as_bytes().to_vec(), place));
        let escaped = serde_json::to_string(text).map_err(io::Error::other)?;
        // Without the quotation marks around it.
        let escaped = escaped.as_bytes()[1..escaped.len() - 1].to_vec();
        if escaped != text.as_bytes() {
            patterns.push((escaped, place));
        }
    }
    let automaton = AhoCorasick::new(patterns.iter().map(|(pattern, _)| pattern)).map_err(io::Error::other)?;
    let mut search = FileSearch::default();
    for path in paths.iter().map(PathBuf::from) {
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        search.files += 1;
        search.bytes += file.metadata()?.len();
        for hit in automaton.stream_find_iter(BufReader::new(file)) {
            search.found.insert(texts[patterns[hit?.pattern().as_usize()].1].clone());
        }
    }
    Ok(search)
}
