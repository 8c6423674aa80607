//! Objects by their ids, and by our key in them: both are exact and never lag, unlike searches.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;
use syncline_core::{
    ids::ExternalId,
    remote::{ProviderError, Raw, Remedy, RemoteObject},
};

use super::{
    kind::{KEY_FIELD, Kind},
    rows::{self, Row},
    session::Session,
    values,
};
use crate::rest::{Call, stamp};

/// The most objects of one call.
pub(super) const IDS_MAX: usize = 100;

/// The objects with these ids. Deleted ones come as deleted, and those that Zendesk does not show without a version.
pub(super) async fn by_id(
    session: &Session<'_>,
    kind: Kind,
    ids: &[ExternalId],
    fields: &[String],
) -> Result<Vec<RemoteObject>, ProviderError> {
    let mut found: BTreeMap<ExternalId, RemoteObject> = BTreeMap::new();
    let wanted: BTreeSet<&ExternalId> = ids.iter().collect();
    let askable: Vec<&str> = wanted.iter().map(|id| id.as_str()).filter(|id| rows::is_id(id)).collect();
    for ids in askable.chunks(IDS_MAX) {
        let rows = show_many(session, kind, "ids", ids, fields).await?;
        found.extend(rows.into_iter().map(|row| (row.object.id.clone(), row.object)));
    }
    let missing: Vec<&ExternalId> = wanted.into_iter().filter(|id| !found.contains_key(*id)).collect();
    let told = deleted(session, kind, &missing, fields).await?;
    for id in missing {
        let object = told.get(id).cloned().unwrap_or_else(|| rows::absent(id.clone()));
        found.insert(id.clone(), object);
    }
    Ok(found.into_values().collect())
}

/// Objects with these values of our key, live or not. Letter case is nothing to Zendesk here.
pub(super) async fn by_key(
    session: &Session<'_>,
    kind: Kind,
    keys: &[&str],
    fields: &[String],
) -> Result<Vec<Row>, ProviderError> {
    let mut found = Vec::new();
    if kind == Kind::Tickets {
        for key in keys {
            let call = Call::get(kind.path(".json")).query(KEY_FIELD, *key);
            found.extend(rows_of(kind, session.read(call).await?, fields)?);
        }
        return Ok(found);
    }
    // A comma parts the values of one call, so what holds one has a call of its own.
    let (apart, together): (Vec<&str>, Vec<&str>) = keys.iter().partition(|key| key.contains(','));
    for keys in together.chunks(IDS_MAX) {
        found.extend(show_many(session, kind, "external_ids", keys, fields).await?);
    }
    for key in apart {
        let call = Call::get(kind.path("/search.json")).query(KEY_FIELD, key);
        found.extend(rows_of(kind, session.read(call).await?, fields)?);
    }
    Ok(found)
}

async fn show_many(
    session: &Session<'_>,
    kind: Kind,
    by: &'static str,
    values: &[&str],
    fields: &[String],
) -> Result<Vec<Row>, ProviderError> {
    let call = Call::get(kind.path("/show_many.json")).query(by, values.join(","));
    match session.read(call).await {
        Ok(answer) => rows_of(kind, answer, fields),
        // Where none of them exists, Zendesk may say so of the call.
        Err(error) if error.remedy == Remedy::Gone => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The rows of an answer to a question about certain objects, where a row that cannot be read fails the question.
fn rows_of(kind: Kind, mut answer: Raw, fields: &[String]) -> Result<Vec<Row>, ProviderError> {
    let broken = |message: String| ProviderError { remedy: Remedy::Retry, message };
    let Some(Value::Array(values)) = answer.remove(kind.plural()) else {
        return Err(broken(format!("the answer holds no {}", kind.plural())));
    };
    let row = |value| {
        rows::row(kind, value, fields).map_err(|malformed| {
            let id = malformed.id.as_ref().map_or("?", |id| id.as_str());
            broken(format!("{} {id}: {}", kind.singular(), malformed.reason))
        })
    };
    values.into_iter().map(row).collect()
}

#[derive(Deserialize)]
struct DeletedTickets {
    deleted_tickets: Vec<Raw>,
}

/// Those of the missing objects that Zendesk lists as deleted. Of tickets it lists the deleted ones apart, and hides them from
/// every read by id; the newest hundred are where one looks for what was just deleted.
async fn deleted(
    session: &Session<'_>,
    kind: Kind,
    missing: &[&ExternalId],
    fields: &[String],
) -> Result<BTreeMap<ExternalId, RemoteObject>, ProviderError> {
    if kind != Kind::Tickets || missing.is_empty() {
        return Ok(BTreeMap::new());
    }
    let call = Call::get("/api/v2/deleted_tickets.json")
        .query("sort_by", "deleted_at")
        .query("sort_order", "desc")
        .query("per_page", IDS_MAX.to_string());
    match session.read::<DeletedTickets>(call).await {
        Ok(answer) => Ok(listed(answer, missing, fields)),
        // The list only adds to what is known: that an object is shown nowhere is an answer without it.
        Err(error) if matches!(error.remedy, Remedy::Busy { .. } | Remedy::Configure | Remedy::Gone) => {
            Ok(BTreeMap::new())
        }
        Err(error) => Err(error),
    }
}

fn listed(answer: DeletedTickets, missing: &[&ExternalId], fields: &[String]) -> BTreeMap<ExternalId, RemoteObject> {
    let ticket = |raw: Raw| {
        let id = raw.get("id").and_then(rows::id_of)?;
        let version = raw.get("deleted_at").and_then(stamp::read).map(rows::version)?;
        let fields = values::pick(Kind::Tickets, &raw, fields);
        missing
            .contains(&&id)
            .then(|| (id.clone(), RemoteObject { version: Some(version), fields, ..rows::absent(id) }))
    };
    answer.deleted_tickets.into_iter().filter_map(ticket).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use syncline_core::time::Millis;

    use super::*;

    #[test]
    fn deleted_tickets_are_told_from_missing_ones() {
        let answer = json!({"deleted_tickets": [
            {"id": 7, "subject": "Help", "deleted_at": "2026-05-05T10:32:01Z", "previous_state": "open"},
            {"id": 8, "subject": "Other", "deleted_at": "2026-05-05T10:32:02Z"},
            {"id": 9, "deleted_at": "soon"},
        ]});
        let answer = serde_json::from_value(answer).expect("an answer");
        let ids: Vec<ExternalId> = ["7", "9", "10"].map(ExternalId::from).into();
        let found = listed(answer, &ids.iter().collect::<Vec<_>>(), &["subject".to_owned(), "status".to_owned()]);
        let object = &found[&ExternalId::from("7")];
        assert_eq!(found.len(), 1);
        assert_eq!((object.deleted, object.version), (true, Some(rows::version(Millis(1_777_977_121_000)))));
        assert_eq!(Value::Object(object.fields.clone()), json!({"subject": "Help"}));
    }

    #[test]
    fn an_answer_without_its_rows_is_none() {
        let cases = [
            (json!({"users": [{"id": 1, "updated_at": "2026-05-05T10:32:01Z"}]}), Ok(1)),
            (json!({"users": []}), Ok(0)),
            (json!({"users": [{"id": 1}]}), Err(Remedy::Retry)),
            (json!({"tickets": []}), Err(Remedy::Retry)),
        ];
        for (answer, expected) in cases {
            let Value::Object(raw) = answer.clone() else { panic!("an object is expected") };
            let rows = rows_of(Kind::Users, raw, &[]).map(|rows| rows.len()).map_err(|error| error.remedy);
            assert_eq!(rows, expected, "{answer}");
        }
    }
}
