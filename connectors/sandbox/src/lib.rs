//! Local stand-ins for the HTTP APIs of Salesforce, HubSpot, Zendesk Support and GitHub Issues.
//!
//! They are written from the platforms' documented behaviour alone and know nothing of the program that talks to them:
//! same paths, shapes, paging, caps, clock resolution, lags, normalisation, deletes, errors, limits and pushes. Each
//! quirk has a switch, a probability and a time scale, and everything random follows from one seed.
//!
//! # Layout
//!
//! | file | noun |
//! |---|---|
//! | [`sandbox`] | starting and stopping; the credentials of a fresh platform |
//! | [`serve`] | the listener, which can also cut a connection instead of answering |
//! | [`clock`] | time: strictly increasing, of the wall or of a test's hand |
//! | [`faults`] | named, seeded switches and their profiles |
//! | [`ledger`] | what a platform accepted and what it showed, in order |
//! | [`people`] | any number of messy contacts from a seed, overlapping between platforms |
//! | [`admin`] | the side door: state, edits as a user, switches, ledger |
//! | [`salesforce`] | the Salesforce emulator |
//! | [`hubspot`] | the HubSpot emulator |
//! | [`zendesk`] | the Zendesk Support emulator |
//! | [`github`] | the GitHub Issues emulator |

pub mod admin;
pub mod clock;
pub mod faults;
pub mod github;
pub mod hubspot;
pub mod ledger;
pub mod people;
pub mod salesforce;
pub mod sandbox;
pub mod serve;
pub mod zendesk;

pub use clock::{Micros, SandboxClock};
pub use faults::FaultProfile;
pub use people::Population;
pub use sandbox::{Credentials, LOOPBACK, Parts, Running, Sandbox, SandboxConfig, SandboxError};
