//! The GitHub emulator over HTTP, as a client meets it.

mod access;
mod issues;
mod lab;
mod limits;
mod lists;
mod receiver;
mod side_door;
mod webhooks;
