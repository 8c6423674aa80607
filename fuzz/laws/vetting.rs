//! What holds for every sync message.

use std::sync::OnceLock;

use automerge::{ActorId, AutoCommit, Automerge, ObjType, ROOT, transaction::Transactable};
use sha2::{Digest, Sha256};
use syncline_core::repo::{Inbound, Known, Ledger, Limits, Use, apply::apply, vet};

/// Any bytes are refused, or what they carry enters the document so that it can be saved and loaded.
///
/// The first byte says what the others are: 0 a whole sync message, 1 the body of a change, 2 the body of a document. A
/// body gets a head with the right checksum, which no chance would find.
pub(crate) fn holds(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    let message = match kind {
        1 => message(1, rest),
        2 => message(0, rest),
        _ => rest.to_vec(),
    };
    let (document, ledger) = base();
    let Ok(inbound) = Inbound::read(&message, &Limits::RECORD, |hash| document.get_change_meta_by_hash(hash).is_some())
    else {
        return;
    };
    let ops: u64 = inbound.changes.iter().map(|change| change.len() as u64).sum();
    assert!(ops <= inbound.census.ops, "{ops} operations, and {} were counted", inbound.census.ops);
    let verdict = vet(inbound.changes, &Known { document, ledger }, |_| Use::Granted, &Limits::RECORD);
    let mut document = document.clone();
    if apply(&mut document, verdict.accepted, verdict.marks).is_ok() {
        let loaded = Automerge::load(&document.save()).expect("what was entered can be loaded");
        assert_eq!(loaded.get_heads(), document.get_heads());
    }
}

/// The document that the peer edits: a map with a value, a list and a text.
fn base() -> &'static (Automerge, Ledger) {
    static BASE: OnceLock<(Automerge, Ledger)> = OnceLock::new();
    BASE.get_or_init(|| {
        let mut document = AutoCommit::new().with_actor(ActorId::from(b"alice"));
        fill(&mut document).expect("a fresh document takes every edit");
        let document = Automerge::load(&document.save()).expect("it can be loaded");
        let ledger = Ledger::of(&document);
        (document, ledger)
    })
}

fn fill(document: &mut AutoCommit) -> Result<(), automerge::AutomergeError> {
    let fields = document.put_object(ROOT, "fields", ObjType::Map)?;
    document.put(&fields, "name", "value")?;
    let list = document.put_object(&fields, "list", ObjType::List)?;
    document.insert(&list, 0, "first")?;
    let text = document.put_object(&fields, "text", ObjType::Text)?;
    document.splice_text(&text, 0, 0, "text")
}

/// A sync message with one chunk of a type and a body.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let head = [&[kind][..], &number(body.len())].concat();
    let hash = Sha256::new().chain_update(&head).chain_update(body).finalize();
    let chunk = [&[0x85, 0x6f, 0x4a, 0x83][..], &hash[..4], &head, body].concat();
    [&[0x42, 0, 0, 0, 1][..], &number(chunk.len()), &chunk].concat()
}

/// A number as unsigned LEB128.
fn number(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push((value % 0x80) as u8 | 0x80);
        value /= 0x80;
    }
    bytes.push(value as u8);
    bytes
}
