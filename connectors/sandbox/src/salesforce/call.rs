//! What every handler needs to know of a request that has passed the gate.

use std::sync::Arc;

use axum::http::HeaderMap;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::errors::ApiError;
use super::transaction::Caller;

/// The oldest and newest API versions that the org still serves.
const VERSIONS: std::ops::RangeInclusive<u32> = 21..=67;

/// The version in the path, such as `v60.0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    /// As written, for the addresses in answers.
    pub(crate) text: Arc<str>,
    /// The number before the point.
    pub(crate) major: u32,
}

impl Version {
    /// Reads `v60.0`; `None` for a version that is not served.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let major = text.strip_prefix('v')?.strip_suffix(".0")?.parse().ok()?;
        VERSIONS.contains(&major).then(|| Self { text: text.into(), major })
    }

    /// All versions served, oldest first.
    pub(crate) fn all() -> impl Iterator<Item = u32> {
        VERSIONS
    }
}

/// A request that has passed the gate.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) caller: Caller,
    pub(crate) version: Version,
    /// Method and route pattern, for the ledger.
    pub(crate) via: Arc<str>,
}

/// The query string's parameters in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads a query string.
    pub(crate) fn parse(query: Option<&str>) -> Self {
        let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self(pairs.into_owned().collect())
    }

    /// The first value under a name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether a flag is set.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The comma-separated members of a value.
    pub(crate) fn list(&self, name: &str) -> Option<Vec<&str>> {
        self.get(name).map(|value| value.split(',').map(str::trim).filter(|part| !part.is_empty()).collect())
    }
}

/// The segments of a path, decoded.
pub(crate) fn segments(path: &str) -> Vec<String> {
    let parts = path.split('/').filter(|part| !part.is_empty());
    parts.map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned()).collect()
}

/// Reads a JSON object.
pub(crate) fn json_object(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => {
            let token = if other.is_array() { "START_ARRAY" } else { "VALUE" };
            Err(ApiError::unreadable_body(format!("Can not deserialize SObject out of {token} token")))
        }
        Err(error) => Err(ApiError::unreadable_body(format!("Unexpected character or end of input: {error}"))),
    }
}

/// A header as text.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
