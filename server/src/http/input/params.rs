//! Query parameters: strict, so that a misspelt parameter is an error and not a silently larger answer.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    extract::{FromRequestParts, Query},
    http::{Uri, request::Parts},
};
use serde::{Deserialize, de::DeserializeOwned};
use syncline_core::time::Millis;
use url::form_urlencoded;

use crate::http::problem::{Kind, Problem};

/// The query parameters of a route.
pub(crate) struct Params<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        read(&parts.uri).map(Self)
    }
}

/// The query parameters of a route that also takes equality filters, written `filter[stage]=lead&filter[source]=web`.
pub(crate) struct Filtered<T> {
    /// The other parameters.
    pub(crate) params: T,
    /// The wanted value by field, as written.
    pub(crate) filter: BTreeMap<String, String>,
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Filtered<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let (filter, rest) = split(&parts.uri)?;
        Ok(Self { params: read(&rest)?, filter })
    }
}

fn read<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    let Query(params) = Query::try_from_uri(uri).map_err(|refused| malformed(&refused.body_text()))?;
    Ok(params)
}

/// Takes the filter out of a query; the rest stays to be read strictly.
fn split(uri: &Uri) -> Result<(BTreeMap<String, String>, Uri), Problem> {
    let mut filter = BTreeMap::new();
    let mut rest = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        match name.strip_prefix("filter[").and_then(|name| name.strip_suffix(']')) {
            None => drop(rest.append_pair(&name, &value)),
            Some(field) => {
                if filter.insert(field.to_owned(), value.into_owned()).is_some() {
                    return Err(Problem::field(Kind::Malformed, name, "is given twice: a field equals one value only"));
                }
            }
        }
    }
    let rest = format!("/?{}", rest.finish()).parse().map_err(|error| malformed(&format!("{error}")))?;
    Ok((filter, rest))
}

fn malformed(why: &str) -> Problem {
    let why = why.strip_prefix("Failed to deserialize query string: ").unwrap_or(why);
    Problem::new(Kind::Malformed, format!("the query cannot be read: {why}"))
}

/// How many items a page holds at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u32")]
pub(crate) struct PageSize(u32);

impl PageSize {
    /// The largest page.
    pub(crate) const MAX: u32 = 1_000;

    /// The size as a number.
    pub(crate) fn get(self) -> u32 {
        self.0
    }
}

impl Default for PageSize {
    fn default() -> Self {
        Self(100)
    }
}

impl TryFrom<u32> for PageSize {
    type Error = String;

    fn try_from(size: u32) -> Result<Self, String> {
        match size {
            1..=Self::MAX => Ok(Self(size)),
            _ => Err(format!("a page holds from 1 to {} items", Self::MAX)),
        }
    }
}

/// How long a long-poll waits at most, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u32")]
pub(crate) struct Wait(u32);

impl Wait {
    /// The longest wait, in seconds; proxies cut longer silences.
    pub(crate) const MAX: u32 = 60;

    /// The wait; `None` where the caller wants an answer at once.
    pub(crate) fn duration(self) -> Option<Duration> {
        (self.0 > 0).then(|| Duration::from_secs(u64::from(self.0)))
    }
}

impl TryFrom<u32> for Wait {
    type Error = String;

    fn try_from(seconds: u32) -> Result<Self, String> {
        match seconds {
            0..=Self::MAX => Ok(Self(seconds)),
            _ => Err(format!("a request waits from 0 to {} seconds", Self::MAX)),
        }
    }
}

/// An instant in a query, as RFC 3339 text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Instant(Millis);

impl From<Instant> for Millis {
    fn from(instant: Instant) -> Self {
        instant.0
    }
}

impl TryFrom<String> for Instant {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let timestamp: jiff::Timestamp = text.parse().map_err(|error| {
            format!("`{text}` is no time such as 2026-01-31T12:00:00Z ({error}); a `+` in a query is written %2B")
        })?;
        Ok(Self(Millis(timestamp.as_millisecond())))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Example {
        limit: PageSize,
        wait: Wait,
    }

    async fn read(query: &str, filtered: bool) -> Result<Filtered<Example>, Problem> {
        let (mut parts, ()) = Request::builder().uri(format!("/x?{query}")).body(()).unwrap().into_parts();
        if filtered {
            return Filtered::from_request_parts(&mut parts, &()).await;
        }
        let Params(params) = Params::from_request_parts(&mut parts, &()).await?;
        Ok(Filtered { params, filter: BTreeMap::new() })
    }

    #[tokio::test]
    async fn parameters_have_defaults_and_filters_are_taken_apart() {
        let Filtered { params, filter } = read("filter[stage]=a%26b&limit=7&filter%5Bx%5D=", true).await.unwrap();
        assert_eq!(params.limit.get(), 7);
        assert_eq!(params.wait.duration(), None);
        assert_eq!(filter, BTreeMap::from([("stage".into(), "a&b".into()), ("x".into(), String::new())]));
        assert_eq!(read("", false).await.unwrap().params.limit, PageSize::default());
    }

    #[tokio::test]
    async fn unknown_misplaced_and_out_of_range_parameters_are_refused_by_name() {
        for (query, filtered, says) in [
            ("limt=7", true, "unknown field `limt`, expected `limit` or `wait`"),
            ("limit=0", true, "limit: a page holds from 1 to 1000"),
            ("limit=1001", true, "limit: a page holds from 1 to 1000"),
            ("limit=ten", true, "limit: invalid digit"),
            ("wait=61", true, "wait: a request waits from 0 to 60"),
            ("filter[a]=1", false, "unknown field `filter[a]`"),
            ("filter[a]=1&filter[a]=2", true, "given twice"),
        ] {
            let Err(problem) = read(query, filtered).await else { panic!("{query} was taken") };
            assert_eq!(problem.kind(), Kind::Malformed, "{query}");
            assert!(problem.detail().contains(says), "{query}: {}", problem.detail());
        }
    }
}
