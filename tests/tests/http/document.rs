//! The OpenAPI document is committed, so that every change of the API is seen in review.

use std::{env, fs};

/// Where the document is kept, from this package's folder.
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");

#[test]
fn the_committed_document_is_the_one_that_is_served() {
    let served = syncline_server::http::description().to_pretty_json().unwrap() + "\n";
    if env::var_os("UPDATE_OPENAPI").is_some() {
        fs::write(KEPT, &served).unwrap();
    }
    let kept = fs::read_to_string(KEPT).unwrap_or_default();
    assert!(
        kept == served,
        "the API has changed: run `UPDATE_OPENAPI=1 cargo test -p syncline-tests --test http` and review the difference"
    );
}
