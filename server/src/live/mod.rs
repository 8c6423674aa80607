//! The live feed: what has just been committed, to every subscriber, in order and without a gap.
//!
//! The engine announces each commit to the [`FeedHub`]; a subscriber holds nothing but its cursor and takes what follows
//! it from the tenant's ring of encoded changes or, further behind, from the log in the store. So nothing is queued per
//! subscriber, a change is encoded once for all of them, and a missed announcement costs one read of the log.
//!
//! # Layout
//!
//! * [`hub`](FeedHub), `ring`: announcements, and the newest changes in memory.
//! * `session`, `writer`: one WebSocket: what the client says, what it is sent, when it is given up.
//! * `subscription`, `snapshot`: what one subscriber wants to hear and where it is.
//! * `wanted`: filter values in canonical form.
//! * `seats`, `limits`: the bounds.

mod hub;
mod limits;
mod ring;
#[cfg(test)]
mod sample;
mod seats;
mod session;
mod snapshot;
mod subscription;
pub(crate) mod wanted;
mod writer;

pub use hub::{FeedHub, Tail};
pub use limits::Limits;
pub use seats::Seat;
pub(crate) use session::{Listener, configure, serve};
