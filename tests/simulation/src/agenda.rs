//! What happens when: the one queue of a simulated world. Time only moves by taking the next item.

use std::collections::BTreeMap;

use syncline_core::time::Millis;

/// Things to come, by time; of one time in the order in which they were planned.
#[derive(Debug)]
pub(crate) struct Agenda<T> {
    items: BTreeMap<(Millis, u64), T>,
    planned: u64,
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self { items: BTreeMap::new(), planned: 0 }
    }
}

impl<T> Agenda<T> {
    pub(crate) fn plan(&mut self, at: Millis, item: T) {
        self.planned += 1;
        self.items.insert((at, self.planned), item);
    }

    /// When the next item is due.
    pub(crate) fn next_at(&self) -> Option<Millis> {
        self.items.keys().next().map(|(at, _)| *at)
    }

    pub(crate) fn pop(&mut self) -> Option<(Millis, T)> {
        self.items.pop_first().map(|((at, _), item)| (at, item))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.values()
    }
}
