//! How calls are authorised, and how tokens are renewed.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Request, When};
use crate::manifest::words::{Format, Path, Span, Template};

/// How calls are authorised. The token is the connection's `access_token`; `name:password` where the API wants both.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// How the token goes with each call.
    pub send: Carrier,
    /// Other ways, by what the token looks like; the first that fits counts.
    pub or: Vec<Alternative>,
    /// How a new token is fetched. Without it tokens last until somebody replaces them.
    pub refresh: Option<Refresh>,
}

/// How a token goes with a call.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Carrier {
    /// `Authorization: Bearer …`.
    #[default]
    Bearer,
    /// Not at all.
    None,
    /// `Authorization: Basic …`, of the token or of what is made of it.
    Basic(Basic),
    /// A header.
    Header(HeaderCarrier),
    /// A parameter of the address.
    Query(QueryCarrier),
}

/// Name and password.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    /// The name, a colon and the password, such as `{token}` or `{token}:X`.
    pub credentials: Template,
}

/// A header that holds the token.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderCarrier {
    /// Its name.
    pub name: String,
    /// Its value; `{token}` if nothing else is given.
    #[serde(default)]
    pub value: Option<Template>,
}

/// A parameter of the address that holds the token.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QueryCarrier {
    /// Its name.
    pub name: String,
}

/// Another way, for tokens that look so.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alternative {
    /// A part of such tokens.
    pub contains: String,
    /// How they go with each call.
    pub send: Carrier,
}

/// How a new token is fetched: by a refresh token, by the client's credentials, or by logging in.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// The call. What it looks up must be there: without a `{refresh_token}` a person has to authorise again.
    pub request: Request,
    /// Where the call goes, if not to the connection's own address: a scheme and host.
    #[serde(default)]
    pub base_url: Option<String>,
    /// What becomes of the refresh token.
    #[serde(default)]
    pub rotation: Rotation,
    /// Where the answer holds the access token.
    #[serde(default = "access_token")]
    pub access_token: Path,
    /// Where the answer holds the new refresh token.
    #[serde(default = "refresh_token")]
    pub refresh_token: Path,
    /// Where the answer says for how many seconds the token is good.
    #[serde(default = "expires_in")]
    pub expires_in: Path,
    /// Where the answer says until when the token is good.
    #[serde(default)]
    pub expires_at: Option<Path>,
    /// How that time is spelled.
    #[serde(default)]
    pub format: Format,
    /// How long a token is good where the answer does not say.
    #[serde(default)]
    pub lasts: Option<Span>,
    /// Where the answer names the address of data calls.
    #[serde(default)]
    pub address: Option<Path>,
    /// Answers after which a person has to authorise again; the code `invalid_grant` is always one.
    #[serde(default)]
    pub dead: Vec<When>,
}

/// What becomes of the refresh token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rotation {
    /// It stays; one in the answer is passed over.
    Never,
    /// The answer may bring another.
    #[default]
    Optional,
    /// The answer brings another, and the old one is good no more: an answer without one is an error.
    Always,
}

fn access_token() -> Path {
    Path::key("access_token")
}

fn refresh_token() -> Path {
    Path::key("refresh_token")
}

fn expires_in() -> Path {
    Path::key("expires_in")
}
