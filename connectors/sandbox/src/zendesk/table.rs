//! The objects of one type, findable by what is unique and by when they changed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use serde_json::{Map, Value};

use super::kind::{Id, Kind};
use super::time::seconds;
use crate::clock::Micros;

/// Whether an object is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// It is.
    Live,
    /// It was deleted: restorable if it is a ticket.
    Deleted {
        /// When.
        at: Micros,
        /// By whom.
        by: Id,
    },
    /// What it held is gone for good.
    Scrubbed,
}

/// One object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// When it was made.
    pub(crate) created: Micros,
    /// When somebody last changed what a client can see.
    pub(crate) updated: Micros,
    /// When anything last touched it; exports go by it.
    pub(crate) generated: Micros,
    /// Whether it is there.
    pub(crate) life: Life,
    /// The values by attribute; what is empty is absent.
    pub(crate) values: Map<String, Value>,
    /// A user's further addresses, with the ids of their identities.
    pub(crate) addresses: Vec<(Id, String)>,
}

impl Row {
    /// A new object.
    pub(crate) fn new(at: Micros, values: Map<String, Value>) -> Self {
        Self { created: at, updated: at, generated: at, life: Life::Live, values, addresses: Vec::new() }
    }

    /// Whether it is there.
    pub(crate) fn is_live(&self) -> bool {
        self.life == Life::Live
    }

    /// A value, null where there is none.
    pub(crate) fn get(&self, name: &str) -> &Value {
        self.values.get(name).unwrap_or(&Value::Null)
    }

    /// A text value, empty where there is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.get(name).as_str().unwrap_or_default()
    }

    /// Sets or, with null, clears a value.
    pub(crate) fn set(&mut self, name: &str, value: Value) {
        if value.is_null() {
            self.values.remove(name);
        } else {
            self.values.insert(name.to_owned(), value);
        }
    }

    fn emails(&self) -> impl Iterator<Item = String> {
        let further = self.addresses.iter().map(|(_, address)| address.clone());
        Some(self.text("email").to_owned()).into_iter().chain(further).filter(|address| !address.is_empty())
    }
}

/// The objects of one type.
#[derive(Debug)]
pub(crate) struct Table {
    kind: Kind,
    rows: BTreeMap<Id, Row>,
    /// By second of the last touch, then by id: the order of exports.
    touched: BTreeSet<(i64, Id)>,
    /// Live objects by external id without regard to case.
    external: HashMap<String, BTreeSet<Id>>,
    /// Live users by address.
    emails: HashMap<String, Id>,
    /// Live organisations by name without regard to case.
    names: HashMap<String, Id>,
    next_id: Id,
    /// The step between ids; those of tickets are counted, the others leave gaps.
    step: Id,
}

impl Table {
    /// No objects yet; ids begin at `first`.
    pub(crate) fn new(kind: Kind, first: Id, step: Id) -> Self {
        Self {
            kind,
            rows: BTreeMap::new(),
            touched: BTreeSet::new(),
            external: HashMap::new(),
            emails: HashMap::new(),
            names: HashMap::new(),
            next_id: first,
            step,
        }
    }

    /// A fresh id.
    pub(crate) fn fresh_id(&mut self) -> Id {
        let id = self.next_id;
        self.next_id += self.step;
        id
    }

    /// An object, whatever its life.
    pub(crate) fn get(&self, id: Id) -> Option<&Row> {
        self.rows.get(&id)
    }

    /// An object that is there.
    pub(crate) fn live(&self, id: Id) -> Option<&Row> {
        self.get(id).filter(|row| row.is_live())
    }

    /// Every object from an id on, in the order of the ids.
    pub(crate) fn from(&self, first: Id) -> impl DoubleEndedIterator<Item = (Id, &Row)> {
        self.rows.range(first..).map(|(id, row)| (*id, row))
    }

    /// Every object.
    pub(crate) fn all(&self) -> impl DoubleEndedIterator<Item = (Id, &Row)> {
        self.from(0)
    }

    /// The objects touched after a place in the order of exports, up to a second (inclusive).
    pub(crate) fn touched_after(&self, after: Bound<(i64, Id)>, until: i64) -> impl Iterator<Item = ((i64, Id), &Row)> {
        let range = self.touched.range((after, Bound::Unbounded)).take_while(move |(second, _)| *second <= until);
        range.filter_map(|place| Some((*place, self.rows.get(&place.1)?)))
    }

    /// The live objects with an external id, without regard to case.
    pub(crate) fn by_external_id(&self, text: &str) -> impl Iterator<Item = Id> {
        self.external.get(&text.to_lowercase()).into_iter().flatten().copied()
    }

    /// The live user with an address.
    pub(crate) fn by_email(&self, address: &str) -> Option<Id> {
        self.emails.get(&address.to_lowercase()).copied()
    }

    /// The live organisation with a name.
    pub(crate) fn by_name(&self, name: &str) -> Option<Id> {
        self.names.get(&name.trim().to_lowercase()).copied()
    }

    /// Puts an object in the place of what was there, and returns that.
    pub(crate) fn put(&mut self, id: Id, row: Row) -> Option<Row> {
        let old = self.rows.remove(&id);
        if let Some(old) = &old {
            self.forget(id, old);
        }
        self.touched.insert((seconds(row.generated), id));
        if row.is_live() {
            if let Some(external) = row.get("external_id").as_str() {
                self.external.entry(external.to_lowercase()).or_default().insert(id);
            }
            if self.kind == Kind::Users {
                for address in row.emails() {
                    self.emails.insert(address, id);
                }
            }
            if self.kind == Kind::Organizations {
                self.names.insert(row.text("name").to_lowercase(), id);
            }
        }
        self.rows.insert(id, row);
        old
    }

    fn forget(&mut self, id: Id, row: &Row) {
        self.touched.remove(&(seconds(row.generated), id));
        if let Some(external) = row.get("external_id").as_str()
            && let Some(holders) = self.external.get_mut(&external.to_lowercase())
        {
            holders.remove(&id);
            if holders.is_empty() {
                self.external.remove(&external.to_lowercase());
            }
        }
        for address in row.emails() {
            if self.emails.get(&address) == Some(&id) {
                self.emails.remove(&address);
            }
        }
        let name = row.text("name").to_lowercase();
        if self.names.get(&name) == Some(&id) {
            self.names.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(at: i64, values: Value) -> Row {
        Row::new(Micros::from_seconds(at), values.as_object().unwrap().clone())
    }

    #[test]
    fn what_is_unique_is_found_while_it_lives() {
        let mut users = Table::new(Kind::Users, 10, 3);
        assert_eq!((users.fresh_id(), users.fresh_id()), (10, 13));
        let ann = Row {
            addresses: vec![(1, "second@b.c".into())],
            ..row(5, json!({"email": "ann@b.c", "external_id": "X1"}))
        };
        users.put(10, ann.clone());
        assert_eq!((users.by_email("Ann@b.c"), users.by_email("second@b.c")), (Some(10), Some(10)));
        assert_eq!(users.by_external_id("x1").collect::<Vec<_>>(), [10]);
        users.put(10, Row { life: Life::Deleted { at: Micros(0), by: 1 }, ..ann });
        assert_eq!((users.by_email("ann@b.c"), users.by_external_id("x1").next()), (None, None));
        assert!(users.live(10).is_none() && users.get(10).is_some());
    }

    #[test]
    fn exports_go_by_the_second_and_then_by_id() {
        let mut tickets = Table::new(Kind::Tickets, 1, 1);
        for (id, at) in [(1, 9), (2, 5), (3, 9), (4, 12)] {
            tickets.put(id, row(at, json!({})));
        }
        let places = |after, until| tickets.touched_after(after, until).map(|(place, _)| place).collect::<Vec<_>>();
        assert_eq!(places(Bound::Included((0, 0)), 9), [(5, 2), (9, 1), (9, 3)]);
        assert_eq!(places(Bound::Excluded((9, 1)), 99), [(9, 3), (12, 4)]);
    }
}
