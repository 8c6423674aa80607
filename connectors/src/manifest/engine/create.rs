//! Creations that may be repeated: what an earlier attempt has made is found before, known by the provider, or met, and is changed
//! instead of made again.

use serde_json::Value;
use sha2::{Digest, Sha256};
use syncline_core::{
    ids::ExternalId,
    remote::{Key, Raw, WriteOutcome, WriteRequest, WriteVerb},
};

use super::{
    Engine, fields, find,
    session::{Session, configure, retry},
    single,
    write::Bearers,
};
use crate::{
    manifest::{
        spec::{self, Object, Verb, Write},
        words::Scope,
    },
    rest::Outcomes,
};

/// The call that creates or changes by the key.
pub(super) fn upsert(object: &Object) -> Option<&Write> {
    object.key.as_ref()?.upsert.as_ref()
}

/// Whether what an earlier attempt has made is looked for before.
pub(super) fn is_sought(engine: &Engine, row: &WriteRequest) -> bool {
    let WriteVerb::Create { key: Some(key) } = &row.verb else { return false };
    let object = engine.object(&row.object).ok();
    object.and_then(|object| object.key.as_ref()).is_some_and(|own| own.look && fits(own, key))
}

fn fits(own: &spec::Key, key: &Key) -> bool {
    own.field.as_ref().is_none_or(|field| *field == key.field)
}

/// Creates the object of a row, or changes the one that was created before.
pub(super) async fn create(
    session: &Session<'_>,
    object: &Object,
    row: &WriteRequest,
    key: Option<&Key>,
    bearers: &Bearers,
    asked: &[String],
) -> Result<WriteOutcome, WriteOutcome> {
    let Some(key) = key else {
        let write = creating(object, row)?;
        let body = fields::spell(object, &row.body, true).map_err(WriteOutcome::Refused)?.body;
        let scope = session.engine.scope().with("body", Value::Object(body));
        return sent(session, object, row, None, write, scope, asked).await;
    };
    let own = object.key.as_ref().ok_or_else(|| no_key(row, key))?;
    if !fits(own, key) {
        return Err(no_key(row, key));
    }
    if let Some(found) = bearers.get(&(row.object.clone(), key.value.trim().to_lowercase())) {
        return again(session, object, row, key, found, asked).await;
    }
    let body = keyed(object, own, &row.body, key);
    let body = fields::spell(object, &body, true).map_err(WriteOutcome::Refused)?.body;
    let scope = session.engine.scope().with("body", Value::Object(body)).with("key", key.value.as_str());
    let scope =
        scope.with("key_field", fields::remote_name(object, &key.field)).with("attempt_key", attempt_key(row, key));
    let write = match &own.upsert {
        Some(upsert) => upsert,
        None => creating(object, row)?,
    };
    sent(session, object, row, Some(key), write, scope, asked).await
}

fn creating<'o>(object: &'o Object, row: &WriteRequest) -> Result<&'o Write, WriteOutcome> {
    object.create.as_ref().ok_or_else(|| {
        Outcomes::refused(
            "NoCreations",
            "the provider's objects cannot be created: let only those be synced that exist",
            row.body.keys().cloned().collect(),
        )
    })
}

fn no_key(row: &WriteRequest, key: &Key) -> WriteOutcome {
    WriteOutcome::NotApplied(configure(format!(
        "`{}` is no key of `{}`: name the one that its manifest has, or none",
        key.field, row.object
    )))
}

/// The body with our key: in its own field, or behind a text.
fn keyed(object: &Object, own: &spec::Key, body: &Raw, key: &Key) -> Raw {
    let mut body = body.clone();
    match &own.marker {
        Some(marker) => {
            let text = body.get(&marker.field).and_then(Value::as_str).unwrap_or_default();
            let text = fields::join(marker, text, &key.value);
            body.insert(marker.field.clone(), text.into());
        }
        None if own.field.is_some() || object.fields.others || object.fields.known.contains_key(&key.field) => {
            body.insert(key.field.clone(), key.value.clone().into());
        }
        None => {}
    }
    body
}

/// What an earlier attempt has made is changed.
async fn again(
    session: &Session<'_>,
    object: &Object,
    row: &WriteRequest,
    key: &Key,
    found: &[ExternalId],
    asked: &[String],
) -> Result<WriteOutcome, WriteOutcome> {
    let [id] = found else {
        let message = format!("several objects hold `{}` in {}: clear it on all but one of them", key.value, key.field);
        return Err(Outcomes::refused("SeveralObjects", message, vec![key.field.clone()]));
    };
    // Fields that only creations set stand already.
    let mut body = row.body.clone();
    body.retain(|name, _| object.fields.known.get(name).is_none_or(|field| field.access == spec::Access::Write));
    if object.update.is_none() || body.is_empty() {
        return Ok(single::applied(id.clone(), false));
    }
    Ok(match single::update(session, object, id, None, &body, asked).await? {
        WriteOutcome::Applied { id, object, whole, .. } => WriteOutcome::Applied { id, created: false, object, whole },
        other => other,
    })
}

async fn sent(
    session: &Session<'_>,
    object: &Object,
    row: &WriteRequest,
    key: Option<&Key>,
    write: &Write,
    scope: Scope,
    asked: &[String],
) -> Result<WriteOutcome, WriteOutcome> {
    match single::send(session, object, write, scope, Verb::Create, None, asked).await? {
        WriteOutcome::Exists { id, message } => Err(exists(session, object, row, key, id, message).await),
        other => Ok(other),
    }
}

/// Names the object that is in the way. Where it bears our key, another attempt has made it meanwhile, and the next one finds it.
async fn exists(
    session: &Session<'_>,
    object: &Object,
    row: &WriteRequest,
    key: Option<&Key>,
    id: Option<ExternalId>,
    message: String,
) -> WriteOutcome {
    let name = row.object.as_str();
    if let Some(key) = key {
        // A search that fails only leaves the object without its name.
        let bearers = find::bearers(session, object, name, std::slice::from_ref(key)).await.unwrap_or_default();
        if !bearers.is_empty() {
            return WriteOutcome::NotApplied(retry(message));
        }
    }
    let unique = object.key.as_ref().and_then(|key| key.unique.as_ref());
    let value = unique.and_then(|field| Some((field, row.body.get(field)?.as_str()?)));
    let mut id = id;
    if let (None, Some((field, value))) = (&id, value) {
        let search = [vec![Key { field: field.clone(), value: value.to_owned() }]];
        let found = find::find(session, object, name, &search, &[]).await.unwrap_or_default();
        id = found.into_iter().next().map(|object| object.id);
    }
    WriteOutcome::Exists { id, message }
}

/// A name for the creation of one record's object, the same in every attempt.
fn attempt_key(row: &WriteRequest, key: &Key) -> String {
    let mut hasher = Sha256::new();
    for part in [row.object.as_str(), key.field.as_str(), key.value.as_str()] {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let digest: String = hasher.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("syncline-{digest}")
}
