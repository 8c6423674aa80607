//! The Salesforce emulator as its clients see it: over HTTP, with a clock that moves only when told.

mod collections;
mod composite;
mod faults;
mod lifecycle;
mod org;
mod queries;
mod replication;
mod rows;
mod schema;
mod side_door;
mod tokens;
