//! Whose turn it is: at most so many documents are talked about at once, the others wait, most of them in the store.

use rand::Rng;
use syncline_core::{
    ids::RecordId,
    repo::{DocumentId, Message, message::Sync},
    time::Millis,
};

use super::{Ask, Doc, Engine, Input, draw};

impl Engine {
    /// Talks about a document now where that can be, and else before others.
    pub(super) fn hurry(&mut self, id: DocumentId, now: Millis) {
        let Some(session) = &mut self.session else { return };
        if session.unavailable.contains(&id) || self.rows.owner(id).is_some_and(|row| row.refused.is_some()) {
            return;
        }
        if session.opened.contains(&id) && (session.is_busy(&id) || session.has_room()) {
            self.converse(id, now);
        } else {
            session.wait(id, true);
        }
    }

    /// Begins a document's conversation anew, as if the connection were new.
    pub(super) fn begin_anew(&mut self, id: DocumentId) {
        if let Some(doc) = self.cache.get(id) {
            doc.leave();
        }
        if let Some(session) = &mut self.session {
            session.opened.remove(&id);
            session.unavailable.remove(&id);
            session.rest(id);
            session.wait(id, true);
        }
    }

    /// Takes in which documents the store knows for stale.
    pub(super) fn stale(&mut self, documents: Vec<(RecordId, DocumentId)>, more: bool) {
        let Some(session) = &mut self.session else { return };
        session.is_asked = false;
        let last = documents.last().map(|(record, _)| *record);
        session.more = more.then_some(last);
        for (_, id) in documents {
            if !session.is_busy(&id) && !session.unavailable.contains(&id) && !session.opened.contains(&id) {
                session.wait(id, false);
            }
        }
    }

    /// Gives turns to as many documents as there is room for, and has the store searched for more. A connection in which
    /// too many were opened is ended when nothing is being said: the next one goes on with those that wait.
    pub(super) fn take_turns(&mut self, now: Millis) {
        let Some(session) = self.session.as_mut().filter(|session| session.server.is_some()) else { return };
        while session.has_room() {
            if session.is_full() {
                if session.is_idle() {
                    self.effects.close = Some("as many documents were opened as one connection may".to_owned());
                }
                break;
            }
            if let Some(document) = session.turn() {
                session.said(document, now);
                self.tasks.push_back(Input::Sync { document });
                continue;
            }
            if let Some(after) = session.more.filter(|_| !session.is_asked) {
                session.is_asked = true;
                self.effects.asks.push(Ask::Stale { after });
            }
            break;
        }
    }

    /// A document's turn: its conversation begins, or goes on.
    pub(super) fn sync(&mut self, id: DocumentId, now: Millis, rng: &mut dyn Rng) {
        let Some(session) = self.session.as_mut().filter(|session| session.server.is_some()) else { return };
        let owner = self.rows.owner(id);
        let is_refused = owner.is_some_and(|row| row.refused.is_some());
        let is_nobodys = owner.is_none() && self.rows.mover(id).is_none();
        if is_refused || is_nobodys || session.unavailable.contains(&id) {
            session.rest(id);
            return;
        }
        let successor = owner.and_then(|row| Some((row.record, row.moving_to?)));
        if self.cache.get(id).is_none() {
            self.cache.put(id, Doc::absent(id, draw(rng)));
        }
        self.converse(id, now);
        // A record on its way to another document needs that one too.
        if let Some((record, target)) = successor {
            self.fetch_successor(record, target);
        }
    }

    /// Sends the next message about a document, if one is due.
    pub(super) fn converse(&mut self, id: DocumentId, now: Millis) {
        let Some(session) = &mut self.session else { return };
        let (Some(doc), Some(server)) = (self.cache.get(id), session.server.clone()) else { return };
        doc.join(session.number, session.opened.contains(&id));
        let message = doc.message();
        let is_settled = doc.is_settled();
        session.opened.insert(id);
        if is_settled {
            session.rest(id);
        } else {
            session.said(id, now);
        }
        let Some(message) = message else { return };
        let sync = Sync { sender: self.me.peer.clone(), target: server, document: id, data: message.data.into() };
        self.effects.messages.push(if message.is_request { Message::Request(sync) } else { Message::Sync(sync) });
    }

    /// Begins conversations anew in which nothing was said for too long.
    pub(super) fn tick(&mut self, now: Millis) {
        let stalled = self.session.as_ref().map(|session| session.stalled(now)).unwrap_or_default();
        for id in stalled {
            if let Some(doc) = self.cache.get(id) {
                doc.leave();
            }
            let Some(session) = &mut self.session else { return };
            session.opened.remove(&id);
            session.rest(id);
            session.wait(id, false);
        }
    }
}
