//! A document that is loaded, with the state of its conversation with the server.

use std::collections::BTreeSet;

use automerge::{
    ActorId, Automerge, ChangeHash,
    sync::{self, Capability, Have, SyncDoc as _},
};
use syncline_core::{repo::DocumentId, time::Millis};

use crate::{
    document::{self, DocumentError, Shown},
    fields::{FieldEdit, FieldValues},
    store::{StoredDocument, Write},
};

/// A document whose appended changes have grown beyond so many is stored as a whole again, which is smaller and loads
/// faster.
const CHANGES_MAX: usize = 64;

/// What a loaded document costs in memory whatever it holds, as measured for a record of twenty fields.
const LOADED_BYTES: usize = 32 * 1024;

/// How many bytes of memory one saved byte becomes, roughly: ops are kept uncompressed.
const LOADED_FACTOR: usize = 16;

/// A loaded document.
pub(super) struct Doc {
    id: DocumentId,
    doc: Automerge,
    actor: [u8; 16],
    state: sync::State,
    /// The connection to which `state` belongs; 0 for none.
    session: u64,
    acked: Vec<ChangeHash>,
    /// Changes appended to the stored document since it was last stored as a whole; `None` while nothing is stored.
    appended: Option<usize>,
    saved_bytes: usize,
    /// A message with changes was sent and not answered: further changes wait, and then go together.
    is_outstanding: bool,
}

/// What a received message did.
pub(super) struct Received {
    /// What has to be stored.
    pub(super) writes: Vec<Write>,
    /// Whether the document changed.
    pub(super) is_changed: bool,
}

impl Doc {
    /// A document of which nothing is known yet.
    pub(super) fn absent(id: DocumentId, actor: [u8; 16]) -> Self {
        Self::new(id, Automerge::new(), actor, Vec::new(), None)
    }

    /// A new record's document.
    pub(super) fn create(
        id: DocumentId,
        actor: [u8; 16],
        model: &str,
        fields: &FieldValues,
        at: Millis,
    ) -> Result<Self, DocumentError> {
        Ok(Self::new(id, document::create(actor, model, fields, at)?, actor, Vec::new(), None))
    }

    /// A stored document.
    pub(super) fn load(id: DocumentId, stored: StoredDocument) -> Result<Self, DocumentError> {
        let StoredDocument { actor, mut saved, changes, acked } = stored;
        let appended = changes.len();
        saved.extend(changes.into_iter().flatten());
        let mut doc = Automerge::load(&saved)?;
        doc.set_actor(ActorId::from(actor));
        let known = |hash: &ChangeHash| doc.get_change_meta_by_hash(hash).is_some();
        let acked = acked.into_iter().map(ChangeHash).filter(known).collect();
        let mut loaded = Self::new(id, doc, actor, acked, Some(appended));
        loaded.saved_bytes = saved.len();
        Ok(loaded)
    }

    fn new(id: DocumentId, doc: Automerge, actor: [u8; 16], acked: Vec<ChangeHash>, appended: Option<usize>) -> Self {
        let doc = doc.with_actor(ActorId::from(actor));
        let state = sync::State::new();
        Self { id, doc, actor, state, session: 0, acked, appended, saved_bytes: 0, is_outstanding: false }
    }

    /// What the document costs in memory, roughly.
    pub(super) fn bytes(&self) -> usize {
        LOADED_BYTES + LOADED_FACTOR * self.saved_bytes
    }

    /// Whether the document is a record's.
    pub(super) fn has_content(&self) -> bool {
        document::has_content(&self.doc)
    }

    /// The document in whose place another stands now.
    pub(super) fn moved_to(&self) -> Option<DocumentId> {
        document::moved_to(&self.doc).filter(|target| *target != self.id)
    }

    /// The record as the document shows it.
    pub(super) fn show(&self, sets: &BTreeSet<String>) -> Result<Shown, DocumentError> {
        document::show(&self.doc, sets)
    }

    /// The record as the server is known to have it.
    pub(super) fn show_acked(&self, sets: &BTreeSet<String>) -> Result<Shown, DocumentError> {
        document::show_at(&self.doc, sets, &self.acked)
    }

    /// How many of this client's changes the server is not known to have.
    pub(super) fn pending(&self) -> u32 {
        let own = ActorId::from(self.actor);
        let open = self.doc.get_changes_meta(&self.acked);
        let count = open.iter().filter(|change| change.actor.as_ref() == &own).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Makes an edit; answers what has to be stored, or nothing where the document already says so.
    pub(super) fn edit(
        &mut self,
        edits: &[FieldEdit],
        deleted: Option<bool>,
        at: Millis,
    ) -> Result<Vec<Write>, DocumentError> {
        let before = self.doc.get_heads();
        let change = document::write(&mut self.doc, edits, deleted, at)?;
        Ok(change.map(|_| self.store_since(&before)).unwrap_or_default())
    }

    /// What has to be stored so that the store holds what was added after `heads`.
    pub(super) fn store_since(&mut self, heads: &[ChangeHash]) -> Vec<Write> {
        match &mut self.appended {
            Some(appended) if *appended < CHANGES_MAX => {
                *appended += 1;
                let changes = self.doc.save_after(heads);
                self.saved_bytes += changes.len();
                vec![Write::Append { id: self.id, changes }]
            }
            _ => vec![self.store_whole()],
        }
    }

    /// What has to be stored so that the store holds all of it.
    pub(super) fn store_whole(&mut self) -> Write {
        let saved = self.doc.save();
        self.saved_bytes = saved.len();
        self.appended = Some(0);
        Write::PutDocument { id: self.id, actor: self.actor, saved, acked: plain(&self.acked) }
    }

    /// Takes part in this connection: whatever was agreed on in an earlier one counts only as far as it was kept. Where
    /// the document was opened in this connection before and was unloaded since, both sides agreed then.
    pub(super) fn join(&mut self, session: u64, was_opened: bool) {
        if self.session == session {
            return;
        }
        self.session = session;
        self.is_outstanding = false;
        self.state = sync::State { shared_heads: self.acked.clone(), ..sync::State::default() };
        if was_opened {
            self.state.last_sent_heads = self.acked.clone();
            self.state.their_heads = Some(self.acked.clone());
            self.state.their_need = Some(Vec::new());
            self.state.their_have = Some(vec![Have { last_sync: self.acked.clone(), ..Have::default() }]);
            self.state.have_responded = true;
            self.state.their_capabilities = Some(vec![Capability::MessageV2, Capability::SyncReset]);
        } else {
            // The first message says what is here and sends nothing: a document that was sealed meanwhile must be
            // seen as sealed before changes are sent to it.
            self.state.their_have = Some(Vec::new());
        }
    }

    /// Leaves the connection, so that the next [`Doc::join`] begins anew.
    pub(super) fn leave(&mut self) {
        self.session = 0;
    }

    /// The next message to the server, if one is due.
    pub(super) fn message(&mut self) -> Option<Outgoing> {
        if self.is_outstanding {
            return None;
        }
        let is_first = !self.state.have_responded;
        self.hold_back_until_known();
        let message = self.doc.generate_sync_message(&mut self.state)?;
        self.is_outstanding = !message.changes.is_empty();
        let is_request = is_first && message.heads.is_empty();
        Some(Outgoing { is_request, data: message.encode() })
    }

    /// While the server has changes that are not here, none is sent: one of them may say that the document is sealed.
    fn hold_back_until_known(&mut self) {
        let known = |hash: &ChangeHash| self.doc.get_change_meta_by_hash(hash).is_some();
        if !self.state.their_heads.iter().flatten().all(known) {
            self.state.their_have = Some(Vec::new());
            self.state.their_need = Some(Vec::new());
        }
    }

    /// Takes in a message of the server.
    pub(super) fn receive(&mut self, data: &[u8]) -> Result<Received, ReceiveError> {
        let message = sync::Message::decode(data).map_err(|error| ReceiveError(error.to_string()))?;
        self.is_outstanding = false;
        let before = self.doc.get_heads();
        let received = self.doc.receive_sync_message(&mut self.state, message);
        received.map_err(|error| ReceiveError(error.to_string()))?;
        let is_changed = self.doc.get_heads() != before;
        let mut writes = if is_changed { self.store_since(&before) } else { Vec::new() };
        if self.acked != self.state.shared_heads && self.appended.is_some() {
            self.acked.clone_from(&self.state.shared_heads);
            writes.push(Write::Acknowledge { id: self.id, acked: plain(&self.acked) });
        }
        Ok(Received { writes, is_changed })
    }

    /// Whether both sides have the same.
    pub(super) fn is_settled(&self) -> bool {
        let heads: BTreeSet<ChangeHash> = self.doc.get_heads().into_iter().collect();
        let same = |others: &[ChangeHash]| others.iter().copied().collect::<BTreeSet<_>>() == heads;
        !heads.is_empty() && same(&self.acked) && self.state.their_heads.as_deref().is_some_and(same)
    }

    /// Whether the server has said in this connection what it has.
    pub(super) fn is_heard(&self) -> bool {
        self.state.their_heads.is_some()
    }

    /// Whether changes were sent in this connection that the server is not known to have.
    pub(super) fn is_in_doubt(&self) -> bool {
        !self.state.sent_hashes.is_empty()
    }

    /// The same document without the changes that the server is not known to have, under a new actor: an actor's
    /// numbers are never used twice.
    pub(super) fn rewound(&self, actor: [u8; 16]) -> Result<Self, DocumentError> {
        let doc = self.doc.fork_at(&self.acked)?;
        Ok(Self::new(self.id, doc, actor, self.acked.clone(), None))
    }

    /// Whether the server is known to have any of it.
    pub(super) fn is_acked_at_all(&self) -> bool {
        !self.acked.is_empty()
    }
}

/// A message of which only the envelope is missing.
pub(super) struct Outgoing {
    /// Whether it asks for a document of which nothing is here.
    pub(super) is_request: bool,
    /// The message as Automerge encodes it.
    pub(super) data: Vec<u8>,
}

/// A message that Automerge does not understand or cannot apply.
#[derive(Debug, thiserror::Error)]
#[error("a sync message cannot be applied: {0}")]
pub(super) struct ReceiveError(String);

fn plain(heads: &[ChangeHash]) -> Vec<[u8; 32]> {
    heads.iter().map(|hash| hash.0).collect()
}
