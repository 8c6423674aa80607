//! What happens to a world from outside, as data: any subset of a run's events can be played again, with the same result each
//! time. An event draws from a seed of its own, so that leaving others out does not change what it does.

use rand::{Rng, RngExt};

use crate::{
    fault::{Fault, Place},
    scope::{Mode, Often, Scope},
};

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number in the run that was generated; values that it brings bear it.
    pub id: u32,
    /// How long after the event before it, in milliseconds.
    pub after_ms: u32,
    /// The seed of everything that is drawn until the next event.
    pub draw: u64,
    /// What happens.
    pub act: Act,
}

/// What happens. Numbers choose among what is there, modulo how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A user of a connected system.
    User {
        /// Which system, counted over all tenants.
        system: u8,
        /// Which object or entity.
        pick: u8,
        /// What is done.
        deed: UserDeed,
    },
    /// A client of the API.
    Client {
        /// Which tenant.
        tenant: u8,
        /// Which record or entity.
        pick: u8,
        /// What is done.
        deed: ClientDeed,
    },
    /// A client that holds documents.
    Holder {
        /// Which of them.
        holder: u8,
        /// Which record.
        pick: u8,
        /// What is done.
        deed: HolderDeed,
    },
    /// A subscriber of the feed loses its connection, and comes back later.
    Unplug {
        /// Which of them.
        subscriber: u8,
        /// For how long, in milliseconds.
        for_ms: u32,
    },
    /// Trouble that happens at the next occasion.
    Trouble {
        /// At which system.
        system: u8,
        /// Of which kind.
        fault: Fault,
    },
    /// A person looks after the service.
    Person {
        /// What is done.
        deed: PersonDeed,
    },
}

/// What a user of a connected system does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserDeed {
    /// Makes an object of an entity that may be known elsewhere.
    Create,
    /// Edits a field.
    Edit,
    /// Changes what identifies the entity.
    Rename,
    /// Edits what is not mapped: only the stamp moves.
    Touch,
    /// Deletes an object.
    Delete,
    /// Brings a deleted object back.
    Restore,
    /// Merges an object into another.
    Merge,
    /// Deletes an object and makes it anew.
    Recreate,
    /// Deletes everything.
    Wipe,
}

/// What a client of the API does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientDeed {
    /// Creates a record.
    Create,
    /// Edits a record, whatever it is by then.
    Edit,
    /// Edits a record if it is still what was read.
    EditIfMatch,
    /// Deletes a record.
    Delete,
    /// Brings a deleted record back.
    Restore,
}

/// What a client that holds documents does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HolderDeed {
    /// Edits its copy.
    Edit,
    /// Exchanges changes with the service.
    Sync,
    /// Goes offline, or comes back.
    Toggle,
}

/// What a person who looks after the service does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PersonDeed {
    /// Lets a mass delete pass.
    Approve,
    /// Has everything listed again.
    Sweep,
    /// Tries what was parked once more.
    Replay,
}

/// Generates the events of a run.
pub(crate) fn generate(rng: &mut impl Rng, scope: &Scope) -> Vec<Event> {
    let trouble = match scope.mode {
        Mode::Safety => 45,
        Mode::Liveness => 30,
    };
    (1..=scope.events as u32)
        .map(|id| {
            let after_ms = gap(rng);
            let often = scope.often.filter(|_| rng.random_range(0..3) == 0);
            let (system, pick) = (rng.random(), rng.random());
            let act = match often {
                Some(Often::Fault(fault)) => Act::Trouble { system, fault },
                Some(Often::User(deed)) => Act::User { system, pick, deed },
                None if rng.random_range(0..100) < trouble => trouble_act(rng),
                None => act(rng),
            };
            Event { id, after_ms, draw: rng.random(), act }
        })
        .collect()
}

/// Mostly short, so that things meet; sometimes as long as a back-off or a request that nobody waits for any more.
fn gap(rng: &mut impl Rng) -> u32 {
    match rng.random_range(0..100) {
        0..50 => rng.random_range(1..400),
        50..80 => rng.random_range(400..4_000),
        80..95 => rng.random_range(4_000..15_000),
        _ => rng.random_range(15_000..45_000),
    }
}

fn act(rng: &mut impl Rng) -> Act {
    let (system, pick) = (rng.random(), rng.random());
    match rng.random_range(0..100) {
        0..60 => Act::User { system, pick, deed: user_deed(rng) },
        60..78 => Act::Client { tenant: system, pick, deed: client_deed(rng) },
        78..94 => Act::Holder { holder: system, pick, deed: holder_deed(rng) },
        94..97 => Act::Unplug { subscriber: system, for_ms: rng.random_range(100..20_000) },
        _ => Act::Person { deed: person_deed(rng) },
    }
}

fn user_deed(rng: &mut impl Rng) -> UserDeed {
    match rng.random_range(0..100) {
        0..14 => UserDeed::Create,
        14..66 => UserDeed::Edit,
        66..70 => UserDeed::Rename,
        70..76 => UserDeed::Touch,
        76..85 => UserDeed::Delete,
        85..91 => UserDeed::Restore,
        91..95 => UserDeed::Merge,
        95..98 => UserDeed::Recreate,
        _ => UserDeed::Wipe,
    }
}

fn client_deed(rng: &mut impl Rng) -> ClientDeed {
    match rng.random_range(0..100) {
        0..15 => ClientDeed::Create,
        15..55 => ClientDeed::Edit,
        55..80 => ClientDeed::EditIfMatch,
        80..92 => ClientDeed::Delete,
        _ => ClientDeed::Restore,
    }
}

fn holder_deed(rng: &mut impl Rng) -> HolderDeed {
    match rng.random_range(0..100) {
        0..50 => HolderDeed::Edit,
        50..80 => HolderDeed::Sync,
        _ => HolderDeed::Toggle,
    }
}

fn person_deed(rng: &mut impl Rng) -> PersonDeed {
    match rng.random_range(0..3) {
        0 => PersonDeed::Approve,
        1 => PersonDeed::Sweep,
        _ => PersonDeed::Replay,
    }
}

fn trouble_act(rng: &mut impl Rng) -> Act {
    let fault = match rng.random_range(0..100) {
        0..9 => Fault::RequestLost,
        9..20 => Fault::AnswerLost,
        20..28 => Fault::LateEffect,
        28..34 => Fault::SlowAnswer,
        34..38 => Fault::TooMany,
        38..42 => Fault::Unavailable,
        42..46 => Fault::RowFails,
        46..49 => Fault::Cut,
        49..51 => Fault::TokenExpired,
        51..53 => Fault::PageTokenLost,
        53..55 => Fault::PageFails,
        55..57 => Fault::EmptyList,
        57..59 => Fault::Forgotten,
        59..62 => Fault::IndexStalls,
        62..66 => Fault::HintLost,
        66..69 => Fault::HintTwice,
        69..72 => Fault::HintLate,
        72..76 => Fault::ClientCut,
        76..78 => Fault::ClientTwice,
        78..81 => Fault::Rival,
        81..83 => Fault::ClientRestored,
        _ => Fault::Crash(Place::ALL[rng.random_range(0..Place::ALL.len())]),
    };
    Act::Trouble { system: rng.random(), fault }
}
