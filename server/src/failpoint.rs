//! Fail points: the lines at which a suite can end the process, as a power cut would.
//!
//! Whatever the service makes durable has a point right before it and one right after, and so has whatever it does in the
//! world between two commits. [`ENVIRONMENT`] arms one of them for a run. Only builds with debug assertions have them: in a
//! release build `reach` is empty, and [`arm`] refuses.

use std::fmt;

/// The variable that arms a point: `<name>` ends the process the first time that the point is reached, `<name>:<n>` the
/// n-th time.
pub const ENVIRONMENT: &str = "SYNCLINE_FAILPOINT";

/// Declares the points once: their names, their order, and the list of all.
macro_rules! points {
    ($($(#[$documentation:meta])* $point:ident = $name:literal,)*) => {
        /// A line at which the process can be ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Point {
            $($(#[$documentation])* $point,)*
        }

        impl Point {
            /// Every point, in the order of the data path.
            pub const ALL: &'static [Self] = &[$(Self::$point),*];

            /// The name by which it is armed.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)*
                }
            }
        }
    };
}

points! {
    /// The store is open and of this version; nothing else was written.
    StoreOpened = "store-opened",
    /// The API keys are those of the configuration; no task runs.
    KeysAdopted = "keys-adopted",
    /// The engine's tasks run; nobody was told the address.
    EngineStarted = "engine-started",

    /// Ticks of the logical clock are about to be reserved.
    TicksBefore = "ticks-before",
    /// They are reserved, and none was used.
    TicksAfter = "ticks-after",
    /// A side's phase, success or failure is about to be noted.
    StateBefore = "state-before",
    /// It is noted, and nobody was woken.
    StateAfter = "state-after",
    /// The provider's clock was measured; the offset is not stored.
    OffsetBefore = "offset-before",
    /// The offset is stored.
    OffsetAfter = "offset-after",

    /// The provider is about to be asked for new credentials.
    RefreshBefore = "refresh-before",
    /// The provider has given new credentials, and may have ended the old ones; nothing is stored.
    RefreshAnswered = "refresh-answered",
    /// The new credentials are stored, and were not used.
    RefreshSaved = "refresh-saved",

    /// A batch of the intake is about to be committed.
    IntakeBefore = "intake-before",
    /// It is committed; neither the feed nor holders of documents were told.
    IntakeCommitted = "intake-committed",
    /// They were told; the caller was not answered.
    IntakePublished = "intake-published",
    /// Rows are about to be put into quarantine.
    QuarantineBefore = "quarantine-before",
    /// They are in quarantine.
    QuarantineAfter = "quarantine-after",
    /// A record is about to begin a new epoch.
    RenewBefore = "renew-before",
    /// It has begun it.
    RenewAfter = "renew-after",

    /// A page was read; it and the read position are about to be taken in.
    PageBefore = "page-before",
    /// Both are durable.
    PageAfter = "page-after",
    /// A first read is complete; the positions of what follows it are not stored.
    BackfillBefore = "backfill-before",
    /// They are stored; the side is not marked as read.
    BackfillAfter = "backfill-after",
    /// Deletes were asked for and followed; how far is not stored.
    DeletesBefore = "deletes-before",
    /// It is stored.
    DeletesAfter = "deletes-after",
    /// The read position is about to be forgotten, because a person asked for it.
    ResetBefore = "reset-before",
    /// It is forgotten; the reader was not told.
    ResetAfter = "reset-after",
    /// A sweep has listed everything; what is missing was not looked at.
    SweepListed = "sweep-listed",
    /// What was missing was looked at; the end is not stored.
    SweepBefore = "sweep-before",
    /// The end of the sweep is stored.
    SweepAfter = "sweep-after",

    /// A webhook was verified; its hints are not stored.
    HintsBefore = "hints-before",
    /// They are stored; the webhook was not answered.
    HintsAfter = "hints-after",
    /// Objects were read by id; nothing of it is taken in.
    LookBefore = "look-before",
    /// It is taken in; the hints that asked for it still stand.
    LookAfter = "look-after",
    /// The hints are done with.
    LookDone = "look-done",

    /// What is to be written was computed; the intents are not stored.
    IntentBefore = "intent-before",
    /// They are stored; nothing was sent.
    IntentAfter = "intent-after",
    /// The provider has answered a batch of writes; no receipt is stored.
    WriteAnswered = "write-answered",
    /// The receipts are stored.
    ReceiptAfter = "receipt-after",
    /// Intents of an earlier run were found; they are not marked as uncertain.
    UncertainBefore = "uncertain-before",
    /// They are marked.
    UncertainAfter = "uncertain-after",
    /// Uncertain creates were looked for in vain; they are not closed.
    NotCreatedBefore = "not-created-before",
    /// They are closed, to be sent again.
    NotCreatedAfter = "not-created-after",

    /// A client's create, edit or delete was read; nothing of it is taken in.
    CommandBefore = "command-before",
    /// It is durable; the client was not answered.
    CommandAfter = "command-after",
    /// A person has settled a conflict; nothing of it is taken in.
    ResolveBefore = "resolve-before",
    /// It is durable; the person was not answered.
    ResolveAfter = "resolve-after",
    /// Changes that clients made of records' documents were vetted for their sync; nothing is taken in.
    ReceivedBefore = "received-before",
    /// They are durable; the peer was not told.
    ReceivedAfter = "received-after",
    /// A document that a client began is about to become a record.
    BegunBefore = "begun-before",
    /// It is a record; the peer was not told.
    BegunAfter = "begun-after",
    /// A document that is no record's own has changed; nothing is stored.
    DocumentBefore = "document-before",
    /// It is stored; nobody was told.
    DocumentAfter = "document-after",

    /// The keeper is about to drop what was kept long enough.
    KeeperBefore = "keeper-before",
    /// Old hints are dropped; the feed is as it was.
    KeeperBetween = "keeper-between",
    /// The feed is trimmed too.
    KeeperAfter = "keeper-after",

    /// The engine has stopped; the store is not closed.
    Closing = "closing",
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The environment asks for a point that cannot be armed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArmError {
    /// No point has this name.
    #[error("{ENVIRONMENT} names no fail point `{name}`; there are: {all}", all = names())]
    Unknown {
        /// The name that was asked for.
        name: String,
    },
    /// The number of hits is none.
    #[error("{ENVIRONMENT} asks for the `{hits}`-th time: give a whole number from 1 on")]
    Hits {
        /// What was asked for.
        hits: String,
    },
    /// This is a release build.
    #[error("{ENVIRONMENT} is set, but a release build has no fail points: unset it, or use a debug build")]
    Absent,
}

/// The names of all points, for people.
fn names() -> String {
    Point::ALL.iter().map(|point| point.name()).collect::<Vec<_>>().join(", ")
}

#[cfg(debug_assertions)]
pub use self::armed::arm;
#[cfg(debug_assertions)]
pub(crate) use self::armed::reach;

/// Does nothing: this build has no fail points.
#[cfg(not(debug_assertions))]
#[inline]
pub(crate) fn reach(_: Point) {}

/// Refuses, where the environment asks for a fail point: this build has none.
///
/// # Errors
/// The environment asks for one.
#[cfg(not(debug_assertions))]
pub fn arm() -> Result<(), ArmError> {
    if std::env::var_os(ENVIRONMENT).is_some() { Err(ArmError::Absent) } else { Ok(()) }
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    };

    use super::{ArmError, ENVIRONMENT, Point};

    /// The point of this run, and how often it is still to be reached.
    static ARMED: OnceLock<(Point, AtomicU64)> = OnceLock::new();

    /// Arms the point that the environment names, if it names one.
    ///
    /// # Errors
    /// There is no such point, or the number of hits is none.
    pub fn arm() -> Result<(), ArmError> {
        let Some(wanted) = std::env::var_os(ENVIRONMENT) else { return Ok(()) };
        let (point, hits) = parse(&wanted.to_string_lossy())?;
        // A process is armed once, at its start.
        ARMED.get_or_init(|| (point, AtomicU64::new(hits)));
        Ok(())
    }

    /// Notes that a point is reached; ends the process if it was armed for this time.
    pub(crate) fn reach(point: Point) {
        let Some((armed, left)) = ARMED.get() else { return };
        if *armed == point && left.fetch_sub(1, Ordering::Relaxed) == 1 {
            eprintln!("fail point {point}: the process ends here");
            // No destructor runs and no buffer is flushed, on any thread.
            std::process::abort();
        }
    }

    fn parse(text: &str) -> Result<(Point, u64), ArmError> {
        let (name, hits) = text.split_once(':').unwrap_or((text, "1"));
        let point = Point::ALL.iter().find(|point| point.name() == name);
        let point = point.ok_or_else(|| ArmError::Unknown { name: name.to_owned() })?;
        match hits.parse() {
            Ok(hits @ 1..) => Ok((*point, hits)),
            _ => Err(ArmError::Hits { hits: hits.to_owned() }),
        }
    }

    #[test]
    fn a_point_is_armed_by_its_name_for_one_time() {
        for (text, expected) in [
            ("intent-after", Ok((Point::IntentAfter, 1))),
            ("intent-after:3", Ok((Point::IntentAfter, 3))),
            ("intent", Err(ArmError::Unknown { name: "intent".to_owned() })),
            ("intent-after:0", Err(ArmError::Hits { hits: "0".to_owned() })),
            ("intent-after:often", Err(ArmError::Hits { hits: "often".to_owned() })),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn every_point_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<&str> = Point::ALL.iter().map(|point| point.name()).collect();
        assert_eq!(names.len(), Point::ALL.len());
    }
}
