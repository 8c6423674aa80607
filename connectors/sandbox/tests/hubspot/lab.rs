//! A started emulator with a clock that stands still, and short ways to ask it things.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use syncline_sandbox::{FaultProfile, Micros, Population, Running, Sandbox, SandboxClock, SandboxConfig};

/// Where every test's clock starts.
pub(crate) const START_MS: i64 = 1_778_000_000_000;

/// The collection of contacts.
pub(crate) const CONTACTS: &str = "/crm/v3/objects/contacts";

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// The body, if the status is the expected one.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self.body
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum As {
    User,
    App,
    Nobody,
}

pub(crate) struct Lab {
    pub(crate) clock: Arc<SandboxClock>,
    pub(crate) http: reqwest::Client,
    sandbox: Sandbox,
}

impl Lab {
    /// An empty account without faults.
    pub(crate) async fn start() -> Self {
        Self::with(Population::empty()).await
    }

    /// An account with people and without faults.
    pub(crate) async fn with(contacts: Population) -> Self {
        let clock = Arc::new(SandboxClock::manual(Micros::from_millis(START_MS), 1.0));
        let config = SandboxConfig {
            seed: 7,
            contacts,
            faults: FaultProfile::Off,
            log_reads: true,
            salesforce: None,
            clock: Some(clock.clone()),
            ..SandboxConfig::default()
        };
        let sandbox = Sandbox::start(config).await.unwrap();
        Self { clock, http: reqwest::Client::builder().no_proxy().build().unwrap(), sandbox }
    }

    pub(crate) fn running(&self) -> &Running {
        self.sandbox.hubspot.as_ref().unwrap()
    }

    pub(crate) fn advance_ms(&self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
    }

    /// Sends a request; an error means that the connection was cut.
    pub(crate) async fn try_ask(&self, who: As, method: Method, path: &str, body: Value) -> reqwest::Result<Answer> {
        let running = self.running();
        let mut request = self.http.request(method, format!("{}{path}", running.base_url));
        request = match who {
            As::User => request.bearer_auth(&running.credentials.user_token),
            As::App => request.bearer_auth(&running.credentials.integration_token),
            As::Nobody => request,
        };
        if !body.is_null() {
            request = request.json(&body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await?;
        Ok(Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::Null) })
    }

    pub(crate) async fn ask(&self, who: As, method: Method, path: &str, body: Value) -> Answer {
        self.try_ask(who, method, path, body).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(As::User, Method::GET, path, Value::Null).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask(As::User, Method::POST, path, body).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.ask(As::User, Method::PATCH, path, body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.ask(As::User, Method::DELETE, path, Value::Null).await
    }

    pub(crate) async fn search(&self, body: Value) -> Answer {
        self.post(&format!("{CONTACTS}/search"), body).await
    }

    /// Creates a contact as the user and returns its id.
    pub(crate) async fn contact(&self, properties: Value) -> String {
        let body = self.post(CONTACTS, json!({ "properties": properties })).await.expect(201);
        body["id"].as_str().unwrap().to_owned()
    }

    /// Sets how likely a fault is; 0 switches it off.
    pub(crate) async fn fault(&self, name: &str, probability: f64) {
        let change = json!({name: {"enabled": probability > 0.0, "probability": probability}});
        self.ask(As::Nobody, Method::PUT, "/admin/faults", change).await.expect(200);
    }

    /// How often a switch has fired.
    pub(crate) async fn fired(&self, name: &str) -> u64 {
        self.counts().await["faults"][name].as_u64().unwrap()
    }

    pub(crate) async fn counts(&self) -> Value {
        self.get("/admin/counts").await.expect(200)
    }

    /// The ledger's entries.
    pub(crate) async fn log(&self) -> Vec<Value> {
        self.get("/admin/log").await.expect(200)["entries"].as_array().unwrap().clone()
    }

    pub(crate) async fn flush(&self) -> Value {
        self.post("/admin/flush", Value::Null).await.expect(200)
    }
}

/// The ids of a list of results.
pub(crate) fn ids(body: &Value) -> Vec<String> {
    body["results"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

/// A batch body with nothing but ids.
pub(crate) fn id_inputs(ids: &[&str]) -> Value {
    json!({"inputs": ids.iter().map(|id| json!({"id": id})).collect::<Vec<_>>()})
}
