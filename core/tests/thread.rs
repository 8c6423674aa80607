//! The server's half of the sync protocol against Automerge's own implementation, which plays the peers.

use automerge::{
    ActorId, Automerge, ChangeHash, ROOT, ReadDoc,
    sync::{Message, State, SyncDoc},
    transaction::Transactable,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use syncline_core::repo::thread::{Step, Thread, Update};

/// A server with one document and its peers.
struct World {
    document: Automerge,
    peers: Vec<Peer>,
    consulted: usize,
    handed_over: usize,
    told: usize,
}

/// A peer, what it knows of the server, what the server knows of it, and what is on the way to each.
struct Peer {
    document: Automerge,
    state: State,
    thread: Thread,
    up: Vec<Vec<u8>>,
    down: Vec<Vec<u8>>,
}

impl World {
    fn new(peers: usize) -> Self {
        let mut world = Self {
            document: Automerge::new().with_actor(ActorId::from([0xff])),
            peers: Vec::new(),
            consulted: 0,
            handed_over: 0,
            told: 0,
        };
        world.writes("begun", 0);
        for index in 0..peers {
            let document = Automerge::new().with_actor(ActorId::from([index as u8 + 1]));
            let (state, thread) = (State::new(), Thread::default());
            world.peers.push(Peer { document, state, thread, up: Vec::new(), down: Vec::new() });
        }
        world
    }

    fn heads(&self) -> Vec<ChangeHash> {
        sorted(&self.document)
    }

    /// The service itself writes.
    fn writes(&mut self, key: &str, value: i64) {
        let before = self.heads();
        put(&mut self.document, key, value);
        self.published(before);
    }

    fn published(&mut self, before: Vec<ChangeHash>) {
        let changes = self.document.get_changes(&before);
        let changes = changes.iter().map(|change| (change.hash(), change.raw_bytes().to_vec())).collect();
        let update = Update { before, after: self.heads(), changes };
        for index in 0..self.peers.len() {
            let step = self.peers[index].thread.updated(&update);
            if let Step::Tell = step {
                self.told += 1;
                self.peers[index].down.push(update.message().encode());
            } else {
                self.act(index, step, None);
            }
        }
    }

    fn act(&mut self, index: usize, step: Step, message: Option<&Message>) {
        let peer = &mut self.peers[index];
        let answer = match step {
            Step::Silent => None,
            Step::Say(message) => Some(message),
            Step::HandOver => {
                self.handed_over += 1;
                Some(peer.thread.hand_over(self.document.save(), &sorted(&self.document)))
            }
            Step::Consult => {
                self.consulted += 1;
                peer.thread.consult(message, &mut self.document).unwrap()
            }
            Step::Tell => unreachable!("only updates are told"),
        };
        peer.down.extend(answer.map(Message::encode));
    }

    /// The server takes the peer's next message.
    fn serve(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        if peer.up.is_empty() {
            return;
        }
        let message = Message::decode(&peer.up.remove(0)).unwrap();
        let before = sorted(&self.document);
        for chunk in message.changes.iter() {
            self.document.load_incremental(chunk).unwrap();
        }
        let after = self.heads();
        if after == before {
            let step = self.peers[index].thread.heard(&message, &after);
            return self.act(index, step, Some(&message));
        }
        let accepted = self.document.get_changes(&before).into_iter().map(|change| change.hash());
        self.peers[index].thread.took(&message, accepted.collect::<Vec<_>>());
        // A compensation of the service goes out with what it compensates.
        put(&mut self.document, "compensated", after.len() as i64);
        self.published(before);
    }

    /// The peer takes the server's next message and answers.
    fn listen(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        if !peer.down.is_empty() {
            let message = Message::decode(&peer.down.remove(0)).unwrap();
            peer.document.receive_sync_message(&mut peer.state, message).unwrap();
            peer.speaks();
        }
    }

    fn reconnect(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        peer.state = State::decode(&peer.state.encode()).unwrap();
        peer.thread = Thread::default();
        peer.up.clear();
        peer.down.clear();
        peer.speaks();
    }

    /// Delivers everything until nobody has anything to say.
    fn settle(&mut self) {
        for _ in 0..1_000 {
            if self.peers.iter().all(|peer| peer.up.is_empty() && peer.down.is_empty()) {
                break;
            }
            for index in 0..self.peers.len() {
                self.serve(index);
                self.listen(index);
            }
        }
        for (index, peer) in self.peers.iter().enumerate() {
            assert!(peer.up.is_empty() && peer.down.is_empty(), "peer {index} and the server talk without end");
            assert_eq!(sorted(&peer.document), self.heads(), "peer {index} has something else");
        }
    }
}

impl Peer {
    fn edits(&mut self, key: &str, value: i64) {
        put(&mut self.document, key, value);
        self.speaks();
    }

    fn speaks(&mut self) {
        self.up.extend(self.document.generate_sync_message(&mut self.state).map(Message::encode));
    }
}

fn put(document: &mut Automerge, key: &str, value: i64) {
    let mut tx = document.transaction();
    tx.put(ROOT, key, value).unwrap();
    tx.commit();
}

fn sorted(document: &Automerge) -> Vec<ChangeHash> {
    let mut heads = document.get_heads();
    heads.sort_unstable();
    heads
}

#[test]
fn a_peer_that_has_nothing_is_handed_the_stored_document() {
    let mut world = World::new(3);
    (0..3).for_each(|index| world.peers[index].speaks());
    world.settle();
    assert_eq!((world.handed_over, world.consulted), (3, 0));
}

#[test]
fn changes_are_told_alike_to_all_who_follow_and_need_no_document() {
    let mut world = World::new(3);
    (0..3).for_each(|index| world.peers[index].speaks());
    world.settle();
    for round in 0..20 {
        world.writes("a", round);
        world.settle();
        world.peers[1].edits("b", round);
        world.settle();
    }
    assert_eq!(world.consulted, 0);
    assert!(world.told >= 20 * 3 + 20 * 2, "only {} were told", world.told);
}

#[test]
fn a_peer_that_is_up_to_date_comes_back_without_the_document() {
    let mut world = World::new(2);
    (0..2).for_each(|index| world.peers[index].speaks());
    world.settle();
    world.handed_over = 0;
    (0..2).for_each(|index| world.reconnect(index));
    world.settle();
    assert_eq!((world.handed_over, world.consulted), (0, 0));
    world.writes("a", 1);
    world.settle();
    assert_eq!(world.consulted, 0);
}

#[test]
fn a_peer_that_has_forgotten_the_document_gets_it_again() {
    let mut world = World::new(1);
    world.document = Automerge::new().with_actor(ActorId::from([0xff]));
    world.peers[0].edits("begun", 1);
    world.settle();
    let peer = &mut world.peers[0];
    peer.document = Automerge::new().with_actor(ActorId::from([9]));
    peer.state = State::new();
    peer.speaks();
    world.settle();
}

#[test]
fn a_burst_that_is_not_acknowledged_yet_is_no_divergence() {
    let mut world = World::new(1);
    world.peers[0].speaks();
    world.settle();
    (0..10).for_each(|value| world.writes("a", value));
    world.settle();
    assert_eq!(world.consulted, 0);
}

#[test]
fn whoever_was_away_and_wrote_meanwhile_is_brought_together() {
    let mut world = World::new(2);
    (0..2).for_each(|index| world.peers[index].speaks());
    world.settle();
    world.peers[0].up.clear();
    for value in 0..50 {
        world.peers[0].edits("offline", value);
        world.peers[0].up.clear();
        world.writes("meanwhile", value);
        world.peers[0].down.clear();
    }
    world.reconnect(0);
    world.settle();
    let shown = world.document.get(ROOT, "offline").unwrap().unwrap().0.into_owned();
    assert_eq!(shown, automerge::Value::from(49));
}

#[test]
fn any_order_of_edits_losses_and_reconnections_ends_in_one_document() {
    for seed in 0..300 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut world = World::new(3);
        for step in 0..60 {
            let index = random.random_range(0..3);
            match random.random_range(0..7) {
                0 => world.writes("a", step),
                1 | 2 => world.peers[index].edits("b", step),
                3 | 4 => world.serve(index),
                5 => world.listen(index),
                _ => world.reconnect(index),
            }
        }
        (0..3).for_each(|index| world.peers[index].speaks());
        world.settle();
    }
}
