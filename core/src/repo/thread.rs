//! The server's half of a conversation with one peer about one document.
//!
//! Automerge's own sync protocol wants the document at hand for every message. A server holds many documents for many
//! peers, so here the common cases are answered from what is known without it: a peer that is up to date, a peer that has
//! nothing, and a change that goes to peers who have all that came before. Only peers who have diverged need the document.

use std::collections::{BTreeSet, VecDeque};

use automerge::{
    Automerge, AutomergeError, ChangeHash,
    sync::{BloomFilter, Capability, ChunkList, Have, Message, MessageFlags, MessageVersion, State, SyncDoc},
};

/// How many of the states that the peer was told and has not acknowledged are remembered, in 8 bytes each. A peer
/// acknowledges each message, so as many changes may be on their way before an acknowledgement looks like a divergence and
/// costs one load of the document. A slow peer would otherwise be made slower by every change that it has yet to read.
const RECENT_MAX: usize = 1024;

/// The heads of a document, sorted.
pub type Heads = Vec<ChangeHash>;

/// What the server has told the peer about the document, and heard of it.
#[derive(Debug, Default)]
pub struct Thread {
    state: State,
    /// States that the peer has or is about to have, each as its [`mark`], the newest last.
    recent: VecDeque<u64>,
    /// The peer has, or is about to have, everything under the heads that were last told to it.
    caught_up: bool,
    /// The peer's own changes whose commit it has not been told of yet.
    own: BTreeSet<ChangeHash>,
    /// What the peer was last asked for. A peer answers at once, so whoever asks again for what did not come asks for ever.
    asked: Vec<ChangeHash>,
}

/// How the conversation goes on.
#[derive(Debug)]
pub enum Step {
    /// Nothing is to be said.
    Silent,
    /// This is to be said.
    Say(Message),
    /// The peer has nothing: [`Thread::hand_over`] the document as it is stored.
    HandOver,
    /// Only the document can tell: [`Thread::consult`] it.
    Consult,
    /// The update can be told as it is to every such peer.
    Tell,
}

/// A document moved on: what is told to peers who had all that came before.
#[derive(Clone, Debug)]
pub struct Update {
    /// The heads before.
    pub before: Heads,
    /// The heads since.
    pub after: Heads,
    /// What came in between, each as a chunk of Automerge's format, in an order in which they can be applied.
    pub changes: Vec<(ChangeHash, Vec<u8>)>,
}

impl Thread {
    /// The peer said something without changes, or with changes that brought nothing new. `heads` are the document's.
    pub fn heard(&mut self, message: &Message, heads: &Heads) -> Step {
        let told = self.state.have_responded && self.state.last_sent_heads == *heads;
        let up_to_date = message.heads == *heads;
        let on_its_way = told && self.was_told(&message.heads);
        if !message.need.is_empty() || is_reset(message) && !message.heads.is_empty() && !up_to_date {
            return Step::Consult;
        }
        if up_to_date || on_its_way {
            self.note(message);
            self.state.shared_heads.clone_from(&message.heads);
            if told {
                return Step::Silent;
            }
            self.tell(heads);
            return Step::Say(status(heads, Vec::new()));
        }
        if message.heads.is_empty() && message.flags.is_some() {
            self.note(message);
            return Step::HandOver;
        }
        Step::Consult
    }

    /// The whole document, as it is stored, for a peer that has nothing.
    pub fn hand_over(&mut self, saved: Vec<u8>, heads: &Heads) -> Message {
        self.tell(heads);
        Message { changes: ChunkList::from(saved), version: MessageVersion::V2, ..status(heads, Vec::new()) }
    }

    /// Whether the message only says that the peer has what it was told, so that neither the document nor its present heads
    /// matter: whatever came since is on its way.
    pub fn acknowledged(&mut self, message: &Message) -> bool {
        let bare = message.changes.is_empty() && message.need.is_empty() && !is_reset(message);
        let acknowledged = bare && self.was_told(&message.heads);
        if acknowledged {
            self.reached(&message.heads);
            self.note(message);
            self.state.shared_heads.clone_from(&message.heads);
        }
        acknowledged
    }

    /// Answers what the peer said, or, without a message, tells what it does not know, with the document at hand. Changes in
    /// the message are not looked at: they have been taken in before.
    pub fn consult(
        &mut self,
        message: Option<&Message>,
        document: &mut Automerge,
    ) -> Result<Option<Message>, AutomergeError> {
        if let Some(message) = message {
            let bare = Message { changes: ChunkList::empty(), ..message.clone() };
            document.receive_sync_message(&mut self.state, bare)?;
        }
        let answer = document.generate_sync_message(&mut self.state);
        if answer.as_ref().is_some_and(|answer| answer.changes.is_empty() && self.asks_again(&answer.need)) {
            return Ok(None);
        }
        if answer.is_some() {
            // A peer that withholds what it has is sent nothing but what it asks for.
            self.caught_up = self.state.their_have.as_ref().is_some_and(|have| !have.is_empty());
            let mut heads = document.get_heads();
            heads.sort_unstable();
            self.remember(&heads);
        }
        Ok(answer)
    }

    /// The peer sent changes and these were taken in, which was all that it has; the update that follows tells it so.
    pub fn took(&mut self, message: &Message, accepted: impl IntoIterator<Item = ChangeHash>) {
        self.note(message);
        self.asked.clear();
        self.state.shared_heads.clone_from(&message.heads);
        self.own.extend(accepted);
    }

    /// The peer asks for a document that does not exist yet; what it said counts once there is one, see [`Thread::consult`].
    pub fn waits(&mut self, message: &Message) {
        self.note(message);
    }

    /// Asks for changes that others depend on, and for nothing else: the peer may not know the server's heads.
    pub fn ask(&mut self, heads: &Heads, need: Vec<ChangeHash>) -> Option<Message> {
        (!self.asks_again(&need)).then(|| Message { have: Vec::new(), ..status(heads, need) })
    }

    fn asks_again(&mut self, need: &[ChangeHash]) -> bool {
        if need.is_empty() {
            return false;
        }
        let again = self.asked == need;
        self.asked = need.to_vec();
        again
    }

    /// The document moved on.
    pub fn updated(&mut self, update: &Update) -> Step {
        if !self.state.have_responded && self.own.is_empty() || self.state.last_sent_heads == update.after {
            return Step::Silent;
        }
        if !self.caught_up || self.state.last_sent_heads != update.before {
            return Step::Consult;
        }
        self.tell(&update.after);
        if self.own.is_empty() {
            return Step::Tell;
        }
        let own = std::mem::take(&mut self.own);
        let others = update.changes.iter().filter(|(hash, _)| !own.contains(hash));
        Step::Say(news(&update.after, others.map(|(_, chunk)| chunk.clone()).collect()))
    }

    /// Whether nothing has been said yet.
    pub fn is_new(&self) -> bool {
        !self.state.have_responded
    }

    /// Whether the peer has acknowledged these heads.
    pub fn is_at(&self, heads: &Heads) -> bool {
        self.state.their_heads.as_ref() == Some(heads)
    }

    /// Whether the document may have moved on without the peer having been told.
    pub fn lags(&self, heads: &Heads) -> bool {
        self.state.have_responded && self.state.last_sent_heads != *heads
    }

    /// Notes what the peer said of itself.
    fn note(&mut self, message: &Message) {
        let state = &mut self.state;
        state.in_flight = false;
        if let Some(flags) = message.flags {
            state.their_capabilities = Some(vec![Capability::MessageV2, Capability::SyncReset]);
            if flags.contains(MessageFlags::SYNC_RESET) {
                state.sent_hashes.clear();
            }
            state.peer_read_only = flags.contains(MessageFlags::READ_ONLY);
        }
        state.their_heads = Some(message.heads.clone());
        state.their_have = Some(message.have.clone());
        state.their_need = Some(message.need.clone());
    }

    /// Whether the peer has, or is about to have, what it says that it has. A peer that says it has nothing may have forgotten
    /// the document, and is no peer to whom something is on its way.
    fn was_told(&self, heads: &Heads) -> bool {
        self.caught_up && !heads.is_empty() && self.recent.contains(&mark(heads))
    }

    /// The peer has come this far: it will not speak of earlier states again.
    fn reached(&mut self, heads: &Heads) {
        if let Some(place) = self.recent.iter().rposition(|recent| *recent == mark(heads)) {
            self.recent.drain(..place);
        }
    }

    fn tell(&mut self, heads: &Heads) {
        self.state.have_responded = true;
        self.state.in_flight = true;
        self.state.last_sent_heads.clone_from(heads);
        // Whatever is sent twice because it is forgotten here is dropped by the peer.
        self.state.sent_hashes.clear();
        self.caught_up = true;
        self.remember(heads);
    }

    fn remember(&mut self, heads: &Heads) {
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(mark(heads));
    }
}

impl Update {
    /// The update as it is told to every peer who had all that came before.
    pub fn message(&self) -> Message {
        news(&self.after, self.changes.iter().map(|(_, chunk)| chunk.clone()).collect())
    }
}

/// A short name of a state. A peer that chose its heads so that two states share a name would deceive only itself.
fn mark(heads: &Heads) -> u64 {
    let parts = heads.iter().map(|hash| u64::from_le_bytes(std::array::from_fn(|at| hash.0[at])));
    parts.fold(heads.len() as u64, |mark, part| mark.rotate_left(1) ^ part)
}

/// What a peer says who has lost what it knew of the other.
fn is_reset(message: &Message) -> bool {
    message.flags.is_some_and(|flags| flags.contains(MessageFlags::SYNC_RESET))
}

fn news(heads: &Heads, changes: Vec<Vec<u8>>) -> Message {
    Message { changes: ChunkList::from(changes), ..status(heads, Vec::new()) }
}

/// Where the server stands. It names its heads as the last common state, which is true once the peer has read the message,
/// so the peer's next message carries what the server lacks.
fn status(heads: &Heads, need: Vec<ChangeHash>) -> Message {
    let mut flags = MessageFlags::new();
    flags.set(MessageFlags::SUPPORTS_SYNC_RESET);
    let nothing: [ChangeHash; 0] = [];
    let have = Have { last_sync: heads.clone(), bloom: BloomFilter::from_hashes(nothing.iter()) };
    Message {
        heads: heads.clone(),
        need,
        have: vec![have],
        changes: ChunkList::empty(),
        flags: Some(flags),
        version: MessageVersion::V1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heads(n: usize) -> Heads {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&n.to_le_bytes());
        vec![ChangeHash(hash)]
    }

    /// A conversation with a peer who has the document, and who was then told so many changes.
    fn told(changes: usize) -> Thread {
        let mut thread = Thread::default();
        assert!(matches!(thread.heard(&status(&heads(0), Vec::new()), &heads(0)), Step::Say(_)));
        for n in 0..changes {
            let update = Update { before: heads(n), after: heads(n + 1), changes: Vec::new() };
            assert!(matches!(thread.updated(&update), Step::Tell));
        }
        thread
    }

    #[test]
    fn a_slow_peer_acknowledges_what_it_was_told_without_the_document() {
        let mut thread = told(RECENT_MAX - 1);
        for n in 0..RECENT_MAX {
            assert!(thread.acknowledged(&status(&heads(n), Vec::new())), "change {n}");
        }
        assert_eq!(thread.recent.len(), 1, "what is acknowledged is forgotten");
        assert!(!thread.acknowledged(&status(&heads(3), Vec::new())), "nobody goes back");
    }

    #[test]
    fn beyond_the_bound_the_document_is_consulted() {
        let mut thread = told(RECENT_MAX + 10);
        assert_eq!(thread.recent.len(), RECENT_MAX);
        let behind = status(&heads(5), Vec::new());
        assert!(!thread.acknowledged(&behind));
        assert!(matches!(thread.heard(&behind, &heads(RECENT_MAX + 10)), Step::Consult));
    }
}
