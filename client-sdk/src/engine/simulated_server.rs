//! A server as the engine sees it: documents, conversations, a feed, epochs. It takes everything and shares no code with
//! the engine but the reading of documents.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use automerge::{
    ActorId, Automerge, ROOT, ReadDoc as _,
    sync::{self, SyncDoc as _},
    transaction::Transactable as _,
};
use rand::{Rng as _, RngExt as _};
use rand_chacha::ChaCha8Rng;
use syncline_core::{
    ids::RecordId,
    live::JsonFields,
    repo::{
        DocumentId, Message, PeerId, PeerMetadata, SessionId,
        message::{Ephemeral, Sync},
    },
    time::Millis,
};

use crate::{document, engine::Told, fields};

/// What a server does with changes of a sealed document: both are found in the wild.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    /// Takes them, and makes the same edits in the new document.
    Mirrors,
    /// Refuses them.
    Refuses,
}

struct Entry {
    document: DocumentId,
    version: u64,
}

struct Line {
    peer: PeerId,
    states: BTreeMap<DocumentId, sync::State>,
    down: VecDeque<Message>,
}

pub(super) struct Server {
    documents: BTreeMap<DocumentId, Automerge>,
    sealed: BTreeMap<DocumentId, DocumentId>,
    records: BTreeMap<RecordId, Entry>,
    by_document: BTreeMap<DocumentId, RecordId>,
    lines: BTreeMap<usize, Line>,
    pub(super) feed: Vec<Told>,
    rng: ChaCha8Rng,
    late: Late,
    said: u64,
}

fn name() -> PeerId {
    PeerId::new("server").unwrap()
}

impl Server {
    pub(super) fn new(rng: ChaCha8Rng, late: Late) -> Self {
        Self {
            documents: BTreeMap::new(),
            sealed: BTreeMap::new(),
            records: BTreeMap::new(),
            by_document: BTreeMap::new(),
            lines: BTreeMap::new(),
            feed: Vec::new(),
            rng,
            late,
            said: 0,
        }
    }

    /// A record that was here before any client came.
    pub(super) fn seed(&mut self, fields: &fields::FieldValues) -> RecordId {
        let id = self.draw_id();
        let actor = self.draw();
        let doc = document::create(actor, "contact", fields, Millis(0)).unwrap();
        self.documents.insert(id, doc);
        self.adopt(id);
        id.record()
    }

    pub(super) fn connect(&mut self, client: usize, peer: PeerId) {
        self.lines.insert(client, Line { peer, states: BTreeMap::new(), down: VecDeque::new() });
    }

    pub(super) fn disconnect(&mut self, client: usize) {
        self.lines.remove(&client);
    }

    /// The next message for a client.
    pub(super) fn pop(&mut self, client: usize) -> Option<Message> {
        self.lines.get_mut(&client)?.down.pop_front()
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.lines.values().all(|line| line.down.is_empty())
    }

    /// Every record as a listing shows it.
    pub(super) fn list(&self) -> Vec<Told> {
        self.records.keys().map(|record| self.tell(*record)).collect()
    }

    pub(super) fn fields(&self, record: RecordId) -> Option<JsonFields> {
        Some(self.shown(self.records.get(&record)?.document).fields())
    }

    pub(super) fn records(&self) -> Vec<RecordId> {
        self.records.keys().copied().collect()
    }

    pub(super) fn hear(&mut self, client: usize, message: Message) {
        match message {
            Message::Join { sender, .. } => {
                let peer = Message::Peer {
                    sender: name(),
                    target: sender,
                    metadata: PeerMetadata::default(),
                    version: "1".into(),
                };
                self.push(client, peer);
            }
            Message::Sync(sync) | Message::Request(sync) => self.receive(client, &sync),
            Message::Ephemeral(_) => {}
            other => panic!("a client does not send {other:?}"),
        }
    }

    fn receive(&mut self, client: usize, incoming: &Sync) {
        let id = incoming.document;
        let message = sync::Message::decode(&incoming.data).unwrap();
        if !self.documents.contains_key(&id) && message.heads.is_empty() {
            let target = self.lines[&client].peer.clone();
            self.push(client, Message::DocUnavailable { sender: name(), target, document: id });
            return;
        }
        if self.sealed.contains_key(&id) && !message.changes.is_empty() && self.late == Late::Refuses {
            self.refuse(client, id);
            return;
        }
        let before = self.documents.get(&id).map(Automerge::get_heads).unwrap_or_default();
        let doc = self.documents.entry(id).or_default();
        let line = self.lines.get_mut(&client).unwrap();
        doc.receive_sync_message(line.states.entry(id).or_default(), message).unwrap();
        let is_changed = doc.get_heads() != before;
        if is_changed && self.sealed.contains_key(&id) {
            self.mirror(id, &before);
        } else if is_changed && document::has_content(&self.documents[&id]) {
            self.adopt(id);
        }
        self.answer(id, Some(client));
    }

    /// Generates messages about a document for all who have it open.
    fn answer(&mut self, id: DocumentId, client: Option<usize>) {
        let Some(doc) = self.documents.get(&id) else { return };
        for (number, line) in &mut self.lines {
            let Some(state) = line.states.get_mut(&id) else { continue };
            let is_asked = client == Some(*number);
            let Some(message) = doc.generate_sync_message(state) else { continue };
            assert!(is_asked || !message.heads.is_empty());
            line.down.push_back(Message::Sync(Sync {
                sender: name(),
                target: line.peer.clone(),
                document: id,
                data: message.encode().into(),
            }));
        }
    }

    fn refuse(&mut self, client: usize, document: DocumentId) {
        #[derive(serde::Serialize)]
        struct Outer {
            syncline: Inner,
        }
        #[derive(serde::Serialize)]
        struct Inner {
            kind: &'static str,
            reason: &'static str,
        }
        self.said += 1;
        let data = minicbor_serde::to_vec(Outer { syncline: Inner { kind: "refused", reason: "sealed" } }).unwrap();
        let message = Message::Ephemeral(Ephemeral {
            sender: name(),
            target: self.lines[&client].peer.clone(),
            document,
            session: SessionId::new("s").unwrap(),
            count: self.said,
            data: data.into(),
        });
        self.push(client, message);
    }

    /// Makes the edits that a sealed document received late in the document that took its place.
    fn mirror(&mut self, id: DocumentId, before: &[automerge::ChangeHash]) {
        let mut target = self.sealed[&id];
        while let Some(next) = self.sealed.get(&target) {
            target = *next;
        }
        let old = &self.documents[&id];
        let sets = BTreeSet::new();
        let was = document::show_at(old, &sets, before).unwrap();
        let is = document::show(old, &sets).unwrap();
        let edits = fields::diff(&was.values, &is.values);
        document::write(self.documents.get_mut(&target).unwrap(), &edits, None, Millis(0)).unwrap();
        self.adopt(target);
        self.answer(target, None);
    }

    /// Puts a new document in the place of a record's.
    pub(super) fn seal(&mut self, record: RecordId) {
        let old = self.records[&record].document;
        let target = self.draw_id();
        let actor = self.draw();
        let shown = self.shown(old);
        let doc = document::create(actor, "contact", &shown.values, Millis(0)).unwrap();
        self.documents.insert(target, doc);
        let sealed = self.documents.get_mut(&old).unwrap();
        let mut tx = sealed.transaction();
        tx.put(ROOT, "moved_to", target.url()).unwrap();
        tx.commit();
        self.sealed.insert(old, target);
        self.by_document.insert(target, record);
        self.records.get_mut(&record).unwrap().document = target;
        self.adopt(target);
        self.answer(old, None);
    }

    /// An edit by somebody else, such as a provider's user.
    pub(super) fn edit(&mut self, record: RecordId, edit: &fields::FieldEdit) {
        let id = self.records[&record].document;
        let actor = self.draw();
        let doc = self.documents.get_mut(&id).unwrap();
        doc.set_actor(ActorId::from(actor));
        document::write(doc, std::slice::from_ref(edit), None, Millis(0)).unwrap();
        self.adopt(id);
        self.answer(id, None);
    }

    /// A document changed: its record gets a new version and an entry in the feed.
    fn adopt(&mut self, id: DocumentId) {
        let record = *self.by_document.entry(id).or_insert(id.record());
        let entry = self.records.entry(record).or_insert(Entry { document: id, version: 0 });
        entry.version += 1;
        let told = Told { document: None, ..self.tell(record) };
        self.feed.push(told);
    }

    fn tell(&self, record: RecordId) -> Told {
        let entry = &self.records[&record];
        let shown = self.shown(entry.document);
        Told {
            record,
            document: Some(entry.document),
            version: entry.version,
            fields: shown.fields(),
            deleted: shown.deleted,
            origins: Vec::new(),
            erased: false,
        }
    }

    fn shown(&self, id: DocumentId) -> document::Shown {
        assert!(self.documents[&id].get(ROOT, "fields").unwrap().is_some());
        document::show(&self.documents[&id], &BTreeSet::new()).unwrap()
    }

    fn push(&mut self, client: usize, message: Message) {
        self.lines.get_mut(&client).unwrap().down.push_back(message);
    }

    fn draw(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    fn draw_id(&mut self) -> DocumentId {
        DocumentId::from_bytes(self.rng.random())
    }
}
