//! The architecture's rules as tests: who may depend on whom, what the pure core may not touch, where a provider may be
//! named, and how a file may look. Each checker is first shown to refuse what it must refuse.

mod direction;
mod fail_points;
mod files;
mod providers;
mod purity;
mod rows;
mod source;

use std::path::PathBuf;

/// The workspace's root folder.
fn root() -> PathBuf {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the tests package lies inside the workspace").to_path_buf()
}

/// Fails with every finding at once.
#[track_caller]
fn assert_none(findings: Vec<String>, rule: &str) {
    assert!(findings.is_empty(), "{rule}\n  {}", findings.join("\n  "));
}
