//! The HubSpot emulator over HTTP, as a client meets it.

mod access;
mod batches;
mod lab;
mod limits;
mod objects;
mod properties;
mod search;
mod side_door;
mod webhooks;
