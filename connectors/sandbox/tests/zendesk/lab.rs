//! A started emulator with a clock that stands still, and short ways to ask it things.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use syncline_sandbox::{FaultProfile, LOOPBACK, Micros, Population, Running, Sandbox, SandboxClock, SandboxConfig};

/// Where every test's clock starts: 2026-05-05T16:53:20Z.
pub(crate) const START_S: i64 = 1_778_000_000;

/// The ids of the integration's administrator and of the agent.
pub(crate) const INTEGRATION: u64 = 900_000_000_001;
pub(crate) const AGENT: u64 = 900_000_000_077;

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Answer {
    /// The body, if the status is the expected one.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self.body
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum As {
    /// The agent, who is neither metered nor struck by mishaps.
    Agent,
    /// The integration, by its OAuth token.
    App,
    /// The integration, by its API token.
    ApiToken,
    Nobody,
}

pub(crate) struct Lab {
    pub(crate) clock: Arc<SandboxClock>,
    pub(crate) http: reqwest::Client,
    sandbox: Sandbox,
}

impl Lab {
    /// An account without people, tickets and faults.
    pub(crate) async fn start() -> Self {
        Self::with(Population::empty(), 0).await
    }

    /// An account with people and tickets and without faults.
    pub(crate) async fn with(contacts: Population, tickets: u64) -> Self {
        let clock = Arc::new(SandboxClock::manual(Micros::from_seconds(START_S), 1.0));
        let config = SandboxConfig {
            seed: 7,
            contacts,
            tickets,
            faults: FaultProfile::Off,
            log_reads: true,
            salesforce: None,
            hubspot: None,
            zendesk: Some(LOOPBACK),
            clock: Some(clock.clone()),
            ..SandboxConfig::default()
        };
        let sandbox = Sandbox::start(config).await.unwrap();
        Self { clock, http: reqwest::Client::builder().no_proxy().build().unwrap(), sandbox }
    }

    pub(crate) fn running(&self) -> &Running {
        self.sandbox.zendesk.as_ref().unwrap()
    }

    pub(crate) fn seconds(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// The emulator's time in whole seconds.
    pub(crate) fn now_s(&self) -> i64 {
        self.clock.peek().0 / 1_000_000
    }

    /// Sends a request; an error means that the connection was cut. A path that begins with a slash is taken whole, another
    /// follows `/api/v2/`, and an address of an answer is taken as it is.
    pub(crate) async fn send(
        &self,
        who: As,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Value,
    ) -> reqwest::Result<Answer> {
        let running = self.running();
        let url = match path {
            path if path.starts_with("http") => path.to_owned(),
            path if path.starts_with('/') => format!("{}{path}", running.base_url),
            path => format!("{}/api/v2/{path}", running.base_url),
        };
        let mut request = self.http.request(method, url);
        request = match who {
            As::Agent => request.bearer_auth(&running.credentials.user_token),
            As::App => request.bearer_auth(&running.credentials.integration_token),
            As::ApiToken => {
                let token = &running.credentials.api_token;
                request.basic_auth("integration@sandbox.example/token", Some(token))
            }
            As::Nobody => request,
        };
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await?;
        Ok(Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::Null), text })
    }

    pub(crate) async fn ask(&self, who: As, method: Method, path: &str, body: Value) -> Answer {
        self.send(who, method, path, &[], body).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(As::Agent, Method::GET, path, Value::Null).await
    }

    pub(crate) async fn app(&self, path: &str) -> Answer {
        self.ask(As::App, Method::GET, path, Value::Null).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask(As::Agent, Method::POST, path, body).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.ask(As::Agent, Method::PUT, path, body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.ask(As::Agent, Method::DELETE, path, Value::Null).await
    }

    /// Makes a ticket as the agent and returns its id.
    pub(crate) async fn ticket(&self, members: Value) -> u64 {
        let mut ticket = json!({"subject": "s", "comment": {"body": "b"}});
        ticket.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let body = self.post("tickets", json!({ "ticket": ticket })).await.expect(201);
        body["ticket"]["id"].as_u64().unwrap()
    }

    /// Makes a user as the agent and returns its id.
    pub(crate) async fn user(&self, user: Value) -> u64 {
        self.post("users", json!({ "user": user })).await.expect(201)["user"]["id"].as_u64().unwrap()
    }

    /// A ticket as the agent sees it.
    pub(crate) async fn show(&self, ticket: u64) -> Value {
        self.get(&format!("tickets/{ticket}")).await.expect(200)["ticket"].clone()
    }

    /// Changes a ticket as the agent.
    pub(crate) async fn change(&self, ticket: u64, members: Value) -> Value {
        self.put(&format!("tickets/{ticket}"), json!({ "ticket": members })).await.expect(200)["ticket"].clone()
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

/// One column of a list.
pub(crate) fn column(rows: &Value, name: &str) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    rows.as_array().unwrap_or_else(|| panic!("no list: {rows}")).iter().map(|row| text(&row[name])).collect()
}

/// The codes of a validation error, by attribute.
pub(crate) fn codes(body: &Value, attribute: &str) -> Vec<String> {
    column(&body["details"][attribute], "error")
}
