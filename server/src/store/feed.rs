//! The change feed: a tenant's visible changes, numbered from 1 without a gap.

use async_trait::async_trait;
use syncline_core::{
    ids::ModelName,
    live::{Change, Cursor},
};

use super::StoreError;

/// The most changes in one answer.
pub const CHANGES_MAX: u32 = 1_000;

/// Reads and bounds the feed.
#[async_trait]
pub trait Feed {
    /// The changes after `after`, oldest first, at most `limit` (clamped to 1..=[`CHANGES_MAX`]); `models` empty means all.
    async fn changes(&self, after: Cursor, models: &[ModelName], limit: u32) -> Result<Changes, StoreError>;

    /// Where the feed begins and ends.
    async fn feed_span(&self) -> Result<FeedSpan, StoreError>;

    /// Drops the oldest changes so that about `keep` remain; returns how many were dropped. Works in short steps so
    /// that commits go on in between.
    async fn trim_feed(&self, keep: u64) -> Result<u64, StoreError>;
}

/// A part of the feed.
#[derive(Clone, Debug, PartialEq)]
pub enum Changes {
    /// The changes, and the cursor from which to go on: that of the last change examined, also where the models filter
    /// left it out.
    Page {
        /// The changes.
        changes: Vec<Change>,
        /// Go on after this; the feed's head where there was nothing more.
        next: Cursor,
    },
    /// The cursor is older than the oldest change kept: read the records, then go on after `head`.
    TooOld {
        /// The feed's end.
        head: Cursor,
    },
}

/// The extent of the feed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedSpan {
    /// Changes up to and including this one have been dropped; 0 where none has.
    pub floor: Cursor,
    /// The last change; 0 where there is none.
    pub head: Cursor,
}
