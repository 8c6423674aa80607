//! The query language, in the subset that clients of a sync use: select lists over links, conditions, order, limits and
//! plain aggregates. Subqueries, grouping and polymorphic selects are refused as malformed.

mod bind;
mod filter;
mod lexer;
mod parser;
mod project;
mod syntax;

use std::sync::Arc;

use serde_json::{Map, Value};

use self::filter::{Candidates, Condition};
use self::project::{Aggregated, Path};
use super::cell::Cell;
use super::errors::ApiError;
use super::schema::SystemField;
use super::store::{ObjectNo, Store};
use super::table::{Record, Table};
use crate::clock::Micros;

pub(crate) use self::project::Selection;

/// The longest query.
const QUERY_CHARACTERS_MAX: usize = 100_000;

/// A query that is ready to run.
#[derive(Debug)]
pub(crate) struct Prepared {
    object: ObjectNo,
    outcome: Outcome,
    condition: Option<Condition>,
    order: Vec<SortKey>,
    limit: Option<usize>,
    offset: usize,
}

#[derive(Debug)]
enum Outcome {
    Count,
    Aggregates(Vec<Aggregated>),
    Rows(Arc<Selection>),
}

#[derive(Debug)]
struct SortKey {
    path: Path,
    descending: bool,
    nulls_last: bool,
}

/// What a query found.
#[derive(Debug)]
pub(crate) enum Found {
    /// So many records, not shown.
    Count(usize),
    /// One row of aggregates.
    Aggregates(Map<String, Value>),
    /// These records, in order, to be shown so.
    Rows(Arc<Selection>, Vec<u32>),
}

/// Reads a query against the org's object types at a moment (which relative dates mean).
pub(crate) fn prepare(store: &Store, text: &str, now: Micros) -> Result<Prepared, ApiError> {
    if text.chars().count() > QUERY_CHARACTERS_MAX {
        return Err(ApiError::malformed_query("SOQL statements cannot be longer than 100000 characters."));
    }
    let query = parser::parse(text).map_err(ApiError::malformed_query)?;
    bind::bind(store, &query, now)
}

impl Prepared {
    /// Runs the query over the visible records, deleted ones included if asked for.
    pub(crate) fn run(&self, store: &Store, with_deleted: bool) -> Found {
        let found = self.find(store, with_deleted);
        match &self.outcome {
            Outcome::Count => Found::Count(found.len()),
            Outcome::Rows(selection) => Found::Rows(selection.clone(), found),
            Outcome::Aggregates(aggregates) => {
                let value = |one: &Aggregated| (one.alias.clone(), one.over(&found, self.object, store));
                Found::Aggregates(aggregates.iter().map(value).collect())
            }
        }
    }

    fn find(&self, store: &Store, with_deleted: bool) -> Vec<u32> {
        let table = store.table(self.object);
        let everything = Candidates::Stretch(filter::FIRST, filter::LAST);
        let candidates = self.condition.as_ref().map_or(everything, |condition| condition.candidates(table));
        let is_wanted = |record: &Record<'_>| {
            (with_deleted || record.row.deleted.is_none())
                && self.condition.as_ref().is_none_or(|condition| condition.holds(record, store))
        };
        let wanted = |number: &u32| table.record(*number).is_some_and(|record| is_wanted(&record));
        match candidates {
            Candidates::Stretch(from, to) => {
                let found = table.by_stamp(from, to).filter(wanted);
                if self.is_index_order() {
                    return self.cut(found);
                }
                self.sort(found.collect(), table, store)
            }
            Candidates::Numbers(numbers) => self.sort(numbers.into_iter().filter(wanted).collect(), table, store),
        }
    }

    /// Whether the index gives the records in the order asked for, so that a limit can stop early.
    fn is_index_order(&self) -> bool {
        let is = |key: &SortKey, field| !key.descending && key.path.is(field);
        match self.order.as_slice() {
            [stamp] => is(stamp, SystemField::SystemModstamp),
            [stamp, id, ..] => is(stamp, SystemField::SystemModstamp) && is(id, SystemField::Id),
            [] => false,
        }
    }

    /// Without an order the records come by their ids, as they usually do.
    fn sort(&self, mut found: Vec<u32>, table: &Table, store: &Store) -> Vec<u32> {
        found.sort_unstable();
        if !self.order.is_empty() {
            let keys = |number: &u32| -> Vec<Cell> {
                let record = table.record(*number);
                let cell = |key: &SortKey| record.as_ref().map_or(Cell::Null, |one| key.path.cell(one, store));
                self.order.iter().map(cell).collect()
            };
            let mut keyed: Vec<_> = found.into_iter().map(|number| (keys(&number), number)).collect();
            // The sort is stable, so equal keys stay in the order of their ids.
            keyed.sort_by(|(a, _), (b, _)| {
                let each = self.order.iter().zip(a.iter().zip(b));
                each.map(|(key, (a, b))| key.compare(a, b))
                    .find(|order| order.is_ne())
                    .unwrap_or(std::cmp::Ordering::Equal)
            });
            found = keyed.into_iter().map(|(_, number)| number).collect();
        }
        self.cut(found.into_iter())
    }

    fn cut(&self, found: impl Iterator<Item = u32>) -> Vec<u32> {
        found.skip(self.offset).take(self.limit.unwrap_or(usize::MAX)).collect()
    }
}

impl SortKey {
    fn compare(&self, a: &Cell, b: &Cell) -> std::cmp::Ordering {
        match (a.is_null(), b.is_null()) {
            (true, true) => std::cmp::Ordering::Equal,
            (true, false) | (false, true) => {
                let nulls_first = b.is_null().cmp(&a.is_null());
                if self.nulls_last { nulls_first.reverse() } else { nulls_first }
            }
            (false, false) => {
                let ascending = filter::order(&self.path, a, b);
                if self.descending { ascending.reverse() } else { ascending }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::{People, Population};

    /// How many records a query looks at, and how many it finds.
    fn cost(store: &Store, condition: &str) -> (usize, usize) {
        let soql = format!("SELECT Id FROM Contact WHERE {condition}");
        let prepared = prepare(store, &soql, Micros(0)).unwrap_or_else(|error| panic!("{condition}: {error:?}"));
        let table = store.table(prepared.object);
        let looked_at = match prepared.condition.as_ref().map(|condition| condition.candidates(table)) {
            Some(Candidates::Stretch(from, to)) => table.by_stamp(from, to).count(),
            Some(Candidates::Numbers(numbers)) => numbers.len(),
            None => 0,
        };
        (looked_at, prepared.find(store, false).len())
    }

    #[test]
    fn the_indexes_are_used() {
        let store = Store::new(&People::new(1, &Population::demo().sized(5_000, 0)));
        let table = store.table(store.object("Contact").unwrap());
        let (stamp, id) = ("2024-01-03T03:23:20Z", table.id(4_989));
        let email = table.live(3).unwrap().named("Email").as_text().unwrap().to_owned();
        for (condition, expected) in [
            (format!("Id = '{id}'"), (1, 1)),
            (format!("Email = '{email}'"), (1, 1)),
            (format!("SystemModstamp > {stamp}"), (0, 0)),
            (format!("SystemModstamp = {stamp}"), (3_000, 3_000)),
            (format!("SystemModstamp < {stamp}"), (2_000, 2_000)),
            (
                format!(
                    "SystemModstamp >= 2024-01-01T00:00:00Z AND ((SystemModstamp = {stamp} AND Id > '{id}') OR \
                     SystemModstamp > {stamp})"
                ),
                (7, 6),
            ),
            ("LastName != null AND SystemModstamp < 2024-01-01T00:00:37Z".to_owned(), (1, 1)),
        ] {
            assert_eq!(cost(&store, &condition), expected, "{condition}");
        }
    }
}
