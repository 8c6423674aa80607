//! What the server's HTTP side tells: which records a subset holds, and which of them have changed.
//!
//! It decides which records are here. It gives a record's values only until the record's document is here; from then on
//! it says when the document has to be looked at, and who wrote what.

use syncline_core::{live::Cursor, repo::DocumentId};

use super::{Ask, Engine, Need, Source, Told, says_same};
use crate::store::{Row, Subset, SubsetState, Write};

impl Engine {
    /// Replicates a subset from now on.
    pub(super) fn hold(&mut self, subset: Subset) {
        if self.subsets.iter().all(|state| state.subset != subset) {
            self.store([Write::PutSubset { subset: subset.clone(), cursor: None, listing: 0 }]);
            self.subsets.push(SubsetState { subset, cursor: None, listing: 0 });
        }
    }

    /// Replicates a subset no longer; the store is searched for the records that nobody wants now.
    pub(super) fn release(&mut self, subset: &Subset) {
        self.subsets.retain(|state| state.subset != *subset);
        self.store([Write::DropSubset(subset.clone())]);
        self.effects.asks.push(Ask::Unlisted { subset: subset.clone(), listing: u64::MAX });
    }

    pub(super) fn missing_for_told(&self, told: &Told) -> Option<Need> {
        self.rows.needs_row(told.record).or_else(|| self.rows.needs_owner(document_of(told)))
    }

    /// A page of a listing.
    pub(super) fn listed(&mut self, subset: &Subset, listing: u64, rows: Vec<Told>) {
        if !self.is_held(subset) {
            return;
        }
        self.listing = self.listing.max(listing);
        for told in rows {
            self.learn_sets(subset, &told);
            self.take_in(subset, told);
        }
    }

    /// The listing is complete: what it did not show is gone.
    pub(super) fn list_end(&mut self, subset: Subset, listing: u64, cursor: Cursor) {
        let Some(state) = self.subsets.iter_mut().find(|state| state.subset == subset) else { return };
        (state.cursor, state.listing) = (Some(cursor), listing);
        self.store([Write::PutSubset { subset: subset.clone(), cursor: Some(cursor), listing }]);
        self.effects.asks.push(Ask::Unlisted { subset, listing });
    }

    /// A change of the feed.
    pub(super) fn change(&mut self, subset: &Subset, cursor: Cursor, told: Option<Told>) {
        let Some(state) = self.subsets.iter_mut().find(|state| state.subset == *subset) else { return };
        // A listing that is under way has no cursor yet, and keeps having none until it is complete.
        if state.cursor.is_some() {
            state.cursor = Some(cursor);
            let listing = state.listing;
            self.store([Write::PutSubset { subset: subset.clone(), cursor: Some(cursor), listing }]);
        }
        if let Some(told) = told {
            self.learn_sets(subset, &told);
            self.take_in(subset, told);
        }
    }

    /// Records that a listing did not show, or that a subset held which is released.
    pub(super) fn unwanted(&mut self, subset: &Subset, listing: u64, records: &[syncline_core::ids::RecordId]) {
        for record in records {
            let Some(row) = self.rows.get(*record).cloned() else { continue };
            let is_released = listing == u64::MAX;
            // A record that was made here and that the feed has not told of is not gone: it is new.
            let is_gone = row.version > 0 || is_released;
            let is_elsewhere = is_released && self.is_wanted(&row);
            if row.listed < listing
                && row.pending == 0
                && is_gone
                && !is_elsewhere
                && subset.holds(&row.model, &row.fields)
            {
                self.drop_record(&row);
            }
        }
    }

    fn is_held(&self, subset: &Subset) -> bool {
        self.subsets.iter().any(|state| state.subset == *subset)
    }

    /// A field that the server shows as a list is a set, in whatever form the document holds it.
    fn learn_sets(&mut self, subset: &Subset, told: &Told) {
        for (field, _) in told.fields.iter().filter(|(_, value)| value.is_array()) {
            if self.sets.entry(subset.model.clone()).or_default().insert(field.clone()) {
                self.store([Write::PutSetField { model: subset.model.clone(), field: field.clone() }]);
            }
        }
    }

    fn take_in(&mut self, subset: &Subset, told: Told) {
        if told.erased {
            if let Some(row) = self.rows.get(told.record).cloned() {
                self.drop_record(&row);
            }
            return;
        }
        let stranger = self.rows.owner(document_of(&told)).filter(|owner| owner.record != told.record).cloned();
        match (self.rows.get(told.record).cloned(), stranger) {
            (Some(row), _) => self.take_in_known(row, told),
            (None, Some(stranger)) => self.take_in_renamed(stranger, told),
            (None, None) => self.take_in_new(subset, told),
        }
    }

    fn take_in_new(&mut self, subset: &Subset, told: Told) {
        if told.deleted.is_some() || !subset.filter.matches(&told.fields) {
            return;
        }
        let document = document_of(&told);
        self.rows.put(Row {
            record: told.record,
            model: subset.model.clone(),
            document,
            fields: told.fields,
            deleted: None,
            version: told.version,
            held: false,
            stale: true,
            pending: 0,
            refused: None,
            moving_to: None,
            listed: self.listing,
        });
        self.session.iter_mut().for_each(|session| session.wait(document, false));
    }

    /// A record that was made here is the server's under another id.
    fn take_in_renamed(&mut self, stranger: Row, told: Told) {
        self.rows.drop(stranger.record);
        self.merged(&stranger, told.record);
        let row = Row { record: told.record, ..stranger };
        self.rows.put(row.clone());
        self.take_in_known(row, told);
    }

    fn take_in_known(&mut self, mut row: Row, told: Told) {
        row.listed = row.listed.max(self.listing);
        if told.version < row.version {
            self.rows.put(row);
            return;
        }
        row.version = told.version;
        if row.held {
            self.take_in_held(row, told);
            return;
        }
        for (field, origin) in &told.origins {
            self.rows.wrote(row.record, field, Source::Elsewhere(Some(origin.clone())));
        }
        row.document = told.document.unwrap_or(row.document);
        row.deleted = told.deleted;
        row.fields = told.fields;
        if !self.is_wanted(&row) {
            self.drop_record(&row);
            return;
        }
        let document = row.document;
        self.rows.put(row);
        if let Some(session) = self.session.as_mut().filter(|session| !session.opened.contains(&document)) {
            session.wait(document, false);
        }
    }

    /// The document is here and has the last word: where it says something else, it is to be synced.
    fn take_in_held(&mut self, mut row: Row, told: Told) {
        if let Some(target) = told.document.filter(|target| *target != row.document && row.moving_to.is_none()) {
            row.moving_to = Some(target);
        }
        let is_same = says_same(&told.fields, &row.fields) && told.deleted.is_some() == row.deleted.is_some();
        if is_same && row.moving_to.is_none() {
            self.told.pop(&row.record);
            self.rows.put(row);
            return;
        }
        row.stale = true;
        let (record, id, is_refused, successor) = (row.record, row.document, row.refused.is_some(), row.moving_to);
        self.told.put(record, told);
        self.rows.put(row);
        self.visit(id, is_refused);
        if let Some(target) = successor {
            self.fetch_successor(record, target);
        }
    }
}

/// The document of a record: the one that the server names, or else the record's first.
fn document_of(told: &Told) -> DocumentId {
    told.document.unwrap_or(told.record.into())
}
