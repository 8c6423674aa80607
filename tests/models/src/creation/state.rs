//! Everything that a history of a create can differ in.

use std::collections::BTreeSet;

use super::{Budget, DEADLINE, Intent, Object, Request, Task};

/// What is stored, what is remembered, what is under way, and what the provider holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// Stored: the write that is under way, or whose end nobody knows.
    pub intent: Option<Intent>,
    /// Stored: the object of the record, by its place in `objects`.
    pub link: Option<usize>,
    /// Stored: how many records were made of objects that we made for this one.
    pub twins: u8,
    /// Remembered: what our writer is at. A crash forgets it.
    pub task: Task,
    /// Creates under way.
    pub requests: Vec<Request>,
    /// The answer on its way, if it is still waited for.
    pub answer: Option<usize>,
    /// Webhooks under way, by the objects that they speak of.
    pub hints: BTreeSet<usize>,
    /// The provider's objects, oldest first.
    pub objects: Vec<Object>,
    /// The faults that are still to come.
    pub left: Budget,
    /// What has happened, so that it can be shown that it does.
    pub seen: Seen,
}

/// What the model must be wide enough to show.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Seen {
    /// A create took effect after its answer was given up.
    pub late_effect: bool,
    /// A webhook came while its create was open.
    pub overtaken: bool,
    /// The object of a lost create was found.
    pub found: bool,
    /// A lost create was sent again.
    pub sent_again: bool,
}

impl State {
    pub(super) fn new(budget: Budget) -> Self {
        Self {
            intent: None,
            link: None,
            twins: 0,
            task: Task::Idle,
            requests: Vec::new(),
            answer: None,
            hints: BTreeSet::new(),
            objects: Vec::new(),
            left: budget,
            seen: Seen::default(),
        }
    }

    /// The living objects that a search shows, oldest first.
    pub(super) fn shown(&self, strong: bool) -> impl Iterator<Item = (usize, &Object)> {
        self.objects.iter().enumerate().filter(move |(_, object)| object.living && (strong || object.indexed))
    }

    /// Time passes where something waits for it, and never past the end of a request's time.
    pub(super) fn may_pass_time(&self) -> bool {
        let overdue = self.requests.iter().any(|request| request.left == Some(0));
        let waits = self.requests.iter().any(|request| request.left.is_some())
            || self.intent.is_some_and(|intent| intent.wait > 0 || intent.age < DEADLINE);
        waits && !overdue
    }

    pub(super) fn pass_time(&mut self) {
        if let Some(intent) = &mut self.intent {
            intent.wait = intent.wait.saturating_sub(1);
            intent.age = (intent.age + 1).min(DEADLINE);
        }
        for left in self.requests.iter_mut().filter_map(|request| request.left.as_mut()) {
            *left = left.saturating_sub(1);
        }
    }

    /// Nobody waits for the answers of requests that are under way any more: each takes effect before the deadline has passed.
    pub(super) fn give_up_answers(&mut self) {
        self.answer = None;
        for request in &mut self.requests {
            request.left.get_or_insert(DEADLINE - 1);
        }
    }
}
