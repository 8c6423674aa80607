//! The automerge-repo protocol at `/v1/repo`: clients hold records' documents themselves, edit them without asking, and find
//! everything merged when they come back.
//!
//! # Layout
//!
//! * [`session`]: one WebSocket, its beginning and end. [`conversation`]: what is said on it. [`documents`]: of documents.
//! * [`hub`](RepoHub): who has which document open, and how news reaches them.
//! * [`holder`]: who may do what. [`token`]: how a page says who it is.
//! * `notice`: what the server itself says to clients. [`watches`]: records into which open documents moved.
//! * `limits`: the bounds.
//!
//! What is said is `syncline_core::repo`'s business, changes are taken in by `crate::engine`.

mod conversation;
mod documents;
mod holder;
mod hub;
mod limits;
mod notice;
mod session;
mod token;
mod watches;

pub use holder::{Access, Holder, Offer, Reception, Right};
pub(crate) use hub::Full;
pub use hub::RepoHub;
pub use limits::Limits;
pub(crate) use session::{End, Visitor, configure, serve, turn_away};
pub use token::{Claims, TokenError, Tokens, VALID_MAX};
