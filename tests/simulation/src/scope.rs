//! What a run may contain.

use crate::{event::UserDeed, fault::Fault, mutant::Mutant};

/// Whether the trouble ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Trouble all along: what must hold at any time is checked.
    Safety,
    /// The trouble stops: everything must come to rest and agree within [`crate::run::REST_WITHIN_MS`].
    Liveness,
}

impl Mode {
    /// Both modes.
    pub const ALL: [Self; 2] = [Self::Safety, Self::Liveness];
}

/// What happens more often than anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Often {
    /// A fault.
    Fault(Fault),
    /// What users of the connected systems do.
    User(UserDeed),
}

/// The bounds of a run. Everything else follows from the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Whether the trouble ends.
    pub mode: Mode,
    /// Connected systems of the first tenant, 2 to 4; `None` leaves it to the seed.
    pub systems: Option<usize>,
    /// How many events are generated.
    pub events: usize,
    /// What a third of the events are, where a rare thing is looked for.
    pub often: Option<Often>,
    /// A broken rule of the glue, for the suite that shows that the invariants can fail.
    pub mutant: Option<Mutant>,
    /// Whether lines for people are kept.
    pub trace: bool,
}

impl Scope {
    /// A run of `events` events.
    pub const fn new(mode: Mode, events: usize) -> Self {
        Self { mode, systems: None, events, often: None, mutant: None, trace: false }
    }

    /// The same with so many systems.
    #[must_use]
    pub const fn systems(self, systems: usize) -> Self {
        Self { systems: Some(systems), ..self }
    }

    /// The same with a broken rule.
    #[must_use]
    pub const fn mutant(self, mutant: Mutant) -> Self {
        Self { mutant: Some(mutant), ..self }
    }
}
