//! A write under way against edits of the provider's users, its own echo, and readings that lag. The heart in this model is the
//! real one: every step of ours is a call of `reconcile`, and a variant is the heart with one of its rules switched off.
//!
//! # What is modelled
//!
//! A client has set a name, and it is to be written to one provider ([`provider`]). Meanwhile users edit the name and another field
//! there; lists are read that may lag; objects are read by id; the write may be lost, refused, or take effect late; its answer may be lost.
//! All of it happens in every order that the service's own locks leave open ([`model`]): reads by id of one side are
//! single-flight, and nothing is written while one is under way. How often each happens is bounded ([`state`]).
//!
//! # How states are told apart
//!
//! A record's state holds an Automerge document, which cannot be compared cheaply; so a state is known by a digest of what its future
//! depends on: the replica, the journal, the values, and what is under way, with ticks replaced by their order, and changes by their place in
//! the journal.

mod model;
mod provider;
mod state;

use syncline_core::mutant::Rule;
use syncline_models::search::{exhaust, until_broken};

use model::{InFlight, Mishap};
use provider::Kind;
use state::Budget;

const CONDITIONAL: Kind = Kind { precision_ms: 1_000, conditional: true, history: false, lowers: false };
const HISTORY: Kind = Kind { precision_ms: 1, conditional: false, history: true, lowers: false };
const BLIND: Kind = Kind { precision_ms: 1_000, conditional: false, history: false, lowers: false };

const KINDS: [(&str, Kind); 3] = [
    ("a provider with a precondition", CONDITIONAL),
    ("a provider with a history", HISTORY),
    ("a provider with neither", BLIND),
];

/// Nothing but the write, its echo, and what may go wrong with it.
const QUIET: Budget = Budget { name_edits: 0, phone_edits: 0, lists: 1, hints: 1, timeouts: 0, losses: 0 };

#[track_caller]
fn holds(what: &str, kind: Kind, budget: Budget) {
    exhaust(InFlight::new(kind, budget)).hold(what);
}

/// A user edits at any time, and lists lag: no edit is lost, nothing is written in vain, and both come to show the same.
#[test]
fn users_edits_survive_a_write_under_way() {
    for (name, kind) in KINDS {
        holds(name, kind, Budget { name_edits: 1, phone_edits: 1, hints: 0, ..QUIET });
    }
}

/// Readings carry the tick at which they were begun, so the heart stands it even where they overtake each other.
#[test]
fn reads_by_id_that_overtake_each_other_are_told_apart() {
    for (name, kind) in KINDS {
        let budget = Budget { name_edits: 1, hints: 2, lists: 0, ..QUIET };
        exhaust(InFlight::new(kind, budget).with(Mishap::ReadsOverlap)).hold(name);
    }
}

/// After a lost answer the object is read when the deadline has passed, and what still differs is sent again.
///
/// Fails without `DeadlineIsWaitedOut` and `LookFollowsDeadline`: shown below.
#[test]
fn row_05_a_write_whose_answer_was_lost_is_looked_up() {
    for (name, kind) in KINDS {
        holds(name, kind, Budget { name_edits: 1, timeouts: 1, losses: 1, lists: 0, hints: 1, ..QUIET });
    }
}

/// Whenever the echo of our own write is read, it changes nothing and is answered by no write.
///
/// Fails without `BegunBeforeMustBeNewer`: shown below.
#[test]
fn row_09_our_own_echo_changes_nothing() {
    for (name, kind) in KINDS {
        holds(name, kind, Budget { lists: 2, hints: 2, ..QUIET });
    }
}

/// The provider stores what we send in a form of its own: whenever that is read, it is nobody's edit.
///
/// Fails without `HoldWhileOpen`: shown below.
#[test]
fn row_10_an_echo_in_another_form_is_no_edit() {
    for (name, kind) in KINDS {
        holds(name, Kind { lowers: true, ..kind }, Budget { name_edits: 1, ..QUIET });
    }
}

/// Each rule of the heart that a write under way needs, and the promise that breaks without it.
#[test]
fn every_rule_about_a_write_under_way_is_needed() {
    let busy = Budget { name_edits: 1, phone_edits: 1, hints: 0, ..QUIET };
    let lossy = Budget { name_edits: 1, timeouts: 1, lists: 0, ..QUIET };
    for (rule, kind, budget, promise) in [
        (Rule::HoldWhileOpen, Kind { lowers: true, ..HISTORY }, QUIET, InFlight::NOTHING_INVENTED),
        (Rule::SettleOnlySent, HISTORY, busy, InFlight::NOTHING_LOST),
        (Rule::StoredFormNeedsProof, CONDITIONAL, busy, InFlight::NOTHING_LOST),
        (Rule::BegunBeforeMustBeNewer, BLIND, QUIET, InFlight::NOTHING_INVENTED),
        (Rule::ListMustBeNewer, BLIND, QUIET, InFlight::NOTHING_INVENTED),
        (Rule::SlippedInIsEdit, HISTORY, busy, InFlight::NOTHING_LOST),
        (Rule::HistoryIsReadBack, HISTORY, busy, InFlight::NOTHING_LOST),
        (Rule::GlimpsedIsKept, BLIND, busy, InFlight::NOTHING_LOST),
        (Rule::SecondMustPass, CONDITIONAL, busy, InFlight::NOTHING_LOST),
        (Rule::DeadlineIsWaitedOut, HISTORY, lossy, InFlight::NOTHING_LOST),
        (Rule::LookFollowsDeadline, HISTORY, lossy, InFlight::NOTHING_LOST),
        (Rule::ReadBackIsRepeated, HISTORY, busy, InFlight::NOTHING_LOST),
    ] {
        let model = InFlight::new(kind, budget).without(rule);
        until_broken(model, promise).break_promise(&format!("the heart without {rule:?}"), promise);
    }
}

/// Each order of the engine around the heart, and the promise that breaks without it.
#[test]
fn the_engines_own_part_is_needed() {
    for (mishap, kind, budget, promise) in [
        (Mishap::NoLookFirst, BLIND, Budget { name_edits: 1, lists: 0, ..QUIET }, InFlight::NOTHING_LOST),
        (Mishap::LostIsFailure, BLIND, Budget { name_edits: 1, timeouts: 1, ..QUIET }, InFlight::NOTHING_LOST),
    ] {
        let model = InFlight::new(kind, budget).with(mishap);
        until_broken(model, promise).break_promise(&format!("an engine in which {mishap:?}"), promise);
    }
}
