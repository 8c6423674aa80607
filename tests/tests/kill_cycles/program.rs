//! The program on the SDK: what it has been told is safe is in the book, and what it has written is durable with itself.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use syncline_client::{Client, Collection, Filter, RecordId, SqliteStore};
use syncline_server::demo::Acknowledged;
use syncline_tests::{api::KEY, patience::PATIENCE};

use crate::book::call;

/// A contact, as far as the program knows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Contact {
    pub(crate) email: Option<String>,
    pub(crate) first_name: Option<String>,
    pub(crate) last_name: Option<String>,
    pub(crate) title: Option<String>,
    pub(crate) department: Option<String>,
}

/// The program's file, and what it has written into it. The program itself comes and goes.
#[derive(Debug)]
pub(crate) struct Desk {
    file: PathBuf,
    url: String,
    /// What was written, all of it to be acknowledged in the end.
    written: Vec<Acknowledged>,
    /// Contacts that lack a name.
    drafts: Vec<RecordId>,
}

/// The program while it runs.
pub(crate) struct Program {
    client: Client,
    contacts: Collection<Contact>,
}

impl Desk {
    pub(crate) fn new(file: PathBuf, url: String) -> Self {
        Self { file, url, written: Vec::new(), drafts: Vec::new() }
    }

    /// The program starts.
    pub(crate) async fn open(&self) -> Program {
        let store = open_store(&self.file).await;
        let client = Client::builder(&self.url).api_key(KEY).store(store).name("program").build();
        let client = client.await.expect("a client");
        let contacts = client.collection("contact");
        // The first use of a collection makes its model one that is kept here.
        contacts.list(&Filter::default()).await.expect("a list");
        Program { client, contacts }
    }

    /// Edits a contact, if it is here yet.
    pub(crate) async fn edit(&mut self, program: &Program, id: RecordId, tag: &str) {
        if program.contacts.get(id).await.expect("a readable store").is_some() {
            let title = tag.to_owned();
            let edited = Map::from_iter([("title".to_owned(), json!(tag))]);
            self.change(program, id, edited, move |contact| contact.title = Some(title)).await;
        }
    }

    /// Makes an edit and notes what stood there at that moment: the server may have brought something just before.
    async fn change(
        &mut self,
        program: &Program,
        id: RecordId,
        sent: Map<String, Json>,
        change: impl FnOnce(&mut Contact) + Send + 'static,
    ) {
        let (show, shown) = std::sync::mpsc::channel();
        let edit = move |contact: &mut Contact| {
            // Whoever waits for it is below.
            let _ = show.send(contact.clone());
            change(contact);
        };
        program.contacts.edit(id, edit).await.expect("a durable edit");
        // Where the edit was tried anew, the last contact counts.
        let contact = shown.try_iter().last().expect("the contact as it was");
        // Its own earlier edits the program has seen as well, also where the document shows what somebody else wrote beside.
        let own: Vec<Map<String, Json>> = self.own_edits(id, &sent).collect();
        for seen in own.into_iter().chain([seen(&contact)]) {
            self.written.push(call(id.to_string(), seen, sent.clone()));
        }
    }

    /// What the program wrote into these fields of the record before.
    fn own_edits(&self, id: RecordId, fields: &Map<String, Json>) -> impl Iterator<Item = Map<String, Json>> {
        let record = id.to_string();
        let of_record = self.written.iter().filter(move |noted| noted.record == record);
        let same = move |noted: &Acknowledged| {
            let fields = noted.sent.iter().filter(|(field, _)| fields.contains_key(*field));
            fields.map(|(field, value)| (field.clone(), value.clone())).collect::<Map<_, _>>()
        };
        of_record.map(same).filter(|fields| !fields.is_empty())
    }

    /// Creates a contact.
    pub(crate) async fn create(&mut self, program: &Program, tag: &str) {
        let contact = Contact {
            email: Some(format!("{tag}@program.example").to_lowercase()),
            last_name: Some(format!("Name {tag}")),
            title: Some(tag.to_owned()),
            ..Contact::default()
        };
        self.begin(program, contact).await;
    }

    /// Begins a contact without a name, which a record must have.
    pub(crate) async fn draft(&mut self, program: &Program, tag: &str) {
        let contact = Contact {
            email: Some(format!("{tag}@draft.example").to_lowercase()),
            title: Some(tag.to_owned()),
            ..Contact::default()
        };
        let id = self.begin(program, contact).await;
        self.drafts.push(id);
    }

    async fn begin(&mut self, program: &Program, contact: Contact) -> RecordId {
        let id = program.contacts.create(&contact).await.expect("a durable contact");
        self.written.push(call(id.to_string(), Map::new(), seen(&contact)));
        id
    }

    /// Completes every draft, and waits until the server has acknowledged everything; what that was.
    pub(crate) async fn settle(&mut self) -> Vec<Acknowledged> {
        if self.written.is_empty() {
            return Vec::new();
        }
        let program = self.open().await;
        for (place, id) in std::mem::take(&mut self.drafts).into_iter().enumerate() {
            let name = format!("Late {place}");
            let edited = Map::from_iter([("last_name".to_owned(), json!(name))]);
            self.change(&program, id, edited, move |contact| contact.last_name = Some(name)).await;
        }
        let settled = tokio::time::timeout(PATIENCE, program.client.settled()).await;
        let pending = settled.unwrap_or_else(|_| panic!("not settled: {:?}", program.client.pending()));
        assert_eq!(pending.expect("a client").refused, 0, "nothing of the program's is refused");
        program.end().await;
        std::mem::take(&mut self.written)
    }
}

impl Program {
    /// Ends it; its file is free afterwards.
    pub(crate) async fn end(self) {
        drop(self.contacts);
        self.client.close().await;
    }
}

async fn open_store(file: &Path) -> SqliteStore {
    SqliteStore::open(file).await.expect("a store")
}

/// What the program has before its eyes, in the form of the API.
fn seen(contact: &Contact) -> Map<String, Json> {
    match json!(contact) {
        Json::Object(fields) => fields.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        _ => Map::new(),
    }
}
