//! Creating an object once: the service's protocol holds, and every precaution of it is needed.

use syncline_models::{
    creation::{Budget, Creation, DeadlineFrom, Key, LostAnswer, Protocol, Search},
    search::{exhaust, until_broken},
};

/// A protocol that leaves one precaution out must break this promise.
#[track_caller]
fn breaks(what: &str, promise: &'static str, protocol: Protocol) {
    until_broken(Creation::new(protocol), promise).break_promise(what, promise);
}

/// By a marker that is looked up by a search which shows everything: the weakest provider with which the service promises one object.
fn by_marker() -> Protocol {
    Protocol::of_the_service(Key::Marker, Search::Strong)
}

/// A create whose answer was lost is looked up after the deadline, and linked or sent again: there is never a second object, and one at rest.
///
/// Fails without the wait, without a search that shows everything, and with a deadline that begins too early: each shown below.
#[test]
fn row_02_a_lost_create_is_found_or_sent_again() {
    exhaust(Creation::new(by_marker())).hold("the service, by a marker and a strong search");
}

/// By a unique key a create that comes late finds the object that the next one made.
///
/// Fails without the unique key: `a_marker_that_the_search_shows_late_is_not_enough`.
#[test]
fn row_03_a_late_create_finds_the_object_of_the_next_one() {
    exhaust(Creation::new(Protocol::of_the_service(Key::Unique, Search::Eventual)))
        .hold("the service, by a unique key and an eventual search");
    let careless = Protocol {
        lost_answer: LostAnswer::Resend,
        intent_first: false,
        ..Protocol::of_the_service(Key::Unique, Search::Eventual)
    };
    exhaust(Creation::new(careless)).keep("careless creates by a unique key", Creation::AT_MOST_ONE);
}

/// An object whose webhook comes before the answer of its create waits for it, and becomes no record of its own.
///
/// Fails without matching and waiting: `unknown webhooks make records` below.
#[test]
fn row_04_a_webhook_that_overtakes_the_answer_makes_no_twin() {
    exhaust(Creation::new(by_marker())).keep("the service, by a marker", Creation::NO_TWIN);
    for key in [Key::Unique, Key::Marker] {
        let protocol = Protocol { matches_webhooks: false, ..Protocol::of_the_service(key, Search::Strong) };
        breaks(&format!("unknown webhooks make records, by {key:?}"), Creation::NO_TWIN, protocol);
    }
}

#[test]
fn a_lost_create_that_is_sent_again_at_once_makes_a_second_object() {
    let protocol = Protocol { lost_answer: LostAnswer::Resend, ..by_marker() };
    breaks("resend on timeout", Creation::AT_MOST_ONE, protocol);
}

#[test]
fn a_search_that_does_not_wait_misses_a_late_create() {
    let protocol = Protocol { lost_answer: LostAnswer::LookAtOnce, ..by_marker() };
    breaks("marker search without waiting", Creation::AT_MOST_ONE, protocol);
}

#[test]
fn a_marker_that_the_search_shows_late_is_not_enough() {
    let protocol = Protocol::of_the_service(Key::Marker, Search::Eventual);
    breaks("marker and an eventual search", Creation::AT_MOST_ONE, protocol);
}

#[test]
fn a_create_that_is_not_written_down_before_it_is_sent_is_forgotten() {
    let protocol = Protocol { intent_first: false, ..by_marker() };
    breaks("sending before the intent is committed", Creation::AT_MOST_ONE, protocol);
}

#[test]
fn a_deadline_from_the_opening_of_the_intent_ends_too_early() {
    let protocol = Protocol { deadline_from: DeadlineFrom::Opening, ..by_marker() };
    breaks("a deadline from the opening of the intent", Creation::AT_MOST_ONE, protocol);
}

#[test]
fn a_person_who_is_obeyed_before_the_deadline_makes_a_second_object() {
    let protocol = Protocol { hurries: true, ..by_marker() };
    breaks("a replay that ends the wait", Creation::AT_MOST_ONE, protocol);
}

/// Where a search lags and no key is unique, a later sweep retires what came twice: one object at rest, but two for a while.
#[test]
fn a_sweep_for_duplicates_leaves_one_object_in_the_end() {
    let protocol = Protocol { sweeps: true, ..Protocol::of_the_service(Key::Marker, Search::Eventual) };
    // Every subset of the objects may be shown when a sweep runs: fewer faults, or there would be too many histories.
    let budget = Budget { crashes: 1, timeouts: 2, losses: 1, ..Budget::default() };
    exhaust(Creation { protocol, budget }).keep("marker and a later sweep", Creation::ONE_AT_REST);
    breaks("marker and a later sweep", Creation::AT_MOST_ONE, protocol);
}
