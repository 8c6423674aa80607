//! Strict YAML files for people: every value knows its line and column, and everything that is wrong is told at once.
//!
//! # Layout
//!
//! * `tree`: a file as a tree that knows its places. `problem`: what is wrong, where, and how to mend it.

mod problem;
mod tree;

pub use self::{
    problem::{Problem, Problems, Report, suggest},
    tree::{Key, Kind, Location, Node, SyntaxError, is_null, parse},
};
