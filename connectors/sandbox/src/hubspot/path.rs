//! The object type, and the id where there is one, in a request's path.

use axum::extract::{FromRequestParts, RawPathParams};
use http::StatusCode;
use http::request::Parts;

use super::errors::ApiError;
use super::record::RecordId;
use super::schema::{ObjectKind, PropertyId};
use super::table::Table;

/// The dated versions that are served next to v3.
const DATED_VERSIONS: [&str; 3] = ["2025-09", "2026-03", "2026-09"];

/// The version whose batches never answer 207.
const NO_MULTI_STATUS: &str = "2026-09";

/// What a path of the objects API names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectPath {
    /// The object type.
    pub(crate) kind: ObjectKind,
    /// The last segment of a path to one object; empty for the others.
    pub(crate) id: String,
    /// Whether a batch that failed in part answers 207. The newest version answers 200.
    pub(crate) multi_status: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for ObjectPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| ApiError::not_found())?;
        let find = |name: &str| params.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
        let version = find("version");
        if let Some(version) = version
            && !DATED_VERSIONS.contains(&version)
        {
            return Err(ApiError::new(
                StatusCode::NOT_FOUND,
                "OBJECT_NOT_FOUND",
                format!("There is no API version {version}; there are v3 and {}", DATED_VERSIONS.join(", ")),
            ));
        }
        let name = find("type").unwrap_or_default();
        let kind = ObjectKind::parse(name).ok_or_else(|| ApiError::unknown_type(name))?;
        Ok(Self { kind, id: find("id").unwrap_or_default().to_owned(), multi_status: version != Some(NO_MULTI_STATUS) })
    }
}

/// The property by which an id is meant: nothing for the record id.
pub(crate) fn id_property(table: &Table, name: Option<&str>) -> Result<Option<PropertyId>, ApiError> {
    let Some(name) = name.filter(|name| *name != "hs_object_id") else {
        return Ok(None);
    };
    let property = table
        .schema()
        .find(name)
        .ok_or_else(|| ApiError::validation(format!("The property {name} given as idProperty does not exist")))?;
    if table.schema().get(property).unique {
        Ok(Some(property))
    } else {
        Err(ApiError::validation(format!(
            "The property {name} given as idProperty must have unique values (hasUniqueValue)"
        )))
    }
}

/// The record that an id means, if there is one; the id may be a value of a unique property.
pub(crate) fn locate(table: &Table, id: &str, id_property_name: Option<&str>) -> Result<Option<RecordId>, ApiError> {
    match id_property(table, id_property_name)? {
        Some(property) => Ok(table.holder(property, id)),
        None => Ok(id.parse().ok()),
    }
}
