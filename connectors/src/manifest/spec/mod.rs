//! The shape of a manifest, as types: decoding, the published JSON Schema and the checks of a file all follow them.
//!
//! # Layout
//!
//! * [`Spec`]: the whole. `request`: calls, and conditions on what comes back. `auth`, `errors`, `limits`, `webhook`: what holds
//!   for the whole provider. `object`: one kind of object; `field`: its fields; `read` and `write`: what is done with it.

mod auth;
mod errors;
mod field;
mod limits;
mod object;
mod read;
mod request;
mod webhook;
mod write;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

pub use self::{
    auth::{Alternative, Auth, Basic, Carrier, HeaderCarrier, QueryCarrier, Refresh, Rotation},
    errors::{Errors, FieldFault, HeaderCheck, Outcome, Rule, Status, Verb, When},
    field::{Access, Field, FieldType, Fields, ListedFields, Parts},
    limits::{Budget, BudgetHeaders, CallKind, Hint, Limits, Unit},
    object::{Aliases, DeletedMark, Etag, Id, IdKind, Object, Version},
    read::{ByIds, Deletes, Discover, Feed, Find, List, Many, One, Order, Paging, Token, Unpaged},
    request::{Check, OneOrMany, Request},
    webhook::{Algorithm, Encoding, Event, Received, Timestamp, Verify, Webhooks},
    write::{Key, Marker, Once, Write},
};
use super::words::{Paths, Template};

/// The version of the vocabulary that this build reads.
pub const VERSION: u32 = 1;

/// A manifest: what one provider's API is like.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// The version of this vocabulary: 1.
    #[schemars(range(min = 1, max = 1))]
    pub manifest: u32,
    /// The name that configuration uses: small letters, digits and dashes.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{0,39}$"), extend("format" = "provider"))]
    pub provider: String,
    /// The name that people use.
    #[schemars(length(min = 1, max = 80))]
    pub title: String,
    /// What an administrator has to know, for people.
    #[serde(default)]
    pub notes: String,
    /// Where the API is.
    pub connection: Connection,
    /// What an integration may set, by name; templates look it up as `{settings.NAME}`.
    #[serde(default)]
    pub settings: BTreeMap<String, Setting>,
    /// How calls are authorised, and how tokens are renewed.
    #[serde(default)]
    pub auth: Auth,
    /// Headers of every call.
    #[serde(default)]
    pub headers: BTreeMap<String, Template>,
    /// What errors mean.
    #[serde(default)]
    pub errors: Errors,
    /// How much may be called.
    #[serde(default)]
    pub limits: Limits,
    /// The cheapest authorised call.
    pub probe: Probe,
    /// The objects by their names.
    pub objects: BTreeMap<String, Object>,
    /// What the provider pushes.
    #[serde(default)]
    pub webhooks: Option<Webhooks>,
}

/// Where the API is. A connection's `base_url` may have a path, below which all calls go.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Connection {
    /// Where calls of connections go that name no address of their own. Without one, each connection names its own.
    pub base_url: Option<String>,
    /// The hosts that a connection may name: tokens go nowhere else. `*.example.com` is any host below it. Without any, a connection
    /// may name whatever host it is given, for servers that people run themselves.
    pub hosts: Vec<String>,
    /// An address as people should write it, for messages.
    pub example: Option<String>,
}

/// Something that an integration may set.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// What it is.
    #[serde(rename = "type")]
    pub ty: SettingType,
    /// Its value where nothing is set; without one, the setting must be given.
    #[serde(default)]
    pub default: Option<serde_json::Value>,
    /// The values that it may have; none: any.
    #[serde(default)]
    pub choices: Vec<String>,
    /// What it means, for people.
    #[serde(default)]
    pub about: String,
}

/// What a setting is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SettingType {
    /// A text.
    Text,
    /// A whole number.
    Number,
    /// True or false.
    Boolean,
}

/// The cheapest authorised call: it proves that the credentials work, and tells the provider's time by its `Date` header.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// The call.
    pub request: Request,
    /// Where the answer says who we are; without it, the host's name is shown.
    #[serde(default)]
    pub account: Paths,
    /// What the answer must show: where it does not, strangers are answered as well, and the token is to be renewed.
    #[serde(default)]
    pub must: Vec<Check>,
}
