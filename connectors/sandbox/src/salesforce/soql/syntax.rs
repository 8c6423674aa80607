//! The shape of a query, before its names are looked up.

use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::clock::Micros;

/// A whole query.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Query {
    pub(super) select: Select,
    pub(super) from: String,
    pub(super) filter: Option<Filter>,
    pub(super) order: Vec<Order>,
    pub(super) limit: Option<usize>,
    pub(super) offset: usize,
}

/// What a query asks for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Select {
    Items(Vec<Item>),
    /// `COUNT()`: the number of rows, and no rows.
    Count,
    Aggregates(Vec<Aggregate>),
}

/// One of the things to show for each record.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    Path(String),
    Group(FieldGroup),
}

/// The argument of `FIELDS()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldGroup {
    All,
    Standard,
    Custom,
}

/// An aggregate over all rows found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Aggregate {
    pub(super) function: AggregateFunction,
    pub(super) path: String,
    pub(super) alias: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AggregateFunction {
    Count,
    Min,
    Max,
}

/// A condition.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Filter {
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Box<Filter>),
    Compare { path: String, operator: Comparison, value: Literal },
    In { path: String, negated: bool, values: Vec<Literal> },
    Includes { path: String, negated: bool, values: Vec<String> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Like,
}

/// A value in a condition.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Text(String),
    Number(Decimal),
    Date(Date),
    DateTime(Micros),
    /// A span of days relative to today, such as `LAST_N_DAYS:7`.
    Days(DaySpan),
}

/// A span of whole days, counted from today (UTC): from `from` (inclusive) until `until` (exclusive).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DaySpan {
    pub(super) from: i64,
    pub(super) until: i64,
}

/// One sort key.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Order {
    pub(super) path: String,
    pub(super) descending: bool,
    pub(super) nulls_last: bool,
}
