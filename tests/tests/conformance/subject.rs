//! A connector with the emulator of its provider, and the words in which one speaks to it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::http::{Method, header};
use serde_json::{Value, json};
use syncline_connectors::{
    connector::{Connector, Credentials, Writer},
    http::{HttpClient, HttpRequest, HttpResponse, ReqwestClient, TransportError},
    registry::{self, Integration},
    rest::BaseUrl,
};
use syncline_core::{
    ids::{ExternalId, ObjectName},
    read::{Backfill, ReadSpec, Recovery, Step},
    remote::{
        Key, Page, PageRequest, ProviderError, Raw, Remedy, RemoteObject, RemoteVersion, WriteOutcome, WriteRequest,
        WriteVerb,
    },
    time::Millis,
};
use syncline_sandbox::{FaultProfile, LOOPBACK, Micros, Population, Running, Sandbox, SandboxClock, SandboxConfig};

use crate::side_door::SideDoor;

/// 2026-05-05T16:53:20Z, where every test begins.
const BEGINNING_S: i64 = 1_778_000_000;

/// How much time passes at once while an answer is waited for: too little to tell two stamps of any provider apart.
const PATIENCE: Duration = Duration::from_micros(100);

/// So many failures in a row may be followed by their remedies.
const REMEDIES_MAX: u32 = 200;

/// What a provider calls the things that every provider has.
pub(crate) struct Vocabulary {
    pub(crate) object: &'static str,
    pub(crate) key: &'static str,
    pub(crate) email: &'static str,
    pub(crate) last_name: &'static str,
    pub(crate) title: &'static str,
    /// A value that the provider refuses, and its field.
    pub(crate) refused: (&'static str, &'static str),
    /// The path and body of a call that adds a text field, and the field's name.
    pub(crate) add_field: fn(&str) -> (&'static str, Value, String),
    /// So much time tells two stamps apart.
    pub(crate) stamp_step: Duration,
    /// So much time must lie between two calls that write.
    pub(crate) pace: Duration,
    /// The switch that makes rows of lists unreadable, where the emulator has one.
    pub(crate) unreadable: Option<&'static str>,
    pub(crate) can: Can,
}

/// What a provider offers. Where it does not, a story tests exactly that, or has nothing to tell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Can {
    /// Objects can be deleted over its API.
    pub(crate) delete: bool,
    /// Its users bring deleted objects back.
    pub(crate) restore: bool,
    /// Its users merge objects.
    pub(crate) merge: bool,
    /// It tells what was deleted, in a log or a list.
    pub(crate) tell_deletes: bool,
    /// Its administrators add fields.
    pub(crate) add_fields: bool,
    /// It finds objects by value without showing them all.
    pub(crate) search: bool,
    /// It refuses a write of the story's objects that were changed since, where its connector's writer is conditional.
    pub(crate) refuse_stale: bool,
    /// It tells objects that were deleted from those that never were.
    pub(crate) tell_never: bool,
    /// It meters calls, each of which is one request.
    pub(crate) meter: bool,
    /// It can be made to fail and to lose answers.
    pub(crate) fail: bool,
}

impl Can {
    /// What a system for contacts can.
    const CRM: Self = Self {
        delete: true,
        restore: true,
        merge: true,
        tell_deletes: true,
        add_fields: true,
        search: true,
        refuse_stale: true,
        tell_never: true,
        meter: true,
        fail: true,
    };
    /// What a tracker of issues can.
    const TRACKER: Self = Self {
        delete: false,
        restore: false,
        merge: false,
        tell_deletes: false,
        add_fields: false,
        search: false,
        refuse_stale: true,
        tell_never: true,
        meter: true,
        fail: true,
    };
}

/// A connector and its provider.
pub(crate) struct Subject {
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) integration: Integration,
    pub(crate) credentials: Credentials,
    /// What signs webhooks.
    pub(crate) webhook_secret: Option<String>,
    /// A token that does not expire, where the provider has such beside those of OAuth.
    pub(crate) api_token: Option<String>,
    pub(crate) words: Vocabulary,
    pub(crate) users: SideDoor,
    pub(crate) clock: Arc<SandboxClock>,
    /// Keeps the emulator answering.
    _sandbox: Option<Sandbox>,
    pub(crate) wire: Arc<Wire>,
    base: BaseUrl,
}

impl Subject {
    pub(crate) async fn salesforce() -> Self {
        let words = Vocabulary {
            object: "Contact",
            key: "Syncline_Id__c",
            email: "Email",
            last_name: "LastName",
            title: "Title",
            refused: ("Email", "no address"),
            add_field: |name| {
                let metadata = json!({"type": "Text", "label": name, "length": 40});
                let body = json!({"FullName": format!("Contact.{name}__c"), "Metadata": metadata});
                ("/services/data/v62.0/tooling/sobjects/CustomField", body, format!("{name}__c"))
            },
            stamp_step: Duration::from_secs(1),
            pace: Duration::ZERO,
            unreadable: None,
            can: Can::CRM,
        };
        let clock = clock();
        let config = SandboxConfig { hubspot: None, ..config(&clock) };
        let sandbox = Sandbox::start(config).await.expect("the emulator starts");
        let running = sandbox.salesforce.as_ref().expect("it was asked for");
        let settings = json!({"login_url": running.base_url});
        let base_url = Some(running.base_url.clone());
        Self::new("salesforce", words, clock, running, settings, base_url).await.keep(sandbox).with_key().await
    }

    pub(crate) async fn hubspot() -> Self {
        let words = Vocabulary {
            object: "contacts",
            key: "syncline_id",
            email: "email",
            last_name: "lastname",
            title: "jobtitle",
            refused: ("email", "no address"),
            add_field: |name| {
                let body = json!({"name": name, "label": name, "type": "string", "fieldType": "text",
                                  "groupName": "contactinformation"});
                ("/crm/v3/properties/contacts", body, name.to_owned())
            },
            stamp_step: Duration::from_millis(1),
            pace: Duration::ZERO,
            unreadable: None,
            can: Can::CRM,
        };
        let clock = clock();
        let config = SandboxConfig { salesforce: None, ..config(&clock) };
        let sandbox = Sandbox::start(config).await.expect("the emulator starts");
        let running = sandbox.hubspot.as_ref().expect("it was asked for");
        let settings = json!({"base_url": running.base_url});
        Self::new("hubspot", words, clock, running, settings, None).await.keep(sandbox).with_key().await
    }

    /// The same contacts, by a manifest. It knows of no call for rows of more fields than an address or a search can name.
    pub(crate) async fn hubspot_by_manifest() -> Self {
        let mut subject = Self::hubspot().await;
        subject.words.can.add_fields = false;
        // Each row is a call of its own, and 110 fit into ten seconds.
        subject.words.pace = Duration::from_secs(10);
        let connector = registry::build("hubspot-contacts", subject.integration.clone(), subject.wire.clone());
        Self { connector: connector.expect("the connector is built"), ..subject }
    }

    /// The issues of one repository, by an App in its installation. An issue's title stands for a person's name and address.
    pub(crate) async fn github() -> Self {
        let words = Vocabulary {
            object: "issues",
            key: "syncline_id",
            email: "title",
            last_name: "title",
            title: "body",
            refused: ("title", " "),
            add_field: |name| panic!("GitHub has no fields of one's own, such as {name}"),
            stamp_step: Duration::from_secs(1),
            pace: Duration::from_millis(1_100),
            unreadable: Some("malformed_row"),
            can: Can::TRACKER,
        };
        let clock = clock();
        let config =
            SandboxConfig { salesforce: None, hubspot: None, github: Some(LOOPBACK), tickets: 250, ..config(&clock) };
        let mut sandbox = Sandbox::start(config).await.expect("the emulator starts");
        let running = sandbox.github.as_mut().expect("it was asked for");
        let credentials = &mut running.credentials;
        let webhook_secret = credentials.client_secret.clone();
        credentials.client_secret = credentials.private_key.clone().expect("an App has a key");
        // The number of the installation is no secret; the zeros tell it from a part of a port.
        credentials.refresh_token = "0000001001".to_owned();
        let settings = json!({"base_url": running.base_url, "repository": "acme/support"});
        let subject = Self::new("github", words, clock, running, settings, None).await.keep(sandbox).with_key().await;
        Self { users: subject.users.of_repository("support"), webhook_secret: Some(webhook_secret), ..subject }
    }

    /// The users of an account, by their e-mail addresses.
    pub(crate) async fn zendesk() -> Self {
        let words = Vocabulary {
            object: "users",
            key: "external_id",
            email: "email",
            last_name: "name",
            title: "details",
            refused: ("email", "no address"),
            add_field: |name| panic!("every answer of Zendesk shows all fields, also {name}"),
            stamp_step: Duration::from_secs(1),
            pace: Duration::ZERO,
            unreadable: Some("malformed_row"),
            can: Can { restore: false, merge: false, add_fields: false, refuse_stale: false, ..Can::CRM },
        };
        let clock = clock();
        let config = SandboxConfig { salesforce: None, hubspot: None, zendesk: Some(LOOPBACK), ..config(&clock) };
        let sandbox = Sandbox::start(config).await.expect("the emulator starts");
        let running = sandbox.zendesk.as_ref().expect("it was asked for");
        let api_token = running.credentials.api_token.clone();
        let settings = json!({"base_url": running.base_url});
        let subject = Self::new("zendesk", words, clock, running, settings, None).await.keep(sandbox);
        Self { api_token: Some(api_token), ..subject }
    }

    /// The same users, by a manifest.
    pub(crate) async fn zendesk_by_manifest() -> Self {
        let subject = Self::zendesk().await;
        let connector = registry::build("zendesk-users", subject.integration.clone(), subject.wire.clone());
        Self { connector: connector.expect("the connector is built"), ..subject }
    }

    /// The same account with another of its objects, to be spoken of in that object's own words.
    pub(crate) fn about(mut self, object: &'static str) -> Self {
        self.words.object = object;
        Self { users: self.users.about(object), ..self }
    }

    async fn new(
        provider: &str,
        words: Vocabulary,
        clock: Arc<SandboxClock>,
        running: &Running,
        settings: Value,
        base_url: Option<String>,
    ) -> Self {
        let integration = Integration {
            client_id: Some(running.credentials.client_id.clone()),
            client_secret: Some(running.credentials.client_secret.clone()),
            settings,
        };
        let wire = Arc::new(Wire::new());
        let connector = registry::build(provider, integration.clone(), wire.clone()).expect("the connector is built");
        let credentials = Credentials {
            access_token: running.credentials.integration_token.clone(),
            refresh_token: Some(running.credentials.refresh_token.clone()),
            expires_at: None,
            base_url,
        };
        let base = BaseUrl::parse(&running.base_url).expect("an address");
        let users = SideDoor::new(&running.admin_url, words.object, wire.clone());
        Self {
            connector,
            integration,
            credentials,
            webhook_secret: None,
            api_token: None,
            words,
            users,
            clock,
            _sandbox: None,
            wire,
            base,
        }
    }

    /// A table of a database, which no emulator stands for.
    pub(crate) fn of_table(
        words: Vocabulary,
        connector: Arc<dyn Connector>,
        credentials: Credentials,
        users: SideDoor,
    ) -> Self {
        Self {
            connector,
            integration: Integration::default(),
            credentials,
            webhook_secret: None,
            api_token: None,
            words,
            users,
            clock: clock(),
            _sandbox: None,
            wire: Arc::new(Wire::new()),
            base: nowhere(),
        }
    }

    fn keep(self, sandbox: Sandbox) -> Self {
        Self { _sandbox: Some(sandbox), ..self }
    }

    async fn with_key(self) -> Self {
        if let Some(creator) = self.connector.fields() {
            let created = creator.create_key_field(&self.credentials, &self.object(), self.words.key).await;
            created.expect("the key field is created");
        }
        self
    }

    pub(crate) fn object(&self) -> ObjectName {
        self.words.object.into()
    }

    /// The fields that most stories read.
    pub(crate) fn fields(&self) -> Vec<String> {
        [self.words.email, self.words.last_name, self.words.title, self.words.key].map(str::to_owned).to_vec()
    }

    pub(crate) fn writer(&self) -> &dyn Writer {
        self.connector.writer().expect("both providers are written to")
    }

    pub(crate) fn spec(&self) -> ReadSpec {
        ReadSpec {
            object: self.object(),
            fields: self.fields(),
            facts: self.connector.reader().cursor(&self.object()),
            deleted: false,
        }
    }

    pub(crate) fn now(&self) -> Millis {
        Millis(self.clock.peek().millis())
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, duration: Duration) {
        assert!(self.clock.advance(duration), "the clock is manual");
    }

    /// Lets as much time pass as tells two stamps apart.
    pub(crate) fn step(&self) {
        self.pass(self.words.stamp_step);
    }

    /// Adds a plain text field, as an administrator would; its name.
    pub(crate) async fn add_field(&self, name: &str) -> String {
        let (path, body, name) = (self.words.add_field)(name);
        let bearer = format!("Bearer {}", self.credentials.access_token).parse().expect("a header");
        let request = HttpRequest {
            method: Method::POST,
            url: self.base.join(path).expect("a path"),
            headers: [(header::AUTHORIZATION, bearer)].into_iter().collect(),
            body: body.to_string().into(),
        };
        let answer = self.wire.send(request).await.expect("an answer");
        assert!(answer.status.is_success(), "{}", String::from_utf8_lossy(&answer.body));
        name
    }

    /// The fields of a new person.
    pub(crate) fn person(&self, name: &str) -> Value {
        json!({
            self.words.email: format!("{}@example.com", name.to_lowercase()),
            self.words.last_name: name,
            self.words.title: "Engineer",
        })
    }

    /// The same, with an integration that knows its own app: by its id, writes are told from those of others.
    pub(crate) fn knowing_its_app(self, app_id: &str) -> Self {
        let mut integration = self.integration.clone();
        integration.settings["app_id"] = json!(app_id);
        let connector = registry::build(self.connector.provider(), integration, self.wire.clone());
        Self { connector: connector.expect("the connector is built"), ..self }
    }

    /// Reads objects by id.
    pub(crate) async fn by_id(&self, ids: &[&str]) -> Vec<RemoteObject> {
        let ids: Vec<ExternalId> = ids.iter().map(|id| ExternalId::from(*id)).collect();
        let reader = self.connector.reader();
        reader
            .by_id(&self.credentials, &self.object(), &ids, &self.fields(), false)
            .await
            .expect("the objects are read")
    }

    /// Reads one object that is there under its own id.
    pub(crate) async fn one(&self, id: &str) -> RemoteObject {
        let mut objects = self.by_id(&[id]).await;
        assert_eq!(objects.len(), 1, "{objects:?}");
        objects.remove(0)
    }

    /// Writes rows and hands back their outcomes in the order of the rows.
    pub(crate) async fn write(&self, verbs: Vec<(WriteVerb, Value)>) -> Vec<WriteOutcome> {
        let requests: Vec<WriteRequest> = (0..)
            .zip(verbs)
            .map(|(trace, (verb, body))| WriteRequest { object: self.object(), verb, body: raw(body), trace })
            .collect();
        let (credentials, fields) = (&self.credentials, self.fields());
        let batch_max = if self.words.pace.is_zero() { requests.len() } else { self.writer().batch_max() };
        let mut results = Vec::new();
        for batch in requests.chunks(batch_max.max(1)) {
            self.pass(self.words.pace);
            results.extend(self.while_time_passes(self.writer().write(credentials, batch, &fields)).await);
        }
        assert_eq!(results.len(), requests.len(), "exactly one result a row");
        let mut by_trace: BTreeMap<u32, WriteOutcome> =
            results.into_iter().map(|result| (result.trace, result.outcome)).collect();
        requests.iter().map(|row| by_trace.remove(&row.trace).expect("a result for each row")).collect()
    }

    /// Waits for an answer that the provider may hold back until some transaction commits.
    async fn while_time_passes<T>(&self, answer: impl Future<Output = T>) -> T {
        let passing = async {
            loop {
                self.pass(PATIENCE);
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            answer = answer => answer,
            () = passing => unreachable!("time never ends"),
        }
    }

    pub(crate) async fn write_one(&self, verb: WriteVerb, body: Value) -> WriteOutcome {
        self.write(vec![(verb, body)]).await.remove(0)
    }

    /// A create by the key.
    pub(crate) fn create(&self, key: &str) -> WriteVerb {
        WriteVerb::Create { key: Some(Key { field: self.words.key.to_owned(), value: key.to_owned() }) }
    }

    pub(crate) fn update(&self, id: &str, expected: Option<RemoteVersion>) -> WriteVerb {
        WriteVerb::Update { id: id.into(), expected }
    }

    /// Fetches a page, following remedies as the engine would.
    pub(crate) async fn page(&mut self, request: &PageRequest) -> Result<Page, ProviderError> {
        for _ in 0..REMEDIES_MAX {
            match self.connector.reader().page(&self.credentials, request).await {
                Err(error) if self.follow(&error).await => {}
                other => return other,
            }
        }
        panic!("{REMEDIES_MAX} failures in a row");
    }

    /// Does what an error asks for; whether the call is worth repeating unchanged.
    pub(crate) async fn follow(&mut self, error: &ProviderError) -> bool {
        match &error.remedy {
            Remedy::Refresh => self.refresh().await,
            Remedy::Retry => self.pass(Duration::from_millis(100)),
            Remedy::Wait { after_ms, .. } => self.pass(Duration::from_millis(after_ms.unwrap_or(60_000))),
            Remedy::Busy { after_ms } => self.pass(Duration::from_millis(*after_ms)),
            _ => return false,
        }
        true
    }

    /// From now on nothing reaches the provider.
    pub(crate) fn cut(&mut self) {
        self.wire.cut();
        if self.users.is_table() {
            self.credentials.base_url = Some("postgres://syncline@127.0.0.1:1/nowhere".to_owned());
        }
    }

    pub(crate) async fn refresh(&mut self) {
        let refresher = self.connector.refresher().expect("both providers refresh");
        for _ in 0..REMEDIES_MAX {
            match refresher.refresh(&self.credentials, self.now()).await {
                Ok(credentials) => return self.credentials = credentials,
                Err(error) => {
                    let again = matches!(error.remedy, Remedy::Retry | Remedy::Wait { .. });
                    assert!(again, "{error}: {:?}", error.remedy);
                    self.pass(Duration::from_secs(1));
                }
            }
        }
        panic!("the token endpoint never answers");
    }

    /// Reads everything, by the machine that the engine uses.
    pub(crate) async fn backfill(&mut self, spec: ReadSpec) -> BTreeMap<String, RemoteObject> {
        let mut machine = Backfill::begin(spec, self.now());
        let mut found = BTreeMap::new();
        while let Step::Fetch(request) = machine.next() {
            match self.page(&request).await {
                Ok(page) => {
                    machine.page(&page).expect("the walk advances");
                    assert_eq!(page.malformed, [], "every row is understood");
                    found.extend(page.objects.into_iter().map(|object| (object.id.to_string(), object)));
                }
                Err(error) => assert_eq!(machine.failed(&error), Recovery::Resumed, "{error}"),
            }
        }
        found
    }
}

/// An address at which nobody listens.
pub(crate) fn nowhere() -> BaseUrl {
    BaseUrl::parse("http://127.0.0.1:1").expect("an address")
}

fn clock() -> Arc<SandboxClock> {
    Arc::new(SandboxClock::manual(Micros::from_seconds(BEGINNING_S), 1.0))
}

fn config(clock: &Arc<SandboxClock>) -> SandboxConfig {
    SandboxConfig {
        contacts: Population::demo().sized(250, 0),
        faults: FaultProfile::Off,
        clock: Some(clock.clone()),
        ..SandboxConfig::default()
    }
}

pub(crate) fn raw(value: Value) -> Raw {
    match value {
        Value::Object(raw) => raw,
        other => panic!("a body is an object, not {other}"),
    }
}

/// The network between connector and provider: counts what passes, and can be cut.
#[derive(Debug)]
pub(crate) struct Wire {
    client: ReqwestClient,
    cut: std::sync::atomic::AtomicBool,
    calls: std::sync::Mutex<Vec<String>>,
}

impl Wire {
    pub(crate) fn new() -> Self {
        Self {
            client: ReqwestClient::new().expect("a client"),
            cut: std::sync::atomic::AtomicBool::new(false),
            calls: std::sync::Mutex::default(),
        }
    }

    /// From now on nothing passes.
    pub(crate) fn cut(&self) {
        self.cut.store(true, std::sync::atomic::Ordering::SeqCst);
    }

    /// The calls since this was last asked, as method and path.
    pub(crate) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().expect("no test panics while it counts"))
    }
}

#[async_trait::async_trait]
impl HttpClient for Wire {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        if self.cut.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(TransportError::unsent("the cable is cut"));
        }
        if !request.url.path().starts_with("/admin") {
            let call = format!("{} {}", request.method, request.url.path());
            self.calls.lock().expect("no test panics while it counts").push(call);
        }
        self.client.send(request).await
    }
}
