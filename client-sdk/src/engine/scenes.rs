//! Short stories of single rules.

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use syncline_core::{ids::RecordId, repo::DocumentId, repo::Message};

use super::{simulated_client::Client, simulation::fresh_fields};
use crate::{
    engine::{ATTENDED_MAX, EngineError, Input, Notice, session::STALL_MS},
    fields::{FieldEdit, FieldValue},
};

fn client() -> Client {
    Client::new(0, ChaCha8Rng::seed_from_u64(7))
}

fn create(client: &mut Client, number: u8) -> RecordId {
    let record = DocumentId::from_bytes([number; 16]).record();
    client.run(Input::Create { model: "contact".into(), record, fields: fresh_fields("a") }, None).unwrap();
    record
}

/// Connects, and lets the server answer the introduction.
fn join(client: &mut Client) {
    client.is_connected = true;
    client.run(Input::Connected, None).unwrap();
    let Some(Message::Join { sender, metadata, .. }) = client.up.pop_front() else { panic!("a client joins first") };
    let peer = Message::Peer { sender: sender.clone(), target: sender, metadata, version: "1".into() };
    client.run(Input::Frame(peer), None).unwrap();
}

#[test]
fn documents_are_unloaded_beyond_the_limit_and_loaded_again() {
    let mut client = client();
    let records: Vec<RecordId> = (1..=20).map(|number| create(&mut client, number)).collect();
    assert!(client.engine.loaded() <= 2, "{} documents are loaded", client.engine.loaded());
    let edit = FieldEdit { name: "name".into(), old: FieldValue::Str("a".into()), new: FieldValue::Str("b".into()) };
    client.run(Input::Edit { record: records[0], edits: vec![edit], deleted: None }, None).unwrap();
    assert_eq!(client.row(records[0]).unwrap().fields["name"], "b");
}

#[test]
fn a_conversation_in_which_nothing_is_said_is_begun_anew() {
    let mut client = client();
    create(&mut client, 1);
    join(&mut client);
    assert!(matches!(client.up.pop_front(), Some(Message::Sync(_))));
    client.run(Input::Tick, None).unwrap();
    assert!(client.up.is_empty());
    client.now = client.now.plus(STALL_MS);
    client.run(Input::Tick, None).unwrap();
    assert!(matches!(client.up.pop_front(), Some(Message::Sync(_))));
}

#[test]
fn a_server_of_another_version_is_left() {
    let mut client = client();
    client.is_connected = true;
    client.run(Input::Connected, None).unwrap();
    let (sender, metadata) = (client.peer(), syncline_core::repo::PeerMetadata::default());
    let peer = Message::Peer { sender: sender.clone(), target: sender, metadata, version: "2".into() };
    client.run(Input::Frame(peer), None).unwrap();
    assert!(client.is_done);
    assert!(!client.notices.contains(&Notice::Joined));
}

#[test]
fn at_most_so_many_records_are_attended_to() {
    let mut client = client();
    let records: Vec<RecordId> = (0..=ATTENDED_MAX as u128)
        .map(|number| {
            let record = DocumentId::from_bytes((number + 1).to_be_bytes()).record();
            let fields = fresh_fields("a");
            client.run(Input::Create { model: "contact".into(), record, fields }, None).unwrap();
            record
        })
        .collect();
    for record in &records[..ATTENDED_MAX] {
        client.run(Input::Attend { record: *record, on: true }, None).unwrap();
    }
    let last = records[ATTENDED_MAX];
    assert!(matches!(client.run(Input::Attend { record: last, on: true }, None), Err(EngineError::TooMany)));
    client.run(Input::Attend { record: records[0], on: false }, None).unwrap();
    client.run(Input::Attend { record: last, on: true }, None).unwrap();
}

#[test]
fn nothing_is_sent_while_there_is_no_connection() {
    let mut client = client();
    let record = create(&mut client, 1);
    assert!(matches!(client.run(Input::Say { record, data: vec![1] }, None), Err(EngineError::Offline)));
    assert!(client.up.is_empty());
    let nobody = DocumentId::from_bytes([9; 16]).record();
    let edit = Input::Edit { record: nobody, edits: Vec::new(), deleted: Some(true) };
    assert!(matches!(client.run(edit, None), Err(EngineError::Unknown(_))));
}
