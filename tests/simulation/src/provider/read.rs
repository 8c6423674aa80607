//! What a provider shows.

use syncline_core::{
    ids::ExternalId,
    remote::{Key, Page, PageRequest, RemoteObject, RemoteVersion, Walk, Window},
    time::Millis,
};

use super::{
    Provider,
    object::{Object, Row},
    quirks::DeleteSign,
};

/// An answer of a feed of deletes.
#[derive(Clone, Debug)]
pub(crate) struct DeletedIds {
    pub(crate) ids: Vec<ExternalId>,
    pub(crate) covered_until: Millis,
}

impl Provider {
    /// Objects by id, deleted ones included; an id that was merged shows the object that it means today.
    pub(crate) fn by_id(&self, ids: &[ExternalId]) -> Vec<RemoteObject> {
        let mut shown: Vec<RemoteObject> = ids.iter().filter_map(|id| self.resolve(id)).map(|o| self.show(o)).collect();
        shown.dedup_by(|a, b| a.id == b.id);
        shown
    }

    /// Live objects that hold these values, one object for each search at most. Searches here do not lag.
    pub(crate) fn find(&self, searches: &[Vec<Key>]) -> Vec<RemoteObject> {
        let holds = |object: &&Object, keys: &[Key]| {
            keys.iter().all(|key| {
                let held = object.value(&key.field);
                held.as_str().is_some_and(|held| held.eq_ignore_ascii_case(&key.value))
            })
        };
        let hits = searches.iter().flat_map(|keys| self.live().filter(|object| holds(object, keys)));
        let mut found: Vec<RemoteObject> = Vec::new();
        for object in hits {
            if !found.iter().any(|known| known.id == object.id) {
                found.push(self.show(object));
            }
        }
        found
    }

    /// The ids that were deleted in a window; `None` where there is no such feed.
    pub(crate) fn deleted(&self, window: Window, now: Millis) -> Option<DeletedIds> {
        if self.quirks.deletes != DeleteSign::Feed {
            return None;
        }
        // A transaction that began a little earlier may still be running.
        let covered_until = window.until.min(self.clock(now).plus(-500)).max(window.from);
        let inside = |at: &Millis| *at >= window.from && *at < covered_until;
        let ended = |object: &&Object| match (&object.merged_into, &object.deleted) {
            (Some(_), _) => inside(&object.stamp),
            (None, deleted) => deleted.as_ref().is_some_and(inside),
        };
        let ids = self.objects.values().filter(ended).map(|object| object.id.clone()).collect();
        Some(DeletedIds { ids, covered_until })
    }

    /// One page of a list or search.
    pub(crate) fn page(&self, request: &PageRequest, now: Millis) -> Page {
        if request.deleted && self.quirks.deletes != DeleteSign::Archived {
            return Page::default();
        }
        let mut rows: Vec<(&Object, &Row)> = self
            .objects
            .values()
            .filter(|object| object.merged_into.is_none())
            .filter_map(|object| Some((object, object.row(now)?)))
            .filter(|(_, row)| row.deleted == request.deleted)
            .filter(|(_, row)| request.window.is_none_or(|span| row.stamp >= span.from && row.stamp < span.until))
            .collect();
        if self.quirks.walk == Walk::StampThenId {
            rows.sort_by(|(a, left), (b, right)| (left.stamp, &a.id).cmp(&(right.stamp, &b.id)));
        }
        let skipped = match &request.token {
            // A token of a search counts rows, so rows that are edited meanwhile shift the pages.
            Some(token) if request.window.is_some() => token.parse().unwrap_or(0),
            Some(token) => rows.iter().take_while(|(object, row)| self.is_passed(object, row, token)).count(),
            None => rows.iter().take_while(|(object, row)| self.lies_before(object, row, request)).count(),
        };
        let limit = request.limit.min(self.quirks.page_max).max(1) as usize;
        let more = rows.len() > skipped + limit;
        let shown: Vec<(&Object, &Row)> = rows.into_iter().skip(skipped).take(limit).collect();
        let next = more.then(|| match (request.window, shown.last()) {
            (Some(_), _) => (skipped + limit).to_string(),
            (None, Some((object, row))) => format!("{}/{}", row.stamp.0, object.id),
            (None, None) => String::new(),
        });
        Page { objects: shown.into_iter().map(|(o, row)| self.show_row(o, row)).collect(), malformed: vec![], next }
    }

    fn is_passed(&self, object: &Object, row: &Row, token: &str) -> bool {
        let Some((stamp, id)) = token.split_once('/') else { return false };
        let stamp: i64 = stamp.parse().unwrap_or(0);
        match self.quirks.walk {
            Walk::StampThenId => (row.stamp.0, object.id.as_str()) <= (stamp, id),
            Walk::IdWithinWindow => object.id.as_str() <= id,
        }
    }

    fn lies_before(&self, object: &Object, row: &Row, request: &PageRequest) -> bool {
        let Some(after) = &request.after else { return false };
        match self.quirks.walk {
            Walk::StampThenId => (row.stamp, &object.id) <= (after.stamp, &after.id),
            Walk::IdWithinWindow => object.id <= after.id,
        }
    }

    fn version(&self, stamp: Millis) -> Option<RemoteVersion> {
        self.quirks.stamps.then_some(RemoteVersion { stamp, precision_ms: self.quirks.precision_ms })
    }

    /// An object as a consistent read shows it.
    pub(crate) fn show(&self, object: &Object) -> RemoteObject {
        let legible = object.deleted.is_none() || self.quirks.keeps_deleted;
        RemoteObject {
            id: object.id.clone(),
            aliases: self.aliases(&object.id),
            deleted: object.deleted.is_some(),
            // A provider that keeps nothing of a deleted object still knows when it went.
            version: if object.deleted.is_some() {
                Some(RemoteVersion { stamp: object.stamp, precision_ms: self.quirks.precision_ms })
            } else {
                self.version(object.stamp)
            },
            author: None,
            fields: if legible { object.raw() } else { Default::default() },
            history: if legible && self.quirks.history { object.history() } else { Default::default() },
        }
    }

    fn show_row(&self, object: &Object, row: &Row) -> RemoteObject {
        RemoteObject {
            id: object.id.clone(),
            aliases: self.aliases(&object.id),
            deleted: row.deleted,
            version: self.version(row.stamp),
            author: None,
            fields: row.fields.clone(),
            history: Default::default(),
        }
    }
}
