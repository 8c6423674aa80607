//! Entering changes that were vetted.

use std::{
    fmt::Display,
    panic::{AssertUnwindSafe, catch_unwind},
};

use automerge::{Automerge, Change};

use super::refusal::Refusal;

/// What a refusal says of a panic; its own text could hold anything.
const PANICKED: &str = "the document library found it impossible";

/// Enters vetted changes into a document. Vetting sees a change's numbers and objects, but not whether an element of a
/// list that it names exists, and there Automerge asserts and does not answer. So panics are caught here, and where
/// a change marks text, the document is saved and loaded once, since marks in the wrong order save well and never load.
///
/// # Errors
///
/// [`Refusal::Unfit`]. The document is then in no defined state: drop it, and load it again from where it is kept.
pub fn apply(document: &mut Automerge, changes: Vec<Change>, marks: bool) -> Result<(), Refusal> {
    guarded(|| document.apply_changes(changes)).map_err(Refusal::Unfit)?;
    if marks {
        guarded(|| Automerge::load(&document.save_nocompress())).map_err(Refusal::Unfit)?;
    }
    Ok(())
}

/// Runs a call of Automerge on bytes that a stranger chose. What it leaves behind when it fails must not be used.
pub(super) fn guarded<T, E: Display>(call: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err(PANICKED.into()),
    }
}
