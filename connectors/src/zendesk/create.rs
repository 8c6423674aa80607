//! Creates that may be repeated: each looks for the object that an earlier attempt has made.
//!
//! | object | how | what keeps two attempts at once apart |
//! |---|---|---|
//! | tickets | a look by `external_id`, then an insert | `Idempotency-Key`, which Zendesk knows for two hours |
//! | users | a look by `external_id`, for all rows of the call, then an insert | values of `external_id` are unique |
//! | organizations | one call that creates or updates | values of `external_id` are unique |
//!
//! Users have such a call as well, which is of no use: it finds them by e-mail address too, and would overwrite somebody else's.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use syncline_core::{
    ids::ExternalId,
    remote::{Key, ProviderError, Raw, Remedy, WriteOutcome, WriteRequest, WriteVerb},
};

use super::{
    find,
    kind::{KEY_FIELD, Kind},
    lookup,
    session::Session,
    single,
    write::change,
};
use crate::rest::{Answer, Call, Outcomes};

/// So many tickets of one record may have been made and deleted again within the two hours that Zendesk remembers keys.
const KEYS_MAX: u32 = 4;

/// The users that creates will find, by our key in lower case, since letter case is nothing to Zendesk here.
pub(super) type Bearers = BTreeMap<String, ExternalId>;

/// The key of a create, if it has one that can be looked for.
pub(super) fn key_of(row: &WriteRequest) -> Result<Option<&Key>, ProviderError> {
    match &row.verb {
        WriteVerb::Create { key: Some(key) } if key.field != KEY_FIELD => Err(ProviderError {
            remedy: Remedy::Configure,
            message: format!("the key of Zendesk's objects is `{KEY_FIELD}`: name it instead of `{}`", key.field),
        }),
        WriteVerb::Create { key } => Ok(key.as_ref()),
        _ => Ok(None),
    }
}

/// Looks for the users that bear the keys of these rows.
pub(super) async fn bearers(session: &Session<'_>, rows: &[&WriteRequest]) -> Result<Bearers, ProviderError> {
    let keys: Vec<&str> =
        rows.iter().filter_map(|row| key_of(row).ok().flatten()).map(|key| key.value.as_str()).collect();
    let asked = [KEY_FIELD.to_owned()];
    let found = lookup::by_key(session, Kind::Users, &keys, &asked).await?;
    let live = found.into_iter().filter(|row| !row.object.deleted);
    let bearer = |row: super::rows::Row| Some((folded(row.object.fields.get(KEY_FIELD)?.as_str()?), row.object.id));
    Ok(live.filter_map(bearer).collect())
}

fn folded(key: &str) -> String {
    key.to_lowercase()
}

/// Creates the object of a row, or changes the one that was created before.
pub(super) async fn create(
    session: &Session<'_>,
    kind: Kind,
    row: &WriteRequest,
    mut body: Raw,
    bearers: &Bearers,
    fields: &[String],
) -> Result<WriteOutcome, WriteOutcome> {
    let key = key_of(row).map_err(WriteOutcome::NotApplied)?;
    let Some(key) = key else {
        return sent(session, kind, row, single::insert(session.settings, kind, body), fields).await;
    };
    body.insert(KEY_FIELD.to_owned(), key.value.clone().into());
    match kind {
        Kind::Tickets => ticket(session, row, key, body, fields).await,
        Kind::Users => match bearers.get(&folded(&key.value)) {
            Some(id) => change(session, kind, row, id, None, body, fields).await,
            None => sent(session, kind, row, single::insert(session.settings, kind, body), fields).await,
        },
        Kind::Organizations => {
            let call = Call::post(kind.path("/create_or_update.json"), serde_json::json!({ kind.singular(): body }));
            sent(session, kind, row, call, fields).await
        }
    }
}

async fn sent(
    session: &Session<'_>,
    kind: Kind,
    row: &WriteRequest,
    call: Call,
    fields: &[String],
) -> Result<WriteOutcome, WriteOutcome> {
    let answer = session.send(call).await.map_err(Outcomes::lost)?;
    let outcome = single::outcome(&answer, kind, row, fields);
    match outcome {
        WriteOutcome::Exists { message, .. } => Err(exists(session, kind, row, message).await),
        other => Ok(other),
    }
}

/// Names the object that holds a unique value already, as far as the search knows it. Where it holds our key, another attempt has
/// made it meanwhile, and the next one will find it.
async fn exists(session: &Session<'_>, kind: Kind, row: &WriteRequest, message: String) -> WriteOutcome {
    if let Ok(Some(key)) = key_of(row) {
        let bearers = lookup::by_key(session, kind, &[&key.value], &[]).await.unwrap_or_default();
        if bearers.iter().any(|bearer| !bearer.object.deleted) {
            return WriteOutcome::NotApplied(ProviderError { remedy: Remedy::Retry, message });
        }
    }
    let unique = match kind {
        Kind::Users => "email",
        Kind::Organizations => "name",
        Kind::Tickets => KEY_FIELD,
    };
    let mut id = None;
    if let Some(value) = row.body.get(unique).and_then(serde_json::Value::as_str) {
        let search = [vec![Key { field: unique.to_owned(), value: value.to_owned() }]];
        // A search that fails only leaves the object without its name.
        let found = find::find(session, kind, &search, &[]).await.unwrap_or_default();
        id = found.into_iter().next().map(|object| object.id);
    }
    WriteOutcome::Exists { id, message }
}

/// A ticket is looked for first, since Zendesk forgets the keys of inserts, and its external ids need not be unique.
async fn ticket(
    session: &Session<'_>,
    row: &WriteRequest,
    key: &Key,
    body: Raw,
    fields: &[String],
) -> Result<WriteOutcome, WriteOutcome> {
    let found = lookup::by_key(session, Kind::Tickets, &[&key.value], &[]).await.map_err(WriteOutcome::NotApplied)?;
    let mut live = found.into_iter().map(|row| row.object).filter(|object| !object.deleted);
    match (live.next(), live.next()) {
        (Some(ticket), None) => return again(session, row, &ticket.id, body, fields).await,
        (Some(_), Some(_)) => {
            let message =
                format!("several tickets hold `{}` in {KEY_FIELD}: clear it on all but one of them", key.value);
            return Err(Outcomes::refused("SeveralTickets", message, vec![KEY_FIELD.to_owned()]));
        }
        (None, _) => {}
    }
    let mut spent: Option<ExternalId> = None;
    for _ in 0..KEYS_MAX {
        let call = single::insert(session.settings, Kind::Tickets, body.clone())
            .header("idempotency-key", idempotency_key(key, spent.as_ref()));
        let answer = session.send(call).await.map_err(Outcomes::lost)?;
        let outcome = single::outcome(&answer, Kind::Tickets, row, fields);
        let WriteOutcome::Applied { id, .. } = &outcome else { return Ok(outcome) };
        if !is_repeated(&answer) || is_there(session, id).await? {
            return Ok(outcome);
        }
        // Zendesk repeats its answer about a ticket that was deleted since.
        spent = Some(id.clone());
    }
    Ok(WriteOutcome::NotApplied(ProviderError {
        remedy: Remedy::Retry,
        message: "Zendesk repeats answers about tickets that were deleted: it will have forgotten them in two hours"
            .to_owned(),
    }))
}

/// A ticket that an earlier attempt has made: its first comment stands.
async fn again(
    session: &Session<'_>,
    row: &WriteRequest,
    id: &ExternalId,
    mut body: Raw,
    fields: &[String],
) -> Result<WriteOutcome, WriteOutcome> {
    body.remove("comment");
    change(session, Kind::Tickets, row, id, None, body, fields).await
}

fn is_repeated(answer: &Answer) -> bool {
    answer.header("x-idempotency-lookup").is_some_and(|lookup| lookup.eq_ignore_ascii_case("hit"))
}

/// Whether a ticket of which Zendesk has repeated its answer is still there. If that cannot be told, the row's end is unknown.
async fn is_there(session: &Session<'_>, id: &ExternalId) -> Result<bool, WriteOutcome> {
    let shown = lookup::by_id(session, Kind::Tickets, std::slice::from_ref(id), &[]).await;
    let shown = shown.map_err(|error| WriteOutcome::Unknown { message: error.message })?;
    Ok(shown.iter().any(|object| !object.deleted))
}

/// A name for the insert of one record's ticket, and another one after each ticket that was deleted again.
fn idempotency_key(key: &Key, spent: Option<&ExternalId>) -> String {
    let mut hasher = Sha256::new();
    for part in [key.field.as_str(), key.value.as_str(), spent.map_or("", |id| id.as_str())] {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let digest: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("syncline-{digest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(field: &str) -> WriteRequest {
        let key = Some(Key { field: field.to_owned(), value: "Key 1".to_owned() });
        WriteRequest { object: "users".into(), verb: WriteVerb::Create { key }, body: Raw::new(), trace: 0 }
    }

    #[test]
    fn only_the_external_id_is_a_key() {
        assert_eq!(key_of(&row("external_id")).expect("a key").map(|key| key.value.as_str()), Some("Key 1"));
        assert_eq!(key_of(&row("email")).map_err(|error| error.remedy), Err(Remedy::Configure));
    }

    #[test]
    fn each_insert_has_a_name_of_its_own() {
        let name = |value: &str, spent: Option<&str>| {
            let key = Key { field: KEY_FIELD.to_owned(), value: value.to_owned() };
            idempotency_key(&key, spent.map(ExternalId::from).as_ref())
        };
        assert_eq!(name("k", None), name("k", None));
        assert!(name("k/1 ü", None).is_ascii() && name("k/1 ü", None).len() < 255);
        let names = [name("k", None), name("l", None), name("k", Some("7")), name("k7", None), name("k", Some("8"))];
        assert_eq!(names.iter().collect::<std::collections::BTreeSet<_>>().len(), names.len());
    }

    #[test]
    fn repeated_answers_are_known() {
        for (lookup, expected) in [(Some("hit"), true), (Some("miss"), false), (None, false)] {
            let mut answer = Answer::default();
            if let Some(lookup) = lookup {
                answer.headers.insert("x-idempotency-lookup", http::HeaderValue::from_static(lookup));
            }
            assert_eq!(is_repeated(&answer), expected, "{lookup:?}");
        }
    }
}
