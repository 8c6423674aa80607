//! Connectors that are written down instead of programmed: a manifest states the facts of an API, and the algorithms are here.
//!
//! # Layout
//!
//! * `words`: what the texts of a manifest mean: paths, templates, spans, spellings of times. `spec`: its shape, as types.
//! * `check`: a file held against the types' schema; `laws`: what must hold beyond it; `file`: both, and all problems at once.
//! * `settings`: what an integration may set. `engine`: the connector. `catalogue`: the manifests at hand.

mod catalogue;
mod check;
mod engine;
mod file;
mod laws;
#[cfg(test)]
mod reference;
mod settings;
pub mod spec;
pub mod words;

pub use self::{
    catalogue::{Catalogue, MANIFESTS_MAX, built_in},
    engine::build,
    file::{FILE_BYTES_MAX, Manifest, json_schema, unreadable},
};
