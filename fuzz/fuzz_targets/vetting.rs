//! Sync messages and chunks from strangers.

#![no_main]

#[path = "../laws/vetting.rs"]
mod law;

// The fuzzer's own hook would take a panic that is caught for a finding. One that is not caught ends the run all the same.
libfuzzer_sys::fuzz_target!(init: std::panic::set_hook(Box::new(|_| {})), |data: &[u8]| law::holds(data));
