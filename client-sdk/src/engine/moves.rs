//! Documents that take another's place.
//!
//! A sealed document says `moved_to`. The record moves when its new document has been fetched and the server has what was
//! edited in the old one, which goes in the same commit. Where the server does not take that, the difference between what it
//! had of the old document and what stands here is made on the new one, field by field. Until then the old one goes on taking
//! local edits, so nothing waits and nothing is lost.

use syncline_core::{ids::RecordId, repo::DocumentId, time::Millis};

use super::{Engine, Input, Need, Notice};
use crate::{
    document::{DocumentError, Shown},
    fields::{self, FieldEdit},
    store::{Row, Write},
};

/// The most documents that a record may move through in one run. Real ones move once; more is a circle.
const HOPS_MAX: u32 = 16;

impl Engine {
    /// Where a record's document says that another stands in its place, that one is fetched.
    pub(super) fn seek_successor(&mut self, id: DocumentId) {
        let Some(target) = self.cache.get(id).and_then(|doc| doc.moved_to()) else { return };
        let Some(mut row) = self.rows.owner(id).filter(|row| row.moving_to != Some(target)).cloned() else { return };
        row.moving_to = Some(target);
        row.stale = true;
        let record = row.record;
        self.rows.put(row);
        self.fetch_successor(record, target);
    }

    /// Has a record's new document fetched; where that was done already, the record moves.
    pub(super) fn fetch_successor(&mut self, record: RecordId, target: DocumentId) {
        let Some(session) = &mut self.session else { return };
        if session.opened.contains(&target) {
            self.tasks.push_back(Input::Move { record });
        } else {
            session.wait(target, true);
        }
    }

    pub(super) fn missing_for_move(&self, record: RecordId) -> Option<Need> {
        self.missing_document_of(record).or_else(|| {
            let target = self.rows.get(record)?.moving_to?;
            self.rows.needs_owner(target).or_else(|| self.missing_document(target))
        })
    }

    /// Moves a record to its new document, if that is here and the old one's account is closed.
    pub(super) fn follow(&mut self, record: RecordId, now: Millis) {
        let Some(row) = self.rows.get(record).cloned() else { return };
        let Some(target) = row.moving_to.filter(|target| self.is_closed(&row) && self.is_here(*target)) else { return };
        let hops = self.hops.get(&record).copied().unwrap_or_default() + 1;
        self.hops.put(record, hops);
        if hops > HOPS_MAX {
            self.notice(Notice::Astray { model: row.model.clone(), record });
            return;
        }
        let moved = self.open_edits(&row).and_then(|(edits, deleted)| {
            let doc = self.cache.get(target).ok_or(DocumentError::NoRecord)?;
            doc.edit(&edits, deleted, now)
        });
        match moved {
            Ok(writes) => {
                self.store(writes);
                self.take_over(row, target, now);
            }
            Err(error) => self.notice(Notice::Damaged { record, reason: error.to_string() }),
        }
    }

    /// Whether the server has everything that was edited in the old document, or will not take it: what it takes it makes in the
    /// new one, beside what others made of the same fields meanwhile, as only it can.
    fn is_closed(&mut self, row: &Row) -> bool {
        let Some(session) = &self.session else { return false };
        let is_unavailable = session.unavailable.contains(&row.document);
        let Some(doc) = self.cache.get(row.document) else { return true };
        doc.join(session.number, session.opened.contains(&row.document));
        is_unavailable || doc.is_heard() && (row.refused.is_some() || row.pending == 0 && !doc.is_in_doubt())
    }

    fn is_here(&mut self, target: DocumentId) -> bool {
        self.cache.get(target).is_some_and(|doc| doc.has_content() && doc.is_acked_at_all())
    }

    /// What stands here and the server does not have, as edits.
    fn open_edits(&mut self, row: &Row) -> Result<(Vec<FieldEdit>, Option<bool>), DocumentError> {
        let sets = self.sets(&row.model);
        let Some(doc) = self.cache.get(row.document).filter(|_| row.pending > 0) else { return Ok((Vec::new(), None)) };
        let before: Shown = doc.show_acked(&sets)?;
        let after = doc.show(&sets)?;
        let deleted = (before.deleted.is_some() != after.deleted.is_some()).then_some(after.deleted.is_some());
        Ok((fields::diff(&before.values, &after.values), deleted))
    }

    /// The new document takes the old one's place. Where it already is another record's, the two are one record.
    fn take_over(&mut self, mut row: Row, target: DocumentId, now: Millis) {
        let old = row.document;
        let from = row.record;
        let other = self.rows.owner(target).filter(|other| other.record != from).cloned();
        row.moving_to = None;
        let record = match other {
            Some(other) => {
                self.rows.drop(from);
                self.merged(&row, other.record);
                other.record
            }
            None => {
                row.document = target;
                row.refused = None;
                self.rows.put(row);
                from
            }
        };
        self.cache.remove(old);
        self.store([Write::DropDocument(old)]);
        if let Some(session) = &mut self.session {
            session.rest(old);
        }
        if let Err(error) = self.refresh(record, true) {
            self.notice(Notice::Damaged { record, reason: error.to_string() });
        }
        self.seek_successor(target);
        self.hurry(target, now);
    }

    /// A record turned out to be another one.
    pub(super) fn merged(&mut self, row: &Row, into: RecordId) {
        if let Some(count) = self.attended.remove(&row.record) {
            *self.attended.entry(into).or_default() += count;
        }
        self.notice(Notice::Merged { model: row.model.clone(), from: row.record, into });
    }
}
