//! Everything an org holds: its tables, its users, and the transactions that are stamped but not yet committed.

use std::collections::HashMap;

use super::cell::Cell;
use super::schema::{Field, Schema};
use super::seed::SeedPlan;
use super::standard;
use super::table::{Cells, Row, Table};
use crate::clock::Micros;
use crate::ledger::{Event, Ledger};
use crate::people::People;

/// The place of an object type in [`Store::tables`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ObjectNo(pub(crate) usize);

/// One row to be put in place, or taken away.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) object: ObjectNo,
    pub(crate) number: u32,
    pub(crate) row: Option<Row>,
}

/// A transaction whose rows are stamped, and which nobody can see yet.
#[derive(Debug)]
pub(crate) struct Pending {
    /// Its number, for whoever waits for it.
    pub(crate) ticket: u64,
    pub(crate) commits_at: Micros,
    pub(crate) changes: Vec<Change>,
    pub(crate) events: Vec<Event>,
}

/// The org's data.
#[derive(Debug)]
pub(crate) struct Store {
    tables: Vec<Table>,
    users: HashMap<String, u32>,
    user_object: ObjectNo,
    pending: Vec<Pending>,
    next_ticket: u64,
    next_definition: u32,
    schema_changed: Micros,
}

impl Store {
    /// An org with one side of a population, loaded by its administrator.
    pub(crate) fn new(people: &People) -> Self {
        let tables: Vec<_> = standard::schemas().into_iter().map(|schema| table(schema, people)).collect();
        let user_object = tables.iter().position(|table| table.schema.name == "User").unwrap_or_default();
        let mut store = Self {
            tables,
            users: HashMap::new(),
            user_object: ObjectNo(user_object),
            pending: Vec::new(),
            next_ticket: 0,
            next_definition: 100,
            schema_changed: People::created(0),
        };
        // The first user has number 0, to whom the seeded rows are attributed.
        store.user("administrator", People::created(0));
        store
    }

    /// The object types in order.
    pub(crate) fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// An object type by name, without regard to case.
    pub(crate) fn object(&self, name: &str) -> Option<ObjectNo> {
        self.tables.iter().position(|table| table.schema.name.eq_ignore_ascii_case(name)).map(ObjectNo)
    }

    /// The table of an object type.
    pub(crate) fn table(&self, object: ObjectNo) -> &Table {
        &self.tables[object.0]
    }

    /// The table of an object type, to be changed.
    pub(crate) fn table_mut(&mut self, object: ObjectNo) -> &mut Table {
        &mut self.tables[object.0]
    }

    /// The number of a user by name, who is hired if there is none yet.
    pub(crate) fn user(&mut self, name: &str, now: Micros) -> u32 {
        if let Some(number) = self.users.get(name) {
            return *number;
        }
        let table = &mut self.tables[self.user_object.0];
        let number = table.reserve();
        let email =
            format!("{}@org.example", name.to_lowercase().replace(|letter: char| !letter.is_alphanumeric(), "."));
        let cells = [Cell::text(email.clone()), Cell::text(name), Cell::text(email), Cell::Bool(true)];
        let at = now.floor_to_second();
        let row = Row {
            created: at,
            created_by: number,
            modified: at,
            modified_by: number,
            stamp: at,
            deleted: None,
            master: None,
            cells: Cells::Own(Box::new(cells)),
        };
        table.set(number, Some(row));
        self.users.insert(name.to_owned(), number);
        number
    }

    /// A number for the definition of a custom field.
    pub(crate) fn next_definition(&mut self) -> u32 {
        self.next_definition += 1;
        self.next_definition
    }

    /// Adds a custom field.
    pub(crate) fn add_field(&mut self, object: ObjectNo, field: Field, now: Micros) {
        self.schema_changed = now.floor_to_second();
        self.table_mut(object).schema.add(field);
    }

    /// Takes a custom field away by the id of its definition. Returns whether there was one.
    pub(crate) fn remove_field(&mut self, definition: &str, now: Micros) -> bool {
        let removed = self.tables.iter_mut().any(|table| table.schema.remove(definition));
        if removed {
            self.schema_changed = now.floor_to_second();
        }
        removed
    }

    /// Hides a field from everybody, or shows it again. Returns whether there was one.
    pub(crate) fn set_visible(&mut self, object: ObjectNo, name: &str, visible: bool, now: Micros) -> bool {
        let done = self.table_mut(object).schema.set_visible(name, visible);
        if done {
            self.schema_changed = now.floor_to_second();
        }
        done
    }

    /// When an object type was last changed.
    pub(crate) fn schema_changed(&self) -> Micros {
        self.schema_changed
    }

    /// Keeps a transaction back until `commits_at`; the ticket tells when it is through.
    pub(crate) fn hold_back(&mut self, commits_at: Micros, changes: Vec<Change>, events: Vec<Event>) -> u64 {
        self.next_ticket += 1;
        self.pending.push(Pending { ticket: self.next_ticket, commits_at, changes, events });
        self.next_ticket
    }

    /// Whether a transaction is still held back.
    pub(crate) fn is_pending(&self, ticket: u64) -> bool {
        self.pending.iter().any(|pending| pending.ticket == ticket)
    }

    /// Commits every transaction whose time has come, in the order of their times. Returns how many.
    pub(crate) fn settle(&mut self, now: Micros, ledger: &Ledger) -> usize {
        self.settle_where(now, ledger, |pending| pending.commits_at <= now)
    }

    /// Commits every transaction. Returns how many.
    pub(crate) fn settle_all(&mut self, now: Micros, ledger: &Ledger) -> usize {
        self.settle_where(now, ledger, |_| true)
    }

    /// Commits the transactions that hold a lock on a row: whoever writes it next has waited for them.
    pub(crate) fn settle_row(&mut self, object: ObjectNo, number: u32, now: Micros, ledger: &Ledger) {
        self.settle_where(now, ledger, |pending| {
            pending.changes.iter().any(|change| change.object == object && change.number == number)
        });
    }

    /// Commits the transactions that touch an object type: whoever checks that a key is unique has waited for them.
    pub(crate) fn settle_object(&mut self, object: ObjectNo, now: Micros, ledger: &Ledger) {
        self.settle_where(now, ledger, |pending| pending.changes.iter().any(|change| change.object == object));
    }

    fn settle_where(&mut self, now: Micros, ledger: &Ledger, due: impl Fn(&Pending) -> bool) -> usize {
        if self.pending.is_empty() {
            return 0;
        }
        let (mut due, rest): (Vec<_>, Vec<_>) = self.pending.drain(..).partition(due);
        self.pending = rest;
        due.sort_by_key(|pending| (pending.commits_at, pending.ticket));
        let count = due.len();
        for pending in due {
            for change in pending.changes {
                self.tables[change.object.0].set(change.number, change.row);
            }
            for event in pending.events {
                ledger.append(Event { at_us: now, ..event });
            }
        }
        count
    }
}

fn table(schema: Schema, people: &People) -> Table {
    let seed = match schema.name {
        "Contact" => SeedPlan::contacts(&schema, people.clone()),
        "Account" => SeedPlan::accounts(&schema, people),
        _ => return Table::new(schema),
    };
    Table::seeded(schema, seed)
}
