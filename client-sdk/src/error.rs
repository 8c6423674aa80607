//! How calls fail, one variant per remedy.

use serde::Deserialize;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address of the API cannot be used.
    #[error("`{url}` is not the address of an API: {reason}; write it like http://127.0.0.1:8080")]
    BadAddress {
        /// The address as given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The key holds characters that no header can carry.
    #[error("the API key or tenant holds characters that cannot be sent: use printable ASCII without spaces")]
    BadKey,
    /// The application's provider of tokens failed.
    #[error("no token was provided: {0}; check the provider that the client was built with")]
    Token(String),
    /// Nobody answered, or the answer was cut off. A read may be repeated; so may a create with the same idempotency key.
    #[error("{url} does not answer: {reason}; check that the server runs and that the address is right")]
    Unreachable {
        /// The address that was called.
        url: String,
        /// What the network said.
        reason: String,
    },
    /// The API refused the request and said why.
    #[error(transparent)]
    Refused(#[from] Problem),
    /// The answer is not what this client knows: most likely the server is of another version, or is no Syncline.
    #[error(
        "{url} answered something that this client does not understand: {reason}; check that both have the same version"
    )]
    Unexpected {
        /// The address that was called.
        url: String,
        /// What was not understood.
        reason: String,
    },
}

impl Error {
    /// The HTTP status, where the API answered with a problem.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(problem) => Some(problem.status),
            _ => None,
        }
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Token(_) => true,
            Self::Refused(problem) => matches!(problem.status, 429 | 500 | 502 | 503 | 504),
            Self::BadAddress { .. } | Self::BadKey | Self::Unexpected { .. } => false,
        }
    }
}

/// A problem as the API reports it (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Problem {
    /// A stable name of the kind of problem.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The kind in words.
    #[serde(default)]
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong and how to mend it.
    #[serde(default)]
    pub detail: String,
    /// The fields at fault.
    #[serde(default)]
    pub errors: Vec<FieldProblem>,
}

/// One field at fault.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct FieldProblem {
    /// The field of the body, or the query parameter.
    pub field: String,
    /// What is wrong with it and how to mend it.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words = if self.detail.is_empty() { &self.title } else { &self.detail };
        write!(f, "{words} (HTTP {})", self.status)?;
        self.errors
            .iter()
            .filter(|error| !self.detail.contains(&error.message))
            .try_for_each(|error| write!(f, "\n  {}: {}", error.field, error.message))
    }
}

impl std::error::Error for Problem {}
