//! A conversation's part about documents: what the peer says of them, and what it is told.

use std::collections::{HashMap, HashSet};

use automerge::{Automerge, Change, sync::Message as SyncMessage};
use axum::extract::ws::Message as Frame;
use bytes::Bytes;
use syncline_core::repo::{
    DocumentId, Inbound, Limits, Message, Refusal,
    message::Sync,
    thread::{Heads, Step},
};

use super::{
    Offer, Reception, Right,
    conversation::{Conversation, OpenDocument},
    hub::{Ear, Published, StoreHeads},
    limits,
    notice::Kind,
    session::{End, Visitor},
};
use crate::{
    engine::clock::Clock,
    store::documents::{DocumentKind, Found},
};

impl Conversation<'_> {
    /// Works off sync messages: their documents are looked up at once, and their changes are taken in together.
    pub(super) async fn converse(&mut self, syncs: Vec<(Sync, bool)>, ear: &Ear) -> Result<(), End> {
        let mut rounds = vec![Vec::new()];
        let mut seen = HashSet::new();
        for (sync, request) in syncs {
            // Two messages about one document are not of one round: the second builds upon the first.
            if !seen.insert(sync.document) {
                seen = HashSet::from([sync.document]);
                rounds.push(Vec::new());
            }
            if let Some(round) = rounds.last_mut() {
                round.push((sync, request));
            }
        }
        for round in rounds {
            self.round(round, ear).await?;
        }
        Ok(())
    }

    async fn round(&mut self, syncs: Vec<(Sync, bool)>, ear: &Ear) -> Result<(), End> {
        let mut open = Vec::with_capacity(syncs.len());
        for (sync, request) in syncs {
            if self.acknowledges(&sync) {
                continue;
            }
            // Listening begins before the document is looked at, so that nothing falls between the two.
            if self.open(sync.document, ear) {
                open.push((sync, request));
            } else {
                self.unavailable(sync.document).await?;
            }
        }
        let ids: Vec<DocumentId> = open.iter().map(|(sync, _)| sync.document).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let mut found = find(self.visitor, &ids).await?;
        self.freshen(&mut found).await?;
        let mut offers = Vec::new();
        for (sync, request) in open {
            let (document, known) = (sync.document, found.remove(&sync.document));
            if known.as_ref().is_some_and(|found| !self.visitor.holder.access.opens(&found.kind)) {
                self.shut(document).await?;
                continue;
            }
            let blocked = self.threads.get(&document).is_some_and(|open| open.blocked);
            let Inbound { message, changes, .. } = match read(self.visitor, sync.data, known.as_ref()).await {
                Ok(inbound) => inbound,
                Err(_) if blocked => continue,
                Err(refusal) => {
                    self.refuse(document, &refusal.to_string()).await?;
                    continue;
                }
            };
            match known {
                // Whatever is answered would only make the peer send its changes again.
                _ if blocked => {}
                known if !changes.is_empty() => match self.forbidden(known.is_some()) {
                    Some(reason) => self.refuse(document, reason).await?,
                    None => offers.push((document, message, changes)),
                },
                Some(found) => self.answer(document, &message, &automerge_heads(&found)).await?,
                None => self.meet(document, &message, request).await?,
            }
        }
        self.take(offers).await
    }

    /// Takes note of a message that only says that the peer has what it was told. That is what most messages say.
    fn acknowledges(&mut self, sync: &Sync) -> bool {
        let Some(open) = self.threads.get_mut(&sync.document).filter(|_| sync.data.len() <= limits::SHORT_BYTES) else {
            return false;
        };
        let Ok(Inbound { message, changes, .. }) = Inbound::read(&sync.data, &Limits::RECORD, |_| false) else {
            return false;
        };
        let acknowledged = changes.is_empty() && open.thread.acknowledged(&message);
        if acknowledged {
            self.noticed(sync.document, &message.heads);
        }
        acknowledged
    }

    /// Documents whose content moved into records are brought up to date when they are opened.
    async fn freshen(&mut self, found: &mut HashMap<DocumentId, Found>) -> Result<(), End> {
        let mut stale = Vec::new();
        for (document, found) in &*found {
            let new = self.threads.get(document).is_some_and(|open| open.thread.is_new());
            if let (true, DocumentKind::Moved { record, .. }) = (new, &found.kind) {
                stale.push((*document, *record));
            }
        }
        for (document, record) in stale {
            let tenant = &self.visitor.holder.principal.tenant;
            let freshened = self.visitor.documents.freshen(tenant, document, record).await;
            freshened.map_err(|error| End::Broken(error.to_string()))?;
            found.extend(find(self.visitor, &[document]).await?);
        }
        Ok(())
    }

    /// Why the peer may not change a document, or begin one.
    fn forbidden(&self, known: bool) -> Option<&'static str> {
        let access = &self.visitor.holder.access;
        match known {
            true if !access.may(Right::Write) => Some("this access may read and not change: ask for one with `write`"),
            false if !access.may(Right::Create) => {
                Some("this access may begin no documents: ask for one with `create`")
            }
            _ => None,
        }
    }

    /// Opens the document for this session; `false` where it has too many open.
    fn open(&mut self, document: DocumentId, ear: &Ear) -> bool {
        if self.threads.contains_key(&document) {
            return true;
        }
        if self.threads.len() >= self.visitor.hub.limits().documents_per_socket_max {
            return false;
        }
        self.visitor.hub.enter(&self.visitor.holder.principal.tenant, document, ear);
        self.threads.insert(document, OpenDocument::default());
        true
    }

    async fn shut(&mut self, document: DocumentId) -> Result<(), End> {
        self.threads.remove(&document);
        let tenant = &self.visitor.holder.principal.tenant;
        self.visitor.hub.leave(tenant, std::iter::once(document), self.visitor.place.socket);
        self.unavailable(document).await
    }

    /// The document was erased.
    pub(super) async fn ended(&mut self, document: DocumentId) -> Result<(), End> {
        if self.threads.contains_key(&document) { self.shut(document).await } else { Ok(()) }
    }

    async fn unavailable(&mut self, document: DocumentId) -> Result<(), End> {
        let sender = self.visitor.hub.name().clone();
        self.say(&Message::DocUnavailable { sender, target: self.peer.name.clone(), document }).await
    }

    /// A document that this server does not have: the peer asks for it, or begins it.
    async fn meet(&mut self, document: DocumentId, message: &SyncMessage, request: bool) -> Result<(), End> {
        if request || message.heads.is_empty() {
            let wanted = self.threads.values().filter(|open| open.wanted).count();
            match self.threads.get_mut(&document) {
                Some(open) if wanted < limits::WANTED_MAX => {
                    open.wanted = true;
                    open.thread.waits(message);
                    return self.unavailable(document).await;
                }
                _ => return self.shut(document).await,
            }
        }
        if let Some(reason) = self.forbidden(false) {
            self.notify(Kind::Refused, document, reason).await?;
            return self.shut(document).await;
        }
        let mut nothing = Automerge::new();
        self.consult(document, Some(message), &mut nothing).await
    }

    /// Answers a message without changes, or with changes that brought nothing new.
    async fn answer(&mut self, document: DocumentId, message: &SyncMessage, heads: &Heads) -> Result<(), End> {
        let Some(open) = self.threads.get_mut(&document) else { return Ok(()) };
        open.wanted = false;
        let was_there = open.thread.is_at(heads);
        let step = open.thread.heard(message, heads);
        let is_there = open.thread.is_at(heads);
        if is_there && !was_there {
            self.noticed(document, heads);
        }
        self.go_on(document, step, Some(message)).await
    }

    /// The peer's store has the document's heads: others may want to know.
    fn noticed(&self, document: DocumentId, heads: &Heads) {
        if let Some(store) = &self.peer.store {
            let at_ms = u64::try_from(Clock::wall().0).unwrap_or_default();
            self.announce(StoreHeads { document, store: store.clone(), heads: heads.clone(), at_ms });
        }
    }

    async fn go_on(&mut self, document: DocumentId, step: Step, message: Option<&SyncMessage>) -> Result<(), End> {
        match step {
            Step::Silent | Step::Tell => Ok(()),
            Step::Say(answer) => self.sync(document, answer).await,
            Step::HandOver => {
                let tenant = &self.visitor.holder.principal.tenant;
                let saved = self.visitor.documents.saved(tenant, document).await;
                let Some(saved) = saved.map_err(|error| End::Broken(error.to_string()))? else {
                    return self.shut(document).await;
                };
                let heads = automerge_heads(&saved.found);
                let Some(open) = self.threads.get_mut(&document) else { return Ok(()) };
                let answer = open.thread.hand_over(saved.saved, &heads);
                self.sync(document, answer).await
            }
            Step::Consult => {
                let tenant = &self.visitor.holder.principal.tenant;
                let lent = self.visitor.documents.lend(tenant, document).await;
                match lent.map_err(|error| End::Broken(error.to_string()))? {
                    Some(mut lent) => self.consult(document, message, &mut lent.document).await,
                    None => self.shut(document).await,
                }
            }
        }
    }

    async fn consult(
        &mut self,
        document: DocumentId,
        message: Option<&SyncMessage>,
        with: &mut Automerge,
    ) -> Result<(), End> {
        let Some(open) = self.threads.get_mut(&document) else { return Ok(()) };
        match open.thread.consult(message, with) {
            Ok(Some(answer)) => self.sync(document, answer).await,
            Ok(None) => Ok(()),
            Err(error) => Err(End::Protocol(1007, error.to_string())),
        }
    }

    /// Takes the peer's changes in. The updates that follow the commit tell everybody, the peer included.
    async fn take(&mut self, offered: Vec<(DocumentId, SyncMessage, Vec<Change>)>) -> Result<(), End> {
        if offered.is_empty() {
            return Ok(());
        }
        let (mut offers, mut messages) = (Vec::new(), Vec::new());
        for (document, message, changes) in offered {
            let waited = self.threads.get_mut(&document).map(|open| std::mem::take(&mut open.waiting));
            let changes = waited.into_iter().flatten().chain(changes).collect();
            offers.push(Offer { document, changes });
            messages.push((document, message));
        }
        let receptions = self.visitor.documents.take(&self.visitor.holder, offers).await;
        let receptions = receptions.map_err(|error| End::Broken(error.to_string()))?;
        for ((document, message), reception) in messages.into_iter().zip(receptions) {
            self.took(document, message, reception).await?;
        }
        Ok(())
    }

    async fn took(&mut self, document: DocumentId, message: SyncMessage, reception: Reception) -> Result<(), End> {
        let Reception { heads, accepted, mut waiting, missing, refusal, draft } = reception;
        let Some(open) = self.threads.get_mut(&document) else { return Ok(()) };
        open.wanted = false;
        waiting.truncate(limits::WAITING_MAX);
        open.waiting = waiting;
        if let Some(reason) = refusal {
            return self.refuse(document, &reason).await;
        }
        if !missing.is_empty() {
            return match open.thread.ask(&heads, missing) {
                Some(question) => self.sync(document, question).await,
                None => Ok(()),
            };
        }
        if accepted.is_empty() && !open.waiting.is_empty() {
            // What came says too little yet; the peer goes on by itself.
            return Ok(());
        }
        if accepted.is_empty() {
            return self.answer(document, &message, &heads).await;
        }
        open.thread.took(&message, accepted);
        self.noticed(document, &message.heads);
        match draft {
            Some(reason) => self.notify(Kind::Draft, document, &reason).await,
            None => Ok(()),
        }
    }

    pub(super) async fn updated(&mut self, published: &Published, frames: &mut Vec<Frame>) -> Result<(), End> {
        let Some(open) = self.threads.get_mut(&published.document) else { return Ok(()) };
        if open.wanted {
            self.flush(std::mem::take(frames)).await?;
            return self.appeared(published.document).await;
        }
        match open.thread.updated(&published.update) {
            Step::Tell => {
                let frame = published.frame(self.visitor.hub.name(), &self.peer.name);
                frames.push(Frame::Binary(frame.into()));
                Ok(())
            }
            step => {
                // The order of what is said about a document must not change.
                self.flush(std::mem::take(frames)).await?;
                self.go_on(published.document, step, None).await
            }
        }
    }

    /// A document came into being that the peer had asked for.
    async fn appeared(&mut self, document: DocumentId) -> Result<(), End> {
        let found = find(self.visitor, &[document]).await?.remove(&document);
        if !found.is_some_and(|found| self.visitor.holder.access.opens(&found.kind)) {
            return Ok(());
        }
        if let Some(open) = self.threads.get_mut(&document) {
            open.wanted = false;
        }
        self.go_on(document, Step::Consult, None).await
    }

    /// Looks for itself what happened to the documents, because news were lost.
    pub(super) async fn catch_up(&mut self) -> Result<(), End> {
        let ids: Vec<DocumentId> = self.threads.keys().copied().collect();
        for ids in ids.chunks(500) {
            for (document, found) in find(self.visitor, ids).await? {
                let heads = automerge_heads(&found);
                match self.threads.get(&document) {
                    Some(open) if open.wanted => self.appeared(document).await?,
                    Some(open) if open.thread.lags(&heads) => self.go_on(document, Step::Consult, None).await?,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    async fn sync(&mut self, document: DocumentId, message: SyncMessage) -> Result<(), End> {
        let data = Bytes::from(message.encode());
        let sender = self.visitor.hub.name().clone();
        self.say(&Message::Sync(Sync { sender, target: self.peer.name.clone(), document, data })).await
    }
}

/// Reads a sync message within the bounds of what its document is.
async fn read(visitor: &Visitor, data: Bytes, known: Option<&Found>) -> Result<Inbound, Refusal> {
    let limits = match known.map(|found| &found.kind) {
        Some(DocumentKind::Record { model, .. }) => visitor.models.get(model).map_or(Limits::RECORD, Limits::of),
        _ => visitor.own_limits,
    };
    let read = move |data: &[u8]| Inbound::read(data, &limits, |_| false);
    if data.len() < limits::LONG_BYTES {
        return read(&data);
    }
    // A long message takes a while to decode; others are served meanwhile.
    let reading = tokio::task::spawn_blocking(move || read(&data));
    reading.await.unwrap_or_else(|error| Err(Refusal::Undecodable(error.to_string())))
}

async fn find(visitor: &Visitor, ids: &[DocumentId]) -> Result<HashMap<DocumentId, Found>, End> {
    visitor.store.find_documents(ids).await.map_err(|error| End::Broken(error.to_string()))
}

fn automerge_heads(found: &Found) -> Heads {
    found.heads.iter().map(|hash| automerge::ChangeHash(hash.0)).collect()
}
