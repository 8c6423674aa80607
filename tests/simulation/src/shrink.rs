//! The smallest part of a history that still breaks the same invariant (delta debugging).

use crate::{
    event::Event,
    run::{Failure, replay},
    scope::Scope,
};

/// How many replays are spent on one failure.
const REPLAYS_MAX: usize = 2_000;

/// Leaves out events, in ever smaller pieces, as long as the same invariant breaks. The result keeps its lines.
pub fn shrink(failure: &Failure) -> Failure {
    let scope = Scope { trace: true, ..failure.scope };
    let mut smallest = failure.clone();
    let mut replays = 0;
    let mut pieces = 2;
    while replays < REPLAYS_MAX && smallest.events.len() > 1 {
        let size = smallest.events.len().div_ceil(pieces);
        let mut smaller = None;
        for from in (0..smallest.events.len()).step_by(size) {
            replays += 1;
            let rest: Vec<Event> = without(&smallest.events, from, size);
            if let Err(found) = replay(failure.seed, &scope, &rest)
                && found.violation.invariant == failure.violation.invariant
            {
                smaller = Some(*found);
                break;
            }
        }
        match smaller {
            Some(found) => {
                smallest = found;
                pieces = pieces.saturating_sub(1).max(2);
            }
            None if size == 1 => break,
            None => pieces = (pieces * 2).min(smallest.events.len()),
        }
    }
    match replay(failure.seed, &scope, &smallest.events) {
        Err(told) => *told,
        // What was shrunk no longer fails with lines: then the run is not deterministic, and the first failure is what is left.
        Ok(_) => smallest,
    }
}

fn without(events: &[Event], from: usize, size: usize) -> Vec<Event> {
    let kept = |(place, _): &(usize, &Event)| *place < from || *place >= from + size;
    events.iter().enumerate().filter(kept).map(|(_, event)| event.clone()).collect()
}
