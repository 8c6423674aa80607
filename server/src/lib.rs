//! The server.

pub mod cli;
pub mod config;
pub mod demo;
pub mod engine;
pub mod failpoint;
pub mod http;
pub mod issues;
pub mod live;
pub mod metrics;
pub mod repo;
pub mod secrets;
pub mod service;
pub mod store;
