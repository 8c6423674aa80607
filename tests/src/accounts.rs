//! The two accounts as their own users see them: edits by people, reads through the public APIs, and the emulators'
//! ledgers for what was asked and written.

use std::collections::BTreeMap;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Map, Value as Json, json};
use syncline_sandbox::{
    Micros, Running,
    faults::FaultChange,
    ledger::{ActorKind, Entry, Op},
};

/// The fields of every story, in the model's words.
pub const FIELDS: [&str; 5] = ["email", "first_name", "last_name", "phone", "title"];

/// What a platform calls what every platform has, and how its public list is read.
#[derive(Debug)]
pub struct Words {
    /// The name of the connection in the configuration.
    pub connection: &'static str,
    /// The kind of object.
    pub object: &'static str,
    key: &'static str,
    /// In the order of `FIELDS`.
    fields: [&'static str; 5],
    /// The path and body that add the field for our record ids, as an administrator would.
    key_field: fn() -> (&'static str, Json),
    /// The first page of all objects.
    list: &'static str,
    /// Where the platform takes a grant back: its method, and its path in front of the refresh token.
    revoke: (Method, &'static str),
    /// Where the app asks for a grant, and where it exchanges the code for tokens.
    authorise: [&'static str; 2],
    /// The next page after an answer, as a path.
    next: fn(&Json) -> Option<String>,
    /// The objects of an answer, each with its id and its fields.
    objects: fn(&Json) -> Vec<(String, Json)>,
    /// The fault that refuses every request.
    outage: &'static str,
}

/// Words of Salesforce.
pub static SALESFORCE: Words = Words {
    connection: "acme-salesforce",
    object: "Contact",
    key: "Syncline_Id__c",
    fields: ["Email", "FirstName", "LastName", "Phone", "Title"],
    key_field: || {
        let metadata = json!({"label": "Syncline Id", "type": "Text", "length": 36, "externalId": true, "unique": true,
                              "caseSensitive": true});
        let body = json!({"FullName": "Contact.Syncline_Id__c", "Metadata": metadata});
        ("/services/data/v62.0/tooling/sobjects/CustomField", body)
    },
    revoke: (Method::POST, "/services/oauth2/revoke?token="),
    authorise: ["/services/oauth2/authorize", "/services/oauth2/token"],
    list: "/services/data/v62.0/query?q=SELECT+Id,Email,FirstName,LastName,Phone,Title,Syncline_Id__c+FROM+Contact",
    next: |answer| answer["nextRecordsUrl"].as_str().map(str::to_owned),
    objects: |answer| {
        let rows = answer["records"].as_array().into_iter().flatten();
        rows.map(|row| (text(&row["Id"]), row.clone())).collect()
    },
    outage: "server_unavailable",
};

/// Words of HubSpot.
pub static HUBSPOT: Words = Words {
    connection: "acme-hubspot",
    object: "contacts",
    key: "syncline_id",
    fields: ["email", "firstname", "lastname", "phone", "jobtitle"],
    key_field: || {
        let body = json!({"name": "syncline_id", "label": "Syncline id", "type": "string", "fieldType": "text",
                          "groupName": "contactinformation", "hasUniqueValue": true});
        ("/crm/v3/properties/contacts", body)
    },
    revoke: (Method::DELETE, "/oauth/v1/refresh-tokens/"),
    authorise: ["/oauth/authorize", "/oauth/v1/token"],
    list: "/crm/v3/objects/contacts?limit=100&properties=email,firstname,lastname,phone,jobtitle,syncline_id",
    next: |answer| {
        let after = answer["paging"]["next"]["after"].as_str()?;
        Some(format!("{}&after={after}", HUBSPOT.list))
    },
    objects: |answer| {
        let rows = answer["results"].as_array().into_iter().flatten();
        rows.map(|row| (text(&row["id"]), row["properties"].clone())).collect()
    },
    outage: "unavailable",
};

/// One live object of an account.
#[derive(Clone, Debug)]
pub struct Object {
    /// The platform's own id.
    pub id: String,
    /// The record id that we wrote into it, if any.
    pub key: String,
    /// Its values by the model's field names; blank is empty.
    pub fields: BTreeMap<&'static str, String>,
}

/// One account.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a> {
    /// What the platform calls things.
    pub words: &'static Words,
    running: &'a Running,
}

impl<'a> Account<'a> {
    /// An account that an emulator runs.
    pub fn new(words: &'static Words, running: &'a Running) -> Self {
        Self { words, running }
    }

    /// Where the platform's API is.
    pub fn url(&self) -> &'a str {
        &self.running.base_url
    }

    /// Adds the field for our record ids.
    pub async fn add_key_field(&self) {
        let (path, body) = (self.words.key_field)();
        self.call(Method::POST, &format!("{}{path}", self.running.base_url), Some(&body)).await;
    }

    /// All live objects, by id, as the public API lists them.
    pub async fn objects(&self) -> BTreeMap<String, Object> {
        let mut objects = BTreeMap::new();
        let mut next = Some(self.words.list.to_owned());
        while let Some(path) = next {
            let answer = self.call(Method::GET, &format!("{}{path}", self.running.base_url), None).await;
            for (id, row) in (self.words.objects)(&answer) {
                let pairs = FIELDS.into_iter().zip(self.words.fields);
                let fields = pairs.map(|(field, remote)| (field, text(&row[remote]))).collect();
                let twice = objects.insert(id.clone(), Object { id, key: text(&row[self.words.key]), fields });
                assert!(twice.is_none(), "an object was listed twice: {twice:?}");
            }
            next = (self.words.next)(&answer);
        }
        objects
    }

    /// The live object with this address.
    pub async fn by_email(&self, email: &str) -> Option<Object> {
        let same = |object: &Object| object.fields["email"].trim().eq_ignore_ascii_case(email);
        self.objects().await.into_values().find(same)
    }

    /// A user creates an object and gets its id.
    pub async fn create(&self, values: &[(&str, &str)]) -> String {
        let answer = self.call(Method::POST, &self.door(""), Some(&self.body(values))).await;
        text(&answer["id"])
    }

    /// A user edits an object.
    pub async fn edit(&self, id: &str, values: &[(&str, &str)]) {
        self.call(Method::PATCH, &self.door(&format!("/{id}")), Some(&self.body(values))).await;
    }

    /// A user edits an object that may be gone; whether the platform took it.
    pub async fn try_edit(&self, id: &str, values: &[(&str, &str)]) -> bool {
        self.ask(Method::PATCH, &self.door(&format!("/{id}")), Some(&self.body(values))).await.0.is_success()
    }

    /// A user deletes an object that may be gone; whether the platform did it.
    pub async fn try_delete(&self, id: &str) -> bool {
        self.ask(Method::DELETE, &self.door(&format!("/{id}")), None).await.0.is_success()
    }

    /// A user deletes an object.
    pub async fn delete(&self, id: &str) {
        self.call(Method::DELETE, &self.door(&format!("/{id}")), None).await;
    }

    /// A user brings an object back.
    pub async fn restore(&self, id: &str) {
        self.call(Method::POST, &self.door(&format!("/{id}/restore")), Some(&json!({}))).await;
    }

    /// A user merges an object into another one.
    pub async fn merge(&self, id: &str, into: &str) {
        self.call(Method::POST, &self.door(&format!("/{id}/merge")), Some(&json!({ "into": into }))).await;
    }

    /// Tells the platform where to push.
    pub async fn push_to(&self, target: &str) {
        let url = format!("{}/webhooks", self.running.admin_url);
        self.call(Method::POST, &url, Some(&json!({ "target_url": target }))).await;
    }

    /// Makes the service's access tokens expire now.
    pub async fn expire_tokens(&self) {
        self.call(Method::POST, &format!("{}/tokens/expire", self.running.admin_url), None).await;
    }

    /// The account's administrator takes back what the service was granted with this refresh token.
    pub async fn revoke(&self, refresh_token: &str) {
        let (method, path) = &self.words.revoke;
        self.call(method.clone(), &format!("{}{path}{refresh_token}", self.running.base_url), None).await;
    }

    /// The account's administrator agrees once more; the new refresh token.
    pub async fn authorise(&self) -> String {
        let given = &self.running.credentials;
        let [ask, exchange] = self.words.authorise.map(|path| format!("{}{path}", self.running.base_url));
        let back = "http://app.example/back";
        let browser = Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
        let query = [("response_type", "code"), ("client_id", given.client_id.as_str()), ("redirect_uri", back)];
        let sent = browser.get(&ask).query(&query).send().await.expect("an answer");
        let target = sent.headers()["location"].to_str().expect("an address").to_owned();
        let (_, code) = target.split_once("code=").expect("a code in the address");
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.split('&').next().unwrap_or_default()),
            ("redirect_uri", back),
            ("client_id", &given.client_id),
            ("client_secret", &given.client_secret),
        ];
        let answer = browser.post(&exchange).form(&form).send().await.expect("an answer");
        let tokens: Json = answer.json().await.expect("tokens");
        text(&tokens["refresh_token"])
    }

    /// The account's administrator does something to a field of the model: `{"visible": false}` hides it.
    pub async fn act_on_field(&self, field: &str, act: &Json) {
        let place = FIELDS.iter().position(|known| *known == field).expect("a field of the stories");
        let url = format!("{}/fields/{}/{}", self.running.admin_url, self.words.object, self.words.fields[place]);
        self.call(Method::PATCH, &url, Some(act)).await;
    }

    /// Something inside the platform holds an object, so that the service cannot write it, or lets go of it.
    pub async fn set_locked(&self, id: &str, locked: bool) {
        let url = format!("{}/locks/{}/{id}", self.running.admin_url, self.words.object);
        self.call(Method::PUT, &url, Some(&json!({ "locked": locked }))).await;
    }

    /// The platform's clock.
    pub fn now(&self) -> Micros {
        self.running.parts.clock.peek()
    }

    /// The fields of every object as they are stored, whatever the public API shows, by id.
    pub async fn stored(&self, field: &str) -> BTreeMap<String, String> {
        let place = FIELDS.iter().position(|known| *known == field).expect("a field of the stories");
        let url = format!("{}/state?object={}&limit=1000", self.running.admin_url, self.words.object);
        let state = self.call(Method::GET, &url, None).await;
        let rows = state["rows"].as_array().expect("rows").iter();
        rows.map(|row| (text(&row["id"]), text(&row["fields"][self.words.fields[place]]))).collect()
    }

    /// The refresh token that the account was first authorised with.
    pub fn refresh_token(&self) -> &'a str {
        &self.running.credentials.refresh_token
    }

    /// Sets how often one thing goes wrong from now on.
    pub fn set_fault(&self, name: &str, probability: f64) {
        let change = FaultChange { enabled: Some(true), probability: Some(probability) };
        let changed = self.running.parts.faults.change(&BTreeMap::from([(name.to_owned(), change)]));
        changed.expect("a known fault");
    }

    /// Refuses every request from now on, or no more. What was answered before knows nothing of what happens meanwhile.
    pub fn set_outage(&self, out: bool) {
        self.set_fault(self.words.outage, if out { 1.0 } else { 0.0 });
    }

    /// How often one thing has gone wrong.
    pub fn fired(&self, name: &str) -> u64 {
        self.running.parts.faults.fired().into_iter().find(|(fault, _)| *fault == name).map_or(0, |(_, fired)| fired)
    }

    /// How often anything has gone wrong.
    pub fn mishaps(&self) -> u64 {
        self.running.parts.faults.fired().into_values().sum()
    }

    /// Requests of all kinds so far.
    pub fn requests(&self) -> u64 {
        self.running.parts.ledger.counts().requests.values().sum()
    }

    /// Writes of objects, by whomever, that were accepted so far.
    pub fn writes(&self) -> u64 {
        self.running.parts.ledger.counts().writes.accepted
    }

    /// Writes that the service sent and that changed nothing.
    pub fn writes_in_vain(&self) -> u64 {
        self.running.parts.ledger.counts().writes.redundant_by_integration
    }

    /// The service's accepted writes of one kind.
    pub fn sent(&self, op: Op) -> usize {
        let entries = self.running.parts.ledger.page(0, usize::MAX).entries;
        let ours = |entry: &&Entry| entry.event.actor.kind == ActorKind::Integration && entry.event.op == op;
        entries.iter().filter(ours).count()
    }

    /// What the platform wrote down about an object, a line for each event.
    pub fn log_of(&self, id: &str) -> String {
        let entries = self.running.parts.ledger.page(0, usize::MAX).entries;
        let of_object = entries.iter().filter(|entry| &*entry.event.id == id);
        of_object.map(|entry| format!("{} {entry:?}\n", self.words.connection)).collect()
    }

    fn door(&self, rest: &str) -> String {
        format!("{}/users/ann/{}{rest}", self.running.admin_url, self.words.object)
    }

    fn body(&self, values: &[(&str, &str)]) -> Json {
        let remote = |field: &str| match FIELDS.iter().position(|known| *known == field) {
            Some(place) => self.words.fields[place].to_owned(),
            None => field.to_owned(),
        };
        let body: Map<String, Json> = values.iter().map(|(field, value)| (remote(field), Json::from(*value))).collect();
        Json::Object(body)
    }

    async fn call(&self, method: Method, url: &str, body: Option<&Json>) -> Json {
        let (status, text) = self.ask(method.clone(), url, body).await;
        assert!(status.is_success(), "{method} {url}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    async fn ask(&self, method: Method, url: &str, body: Option<&Json>) -> (StatusCode, String) {
        let token = &self.running.credentials.user_token;
        let mut request = Client::new().request(method.clone(), url).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap_or_else(|error| panic!("{method} {url}: {error}"));
        (answer.status(), answer.text().await.expect("an answer"))
    }
}

fn text(value: &Json) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
