//! The provider's side of a create, and its users.

use super::{Action, Creation, Key, Search, State};

/// Who made an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Maker {
    /// A create of ours.
    Us,
    /// A user of the provider.
    User,
}

/// An object of the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Object {
    /// Who made it. What we make carries our key.
    pub maker: Maker,
    /// Whether it exists.
    pub living: bool,
    /// Whether an eventual search shows it.
    pub indexed: bool,
}

impl Object {
    /// Whether the object is one that the record's intent must not see twice.
    pub(super) fn counts(&self, key: Key) -> bool {
        key == Key::Unique || self.maker == Maker::Us
    }
}

/// A create under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// How many steps of time are left to it; `None` while its answer is waited for.
    pub left: Option<u8>,
}

impl Creation {
    pub(super) fn steps_of_the_provider(&self, state: &State, actions: &mut Vec<Action>) {
        for request in 0..state.requests.len() {
            actions.push(Action::Land(request));
            if state.left.losses > 0 {
                actions.push(Action::Vanish(request));
            }
        }
        if self.protocol.search == Search::Eventual {
            let hidden = state.objects.iter().enumerate().filter(|(_, object)| object.living && !object.indexed);
            actions.extend(hidden.map(|(object, _)| Action::Index(object)));
        }
        // Where the key is unique, the provider refuses a second object with it.
        let free = self.protocol.key == Key::Marker || !state.objects.iter().any(|object| object.living);
        if state.left.users > 0 && free {
            actions.push(Action::UserCreates);
        }
    }

    /// A create takes effect: by a unique key it finds the object that is there, else it makes one.
    pub(super) fn land(&self, state: &mut State, request: usize) {
        let request = state.requests.remove(request);
        let there = state.objects.iter().position(|object| object.living && self.protocol.key == Key::Unique);
        let object = there.unwrap_or_else(|| Self::make(state, Maker::Us));
        match request.left {
            None => state.answer = Some(object),
            Some(_) => state.seen.late_effect = true,
        }
    }

    pub(super) fn vanish(&self, state: &mut State, request: usize) {
        state.left.losses -= 1;
        state.requests.remove(request);
    }

    pub(super) fn user_creates(&self, state: &mut State) {
        state.left.users -= 1;
        Self::make(state, Maker::User);
    }

    fn make(state: &mut State, maker: Maker) -> usize {
        let object = state.objects.len();
        state.objects.push(Object { maker, living: true, indexed: false });
        state.hints.insert(object);
        object
    }
}
