//! How a provider behaves, drawn from the seed.

use rand::{Rng, RngExt};
use syncline_core::{
    budget::{BudgetFacts, CallKind},
    remote::{CursorFacts, Walk},
};

/// How deletes can be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeleteSign {
    /// A feed of deleted ids.
    Feed,
    /// A list of archived objects.
    Archived,
    /// None: only what a complete list does not show.
    Absence,
}

/// What a create with our key meets where the key is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// There is no unique field for our key.
    None,
    /// The object is updated instead.
    Upsert,
    /// The create is refused, and the object named.
    Refuse,
}

/// How a provider behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quirks {
    /// How coarse its stamps are, in milliseconds.
    pub(crate) precision_ms: u32,
    /// Whether objects show a stamp at all.
    pub(crate) stamps: bool,
    /// Whether it keeps a history of fields.
    pub(crate) history: bool,
    /// Whether it refuses a write that follows somebody else's.
    pub(crate) conditional: bool,
    /// Whether it lower-cases text without declaring it.
    pub(crate) lowers: bool,
    /// Whether it cuts blanks at the ends of text.
    pub(crate) trims: bool,
    /// Whether a deleted object's values can still be read.
    pub(crate) keeps_deleted: bool,
    /// How deletes can be seen.
    pub(crate) deletes: DeleteSign,
    /// What becomes of a create with our key.
    pub(crate) key: KeyKind,
    /// Whether it refuses some texts.
    pub(crate) picky: bool,
    /// How far its clock is ahead, in milliseconds.
    pub(crate) offset_ms: i64,
    /// How long its lists may lag behind, in milliseconds.
    pub(crate) lag_ms: u32,
    /// Whether it sends webhooks.
    pub(crate) webhooks: bool,
    /// How rows are walked.
    pub(crate) walk: Walk,
    /// The most rows of a page.
    pub(crate) page_max: u32,
    /// The most rows of one write call.
    pub(crate) batch_max: usize,
    /// The most calls in ten seconds; `None` for no limit.
    pub(crate) calls_max: Option<u32>,
}

impl Quirks {
    pub(crate) fn draw(rng: &mut impl Rng) -> Self {
        let fine = rng.random_bool(0.5);
        let blind = rng.random_bool(0.2);
        let stamps = !blind || rng.random_bool(0.5);
        let by_id = !stamps || rng.random_bool(0.3);
        Self {
            precision_ms: if fine { 1 } else { 1_000 },
            stamps,
            history: fine && !blind,
            conditional: !fine && !blind,
            lowers: rng.random_bool(0.2),
            trims: rng.random_bool(0.3),
            keeps_deleted: rng.random_bool(0.75),
            deletes: match rng.random_range(0..10) {
                0..5 => DeleteSign::Feed,
                5..8 => DeleteSign::Archived,
                _ => DeleteSign::Absence,
            },
            key: match rng.random_range(0..10) {
                0..4 => KeyKind::Upsert,
                4..7 => KeyKind::Refuse,
                _ => KeyKind::None,
            },
            picky: rng.random_bool(0.15),
            offset_ms: if rng.random_bool(0.3) { rng.random_range(-3_600_000..3_600_000) } else { 0 },
            lag_ms: if rng.random_bool(0.5) { rng.random_range(100..6_000) } else { 0 },
            webhooks: rng.random_bool(0.6),
            walk: if by_id { Walk::IdWithinWindow } else { Walk::StampThenId },
            page_max: rng.random_range(2..5),
            batch_max: rng.random_range(1..5),
            calls_max: rng.random_bool(0.2).then(|| rng.random_range(12..30)),
        }
    }

    /// Whether an edit between our look and our write is overwritten without a trace, unless a reading glimpses it.
    pub(crate) fn is_blind(&self) -> bool {
        !self.history && !self.conditional
    }

    /// Whether its lists may lag, and their index may stand still.
    pub(crate) fn lags(&self) -> bool {
        self.lag_ms > 0
    }

    /// What a connector would declare of its clock and paging.
    pub(crate) fn cursor(&self) -> CursorFacts {
        CursorFacts {
            walk: self.walk,
            precision_ms: self.precision_ms,
            lag_ms: u64::from(self.lag_ms / 3),
            // A stalled index catches up within this time; one that never lags needs no overlap.
            overlap_ms: if self.lags() { u64::from(self.lag_ms) + Self::STALL_MS } else { 0 },
            rows_max: None,
            page_max: self.page_max,
            tokens_shift: true,
        }
    }

    /// How long a search index stands still at most.
    pub(crate) const STALL_MS: u64 = 20_000;

    /// Its rate limits.
    pub(crate) fn budgets(&self) -> Vec<BudgetFacts> {
        let limit = |limit| BudgetFacts {
            name: "calls".into(),
            window_ms: 10_000,
            limit,
            calls: CallKind::ALL.to_vec(),
            reserve_percent: 0,
        };
        self.calls_max.map(limit).into_iter().collect()
    }
}
