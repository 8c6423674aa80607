//! What the suites share.
//!
//! * [`openapi`]: holds answers against the OpenAPI document that the server serves.

pub mod openapi;
