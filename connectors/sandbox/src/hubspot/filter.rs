//! Filters and sort keys of a search, bound to a schema and evaluated against one view of a record.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::record::View;
use super::schema::{Derived, Property, PropertyId, PropertyType, Schema, Storage};
use super::time::parse_moment;

/// A value in the order in which the search engine compares it.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub(crate) enum Key<'v> {
    /// Ids and moments.
    Integer(i64),
    /// Numbers.
    Decimal(f64),
    /// Text, folded to lower case.
    Text(Cow<'v, str>),
}

impl Key<'_> {
    /// A total order; keys of one property are always of one kind.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        self.partial_cmp(other).unwrap_or(Ordering::Equal)
    }

    /// The key without its borrow.
    pub(crate) fn into_owned(self) -> Key<'static> {
        match self {
            Self::Integer(value) => Key::Integer(value),
            Self::Decimal(value) => Key::Decimal(value),
            Self::Text(text) => Key::Text(Cow::Owned(text.into_owned())),
        }
    }
}

/// The value of a property in a view, ready to compare.
pub(crate) fn key<'r>(view: &View<'r>, schema: &Schema, id: PropertyId) -> Option<Key<'r>> {
    let property = schema.get(id);
    match property.storage {
        Storage::Derived(Derived::ObjectId) => i64::try_from(view.id).ok().map(Key::Integer),
        Storage::Derived(Derived::Created) => Some(Key::Integer(view.record.created_ms)),
        Storage::Derived(Derived::Modified) => Some(Key::Integer(view.modified_ms)),
        Storage::Derived(_) => view.value(schema, id).and_then(|text| text_key(property, &text).map(Key::into_owned)),
        Storage::Writable | Storage::System => view.values.get(id).and_then(|text| text_key(property, text)),
    }
}

/// A text as a key of its property's kind; nothing where it is none.
fn text_key<'t>(property: &Property, text: &'t str) -> Option<Key<'t>> {
    match (property.kind, property.storage) {
        (_, Storage::Derived(Derived::ObjectId)) => text.parse().ok().map(Key::Integer),
        (PropertyType::Number, _) => text.parse().ok().map(Key::Decimal),
        (PropertyType::Date | PropertyType::DateTime, _) => parse_moment(text).map(Key::Integer),
        _ => Some(Key::Text(fold(text))),
    }
}

fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() && !text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.to_lowercase())
    }
}

/// The operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    /// Equal.
    Eq,
    /// There, and not equal.
    Neq,
    /// Less.
    Lt,
    /// Less or equal.
    Lte,
    /// Greater.
    Gt,
    /// Greater or equal.
    Gte,
    /// Within both bounds, which count.
    Between,
    /// Equal to one of several.
    In,
    /// There, and equal to none of several.
    NotIn,
    /// There.
    HasProperty,
    /// Not there.
    NotHasProperty,
    /// Contains a word, with `*` for any part of it.
    ContainsToken,
    /// Does not contain a word.
    NotContainsToken,
}

impl Operator {
    /// Every operator with its name on the wire.
    pub(crate) const ALL: [(&'static str, Self); 13] = [
        ("EQ", Self::Eq),
        ("NEQ", Self::Neq),
        ("LT", Self::Lt),
        ("LTE", Self::Lte),
        ("GT", Self::Gt),
        ("GTE", Self::Gte),
        ("BETWEEN", Self::Between),
        ("IN", Self::In),
        ("NOT_IN", Self::NotIn),
        ("HAS_PROPERTY", Self::HasProperty),
        ("NOT_HAS_PROPERTY", Self::NotHasProperty),
        ("CONTAINS_TOKEN", Self::ContainsToken),
        ("NOT_CONTAINS_TOKEN", Self::NotContainsToken),
    ];

    /// Reads the name on the wire.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, operator)| *operator)
    }
}

/// A filter bound to a property.
#[derive(Debug)]
pub(crate) struct Filter {
    property: PropertyId,
    test: Test,
}

/// What a filter asks.
#[derive(Debug)]
enum Test {
    Compare(fn(Ordering) -> bool, Key<'static>),
    Between(Key<'static>, Key<'static>),
    AnyOf { keys: Vec<Key<'static>>, wanted: bool },
    Present(bool),
    Token { pattern: String, wanted: bool },
}

/// The operands of a filter as they came.
#[derive(Debug, Default)]
pub(crate) struct Operands<'o> {
    /// `value`.
    pub(crate) value: Option<&'o str>,
    /// `highValue`.
    pub(crate) high: Option<&'o str>,
    /// `values`.
    pub(crate) values: &'o [String],
}

impl Filter {
    /// Binds a filter, or says what is wrong with it.
    pub(crate) fn bind(
        schema: &Schema,
        property: PropertyId,
        operator: Operator,
        operands: &Operands<'_>,
    ) -> Result<Self, String> {
        let definition = schema.get(property);
        let name = &definition.name;
        let parse = |text: &str| {
            text_key(definition, text).map(Key::into_owned).ok_or_else(|| {
                format!("Invalid value \"{text}\" for property {name} of type {}", definition.kind.as_str())
            })
        };
        let value = || operands.value.ok_or_else(|| format!("A value is required for the filter on {name}"));
        let test = match operator {
            Operator::Eq => Test::Compare(Ordering::is_eq, parse(value()?)?),
            Operator::Neq => Test::Compare(Ordering::is_ne, parse(value()?)?),
            Operator::Lt => Test::Compare(Ordering::is_lt, parse(value()?)?),
            Operator::Lte => Test::Compare(Ordering::is_le, parse(value()?)?),
            Operator::Gt => Test::Compare(Ordering::is_gt, parse(value()?)?),
            Operator::Gte => Test::Compare(Ordering::is_ge, parse(value()?)?),
            Operator::Between => {
                let high = operands.high.ok_or_else(|| format!("A highValue is required for the filter on {name}"))?;
                Test::Between(parse(value()?)?, parse(high)?)
            }
            Operator::In | Operator::NotIn => {
                if operands.values.is_empty() {
                    return Err(format!("Values are required for the filter on {name}"));
                }
                let keys: Result<_, _> = operands.values.iter().map(|text| listed(definition, text, &parse)).collect();
                Test::AnyOf { keys: keys?, wanted: operator == Operator::In }
            }
            Operator::HasProperty => Test::Present(true),
            Operator::NotHasProperty => Test::Present(false),
            Operator::ContainsToken | Operator::NotContainsToken => {
                Test::Token { pattern: value()?.to_lowercase(), wanted: operator == Operator::ContainsToken }
            }
        };
        Ok(Self { property, test })
    }

    /// Whether a view of a record passes.
    pub(crate) fn matches(&self, view: &View<'_>, schema: &Schema) -> bool {
        let found = key(view, schema, self.property);
        match (&self.test, found) {
            (Test::Present(wanted), found) => found.is_some() == *wanted,
            (Test::Token { wanted, .. }, None) => !wanted,
            (_, None) => false,
            (Test::Compare(accept, operand), Some(found)) => accept(found.order(operand)),
            (Test::Between(low, high), Some(found)) => found.order(low).is_ge() && found.order(high).is_le(),
            (Test::AnyOf { keys, wanted }, Some(found)) => {
                let multiple = schema.get(self.property).is_multiple();
                keys.iter().any(|operand| is_or_holds(&found, operand, multiple)) == *wanted
            }
            (Test::Token { pattern, wanted }, Some(Key::Text(text))) => contains_token(&text, pattern) == *wanted,
            (Test::Token { wanted, .. }, Some(_)) => !wanted,
        }
    }

    /// The least and greatest integers that can pass, where the filter bounds its property that way.
    pub(crate) fn bounds(&self, property: PropertyId) -> Option<(i64, i64)> {
        if self.property != property {
            return None;
        }
        match &self.test {
            Test::Compare(accept, Key::Integer(operand)) => {
                let low = if accept(Ordering::Less) { i64::MIN } else { *operand };
                let high = if accept(Ordering::Greater) { i64::MAX } else { *operand };
                Some((low, high))
            }
            Test::Between(Key::Integer(low), Key::Integer(high)) => Some((*low, *high)),
            _ => None,
        }
    }
}

/// An operand of `IN`: for text the engine folds what is stored but not what is asked, so that an
/// operand with capitals never matches.
fn listed(
    property: &Property,
    text: &str,
    parse: &impl Fn(&str) -> Result<Key<'static>, String>,
) -> Result<Key<'static>, String> {
    match property.kind {
        PropertyType::String | PropertyType::PhoneNumber => Ok(Key::Text(Cow::Owned(text.to_owned()))),
        _ => parse(text),
    }
}

fn is_or_holds(found: &Key<'_>, operand: &Key<'static>, multiple: bool) -> bool {
    match (found, operand) {
        (Key::Text(found), Key::Text(operand)) if multiple => found.split(';').any(|member| member == operand),
        _ => found.order(operand).is_eq(),
    }
}

/// Whether a folded text contains a word that fits the pattern. Words are the whole text, its parts
/// between spaces, and its parts between all other signs.
pub(crate) fn contains_token(text: &str, pattern: &str) -> bool {
    let words = text.split(|letter: char| !letter.is_alphanumeric());
    std::iter::once(text)
        .chain(text.split_whitespace())
        .chain(words.filter(|word| !word.is_empty()))
        .any(|word| fits(word, pattern))
}

/// Whether a word fits a pattern in which `*` stands for any run of letters.
fn fits(word: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| word.strip_prefix(first)) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::super::author::Author;
    use super::super::packed::Packed;
    use super::super::record::Record;
    use super::super::schema::ObjectKind;
    use super::super::standard::schema;
    use super::*;

    fn check(name: &str, operator: &str, value: &str) -> Result<bool, String> {
        let schema = schema(ObjectKind::Contacts);
        let id = |name: &str| schema.find(name).unwrap();
        let values = [(id("email"), "ann@example.com"), (id("firstname"), "Ann Änne"), (id("lifecyclestage"), "lead")];
        let mut record = Record::new(Packed::new(values), 1_000, Author::Import);
        record.modified_ms = 5_000;
        let values: Vec<String> = value.split('|').map(str::to_owned).collect();
        let high = values.get(1).map(String::as_str);
        let operands = Operands { value: Some(&values[0]), high, values: &values };
        let operator = Operator::parse(operator).unwrap();
        let filter = Filter::bind(&schema, id(name), operator, &operands)?;
        Ok(filter.matches(&View::current(151, &record), &schema))
    }

    #[test]
    fn filters_match_as_the_engine_does() {
        for (name, operator, value, expected) in [
            ("lastmodifieddate", "GTE", "5000", true),
            ("lastmodifieddate", "GT", "5000", false),
            ("lastmodifieddate", "LTE", "1970-01-01T00:00:05Z", true),
            ("lastmodifieddate", "BETWEEN", "4000|5000", true),
            ("hs_object_id", "GT", "99", true),
            ("hs_object_id", "GT", "151", false),
            ("hs_object_id", "IN", "7|151", true),
            ("firstname", "EQ", "ANN ÄNNE", true),
            ("firstname", "NEQ", "ann", true),
            ("lastname", "NEQ", "ann", false),
            ("lastname", "NOT_HAS_PROPERTY", "", true),
            ("email", "HAS_PROPERTY", "", true),
            ("email", "IN", "ann@example.com", true),
            ("email", "IN", "Ann@example.com", false),
            ("email", "NOT_IN", "bob@example.com", true),
            ("email", "CONTAINS_TOKEN", "*@example.com", true),
            ("email", "CONTAINS_TOKEN", "example", true),
            ("email", "CONTAINS_TOKEN", "exam", false),
            ("email", "CONTAINS_TOKEN", "exam*", true),
            ("firstname", "NOT_CONTAINS_TOKEN", "änne", false),
            ("lastname", "NOT_CONTAINS_TOKEN", "änne", true),
            ("hs_email_domain", "EQ", "example.com", true),
        ] {
            assert_eq!(check(name, operator, value), Ok(expected), "{name} {operator} {value}");
        }
    }

    #[test]
    fn operands_must_fit_the_property() {
        for (name, operator, value) in
            [("lastmodifieddate", "GTE", "soon"), ("hs_object_id", "EQ", "x"), ("createdate", "BETWEEN", "1")]
        {
            assert!(check(name, operator, value).is_err(), "{name} {operator} {value}");
        }
    }

    #[test]
    fn bounds_follow_the_operator() {
        let schema = schema(ObjectKind::Contacts);
        let modified = schema.find("lastmodifieddate").unwrap();
        for (operator, bounds) in [
            (Operator::Gte, Some((5, i64::MAX))),
            (Operator::Lt, Some((i64::MIN, 5))),
            (Operator::Eq, Some((5, 5))),
            (Operator::Neq, Some((i64::MIN, i64::MAX))),
            (Operator::HasProperty, None),
        ] {
            let operands = Operands { value: Some("5"), ..Operands::default() };
            let filter = Filter::bind(&schema, modified, operator, &operands).unwrap();
            assert_eq!(filter.bounds(modified), bounds);
        }
    }
}
