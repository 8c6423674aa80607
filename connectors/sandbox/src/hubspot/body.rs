//! JSON bodies of requests.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::errors::ApiError;

/// The most inputs of a batch.
pub(crate) const INPUTS_MAX: usize = 100;

/// Reads a body, whatever its content type says.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| {
        ApiError::validation(format!(
            "Invalid input JSON on line {}, column {}: {}",
            error.line(),
            error.column(),
            without_position(&error.to_string())
        ))
    })
}

/// The reason without the position that serde appends to it.
fn without_position(reason: &str) -> &str {
    reason.rsplit_once(" at line ").map_or(reason, |(reason, _)| reason)
}

/// The `properties` of a single write.
pub(crate) fn properties(bytes: &[u8]) -> Result<Map<String, Value>, ApiError> {
    #[derive(serde::Deserialize)]
    struct Body {
        properties: Option<Map<String, Value>>,
    }
    let body: Body = parse(bytes)?;
    body.properties.ok_or_else(|| ApiError::json("Some required fields were not set: [properties]"))
}

/// Checks how many inputs a batch has.
pub(crate) fn check_count(count: usize) -> Result<(), ApiError> {
    match count {
        0 => Err(ApiError::json("Some required fields were not set: [inputs]")),
        1..=INPUTS_MAX => Ok(()),
        _ => Err(ApiError::validation(format!("The batch has {count} inputs; at most {INPUTS_MAX} are allowed"))),
    }
}

/// Refuses a batch that names one id twice.
pub(crate) fn check_distinct<'i>(ids: impl IntoIterator<Item = &'i str>) -> Result<(), ApiError> {
    let mut seen = std::collections::HashSet::new();
    let twice: Vec<&str> = ids.into_iter().filter(|id| !seen.insert(*id)).collect();
    if twice.is_empty() {
        return Ok(());
    }
    Err(ApiError::validation(format!("Duplicate IDs found in batch input: [{}]. IDs must be unique", twice.join(", "))))
}
