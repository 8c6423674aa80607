//! Searching a model from end to end.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{Debug, Write},
    hash::Hash,
    time::{Duration, Instant},
};

use stateright::{Checker, Expectation, HasDiscoveries, Model};

/// What a search found.
#[derive(Debug)]
pub struct Findings {
    /// How many different states were visited.
    pub states: usize,
    /// How long that took.
    pub took: Duration,
    /// The promises that some history breaks, with the shortest such history, one step a line.
    pub broken: Vec<(&'static str, String)>,
    /// What should happen in some history and happens in none.
    pub never: Vec<&'static str>,
}

impl Findings {
    /// Prints the figures and fails if a promise is broken, or if the model is so narrow that something which it is about
    /// never happens.
    ///
    /// # Panics
    /// If so, with the history.
    #[track_caller]
    pub fn hold(&self, of: &str) {
        println!("{of}: holds in {} states, searched in {:.1?}", self.states, self.took);
        if let Some((promise, history)) = self.broken.first() {
            panic!("{of} breaks `{promise}`:\n{history}");
        }
        assert!(self.never.is_empty(), "{of}: the model is too narrow, it never shows: {:?}", self.never);
    }

    /// Prints the figures and fails if this promise is broken; others may be.
    ///
    /// # Panics
    /// If so, with the history.
    #[track_caller]
    pub fn keep(&self, of: &str, promise: &str) {
        println!("{of}: `{promise}` holds in {} states, searched in {:.1?}", self.states, self.took);
        if let Some((_, history)) = self.broken.iter().find(|(broken, _)| *broken == promise) {
            panic!("{of} breaks `{promise}`:\n{history}");
        }
    }

    /// Prints the history that breaks the promise.
    ///
    /// # Panics
    /// If there is none: then the precaution that was left out is not needed, or the model does not know what it is for.
    #[track_caller]
    pub fn break_promise(&self, of: &str, promise: &str) {
        let Some((_, history)) = self.broken.iter().find(|(broken, _)| *broken == promise) else {
            panic!("{of} keeps `{promise}` in all {} states: nothing shows what the precaution is for", self.states);
        };
        println!("{of} breaks `{promise}`, found among {} states in {:.1?}:\n{history}", self.states, self.took);
    }
}

/// Searches every state of the model.
pub fn exhaust<M>(model: M) -> Findings
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + PartialEq + Hash + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq + Send + Sync + 'static,
{
    look(model, HasDiscoveries::All, None).0
}

/// Searches until this promise is broken, and then for the shortest history that breaks it.
pub fn until_broken<M>(model: M, promise: &'static str) -> Findings
where
    M: Model + Clone + Send + Sync + 'static,
    M::State: Clone + Debug + PartialEq + Hash + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq + Send + Sync + 'static,
{
    let until = || HasDiscoveries::AnyOf(BTreeSet::from([promise]));
    let begun = Instant::now();
    let (mut findings, mut steps) = look(model.clone(), until(), None);
    // The checker keeps the last history that it meets in a block of states, which need not be the shortest.
    while let Some(length) = steps.get(promise) {
        let (shorter, of_shorter) = look(model.clone(), until(), Some(*length));
        if !of_shorter.contains_key(promise) {
            break;
        }
        findings.broken = shorter.broken;
        steps = of_shorter;
    }
    Findings { took: begun.elapsed(), ..findings }
}

/// What a search found, and how many steps each history has that breaks a promise. With `shorter_than`, only histories
/// of fewer steps are looked at.
fn look<M>(model: M, until: HasDiscoveries, shorter_than: Option<usize>) -> (Findings, BTreeMap<&'static str, usize>)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + PartialEq + Hash + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq + Send + Sync + 'static,
{
    let begun = Instant::now();
    let expected = model.properties();
    // One thread: what is found is the same each time. Breadth first: short histories are found first.
    let mut builder = model.checker().threads(1).finish_when(until);
    if let Some(length) = shorter_than {
        // The checker counts states, of which a history has one more than steps, and leaves out the deepest.
        builder = builder.target_max_depth(length + 1);
    }
    let checker = builder.spawn_bfs().join();
    let mut found = checker.discoveries();
    let (mut broken, mut never, mut steps) = (Vec::new(), Vec::new(), BTreeMap::new());
    for property in expected {
        match (property.expectation, found.remove(property.name)) {
            (Expectation::Sometimes, None) => never.push(property.name),
            (Expectation::Sometimes, Some(_)) | (_, None) => {}
            (Expectation::Always | Expectation::Eventually, Some(path)) => {
                let actions = path.into_actions();
                steps.insert(property.name, actions.len());
                broken.push((property.name, told(actions)));
            }
        }
    }
    (Findings { states: checker.unique_state_count(), took: begun.elapsed(), broken, never }, steps)
}

fn told<A: Debug>(actions: Vec<A>) -> String {
    actions.iter().zip(1..).fold(String::new(), |mut told, (action, number)| {
        // Writing into a text cannot fail.
        let _ = writeln!(told, "  {number:>2}. {action:?}");
        told
    })
}
