//! The rows of the failure matrix that are shown on the real binary between both emulators. Each test is named after its
//! row, `row_NN_what_holds`, and says which guard it fails without.

mod batches;
mod clocks;
mod credentials;
mod limits;
mod poison;
mod schema;
mod sockets;
mod webhooks;

use syncline_tests::{accounts, api, patience, stage};
