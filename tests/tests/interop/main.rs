//! Local-first programs against the real binary, between both emulators: the same documents held by clients that others
//! wrote, by clients of ours, and by both platforms.
//!
//! * `epochs`: both, where a record's history begins anew. `merges`: both, where two records become one.
//! * `peers`: samod, the Rust automerge-repo, unmodified.
//! * `programs`: programs on our own SDK.
//! * `stage`: what both are set on.

mod epochs;
mod merges;
mod peers;
mod programs;
mod stage;
