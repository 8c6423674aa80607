//! Clients' changes are looked at before they touch a document.

use std::collections::HashSet;

use automerge::{ActorId, Change, ChangeHash};
use syncline_core::document::Facts;

use super::intake::Owner;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) ops_max: u64,
    pub(crate) bytes_max: u64,
}

pub(crate) const RECORD: Limits = Limits { ops_max: 100_000, bytes_max: 1 << 20 };

pub(crate) fn open(chunks: &[Vec<u8>], _limits: &Limits) -> Result<Vec<Change>, String> {
    let mut doc = automerge::Automerge::new();
    let mut all = Vec::new();
    for chunk in chunks {
        match Change::try_from(&chunk[..]) {
            Ok(change) => all.push(change),
            Err(_) => {
                doc.load_incremental(chunk).map_err(|error| error.to_string())?;
            }
        }
    }
    let mut changes = doc.get_changes(&[]);
    changes.extend(all);
    Ok(changes)
}

pub(crate) struct Vetted {
    pub(crate) accepted: Vec<Change>,
    pub(crate) waiting: Vec<Change>,
    pub(crate) missing: Vec<ChangeHash>,
    pub(crate) refusal: Option<String>,
}

pub(crate) fn vet(changes: Vec<Change>, facts: &Facts, owner: &dyn Fn(&ActorId) -> Owner) -> Vetted {
    let mut vetted = Vetted { accepted: Vec::new(), waiting: Vec::new(), missing: Vec::new(), refusal: None };
    let mut known: HashSet<ChangeHash> = HashSet::new();
    let mut rest = changes;
    loop {
        let mut progressed = false;
        let mut later = Vec::new();
        for change in rest {
            let has = |hash: &ChangeHash| facts.hashes.contains(hash) || known.contains(hash);
            if has(&change.hash()) {
                continue;
            }
            if !change.deps().iter().all(has) {
                later.push(change);
                continue;
            }
            if owner(change.actor_id()) != Owner::Own {
                vetted.refusal = Some("foreign actor".into());
                return vetted;
            }
            known.insert(change.hash());
            vetted.accepted.push(change);
            progressed = true;
        }
        rest = later;
        if !progressed {
            break;
        }
    }
    for change in &rest {
        vetted
            .missing
            .extend(change.deps().iter().filter(|hash| !facts.hashes.contains(hash) && !known.contains(*hash)));
    }
    vetted.waiting = rest;
    vetted
}

pub(crate) fn decode_sync(data: &[u8]) -> Result<automerge::sync::Message, String> {
    automerge::sync::Message::decode(data).map_err(|error| error.to_string())
}
