//! Objects by id, in batches: HubSpot's consistent read, with history where wanted.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};
use syncline_core::{
    ids::ExternalId,
    remote::{ProviderError, Remedy, RemoteObject},
};

use super::{
    errors::RowError,
    rows::{Shape, absent},
    session::Session,
    settings::Settings,
};
use crate::rest::{Call, segment};

/// The most ids of a batch.
pub(super) const ROWS_MAX: usize = 100;

/// The most ids of a batch with history.
const ROWS_WITH_HISTORY_MAX: usize = 50;

#[derive(Deserialize)]
struct BatchAnswer {
    #[serde(default)]
    results: Vec<Value>,
    #[serde(default)]
    errors: Vec<RowError>,
}

/// What a batch is asked for.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) shape: Shape<'a>,
    pub(super) history: bool,
    pub(super) archived: bool,
    /// The unique property whose values stand for ids; `None` for the ids themselves.
    pub(super) id_property: Option<&'a str>,
}

/// The call of a batch.
fn request(settings: &Settings, wanted: Wanted<'_>, ids: &[&str]) -> Result<Call, ProviderError> {
    let mut body = json!({
        "inputs": ids.iter().map(|id| json!({ "id": id })).collect::<Vec<_>>(),
        "properties": wanted.shape.properties(),
        "propertiesWithHistory": if wanted.history { wanted.shape.fields } else { &[] },
    });
    if let Some(property) = wanted.id_property {
        body["idProperty"] = json!(property);
    }
    let call = Call::post(settings.objects(wanted.shape.object, "/batch/read")?, body);
    Ok(if wanted.archived { call.query("archived", "true") } else { call })
}

/// Reads a batch of any size. Ids that are not there are left out.
pub(super) async fn read(
    session: &Session<'_>,
    wanted: Wanted<'_>,
    ids: &BTreeSet<&str>,
) -> Result<Vec<RemoteObject>, ProviderError> {
    let ids: Vec<&str> = ids.iter().copied().collect();
    let mut objects = Vec::new();
    for ids in ids.chunks(if wanted.history { ROWS_WITH_HISTORY_MAX } else { ROWS_MAX }) {
        let answer: BatchAnswer = session.read(request(session.settings, wanted, ids)?).await?;
        if let Some(error) = answer.errors.iter().find(|error| !error.is_missing()) {
            return Err(error.as_read());
        }
        objects.extend(wanted.shape.rows(answer.results)?);
    }
    for object in &mut objects {
        object.deleted |= wanted.archived;
    }
    Ok(objects)
}

/// The objects of these ids: live ones, archived ones, survivors of merges; and what is nowhere as deleted.
pub(super) async fn by_id(
    session: &Session<'_>,
    shape: Shape<'_>,
    ids: &[ExternalId],
    history: bool,
) -> Result<Vec<RemoteObject>, ProviderError> {
    let live = Wanted { shape, history, archived: false, id_property: None };
    let mut found = Found::default();
    found.add(read(session, live, &names(ids)).await?);
    let lacking = found.lacking(ids);
    if !lacking.is_empty() {
        found.add(read(session, Wanted { archived: true, ..live }, &names(&lacking)).await?);
    }
    let merges = merges(session, shape, &found.lacking(ids)).await?;
    let survivors: Vec<ExternalId> = merges.values().cloned().collect();
    let unread = found.lacking(&survivors);
    if !unread.is_empty() {
        found.add(read(session, live, &names(&unread)).await?);
    }
    found.note_merges(&merges);
    found.add(found.lacking(ids).into_iter().map(absent).collect());
    Ok(found.0)
}

fn names(ids: &[ExternalId]) -> BTreeSet<&str> {
    ids.iter().map(ExternalId::as_str).collect()
}

/// The survivors of ids that no batch speaks of: a merged id may come back under its survivor's, or not at all, and only
/// a read of its own then tells.
async fn merges(
    session: &Session<'_>,
    shape: Shape<'_>,
    ids: &[ExternalId],
) -> Result<BTreeMap<ExternalId, ExternalId>, ProviderError> {
    let mut merges = BTreeMap::new();
    for id in ids {
        if let Some(object) = one(session, shape.narrow(), id).await?.filter(|object| object.id != *id) {
            merges.insert(id.clone(), object.id);
        }
    }
    Ok(merges)
}

/// Reads one object, following a merge. `None` where it is not there.
async fn one(session: &Session<'_>, shape: Shape<'_>, id: &ExternalId) -> Result<Option<RemoteObject>, ProviderError> {
    let path = session.settings.objects(shape.object, &format!("/{}", segment(id.as_str())))?;
    match session.read::<Value>(Call::get(path).query("properties", shape.properties().join(","))).await {
        Ok(value) => Ok(shape.rows(vec![value])?.pop()),
        Err(error) if error.remedy == Remedy::Gone => Ok(None),
        Err(error) => Err(error),
    }
}

/// Objects found so far, each once.
#[derive(Default)]
struct Found(Vec<RemoteObject>);

impl Found {
    fn add(&mut self, objects: Vec<RemoteObject>) {
        for object in objects {
            if !self.0.iter().any(|found| found.id == object.id) {
                self.0.push(object);
            }
        }
    }

    /// Gives the survivors the ids that now resolve to them.
    fn note_merges(&mut self, merges: &BTreeMap<ExternalId, ExternalId>) {
        for (loser, survivor) in merges {
            if let Some(object) = self.0.iter_mut().find(|object| object.id == *survivor) {
                object.aliases.push(loser.clone());
            }
        }
    }

    /// The ids that no object speaks of.
    fn lacking(&self, ids: &[ExternalId]) -> Vec<ExternalId> {
        let known = |id: &ExternalId| self.0.iter().any(|object| object.id == *id || object.aliases.contains(id));
        ids.iter().filter(|id| !known(id)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::Body;

    fn object(id: &str, aliases: &[&str]) -> RemoteObject {
        let mut object = absent(id.into());
        object.aliases = aliases.iter().map(|id| ExternalId::from(*id)).collect();
        object
    }

    #[test]
    fn a_batch_names_ids_properties_and_history() {
        let fields = ["email".to_owned()];
        let shape = Shape { object: &"contacts".into(), fields: &fields, app_id: None };
        let wanted = Wanted { shape, history: true, archived: true, id_property: None };
        let call = request(&Settings::default(), wanted, &["1", "2"]).expect("a call");
        assert_eq!(call.target(), "/crm/v3/objects/contacts/batch/read?archived=true");
        let expected = json!({
            "inputs": [{"id": "1"}, {"id": "2"}],
            "properties": ["email", "lastmodifieddate", "hs_merged_object_ids"],
            "propertiesWithHistory": ["email"],
        });
        assert_eq!(call.body, Body::Json(expected));

        let wanted = Wanted { history: false, archived: false, id_property: Some("email"), ..wanted };
        let call = request(&Settings::default(), wanted, &["a@b.c"]).expect("a call");
        let Body::Json(body) = call.body else { panic!("JSON is expected") };
        assert_eq!((&body["idProperty"], &body["propertiesWithHistory"]), (&json!("email"), &json!([])));
    }

    #[test]
    fn each_id_is_found_once() {
        let ids = ["1", "2", "3"].map(ExternalId::from);
        let mut found = Found::default();
        found.add(vec![object("1", &["2"]), object("1", &[])]);
        assert_eq!(found.lacking(&ids), ["3".into()]);
        found.note_merges(&BTreeMap::from([("3".into(), "1".into()), ("4".into(), "9".into())]));
        assert!(found.lacking(&ids).is_empty());
        assert_eq!(found.0.len(), 1);
    }
}
