//! The mass-delete guard: how many deletes at once are too many.

use syncline_core::{
    guard::{Coming, DeleteGuard, GuardState, Signal},
    time::Millis,
};

const LIMITS: DeleteGuard = DeleteGuard { missing_min: 5, missing_max: 1_000, share_percent_max: 5 };
const WINDOW_MS: u64 = 3_600_000;

fn coming(deletes: u64, known: u64) -> Coming {
    Coming { deletes, known, signal: Signal::Reading }
}

/// Deletes at these minutes, each with whether it passes.
fn check(known: u64, story: &[(i64, u64, bool)]) -> GuardState {
    let mut guard = GuardState::default();
    for (minute, deletes, passes) in story {
        let passed = guard.admit(&LIMITS, WINDOW_MS, Millis(minute * 60_000), coming(*deletes, known));
        assert_eq!(passed, *passes, "{deletes} deletes of {known} at minute {minute} in {story:?}");
        assert_eq!(guard.question().is_some(), !passes, "the question is open while deletes wait");
    }
    guard
}

#[test]
fn deletes_within_a_window_add_up_until_they_are_too_many() {
    check(10, &[(100, 5, true), (101, 1, false), (102, 1, false)]);
    check(1_000, &[(100, 50, true), (101, 1, false)]);
    check(100_000, &[(100, 1_000, true), (101, 1, false)]);
    check(1_000, &[(100, 51, false)]);
    check(0, &[(100, 5, true), (101, 1, false)]);
    check(1_000, &[(100, 30, true), (130, 20, true), (159, 1, false)]);
}

#[test]
fn what_is_older_than_the_window_is_forgotten() {
    check(1_000, &[(100, 50, true), (160, 50, true)]);
    let every_six_minutes: Vec<(i64, u64, bool)> = (0..100).map(|n| (100 + 6 * n, 4, true)).collect();
    let guard = check(1_000, &every_six_minutes);
    assert!(serde_json::to_string(&guard).unwrap().len() < 800, "what is remembered is bounded");
}

#[test]
fn a_clock_that_is_set_back_forgets_nothing() {
    check(1_000, &[(10_000, 50, true), (100, 1, false)]);
    check(1_000, &[(10_000, 30, true), (100, 20, true), (101, 1, false)]);
}

#[test]
fn nothing_passes_before_a_person_answers_and_then_counting_begins_anew() {
    let mut guard = check(1_000, &[(100, 200, false), (10_000, 1, false)]);
    let asked = *guard.question().unwrap();
    assert_eq!((asked.since, asked.deletes, asked.known), (Millis(6_000_000), 200, 1_000), "the first counts");
    let read: GuardState = serde_json::from_str(&serde_json::to_string(&guard).unwrap()).unwrap();
    assert_eq!(read, guard, "the question survives a restart");
    guard.answered();
    assert!(guard.admit(&LIMITS, WINDOW_MS, Millis(600_000_001), coming(50, 1_000)));
}

#[test]
fn a_question_that_subsides_leaves_the_count() {
    let mut guard = check(1_000, &[(100, 50, true), (101, 1, false)]);
    guard.subside();
    assert!(guard.question().is_none());
    assert!(!guard.admit(&LIMITS, WINDOW_MS, Millis(102 * 60_000), coming(1, 1_000)));
}

#[test]
fn the_number_of_known_objects_is_asked_for_only_where_it_decides() {
    for (missing, asks) in [(0, false), (5, false), (6, true), (1_000, true), (1_001, false)] {
        assert_eq!(LIMITS.asks_for_share(missing), asks, "{missing}");
        if !asks {
            assert_eq!(LIMITS.trips(0, missing), LIMITS.trips(u64::MAX, missing), "{missing}");
        }
    }
    assert_eq!(LIMITS.known_enough(), 20_000);
    for missing in 1..=1_000 {
        assert!(!LIMITS.trips(20_000, missing), "with so many known, the count trips first");
    }
    assert_eq!(DeleteGuard { share_percent_max: 0, ..LIMITS }.known_enough(), 0);
}
