//! The real binary between both emulators, end to end: every story is told by users of the accounts and by a client of
//! the API, and judged by what all three sides then show publicly. Nothing here shares code with the engine.

mod bad_input;
mod damage;
mod deletes;
mod edits;
mod erasures;
mod first_read;
mod identity;
mod live;
mod logs;
mod mass_deletes;
mod power_cuts;
mod shutdown;
mod tenants;

use syncline_tests::{accounts, api, patience, stage};
