//! The connector for PostgreSQL against a real server: types, writes, and how changes are followed.

mod changes;
mod decoding;
mod lab;
mod lines;
mod listing;
mod sync;
mod triggers;
mod types;
mod writes;
