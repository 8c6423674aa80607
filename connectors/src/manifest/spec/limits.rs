//! How much may be called.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::manifest::words::{Path, Span};

/// How much may be called, and how answers tell of it.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The budgets.
    pub budgets: Vec<Budget>,
    /// Where refusals say how long to wait, beside `Retry-After`.
    pub wait: Vec<Hint>,
    /// Where answers, good ones too, ask that nothing be sent for a while.
    pub pause: Vec<Hint>,
    /// How many calls may be under way at once.
    #[schemars(range(min = 1, max = 16))]
    pub concurrent: u8,
    /// The share of all budgets that is left to the account's other integrations, in percent, where the integration does not
    /// set another.
    #[schemars(range(min = 0, max = 99))]
    pub reserve_percent: u8,
}

impl Default for Limits {
    fn default() -> Self {
        Self { budgets: Vec::new(), wait: Vec::new(), pause: Vec::new(), concurrent: 4, reserve_percent: 10 }
    }
}

/// A limit on calls.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Its name, for people and for rules.
    pub name: String,
    /// The most calls in the time.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub limit: u32,
    /// The time.
    pub per: Span,
    /// The setting by which an integration has another limit.
    #[serde(default)]
    pub setting: Option<String>,
    /// The calls that it counts; all where none are named.
    #[serde(default)]
    pub calls: Vec<CallKind>,
    /// The headers in which answers tell of it.
    #[serde(default)]
    pub headers: Option<BudgetHeaders>,
}

/// Kinds of calls that are counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallKind {
    /// Lists and reads by id.
    Read,
    /// Searches.
    Search,
    /// Writes.
    Write,
    /// Everything else.
    Other,
}

/// The headers in which answers tell of a budget.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetHeaders {
    /// How many calls are left; the first header that is there counts.
    pub remaining: Vec<String>,
    /// How many there are in all.
    #[serde(default)]
    pub limit: Vec<String>,
    /// When the count begins anew.
    #[serde(default)]
    pub reset: Option<String>,
    /// What the number in that header is.
    #[serde(default)]
    pub unit: Unit,
}

/// Where an answer says how long to wait: in a header or in its body.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hint {
    /// The header.
    #[serde(default)]
    pub header: Option<String>,
    /// The place in the body.
    #[serde(default)]
    pub path: Option<Path>,
    /// What the number is.
    #[serde(default)]
    pub unit: Unit,
}

/// What a number says of a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// So many seconds from now.
    #[default]
    S,
    /// So many milliseconds from now.
    Ms,
    /// So many minutes from now.
    M,
    /// At this second since 1970.
    EpochS,
    /// At this millisecond since 1970.
    EpochMs,
}
