//! Documents as clients hold them.

use std::collections::HashMap;

use async_trait::async_trait;
use sqlx::{Row, sqlite::SqliteRow};
use syncline_core::{
    document::Seal,
    ids::{ModelName, RecordId},
    journal::Heads,
    repo::DocumentId,
    time::Millis,
};

use super::{
    SqliteTenant,
    codec::{decode_heads, decode_id, decode_seal, encode, encode_heads, hexadecimal, id_bytes, signed, unsigned},
    names::TenantNames,
    script::Script,
};
use crate::store::{
    StoreError,
    documents::{
        ActorClaim, DocumentKind, DocumentWrite, Documents, DocumentsUsage, Found, REFUSALS_MAX, Refusal, RefusalId,
        SavedDocument,
    },
};

/// The statements of the hot path, for the test that looks at their plans.
#[cfg(test)]
pub(super) const HOT: [&str; 3] = [FIND, SAVED, OWNERS];

/// A record's own document bears the record's id in its first epoch, and another one later.
const FIND: &str = "\
    SELECT r.id, 'record', r.id, r.model, r.heads FROM json_each(?1) wanted \
        CROSS JOIN records r ON r.id = unhex(wanted.value) WHERE r.tenant = ?2 AND r.document_id IS NULL \
    UNION ALL \
    SELECT r.document_id, 'record', r.id, r.model, r.heads FROM json_each(?1) wanted \
        CROSS JOIN records r ON r.document_id = unhex(wanted.value) WHERE r.tenant = ?2 AND r.document_id IS NOT NULL \
    UNION ALL \
    SELECT d.id, d.kind, d.record, coalesce((SELECT model FROM records WHERE id = d.record), ''), d.heads \
        FROM json_each(?1) wanted \
        CROSS JOIN documents d ON d.tenant = ?2 AND d.id = unhex(wanted.value)";

const SAVED: &str = "\
    SELECT id, 'record', id, model, heads, document, 0 AS n, document_bytes, document_sum FROM records \
        WHERE id = ?1 AND tenant = ?2 AND document_id IS NULL \
    UNION ALL \
    SELECT document_id, 'record', id, model, heads, document, 0, document_bytes, document_sum FROM records \
        WHERE document_id = ?1 AND document_id IS NOT NULL AND tenant = ?2 \
    UNION ALL \
    SELECT d.id, d.kind, d.record, coalesce((SELECT model FROM records WHERE id = d.record), ''), d.heads, c.chunk, c.n, \
           d.bytes, c.sum FROM documents d \
        CROSS JOIN document_chunks c ON c.tenant = d.tenant AND c.id = d.id WHERE d.tenant = ?2 AND d.id = ?1 ORDER BY n";

const OWNERS: &str = "SELECT a.actor, a.principal FROM json_each(?1) wanted \
    CROSS JOIN actors a ON a.tenant = ?2 AND a.actor = unhex(wanted.value)";

#[async_trait]
impl Documents for SqliteTenant {
    async fn find_documents(&self, ids: &[DocumentId]) -> Result<HashMap<DocumentId, Found>, StoreError> {
        let Some(names) = self.names() else { return Ok(HashMap::new()) };
        let wanted: Vec<String> = ids.iter().map(|id| hexadecimal(id.as_bytes())).collect();
        let rows = sqlx::query(FIND).bind(encode(&wanted)?).bind(names.pk).fetch_all(self.readers()).await?;
        rows.iter().map(|row| Ok((decode_document_id(row.try_get(0)?)?, decode_found(row)?))).collect()
    }

    async fn saved_document(&self, id: DocumentId) -> Result<Option<SavedDocument>, StoreError> {
        let Some(names) = self.names() else { return Ok(None) };
        let rows = sqlx::query(SAVED).bind(id.as_bytes().to_vec()).bind(names.pk).fetch_all(self.readers()).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let found = decode_found(first)?;
        let mut saved = Vec::new();
        for row in &rows {
            let chunk: &[u8] = row.try_get(5)?;
            if let Some(what) = broken(&found, chunk, row)? {
                return Err(StoreError::Damaged { document: id, what });
            }
            saved.extend_from_slice(chunk);
        }
        let length: Option<i64> = first.try_get(7)?;
        if length.is_some_and(|length| unsigned(length) != saved.len() as u64) {
            let what = format!("it has {} bytes where {} were stored", saved.len(), length.unwrap_or_default());
            return Err(StoreError::Damaged { document: id, what });
        }
        Ok(Some(SavedDocument { found, saved, chunks: rows.len() as u32 }))
    }

    async fn moved_into(&self, record: RecordId) -> Result<Vec<DocumentId>, StoreError> {
        let Some(names) = self.names() else { return Ok(Vec::new()) };
        let rows = sqlx::query("SELECT id FROM documents WHERE tenant = ? AND record = ?")
            .bind(names.pk)
            .bind(id_bytes(record))
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(|row| decode_document_id(row.try_get(0)?)).collect()
    }

    async fn documents_usage(&self) -> Result<DocumentsUsage, StoreError> {
        let Some(names) = self.names() else { return Ok(DocumentsUsage::default()) };
        let row =
            sqlx::query("SELECT count(*), coalesce(sum(bytes), 0) FROM documents WHERE tenant = ? AND principal <> ''")
                .bind(names.pk)
                .fetch_one(self.readers())
                .await?;
        Ok(DocumentsUsage { documents: unsigned(row.try_get(0)?), bytes: unsigned(row.try_get(1)?) })
    }

    async fn note_refusal(&self, refusal: &Refusal) -> Result<(), StoreError> {
        let names = self.ensure_names([]).await?;
        let mut tx = self.writer().begin().await?;
        let mut script = Script::new(tx.connection());
        script
            .add("INSERT INTO refusals (tenant, at, principal, document, reason) VALUES (?, ?, ?, ?, ?)")
            .bind(names.pk)
            .bind(refusal.at.0)
            .bind(refusal.principal.clone())
            .bind(refusal.document.as_bytes().to_vec())
            .bind(refusal.reason.clone());
        script
            .add(
                "DELETE FROM refusals WHERE tenant = ? AND pk <= \
                 (SELECT pk FROM refusals WHERE tenant = ? ORDER BY pk DESC LIMIT 1 OFFSET ?)",
            )
            .bind(names.pk)
            .bind(names.pk)
            .bind(i64::from(REFUSALS_MAX));
        script.run().await?;
        tx.commit().await
    }

    async fn refusals(&self, before: Option<RefusalId>, limit: u32) -> Result<Vec<(RefusalId, Refusal)>, StoreError> {
        let Some(names) = self.names() else { return Ok(Vec::new()) };
        let rows = sqlx::query(
            "SELECT pk, at, principal, document, reason FROM refusals WHERE tenant = ? AND pk < ? ORDER BY pk DESC LIMIT ?",
        )
        .bind(names.pk)
        .bind(before.map_or(i64::MAX, |RefusalId(pk)| pk))
        .bind(limit)
        .fetch_all(self.readers())
        .await?;
        rows.iter()
            .map(|row| {
                let refusal = Refusal {
                    at: Millis(row.try_get(1)?),
                    principal: row.try_get(2)?,
                    document: decode_document_id(row.try_get(3)?)?,
                    reason: row.try_get(4)?,
                };
                Ok((RefusalId(row.try_get(0)?), refusal))
            })
            .collect()
    }

    async fn actor_owners(&self, actors: &[Vec<u8>]) -> Result<HashMap<Vec<u8>, String>, StoreError> {
        let Some(names) = self.names() else { return Ok(HashMap::new()) };
        let wanted: Vec<String> = actors.iter().map(|actor| hexadecimal(actor)).collect();
        let rows = sqlx::query(OWNERS).bind(encode(&wanted)?).bind(names.pk).fetch_all(self.readers()).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }
}

/// Adds what a batch changes of documents that are no record's own.
pub(super) fn write(
    script: &mut Script<'_>,
    names: &TenantNames,
    documents: Vec<DocumentWrite>,
) -> Result<(), StoreError> {
    for document in documents {
        match document {
            DocumentWrite::Put { id, kind, principal, heads, saved, ops } => {
                forget(script, names, id);
                let (word, record) = kind_columns(&kind)?;
                script
                    .add(
                        "INSERT INTO documents (tenant, id, kind, record, principal, heads, bytes, ops, moved_at) \
                         VALUES (?, ?, ?, ?, ?, ?, ?, ?, iif(?, CAST(unixepoch('subsec') * 1000 AS INTEGER), NULL))",
                    )
                    .bind(names.pk)
                    .bind(id.as_bytes().to_vec())
                    .bind(word)
                    .bind(record.map(id_bytes))
                    .bind(principal)
                    .bind(encode_heads(&heads))
                    .bind(signed(saved.len() as u64)?)
                    .bind(signed(ops)?)
                    .bind(record.is_some());
                script
                    .add("INSERT INTO document_chunks (tenant, id, n, sum, chunk) VALUES (?, ?, 0, ?, ?)")
                    .bind(names.pk)
                    .bind(id.as_bytes().to_vec())
                    .bind(chunk_sum(&saved))
                    .bind(saved);
            }
            DocumentWrite::Append { id, heads, chunk, ops } => append(script, names, id, &heads, chunk, ops)?,
            DocumentWrite::Drop { id } => forget(script, names, id),
        }
    }
    Ok(())
}

fn append(
    script: &mut Script<'_>,
    names: &TenantNames,
    id: DocumentId,
    heads: &Heads,
    chunk: Vec<u8>,
    ops: u64,
) -> Result<(), StoreError> {
    script
        .add("UPDATE documents SET heads = ?, bytes = bytes + ?, ops = ? WHERE tenant = ? AND id = ?")
        .bind(encode_heads(heads))
        .bind(signed(chunk.len() as u64)?)
        .bind(signed(ops)?)
        .bind(names.pk)
        .bind(id.as_bytes().to_vec());
    script
        .add(
            "INSERT INTO document_chunks (tenant, id, n, sum, chunk) \
             SELECT tenant, id, max(n) + 1, ?, ? FROM document_chunks WHERE tenant = ? AND id = ? GROUP BY tenant, id",
        )
        .bind(chunk_sum(&chunk))
        .bind(chunk)
        .bind(names.pk)
        .bind(id.as_bytes().to_vec());
    Ok(())
}

fn forget(script: &mut Script<'_>, names: &TenantNames, id: DocumentId) {
    for statement in
        ["DELETE FROM documents WHERE tenant = ? AND id = ?", "DELETE FROM document_chunks WHERE tenant = ? AND id = ?"]
    {
        script.add(statement).bind(names.pk).bind(id.as_bytes().to_vec());
    }
}

/// Adds the actors that principals have begun to use; whoever was first keeps them.
pub(super) fn claim_actors(script: &mut Script<'_>, names: &TenantNames, claims: Vec<ActorClaim>) {
    for ActorClaim { actor, principal } in claims {
        script
            .add(
                "INSERT INTO actors (tenant, actor, principal) VALUES (?, ?, ?) ON CONFLICT (tenant, actor) DO NOTHING",
            )
            .bind(names.pk)
            .bind(actor)
            .bind(principal);
    }
}

fn kind_columns(kind: &DocumentKind) -> Result<(&'static str, Option<RecordId>), StoreError> {
    match kind {
        DocumentKind::Free => Ok(("free", None)),
        DocumentKind::Draft => Ok(("draft", None)),
        DocumentKind::Moved { record, .. } => Ok(("moved", Some(*record))),
        DocumentKind::Record { record, .. } => {
            Err(StoreError::Value(format!("the document of record {record} is kept with the record")))
        }
    }
}

fn decode_found(row: &SqliteRow) -> Result<Found, StoreError> {
    let record = || {
        let bytes: Option<&[u8]> = row.try_get(2)?;
        decode_id(bytes.unwrap_or_default())
    };
    let model = || Ok::<_, StoreError>(ModelName::new(row.try_get::<&str, _>(3)?));
    let kind = match row.try_get::<&str, _>(1)? {
        "record" => DocumentKind::Record { record: record()?, model: model()? },
        "free" => DocumentKind::Free,
        "draft" => DocumentKind::Draft,
        "moved" => DocumentKind::Moved { record: record()?, model: model()? },
        word => return Err(StoreError::Corrupt(format!("`{word}` is no kind of a document"))),
    };
    Ok(Found { kind, heads: decode_heads(row.try_get(4)?)? })
}

/// What is wrong with a stored part of a document: a record's document has a seal over its heads as well, a chunk one of its own.
fn broken(found: &Found, part: &[u8], row: &SqliteRow) -> Result<Option<String>, StoreError> {
    let sum: Option<i64> = row.try_get(8)?;
    Ok(match found.kind {
        DocumentKind::Record { .. } => {
            decode_seal(row.try_get(7)?, sum).and_then(|seal| seal.broken_by(&found.heads, part))
        }
        _ => sum
            .filter(|sum| *sum != chunk_sum(part))
            .map(|_| format!("the bytes of its chunk {} are not those that were stored", row.get::<i64, _>(6))),
    })
}

/// The checksum of one chunk.
pub(super) fn chunk_sum(chunk: &[u8]) -> i64 {
    Seal::of(&Heads::new(), chunk).sum.cast_signed()
}

pub(super) fn decode_document_id(bytes: &[u8]) -> Result<DocumentId, StoreError> {
    bytes
        .try_into()
        .map(DocumentId::from_bytes)
        .map_err(|_| StoreError::Corrupt(format!("a document's id is {} bytes long", bytes.len())))
}
