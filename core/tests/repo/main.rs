//! The automerge-repo protocol, held against what its own JavaScript writes, and against hostile bytes.

mod bombs;
mod chunks;
mod corpus;
mod entering;
mod forgery;
mod frames;
mod honest;
mod hostile_frames;
mod laws;
mod rules;
#[path = "../catalogue/stories.rs"]
mod stories;
#[path = "../catalogue/suites.rs"]
mod suites;
mod vectors;
mod vetting;

use bytes::Bytes;

/// More than any test's frame has.
const FRAME_BYTES_MAX: usize = 1 << 20;

fn bytes(hex: &str) -> Bytes {
    let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("two hexadecimal digits");
    (0..hex.len()).step_by(2).map(digits).collect()
}

/// An actor with a name that can be read.
fn actor(name: &[u8]) -> automerge::ActorId {
    automerge::ActorId::from(name)
}
