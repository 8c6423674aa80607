//! An update or a delete of one object, and how it ended.

use serde_json::Value;
use syncline_core::{
    ids::ExternalId,
    remote::{Raw, RemoteObject, RemoteVersion, WriteOutcome},
};

use super::{
    fields, lookup, parts,
    rows::{self, Row, Shown},
    session::{Session, configure, retry},
    verdict,
};
use crate::{
    manifest::{
        spec::{Object, Verb, Write},
        words::Scope,
    },
    rest::{Answer, Outcomes},
};

/// Whether the object is read just before the write: for its entity tag, to be written whole, or to keep a marker.
pub(super) fn looks_first(object: &Object, write: &Write, body: &Raw) -> bool {
    let marker = object.key.as_ref().and_then(|key| key.marker.as_ref());
    write.request.uses("etag")
        || write.request.uses("object")
        || marker.is_some_and(|marker| body.contains_key(&marker.field))
}

fn not_applied(message: impl Into<String>) -> WriteOutcome {
    WriteOutcome::NotApplied(configure(message))
}

/// An id that can be asked for.
fn checked(object: &Object, id: &ExternalId) -> Result<(), WriteOutcome> {
    if rows::is_id(object.id.ty, id.as_str()) {
        return Ok(());
    }
    Err(not_applied(format!("`{id}` is no id of the provider")))
}

/// Changes an object. Fields that are objects of their own go first: if one is refused, nothing else was written.
pub(super) async fn update(
    session: &Session<'_>,
    object: &Object,
    id: &ExternalId,
    expected: Option<&RemoteVersion>,
    body: &Raw,
    asked: &[String],
) -> Result<WriteOutcome, WriteOutcome> {
    let Some(write) = &object.update else {
        return Err(Outcomes::refused(
            "NoUpdates",
            "the provider's objects cannot be changed: give the fields the direction `read`",
            body.keys().cloned().collect(),
        ));
    };
    checked(object, id)?;
    let mut spelled = fields::spell(object, body, false).map_err(WriteOutcome::Refused)?;
    for (name, value) in &spelled.parts {
        parts::replace(session, object, id, name, value).await?;
    }
    if spelled.body.is_empty() && !spelled.parts.is_empty() {
        return Ok(applied(id.clone(), false));
    }
    let mut scope = scope(session, id, expected);
    if looks_first(object, write, body) {
        let row = look(session, object, id, expected).await?;
        keep_marker(object, &row, &mut spelled.body);
        scope = scope.with_some("etag", row.etag.clone());
        scope.set("object", fields::whole(object, &row.raw, &spelled.body));
    }
    scope.set("body", Value::Object(spelled.body));
    send(session, object, write, scope, Verb::Update, Some(id), asked).await
}

/// Deletes an object.
pub(super) async fn delete(
    session: &Session<'_>,
    object: &Object,
    id: &ExternalId,
    expected: Option<&RemoteVersion>,
) -> Result<WriteOutcome, WriteOutcome> {
    let Some(write) = &object.delete else {
        return Err(Outcomes::refused(
            "NoDeletes",
            "the provider's objects cannot be deleted: write `deletes: {effect: detach}` in the model",
            Vec::new(),
        ));
    };
    checked(object, id)?;
    let mut scope = scope(session, id, expected);
    if looks_first(object, write, &Raw::new()) {
        let row = look(session, object, id, expected).await?;
        scope = scope.with_some("etag", row.etag.clone()).with("object", row.raw);
    }
    send(session, object, write, scope, Verb::Delete, Some(id), &[]).await
}

fn scope(session: &Session<'_>, id: &ExternalId, expected: Option<&RemoteVersion>) -> Scope {
    let version = expected.map(|version| version.stamp);
    session.engine.scope().with("id", id.as_str()).with_time("version", version)
}

/// The object just before the write. One that was changed since is not written.
async fn look(
    session: &Session<'_>,
    object: &Object,
    id: &ExternalId,
    expected: Option<&RemoteVersion>,
) -> Result<Row, WriteOutcome> {
    let asked = object.key.as_ref().and_then(|key| key.field.clone()).into_iter().collect::<Vec<_>>();
    let row = lookup::now(session, object, id, &asked).await.map_err(WriteOutcome::NotApplied)?;
    let Some(row) = row.filter(|row| !row.object.deleted) else { return Err(WriteOutcome::Gone) };
    match (expected, row.object.version) {
        (Some(expected), Some(version)) if version.newer_than(expected) => Err(WriteOutcome::Stale),
        _ => Ok(row),
    }
}

/// The key that stands behind a text stays there.
fn keep_marker(object: &Object, row: &Row, body: &mut Raw) {
    let Some(key) = &object.key else { return };
    let (Some(marker), Some(field)) = (&key.marker, &key.field) else { return };
    let Some(held) = row.object.fields.get(field).and_then(Value::as_str) else { return };
    let path = fields::write_path(object, &marker.field);
    if let Some(value) = path.in_object(body) {
        let text = fields::join(marker, value.as_str().unwrap_or_default(), held);
        path.put(body, text.into());
    }
}

/// Sends a write, and says how it ended.
pub(super) async fn send(
    session: &Session<'_>,
    object: &Object,
    write: &Write,
    mut scope: Scope,
    verb: Verb,
    id: Option<&ExternalId>,
    asked: &[String],
) -> Result<WriteOutcome, WriteOutcome> {
    if let Some(once) = &write.once {
        let call = session.call(&once.request, &scope).map_err(WriteOutcome::NotApplied)?;
        let (_, body) = session.read(call).await.map_err(WriteOutcome::NotApplied)?;
        let Some(value) = once.path.find(&body).filter(|value| !value.is_null()) else {
            let message = format!("the answer holds nothing at `{}` that a write could go with", once.path);
            return Err(WriteOutcome::NotApplied(retry(message)));
        };
        scope.set("once", value.clone());
    }
    let call = session.call(&write.request, &scope).map_err(WriteOutcome::NotApplied)?;
    let answer = session.send(call).await.map_err(Outcomes::lost)?;
    let body: Value = answer.json().unwrap_or(Value::Null);
    if verdict::fails(session.engine, &answer, &body) {
        let verdict = verdict::of(session.engine, &answer, &body, verb);
        if let (true, Some(id)) = (verdict.is_doubtful(), id) {
            // A read that fails leaves the doubt as it is.
            let read = lookup::by_id(session, object, std::slice::from_ref(id), &[]).await.unwrap_or_default();
            if read.iter().any(|read| read.deleted) {
                return Ok(WriteOutcome::Gone);
            }
        }
        let holder = object.key.as_ref().and_then(|key| key.holder.find(&body));
        let holder = holder.and_then(|value| rows::id_of(object.id.ty, value));
        return Ok(match verdict.ended() {
            WriteOutcome::Exists { message, .. } => WriteOutcome::Exists { id: holder, message },
            WriteOutcome::Refused(mut refusal) => {
                refusal.fields = refusal.fields.into_iter().map(|name| fields::local_name(object, name)).collect();
                WriteOutcome::Refused(refusal)
            }
            other => other,
        });
    }
    Ok(succeeded(session, object, write, id, &answer, &body, verb, asked).await)
}

#[expect(clippy::too_many_arguments, reason = "they are what an answer is judged by, and stand together nowhere else")]
async fn succeeded(
    session: &Session<'_>,
    object: &Object,
    write: &Write,
    id: Option<&ExternalId>,
    answer: &Answer,
    body: &Value,
    verb: Verb,
    asked: &[String],
) -> WriteOutcome {
    if let (Verb::Delete, Some(id)) = (verb, id) {
        return applied(id.clone(), false);
    }
    let shown = write.row.as_ref().and_then(|path| path.find(body)).and_then(|raw| shown(object, raw, asked));
    let told = || write.id.find(body).and_then(|value| rows::id_of(object.id.ty, value));
    let located = || write.location.then(|| location(object, answer)).flatten();
    let found = id.cloned().or_else(|| shown.as_ref().map(|shown| shown.id.clone())).or_else(told).or_else(located);
    let Some(found) = found else {
        return WriteOutcome::Unknown { message: "the answer does not say what was created".to_owned() };
    };
    let key = object.key.as_ref();
    let is_upsert = key.and_then(|key| key.upsert.as_ref()).is_some_and(|upsert| std::ptr::eq(upsert, write));
    let repeats = key.and_then(|key| key.repeated.as_ref()).is_some_and(|check| verdict::header_holds(check, answer));
    let created = verb == Verb::Create && (!is_upsert || answer.status == 201) && !repeats;
    let shown = shown.filter(|shown| shown.id == found);
    match shown {
        Some(shown) => {
            let whole = shown.version.is_some_and(|version| version.is_fine())
                && asked.iter().all(|name| shown.fields.contains_key(name));
            WriteOutcome::Applied { id: found, created, object: Some(Box::new(shown)), whole }
        }
        None if write.then_read => {
            // A read that fails only leaves the answer as empty as it was.
            let row = lookup::now(session, object, &found, asked).await.ok().flatten();
            let shown = row.map(|row| Box::new(row.object)).filter(|shown| shown.id == found && !shown.deleted);
            WriteOutcome::Applied { id: found, created, object: shown, whole: false }
        }
        None => applied(found, created),
    }
}

fn shown(object: &Object, raw: &Value, asked: &[String]) -> Option<RemoteObject> {
    let raw = match raw {
        Value::Array(rows) => rows.first()?.clone(),
        raw => raw.clone(),
    };
    match rows::row(object, raw, asked) {
        Shown::Row(row) => Some(row.object),
        Shown::Other | Shown::Malformed(_) => None,
    }
}

/// The last segment of where the new object is.
fn location(object: &Object, answer: &Answer) -> Option<ExternalId> {
    let path = answer.header(http::header::LOCATION.as_str())?.split(['?', '#']).next()?.trim_end_matches('/');
    let last = path.rsplit('/').next()?;
    let last = percent_encoding::percent_decode_str(last).decode_utf8().ok()?;
    rows::is_id(object.id.ty, &last).then(|| last.as_ref().into())
}

/// A row that was written, of which no more is known.
pub(super) fn applied(id: ExternalId, created: bool) -> WriteOutcome {
    WriteOutcome::Applied { id, created, object: None, whole: false }
}
