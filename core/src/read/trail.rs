//! The trail of one walk: how far it has come, by position and by the provider's token, and whether it still advances.

use serde::{Deserialize, Serialize};

use super::{ReadFault, ReadSpec, Recovery};
use crate::{
    remote::{Page, PageRequest, Position, ProviderError, Remedy, RemoteObject, Walk, Window},
    time::Millis,
};

/// How far a walk has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trail {
    /// The last row read that can be named: the keyset that outlives any token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<Position>,
    /// The provider's token for the next page, while it is of use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// Rows read since the walk was last keyed by position, to stay below the provider's cap.
    #[serde(default)]
    keyed_rows: u32,
    /// Pages in a row that did not move the position.
    #[serde(default)]
    idle_pages: u32,
    /// How often the walk has been begun anew because its keyset was refused.
    #[serde(default)]
    fresh_starts: u8,
    /// The provider said that this was the last page.
    #[serde(default)]
    ended: bool,
}

impl Trail {
    /// So many pages in a row may fail to move the position: empty pages, or pages of malformed rows.
    const IDLE_PAGES_MAX: u32 = 1_000;

    /// So often may one walk be begun anew; beyond it the refusal is the caller's affair.
    const FRESH_STARTS_MAX: u8 = 3;

    /// Whether the provider has said that nothing follows. A short or empty page says no such thing.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// The stamp up to which a walk by (stamp, id) has come.
    pub(super) fn stamp(&self) -> Option<Millis> {
        self.after.as_ref().map(|position| position.stamp)
    }

    /// The request for the next page.
    pub(super) fn request(&self, spec: &ReadSpec, window: Option<Window>) -> PageRequest {
        PageRequest {
            object: spec.object.clone(),
            fields: spec.fields.clone(),
            window,
            after: self.after.clone(),
            token: self.token.clone(),
            deleted: spec.deleted,
            limit: spec.facts.page_max,
        }
    }

    /// Takes in the page that came of [`Trail::request`].
    pub(super) fn page(&mut self, spec: &ReadSpec, window: Option<Window>, page: &Page) -> Result<(), ReadFault> {
        self.refuse_circles(spec, window, page)?;
        let moved = self.advance(spec, page);
        self.ended = page.next.is_none();
        self.token.clone_from(&page.next);
        self.idle_pages = if moved { 0 } else { self.idle_pages.saturating_add(1) };
        let rows = page.objects.len() + page.malformed.len();
        self.keyed_rows = self.keyed_rows.saturating_add(u32::try_from(rows).unwrap_or(u32::MAX));
        if self.ended {
            return Ok(());
        }
        if moved && self.must_rekey(spec, window) {
            self.rekey();
        }
        if self.idle_pages >= Self::IDLE_PAGES_MAX || self.beyond_cap(spec, window) {
            return Err(ReadFault::Stalled { object: spec.object.clone(), pages: self.idle_pages });
        }
        Ok(())
    }

    /// What a failed fetch means to the walk. An invalid position falls back from the token to the keyset, and from a
    /// keyset that is refused as well to the beginning, a bounded number of times.
    pub(super) fn failed(&mut self, error: &ProviderError) -> Recovery {
        match error.remedy {
            Remedy::Restart if self.token.is_some() => self.rekey(),
            Remedy::Restart if self.after.is_some() && self.fresh_starts < Self::FRESH_STARTS_MAX => {
                *self = Self { fresh_starts: self.fresh_starts + 1, ..Self::default() };
            }
            Remedy::Resync => return Recovery::Resync,
            _ => return Recovery::Caller,
        }
        Recovery::Resumed
    }

    fn rekey(&mut self) {
        self.token = None;
        self.keyed_rows = 0;
    }

    /// Moves the position to the last row that can name one; whether it moved.
    fn advance(&mut self, spec: &ReadSpec, page: &Page) -> bool {
        let last = page.objects.iter().rev().find_map(|row| position_of(spec.facts.walk, row));
        let moved = last.is_some() && last != self.after;
        if moved {
            self.after = last;
        }
        moved
    }

    /// A page that was asked for by position alone must not show what lies at or before the position. Lists by id are
    /// spared: there the position is only a fallback for a lost token, and a provider may count it in.
    fn refuse_circles(&self, spec: &ReadSpec, window: Option<Window>, page: &Page) -> Result<(), ReadFault> {
        let (Some(after), None) = (&self.after, &self.token) else { return Ok(()) };
        let passed = |row: &&RemoteObject| match (spec.facts.walk, row.version) {
            (Walk::StampThenId, None) => false,
            (Walk::StampThenId, Some(version)) => {
                version.stamp < after.stamp || (version.stamp == after.stamp && row.id == after.id)
            }
            (Walk::IdWithinWindow, _) => window.is_some() && row.id == after.id,
        };
        match page.objects.iter().find(passed) {
            Some(row) => Err(ReadFault::Circular { object: spec.object.clone(), row: row.id.to_string() }),
            None => Ok(()),
        }
    }

    /// Inside a window, every page is keyed anew where tokens count rows: rows that are edited or deleted leave the window,
    /// and such a token would then skip as many. Elsewhere the token serves until the provider's cap is near.
    fn must_rekey(&self, spec: &ReadSpec, window: Option<Window>) -> bool {
        let leaves_rows_out = spec.facts.tokens_shift && window.is_some();
        leaves_rows_out || (window.is_some() || spec.facts.walk == Walk::StampThenId) && self.near_cap(spec)
    }

    fn near_cap(&self, spec: &ReadSpec) -> bool {
        spec.facts.rows_max.is_some_and(|max| self.keyed_rows.saturating_add(spec.facts.page_max) > max)
    }

    /// The next page would pass the cap, and no row was found by which the walk could be keyed anew.
    fn beyond_cap(&self, spec: &ReadSpec, window: Option<Window>) -> bool {
        (window.is_some() || spec.facts.walk == Walk::StampThenId) && self.near_cap(spec) && self.token.is_some()
    }
}

/// The position that a row marks, where it can mark one in this walk.
fn position_of(walk: Walk, row: &RemoteObject) -> Option<Position> {
    let stamp = match walk {
        Walk::StampThenId => row.version?.stamp,
        Walk::IdWithinWindow => row.version.map_or(Millis::default(), |version| version.stamp),
    };
    Some(Position { stamp, id: row.id.clone() })
}
