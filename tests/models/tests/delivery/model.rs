//! Who may do what next, and what must hold whatever they do.

use stateright::{Model, Property};
use syncline_core::{
    mutant::Rule,
    outbox::Delivery,
    plan::SyncPlan,
    reconcile::{Input, Receipt},
    remote::{ProviderError, Remedy},
    replica::Source,
    time::Millis,
    value::{Fields, Value},
};

use crate::{
    provider::Kind,
    state::{Budget, CRM, Lost, OURS, Reading, State, THEIR_PHONE, THEIRS, Writer, name, phone, plan},
};

/// How long nothing that was sent can still take effect.
const DEADLINE_MS: i64 = 30_000;
/// The time between two steps that change the provider: several fall into one second, and none into one millisecond.
const STEP_MS: i64 = 300;

/// A step of the engine done in another way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// Reads by id are not single-flight.
    ReadsOverlap,
    /// Nobody looks just before a write.
    NoLookFirst,
    /// A lost answer passes for a failed write.
    LostIsFailure,
}

/// One step of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// A user edits the name, or the phone number.
    EditName,
    EditPhone,
    /// A list is read: of now, or of before the last change.
    BeginList,
    BeginLaggingList,
    /// Its row arrives.
    TakeList,
    /// Nothing else is left to happen, and the next poll lists what changed since the service was last shown the object.
    Poll,
    /// A webhook asks for a look.
    Hint,
    /// A read by id begins, is served, and arrives.
    BeginRead,
    ServeRead(usize),
    TakeRead(usize),
    /// The writer reads the object by id.
    Look,
    /// The writer writes down what it sends, and sends it.
    Prepare,
    /// The provider takes the write.
    Land,
    /// The write never arrives.
    Vanish,
    /// Its answer arrives.
    TakeAnswer,
    /// Its answer is given up.
    GiveUp,
    /// The time comes for which the delivery waits.
    Wait,
}

/// The model.
#[derive(Clone, Debug)]
pub(crate) struct InFlight {
    kind: Kind,
    plan: SyncPlan,
    budget: Budget,
    /// The rule of the heart that is switched off.
    without: Option<Rule>,
    /// What the engine does in another way.
    mishap: Option<Mishap>,
}

impl InFlight {
    /// The promise that every edit stands, was replaced by somebody who saw it, is kept as a conflict, or fell into a blind window.
    pub(crate) const NOTHING_LOST: &'static str = "no edit is lost in silence";
    /// The promise that nobody's value appears anywhere, and none that was replaced comes back.
    pub(crate) const NOTHING_INVENTED: &'static str = "no edit is invented";
    /// The promise that no write of ours leaves the object as it was.
    pub(crate) const NOTHING_IN_VAIN: &'static str = "no redundant write";
    /// The promise that in the end record and object show the same and nothing is owed.
    pub(crate) const CONVERGES: &'static str = "both show the same at rest";

    pub(crate) fn new(kind: Kind, budget: Budget) -> Self {
        Self { kind, plan: plan(kind), budget, without: None, mishap: None }
    }

    /// With this rule of the heart switched off.
    pub(crate) fn without(self, rule: Rule) -> Self {
        Self { without: Some(rule), ..self }
    }

    /// With an engine that does this.
    pub(crate) fn with(self, mishap: Mishap) -> Self {
        Self { mishap: Some(mishap), ..self }
    }

    fn due(&self, state: &State) -> Option<Millis> {
        match &state.replica().delivery {
            Delivery::Dirty { due, .. } => Some(*due),
            Delivery::Clean | Delivery::Parked { .. } => None,
        }
    }

    fn is_at_rest(&self, state: &State) -> bool {
        let mut actions = Vec::new();
        self.actions(state, &mut actions);
        actions.is_empty()
    }

    /// What became of the user's name, and of the client's.
    fn keeps_every_edit(&self, state: &State) -> bool {
        let lost = |value: &str| state.conflicts.iter().any(|row| row.loser == value);
        let theirs = state.left.name_edits == self.budget.name_edits
            || state.text(&name()) == THEIRS
            || lost(THEIRS)
            || state.blind.contains(THEIRS);
        let ours = state.text(&name()) == OURS || lost(OURS) || state.replaced;
        let phone = state.left.phone_edits == self.budget.phone_edits || state.text(&phone()) == THEIR_PHONE;
        theirs && ours && phone
    }

    fn invents_nothing(&self, state: &State) -> bool {
        let made = |value: &str| value == OURS || value == THEIRS && state.left.name_edits < self.budget.name_edits;
        // Where a stamp covers many edits, a value of before our look cannot be told from one that slipped in after it.
        let perhaps = |row: &Lost| row.uncertain && self.kind.precision_ms > 1 && row.loser == state.first();
        let told = |row: &Lost| made(&row.winner) && (made(&row.loser) || perhaps(row));
        made(&state.text(&name())) && state.conflicts.iter().all(told)
    }

    fn agrees(&self, state: &State) -> bool {
        let same = |field| {
            let shown = state.record.fields.get(&field).map(|value| state.provider.stored(value));
            shown.as_ref() == Some(&state.provider.value(&field))
        };
        let replica = state.replica();
        same(name())
            && same(phone())
            && replica.delivery == Delivery::Clean
            && replica.intent.is_none()
            && replica.held.is_empty()
    }

    fn steps_of_others(&self, state: &State, actions: &mut Vec<Action>) {
        let left = &state.left;
        actions.extend((left.name_edits > 0).then_some(Action::EditName));
        actions.extend((left.phone_edits > 0).then_some(Action::EditPhone));
        actions.extend((left.hints > 0 && !state.asked).then_some(Action::Hint));
        match &state.list {
            Some(_) => actions.push(Action::TakeList),
            None if left.lists > 0 => actions.extend([Action::BeginList, Action::BeginLaggingList]),
            None => {}
        }
        if state.request.is_some() {
            actions.push(Action::Land);
            actions.extend((left.losses > 0).then_some(Action::Vanish));
        }
    }

    fn steps_of_the_service(&self, state: &State, actions: &mut Vec<Action>) {
        let at_once = if self.mishap == Some(Mishap::ReadsOverlap) { 2 } else { 1 };
        if state.asked && state.reads.len() < at_once {
            actions.push(Action::BeginRead);
        }
        let served = |(place, reading): (usize, &Reading)| match reading.shown {
            None => Action::ServeRead(place),
            Some(_) => Action::TakeRead(place),
        };
        actions.extend(state.reads.iter().enumerate().map(served));
        match state.writer {
            Writer::Idle => {
                let due = self.due(state);
                if due.is_some_and(|due| due <= state.now) && state.reads.len() < at_once {
                    actions.push(Action::Look);
                }
                // What a write can still do is over when its deadline has passed.
                if due.is_some_and(|due| due > state.now) && state.request.is_none() {
                    actions.push(Action::Wait);
                }
            }
            Writer::Looked(_) => actions.push(Action::Prepare),
            Writer::Waiting(_) => {
                actions.extend(state.answer.is_some().then_some(Action::TakeAnswer));
                let silent = state.answer.is_none() && state.request.is_none();
                actions.extend((silent || state.left.timeouts > 0).then_some(Action::GiveUp));
            }
        }
    }

    fn user_edits(&self, state: &mut State, values: Fields) {
        if values.contains_key(&name()) {
            state.slipped = state.request.is_some() || !matches!(state.writer, Writer::Idle);
            state.replaced |= state.provider.value(&name()) == state.provider.stored(&Value::text(OURS));
        }
        state.now = state.now.plus(STEP_MS);
        state.provider.set(&values, false, state.now);
        state.unseen = true;
    }

    fn look(&self, state: &mut State) {
        let looked_at = state.now;
        if self.mishap != Some(Mishap::NoLookFirst) || state.replica().intent.is_some() {
            let shown = state.shown(Source::ById);
            state.observe(&self.plan, self.without, shown);
        }
        state.writer = Writer::Looked(looked_at);
    }

    fn prepare(&self, state: &mut State) {
        let Writer::Looked(looked_at) = state.writer else { return };
        let conditional = self.kind.conditional;
        let input = Input::Prepare { connection: CRM.into(), looked_at, conditional };
        state.request = state.give(&self.plan, self.without, input).intent;
        state.writer = state.request.as_ref().map_or(Writer::Idle, |intent| Writer::Waiting(intent.id));
    }

    fn land(&self, state: &mut State) {
        let Some(intent) = state.request.take() else { return };
        state.now = state.now.plus(STEP_MS);
        let held = state.provider.value(&name());
        let tick = state.tick();
        let receipt = state.provider.take(&intent, state.now, tick);
        let taken = matches!(receipt, Receipt::Applied { .. });
        state.unseen |= taken;
        state.seen.written |= taken;
        state.seen.refused |= !taken;
        self.excuse_blindness(state, taken, &held);
        if matches!(state.writer, Writer::Waiting(id) if id == intent.id) {
            state.answer = Some(receipt);
        }
    }

    /// Without precondition and history nobody can know of a value that stood there only between our look and our write, unless a reading
    /// has glimpsed it.
    fn excuse_blindness(&self, state: &mut State, taken: bool, held: &Value) {
        let replica = state.replica();
        let unread =
            taken && state.slipped && *held == Value::text(THEIRS) && replica.baseline.get(&name()) != Some(held);
        let glimpsed = replica.held.iter().any(|reading| reading.fields.get(&name()) == Some(held));
        if unread && !glimpsed && !self.kind.conditional && !self.kind.history {
            state.blind.insert(THEIRS.to_owned());
        }
    }

    fn end(&self, state: &mut State, result: Receipt) {
        let Writer::Waiting(intent) = state.writer else { return };
        state.writer = Writer::Idle;
        state.give(&self.plan, self.without, Input::Receipt { connection: CRM.into(), intent, result });
    }

    fn give_up(&self, state: &mut State) {
        let under_way = state.answer.take().is_some() || state.request.is_some();
        state.left.timeouts -= u8::from(under_way);
        let message = "timeout".to_owned();
        let result = if self.mishap == Some(Mishap::LostIsFailure) {
            Receipt::NotApplied { error: ProviderError { remedy: Remedy::Retry, message }, jitter: 0 }
        } else {
            Receipt::Unknown { message, wait_until: state.now.plus(DEADLINE_MS) }
        };
        self.end(state, result);
    }
}

impl Model for InFlight {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(&self.plan, self.kind, self.budget)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.steps_of_others(state, actions);
        self.steps_of_the_service(state, actions);
        if actions.is_empty() && state.unseen {
            actions.push(Action::Poll);
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::EditName => {
                state.left.name_edits -= 1;
                self.user_edits(&mut state, Fields::from([(name(), Value::text(THEIRS))]));
            }
            Action::EditPhone => {
                state.left.phone_edits -= 1;
                self.user_edits(&mut state, Fields::from([(phone(), Value::text(THEIR_PHONE))]));
            }
            Action::BeginList => {
                state.left.lists -= 1;
                state.list = Some(state.shown(Source::List));
            }
            Action::Poll => {
                let row = state.shown(Source::List);
                state.observe(&self.plan, self.without, row);
            }
            Action::BeginLaggingList => {
                state.left.lists -= 1;
                let begun = state.tick();
                state.list = Some(state.provider.lagging_row(begun)?);
            }
            Action::TakeList => {
                let row = state.list.take()?;
                state.observe(&self.plan, self.without, row);
            }
            Action::Hint => {
                state.left.hints -= 1;
                state.asked = true;
            }
            Action::BeginRead => {
                state.asked = false;
                let begun = state.tick();
                state.reads.push(Reading { begun, shown: None });
            }
            Action::ServeRead(place) => {
                state.unseen = false;
                let shown = state.provider.read(state.reads[place].begun, Source::ById);
                state.reads[place].shown = Some(shown);
            }
            Action::TakeRead(place) => {
                let shown = state.reads.remove(place).shown?;
                state.observe(&self.plan, self.without, shown);
            }
            Action::Look => self.look(&mut state),
            Action::Prepare => self.prepare(&mut state),
            Action::Land => self.land(&mut state),
            Action::Vanish => {
                state.left.losses -= 1;
                state.request = None;
            }
            Action::TakeAnswer => {
                let answer = state.answer.take()?;
                self.end(&mut state, answer);
            }
            Action::GiveUp => self.give_up(&mut state),
            Action::Wait => state.now = self.due(&state)?,
        }
        Some(state.sealed())
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(Self::NOTHING_LOST, |model: &Self, state: &State| {
                !model.is_at_rest(state) || model.keeps_every_edit(state)
            }),
            Property::always(Self::NOTHING_INVENTED, |model, state| model.invents_nothing(state)),
            Property::always(Self::NOTHING_IN_VAIN, |_, state: &State| state.provider.redundant == 0),
            Property::always(Self::CONVERGES, |model, state| !model.is_at_rest(state) || model.agrees(state)),
            Property::sometimes("a write takes effect", |_, state: &State| state.seen.written),
        ];
        if self.budget.lists > 0 || self.budget.hints > 0 {
            properties.push(Property::sometimes("a reading is held", |_, state: &State| state.seen.held));
        }
        if self.kind.conditional && self.budget.name_edits > 0 {
            properties.push(Property::sometimes("a write is refused", |_, state: &State| state.seen.refused));
        }
        properties
    }
}
