//! The log of a document's changes: what the store keeps apart from the document, to rebuild it from.
//!
//! A document that nobody has edited since it was begun needs none: its one change is made again from the record's values,
//! and its hash proves that it is the same. So a backfill writes nothing to the log. The first edit writes the whole document
//! as it is since, every later one only its own changes.

use std::collections::BTreeSet;

use automerge::Automerge;

use super::{Actor, Document, DocumentError, sorted_heads, to_automerge};
use crate::{
    ids::{RecordId, TenantId},
    journal::{ChangeEntry, Hash, Heads, Ops, Origin},
    model::Model,
    value::Fields,
    writer::WriterEpochs,
};

/// What the store's log holds of a document, and what is to be added.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    /// The log holds every change up to these heads; `None` where it holds none.
    upto: Option<Heads>,
    /// The first change of a new document, which can be made again from the record's values.
    implied: Option<Hash>,
    appended: Option<Vec<u8>>,
}

impl Log {
    pub(super) fn implied(first: Hash) -> Self {
        Self { implied: Some(first), ..Self::default() }
    }

    pub(super) fn up_to(heads: Heads) -> Self {
        Self { upto: Some(heads), ..Self::default() }
    }

    pub(super) fn appended(&self) -> Option<&[u8]> {
        self.appended.as_deref()
    }

    pub(super) fn is_begun(&self) -> bool {
        self.upto.is_some() || self.appended.is_some()
    }

    /// Notes what saving the document as `saved` adds.
    pub(super) fn append(&mut self, doc: &Automerge, heads: &Heads, saved: &[u8]) {
        self.appended = match &self.upto {
            Some(upto) if upto == heads => None,
            Some(upto) => Some(doc.save_after(&to_automerge(upto))),
            None if self.implied.is_some_and(|first| **heads == [first]) => None,
            None => Some(saved.to_vec()),
        };
    }

    /// The log once what is appended has been stored.
    pub(super) fn continued(&self, heads: &Heads) -> Self {
        match self.appended {
            Some(_) => Self::up_to(heads.clone()),
            None => self.clone(),
        }
    }
}

/// What is known of a record's document apart from its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// Whose record it is.
    pub tenant: &'a TenantId,
    /// Which record.
    pub record: RecordId,
    /// How often its history has begun anew.
    pub epoch: u32,
    /// Its model.
    pub model: &'a Model,
    /// The values that stand.
    pub fields: &'a Fields,
    /// The heads that were committed.
    pub heads: &'a Heads,
    /// The journal of the epoch, oldest first.
    pub journal: &'a [ChangeEntry],
    /// The writer epochs in which the service has written.
    pub writer: &'a WriterEpochs,
}

impl Document {
    /// The document that the log holds, or, where the log holds none, the one change that the record's values imply. `None`
    /// where neither is proved to be the document that was committed.
    ///
    /// Heads are hashes over everything before them, so a document whose heads are those that were committed is that
    /// document, and no other. Where the heads themselves are damaged, the journal bears witness: it names every change of the
    /// epoch, so the document must have them all and end with some of them.
    ///
    /// # Errors
    /// Automerge refuses to make the change that the values imply.
    pub fn rebuilt(log: &[u8], known: &Evidence<'_>) -> Result<Option<Self>, DocumentError> {
        if log.is_empty() {
            return Self::implied(known);
        }
        let Ok(doc) = Automerge::load(log) else { return Ok(None) };
        let heads = sorted_heads(&doc);
        if heads != *known.heads && !witnessed(&doc, &heads, known.journal) {
            return Ok(None);
        }
        Ok(Some(Self { log: Log::up_to(heads), ..Self::of(doc) }))
    }

    /// The document of a record that nobody has edited since its history began.
    fn implied(known: &Evidence<'_>) -> Result<Option<Self>, DocumentError> {
        let [first] = known.journal else { return Ok(None) };
        if !matches!(first.ops, Ops::Genesis { .. }) {
            return Ok(None);
        }
        for actor in first_actors(known, first) {
            let (document, hash) = if first.begins_epoch() {
                Self::renewed(&actor, known.model, known.fields)?
            } else {
                Self::genesis(&actor, known.model, known.fields, first.at)?
            };
            if hash == first.hash {
                return Ok(Some(document));
            }
        }
        Ok(None)
    }
}

/// Who may have made the first change of a record's history.
fn first_actors(known: &Evidence<'_>, first: &ChangeEntry) -> Vec<Actor> {
    let Evidence { tenant, record, epoch, writer, .. } = *known;
    match &first.origin {
        Origin::Service => vec![Actor::epoch(tenant, record, epoch)],
        Origin::Connection(connection) => {
            writer.all().map(|writer| Actor::connection(tenant, connection, writer)).collect()
        }
        Origin::Client(principal) => writer.all().map(|writer| Actor::principal(tenant, principal, writer)).collect(),
    }
}

/// Whether the journal names the document's heads, and the document has every change that the journal names.
fn witnessed(doc: &Automerge, heads: &Heads, journal: &[ChangeEntry]) -> bool {
    let named: BTreeSet<Hash> = journal.iter().map(|entry| entry.hash).collect();
    let held: BTreeSet<Hash> = doc.get_changes_meta(&[]).into_iter().map(|meta| Hash(meta.hash.0)).collect();
    !heads.is_empty() && heads.iter().all(|head| named.contains(head)) && named.is_subset(&held)
}
