//! What makes the process reach a fail point. The match has no last arm for all others, so that a new point is not forgotten.

use syncline_server::failpoint::Point;

/// What has to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Provocation {
    /// A start is enough.
    Start,
    /// Everybody edits.
    Traffic,
    /// The access tokens have expired.
    Tokens,
    /// An account holds a value that cannot be taken in.
    Misfit,
    /// A person has the sync begin anew.
    Reset,
    /// Two users edit one field unseen by each other, and a person settles it.
    Rivals,
    /// A program on the SDK edits and creates.
    Program,
    /// A program begins a contact that lacks what a record must have.
    Draft,
    /// The life before ended between an intent and its sending.
    Interrupted,
    /// The same, and the intent was a create.
    Uncreated,
    /// The process is asked to end.
    Farewell,
}

impl Provocation {
    /// What makes the process reach this point.
    pub(crate) const fn of(point: Point) -> Self {
        match point {
            Point::StoreOpened
            | Point::KeysAdopted
            | Point::EngineStarted
            | Point::TicksBefore
            | Point::TicksAfter
            | Point::StateBefore
            | Point::StateAfter
            | Point::OffsetBefore
            | Point::OffsetAfter
            | Point::DeletesBefore
            | Point::DeletesAfter
            | Point::SweepListed
            | Point::SweepBefore
            | Point::SweepAfter
            | Point::KeeperBefore
            | Point::KeeperBetween
            | Point::KeeperAfter => Self::Start,
            Point::IntakeBefore
            | Point::IntakeCommitted
            | Point::IntakePublished
            | Point::RenewBefore
            | Point::RenewAfter
            | Point::PageBefore
            | Point::PageAfter
            | Point::HintsBefore
            | Point::HintsAfter
            | Point::LookBefore
            | Point::LookAfter
            | Point::LookDone
            | Point::IntentBefore
            | Point::IntentAfter
            | Point::WriteAnswered
            | Point::ReceiptAfter
            | Point::CommandBefore
            | Point::CommandAfter => Self::Traffic,
            Point::RefreshBefore | Point::RefreshAnswered | Point::RefreshSaved => Self::Tokens,
            Point::QuarantineBefore | Point::QuarantineAfter => Self::Misfit,
            Point::BackfillBefore | Point::BackfillAfter | Point::ResetBefore | Point::ResetAfter => Self::Reset,
            Point::ResolveBefore | Point::ResolveAfter => Self::Rivals,
            Point::ReceivedBefore | Point::ReceivedAfter | Point::BegunBefore | Point::BegunAfter => Self::Program,
            Point::DocumentBefore | Point::DocumentAfter => Self::Draft,
            Point::UncertainBefore | Point::UncertainAfter => Self::Interrupted,
            Point::NotCreatedBefore | Point::NotCreatedAfter => Self::Uncreated,
            Point::Closing => Self::Farewell,
        }
    }

    /// How often such a point is reached in a moment, at least: a kill may be at any of these times.
    pub(crate) const fn hits_max(self) -> u64 {
        match self {
            Self::Traffic => 4,
            _ => 1,
        }
    }
}
