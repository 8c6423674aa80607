//! Pages of lists: `{items, next_cursor}`. A cursor is opaque to callers and names a place, so that a page neither
//! repeats nor skips items when others come or go.

use std::{fmt, marker::PhantomData};

use serde::{Deserialize, Deserializer, Serialize, de};
use syncline_core::{
    identity::OperationId,
    ids::{ConnectionId, RecordId},
    live::Cursor,
};
use utoipa::ToSchema;

use crate::store::{
    conflicts::ConflictId, documents::RefusalId, erasures::ErasureId, quarantine::QuarantineId, records::RecordPlace,
};

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Page<T> {
    /// The items.
    pub(super) items: Vec<T>,
    /// Give it as `cursor` for the next page; null at the end of the list.
    pub(super) next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A page of a list that goes on after its last item for as long as pages are full.
    pub(super) fn full<R, P: Place>(rows: Vec<R>, limit: u32, place: impl Fn(&R) -> P, show: impl Fn(R) -> T) -> Self {
        let full = rows.len() >= limit as usize;
        let next_cursor = rows.last().filter(|_| full).map(|row| place(row).to_text());
        Self { items: rows.into_iter().map(show).collect(), next_cursor }
    }
}

/// A place in a list.
pub(super) trait Place: Sized {
    /// The place as text.
    fn to_text(&self) -> String;

    /// The place that the text names; `None` where it names none.
    fn from_text(text: &str) -> Option<Self>;
}

impl Place for RecordPlace {
    fn to_text(&self) -> String {
        format!("{}.{}", self.changed.0, self.row)
    }

    fn from_text(text: &str) -> Option<Self> {
        let (changed, row) = text.split_once('.')?;
        Some(Self { changed: Cursor(changed.parse().ok()?), row: row.parse().ok()? })
    }
}

impl Place for RefusalId {
    fn to_text(&self) -> String {
        self.0.to_string()
    }

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

impl Place for ErasureId {
    fn to_text(&self) -> String {
        self.0.to_string()
    }

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

impl Place for ConflictId {
    fn to_text(&self) -> String {
        self.0.to_string()
    }

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

impl Place for OperationId {
    fn to_text(&self) -> String {
        self.0.to_string()
    }

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

impl Place for QuarantineId {
    fn to_text(&self) -> String {
        self.0.to_string()
    }

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

impl Place for RecordId {
    fn to_text(&self) -> String {
        self.to_string()
    }

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// How many entries of a history are older than the page's last one.
impl Place for usize {
    fn to_text(&self) -> String {
        self.to_string()
    }

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Place for (ConnectionId, RecordId) {
    fn to_text(&self) -> String {
        format!("{}.{}", self.1, self.0)
    }

    fn from_text(text: &str) -> Option<Self> {
        let (record, connection) = text.split_once('.')?;
        Some((ConnectionId::new(connection), record.parse().ok()?))
    }
}

/// The query parameter `cursor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct After<P>(pub(super) P);

impl<'de, P: Place> Deserialize<'de> for After<P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text(PhantomData))
    }
}

struct Text<P>(PhantomData<P>);

impl<P: Place> de::Visitor<'_> for Text<P> {
    type Value = After<P>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the `next_cursor` of a page of this list")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<After<P>, E> {
        let place = P::from_text(text).ok_or_else(|| {
            E::custom(
                "is no cursor of this list: give the `next_cursor` of a page, or leave it out to begin at the start",
            )
        })?;
        Ok(After(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_survive_the_way_through_a_query_and_others_are_refused() {
        fn check<P: Place + PartialEq + fmt::Debug>(place: P) {
            assert_eq!(P::from_text(&place.to_text()), Some(place));
            assert_eq!(P::from_text("no place"), None);
        }
        check(RecordPlace { changed: Cursor(7), row: -1 });
        check(ConflictId(3));
        check(QuarantineId(3));
        check(OperationId(3));
        check(12_usize);
        check((ConnectionId::new("acme.crm"), RecordId(uuid::Uuid::max())));
    }
}
