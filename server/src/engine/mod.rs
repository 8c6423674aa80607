//! The engine: what changes records.

pub mod commands;
