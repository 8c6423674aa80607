//! The Zendesk emulator over HTTP, as a client meets it.

mod access;
mod deletes;
mod exports;
mod jobs;
mod lab;
mod limits;
mod lists;
mod receiver;
mod side_door;
mod tickets;
mod users;
mod values;
mod webhooks;
