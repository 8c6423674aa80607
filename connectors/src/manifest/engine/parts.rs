//! Fields that are objects of their own, such as a person's address: looked for, and then changed, added or taken away.

use serde_json::Value;
use syncline_core::{
    ids::ExternalId,
    remote::{Remedy, WriteOutcome},
};

use super::{session::Session, verdict, walk};
use crate::{
    manifest::spec::{Object, Verb},
    rest::Outcomes,
};

/// Brings the part that holds a field to a value. The error is how the row ended: nothing else was written then.
pub(super) async fn replace(
    session: &Session<'_>,
    object: &Object,
    id: &ExternalId,
    name: &str,
    value: &Value,
) -> Result<(), WriteOutcome> {
    let Some(parts) = object.fields.known.get(name).and_then(|field| field.parts.as_ref()) else { return Ok(()) };
    let scope = session.engine.scope().with("id", id.as_str()).with("value", value.clone());
    let call = session.call(&parts.look, &scope).map_err(WriteOutcome::NotApplied)?;
    let body = match session.read(call).await {
        Ok((_, body)) => body,
        Err(error) if error.remedy == Remedy::Gone => return Err(WriteOutcome::Gone),
        Err(error) => return Err(WriteOutcome::NotApplied(error)),
    };
    let rows = walk::entries(&parts.rows, &body).map_err(WriteOutcome::NotApplied)?;
    let held = rows.into_iter().find(|row| parts.pick.iter().all(|check| check.holds(row)));
    let refused = |code: &str, message: &str| Outcomes::refused(code, message, vec![name.to_owned()]);
    let clears = value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty());
    let request = match (&held, clears) {
        (None, true) => return Ok(()),
        (Some(held), false) if parts.value.find(held).is_some_and(|own| own == value) => return Ok(()),
        (Some(_), false) => &parts.change,
        (Some(_), true) => parts.remove.as_ref().ok_or_else(|| {
            refused("IsKept", "the provider's last value of this field is not taken away: remove it there")
        })?,
        (None, false) => parts.add.as_ref().ok_or_else(|| {
            refused("NothingToChange", "the object holds none yet, and the manifest adds none: add it at the provider")
        })?,
    };
    let scope = match held {
        Some(held) => scope.with("found", held),
        None => scope,
    };
    let call = session.call(request, &scope).map_err(WriteOutcome::NotApplied)?;
    let answer = session.send(call).await.map_err(Outcomes::lost)?;
    let body: Value = answer.json().unwrap_or(Value::Null);
    if !verdict::fails(session.engine, &answer, &body) {
        return Ok(());
    }
    // Errors of a part speak of its own names.
    Err(match verdict::of(session.engine, &answer, &body, Verb::Update).ended() {
        WriteOutcome::Refused(refusal) => Outcomes::refused(refusal.code, refusal.message, vec![name.to_owned()]),
        other => other,
    })
}
