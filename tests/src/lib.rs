//! What the suites share.
//!
//! * [`stage`]: the real binary between both emulators. [`process`]: that binary as a child process. [`doomed`]: one that is to
//!   end at a fail point.
//! * [`accounts`], [`api`]: the emulated accounts as their users see them, and the API as its client sees it.
//! * [`agreement`]: the judge, who reads all three sides. [`patience`]: waiting for a condition with a deadline.
//! * [`proxy`]: a line between any two of them, and its weather.
//! * [`openapi`]: holds answers against the OpenAPI document that the server serves.
//!
//! Only suites use this, so it panics where a suite would.

pub mod accounts;
pub mod agreement;
pub mod api;
pub mod doomed;
pub mod openapi;
pub mod patience;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod stage;
