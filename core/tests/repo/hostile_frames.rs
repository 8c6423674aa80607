//! Frames that no honest peer sends.

use bytes::Bytes;
use syncline_core::repo::{
    DocumentId, Message, WireError,
    message::{HEADS_MAX, STORES_MAX},
};

use crate::{FRAME_BYTES_MAX, bytes, vectors};

/// A CBOR head of a major type with a 64-bit argument.
fn head(major: u8, argument: u64) -> Vec<u8> {
    [&[major << 5 | 27], &argument.to_be_bytes()[..]].concat()
}

fn text(text: &str) -> Vec<u8> {
    [head(3, text.len() as u64), text.as_bytes().to_vec()].concat()
}

fn map(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let parts = entries.iter().map(|(key, value)| [text(key), value.clone()].concat());
    [head(5, entries.len() as u64), parts.collect::<Vec<_>>().concat()].concat()
}

fn list(elements: &[Vec<u8>]) -> Vec<u8> {
    [head(4, elements.len() as u64), elements.concat()].concat()
}

/// A message of a type with these entries besides sender and receiver.
fn message(kind: &str, entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let route = [("type", text(kind)), ("senderId", text("a")), ("targetId", text("b"))];
    map(&[&route, entries].concat())
}

fn decode(frame: impl Into<Bytes>) -> Result<Message, WireError> {
    Message::decode(&frame.into(), FRAME_BYTES_MAX)
}

#[test]
fn a_frame_above_the_receivers_bound_is_not_looked_at() {
    let frame = bytes(vectors::SYNC);
    let max = frame.len();
    assert!(Message::decode(&frame, max).is_ok());
    assert_eq!(Message::decode(&frame, max - 1), Err(WireError::TooLarge { bytes: max, max: max - 1 }));
}

#[test]
fn no_truncation_is_a_message() {
    for hex in vectors::ALL {
        let frame = bytes(hex);
        for len in 0..frame.len() {
            let result = decode(frame.slice(..len));
            assert!(matches!(result, Err(WireError::Damaged { .. })), "{len} bytes of {hex}: {result:?}");
        }
        let longer = [&frame[..], &[0xf7]].concat();
        assert!(matches!(decode(longer), Err(WireError::Damaged { .. })), "{hex} and a byte more");
    }
}

#[test]
fn no_flipped_bit_panics() {
    for hex in vectors::ALL {
        let frame = bytes(hex);
        for bit in 0..frame.len() * 8 {
            let mut flipped = frame.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(message) = decode(flipped) {
                message.encode();
            }
        }
    }
}

#[test]
fn names_and_lists_are_taken_up_to_their_bounds() {
    let document = DocumentId::from_bytes([1; 16]).to_string();
    let unavailable = |sender: usize| {
        map(&[
            ("type", text("doc-unavailable")),
            ("senderId", text(&"n".repeat(sender))),
            ("targetId", text("b")),
            ("documentId", text(&document)),
        ])
    };
    let stores = |count: usize| message("remote-subscription-change", &[("add", list(&vec![text("s"); count]))]);
    let heads = |stores: usize, heads: usize| {
        let hash = bs58_of_hash();
        let one = map(&[("heads", list(&vec![text(&hash); heads])), ("timestamp", vec![1])]);
        let names: Vec<String> = (0..stores).map(|store| store.to_string()).collect();
        let all: Vec<(&str, Vec<u8>)> = names.iter().map(|name| (name.as_str(), one.clone())).collect();
        message("remote-heads-changed", &[("documentId", text(&document)), ("newHeads", map(&all))])
    };
    let versions = |count: usize| message("join", &[("supportedProtocolVersions", list(&vec![text("1"); count]))]);
    for (at_bound, beyond, key) in [
        (unavailable(256), unavailable(257), "senderId"),
        (stores(STORES_MAX), stores(STORES_MAX + 1), "add"),
        (heads(STORES_MAX, 1), heads(STORES_MAX + 1, 1), "newHeads"),
        (heads(1, HEADS_MAX), heads(1, HEADS_MAX + 1), "heads"),
        (versions(16), versions(17), "supportedProtocolVersions"),
    ] {
        assert!(decode(at_bound).is_ok(), "{key} at its bound");
        let result = decode(beyond);
        assert!(matches!(result, Err(WireError::TooLong { key: found, .. }) if found == key), "{result:?}");
    }
}

/// Base58check of a hash.
fn bs58_of_hash() -> String {
    "2Jc6VooH5wxteNEnVgqR8hNw3Pb58bphqk1myKZpXwrCfzJMhM".into()
}

#[test]
fn values_nest_at_most_sixteen_deep_also_where_nobody_looks() {
    let nested = |open: &[u8], depth: usize, close: &[u8]| {
        let value = [open.repeat(depth), vec![0xf6], close.repeat(depth)].concat();
        message("future", &[("extra", value)])
    };
    for (open, close) in [(&[0x81][..], &[][..]), (&[0x9f], &[0xff]), (&[0xa1, 0x01], &[]), (&[0xbf, 0x01], &[0xff])] {
        assert!(decode(nested(open, 16, close)).is_ok(), "{open:x?}");
        for depth in [17, 10_000, 200_000] {
            assert!(matches!(decode(nested(open, depth, close)), Err(WireError::TooDeep { .. })), "{open:x?} {depth}");
        }
    }
}

#[test]
fn a_chain_of_tags_is_walked_and_not_recursed_into() {
    let tagged = [vec![0xc1; 500_000], vec![0xf6]].concat();
    assert_eq!(decode(message("future", &[("extra", tagged)])), Ok(Message::Unknown { kind: "future".into() }));
}

#[test]
fn claimed_lengths_allocate_nothing() {
    for major in [2, 3, 4, 5] {
        for claim in [1 << 20, 1 << 40, u64::MAX] {
            for key in ["extra", "data", "add", "newHeads", "senderId"] {
                let entries =
                    [("documentId", text(&DocumentId::from_bytes([1; 16]).to_string())), (key, head(major, claim))];
                for kind in ["sync", "remote-subscription-change", "remote-heads-changed"] {
                    let result = decode(message(kind, &entries));
                    assert!(matches!(result, Err(WireError::Damaged { .. })), "{major} {claim} {key}: {result:?}");
                }
            }
        }
    }
    assert!(matches!(decode(head(5, u64::MAX)), Err(WireError::Damaged { .. })));
}

#[test]
fn lengths_may_be_unknown_and_keys_of_any_kind() {
    let document = DocumentId::from_bytes([1; 16]);
    let frame = [
        &[0xbf][..],
        &text("type"),
        &text("doc-unavailable"),
        &[0x01, 0x02],
        &[0x9f, 0x01, 0xff, 0xf6],
        &text("extra"),
        &[0x7f, 0x61, b'a', 0x61, b'b', 0xff],
        &text("bytes"),
        &[0x5f, 0x41, 0, 0xff],
        &text("senderId"),
        &text("a"),
        &text("targetId"),
        &text("b"),
        &text("documentId"),
        &[0x50],
        document.as_bytes(),
        &[0xff],
    ]
    .concat();
    let Ok(Message::DocUnavailable { document: read, .. }) = decode(frame) else { panic!("not understood") };
    assert_eq!(read, document);
}

#[test]
fn a_value_of_the_wrong_kind_is_named() {
    let document = || ("documentId", text(&DocumentId::from_bytes([1; 16]).to_string()));
    let number = |count: Vec<u8>| {
        message("ephemeral", &[document(), ("sessionId", text("s")), ("count", count), ("data", vec![0x41, 1])])
    };
    let float = |value: f64| [&[0xfb], &value.to_be_bytes()[..]].concat();
    assert!(decode(number(float(7.0))).is_ok());
    assert!(decode(number(head(0, (1 << 53) - 1))).is_ok());
    for (frame, key) in [
        (number(float(7.5)), "count"),
        (number(float(-1.0)), "count"),
        (number(float(f64::NAN)), "count"),
        (number(float(f64::INFINITY)), "count"),
        (number(float(1e300)), "count"),
        (number(vec![0x20]), "count"),
        (number(head(0, 1 << 53)), "count"),
        (number(head(0, u64::MAX)), "count"),
        (number(text("7")), "count"),
        (message("sync", &[document(), ("data", text("abc"))]), "data"),
        (message("sync", &[("documentId", vec![0x01])]), "documentId"),
        (message("join", &[("peerMetadata", vec![0x01])]), "peerMetadata"),
        (message("join", &[("peerMetadata", map(&[("isEphemeral", vec![0x01])]))]), "isEphemeral"),
        (message("join", &[("peerMetadata", map(&[("storageId", vec![0x01])]))]), "storageId"),
        (
            message(
                "remote-heads-changed",
                &[document(), ("newHeads", map(&[("s", map(&[("heads", list(&[text("x")]))]))]))],
            ),
            "heads",
        ),
        (map(&[("type", vec![0x01])]), "type"),
    ] {
        let result = decode(frame);
        assert!(matches!(result, Err(WireError::Wrong { key: found, .. }) if found == key), "{key}: {result:?}");
    }
}

#[test]
fn what_a_type_needs_and_lacks_is_named() {
    for (kind, key) in [
        ("sync", "documentId"),
        ("request", "documentId"),
        ("doc-unavailable", "documentId"),
        ("ephemeral", "documentId"),
        ("remote-heads-changed", "documentId"),
        ("peer", "selectedProtocolVersion"),
        ("error", "message"),
    ] {
        assert_eq!(decode(message(kind, &[])), Err(WireError::Missing { kind: kind.into(), key }));
    }
    assert_eq!(decode(map(&[])), Err(WireError::Missing { kind: String::new(), key: "type" }));
    for kind in ["join", "leave"] {
        let result = decode(map(&[("type", text(kind)), ("senderId", vec![0xf7])]));
        assert_eq!(result, Err(WireError::Missing { kind: kind.into(), key: "senderId" }));
    }
}

#[test]
fn an_id_of_no_document_is_told_apart_from_a_damaged_frame() {
    for id in [text("nonsense"), text(&"1".repeat(256)), vec![0x41, 0]] {
        let result = decode(message("sync", &[("documentId", id), ("data", vec![0x41, 1])]));
        assert!(matches!(result, Err(WireError::DocumentId { .. })), "{result:?}");
    }
}
