//! Budgets against a count by hand: no window ever holds more calls than the limit, and the promised time is kept.

use proptest::prelude::*;
use syncline_core::{
    budget::{Budget, BudgetFacts, Budgets, Call, CallKind, Urgency, Usage},
    time::Millis,
};

const START: Millis = Millis(1_700_000_000_000);

fn facts(name: &str, window_ms: u64, limit: u32, calls: &[CallKind]) -> BudgetFacts {
    BudgetFacts { name: name.into(), window_ms, limit, calls: calls.to_vec(), reserve_percent: 0 }
}

fn rolling(limit: u32) -> Budget {
    Budget::new(facts("ROLLING", 10_000, limit, &[CallKind::Read]))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_window_holds_more_than_the_limit_and_the_promised_time_is_kept(
        window_ms in 1_u64..20_000,
        limit in 1_u32..20,
        steps in prop::collection::vec((0_i64..4_000, 1_u32..4, any::<bool>()), 1..200),
    ) {
        let mut budget = Budget::new(facts("B", window_ms, limit, &[CallKind::Read]));
        let mut now = START;
        let mut taken: Vec<(Millis, u32)> = Vec::new();
        for (pause, cost, background) in steps {
            now = now.plus(pause);
            let urgency = if background { Urgency::Background } else { Urgency::Live };
            if let Err(wait) = budget.take(now, cost, urgency) {
                prop_assert!(wait.until > now);
                prop_assert!(wait.until <= now.plus(2 * window_ms as i64 + 2), "waits longer than can be needed");
                now = wait.until;
                prop_assert_eq!(budget.take(now, cost, urgency), Ok(()), "the promised time is kept");
            }
            taken.push((now, cost.min(limit)));
            let window: u32 = taken.iter().filter(|(at, _)| at.plus(window_ms as i64) > now).map(|(_, cost)| cost).sum();
            prop_assert!(window <= limit, "{window} calls in a window of {limit}");
        }
    }
}

#[test]
fn background_calls_leave_room_for_live_ones() {
    let mut budget = rolling(100);
    let background = (0..200).take_while(|_| budget.take(START, 1, Urgency::Background).is_ok()).count();
    let live = (0..200).take_while(|_| budget.take(START, 1, Urgency::Live).is_ok()).count();
    assert_eq!((background, live), (80, 20));
}

#[test]
fn the_reserve_is_left_to_others_and_counts_what_they_used() {
    let mut budget =
        Budget::new(BudgetFacts { reserve_percent: 25, ..facts("DAILY", 86_400_000, 100, &[CallKind::Read]) });
    assert_eq!(budget.left(START), 75);
    budget.take(START, 5, Urgency::Live).unwrap();
    // 40 used in all, 5 of them ours.
    budget.learn(START, Usage { limit: None, remaining: 60, reset: None });
    assert_eq!(budget.left(START), 35);
    // Nothing left below the reserve: wait until the reckoning is no longer believed, then ask again.
    budget.learn(START, Usage { limit: None, remaining: 20, reset: None });
    let wait = budget.take(START, 1, Urgency::Live).unwrap_err();
    assert_eq!((wait.until, wait.budget.as_str()), (START.plus(Budget::OTHERS_MS_MAX as i64), "DAILY"));
    assert_eq!(budget.take(wait.until, 1, Urgency::Live), Ok(()));
}

#[test]
fn answers_correct_the_limit_and_the_reset() {
    let mut budget = rolling(100);
    budget.learn(START, Usage { limit: Some(190), remaining: 190, reset: None });
    assert_eq!(budget.left(START), 190);
    let reset = START.plus(3_000);
    budget.learn(START, Usage { limit: Some(190), remaining: 0, reset: Some(reset) });
    assert_eq!(budget.take(START, 1, Urgency::Live).unwrap_err().until, reset);
    budget.learn(START, Usage { limit: Some(190), remaining: 100, reset: Some(reset) });
    assert_eq!(budget.left(START), 100, "the last answer is believed, also when it is better");
}

/// How long a call must wait at `now`, in milliseconds.
fn blocked_for(budget: &Budget, now: Millis) -> i64 {
    budget.admits(now, 1, Urgency::Live).unwrap_err().until.0 - now.0
}

#[test]
fn a_refusal_blocks_for_what_the_provider_says_or_doubles() {
    let mut budget = rolling(100);
    budget.blocked(START, Some(7_000));
    assert_eq!(budget.take(START, 1, Urgency::Live).unwrap_err().until, START.plus(7_000));
    assert_eq!(budget.take(START.plus(7_000), 1, Urgency::Live), Ok(()));

    let mut budget = rolling(100);
    let mut now = START;
    let mut waits = Vec::new();
    for _ in 0..12 {
        budget.blocked(now, None);
        budget.blocked(now, None);
        let until = budget.take(now, 1, Urgency::Live).unwrap_err().until;
        waits.push(until.0 - now.0);
        now = until;
    }
    let doubled: Vec<i64> = (0..12).map(|strike| 50 << strike).collect();
    assert_eq!(waits, doubled, "refusals that came together count once");
    for _ in 0..4 {
        budget.blocked(now, None);
        now = now.plus(blocked_for(&budget, now));
    }
    budget.blocked(now, None);
    assert_eq!(blocked_for(&budget, now), 900_000, "the longest wait");
    let calm = now.plus(10_000_000);
    budget.blocked(calm, None);
    assert_eq!(blocked_for(&budget, calm), 50, "old trouble is forgotten");
}

#[test]
fn a_call_that_passes_ends_the_trouble() {
    let mut budget = rolling(100);
    budget.blocked(START, None);
    let after = START.plus(50);
    for (begun, waits, why) in
        [(START, 100, "it was under way when the refusal came"), (after.plus(100), 50, "it was begun after the wait")]
    {
        budget.passed(begun);
        let now = budget.take(START, 1, Urgency::Live).unwrap_err().until;
        budget.blocked(now, None);
        assert_eq!(blocked_for(&budget, now), waits, "{why}");
    }
}

#[test]
fn a_call_passes_every_budget_that_counts_it_or_none() {
    let all = &CallKind::ALL;
    let mut budgets = Budgets::new([facts("ROLLING", 10_000, 10, all), facts("SEARCH", 1_000, 2, &[CallKind::Search])]);
    let search = Call::live(CallKind::Search);
    assert_eq!((budgets.take(START, search), budgets.take(START, search)), (Ok(()), Ok(())));
    let refused = budgets.take(START, search).unwrap_err();
    assert_eq!(refused.budget, "SEARCH");
    assert!(refused.until > START && refused.until <= START.plus(1_050));
    let left = |budgets: &Budgets, at: usize| budgets.iter().nth(at).unwrap().left(START);
    assert_eq!(left(&budgets, 0), 8, "a refused call is taken out of no budget");
    assert_eq!(budgets.take(START, Call::live(CallKind::Write)), Ok(()));
    assert_eq!((left(&budgets, 0), left(&budgets, 1)), (7, 0));
}

#[test]
fn a_refusal_meets_the_named_budget_or_all_that_count_the_call() {
    let both = || {
        Budgets::new([facts("ROLLING", 10_000, 10, &CallKind::ALL), facts("SECONDLY", 1_000, 5, &[CallKind::Search])])
    };
    let goes = |budgets: &mut Budgets, kind| budgets.take(START, Call::live(kind)).is_ok();
    for (name, kind, search_goes, read_goes) in [
        ("SECONDLY", CallKind::Search, false, true),
        ("ROLLING", CallKind::Read, false, false),
        ("never heard of", CallKind::Read, false, false),
    ] {
        let mut budgets = both();
        budgets.blocked(START, kind, name, Some(500));
        assert_eq!(goes(&mut budgets, CallKind::Search), search_goes, "{name}");
        assert_eq!(goes(&mut budgets, CallKind::Read), read_goes, "{name}");
    }
}
