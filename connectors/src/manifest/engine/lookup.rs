//! Objects by their ids.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use serde_json::Value;
use syncline_core::{
    ids::ExternalId,
    remote::{ProviderError, Remedy, RemoteObject},
};

use super::{
    fields,
    rows::{self, Row, Shown},
    session::Session,
    walk,
};
use crate::{
    manifest::spec::{Etag, Many, Object, One},
    rest::Answer,
};

/// The objects with these ids; those that the provider does not show come as deleted, without a version.
pub(super) async fn by_id(
    session: &Session<'_>,
    object: &Object,
    ids: &[ExternalId],
    fields: &[String],
) -> Result<Vec<RemoteObject>, ProviderError> {
    let wanted: BTreeSet<&ExternalId> = ids.iter().collect();
    let askable: Vec<&ExternalId> =
        wanted.iter().copied().filter(|id| rows::is_id(object.id.ty, id.as_str())).collect();
    let mut found: BTreeMap<ExternalId, RemoteObject> = BTreeMap::new();
    let mut keep = |row: Row| drop(found.insert(row.object.id.clone(), row.object));
    match (&object.by_id.many, &object.by_id.one) {
        (Some(many), _) => {
            let max = usize::try_from(many.max).unwrap_or(usize::MAX).max(1);
            for ids in askable.chunks(max) {
                many_of(session, object, many, ids, fields).await?.into_iter().for_each(&mut keep);
            }
        }
        (None, Some(one)) => {
            let concurrent = usize::from(session.engine.spec().limits.concurrent).max(1);
            for ids in askable.chunks(concurrent) {
                let reads = ids.iter().map(|id| one_of(session, object, one, id, fields));
                try_join_all(reads).await?.into_iter().flatten().for_each(&mut keep);
            }
        }
        (None, None) => {}
    }
    let missing = |found: &BTreeMap<ExternalId, RemoteObject>| -> Vec<ExternalId> {
        let led_to: BTreeSet<&ExternalId> = found.values().flat_map(|object| &object.aliases).collect();
        wanted.iter().filter(|id| !found.contains_key(**id) && !led_to.contains(*id)).map(|id| (*id).clone()).collect()
    };
    if let Some(archived) = &object.by_id.archived {
        let ids = missing(&found);
        let askable: Vec<&ExternalId> = ids.iter().filter(|id| rows::is_id(object.id.ty, id.as_str())).collect();
        for ids in askable.chunks(usize::try_from(archived.max).unwrap_or(usize::MAX).max(1)) {
            for row in many_of(session, object, archived, ids, fields).await? {
                found.insert(row.object.id.clone(), RemoteObject { deleted: true, ..row.object });
            }
        }
    }
    if let Some(merged) = &object.by_id.merged {
        for id in missing(&found).iter().filter(|id| rows::is_id(object.id.ty, id.as_str())) {
            let Some(row) = one_of(session, object, merged, id, fields).await? else { continue };
            let survivor = found.entry(row.object.id.clone()).or_insert(row.object);
            if survivor.id != *id && !survivor.aliases.contains(id) {
                survivor.aliases.push(id.clone());
            }
        }
    }
    for id in missing(&found) {
        found.insert(id.clone(), rows::absent(id));
    }
    Ok(found.into_values().collect())
}

async fn many_of(
    session: &Session<'_>,
    object: &Object,
    many: &Many,
    ids: &[&ExternalId],
    fields: &[String],
) -> Result<Vec<Row>, ProviderError> {
    let texts: Vec<Value> = ids.iter().map(|id| id.as_str().into()).collect();
    let scope = session.engine.scope().with("ids", texts).with("fields", fields::remote_names(object, fields));
    match session.read(session.call(&many.request, &scope)?).await {
        Ok((_, body)) => rows_of(object, walk::entries(&many.rows, &body)?, fields),
        // Where none of them exists, the provider may say so of the call.
        Err(error) if error.remedy == Remedy::Gone => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Rows that must all be understood.
pub(super) fn rows_of(object: &Object, raw: Vec<Value>, fields: &[String]) -> Result<Vec<Row>, ProviderError> {
    let mut found = Vec::new();
    for raw in raw.into_iter().filter(|raw| !raw.is_null()) {
        match rows::row(object, raw, fields) {
            Shown::Row(row) => found.push(*row),
            Shown::Other => {}
            Shown::Malformed(malformed) => return Err(walk::broken(&malformed)),
        }
    }
    Ok(found)
}

/// One object; `None` where it is gone.
pub(super) async fn one_of(
    session: &Session<'_>,
    object: &Object,
    one: &One,
    id: &ExternalId,
    fields: &[String],
) -> Result<Option<Row>, ProviderError> {
    let scope = session.engine.scope().with("id", id.as_str()).with("fields", fields::remote_names(object, fields));
    let (answer, body) = match session.read(session.call(&one.request, &scope)?).await {
        Ok(read) => read,
        Err(error) if error.remedy == Remedy::Gone => return Ok(None),
        Err(error) => return Err(error),
    };
    let raw = match one.row.find(&body) {
        // A list of one, as searches by id give it.
        Some(Value::Array(rows)) => rows.first().cloned(),
        found => found.cloned(),
    };
    let mut rows = rows_of(object, raw.into_iter().collect(), fields)?;
    let Some(row) = rows.pop() else { return Ok(None) };
    Ok(Some(tagged(object, row, &answer)))
}

fn tagged(object: &Object, mut row: Row, answer: &Answer) -> Row {
    if object.etag == Some(Etag::Header) {
        row.etag = answer.header(http::header::ETAG.as_str()).map(str::to_owned);
    }
    row
}

/// An object as it is just now, with its entity tag; `None` where it is gone.
pub(super) async fn now(
    session: &Session<'_>,
    object: &Object,
    id: &ExternalId,
    fields: &[String],
) -> Result<Option<Row>, ProviderError> {
    match (&object.by_id.one, &object.by_id.many) {
        (Some(one), _) => one_of(session, object, one, id, fields).await,
        (None, Some(many)) => {
            let rows = many_of(session, object, many, &[id], fields).await?;
            Ok(rows.into_iter().find(|row| row.object.id == *id))
        }
        (None, None) => Ok(None),
    }
}
