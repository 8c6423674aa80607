//! A started emulator with a clock that stands still, and short ways to ask it things.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use syncline_sandbox::{FaultProfile, LOOPBACK, Micros, Population, Running, Sandbox, SandboxClock, SandboxConfig};

/// Where every test's clock starts: 2026-05-05T16:53:20Z.
pub(crate) const START_S: i64 = 1_778_000_000;

/// The first repository.
pub(crate) const SUPPORT: &str = "/repos/acme/support";

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

    /// The address of a relation in the `Link` header.
    pub(crate) fn link(&self, relation: &str) -> Option<String> {
        let wanted = format!("rel=\"{relation}\"");
        let found = self.header("link").split(", ").find(|link| link.ends_with(&wanted))?;
        Some(found[1..found.find('>')?].to_owned())
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum As {
    /// The user, who is neither metered nor struck by mishaps.
    User,
    /// The app, by its installation token.
    App,
    /// The integration's own account, by its static token.
    Machine,
    Nobody,
}

pub(crate) struct Lab {
    pub(crate) clock: Arc<SandboxClock>,
    pub(crate) http: reqwest::Client,
    sandbox: Sandbox,
}

impl Lab {
    /// A site without issues and faults.
    pub(crate) async fn start() -> Self {
        Self::with(0).await
    }

    /// A site with issues and without faults.
    pub(crate) async fn with(tickets: u64) -> Self {
        let clock = Arc::new(SandboxClock::manual(Micros::from_seconds(START_S), 1.0));
        let config = SandboxConfig {
            seed: 7,
            contacts: Population::empty(),
            tickets,
            faults: FaultProfile::Off,
            log_reads: true,
            salesforce: None,
            hubspot: None,
            github: Some(LOOPBACK),
            clock: Some(clock.clone()),
            ..SandboxConfig::default()
        };
        let sandbox = Sandbox::start(config).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().user_agent("lab").redirect(reqwest::redirect::Policy::none());
        Self { clock, http: http.build().unwrap(), sandbox }
    }

    pub(crate) fn running(&self) -> &Running {
        self.sandbox.github.as_ref().unwrap()
    }

    pub(crate) fn seconds(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Sends a request; an error means that the connection was cut. A path follows the base, an address is taken as it is.
    pub(crate) async fn send(
        &self,
        who: As,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Value,
    ) -> reqwest::Result<Answer> {
        let running = self.running();
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", running.base_url) };
        let mut request = self.http.request(method, url);
        request = match who {
            As::User => request.bearer_auth(&running.credentials.user_token),
            As::App => request.bearer_auth(&running.credentials.integration_token),
            As::Machine => request.header("authorization", format!("token {}", running.credentials.api_token)),
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
        self.ask(As::User, Method::GET, path, Value::Null).await
    }

    pub(crate) async fn app(&self, path: &str) -> Answer {
        self.ask(As::App, Method::GET, path, Value::Null).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask(As::User, Method::POST, path, body).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.ask(As::User, Method::PATCH, path, body).await
    }

    /// Opens an issue in the first repository as the user.
    pub(crate) async fn issue(&self, body: Value) -> Value {
        self.post(&format!("{SUPPORT}/issues"), body).await.expect(201)
    }

    /// Sets how likely a fault is; 0 switches it off.
    pub(crate) async fn fault(&self, name: &str, probability: f64) {
        let change = json!({name: {"enabled": probability > 0.0, "probability": probability}});
        self.ask(As::Nobody, Method::PUT, "/admin/faults", change).await.expect(200);
    }

    /// How often a switch has fired.
    pub(crate) async fn fired(&self, name: &str) -> u64 {
        self.get("/admin/counts").await.expect(200)["faults"][name].as_u64().unwrap()
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
