//! The laws by name, so that a mutant can be held to the law that is meant to catch it.

use std::fmt;

/// One law of every history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Law {
    /// Every input is answered.
    Answered,
    /// After the faults stop, everything comes to rest.
    Rest,
    /// Every system shows what the record says, and none has loose ends.
    Agreement,
    /// Every edit stands, was overwritten by somebody who saw it, or was kept as a conflict.
    NothingLost,
    /// Every value was written by somebody.
    NothingInvented,
    /// A field is blank only where somebody cleared it.
    NothingCleared,
    /// No write changes nothing.
    NothingRedundant,
    /// A conflict is told once, is of two values, and its loser had not seen the winner.
    ConflictsAreReal,
    /// After each input, one value of a field is visible in the document.
    OneValue,
    /// `forward_only` never moves back, and where blanks never win, no value is cleared.
    OnlyForward,
    /// While a person is asked, the field is written nowhere.
    NobodyWritesAQuestion,
    /// Each epoch has a document of its own.
    OwnDocuments,
    /// Repeated readings are echoes and change nothing.
    RepeatsAreEchoes,
}

/// A law that a history broke, what broke it and the trace.
#[derive(Clone, Debug)]
pub(crate) struct Broken {
    pub(crate) law: Law,
    pub(crate) text: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.law, self.text)
    }
}
