//! What honest peers send passes whole, and is counted as Automerge counts it.

use automerge::{
    AutoCommit, Automerge, Change, ObjType, ROOT, ReadDoc, ScalarValue,
    marks::{ExpandMark, Mark},
    sync::{self, SyncDoc},
    transaction::Transactable,
};
use syncline_core::repo::{Inbound, Known, Ledger, Limits, Use, apply::apply, vet};

use crate::actor;

/// A server that takes in what it is sent only after it was vetted.
#[derive(Default)]
struct Server {
    document: Automerge,
    ledger: Ledger,
    state: sync::State,
    versions: Vec<sync::MessageVersion>,
}

impl Server {
    fn receive(&mut self, message: sync::Message) {
        self.versions.push(message.version.clone());
        let bytes = message.encode();
        let known = |hash: &automerge::ChangeHash| self.document.get_change_by_hash(hash).is_some();
        let inbound = Inbound::read(&bytes, &Limits::RECORD, known).expect("an honest message");
        let ops: usize = inbound.changes.iter().map(Change::len).sum();
        assert_eq!(inbound.census.ops, ops as u64, "operations are counted as Automerge counts them");
        assert_eq!(inbound.census.changes, inbound.changes.len() as u64);
        let facts = Known { document: &self.document, ledger: &self.ledger };
        let verdict = vet(inbound.changes, &facts, |_| Use::Granted, &Limits::RECORD);
        assert_eq!(verdict.refused, None);
        verdict.accepted.iter().for_each(|change| self.ledger.note(change));
        apply(&mut self.document, verdict.accepted, verdict.marks).expect("vetted changes fit");
        self.document.receive_sync_message(&mut self.state, inbound.message).expect("a message without changes");
    }
}

/// Lets a client and the server talk until the server has everything.
fn converse(client: &mut AutoCommit, server: &mut Server) {
    let mut state = sync::State::new();
    for _ in 0..10 {
        if let Some(message) = client.sync().generate_sync_message(&mut state) {
            server.receive(message);
        }
        if let Some(message) = server.document.generate_sync_message(&mut server.state) {
            client.sync().receive_sync_message(&mut state, message).expect("the server is honest");
        }
    }
    assert_eq!(client.get_heads(), server.document.get_heads());
    assert_eq!(Ledger::of(&server.document), server.ledger);
}

/// A document with something of everything.
fn variety(name: &[u8]) -> AutoCommit {
    let mut client = AutoCommit::new().with_actor(actor(name));
    let fields = client.put_object(ROOT, "fields", ObjType::Map).unwrap();
    for (key, value) in [
        ("null", ScalarValue::Null),
        ("true", true.into()),
        ("int", (-5_i64).into()),
        ("uint", ScalarValue::Uint(u64::MAX)),
        ("float", 1.5.into()),
        ("text", "Grüße".into()),
        ("bytes", ScalarValue::Bytes(vec![0, 1, 2])),
        ("at", ScalarValue::Timestamp(1_790_000_000_000)),
        ("count", ScalarValue::counter(3)),
    ] {
        client.put(&fields, key, value).unwrap();
    }
    client.commit();
    client.increment(&fields, "count", -2).unwrap();
    client.delete(&fields, "bytes").unwrap();
    client.put(&fields, "text", "again").unwrap();
    client.commit();
    let list = client.put_object(&fields, "list", ObjType::List).unwrap();
    for index in 0..20 {
        client.insert(&list, index, index as i64).unwrap();
    }
    client.delete(&list, 3).unwrap();
    client.put(&list, 4, "x").unwrap();
    client.commit();
    let text = client.put_object(&fields, "body", ObjType::Text).unwrap();
    client.splice_text(&text, 0, 0, "some text that is marked, and cut").unwrap();
    client.commit();
    client.mark(&text, Mark::new("bold".into(), true, 2, 8), ExpandMark::Both).unwrap();
    client.splice_text(&text, 10, 5, "").unwrap();
    client.commit();
    client
}

#[test]
fn a_first_contact_and_later_edits_pass_in_both_versions() {
    let (mut server, mut client) = (Server::default(), variety(b"alice"));
    converse(&mut client, &mut server);
    client.put(ROOT, "later", 1).unwrap();
    converse(&mut client, &mut server);
    assert!(server.versions.contains(&sync::MessageVersion::V2), "the whole document went in one chunk");
    assert!(server.versions.contains(&sync::MessageVersion::V1));
}

#[test]
fn concurrent_edits_of_two_clients_pass() {
    let mut server = Server::default();
    let mut alice = variety(b"alice");
    converse(&mut alice, &mut server);
    let mut bob = alice.fork().with_actor(actor(b"bob"));
    let (_, fields) = alice.get(ROOT, "fields").unwrap().unwrap();
    let (_, list) = alice.get(&fields, "list").unwrap().unwrap();
    let (_, text) = alice.get(&fields, "body").unwrap().unwrap();
    for round in 0..5 {
        for (client, word) in [(&mut alice, "alice"), (&mut bob, "bob")] {
            client.put(&fields, "text", word).unwrap();
            client.increment(&fields, "count", 1).unwrap();
            client.insert(&list, round, word).unwrap();
            client.delete(&list, 7).unwrap();
            client.splice_text(&text, 4, 2, word).unwrap();
            client.mark(&text, Mark::new("em".into(), word, 1, 5), ExpandMark::After).unwrap();
            client.commit();
            client.empty_change(automerge::transaction::CommitOptions::default());
        }
        converse(&mut alice, &mut server);
        converse(&mut bob, &mut server);
        converse(&mut alice, &mut server);
    }
}

#[test]
fn a_large_paste_passes_and_counts_a_character_each() {
    let (mut server, mut client) = (Server::default(), AutoCommit::new().with_actor(actor(b"alice")));
    client.put(ROOT, "type", "note").unwrap();
    converse(&mut client, &mut server);
    let text = client.put_object(ROOT, "body", ObjType::Text).unwrap();
    client.splice_text(&text, 0, 0, &"paste ".repeat(15_000)).unwrap();
    let change = client.get_last_local_change().unwrap();
    assert_eq!(change.len(), 90_001);
    converse(&mut client, &mut server);
}

#[test]
fn a_document_takes_apart_into_the_changes_it_was_made_of() {
    let mut client = variety(b"alice");
    let mut bob = client.fork().with_actor(actor(b"bob"));
    bob.put(ROOT, "other", 1).unwrap();
    client.put(ROOT, "own", 1).unwrap();
    client.merge(&mut bob).unwrap();
    let made: Vec<_> = client.get_changes(&[]).iter().map(Change::hash).collect();
    let apart = Inbound::changes_of(&client.save(), &Limits::RECORD).unwrap();
    assert_eq!(apart.iter().map(Change::hash).collect::<Vec<_>>(), made);
    let nocompress = Inbound::changes_of(&client.save_nocompress(), &Limits::RECORD).unwrap();
    assert_eq!(nocompress.len(), made.len());
}

#[test]
fn a_document_whose_heads_are_known_is_not_unpacked() {
    let mut client = variety(b"alice");
    let message = sync::Message {
        heads: client.get_heads(),
        need: vec![],
        have: vec![],
        changes: client.save().into(),
        flags: None,
        version: sync::MessageVersion::V2,
    };
    let inbound = Inbound::read(&message.encode(), &Limits::RECORD, |_| true).unwrap();
    assert!(inbound.changes.is_empty());
}
