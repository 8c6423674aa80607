//! Our side of a create, one step for each commit or call.

use syncline_core::{
    ids::RecordId,
    matching::{self, Candidate, Claim, Evidence, Match, MatchKey, Seat},
};

use super::{Action, Creation, DEADLINE, DeadlineFrom, LostAnswer, Maker, Search, State};

/// The record that is to get an object.
const RECORD: RecordId = RecordId(uuid::Uuid::from_u128(1));

/// A write, written down before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Intent {
    /// Whether its answer was lost.
    pub uncertain: bool,
    /// How many steps of time must pass before anybody looks what became of it.
    pub wait: u8,
    /// How many steps of time ago it was written down, as far as that matters.
    pub age: u8,
}

/// What our writer is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    /// Nothing.
    Idle,
    /// It has looked, and found this or nothing.
    Looked(Option<usize>),
    /// It has looked, and nothing is open: a create may be prepared.
    Free,
    /// A create is prepared.
    Ready,
    /// A create was sent.
    Waiting,
}

impl Creation {
    pub(super) fn steps_of_the_service(&self, state: &State, actions: &mut Vec<Action>) {
        let interrupted = state.intent.is_some_and(|intent| !intent.uncertain);
        match state.task {
            Task::Idle if interrupted => actions.push(Action::Recover),
            Task::Idle if state.link.is_none() && state.intent.is_none_or(|intent| intent.wait == 0) => {
                actions.push(Action::Look);
            }
            Task::Idle => {}
            Task::Looked(_) => actions.push(Action::TakeFound),
            Task::Free => actions.push(Action::Prepare),
            Task::Ready => actions.push(Action::Send),
            Task::Waiting => self.ends_of_waiting(state, actions),
        }
        if state.left.crashes > 0 && state.task != Task::Idle {
            actions.push(Action::Crash);
        }
        if self.protocol.hurries && state.left.replays > 0 && state.intent.is_some_and(|intent| intent.wait > 0) {
            actions.push(Action::Replay);
        }
        let twice = || state.shown(false).filter(|(_, object)| object.maker == Maker::Us).nth(1).is_some();
        if self.protocol.sweeps && state.intent.is_none() && state.link.is_some() && twice() {
            actions.push(Action::Sweep);
        }
        actions
            .extend(state.hints.iter().filter(|object| self.may_follow(state, **object)).map(|o| Action::Follow(*o)));
    }

    fn ends_of_waiting(&self, state: &State, actions: &mut Vec<Action>) {
        if state.answer.is_some() {
            actions.push(Action::Answer);
        }
        let silent = state.answer.is_none() && state.requests.iter().all(|request| request.left.is_some());
        if silent || state.left.timeouts > 0 {
            actions.push(Action::Timeout);
        }
    }

    /// Searches: by our key, and by the match keys that the record and any such object share.
    pub(super) fn look(&self, state: &mut State) {
        let strong = self.protocol.search == Search::Strong;
        let ours_first = |(place, object): &(usize, &super::Object)| (object.maker != Maker::Us, *place);
        let found = state.shown(strong).min_by_key(ours_first).map(|(place, _)| place);
        state.task = Task::Looked(found);
    }

    /// What was found is linked; a lost create of which nothing was found is closed.
    pub(super) fn take_found(&self, state: &mut State) {
        let Task::Looked(found) = state.task else { return };
        match found.filter(|_| state.link.is_none()) {
            Some(object) => {
                state.seen.found |= state.intent.is_some();
                state.link = Some(object);
                state.intent = None;
                state.task = Task::Idle;
            }
            // A webhook was quicker.
            None if state.link.is_some() => state.task = Task::Idle,
            None => {
                state.seen.sent_again |= state.intent.is_some();
                state.intent = None;
                state.task = Task::Free;
            }
        }
    }

    pub(super) fn prepare(&self, state: &mut State) {
        if state.link.is_some() {
            state.task = Task::Idle;
            return;
        }
        if self.protocol.intent_first {
            state.intent = Some(Intent { uncertain: false, wait: 0, age: 0 });
        }
        state.task = Task::Ready;
    }

    pub(super) fn send(&self, state: &mut State) {
        state.requests.push(super::Request { left: None });
        state.task = Task::Waiting;
    }

    pub(super) fn answer(&self, state: &mut State) {
        state.link = state.link.or(state.answer);
        state.answer = None;
        state.intent = None;
        state.task = Task::Idle;
    }

    pub(super) fn timeout(&self, state: &mut State) {
        let under_way = state.answer.is_some() || state.requests.iter().any(|request| request.left.is_none());
        state.left.timeouts -= u8::from(under_way);
        state.give_up_answers();
        let wait = match self.protocol.lost_answer {
            LostAnswer::Resend => {
                state.seen.sent_again = true;
                state.task = Task::Ready;
                return;
            }
            LostAnswer::LookAtOnce => 0,
            LostAnswer::WaitThenLook => DEADLINE,
        };
        if let Some(intent) = &mut state.intent {
            intent.uncertain = true;
            intent.wait = wait;
        }
        state.task = Task::Idle;
    }

    pub(super) fn recover(&self, state: &mut State) {
        let Some(intent) = &mut state.intent else { return };
        intent.uncertain = true;
        intent.wait = match (self.protocol.lost_answer, self.protocol.deadline_from) {
            (LostAnswer::Resend | LostAnswer::LookAtOnce, _) => 0,
            (LostAnswer::WaitThenLook, DeadlineFrom::Recovery) => DEADLINE,
            (LostAnswer::WaitThenLook, DeadlineFrom::Opening) => DEADLINE - intent.age,
        };
    }

    pub(super) fn crash(&self, state: &mut State) {
        state.left.crashes -= 1;
        state.give_up_answers();
        state.task = Task::Idle;
    }

    pub(super) fn replay(&self, state: &mut State) {
        state.left.replays -= 1;
        if let Some(intent) = &mut state.intent {
            intent.wait = 0;
        }
    }

    /// The oldest of several objects with our marker stays.
    pub(super) fn sweep(&self, state: &mut State) {
        let ours: Vec<usize> =
            state.shown(false).filter(|(_, object)| object.maker == Maker::Us).map(|(place, _)| place).collect();
        for retired in ours.iter().skip(1) {
            state.objects[*retired].living = false;
            state.hints.remove(retired);
        }
        state.link = ours.first().copied().or(state.link);
    }

    /// Which record the object is, as the service decides it.
    fn decided(&self, state: &State, object: usize) -> Match {
        let seat = match (state.link, state.intent) {
            (Some(_), _) => Seat::Taken,
            // A read by id, begun when nothing can be under way any more, ends a create whose answer was lost.
            (None, Some(intent)) if intent.uncertain && intent.wait == 0 => Seat::Free,
            (None, Some(_)) => Seat::Creating,
            (None, None) => Seat::Free,
        };
        let keys = vec![MatchKey { name: "email".into(), value: "ada@example.com".into() }];
        matching::decide(&Evidence {
            by_id: (state.link == Some(object)).then_some(RECORD),
            by_alias: Vec::new(),
            by_key: (state.objects[object].maker == Maker::Us).then_some(Claim { record: RECORD, seat }),
            candidates: vec![Candidate { record: RECORD, keys: keys.clone(), seat }],
            keys,
            by_read: true,
        })
    }

    /// A webhook that finds a create open waits for its end, unless it may end it. While it waits nothing happens.
    fn may_follow(&self, state: &State, object: usize) -> bool {
        if !self.protocol.matches_webhooks {
            return true;
        }
        let settles = state.intent.is_none_or(|intent| intent.uncertain && intent.wait == 0);
        match self.decided(state, object) {
            Match::Link(_) => settles,
            Match::Creating(_) => false,
            Match::Known(_) | Match::New | Match::Unconfirmed | Match::Ambiguous(_) => true,
        }
    }

    /// A webhook's object is read by its id.
    pub(super) fn follow(&self, state: &mut State, object: usize) {
        state.hints.remove(&object);
        state.seen.overtaken |= state.intent.is_some();
        let ours = state.objects[object].maker == Maker::Us;
        let decided = if self.protocol.matches_webhooks {
            self.decided(state, object)
        } else if state.link == Some(object) {
            Match::Known(RECORD)
        } else {
            Match::New
        };
        match decided {
            Match::Link(_) => {
                state.link = Some(object);
                state.intent = None;
            }
            Match::New => state.twins += u8::from(ours),
            Match::Known(_) | Match::Creating(_) | Match::Unconfirmed | Match::Ambiguous(_) => {}
        }
    }
}
