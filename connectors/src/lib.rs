//! What Syncline knows of each provider's API.
//!
//! # Layout
//!
//! * [`connector`]: the trait family that the engine speaks to.

pub mod connector;
