//! A deterministic simulation of the whole service: the real core between simulated providers, clients and network, over a store
//! that can crash between any two steps. One seed is one trace, always.
//!
//! # Layout
//!
//! * [`run`](mod@run): one run, from a seed to a report or a failure. [`scope`], [`event`], [`fault`]: what it may contain.
//! * `world`, `agenda`, `executor`: what there is, what happens when, and the service's tasks, one step at a time.
//! * `setup`, `model`: the systems, fields and first objects of a seed.
//! * `provider`, `deeds`, `network`: providers with their quirks, their users, and the calls to them.
//! * `client`: programs on the API, programs that hold documents, subscribers.
//! * `store`, `engine`: what survives a crash, and the service's glue around the core.
//! * `ledger`, [`checker`]: the evidence, and the invariants.
//! * [`fleet`]: many runs on several threads.
//! * [`mutant`]: broken rules of the glue. [`shrink`]: the smallest history that still fails. `trace`: what people read.

mod agenda;
pub mod checker;
mod client;
mod deeds;
mod engine;
pub mod event;
mod executor;
pub mod fault;
pub mod fleet;
mod ledger;
pub mod model;
pub mod mutant;
mod network;
mod provider;
pub mod run;
pub mod scope;
mod setup;
pub mod shrink;
mod store;
mod trace;
mod world;

pub use checker::{Invariant, Violation};
pub use run::{Failure, Report, run};
pub use scope::{Mode, Often, Scope};
