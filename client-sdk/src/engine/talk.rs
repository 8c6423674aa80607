//! What the server says over the connection.

use rand::Rng;
use serde::Deserialize;
use syncline_core::{
    ids::RecordId,
    live::JsonFields,
    repo::{
        DocumentId, Message, PROTOCOL_VERSION, PeerId, PeerMetadata,
        message::{Ephemeral, Sync},
    },
    time::Millis,
};

use super::{Doc, Engine, Input, Need, Notice, Session, Source, draw};

/// What the server says of a change that it refused, or that makes no record yet, as the data of an ephemeral message about the document.
#[derive(Deserialize)]
struct ServersWord {
    syncline: Word,
}

#[derive(Deserialize)]
struct Word {
    kind: String,
    #[serde(default)]
    reason: String,
}

impl Engine {
    /// A connection stands: the client introduces itself.
    pub(super) fn connected(&mut self) {
        self.sessions += 1;
        self.session = Some(Session::new(self.sessions, self.limits.opened_max));
        self.told.clear();
        self.effects.messages.push(Message::Join {
            sender: self.me.peer.clone(),
            // What is agreed on is kept by document and not by peer, so the server need not keep anything for us.
            metadata: PeerMetadata { storage_id: None, ephemeral: true },
            versions: vec![PROTOCOL_VERSION.to_owned()],
        });
    }

    pub(super) fn missing_for_message(&self, message: &Message) -> Option<Need> {
        match message {
            Message::Sync(sync) | Message::Request(sync) => self.missing_owned(sync.document),
            Message::Ephemeral(Ephemeral { document, .. }) | Message::DocUnavailable { document, .. } => {
                self.rows.needs_owner(*document)
            }
            _ => None,
        }
    }

    pub(super) fn hear(&mut self, message: Message, now: Millis, rng: &mut dyn Rng) {
        match message {
            Message::Peer { sender, version, .. } => self.joined(sender, &version),
            Message::Error { message, .. } => self.effects.close = Some(message),
            Message::Sync(sync) | Message::Request(sync) => self.receive(&sync, now, rng),
            Message::DocUnavailable { document, .. } => self.unavailable(document),
            Message::Ephemeral(ephemeral) => self.heard(&ephemeral),
            // None of these is for a client; a later server may send what this version does not know.
            Message::Join { .. }
            | Message::Leave { .. }
            | Message::RemoteSubscriptionChange { .. }
            | Message::RemoteHeadsChanged { .. }
            | Message::Unknown { .. } => {}
        }
    }

    fn joined(&mut self, server: PeerId, version: &str) {
        if version != PROTOCOL_VERSION {
            let reason = format!("it speaks version {version} of the protocol; this client speaks {PROTOCOL_VERSION}");
            self.effects.close = Some(reason);
            return;
        }
        let Some(session) = &mut self.session else { return };
        session.server = Some(server);
        self.notice(Notice::Joined);
        // Attending once more begins the conversation; the count is set right at once.
        for record in self.attended.keys() {
            self.tasks.push_back(Input::Attend { record: *record, on: true });
            self.tasks.push_back(Input::Attend { record: *record, on: false });
        }
    }

    /// A sync message: take it in, and answer.
    fn receive(&mut self, sync: &Sync, now: Millis, rng: &mut dyn Rng) {
        let id = sync.document;
        let owner = self.rows.owner(id).map(|row| row.record);
        let mover = self.rows.mover(id).map(|row| row.record);
        let Some(session) = self.session.as_mut().filter(|_| owner.is_some() || mover.is_some()) else { return };
        if self.cache.get(id).is_none() {
            self.cache.put(id, Doc::absent(id, draw(rng)));
        }
        let Some(doc) = self.cache.get(id) else { return };
        doc.join(session.number, session.opened.contains(&id));
        session.opened.insert(id);
        session.said(id, now);
        match doc.receive(&sync.data) {
            Ok(received) => {
                self.store(received.writes);
                let shown = owner.map_or(Ok(()), |record| self.show_received(record, received.is_changed));
                if let Err(error) = shown {
                    self.notice(Notice::Damaged { record: id.record(), reason: error.to_string() });
                }
                self.seek_successor(id);
                self.tasks.extend(mover.map(|record| Input::Move { record }));
                self.tasks.extend(owner.map(|record| Input::Move { record }));
                self.converse(id, now);
            }
            Err(error) => {
                doc.leave();
                session.unavailable.insert(id);
                session.rest(id);
                self.notice(Notice::Damaged { record: id.record(), reason: error.to_string() });
            }
        }
    }

    /// Makes the record say what its document says now, and notes who wrote what.
    fn show_received(&mut self, record: RecordId, is_changed: bool) -> Result<(), crate::document::DocumentError> {
        let before = self.rows.get(record).map(|row| row.fields.clone()).unwrap_or_default();
        self.refresh(record, true)?;
        let after = self.rows.get(record).map(|row| row.fields.clone()).unwrap_or_default();
        if is_changed {
            self.attribute(record, &before, &after);
        }
        if let Some(told) = self.told.peek(&record)
            && super::says_same(&told.fields, &after)
        {
            self.told.pop(&record);
        }
        Ok(())
    }

    /// Notes who wrote the fields that differ, as far as the feed has told.
    fn attribute(&mut self, record: RecordId, before: &JsonFields, after: &JsonFields) {
        let told = self.told.peek(&record).cloned();
        let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for name in names.into_iter().filter(|name| before.get(*name) != after.get(*name)) {
            let by = told.as_ref().filter(|told| told.fields.get(name) == after.get(name)).and_then(|told| {
                told.origins.iter().find(|(field, _)| field == name).map(|(_, origin)| origin.clone())
            });
            self.rows.wrote(record, name, Source::Elsewhere(by));
        }
    }

    fn unavailable(&mut self, id: DocumentId) {
        let Some(session) = &mut self.session else { return };
        session.rest(id);
        if !session.unavailable.insert(id) {
            return;
        }
        let row = self.rows.owner(id).or_else(|| self.rows.mover(id));
        let Some((model, record)) = row.map(|row| (row.model.clone(), row.record)) else { return };
        self.notice(Notice::Unavailable { model, record });
        self.tasks.push_back(Input::Move { record });
    }

    /// An ephemeral message: the server's word about a refusal, or what another client says.
    fn heard(&mut self, message: &Ephemeral) {
        let Some(row) = self.rows.owner(message.document).cloned() else { return };
        let is_server = self.session.as_ref().is_some_and(|session| session.server.as_ref() == Some(&message.sender));
        let word = minicbor_serde::from_slice::<ServersWord>(&message.data).ok().filter(|_| is_server);
        if let Some(ServersWord { syncline }) = word {
            match syncline.kind.as_str() {
                "refused" => self.refused(row.record, syncline.reason),
                "draft" => {
                    self.notice(Notice::Draft { model: row.model, record: row.record, reason: syncline.reason });
                }
                // A later server may say what this version does not know.
                _ => {}
            }
            return;
        }
        let speaker = (message.sender.clone(), message.session.clone());
        if self.speakers.get(&speaker).is_some_and(|last| *last >= message.count) {
            return;
        }
        self.speakers.put(speaker, message.count);
        let by = message.sender.to_string();
        self.notice(Notice::Said { record: row.record, by, data: message.data.to_vec() });
    }

    /// The server refused local changes: they are kept, counted apart, and not sent again until somebody decides.
    fn refused(&mut self, record: RecordId, reason: String) {
        let Some(mut row) = self.rows.get(record).cloned() else { return };
        if let Some(session) = &mut self.session {
            session.rest(row.document);
        }
        if row.pending > 0 {
            row.refused = Some(reason.clone());
        }
        let model = row.model.clone();
        self.rows.put(row);
        self.notice(Notice::Refused { model, record, reason });
        self.tasks.push_back(Input::Move { record });
    }
}
