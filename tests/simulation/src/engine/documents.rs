//! Changes that clients made themselves: judged before they enter, and replayed where their document has moved.

use std::collections::{BTreeMap, BTreeSet};

use automerge::{ActorId, Automerge, Change, ChangeHash, ReadDoc};
use syncline_core::{
    document::{Document, DocumentError, root_touched_by},
    model::Model,
    reconcile::{Replayed, written_at},
    repo::{self, Known, Ledger, Limits, Use},
    value::Value,
};

/// What became of a client's changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard {
    pub(super) accepted: Vec<ChangeHash>,
    pub(super) refused: bool,
    /// What the client lacks.
    pub(super) news: Vec<Change>,
}

/// The changes that may enter.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) accepted: Vec<Change>,
    pub(super) refused: bool,
    /// Actors that the principal begins to use.
    pub(super) claims: Vec<(Vec<u8>, String)>,
}

/// Vets a client's changes against a document.
pub(super) fn judge(
    model: &Model,
    principal: &str,
    changes: &[Change],
    owners: &BTreeMap<Vec<u8>, String>,
    document: &mut Document,
) -> Result<Judged, DocumentError> {
    let document = document.automerge()?;
    let ledger = Ledger::of(document);
    let may = |actor: &ActorId| match owners.get(actor.to_bytes()) {
        Some(owner) if owner != principal => Use::Foreign,
        _ => Use::Granted,
    };
    let verdict = repo::vet(changes.to_vec(), &Known { document, ledger: &ledger }, may, &Limits::of(model));
    let mut accepted = verdict.accepted;
    let mut refused = verdict.refused.is_some();
    if let Some(at) = accepted.iter().position(|change| root_touched_by(change).is_some()) {
        accepted.truncate(at);
        refused = true;
    }
    if !accepted.is_empty() {
        let mut trial = document.clone();
        if repo::apply::apply(&mut trial, accepted.clone(), verdict.marks).is_err() {
            accepted.clear();
            refused = true;
        }
    }
    let actors: BTreeSet<&[u8]> = accepted.iter().map(|change| change.actor_id().to_bytes()).collect();
    let claims = actors
        .into_iter()
        .filter(|actor| !owners.contains_key(*actor))
        .map(|actor| (actor.to_vec(), principal.to_owned()))
        .collect();
    Ok(Judged { accepted, refused, claims })
}

/// The changes that somebody with these heads lacks.
pub(super) fn news(document: &mut Document, have: &[ChangeHash]) -> Result<Vec<Change>, DocumentError> {
    let document = document.automerge()?;
    // Heads that the service does not know say nothing about what the client lacks.
    let known: Vec<ChangeHash> =
        have.iter().filter(|hash| document.get_change_by_hash(hash).is_some()).copied().collect();
    Ok(document.get_changes(&known))
}

/// What a client's changes made of a moved document, as edits of its record: from what the client saw to what it left,
/// whatever others wrote into the document meanwhile.
pub(super) fn difference(
    document: &Automerge,
    changes: &[Change],
    model: &Model,
    principal: &str,
) -> Result<Replayed, DocumentError> {
    let own: BTreeSet<ChangeHash> = changes.iter().map(Change::hash).collect();
    let (seen, followed): (BTreeSet<ChangeHash>, BTreeSet<ChangeHash>) =
        changes.iter().flat_map(|change| change.deps().iter().copied()).partition(|hash| !own.contains(hash));
    let seen: Vec<ChangeHash> = seen.into_iter().collect();
    let left: Vec<ChangeHash> = own.difference(&followed).copied().chain(seen.iter().copied()).collect();
    let at = |heads: &[ChangeHash]| document.fork_at(heads).map(Document::of).map_err(DocumentError::from);
    let (mut earlier, mut now) = (at(&seen)?, at(&left)?);
    let (old, new) = (earlier.fields(model)?, now.fields(model)?);
    let blank = Value::Null;
    let differing = model.fields.keys().filter_map(|name| {
        let (old, new) = (old.get(name).unwrap_or(&blank), new.get(name).unwrap_or(&blank));
        (old != new).then(|| (name.clone(), (old.clone(), new.clone())))
    });
    let written_at = changes.iter().filter_map(written_at).max();
    Ok(Replayed { principal: principal.to_owned(), fields: differing.collect(), written_at, delete: None })
}
