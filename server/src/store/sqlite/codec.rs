//! What rows hold, from and to text and bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use syncline_core::{
    document::Seal,
    ids::{FieldName, ModelName, RecordId, TenantId},
    journal::{Hash, Heads, Origin},
    live::{Action, ChangedField, JsonFields},
    matching::MatchKey,
    outbox::Delivery,
    value::Fields,
};

use crate::store::StoreError;

/// The length of a match key's hash.
pub(super) const KEY_HASH_LEN: usize = 16;

/// Anything as JSON text.
pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<String, StoreError> {
    let mut text = Vec::with_capacity(TEXT_CAPACITY);
    serde_json::to_writer(&mut text, value).map_err(unencodable)?;
    String::from_utf8(text).map_err(|error| StoreError::Value(format!("a value cannot be stored as text: {error}")))
}

/// Room for a typical row's text, so that it does not grow step by step.
const TEXT_CAPACITY: usize = 1_024;

pub(super) fn unencodable(error: serde_json::Error) -> StoreError {
    StoreError::Value(format!("a value cannot be stored as JSON: {error}"))
}

/// Anything from JSON text; `what` names it for the one who has to repair it. The error says where it fails rather than at what: it is
/// logged, and the text may be a record's.
pub(super) fn decode<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| {
        let (kind, line, column) = (error.classify(), error.line(), error.column());
        StoreError::Corrupt(format!("{what} cannot be read: {kind:?} error at line {line}, column {column}"))
    })
}

/// Heads as their bytes in a row.
pub(super) fn encode_heads(heads: &Heads) -> Vec<u8> {
    heads.iter().flat_map(|hash| hash.0).collect()
}

/// A seal as the columns of its length and its sum; SQLite has no unsigned numbers.
pub(super) fn seal_columns(seal: Option<Seal>) -> (Option<i64>, Option<i64>) {
    (seal.map(|seal| seal.bytes.cast_signed()), seal.map(|seal| seal.sum.cast_signed()))
}

/// A seal from its columns; `None` where it is not known.
pub(super) fn decode_seal(bytes: Option<i64>, sum: Option<i64>) -> Option<Seal> {
    Some(Seal { bytes: bytes?.cast_unsigned(), sum: sum?.cast_unsigned() })
}

/// How often a record's history has begun anew.
pub(super) fn decode_epoch(epoch: i64) -> Result<u32, StoreError> {
    u32::try_from(epoch).map_err(|_| StoreError::Corrupt(format!("a record's epoch is {epoch}")))
}

/// Heads from their bytes in a row.
pub(super) fn decode_heads(bytes: &[u8]) -> Result<Heads, StoreError> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    if rest.is_empty() {
        Ok(hashes.iter().map(|hash| Hash(*hash)).collect())
    } else {
        Err(StoreError::Corrupt(format!("a document's heads are {} bytes long", bytes.len())))
    }
}

/// A record's id as its bytes in a row.
pub(super) fn id_bytes(id: RecordId) -> Vec<u8> {
    id.0.as_bytes().to_vec()
}

/// A record's id from its bytes.
pub(super) fn decode_id(bytes: &[u8]) -> Result<RecordId, StoreError> {
    uuid::Uuid::from_slice(bytes)
        .map(RecordId)
        .map_err(|_| StoreError::Corrupt(format!("a record's id is {} bytes long", bytes.len())))
}

/// Ids as JSON that `unhex` reads in SQL.
pub(super) fn id_list(ids: &[RecordId]) -> String {
    let simple: Vec<String> = ids.iter().map(|id| id.0.simple().to_string()).collect();
    // Hexadecimal digits need no escaping.
    format!("[{}]", simple.iter().map(|id| format!("\"{id}\"")).collect::<Vec<_>>().join(","))
}

/// Bytes as text that `unhex` reads in SQL.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Row numbers as JSON.
pub(super) fn pk_list(pks: impl IntoIterator<Item = i64>) -> String {
    format!("[{}]", pks.into_iter().map(|pk| pk.to_string()).collect::<Vec<_>>().join(","))
}

/// A counter from a row; SQLite has no unsigned numbers.
pub(super) fn unsigned(number: i64) -> u64 {
    number.max(0) as u64
}

/// A counter for a row.
pub(super) fn signed(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::Value(format!("{number} is too large to be stored")))
}

/// The hash under which a match key is found: 128 bits over tenant, model, name and value, so that equal hashes mean equal
/// keys for all practical purposes and the index shows no e-mail address.
pub(super) fn key_hash(tenant: &TenantId, model: &ModelName, key: &MatchKey) -> [u8; KEY_HASH_LEN] {
    let mut hasher = blake3::Hasher::new();
    for part in [tenant.as_str(), model.as_str(), &key.name, &key.value] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let mut hash = [0; KEY_HASH_LEN];
    hash.copy_from_slice(&hasher.finalize().as_bytes()[..KEY_HASH_LEN]);
    hash
}

/// A delivery as the columns `delivery` and `due`.
pub(super) fn delivery_columns(delivery: &Delivery) -> (i64, Option<i64>) {
    match delivery {
        Delivery::Clean => (CLEAN, None),
        Delivery::Dirty { due, .. } => (DIRTY, Some(due.0)),
        Delivery::Parked { since, .. } => (PARKED, Some(since.0)),
    }
}

pub(super) const CLEAN: i64 = 0;
pub(super) const DIRTY: i64 = 1;
pub(super) const PARKED: i64 = 2;

/// A feed entry's action in one word.
pub(super) const fn action_word(action: Action) -> &'static str {
    match action {
        Action::Created => "created",
        Action::Updated => "updated",
        Action::Deleted => "deleted",
        Action::Restored => "restored",
        Action::Erased => "erased",
    }
}

/// A feed entry's action from its word.
pub(super) fn parse_action(word: &str) -> Result<Action, StoreError> {
    [Action::Created, Action::Updated, Action::Deleted, Action::Restored, Action::Erased]
        .into_iter()
        .find(|action| action_word(*action) == word)
        .ok_or_else(|| StoreError::Corrupt(format!("`{word}` is no action of a feed entry")))
}

/// Changed fields of one origin. Created records list all their fields under one origin, which would be longer than the
/// record itself, so that case has a short form.
#[derive(Serialize, Deserialize)]
struct ChangedBy {
    /// Who.
    by: Origin,
    /// The fields with their values before; absent for all fields of the record, none of which had a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<BTreeMap<FieldName, serde_json::Value>>,
}

/// A feed entry's changed fields as JSON.
pub(super) fn encode_changed(changed: &[ChangedField], fields: &Fields) -> Result<String, StoreError> {
    let mut by_origin: BTreeMap<&Origin, BTreeMap<FieldName, serde_json::Value>> = BTreeMap::new();
    for field in changed {
        by_origin.entry(&field.origin).or_default().insert(field.field.clone(), field.before.clone());
    }
    let stored: Vec<ChangedBy> = by_origin
        .into_iter()
        .map(|(origin, before)| {
            let whole = before.len() == fields.len()
                && before.iter().zip(fields.keys()).all(|((name, value), field)| name == field && value.is_null());
            ChangedBy { by: origin.clone(), before: (!whole).then_some(before) }
        })
        .collect();
    encode(&stored)
}

/// A feed entry's changed fields, by name.
pub(super) fn decode_changed(text: &str, fields: &Fields) -> Result<Vec<ChangedField>, StoreError> {
    let stored: Vec<ChangedBy> = decode("a feed entry", text)?;
    let mut changed = Vec::new();
    for ChangedBy { by, before } in stored {
        match before {
            Some(before) => changed.extend(before.into_iter().map(|(field, before)| ChangedField {
                field,
                origin: by.clone(),
                before,
            })),
            None => changed.extend(fields.keys().map(|field| ChangedField {
                field: field.clone(),
                origin: by.clone(),
                before: serde_json::Value::Null,
            })),
        }
    }
    changed.sort_by(|a, b| a.field.cmp(&b.field));
    Ok(changed)
}

/// Who wrote which field, for the record's row: the origin of most fields under the empty name, the others by name.
pub(super) fn first_origins(changed: &[ChangedField]) -> Result<String, StoreError> {
    let mut counts: BTreeMap<&Origin, usize> = BTreeMap::new();
    for field in changed {
        *counts.entry(&field.origin).or_default() += 1;
    }
    let Some(usual) = counts.iter().max_by_key(|(_, count)| **count).map(|(origin, _)| *origin) else {
        return Ok("{}".into());
    };
    let mut origins = BTreeMap::from([("", usual.to_string())]);
    origins.extend(
        changed
            .iter()
            .filter(|field| field.origin != *usual)
            .map(|field| (field.field.as_str(), field.origin.to_string())),
    );
    encode(&origins)
}

/// Who wrote the fields that changed, as a patch of the record's origins.
pub(super) fn origins_patch(changed: &[ChangedField]) -> Result<String, StoreError> {
    let origins: BTreeMap<&str, String> =
        changed.iter().map(|field| (field.field.as_str(), field.origin.to_string())).collect();
    encode(&origins)
}

/// Fields as the API shows them.
pub(super) fn plain_fields(fields: &Fields) -> JsonFields {
    fields.iter().map(|(name, value)| (name.as_str().to_owned(), value.to_json())).collect()
}
