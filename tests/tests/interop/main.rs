//! Local-first programs against the real binary, between both emulators: the same documents held by clients that others
//! wrote, by clients of ours, and by both platforms.
//!
//! * `peers`: samod, the Rust automerge-repo, unmodified.
//! * `programs`: programs on our own SDK.
//! * `stage`: what both are set on.

mod peers;
mod programs;
mod stage;
