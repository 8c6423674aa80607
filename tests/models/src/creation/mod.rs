//! One record is to get one object at a provider: however requests, answers and webhooks are delayed or lost, and whenever we
//! crash.
//!
//! # What is modelled
//!
//! * **The provider** takes a create at any time while it is under way: until [`DEADLINE`] after its answer was given up.
//!   Its search shows an object at once, or some time later. Every object is followed by a webhook, at any time.
//! * **We** go through the steps of `engine/writer.rs`: look for an object ([`Action::Look`], `find_existing`), write the
//!   intent down ([`Action::Prepare`]), send ([`Action::Send`]), and take the answer in ([`Action::Answer`]); after a lost
//!   answer or a crash, wait ([`Action::Recover`], `look_first`) and look again. Between any two steps we may crash. A webhook's object is
//!   read by id, and the real [`syncline_core::matching`] decides which record it is.
//! * **A user** creates the same entity by hand; **a person** asks for the waiting delivery to be tried now.
//!
//! Time is counted in steps that pass only where something waits for them. Faults are bounded: see [`Budget`].

mod provider;
mod service;
mod state;

use stateright::{Model, Property};

pub use self::{
    provider::{Maker, Object, Request},
    service::{Intent, Task},
    state::State,
};

/// After how many steps of time a request whose answer was given up can take effect no more.
pub const DEADLINE: u8 = 2;

/// What a provider offers to know an object by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A field that it keeps unique: a create by it makes an object, or finds the one that is there.
    Unique,
    /// A field that it only stores, or other fields that it can search by: each create makes an object.
    Marker,
}

/// What its search shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// Every object.
    Strong,
    /// An object some time after it was made.
    Eventual,
}

/// What becomes of a create whose answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LostAnswer {
    /// It is taken for failed, and sent again.
    Resend,
    /// The object is looked for at once.
    LookAtOnce,
    /// The object is looked for when the deadline has passed.
    WaitThenLook,
}

/// From when the deadline is counted where a crash has cut a write off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadlineFrom {
    /// From the moment when we find the write cut off: until then its request may have been under way.
    Recovery,
    /// From the moment when the intent was written down.
    Opening,
}

/// How the service goes about a create.
#[derive(Clone, Copy, Debug)]
pub struct Protocol {
    /// What objects are known by.
    pub key: Key,
    /// What a search shows.
    pub search: Search,
    /// What becomes of a lost answer.
    pub lost_answer: LostAnswer,
    /// From when the deadline counts after a crash.
    pub deadline_from: DeadlineFrom,
    /// The intent is durable before the request is made.
    pub intent_first: bool,
    /// A webhook's object is matched by our key in it, and waits while a create is under way.
    pub matches_webhooks: bool,
    /// A person who asks for another try is obeyed even while a create may still take effect.
    pub hurries: bool,
    /// Objects with the same marker are found by a sweep: the oldest stays, the others are retired.
    pub sweeps: bool,
}

impl Protocol {
    /// The service's own.
    pub fn of_the_service(key: Key, search: Search) -> Self {
        Self {
            key,
            search,
            lost_answer: LostAnswer::WaitThenLook,
            deadline_from: DeadlineFrom::Recovery,
            intent_first: true,
            matches_webhooks: true,
            hurries: false,
            sweeps: false,
        }
    }
}

/// How often each fault may happen in one history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    /// We stop at any point and forget everything that was not committed.
    pub crashes: u8,
    /// An answer is given up although the request is under way or has taken effect.
    pub timeouts: u8,
    /// A request never arrives.
    pub losses: u8,
    /// A user creates the same entity.
    pub users: u8,
    /// A person asks for the delivery to be tried now.
    pub replays: u8,
}

impl Default for Budget {
    fn default() -> Self {
        Self { crashes: 3, timeouts: 3, losses: 2, users: 1, replays: 1 }
    }
}

/// One step of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// We search for an object that the record may have.
    Look,
    /// We commit what the search showed: a link, or that a lost create made nothing.
    TakeFound,
    /// We write down that we are about to create.
    Prepare,
    /// We send the create.
    Send,
    /// We take the answer in.
    Answer,
    /// We give the answer up.
    Timeout,
    /// We find a write that a crash has cut off.
    Recover,
    /// We crash.
    Crash,
    /// A person asks for another try.
    Replay,
    /// We retire what a sweep shows twice.
    Sweep,
    /// We follow a webhook about this object.
    Follow(usize),
    /// The provider takes this request.
    Land(usize),
    /// This request never arrives.
    Vanish(usize),
    /// The search shows this object from now on.
    Index(usize),
    /// A user creates the entity by hand.
    UserCreates,
    /// Time passes.
    Tick,
}

/// The model: one protocol, and how much goes wrong.
#[derive(Clone, Copy, Debug)]
pub struct Creation {
    /// The protocol.
    pub protocol: Protocol,
    /// The faults.
    pub budget: Budget,
}

impl Creation {
    /// The promise that there is never more than one living object for the intent.
    pub const AT_MOST_ONE: &'static str = "at most one living object";
    /// The promise that there is exactly one, and that the record knows it, when nothing is left to do.
    pub const ONE_AT_REST: &'static str = "exactly one living object at rest, and it is linked";
    /// The promise that an object which we made becomes no record of its own.
    pub const NO_TWIN: &'static str = "no twin record";

    /// This protocol with the usual faults.
    pub fn new(protocol: Protocol) -> Self {
        Self { protocol, budget: Budget::default() }
    }

    /// The living objects that count for the intent: where a key is unique all, else those that we made.
    fn living(&self, state: &State) -> usize {
        state.objects.iter().filter(|object| object.living && object.counts(self.protocol.key)).count()
    }

    fn is_at_rest(&self, state: &State) -> bool {
        let mut actions = Vec::new();
        self.actions(state, &mut actions);
        actions.is_empty()
    }

    fn is_well(&self, state: &State) -> bool {
        let linked = state.link.and_then(|link| state.objects.get(link));
        let of_a_user = linked.is_some_and(|object| object.living && !object.counts(self.protocol.key));
        linked.is_some_and(|object| object.living)
            && state.intent.is_none()
            && (self.living(state) == 1 || of_a_user && self.living(state) == 0)
    }
}

impl Model for Creation {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(self.budget)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.steps_of_the_service(state, actions);
        self.steps_of_the_provider(state, actions);
        if state.may_pass_time() {
            actions.push(Action::Tick);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        match action {
            Action::Look => self.look(&mut next),
            Action::TakeFound => self.take_found(&mut next),
            Action::Prepare => self.prepare(&mut next),
            Action::Send => self.send(&mut next),
            Action::Answer => self.answer(&mut next),
            Action::Timeout => self.timeout(&mut next),
            Action::Recover => self.recover(&mut next),
            Action::Crash => self.crash(&mut next),
            Action::Replay => self.replay(&mut next),
            Action::Sweep => self.sweep(&mut next),
            Action::Follow(object) => self.follow(&mut next, object),
            Action::Land(request) => self.land(&mut next, request),
            Action::Vanish(request) => self.vanish(&mut next, request),
            Action::Index(object) => next.objects[object].indexed = true,
            Action::UserCreates => self.user_creates(&mut next),
            Action::Tick => next.pass_time(),
        }
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(Self::AT_MOST_ONE, |model, state| model.living(state) <= 1),
            Property::always(Self::ONE_AT_REST, |model, state| !model.is_at_rest(state) || model.is_well(state)),
            Property::always(Self::NO_TWIN, |_, state: &State| state.twins == 0),
            Property::sometimes("a create takes effect after its answer was given up", |_, state: &State| {
                state.seen.late_effect
            }),
            Property::sometimes("a webhook overtakes the answer", |_, state: &State| state.seen.overtaken),
            Property::sometimes("the object of a lost create is found", |_, state: &State| state.seen.found),
            Property::sometimes("a lost create is sent again", |_, state: &State| state.seen.sent_again),
            Property::sometimes("a user's object is linked", |_, state: &State| {
                state.link.is_some_and(|link| state.objects[link].maker == Maker::User)
            }),
        ]
    }
}
