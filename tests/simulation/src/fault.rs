//! What can go wrong, and how often it did.

use std::{collections::BTreeMap, fmt};

/// Where a process can die. Whatever was not committed is lost then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// While nothing in particular is going on.
    Anywhere,
    /// A batch was computed and is not durable yet.
    BeforeCommit,
    /// A batch is durable, and nobody was told.
    AfterCommit,
    /// Subscribers were told, and whoever handed the batch in was not.
    AfterPublish,
    /// An intent is durable, and its request was not sent.
    BeforeSend,
    /// A request was sent, and its answer has not come.
    AfterSend,
    /// An answer has come, and nothing of it is durable.
    AfterAnswer,
    /// A page was read, and nothing of it is durable.
    AfterPage,
}

impl Place {
    /// Every place.
    pub const ALL: [Self; 8] = [
        Self::Anywhere,
        Self::BeforeCommit,
        Self::AfterCommit,
        Self::AfterPublish,
        Self::BeforeSend,
        Self::AfterSend,
        Self::AfterAnswer,
        Self::AfterPage,
    ];
}

/// One kind of trouble. It is armed by an event, and happens at the next occasion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A request never arrives.
    RequestLost,
    /// A request takes effect, and its answer never arrives.
    AnswerLost,
    /// A write takes effect long after its caller has given up.
    LateEffect,
    /// The answer to a read arrives late.
    SlowAnswer,
    /// The provider refuses calls for a while: too many.
    TooMany,
    /// The provider answers with a passing fault.
    Unavailable,
    /// One row of a batch fails, the others do not.
    RowFails,
    /// Nothing gets through to or from the provider for a while.
    Cut,
    /// The access token has expired.
    TokenExpired,
    /// A page's token is not valid any more.
    PageTokenLost,
    /// A listing ends after its first page without saying that more follows: an error in its midst.
    PageFails,
    /// A list shows nothing at all.
    EmptyList,
    /// The provider no longer remembers how far the last reading came.
    Forgotten,
    /// A search index is far behind.
    IndexStalls,
    /// A webhook never arrives.
    HintLost,
    /// A webhook arrives twice.
    HintTwice,
    /// A webhook arrives long after later ones.
    HintLate,
    /// A request or an answer between a client and the service is lost.
    ClientCut,
    /// A client's request arrives twice.
    ClientTwice,
    /// Another process commits one of a batch's records first.
    Rival,
    /// A client is put back to what it held some time ago.
    ClientRestored,
    /// The process dies.
    Crash(Place),
}

impl Fault {
    /// Every fault, each place of a crash apart.
    pub fn all() -> Vec<Self> {
        let mut all = vec![
            Self::RequestLost,
            Self::AnswerLost,
            Self::LateEffect,
            Self::SlowAnswer,
            Self::TooMany,
            Self::Unavailable,
            Self::RowFails,
            Self::Cut,
            Self::TokenExpired,
            Self::PageTokenLost,
            Self::PageFails,
            Self::EmptyList,
            Self::Forgotten,
            Self::IndexStalls,
            Self::HintLost,
            Self::HintTwice,
            Self::HintLate,
            Self::ClientCut,
            Self::ClientTwice,
            Self::Rival,
            Self::ClientRestored,
        ];
        all.extend(Place::ALL.map(Self::Crash));
        all
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crash(place) => write!(f, "crash/{place:?}"),
            other => write!(f, "{other:?}"),
        }
    }
}

/// How often each thing happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Faults that took effect, rather than were merely armed.
    pub faults: BTreeMap<Fault, u64>,
    /// Other things, by name.
    pub things: BTreeMap<&'static str, u64>,
}

impl Counts {
    pub(crate) fn fault(&mut self, fault: Fault) {
        *self.faults.entry(fault).or_default() += 1;
    }

    pub(crate) fn thing(&mut self, name: &'static str) {
        *self.things.entry(name).or_default() += 1;
    }

    /// How often this happened.
    pub fn of(&self, name: &str) -> u64 {
        self.things.get(name).copied().unwrap_or_default()
    }

    /// Adds what another run counted.
    pub fn add(&mut self, other: &Self) {
        for (fault, count) in &other.faults {
            *self.faults.entry(*fault).or_default() += count;
        }
        for (name, count) in &other.things {
            *self.things.entry(name).or_default() += count;
        }
    }

    /// The faults that never happened.
    pub fn missing(&self) -> Vec<Fault> {
        Fault::all().into_iter().filter(|fault| !self.faults.contains_key(fault)).collect()
    }
}
