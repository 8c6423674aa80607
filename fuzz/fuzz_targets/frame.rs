//! Frames of the automerge-repo protocol.

#![no_main]

#[path = "../laws/frame.rs"]
mod law;

libfuzzer_sys::fuzz_target!(|data: &[u8]| law::holds(data));
