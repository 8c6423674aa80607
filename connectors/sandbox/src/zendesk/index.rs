//! The search index, which trails the objects.

use std::collections::{BTreeMap, HashMap};

use super::kind::{Id, Kind};
use super::table::Row;
use crate::clock::Micros;

/// What searches see.
#[derive(Debug, Default)]
pub(crate) struct SearchIndex {
    images: BTreeMap<(Kind, Id), Row>,
    /// By the time at which it shows, and by order of arrival.
    late: BTreeMap<(Micros, u64), (Kind, Id)>,
    /// The newest image of each object that waits.
    newest: HashMap<(Kind, Id), Row>,
    arrivals: u64,
}

impl SearchIndex {
    /// Shows an object as it is now, or later where `due` says so.
    pub(crate) fn put(&mut self, kind: Kind, id: Id, row: &Row, due: Option<Micros>) {
        match due {
            Some(due) => {
                self.arrivals += 1;
                self.late.insert((due, self.arrivals), (kind, id));
                self.newest.insert((kind, id), row.clone());
            }
            // What is on its way would show an older image.
            None if self.newest.contains_key(&(kind, id)) => {
                self.newest.insert((kind, id), row.clone());
            }
            None => self.show(kind, id, row.clone()),
        }
    }

    fn show(&mut self, kind: Kind, id: Id, row: Row) {
        if row.is_live() {
            self.images.insert((kind, id), row);
        } else {
            self.images.remove(&(kind, id));
        }
    }

    /// Shows what is due.
    pub(crate) fn advance(&mut self, now: Micros) {
        while let Some(first) = self.late.first_entry()
            && first.key().0 <= now
        {
            let (kind, id) = first.remove();
            if let Some(row) = self.newest.remove(&(kind, id)) {
                self.show(kind, id, row);
            }
        }
    }

    /// The objects of one type as the index has them.
    pub(crate) fn of(&self, kind: Kind) -> impl Iterator<Item = (Id, &Row)> {
        self.images.range((kind, 0)..=(kind, Id::MAX)).map(|((_, id), row)| (*id, row))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    fn row(subject: &str) -> Row {
        let values = Map::from_iter([("subject".to_owned(), json!(subject))]);
        Row::new(Micros(1), values)
    }

    #[test]
    fn writes_show_when_they_are_due() {
        let mut index = SearchIndex::default();
        let shown = |index: &SearchIndex| {
            index.of(Kind::Tickets).map(|(_, row)| row.text("subject").to_owned()).collect::<Vec<_>>()
        };
        index.put(Kind::Tickets, 1, &row("a"), None);
        index.put(Kind::Tickets, 1, &row("b"), Some(Micros(10)));
        index.put(Kind::Tickets, 1, &row("c"), None);
        index.advance(Micros(9));
        assert_eq!(shown(&index), ["a"]);
        index.advance(Micros(10));
        assert_eq!(shown(&index), ["c"]);
        assert_eq!(index.of(Kind::Users).count(), 0);
    }
}
