//! The stage of every story here: a model with a field of each kind that merges, and tokens for clients.

use serde_json::{Value as Json, json};
use syncline_tests::{
    api::{Api, id_of},
    patience::eventually,
    stage::{Setting, Stage},
};

/// What every story's stage is set with.
pub(crate) const SETTING: Setting = Setting {
    configuration: include_str!("syncline.yaml"),
    contacts: 0,
    shared: 0,
    faults: syncline_sandbox::FaultProfile::Off,
    hubspot_ahead_s: 0,
};

/// A stage with empty accounts.
pub(crate) async fn empty() -> Stage {
    Stage::of(SETTING).await
}

/// Asks for a token and gets `{ url, token, expires_at }`.
pub(crate) async fn token(api: &Api, wanted: Json) -> Json {
    api.post("/v1/repo/tokens", &wanted).await
}

/// A record that is made over the API.
pub(crate) async fn record(api: &Api, fields: Json) -> (String, String) {
    let made = api.post("/v1/records/contact", &fields).await;
    (id_of(&made), made["_meta"]["automerge_url"].as_str().expect("an address").to_owned())
}

/// Waits until a record has these values, and returns it with the origins of its fields.
pub(crate) async fn until_record(api: &Api, id: &str, wanted: Json) -> Json {
    let path = format!("/v1/records/contact/{id}?origins=true");
    eventually(&format!("record {id} shows {wanted}"), async || {
        let reply = api.call(reqwest::Method::GET, &path, None).await;
        if reply.status != 200 {
            return Err(format!("{} {}", reply.status, reply.body));
        }
        differs(&reply.body, &wanted).map_or(Ok(reply.body), Err)
    })
    .await
}

/// The origin of a change that a client of this name made under the stories' key.
pub(crate) fn client(name: &str) -> Json {
    json!({"kind": "client", "id": format!("backend/{name}")})
}

/// The first of these values that is not there.
pub(crate) fn differs(shown: &Json, wanted: &Json) -> Option<String> {
    let wanted = wanted.as_object().expect("fields");
    let (field, value) = wanted.iter().find(|(field, value)| shown[field.as_str()] != **value)?;
    Some(format!("{field} is {}, not {value}", shown[field.as_str()]))
}
