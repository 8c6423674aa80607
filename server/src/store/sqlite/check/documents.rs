//! Every document: its seal, whether it decodes to its heads, whether the log holds the same, and whether it says what the
//! record's row says.

use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};
use syncline_core::{
    document::Document,
    ids::{ModelName, RecordId, TenantId},
    model::Model,
    repo::DocumentId,
};

use super::{Fault, Models, Progress, REPAIR, tell};
use crate::store::{
    StoreError,
    sqlite::{
        codec::{decode_heads, decode_id, decode_seal, unsigned},
        documents::{chunk_sum, decode_document_id},
        values::decode_fields,
    },
};

/// How many documents are in memory at once.
const PAGE: i64 = 100;

const RECORDS: &str = "SELECT r.pk, r.id, t.name, r.model, r.heads, r.document, r.document_bytes, r.document_sum, r.logged, \
    r.fields FROM records r LEFT JOIN tenants t ON t.pk = r.tenant WHERE r.pk > ? ORDER BY r.pk LIMIT ?";

/// A record's document as it is stored.
pub(super) struct Stored {
    pub(super) pk: i64,
    pub(super) id: RecordId,
    pub(super) tenant: TenantId,
    pub(super) model: ModelName,
    pub(super) document: Document,
    pub(super) sealed: bool,
    pub(super) logged: bool,
    fields: String,
}

/// The next records' documents after a row number.
pub(super) async fn page(connection: &mut SqliteConnection, after: i64) -> Result<Vec<Stored>, StoreError> {
    let rows = sqlx::query(RECORDS).bind(after).bind(PAGE).fetch_all(connection).await?;
    rows.iter().map(decode).collect()
}

fn decode(row: &SqliteRow) -> Result<Stored, StoreError> {
    let seal = decode_seal(row.try_get(6)?, row.try_get(7)?);
    let logged = row.try_get(8)?;
    Ok(Stored {
        pk: row.try_get(0)?,
        id: decode_id(row.try_get(1)?)?,
        tenant: TenantId::new(row.try_get::<Option<&str>, _>(2)?.unwrap_or_default()),
        model: ModelName::new(row.try_get::<&str, _>(3)?),
        document: Document::from_saved(row.try_get(5)?, decode_heads(row.try_get(4)?)?).kept_with(seal, logged),
        sealed: seal.is_some(),
        logged,
        fields: row.try_get(9)?,
    })
}

/// The log of a record's changes.
pub(super) async fn log(connection: &mut SqliteConnection, record: i64) -> Result<Vec<u8>, StoreError> {
    let chunks: Vec<Vec<u8>> = sqlx::query_scalar("SELECT chunk FROM changes WHERE record = ? ORDER BY revision")
        .bind(record)
        .fetch_all(connection)
        .await?;
    Ok(chunks.concat())
}

/// Looks at every record's document.
pub(super) async fn of_records(
    connection: &mut SqliteConnection,
    models: Option<&Models>,
    faults: &mut Vec<Fault>,
    progress: &mut impl FnMut(Progress),
) -> Result<(), StoreError> {
    let all: i64 = sqlx::query_scalar("SELECT count(*) FROM records").fetch_one(&mut *connection).await?;
    let (mut done, mut after, mut unsealed) = (0, 0, 0_u64);
    let (mut damaged, mut unlike, mut logs) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        let mut stored = page(connection, after).await?;
        let Some(last) = stored.last() else { break };
        after = last.pk;
        for record in &mut stored {
            done += 1;
            let place = format!("record {} ({} of {})", record.id, record.model, record.tenant);
            if let Err(error) = record.document.verify() {
                let mend =
                    format!("start the server and run `syncline records rebuild {} {}`", record.model, record.id);
                damaged.push(Fault::damage(place, error.to_string(), mend));
                continue;
            }
            unsealed += u64::from(!record.sealed);
            let model = models.and_then(|models| models.get(&(record.tenant.clone(), record.model.clone())));
            unlike.extend(model.and_then(|model| differs(record, model, &place)));
            if record.logged && !log_holds(&log(connection, record.pk).await?, &record.document) {
                logs.push(Fault::damage(place, "the log of its changes does not hold its document", REPAIR));
            }
        }
        progress(Progress { done, all: unsigned(all) });
    }
    for found in [damaged, unlike, logs] {
        tell(faults, found);
    }
    if unsealed > 0 {
        let what = format!("{unsealed} documents have no checksum yet: nobody has written them since the upgrade");
        faults.push(Fault::note(
            "the documents",
            what,
            "nothing is lost by waiting; `syncline check --store --repair` fills them in",
        ));
    }
    Ok(())
}

/// Whether the log alone makes the document.
pub(super) fn log_holds(log: &[u8], document: &Document) -> bool {
    let mut logged = Document::from_saved(log.to_vec(), document.heads().clone());
    logged.verify().is_ok()
}

/// Where the document and the row say different things.
fn differs(record: &mut Stored, model: &Model, place: &str) -> Option<Fault> {
    let mend = "edit the field, which writes both anew; if it comes again, please report it";
    let stored = match decode_fields(&record.fields) {
        Ok(fields) => fields,
        Err(error) => return Some(Fault::damage(place, error.to_string(), super::RESTORE)),
    };
    let shown = record.document.fields(model).ok()?;
    let differs = |name| {
        let (row, document) = (stored.get(name), shown.get(name));
        row.is_none_or(|value| value.is_blank()) != document.is_none_or(|value| value.is_blank())
            || row.zip(document).is_some_and(|(row, document)| row != document)
    };
    let names: Vec<&str> = model.fields.keys().filter(|name| differs(*name)).map(|name| name.as_str()).collect();
    (!names.is_empty())
        .then(|| Fault::damage(place, format!("its row and its document differ in {}", names.join(", ")), mend))
}

const CLIENTS: &str = "SELECT d.tenant, d.id, d.heads, d.bytes FROM documents d WHERE (d.tenant, d.id) > (?, ?) \
    AND NOT (d.kind = 'moved' AND d.bytes = 0) \
    ORDER BY d.tenant, d.id LIMIT ?";

/// Looks at every document that is no record's own. Of one that moved long ago nothing may be kept but where to.
pub(super) async fn of_clients(connection: &mut SqliteConnection, faults: &mut Vec<Fault>) -> Result<(), StoreError> {
    let (mut after, mut found) = ((0_i64, Vec::new()), Vec::new());
    loop {
        let rows =
            sqlx::query(CLIENTS).bind(after.0).bind(after.1.clone()).bind(PAGE).fetch_all(&mut *connection).await?;
        let Some(last) = rows.last() else { break };
        after = (last.try_get(0)?, last.try_get(1)?);
        for row in &rows {
            let id = decode_document_id(row.try_get(1)?)?;
            if let Some(what) = wrong(connection, row).await? {
                found.push(Fault::damage(format!("document {id}"), what, mend(id)));
            }
        }
    }
    tell(faults, found);
    Ok(())
}

fn mend(id: DocumentId) -> String {
    format!("it is no record's own and has no log: whoever holds {id} has it still; else {}", super::RESTORE)
}

/// What is wrong with a document that is kept in chunks.
async fn wrong(connection: &mut SqliteConnection, row: &SqliteRow) -> Result<Option<String>, StoreError> {
    let chunks = sqlx::query("SELECT chunk, sum, n FROM document_chunks WHERE tenant = ? AND id = ? ORDER BY n")
        .bind(row.try_get::<i64, _>(0)?)
        .bind(row.try_get::<Vec<u8>, _>(1)?)
        .fetch_all(connection)
        .await?;
    let mut saved = Vec::new();
    for chunk in &chunks {
        let bytes: &[u8] = chunk.try_get(0)?;
        if chunk.try_get::<Option<i64>, _>(1)?.is_some_and(|sum| sum != chunk_sum(bytes)) {
            return Ok(Some(format!(
                "the bytes of its chunk {} are not those that were stored",
                chunk.try_get::<i64, _>(2)?
            )));
        }
        saved.extend_from_slice(bytes);
    }
    let length: i64 = row.try_get(3)?;
    if unsigned(length) != saved.len() as u64 {
        return Ok(Some(format!("it has {} bytes where {length} were stored", saved.len())));
    }
    let mut document = Document::from_saved(saved, decode_heads(row.try_get(2)?)?);
    Ok(document.verify().err().map(|error| error.to_string()))
}
