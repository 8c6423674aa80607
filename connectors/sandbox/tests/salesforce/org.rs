//! An org to test against, and the few verbs that the stories need.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use syncline_sandbox::clock::{Micros, SandboxClock};
use syncline_sandbox::faults::FaultChange;
use syncline_sandbox::people::Mess;
use syncline_sandbox::{FaultProfile, Population, Running, Sandbox, SandboxConfig};

/// 2026-05-05T10:00:00.250Z.
pub(crate) const START: Micros = Micros(1_777_975_200_250_000);

/// Whose token a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Integration,
    User,
}

/// A running org without faults.
pub(crate) struct Org {
    sandbox: Sandbox,
    http: Client,
    clock: Arc<SandboxClock>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Got {
    async fn read(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("a body");
        let body = serde_json::from_str(&text).unwrap_or(if text.is_empty() { Value::Null } else { json!(text) });
        Self { status, headers, body }
    }

    /// Status and error code of a refused request.
    pub(crate) fn error(&self) -> (u16, &str) {
        (self.status, self.body[0]["errorCode"].as_str().unwrap_or("no error"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// One member of every record found.
    pub(crate) fn column(&self, name: &str) -> Vec<&str> {
        let records = self.body["records"].as_array().unwrap_or_else(|| panic!("no records: {self:?}"));
        records.iter().map(|record| record[name].as_str().unwrap_or("null")).collect()
    }
}

/// No people.
pub(crate) async fn empty() -> Org {
    Org::start(Population::empty()).await
}

/// So many plain people.
pub(crate) async fn plain(contacts: u64) -> Org {
    Org::start(Population { per_system: contacts, shared: 0, mess: Mess::none() }).await
}

impl Org {
    pub(crate) async fn start(contacts: Population) -> Self {
        let clock = Arc::new(SandboxClock::manual(START, 1.0));
        let config = SandboxConfig {
            contacts,
            faults: FaultProfile::Off,
            log_reads: true,
            hubspot: None,
            clock: Some(clock.clone()),
            ..SandboxConfig::default()
        };
        let sandbox = Sandbox::start(config).await.expect("a free port");
        Self { sandbox, http: Client::new(), clock }
    }

    pub(crate) fn running(&self) -> &Running {
        self.sandbox.salesforce.as_ref().expect("the emulator was asked for")
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    pub(crate) fn seconds(&self, seconds: u64) {
        self.advance(Duration::from_secs(seconds));
    }

    /// Makes a fault certain, or a behaviour absent.
    pub(crate) fn switch(&self, name: &str, on: bool) {
        let change = FaultChange { enabled: None, probability: Some(if on { 1.0 } else { 0.0 }) };
        self.running().parts.faults.set(name, change).expect("a known switch");
    }

    pub(crate) fn fired(&self, name: &str) -> u64 {
        self.running().parts.faults.fired()[name]
    }

    /// A request as somebody, with headers; `path` follows the version.
    pub(crate) async fn send(
        &self,
        who: Who,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Result<Got, reqwest::Error> {
        let running = self.running();
        let token = match who {
            Who::Integration => &running.credentials.integration_token,
            Who::User => &running.credentials.user_token,
        };
        let path = if path.starts_with("/services") { path.to_owned() } else { format!("/services/data/v60.0{path}") };
        let mut request = self.http.request(method, format!("{}{path}", running.base_url)).bearer_auth(token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        Ok(Got::read(request.send().await?).await)
    }

    pub(crate) async fn get(&self, path: &str) -> Got {
        self.send(Who::Integration, Method::GET, path, &[], None).await.expect("an answer")
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Got {
        self.send(Who::Integration, Method::POST, path, &[], Some(body)).await.expect("an answer")
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Got {
        self.send(Who::Integration, Method::PATCH, path, &[], Some(body)).await.expect("an answer")
    }

    pub(crate) async fn delete(&self, path: &str) -> Got {
        self.send(Who::Integration, Method::DELETE, path, &[], None).await.expect("an answer")
    }

    /// Runs a query.
    pub(crate) async fn query(&self, soql: &str) -> Got {
        self.query_with(soql, "query", &[]).await
    }

    pub(crate) async fn query_with(&self, soql: &str, resource: &str, headers: &[(&str, &str)]) -> Got {
        let encoded: String = url::form_urlencoded::byte_serialize(soql.as_bytes()).collect();
        let path = format!("/{resource}?q={encoded}");
        self.send(Who::Integration, Method::GET, &path, headers, None).await.expect("an answer")
    }

    /// A request to the side door.
    pub(crate) async fn admin(&self, method: Method, path: &str, body: Option<Value>) -> Got {
        let mut request = self.http.request(method, format!("{}{path}", self.running().admin_url));
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        Got::read(request.send().await.expect("an answer")).await
    }

    /// A request to a token endpoint.
    pub(crate) async fn form(&self, path: &str, form: &[(&str, &str)]) -> Got {
        let request = self.http.post(format!("{}{path}", self.running().base_url)).form(form);
        Got::read(request.send().await.expect("an answer")).await
    }

    /// A request with a token of one's own.
    pub(crate) async fn get_as(&self, token: &str, path: &str) -> Got {
        let request = self.http.get(format!("{}{path}", self.running().base_url)).bearer_auth(token);
        Got::read(request.send().await.expect("an answer")).await
    }

    /// Creates a contact as the ordinary user and returns its id.
    pub(crate) async fn contact(&self, fields: Value) -> String {
        let got = self.send(Who::User, Method::POST, "/sobjects/Contact", &[], Some(fields)).await.expect("an answer");
        assert_eq!(got.status, 201, "{got:?}");
        got.body["id"].as_str().expect("an id").to_owned()
    }

    /// One field of a contact.
    pub(crate) async fn field(&self, id: &str, name: &str) -> Value {
        self.get(&format!("/sobjects/Contact/{id}?fields={name}")).await.body[name].clone()
    }

    /// One field of a contact as its user sees it, whatever befalls the integration.
    pub(crate) async fn field_as_user(&self, id: &str, name: &str) -> Value {
        let path = format!("/sobjects/Contact/{id}?fields={name}");
        self.send(Who::User, Method::GET, &path, &[], None).await.expect("an answer").body[name].clone()
    }

    /// Makes the unique external-id field `Key__c`.
    pub(crate) async fn key_field(&self) {
        let metadata = json!({ "type": "Text", "label": "Key", "length": 64, "externalId": true, "unique": true });
        let body = json!({ "FullName": "Contact.Key__c", "Metadata": metadata });
        let got = self.post("/tooling/sobjects/CustomField", body).await;
        assert_eq!(got.status, 201, "{got:?}");
    }
}
