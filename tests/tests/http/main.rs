//! The HTTP API and the live feed over the real SQLite store, with a stand-in for the engine. Every answer is held
//! against the OpenAPI document that the server itself serves.

mod access;
mod document;
mod feed;
mod harness;
mod identity;
mod issues;
mod live;
mod metrics;
mod operations;
mod pen;
mod records;
mod repo;
