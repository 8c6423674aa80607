//! The server.

pub mod secrets;
pub mod store;
