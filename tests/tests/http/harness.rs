//! The API over the real store and a pen instead of the engine. Every answer is held against the served OpenAPI document.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Method, Request, StatusCode},
};
use serde_json::{Value as Json, json};
use syncline_core::{
    ids::{ModelName, RecordId, TenantId},
    model::{Canonical, DeleteEffect, DeleteRace, DeleteRule, Field, FieldType, Model},
    policies::Policy,
    repo::{DocumentId, StorageId},
    time::Millis,
};
use syncline_server::{
    config::{Repo, Secret},
    engine::{
        commands::Principal,
        documents::{Documents, DocumentsError, Lent},
    },
    http::{
        AppState, Facts, RepoState, router,
        state::{ConnectionFacts, IntegrationFacts, ProviderFacts, SyncFacts},
        webhooks::AT_ONCE_MAX,
    },
    live::{FeedHub, Limits},
    metrics::Metrics,
    repo::{Holder, Offer, Reception, RepoHub, Tokens},
    store::{
        Store, StoreError,
        documents::SavedDocument,
        keys::{ApiKey, KeyHash},
        sqlite::SqliteStore,
    },
};
use syncline_tests::openapi::{Answer, Contract};
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tower::ServiceExt;

use crate::pen::Pen;

/// A key bound to the tenant `acme`.
pub(crate) const ACME_KEY: &str = "acme-key";
/// A key bound to the tenant `globex`.
pub(crate) const GLOBEX_KEY: &str = "globex-key";
/// A key bound to no tenant.
pub(crate) const OPERATOR_KEY: &str = "operator-key";

/// What opens the metrics.
pub(crate) const METRICS_TOKEN: &str = "metrics-token-0123456789";

/// A running API.
pub(crate) struct Api {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) hub: Arc<FeedHub>,
    pub(crate) pen: Arc<Pen>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) router: Router,
    pub(crate) contract: Arc<Contract>,
    /// The places for webhooks.
    pub(crate) webhooks: Arc<Semaphore>,
    _folder: TempDir,
}

/// In place of the engine's part in serving documents, which other suites look at.
struct NoEngine;

#[async_trait]
impl Documents for NoEngine {
    async fn take(&self, _: &Holder, _: Vec<Offer>) -> Result<Vec<Reception>, DocumentsError> {
        Err(StoreError::Closed.into())
    }

    async fn saved(&self, _: &TenantId, _: DocumentId) -> Result<Option<SavedDocument>, DocumentsError> {
        Err(StoreError::Closed.into())
    }

    async fn lend(&self, _: &TenantId, _: DocumentId) -> Result<Option<Lent>, DocumentsError> {
        Err(StoreError::Closed.into())
    }

    async fn freshen(&self, _: &TenantId, _: DocumentId, _: RecordId) -> Result<(), DocumentsError> {
        Err(StoreError::Closed.into())
    }
}

/// An answer, already held against the contract.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Json,
}

impl Api {
    pub(crate) async fn start() -> Self {
        Self::bounded(Limits::default()).await
    }

    /// An API whose live feed has bounds of its own.
    pub(crate) async fn bounded(limits: Limits) -> Self {
        Self::with(limits, Some(METRICS_TOKEN)).await
    }

    /// An API whose configuration has no token for the metrics.
    pub(crate) async fn without_metrics_token() -> Self {
        Self::with(Limits::default(), None).await
    }

    async fn with(limits: Limits, metrics_token: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(folder.path().join("syncline.db")).await.unwrap());
        for (key, name, tenant) in [
            (ACME_KEY, "backend", Some("acme")),
            (GLOBEX_KEY, "globex", Some("globex")),
            (OPERATOR_KEY, "operator", None),
        ] {
            let key_facts = ApiKey {
                name: name.into(),
                tenant: tenant.map(TenantId::new),
                created_at: Millis(0),
                last_used_at: None,
            };
            store.put_api_key(&KeyHash::of(key), &key_facts).await.unwrap();
        }
        let hub = Arc::new(FeedHub::bounded(limits));
        let facts = Arc::new(facts());
        let pen = Arc::new(Pen::new(store.clone(), hub.clone(), (*facts.models).clone()));
        let repo = Arc::new(RepoState {
            hub: RepoHub::new(StorageId::new("store").unwrap()),
            documents: Arc::new(NoEngine),
            tokens: Tokens::new(&[7; 32]),
            options: Repo::default(),
        });
        let webhooks = Arc::new(Semaphore::new(AT_ONCE_MAX));
        let metrics = Arc::new(Metrics::new(Arc::default(), metrics_token.map(Secret::new).as_ref()));
        let state = AppState {
            store: store.clone(),
            commands: pen.clone(),
            feed: hub.clone(),
            facts,
            repo,
            webhooks: webhooks.clone(),
            metrics: metrics.clone(),
        };
        let router = router(state);
        let document = send(&router, Request::get("/v1/openapi.json").body(Body::empty()).unwrap()).await;
        let contract = Arc::new(Contract::new(document.body).unwrap());
        Self { store, hub, pen, metrics, router, contract, webhooks, _folder: folder }
    }

    /// Who the key `ACME_KEY` is.
    pub(crate) fn acme() -> Principal {
        Principal { tenant: TenantId::new("acme"), name: "backend".into() }
    }

    /// Begins a request with acme's key.
    pub(crate) fn ask(&self, method: Method, path: &str) -> Ask<'_> {
        Ask { api: self, method, path: path.to_owned(), headers: HeaderMap::new(), body: Body::empty() }
            .header("authorization", &format!("Bearer {ACME_KEY}"))
    }

    /// Asks for the metrics with a token, or without one. They are no part of the contract.
    pub(crate) async fn scrape(&self, token: Option<&str>) -> (Reply, String) {
        let mut request = Request::get("/metrics").body(Body::empty()).unwrap();
        if let Some(token) = token {
            request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        let (reply, bytes) = exchange(&self.router, request).await;
        (reply, String::from_utf8(bytes).unwrap())
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask(Method::GET, path).send().await
    }

    pub(crate) async fn post(&self, path: &str, body: Json) -> Reply {
        self.ask(Method::POST, path).json(&body).send().await
    }

    /// Creates a contact and returns its id.
    pub(crate) async fn contact(&self, fields: Json) -> String {
        let reply = self.post("/v1/records/contact", fields).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        reply.text("/_meta/id")
    }
}

/// A request in the making.
pub(crate) struct Ask<'a> {
    api: &'a Api,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Body,
}

impl Ask<'_> {
    /// Sets a header; an empty value removes it.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        if value.is_empty() {
            self.headers.remove(name);
        } else {
            self.headers.insert(name, value.parse().unwrap());
        }
        self
    }

    pub(crate) fn json(self, body: &Json) -> Self {
        self.raw("application/json", body.to_string())
    }

    pub(crate) fn raw(self, content_type: &str, body: impl Into<Body>) -> Self {
        let mut ask = self.header("content-type", content_type);
        ask.body = body.into();
        ask
    }

    pub(crate) async fn send(self) -> Reply {
        let Self { api, method, path, headers, body } = self;
        let mut request = Request::builder().method(method.clone()).uri(&path).body(body).unwrap();
        *request.headers_mut() = headers;
        let (reply, bytes) = exchange(&api.router, request).await;
        let answer = Answer {
            method: method.as_str(),
            path: &path,
            status: reply.status.as_u16(),
            content_type: reply.headers.get("content-type").and_then(|value| value.to_str().ok()),
            body: &bytes,
        };
        // A path or a method that the document does not have can only be refused.
        if !matches!(reply.body["type"].as_str(), Some("urn:syncline:problem:method-not-allowed"))
            && !reply.body["detail"].as_str().unwrap_or_default().starts_with("no route")
        {
            api.contract.check(answer).unwrap();
        }
        reply
    }
}

impl Reply {
    /// The text at a JSON pointer.
    pub(crate) fn text(&self, pointer: &str) -> String {
        let value = self.body.pointer(pointer).and_then(Json::as_str);
        value.unwrap_or_else(|| panic!("{pointer} is no text in {}", self.body)).to_owned()
    }

    /// The number at a JSON pointer.
    pub(crate) fn number(&self, pointer: &str) -> u64 {
        let value = self.body.pointer(pointer).and_then(Json::as_u64);
        value.unwrap_or_else(|| panic!("{pointer} is no number in {}", self.body))
    }

    /// The items of a page.
    pub(crate) fn items(&self) -> &Vec<Json> {
        self.body["items"].as_array().unwrap_or_else(|| panic!("no page: {}", self.body))
    }

    /// Asserts a problem of this status whose text names everything that it should.
    pub(crate) fn refused(&self, status: u16, says: &str) {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.body["status"], status);
        let text = self.body.to_string();
        assert!(text.contains(says), "`{says}` is not in {text}");
    }
}

async fn send(router: &Router, request: Request<Body>) -> Reply {
    exchange(router, request).await.0
}

async fn exchange(router: &Router, request: Request<Body>) -> (Reply, Vec<u8>) {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap().to_vec();
    let body = serde_json::from_slice(&bytes).unwrap_or_default();
    (Reply { status: parts.status, headers: parts.headers, body }, bytes)
}

fn facts() -> Facts {
    let acme = TenantId::new("acme");
    let connection = |tenant: &str, provider: &str| ConnectionFacts {
        tenant: TenantId::new(tenant),
        integration: provider.into(),
        provider: provider.into(),
    };
    let sides = BTreeMap::from([("acme-crm".into(), "Contact".into()), ("acme-desk".into(), "people".into())]);
    Facts {
        version: "1.2.3".into(),
        public_url: "https://sync.example.com".into(),
        models: Arc::new(models()),
        providers: vec![ProviderFacts { name: "crm".into(), writes: true, webhooks: false, creates_fields: true }],
        integrations: vec![IntegrationFacts { name: "crm".into(), provider: "crm".into() }],
        connections: BTreeMap::from([
            ("acme-crm".into(), connection("acme", "crm")),
            ("acme-desk".into(), connection("acme", "desk")),
            ("globex-crm".into(), connection("globex", "crm")),
        ]),
        syncs: BTreeMap::from([
            ("contacts".into(), SyncFacts { tenant: acme.clone(), model: "contact".into(), sides: sides.clone() }),
            ("leads".into(), SyncFacts { tenant: acme, model: "ticket".into(), sides }),
        ]),
    }
}

/// The models of every test.
fn models() -> BTreeMap<ModelName, Model> {
    let text = |canonical: Vec<Canonical>| field(FieldType::Text { max_len: 80 }, canonical);
    let contact = [
        ("email", text(vec![Canonical::Trim, Canonical::Lower])),
        ("first_name", text(Vec::new())),
        ("stage", field(FieldType::Enum { values: ["lead", "mql", "customer"].map(String::from).into() }, Vec::new())),
        ("tags", Field { policy: Policy::Set, ..field(FieldType::Set { values: [].into() }, Vec::new()) }),
        ("employees", field(FieldType::Int, Vec::new())),
    ];
    let ticket = [("subject", text(Vec::new()))];
    [model("contact", contact.into()), model("ticket", ticket.into())].map(|model| (model.name.clone(), model)).into()
}

fn model(name: &str, fields: Vec<(&str, Field)>) -> Model {
    Model {
        name: name.into(),
        fields: fields.into_iter().map(|(name, field)| (name.into(), field)).collect(),
        match_keys: Vec::new(),
        deletes: DeleteRule { effect: DeleteEffect::Propagate, race: DeleteRace::EditWins },
    }
}

fn field(ty: FieldType, canonical: Vec<Canonical>) -> Field {
    Field { ty, policy: Policy::Latest, blank_never_wins: false, computed: false, required: false, canonical }
}

/// A contact's fields.
pub(crate) fn ann() -> Json {
    json!({"email": "ann@example.com", "first_name": "Ann", "stage": "lead", "tags": ["vip", "eu"], "employees": 7})
}
