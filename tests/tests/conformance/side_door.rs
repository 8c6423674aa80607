//! The emulators' side door: what users do, and what is really stored.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};
use syncline_connectors::{
    http::{HttpClient, HttpRequest, HttpResponse},
    rest::BaseUrl,
};

use crate::{
    github,
    subject::{Wire, nowhere},
    table::People,
};

/// Acts as a user of the provider.
pub(crate) struct SideDoor {
    base: BaseUrl,
    object: &'static str,
    /// The repository whose issues are meant, where the provider's own numbers of objects are not those of its side door.
    repository: Option<&'static str>,
    /// The table whose users are meant, where there is no emulator.
    table: Option<People>,
    wire: Arc<Wire>,
}

/// An object as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) deleted: bool,
    pub(crate) fields: Value,
}

impl SideDoor {
    pub(crate) fn new(admin_url: &str, object: &'static str, wire: Arc<Wire>) -> Self {
        Self {
            base: BaseUrl::parse(admin_url).expect("the admin address"),
            object,
            repository: None,
            table: None,
            wire,
        }
    }

    /// The users of a table.
    pub(crate) fn of_table(people: People) -> Self {
        Self { base: nowhere(), object: "people", repository: None, table: Some(people), wire: Arc::new(Wire::new()) }
    }

    pub(crate) fn is_table(&self) -> bool {
        self.table.is_some()
    }

    /// The same, of one repository's issues under their numbers.
    pub(crate) fn of_repository(self, name: &'static str) -> Self {
        Self { repository: Some(name), ..self }
    }

    /// The same, of another object.
    pub(crate) fn about(self, object: &'static str) -> Self {
        Self { object, ..self }
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> Value {
        let request = HttpRequest {
            method: method.parse().expect("a method"),
            url: self.base.join(&format!("/admin{path}")).expect("an admin path"),
            headers: Default::default(),
            body: if body.is_null() { Default::default() } else { body.to_string().into() },
        };
        let HttpResponse { status, body, .. } = self.wire.send(request).await.expect("the side door answers");
        assert!(status.is_success(), "{method} {path}: {status} {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).expect("the side door speaks JSON")
    }

    fn path(&self, rest: &str) -> String {
        format!("/users/ann/{}{rest}", self.object)
    }

    pub(crate) async fn create(&self, fields: Value) -> String {
        if let Some(people) = &self.table {
            return people.create(&fields).await;
        }
        let answer = self.call("POST", &self.path(""), fields).await;
        let id = answer["id"].as_str().expect("an id").to_owned();
        if self.repository.is_none() {
            return id;
        }
        let rows = self.rows().await;
        rows.iter().find(|row| row["id"] == id).expect("it was made")["fields"]["number"].to_string()
    }

    /// The side door's id of an object.
    async fn inner(&self, id: &str) -> String {
        let Some(repository) = self.repository else { return id.to_owned() };
        let rows = self.rows().await;
        let is_meant = |row: &&Value| {
            row["fields"]["repository"] == repository && row["fields"]["number"].as_u64() == id.parse().ok()
        };
        rows.iter().find(is_meant).expect("an issue of the repository")["id"].as_str().expect("an id").to_owned()
    }

    pub(crate) async fn edit(&self, id: &str, fields: Value) {
        if let Some(people) = &self.table {
            return people.edit(id, &fields).await;
        }
        let id = self.inner(id).await;
        self.call("PATCH", &self.path(&format!("/{id}")), fields).await;
    }

    pub(crate) async fn delete(&self, id: &str) {
        if let Some(people) = &self.table {
            return people.delete(id).await;
        }
        let id = self.inner(id).await;
        self.call("DELETE", &self.path(&format!("/{id}")), Value::Null).await;
    }

    pub(crate) async fn restore(&self, id: &str) {
        self.call("POST", &self.path(&format!("/{id}/restore")), json!({})).await;
    }

    /// Merges `id` into another object; the survivor's id.
    pub(crate) async fn merge(&self, id: &str, into: &str) -> String {
        let answer = self.call("POST", &self.path(&format!("/{id}/merge")), json!({ "into": into })).await;
        answer["id"].as_str().expect("an id").to_owned()
    }

    async fn rows(&self) -> Vec<Value> {
        let path = format!("/state?object={}&deleted=true&limit=10000", self.object);
        match self.call("GET", &path, Value::Null).await["rows"].take() {
            Value::Array(rows) => rows,
            other => panic!("rows are a list, not {other}"),
        }
    }

    /// Everything that is stored, deleted objects included.
    pub(crate) async fn stored(&self) -> BTreeMap<String, Stored> {
        if let Some(people) = &self.table {
            return people.stored().await;
        }
        let row = |row: &Value| {
            let stored = Stored { deleted: row["deleted"] == true, fields: row["fields"].clone() };
            (row["id"].as_str().expect("an id").to_owned(), stored)
        };
        let rows = self.rows().await;
        match self.repository {
            None => rows.iter().map(row).collect(),
            Some(repository) => rows
                .iter()
                .filter(|row| row["fields"]["repository"] == repository && row["fields"]["pull_request"] == false)
                .map(row)
                .map(|(_, stored)| (stored.fields["number"].to_string(), github::unmarked(stored)))
                .collect(),
        }
    }

    /// How many live objects hold this value.
    pub(crate) async fn count(&self, field: &str, value: &str) -> usize {
        let stored = self.stored().await;
        stored.values().filter(|object| !object.deleted && object.fields[field] == value).count()
    }

    pub(crate) async fn expire_tokens(&self) {
        self.call("POST", "/tokens/expire", Value::Null).await;
    }

    /// Sets the probability of a switch.
    pub(crate) async fn switch(&self, name: &str, probability: f64) {
        let change = json!({ name: { "enabled": probability > 0.0, "probability": probability } });
        self.call("PUT", "/faults", change).await;
    }

    pub(crate) async fn profile(&self, name: &str) {
        if let Some(people) = &self.table {
            return people.weather(name);
        }
        self.call("POST", "/profile", json!({ "profile": name })).await;
    }

    /// Makes everything visible that lags behind, and delivers what is to be pushed.
    pub(crate) async fn flush(&self) {
        if let Some(people) = &self.table {
            return people.weather("off");
        }
        self.call("POST", "/flush", Value::Null).await;
    }

    pub(crate) async fn push_to(&self, url: &str) {
        self.call("POST", "/webhooks", json!({ "target_url": url })).await;
    }
}
