//! Entering changes that were vetted.

use std::{
    collections::BTreeSet,
    fmt::Display,
    panic::{AssertUnwindSafe, catch_unwind},
};

use automerge::{Automerge, Change, ChangeHash};

use super::refusal::Refusal;

/// What a refusal says of a panic; its own text could hold anything.
const PANICKED: &str = "the document library found it impossible";

/// Enters vetted changes into a document, and checks that the document holds them.
///
/// Vetting sees numbers and objects, but not whether the document has every element and every value that an operation
/// names. Where one is missing, Automerge asserts, or leaves the operation out and keeps the change's hash: then the
/// document is saved, and never loads again. The same happens to a change that was encoded in an unusual way.
/// So panics are caught here, and the document has to give every change back as it came, which takes time for the
/// changes and not for the document. `marks` says that a change marks text, as [`super::Verdict`] does. Then the document
/// is also saved and loaded once, because marks in the wrong order do not load either.
///
/// # Errors
///
/// [`Refusal::Unfit`]. The document is then in no defined state: drop it, and load it again from where it is kept.
pub fn apply(document: &mut Automerge, changes: Vec<Change>, marks: bool) -> Result<(), Refusal> {
    let heads = document.get_heads();
    let entered: BTreeSet<ChangeHash> = changes.iter().map(Change::hash).collect();
    guarded(|| document.apply_changes(changes)).map_err(Refusal::Unfit)?;
    let held = guarded(|| Ok::<_, String>(document.get_changes(&heads))).map_err(Refusal::Unfit)?;
    if held.iter().map(Change::hash).collect::<BTreeSet<_>>() != entered {
        return Err(Refusal::Unfit("the document would not give them back as they came".into()));
    }
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
