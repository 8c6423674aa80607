//! The pure heart of Syncline: no clock, no randomness, no IO. Everything that changes a record goes through
//! [`reconcile`], a function of the record's state, one input and the time that the caller passes in.
//!
//! # Layout
//!
//! * [`ids`], [`time`], [`value`]: the words everything else is written in.
//! * [`model`], [`mapping`], [`policies`], [`plan`]: what a team declares.
//! * [`document`], [`journal`], [`replica`], [`conflict`], [`record`]: what is kept of a record.
//! * [`writer`]: the lives of the store, in each of which the service writes under actors of its own.
//! * [`reconcile`]: state and one input in, an outcome out.
//! * [`matching`]: which record a newly seen object is. [`identity`]: what a person decided about that.
//! * [`remote`]: the data that connectors speak.
//! * [`read`], [`outbox`], [`budget`]: backfill and incremental reads, deliveries and rate limits as state machines.
//! * [`guard`]: how many deletes at once are too many to pass without a person.
//! * [`live`]: the messages of the live feed.
//! * [`repo`]: the automerge-repo protocol's messages, and the vetting of what strangers send in them.
//! * [`mutant`]: the heart's rules by name, for tests that switch one off.

pub mod budget;
pub mod conflict;
pub mod document;
pub mod guard;
pub mod identity;
pub mod ids;
pub mod journal;
pub mod live;
pub mod mapping;
pub mod matching;
pub mod model;
pub mod mutant;
pub mod outbox;
pub mod plan;
pub mod policies;
pub mod read;
pub mod reconcile;
pub mod record;
pub mod remote;
pub mod replica;
pub mod repo;
pub mod time;
pub mod value;
pub mod writer;
