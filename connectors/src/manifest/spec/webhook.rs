//! What a provider pushes.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Check;
use crate::manifest::words::{Format, Path, Paths, Span, Template};

/// What a provider pushes. Values in it are never used: each event only says "look".
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhooks {
    /// How a delivery is known to be genuine.
    pub verify: Verify,
    /// What its body is.
    #[serde(default)]
    pub body: Received,
    /// Where the body holds its events: a list, or one object.
    #[serde(default = "Path::whole")]
    pub events: Path,
    /// What an event says; the first that fits counts, and what fits none is passed over.
    #[schemars(length(min = 1, max = 100))]
    pub event: Vec<Event>,
}

/// How a delivery is known to be genuine.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// How it is signed.
    pub algorithm: Algorithm,
    /// The header that holds the signature, or the secret itself.
    #[serde(default)]
    pub header: Option<String>,
    /// The parameter of the address that holds it.
    #[serde(default)]
    pub query: Option<String>,
    /// What stands before the signature in the header, such as `sha256=`.
    #[serde(default)]
    pub prefix: String,
    /// How the signature is written.
    #[serde(default)]
    pub encoding: Encoding,
    /// How the secret is written where it is given.
    #[serde(default)]
    pub secret: Encoding,
    /// What is signed: it looks up `{payload}`, `{timestamp}`, `{method}`, `{url}`.
    #[serde(default = "payload")]
    pub message: Template,
    /// When it was signed.
    #[serde(default)]
    pub timestamp: Option<Timestamp>,
}

fn payload() -> Template {
    // The text is a template: the tests of this folder read it.
    Template::parse("{payload}").unwrap_or_else(|error| unreachable!("{error}"))
}

/// How a delivery is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// HMAC with SHA-256.
    HmacSha256,
    /// HMAC with SHA-512.
    HmacSha512,
    /// Not at all: the secret itself comes along, in a header or in the address.
    Secret,
}

/// How bytes are written as text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// As they are.
    #[default]
    Text,
    /// In hexadecimal digits.
    Hex,
    /// In Base64.
    Base64,
}

/// When a delivery was signed; older ones are refused as replays.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Timestamp {
    /// The header.
    pub header: String,
    /// How it is spelled.
    #[serde(default)]
    pub format: Format,
    /// How old it may be.
    #[serde(default = "five_minutes")]
    pub max_age: Span,
}

fn five_minutes() -> Span {
    Span::from_ms(300_000)
}

/// What a delivery's body is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Received {
    /// JSON.
    #[default]
    Json,
    /// A form, of which each name is a key.
    Form,
}

/// What an event says.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Which events are meant: all hold.
    #[serde(default)]
    pub when: Vec<Check>,
    /// The object's name, as `objects` has it.
    pub object: String,
    /// Where the event has the object's id; of a list, each is meant.
    pub id: Paths,
    /// What two deliveries of one event have in common, made of the event as `{row}`; its whole body if nothing is given.
    #[serde(default)]
    pub dedupe: Option<Template>,
    /// Where the event names the account, where one address receives those of several.
    #[serde(default)]
    pub account: Option<Path>,
}
