//! Each type of message, in and out.

use std::collections::BTreeMap;

use automerge::ChangeHash;
use bytes::Bytes;
use proptest::{collection::vec, option, prelude::*};
use syncline_core::repo::{
    DocumentId, Message, PeerId, PeerMetadata, SessionId, StorageId,
    message::{Ephemeral, RemoteHeads, Sync},
};

use crate::{FRAME_BYTES_MAX, bytes, vectors};

const DOCUMENT: DocumentId = DocumentId::from_bytes([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);

fn peer(name: &str) -> PeerId {
    PeerId::new(name).unwrap()
}

fn store(name: &str) -> StorageId {
    StorageId::new(name).unwrap()
}

fn metadata(storage: Option<&str>, ephemeral: bool) -> PeerMetadata {
    PeerMetadata { storage_id: storage.map(store), ephemeral }
}

fn join(metadata: PeerMetadata) -> Message {
    Message::Join { sender: peer("alice"), metadata, versions: vec!["1".into()] }
}

fn sync(data: &'static [u8]) -> Sync {
    Sync { sender: peer("alice"), target: peer("server"), document: DOCUMENT, data: Bytes::from_static(data) }
}

fn ephemeral(count: u64) -> Message {
    Message::Ephemeral(Ephemeral {
        sender: peer("alice"),
        target: peer("server"),
        document: DOCUMENT,
        session: SessionId::new("k3j9").unwrap(),
        count,
        data: Bytes::from_static(&[1, 2, 3]),
    })
}

/// What JavaScript's frames say.
fn known() -> Vec<(&'static str, Message)> {
    let heads = RemoteHeads { heads: vec![ChangeHash([0xab; 32])], at_ms: 1_790_000_000_123 };
    vec![
        (vectors::JOIN, join(metadata(None, true))),
        (vectors::JOIN_STORED, join(metadata(Some("3760df37-a4c6-4f66-9ecd-732039a9385d"), false))),
        (vectors::JOIN_BARE, join(metadata(None, false))),
        (
            vectors::PEER,
            Message::Peer {
                sender: peer("server"),
                target: peer("alice"),
                metadata: metadata(Some("store"), false),
                version: "1".into(),
            },
        ),
        (
            vectors::ERROR,
            Message::Error {
                sender: Some(peer("server")),
                target: Some(peer("alice")),
                message: "unsupported protocol version".into(),
            },
        ),
        (vectors::LEAVE, Message::Leave { sender: peer("alice") }),
        (vectors::REQUEST, Message::Request(sync(&[0x42, 0, 0, 0, 0]))),
        (vectors::SYNC, Message::Sync(sync(&[0x42, 0, 0, 0, 0]))),
        (
            vectors::UNAVAILABLE,
            Message::DocUnavailable { sender: peer("alice"), target: peer("server"), document: DOCUMENT },
        ),
        (vectors::EPHEMERAL, ephemeral(3 << 32)),
        (vectors::EPHEMERAL_SMALL, ephemeral(1)),
        (
            vectors::SUBSCRIPTION,
            Message::RemoteSubscriptionChange {
                sender: peer("alice"),
                target: peer("server"),
                add: vec![store("store")],
                remove: vec![],
            },
        ),
        (
            vectors::HEADS,
            Message::RemoteHeadsChanged {
                sender: peer("alice"),
                target: peer("server"),
                document: DOCUMENT,
                heads: BTreeMap::from([(store("store"), heads)]),
            },
        ),
        (vectors::UNKNOWN, Message::Unknown { kind: "future".into() }),
        (vectors::TAGGED, Message::Sync(sync(&[0x42, 0, 0, 0, 0]))),
        (vectors::TAGGED_INTS, Message::Sync(sync(&[1]))),
    ]
}

#[test]
fn frames_from_javascript_are_understood() {
    assert_eq!(known().len(), vectors::ALL.len());
    for (hex, message) in known() {
        assert_eq!(Message::decode(&bytes(hex), FRAME_BYTES_MAX), Ok(message));
    }
}

#[test]
fn payloads_share_the_frames_memory() {
    let frame = bytes(vectors::SYNC);
    let Ok(Message::Sync(sync)) = Message::decode(&frame, FRAME_BYTES_MAX) else { panic!("not a sync message") };
    let inside = frame.as_ptr_range();
    assert!(inside.contains(&sync.data.as_ptr()), "the payload was copied");
}

#[test]
fn what_is_written_is_read_again() {
    for (_, message) in known() {
        assert_eq!(Message::decode(&message.encode().into(), FRAME_BYTES_MAX), Ok(message));
    }
}

#[test]
fn numbers_above_32_bits_are_written_as_javascript_numbers() {
    let frame = ephemeral(3 << 32).encode();
    let float = [&[0xfb], &(12_884_901_888_f64).to_be_bytes()[..]].concat();
    assert!(frame.windows(9).any(|window| window == float), "a 64-bit integer would arrive as a BigInt");
}

#[test]
fn a_long_error_is_cut_between_characters() {
    let message = Message::Error { sender: None, target: None, message: "ü".repeat(4000) };
    let Ok(Message::Error { message, .. }) = Message::decode(&message.encode().into(), FRAME_BYTES_MAX) else {
        panic!("not an error message")
    };
    assert_eq!(message, "ü".repeat(2048));
}

fn any_name() -> impl Strategy<Value = String> {
    "[a-zA-Zäß0-9-]{0,40}"
}

fn any_peer() -> impl Strategy<Value = PeerId> {
    any_name().prop_map(|name| peer(&name))
}

fn any_store() -> impl Strategy<Value = StorageId> {
    any_name().prop_map(|name| store(&name))
}

fn any_data() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..600).prop_map(Bytes::from)
}

fn any_document() -> impl Strategy<Value = DocumentId> {
    any::<[u8; 16]>().prop_map(DocumentId::from_bytes)
}

fn any_heads() -> impl Strategy<Value = RemoteHeads> {
    (vec(any::<[u8; 32]>().prop_map(ChangeHash), 0..5), 0_u64..1 << 53)
        .prop_map(|(heads, at_ms)| RemoteHeads { heads, at_ms })
}

fn any_sync() -> impl Strategy<Value = Sync> {
    (any_peer(), any_peer(), any_document(), any_data()).prop_map(|(sender, target, document, data)| Sync {
        sender,
        target,
        document,
        data,
    })
}

fn any_message() -> impl Strategy<Value = Message> {
    let metadata = || {
        (option::of(any_store()), any::<bool>())
            .prop_map(|(storage_id, ephemeral)| PeerMetadata { storage_id, ephemeral })
    };
    let route = || (any_peer(), any_peer());
    prop_oneof![
        (any_peer(), metadata(), vec(any_name(), 0..5)).prop_map(|(sender, metadata, versions)| Message::Join {
            sender,
            metadata,
            versions
        }),
        (route(), metadata(), any_name()).prop_map(|((sender, target), metadata, version)| Message::Peer {
            sender,
            target,
            metadata,
            version
        }),
        (option::of(any_peer()), option::of(any_peer()), any_name())
            .prop_map(|(sender, target, message)| Message::Error { sender, target, message }),
        any_peer().prop_map(|sender| Message::Leave { sender }),
        any_sync().prop_map(Message::Request),
        any_sync().prop_map(Message::Sync),
        (route(), any_document()).prop_map(|((sender, target), document)| Message::DocUnavailable {
            sender,
            target,
            document
        }),
        (any_sync(), any_name(), 0_u64..1 << 53).prop_map(|(sync, session, count)| {
            let Sync { sender, target, document, data } = sync;
            let session = SessionId::new(&session).unwrap();
            Message::Ephemeral(Ephemeral { sender, target, document, session, count, data })
        }),
        (route(), vec(any_store(), 0..5), vec(any_store(), 0..5)).prop_map(|((sender, target), add, remove)| {
            Message::RemoteSubscriptionChange { sender, target, add, remove }
        }),
        (route(), any_document(), proptest::collection::btree_map(any_store(), any_heads(), 0..5)).prop_map(
            |((sender, target), document, heads)| Message::RemoteHeadsChanged { sender, target, document, heads }
        ),
    ]
}

proptest! {
    #[test]
    fn every_message_survives_a_round_trip(message in any_message()) {
        prop_assert_eq!(Message::decode(&message.encode().into(), FRAME_BYTES_MAX), Ok(message));
    }
}
