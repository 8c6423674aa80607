//! The request headers that make a write safe to repeat or to race.

use axum::{
    extract::FromRequestParts,
    http::{HeaderValue, header, request::Parts},
};

use crate::http::problem::{Kind, Problem};

/// The version that `If-Match` demands, where it demands one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IfMatch(pub(crate) Option<u64>);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        match parts.headers.get(header::IF_MATCH) {
            None => Ok(Self(None)),
            Some(tag) => parse_tag(tag).map(Self).ok_or_else(|| {
                Problem::field(
                    Kind::Malformed,
                    "If-Match",
                    "must be `*` or the `ETag` of the record as it was read, such as `\"3\"`",
                )
            }),
        }
    }
}

/// `*` demands nothing but that the record exists, which every write does anyway.
fn parse_tag(tag: &HeaderValue) -> Option<Option<u64>> {
    let tag = tag.to_str().ok()?.trim();
    if tag == "*" {
        return Some(None);
    }
    tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok().map(Some)
}

/// The `Idempotency-Key` of a create, where the caller chose one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdempotencyKey(pub(crate) Option<String>);

impl IdempotencyKey {
    const LEN_MAX: usize = 255;
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get("idempotency-key") else { return Ok(Self(None)) };
        match value.to_str() {
            Ok(key) if !key.is_empty() && key.len() <= Self::LEN_MAX => Ok(Self(Some(key.to_owned()))),
            _ => Err(Problem::field(
                Kind::Malformed,
                "Idempotency-Key",
                format!("must be from 1 to {} visible ASCII characters, such as a UUID", Self::LEN_MAX),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_strong_tags_of_ours_and_the_star_are_read() {
        for (tag, expected) in [
            ("\"3\"", Some(Some(3))),
            (" \"3\" ", Some(Some(3))),
            ("*", Some(None)),
            ("3", None),
            ("W/\"3\"", None),
            ("\"3\", \"4\"", None),
            ("\"\"", None),
        ] {
            assert_eq!(parse_tag(&HeaderValue::from_static(tag)), expected, "{tag}");
        }
    }
}
