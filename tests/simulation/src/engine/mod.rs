//! The service's glue around the core, as the server has it, over the simulated store and network. Nothing changes a record but
//! [`intake`].
//!
//! # Layout, in the order of the data path
//!
//! * [`desk`]: requests of clients, and webhooks.
//! * [`reader`], [`sweeper`], [`looker`]: what is read of a provider, by time, wholly, and by id.
//! * [`side`]: what these share: sessions, looks, batches. [`memory`]: what a process holds and loses.
//! * [`intake`], [`working`], [`route`], [`documents`]: a batch becomes one transaction.
//! * [`writer`]: what is owed is sent.

pub(crate) mod desk;
mod documents;
pub(crate) mod intake;
mod looker;
pub(crate) mod memory;
mod reader;
mod route;
mod side;
mod sweeper;
mod working;
mod writer;

use self::side::Side;
use crate::executor::Handle;

/// Nothing sent before this can still take effect, in milliseconds.
pub(crate) const DEADLINE_MS: i64 = 30_000;

/// How many rounds of one side's writer are under way at once.
const LANES: usize = 2;

/// Starts a process.
pub(crate) fn start(handle: &Handle) {
    handle.with(|world| {
        world.process = Some(memory::Memory::new(&world.accounts, world.plans.len()));
        world.note(|| "** a process starts".into());
        for system in 0..world.accounts.len() {
            let side = Side::new(handle.clone(), world, system);
            world.spawn(Box::pin(reader::run(side.clone())));
            world.spawn(Box::pin(looker::run(side.clone())));
            for _ in 0..LANES {
                world.spawn(Box::pin(writer::run(side.clone())));
            }
        }
        world.reconnect();
        world.handle = Some(handle.clone());
    });
}
