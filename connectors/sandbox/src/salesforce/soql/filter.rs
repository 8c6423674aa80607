//! Whether a record meets a condition, and which records can be passed over without looking.

use std::cmp::Ordering;

use super::project::Path;
use super::syntax::Comparison;
use crate::clock::Micros;
use crate::salesforce::cell::{Cell, folded};
use crate::salesforce::id::RecordId;
use crate::salesforce::schema::{FieldType, SystemField};
use crate::salesforce::store::Store;
use crate::salesforce::table::{Place, Record, Table};

/// The ends of the index by stamp.
pub(super) const FIRST: Place = (Micros(i64::MIN), 0);
pub(super) const LAST: Place = (Micros(i64::MAX), u32::MAX);

/// A condition whose names are looked up.
#[derive(Debug, Clone)]
pub(super) enum Condition {
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
    Compare { path: Path, operator: Comparison, value: Cell },
    Span { path: Path, operator: Comparison, span: Span },
    In { path: Path, negated: bool, values: Vec<Cell> },
    Includes { path: Path, negated: bool, values: Vec<String> },
}

/// A span of time: `from` is inside, `until` is not.
#[derive(Debug, Clone)]
pub(super) struct Span {
    pub(super) from: Cell,
    pub(super) until: Cell,
}

/// The records that a condition can be true of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Candidates {
    /// Those in this stretch of the index by stamp, both ends inside.
    Stretch(Place, Place),
    /// These, in no order.
    Numbers(Vec<u32>),
}

impl Condition {
    /// Whether a record meets it.
    pub(super) fn holds(&self, record: &Record<'_>, store: &Store) -> bool {
        match self {
            Self::And(parts) => parts.iter().all(|part| part.holds(record, store)),
            Self::Or(parts) => parts.iter().any(|part| part.holds(record, store)),
            Self::Not(inner) => !inner.holds(record, store),
            Self::Compare { path, operator, value } => compares(path, *operator, &path.cell(record, store), value),
            Self::Span { path, operator, span } => in_span(&path.cell(record, store), *operator, span),
            Self::In { path, negated, values } => {
                let cell = path.cell(record, store);
                values.iter().any(|value| equal(path, &cell, value)) != *negated
            }
            Self::Includes { path, negated, values } => includes(&path.cell(record, store), values) != *negated,
        }
    }

    /// A superset of the records that meet it, as small as the indexes allow.
    pub(super) fn candidates(&self, table: &Table) -> Candidates {
        match self.numbers(table) {
            Some(numbers) => Candidates::Numbers(numbers),
            None => {
                let (from, to) = self.stretch();
                Candidates::Stretch(from, to)
            }
        }
    }

    fn numbers(&self, table: &Table) -> Option<Vec<u32>> {
        match self {
            Self::And(parts) => parts.iter().find_map(|part| part.numbers(table)),
            Self::Compare { path, operator: Comparison::Equal, value } => {
                numbers_of(path, std::slice::from_ref(value), table)
            }
            Self::In { path, negated: false, values } => numbers_of(path, values, table),
            _ => None,
        }
    }

    /// The stretch of the index outside of which it cannot be true.
    fn stretch(&self) -> (Place, Place) {
        match self {
            Self::And(parts) => {
                let (from, to) = parts.iter().map(Self::stretch).fold((FIRST, LAST), intersection);
                // Within one second the ids decide, as in the keyset `stamp = t AND Id > x`.
                let above = parts.iter().filter_map(Self::first_number).max().filter(|_| from.0 == to.0);
                (above.map_or(from, |number| from.max((from.0, number))), to)
            }
            Self::Or(parts) => {
                let some = parts.iter().map(Self::stretch).filter(|(from, to)| from <= to);
                some.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or((LAST, FIRST))
            }
            Self::Compare { path, operator, value: Cell::DateTime(at) } if path.is(SystemField::SystemModstamp) => {
                let (before, after) = (Micros(at.0.saturating_sub(1)), Micros(at.0.saturating_add(1)));
                match operator {
                    Comparison::Equal => ((*at, 0), (*at, u32::MAX)),
                    Comparison::Less => (FIRST, (before, u32::MAX)),
                    Comparison::LessOrEqual => (FIRST, (*at, u32::MAX)),
                    Comparison::Greater => ((after, 0), LAST),
                    Comparison::GreaterOrEqual => ((*at, 0), LAST),
                    Comparison::NotEqual | Comparison::Like => (FIRST, LAST),
                }
            }
            _ => (FIRST, LAST),
        }
    }

    /// The first number that a condition such as `Id > x` allows.
    fn first_number(&self) -> Option<u32> {
        match self {
            Self::Compare { path, operator: Comparison::Greater | Comparison::GreaterOrEqual, value }
                if path.is(SystemField::Id) =>
            {
                value.as_text().and_then(RecordId::parse).map(|id| id.number)
            }
            _ => None,
        }
    }
}

fn intersection(a: (Place, Place), b: (Place, Place)) -> (Place, Place) {
    (a.0.max(b.0), a.1.min(b.1))
}

/// The records with one of `values` in an indexed field; `None` if the field has no index.
fn numbers_of(path: &Path, values: &[Cell], table: &Table) -> Option<Vec<u32>> {
    if !path.hops.is_empty() || values.iter().any(Cell::is_null) {
        return None;
    }
    let field = &path.field;
    let texts = || values.iter().filter_map(Cell::as_text);
    let mut numbers: Vec<u32> = if path.is(SystemField::Id) {
        let ids = texts().filter_map(RecordId::parse);
        ids.filter(|id| id.prefix == table.schema.prefix).map(|id| id.number).collect()
    } else if field.key.is_external() || field.key.is_unique() {
        values.iter().flat_map(|value| table.holders(field, value)).copied().collect()
    } else if field.kind == FieldType::Email {
        texts().flat_map(|email| table.maybe_by_email(email)).collect()
    } else {
        return None;
    };
    numbers.sort_unstable();
    numbers.dedup();
    Some(numbers)
}

fn compares(path: &Path, operator: Comparison, cell: &Cell, value: &Cell) -> bool {
    match operator {
        Comparison::Equal => equal(path, cell, value),
        Comparison::NotEqual => !equal(path, cell, value),
        Comparison::Like => match (cell.as_text(), value.as_text()) {
            (Some(text), Some(pattern)) => like(text, pattern),
            _ => false,
        },
        _ if cell.is_null() => false,
        Comparison::Less => order(path, cell, value).is_lt(),
        Comparison::LessOrEqual => order(path, cell, value).is_le(),
        Comparison::Greater => order(path, cell, value).is_gt(),
        Comparison::GreaterOrEqual => order(path, cell, value).is_ge(),
    }
}

fn is_exact(path: &Path) -> bool {
    path.field.key.is_case_sensitive() || matches!(path.field.kind, FieldType::Id | FieldType::Reference { .. })
}

fn equal(path: &Path, cell: &Cell, value: &Cell) -> bool {
    // An empty text in a query means null, as it does in a write.
    let is_blank = |cell: &Cell| cell.is_null() || cell.as_text() == Some("");
    match (cell, value) {
        (cell, value) if is_blank(value) => is_blank(cell),
        (Cell::Text(a), Cell::Text(b)) if !is_exact(path) => folded(a).eq(folded(b)),
        (a, b) => a == b,
    }
}

/// The order of two values of a field; ids by their characters, other texts without regard to case.
pub(super) fn order(path: &Path, a: &Cell, b: &Cell) -> Ordering {
    match (a, b) {
        (Cell::Text(a), Cell::Text(b)) if is_exact(path) => a.cmp(b),
        (a, b) => a.order(b),
    }
}

fn in_span(cell: &Cell, operator: Comparison, span: &Span) -> bool {
    if cell.is_null() {
        return operator == Comparison::NotEqual;
    }
    let before = cell.order(&span.from).is_lt();
    let after = cell.order(&span.until).is_ge();
    match operator {
        Comparison::Equal => !before && !after,
        Comparison::NotEqual => before || after,
        Comparison::Less => before,
        Comparison::LessOrEqual => !after,
        Comparison::Greater => after,
        Comparison::GreaterOrEqual => !before,
        Comparison::Like => false,
    }
}

/// Each wanted text is a set of values joined by semicolons, all of which must be there; any of the texts will do.
fn includes(cell: &Cell, wanted: &[String]) -> bool {
    let held: Vec<_> = cell.as_text().unwrap_or_default().split(';').collect();
    let has = |value: &str| held.iter().any(|held| folded(held).eq(folded(value.trim())));
    wanted.iter().any(|set| set.split(';').all(has))
}

/// `%` stands for any text, `_` for any character, and a backslash before them for themselves.
fn like(text: &str, pattern: &str) -> bool {
    enum Part {
        Any,
        One,
        Letter(char),
    }
    let mut parts = Vec::new();
    let mut letters = folded(pattern);
    while let Some(letter) = letters.next() {
        parts.push(match letter {
            '%' => Part::Any,
            '_' => Part::One,
            '\\' => Part::Letter(letters.next().unwrap_or('\\')),
            other => Part::Letter(other),
        });
    }
    let text: Vec<char> = folded(text).collect();
    // Greedy with one point to return to: linear for one wildcard, never worse than the product of the lengths.
    let (mut at, mut part, mut back) = (0, 0, None);
    while at < text.len() {
        match parts.get(part) {
            Some(Part::Any) => {
                back = Some((part + 1, at));
                part += 1;
            }
            Some(Part::One) => (at, part) = (at + 1, part + 1),
            Some(Part::Letter(letter)) if *letter == text[at] => (at, part) = (at + 1, part + 1),
            _ => match back {
                Some((after, from)) => {
                    back = Some((after, from + 1));
                    (part, at) = (after, from + 1);
                }
                None => return false,
            },
        }
    }
    parts[part..].iter().all(|part| matches!(part, Part::Any))
}

#[cfg(test)]
mod tests {
    use super::like;

    #[test]
    fn wildcards() {
        for (text, pattern, matches) in [
            ("Ann Lee", "ann%", true),
            ("Ann Lee", "%lee", true),
            ("Ann Lee", "%n%e%", true),
            ("Ann", "A_n", true),
            ("Ann", "A_", false),
            ("Ann", "%", true),
            ("", "%%", true),
            ("", "_", false),
            ("50% off", r"50\%%", true),
            ("50 off", r"50\%%", false),
            ("aaab", "%ab", true),
            ("ÀÉ", "à_", true),
        ] {
            assert_eq!(like(text, pattern), matches, "{text} LIKE {pattern}");
        }
    }
}
