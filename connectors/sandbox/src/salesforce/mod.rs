//! The Salesforce emulator.

use std::sync::Arc;

use axum::Router;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};

use crate::admin::{AdminBackend, AdminError, StatePage, StateQuery};
use crate::faults::{FaultSpec, Faults};
use crate::ledger::Ledger;
use crate::people::Population;
use crate::sandbox::Parts;

/// The switches of this emulator.
pub const FAULTS: &[FaultSpec] = &[];

/// The emulated platform.
#[derive(Debug)]
pub struct SalesforceState {
    parts: Parts,
}

impl SalesforceState {
    /// A platform that holds its side of the population.
    #[must_use]
    pub fn new(parts: Parts, _people: &Population, _seed: u64) -> Self {
        Self { parts }
    }
}

/// The public API.
pub fn router(state: Arc<SalesforceState>) -> Router {
    let _ = state;
    Router::new()
}

impl AdminBackend for SalesforceState {
    fn ledger(&self) -> &Ledger {
        &self.parts.ledger
    }
    fn faults(&self) -> &Faults {
        &self.parts.faults
    }
    fn state(&self, query: &StateQuery) -> Result<StatePage, AdminError> {
        Err(AdminError::NotFound(query.object.clone()))
    }
    fn create(&self, _user: &str, object: &str, _fields: Map<String, Value>) -> Result<String, AdminError> {
        Err(AdminError::NotFound(object.to_owned()))
    }
    fn update(&self, _user: &str, object: &str, _id: &str, _fields: Map<String, Value>) -> Result<(), AdminError> {
        Err(AdminError::NotFound(object.to_owned()))
    }
    fn delete(&self, _user: &str, object: &str, _id: &str) -> Result<(), AdminError> {
        Err(AdminError::NotFound(object.to_owned()))
    }
    fn restore(&self, _user: &str, object: &str, _id: &str) -> Result<(), AdminError> {
        Err(AdminError::NotFound(object.to_owned()))
    }
    fn merge(&self, _user: &str, object: &str, _id: &str, _into: &str) -> Result<String, AdminError> {
        Err(AdminError::NotFound(object.to_owned()))
    }
    fn expire_tokens(&self) -> usize {
        0
    }
    fn flush(&self) -> BoxFuture<'_, Value> {
        Box::pin(async { Value::Null })
    }
}
