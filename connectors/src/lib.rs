//! What Syncline knows of each provider's API.
//!
//! # Layout
//!
//! * [`connector`]: the trait family that the engine speaks to.
//! * [`registry`]: every provider by name, and how one is built from an integration's settings.
//! * [`http`]: the injected HTTP client; [`rest`]: the one driver over it.
//! * [`manifest`]: connectors that are written down in YAML.
//! * [`located`]: strict YAML files, whose every problem is told with its place.
//! * [`usage`]: what answers tell of a provider's budgets, beside the results of calls.
//! * [`salesforce`], [`hubspot`], [`github`], [`zendesk`]: a folder per provider, mostly pure pairs of "build the request" and
//!   "read the answer"; [`postgres`] speaks to databases in their own protocol.

pub mod connector;
pub mod github;
pub mod http;
pub mod hubspot;
pub mod located;
pub mod manifest;
pub mod postgres;
pub mod registry;
pub mod rest;
pub mod salesforce;
pub mod usage;
pub mod zendesk;
