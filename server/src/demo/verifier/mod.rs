//! The judge. It believes nothing but what every side shows its users, what the platforms wrote down themselves, and what
//! the API acknowledged; it shares no code with mapping or reconcile.
//!
//! # Layout
//!
//! * [`evidence`]: what is judged. [`ledger`]: a platform's own log. [`form`]: when two spellings are one value.
//! * [`agreement`]: every side shows the same. [`edits`]: what was written by whom, and whether it was lost.
//! * [`deletes`]: the same for deletes. [`blind`]: edits that no client could have seen. [`doubles`]: duplicates.
//! * [`invented`]: values that nobody wrote.
//! * [`verdict`]: all of it together.

pub(super) mod agreement;
pub(super) mod blind;
pub(super) mod deletes;
pub(super) mod doubles;
pub(super) mod edits;
pub(super) mod evidence;
pub(super) mod form;
pub(super) mod invented;
pub(super) mod ledger;
#[cfg(test)]
mod tests;
pub(super) mod verdict;
