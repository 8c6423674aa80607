//! The read machines against a simulated provider: whatever it does inside its declared facts, and wherever the reader
//! crashes, every row's newest state is read, and the reading comes to an end.

mod provider;
#[path = "../catalogue/stories.rs"]
mod stories;
#[path = "../catalogue/suites.rs"]
mod suites;

use std::collections::BTreeMap;

use proptest::prelude::*;
use provider::{Provider, Quirks, failure, shown};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use syncline_core::{
    ids::ObjectName,
    mutant::Rule,
    read::{
        Backfill, DeleteGuard, DeletionStep, Deletions, Incremental, Pace, ReadFault, ReadSpec, Recovery, Step, Sweep,
        SweepPhase, Verdict,
    },
    remote::{CursorFacts, MalformedRow, Page, Remedy, Walk, Window},
    time::{Millis, Tick},
};

const START: Millis = Millis(1_700_000_000_000);
const PACE: Pace = Pace { every_ms: 2_000 };
/// More fetches than any run of these sizes needs: passing it means that a machine does not end.
const FETCHES_MAX: u64 = 20_000;

/// One run: the provider's habits and the reader's misfortunes.
#[derive(Clone, Debug)]
struct Scenario {
    facts: CursorFacts,
    quirks: Quirks,
    rows: u32,
    /// Edits while the reader reads.
    edits: u32,
    /// Per cent of fetches after which the reader crashes before it commits.
    crash_percent: u32,
    /// All rows of the beginning share one stamp.
    one_stamp: bool,
    seed: u64,
}

fn scenarios() -> impl Strategy<Value = Scenario> {
    let facts = (
        prop_oneof![Just(Walk::StampThenId), Just(Walk::IdWithinWindow)],
        prop_oneof![Just(1_u32), Just(1_000)],
        0_u64..3_000,
        0_u64..10_000,
        2_u32..8,
        prop_oneof![Just(None), (0_u32..20).prop_map(Some)],
    );
    let run = (0_u32..60, 0_u32..60, 0_u32..40, any::<bool>(), any::<u64>());
    let quirks = (0_u32..30, 0_u32..60, 0_u32..20, any::<bool>());
    (facts, quirks, run).prop_map(|(facts, quirks, run)| {
        let (walk, precision_ms, lag_ms, overlap_ms, page_max, spare) = facts;
        let (expired_percent, short_percent, malformed_percent, tokens_shift) = quirks;
        let (rows, edits, crash_percent, one_stamp, seed) = run;
        // A cap of one page is the least that can be walked at all.
        let rows_max = spare.map(|spare| page_max + spare);
        // A search that counts rows and shows nothing readable within its cap cannot be walked by any client.
        let malformed_percent = if rows_max.is_some() { 0 } else { malformed_percent };
        Scenario {
            facts: CursorFacts { walk, precision_ms, lag_ms, overlap_ms, rows_max, page_max, tokens_shift },
            quirks: Quirks {
                hidden_ms_max: lag_ms + overlap_ms,
                expired_percent,
                short_percent,
                malformed_percent,
                tokens_shift,
            },
            rows,
            edits,
            crash_percent,
            one_stamp,
            seed,
        }
    })
}

fn spec(facts: CursorFacts) -> ReadSpec {
    ReadSpec { object: ObjectName::from("Thing"), fields: vec!["value".into()], facts, deleted: false }
}

/// A reader with what it has committed: its checkpoint and the newest value that it has seen of each row.
struct Reader {
    spec: ReadSpec,
    checkpoint: Checkpoint,
    seen: BTreeMap<u32, u64>,
}

#[derive(Clone)]
enum Checkpoint {
    Nothing,
    Backfill(String),
    Incremental(String),
}

enum Machine {
    Backfill(Backfill),
    Incremental(Incremental),
}

impl Reader {
    /// Starts as a process starts: from the checkpoint alone.
    fn start(&self, now: Millis) -> Machine {
        let spec = self.spec.clone();
        match &self.checkpoint {
            Checkpoint::Nothing => Machine::Backfill(Backfill::begin(spec, now)),
            Checkpoint::Backfill(json) => {
                Machine::Backfill(Backfill::resume(spec, serde_json::from_str(json).unwrap()).unwrap())
            }
            Checkpoint::Incremental(json) => {
                Machine::Incremental(Incremental::resume(spec, PACE, serde_json::from_str(json).unwrap()).unwrap())
            }
        }
    }

    /// One transaction: what the page showed, and the machine as the checkpoint.
    fn commit(&mut self, machine: &Machine, page: &Page) {
        for (id, value) in shown(page) {
            let newest = self.seen.entry(id).or_default();
            *newest = (*newest).max(value);
        }
        self.checkpoint = match machine {
            Machine::Backfill(backfill) => Checkpoint::Backfill(serde_json::to_string(backfill.state()).unwrap()),
            Machine::Incremental(reading) => Checkpoint::Incremental(serde_json::to_string(reading.state()).unwrap()),
        };
    }
}

impl Machine {
    fn next(&mut self, now: Millis) -> Step {
        match self {
            Self::Backfill(backfill) => backfill.next(),
            Self::Incremental(reading) => reading.next(now),
        }
    }

    fn page(&mut self, page: &Page) {
        match self {
            Self::Backfill(backfill) => backfill.page(page).unwrap(),
            Self::Incremental(reading) => drop(reading.page(page).unwrap()),
        }
    }

    fn failed(&mut self, error: &syncline_core::remote::ProviderError) -> Recovery {
        match self {
            Self::Backfill(backfill) => backfill.failed(error),
            Self::Incremental(reading) => reading.failed(error),
        }
    }
}

/// Plays a scenario until everything that happened must have been read; returns rows that were missed.
fn play(scenario: &Scenario) -> (Vec<(u32, u64)>, Provider) {
    let mut rng = ChaCha8Rng::seed_from_u64(scenario.seed);
    let mut provider = Provider::new(scenario.facts, scenario.quirks, START, ChaCha8Rng::seed_from_u64(!scenario.seed));
    for id in 1..=scenario.rows {
        provider.edit(id, true);
        provider.now = provider.now.plus(if scenario.one_stamp { 0 } else { rng.random_range(0..1_500) });
    }
    let mut reader = Reader { spec: spec(scenario.facts), checkpoint: Checkpoint::Nothing, seen: BTreeMap::new() };
    let mut machine = reader.start(provider.now);
    let mut edits = scenario.edits;
    let mut last_edit = provider.now;
    loop {
        assert!(provider.calls < FETCHES_MAX, "the reading does not end: {scenario:?}");
        if edits > 0 && rng.random_range(0..3) > 0 {
            edits -= 1;
            provider.edit(rng.random_range(1..=scenario.rows + 5), true);
            last_edit = provider.now;
        }
        match machine.next(provider.now) {
            Step::Wait { after_ms } => {
                let settled =
                    last_edit.plus((scenario.facts.lag_ms * 2 + scenario.facts.overlap_ms * 2 + 4_000) as i64);
                if edits == 0 && provider.now > settled {
                    break;
                }
                provider.now = provider.now.plus(after_ms as i64);
            }
            Step::Done => {
                let Machine::Backfill(backfill) = &machine else { panic!("incremental reading never ends") };
                machine = Machine::Incremental(backfill.incremental(PACE));
                reader.commit(&machine, &Page::default());
            }
            Step::Fetch(request) => {
                provider.now = provider.now.plus(rng.random_range(1..700));
                match provider.answer(&request) {
                    Ok(_) if rng.random_range(0..100) < scenario.crash_percent => machine = reader.start(provider.now),
                    Ok(page) => {
                        machine.page(&page);
                        reader.commit(&machine, &page);
                    }
                    Err(error) => assert_eq!(machine.failed(&error), Recovery::Resumed, "{error}"),
                }
                if rng.random_range(0..100) < scenario.crash_percent {
                    machine = reader.start(provider.now);
                }
            }
        }
    }
    let missed = provider.truth().into_iter().filter(|(id, value)| reader.seen.get(id) != Some(value)).collect();
    (missed, provider)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn every_row_is_read_and_the_reading_ends(scenario in scenarios()) {
        let (missed, _) = play(&scenario);
        prop_assert!(missed.is_empty(), "missed (id, value): {missed:?}");
    }

    #[test]
    fn a_sweep_never_misses_a_row_that_was_there_all_along(scenario in scenarios(), deletes in 0_u32..10) {
        prop_assert_eq!(sweep(&scenario, deletes), Vec::<u32>::new());
    }
}

/// Sweeps while rows are edited and deleted; returns the rows that outlived the sweep and were not seen.
fn sweep(scenario: &Scenario, deletes: u32) -> Vec<u32> {
    let mut rng = ChaCha8Rng::seed_from_u64(scenario.seed);
    let mut provider = Provider::new(scenario.facts, scenario.quirks, START, ChaCha8Rng::seed_from_u64(!scenario.seed));
    (1..=scenario.rows).for_each(|id| provider.edit(id, false));
    let known: Vec<u32> = provider.truth().into_keys().collect();
    let mut seen = std::collections::BTreeSet::new();
    let mut sweep = Sweep::begin(spec(scenario.facts), Tick(1));
    let (mut edits, mut deletes) = (scenario.edits, deletes);
    while let Step::Fetch(request) = sweep.next() {
        assert!(provider.calls < FETCHES_MAX, "the sweep does not end: {scenario:?}");
        provider.now = provider.now.plus(rng.random_range(1..700));
        if edits > 0 && scenario.rows > 0 {
            edits -= 1;
            let id = rng.random_range(1..=scenario.rows);
            if provider.truth().contains_key(&id) {
                provider.edit(id, true);
            }
        }
        if deletes > 0 && rng.random_range(0..3) == 0 {
            deletes -= 1;
            provider.delete(rng.random_range(0..=scenario.rows));
        }
        match provider.answer(&request) {
            // The crash comes before the commit: machine and marks stay as they were.
            Ok(_) if rng.random_range(0..100) < scenario.crash_percent => {}
            Ok(page) => {
                sweep.page(&page).unwrap();
                seen.extend(shown(&page).into_iter().map(|(id, _)| id));
                let state = serde_json::from_str(&serde_json::to_string(sweep.state()).unwrap()).unwrap();
                sweep = Sweep::resume(spec(scenario.facts), state).unwrap();
            }
            Err(error) => assert_eq!(sweep.failed(&error), Recovery::Resumed, "{error}"),
        }
    }
    assert_eq!(sweep.phase(), SweepPhase::Listed);
    let truth = provider.truth();
    known.into_iter().filter(|id| truth.contains_key(id) && !seen.contains(id)).collect()
}

fn plain(walk: Walk) -> CursorFacts {
    let tokens_shift = walk == Walk::IdWithinWindow;
    let (precision_ms, lag_ms, overlap_ms) = (1_000, 2_000, 5_000);
    CursorFacts { walk, precision_ms, lag_ms, overlap_ms, rows_max: Some(10), page_max: 5, tokens_shift }
}

/// The checker of the property above must be able to fail: rows that appear later than declared are lost.
#[test]
fn an_understated_overlap_is_caught() {
    let lost = |hidden_ms_max| {
        let seeds = 0..60;
        let played = seeds.map(|seed| {
            let quirks = Quirks {
                hidden_ms_max,
                expired_percent: 0,
                short_percent: 0,
                malformed_percent: 0,
                tokens_shift: false,
            };
            let facts = plain(Walk::StampThenId);
            play(&Scenario { facts, quirks, rows: 10, edits: 30, crash_percent: 0, one_stamp: false, seed })
        });
        played.filter(|(missed, _)| !missed.is_empty()).count()
    };
    assert_eq!(lost(7_000), 0, "within lag and overlap nothing is lost");
    assert!(lost(30_000) > 0, "rows hidden for longer than lag and overlap must be missed, or nothing is tested");
}

/// Tokens that count rows, followed as if they did not, leave out the rows that slip into pages which were read.
#[test]
fn tokens_that_shift_and_say_nothing_of_it_are_caught() {
    let lost = |walk, declared| {
        let played = (0..60).map(|seed| {
            let quirks = Quirks {
                hidden_ms_max: 0,
                expired_percent: 0,
                short_percent: 0,
                malformed_percent: 0,
                tokens_shift: true,
            };
            let facts =
                CursorFacts { tokens_shift: declared, rows_max: None, page_max: 2, overlap_ms: 0, ..plain(walk) };
            play(&Scenario { facts, quirks, rows: 20, edits: 60, crash_percent: 0, one_stamp: false, seed })
        });
        played.filter(|(missed, _)| !missed.is_empty()).count()
    };
    for walk in [Walk::StampThenId, Walk::IdWithinWindow] {
        assert_eq!(lost(walk, true), 0, "{walk:?}: asked for by position, nothing is lost");
        assert!(lost(walk, false) > 0, "{walk:?}: rows must be missed, or nothing is tested");
    }
}

/// The simulation must produce what the property speaks of.
#[test]
fn the_simulated_provider_is_as_bad_as_it_claims() {
    let (mut late, mut expired) = (0, 0);
    for seed in 0..20 {
        let quirks = Quirks {
            hidden_ms_max: 7_000,
            expired_percent: 20,
            short_percent: 30,
            malformed_percent: 0,
            tokens_shift: false,
        };
        let facts = plain(Walk::StampThenId);
        let (_, provider) =
            play(&Scenario { facts, quirks, rows: 40, edits: 40, crash_percent: 20, one_stamp: false, seed });
        late += provider.late;
        expired += provider.expired;
    }
    assert!(late > 100 && expired > 20, "late rows {late}, expired tokens {expired}");
}

#[test]
fn more_equal_stamps_than_a_page_or_a_cap_are_walked() {
    for walk in [Walk::StampThenId, Walk::IdWithinWindow] {
        let quirks = Quirks {
            hidden_ms_max: 0,
            expired_percent: 0,
            short_percent: 0,
            malformed_percent: 0,
            tokens_shift: false,
        };
        let facts = plain(walk);
        let run = Scenario { facts, quirks, rows: 500, edits: 0, crash_percent: 0, one_stamp: true, seed: 1 };
        let (missed, provider) = play(&run);
        assert!(missed.is_empty(), "{walk:?}");
        assert!(provider.calls < 1_000, "{walk:?} took {} calls for 500 rows of 5 a page, read twice", provider.calls);
    }
}

#[test]
fn a_backfill_in_order_of_stamps_ends_though_rows_are_edited_faster_than_read() {
    let quirks =
        Quirks { hidden_ms_max: 0, expired_percent: 0, short_percent: 0, malformed_percent: 0, tokens_shift: false };
    let facts = plain(Walk::StampThenId);
    let mut provider = Provider::new(facts, quirks, START, ChaCha8Rng::seed_from_u64(1));
    (1..=50).for_each(|id| provider.edit(id, false));
    provider.now = provider.now.plus(60_000);
    let mut backfill = Backfill::begin(spec(facts), provider.now);
    let mut pages = 0;
    while let Step::Fetch(request) = backfill.next() {
        provider.now = provider.now.plus(1_000);
        (1..=50).filter(|id| id % 5 != pages % 5).for_each(|id| provider.edit(id, false));
        backfill.page(&provider.answer(&request).unwrap()).unwrap();
        pages += 1;
        assert!(pages < 100, "the backfill follows the edits for ever");
    }
}

#[test]
fn a_window_waits_for_its_lag_and_its_pace_and_can_be_triggered() {
    let mut reading = Backfill::begin(spec(plain(Walk::StampThenId)), START).incremental(PACE);
    let first = START.plus(1_000);
    let window = |step| match step {
        Step::Fetch(request) => request.window.unwrap(),
        other => panic!("no window: {other:?}"),
    };
    assert_eq!(reading.next(START), Step::Wait { after_ms: 1_000 }, "no whole second has settled yet");
    let expected = Window { from: START.plus(-2_000 - 5_000), until: first.plus(-2_000) };
    assert_eq!(window(reading.next(first)), expected);
    assert_eq!(window(reading.next(first.plus(9_000))), expected, "a window under way stays as it is");
    assert_eq!(reading.page(&Page::default()), Ok(true));
    assert_eq!(reading.checkpoint(), expected.until);
    assert_eq!(reading.next(first.plus(500)), Step::Wait { after_ms: 1_500 }, "the next run waits for the pace");
    reading.trigger(first.plus(1_500));
    assert_eq!(window(reading.next(first.plus(1_500))).until, first.plus(-1_000), "whole seconds only");
}

#[test]
fn a_refused_window_asks_for_a_new_backfill_and_a_passing_fault_for_nothing() {
    for (remedy, recovery) in [
        (Remedy::Resync, Recovery::Resync),
        (Remedy::Retry, Recovery::Caller),
        (Remedy::Refresh, Recovery::Caller),
        (Remedy::Wait { after_ms: Some(5), budget: "DAILY".into() }, Recovery::Caller),
        // Without a position there is nothing to fall back to.
        (Remedy::Restart, Recovery::Caller),
    ] {
        let mut reading = Backfill::begin(spec(plain(Walk::StampThenId)), START).incremental(PACE);
        reading.next(START.plus(60_000));
        let before = reading.clone();
        assert_eq!(reading.failed(&failure(remedy.clone(), "no")), recovery, "{remedy:?}");
        assert_eq!(reading, before, "{remedy:?} moves nothing");
    }
}

#[test]
fn a_checkpoint_of_another_query_is_not_resumed() {
    let facts = plain(Walk::StampThenId);
    let backfill = Backfill::begin(spec(facts), START);
    let mut other = spec(facts);
    other.fields.push("phone".into());
    assert!(Backfill::resume(other.clone(), backfill.state().clone()).is_none());
    assert!(Incremental::resume(other, PACE, backfill.incremental(PACE).state().clone()).is_none());
    assert!(Backfill::resume(spec(facts), backfill.state().clone()).is_some());
}

#[test]
fn a_checkpoint_stays_small_whatever_was_read() {
    let quirks =
        Quirks { hidden_ms_max: 0, expired_percent: 0, short_percent: 0, malformed_percent: 0, tokens_shift: false };
    let facts = plain(Walk::StampThenId);
    let mut provider = Provider::new(facts, quirks, START, ChaCha8Rng::seed_from_u64(1));
    (1..=2_000).for_each(|id| provider.edit(id, false));
    let mut backfill = Backfill::begin(spec(facts), START.plus(60_000));
    while let Step::Fetch(request) = backfill.next() {
        backfill.page(&provider.answer(&request).unwrap()).unwrap();
        assert!(serde_json::to_string(backfill.state()).unwrap().len() < 400);
    }
    assert_eq!(backfill.rows(), 2_000);
}

#[test]
fn paging_that_does_not_advance_is_stopped() {
    let endless = Page { next: Some("again".into()), ..Page::default() };
    let mut backfill = Backfill::begin(spec(plain(Walk::IdWithinWindow)), START);
    let fault = (0..10_000).find_map(|_| backfill.page(&endless).err());
    assert!(matches!(fault, Some(ReadFault::Stalled { pages, .. }) if pages == 1_000), "{fault:?}");
}

#[test]
fn a_walk_that_ignores_the_position_is_stopped() {
    for walk in [Walk::StampThenId, Walk::IdWithinWindow] {
        let quirks = Quirks {
            hidden_ms_max: 0,
            expired_percent: 0,
            short_percent: 0,
            malformed_percent: 0,
            tokens_shift: false,
        };
        let facts = plain(walk);
        let mut provider = Provider::new(facts, quirks, START, ChaCha8Rng::seed_from_u64(1));
        for id in 1..=30 {
            provider.edit(id, false);
            provider.now = provider.now.plus(1_000);
        }
        provider.now = provider.now.plus(60_000);
        let mut reading = Backfill::begin(spec(facts), START).incremental(PACE);
        let fault = (0..50).find_map(|_| {
            let Step::Fetch(mut request) = reading.next(provider.now) else { panic!("the window is not read") };
            request.after = None;
            reading.page(&provider.answer(&request).unwrap()).err()
        });
        assert!(matches!(fault, Some(ReadFault::Circular { .. })), "{walk:?}: {fault:?}");
    }
}

/// Fails without the check of the phase, or of nameless rows, in `Sweep::judge`.
#[test]
fn row_21_a_sweep_infers_nothing_that_it_cannot_prove() {
    let guard = DeleteGuard { missing_min: 2, missing_max: 50, share_percent_max: 10 };
    let nameless = MalformedRow { id: None, reason: "not an object".into(), raw: serde_json::Value::Null };
    for (listed, malformed, known, missing, verdict) in [
        (true, false, 100, 0, Verdict::Complete),
        (true, false, 100, 10, Verdict::Confirm),
        (true, false, 100, 11, Verdict::AwaitApproval),
        (true, false, 3, 2, Verdict::Confirm),
        (true, false, 3, 3, Verdict::AwaitApproval),
        (true, false, 1_000_000, 50, Verdict::Confirm),
        (true, false, 1_000_000, 51, Verdict::AwaitApproval),
        (true, true, 100, 1, Verdict::Incomplete),
        (false, false, 100, 1, Verdict::Incomplete),
    ] {
        let mut sweep = Sweep::begin(spec(plain(Walk::StampThenId)), Tick(7));
        let next = (!listed).then(|| "more".to_owned());
        let malformed_rows = if malformed { vec![nameless.clone()] } else { Vec::new() };
        sweep.page(&Page { malformed: malformed_rows, next, ..Page::default() }).unwrap();
        let case = format!("listed {listed}, malformed {malformed}, {missing} of {known}");
        assert_eq!(sweep.judge(guard, known, missing), verdict, "{case}");
        let holds_back = matches!(verdict, Verdict::AwaitApproval | Verdict::Incomplete);
        assert_eq!(sweep.phase() != SweepPhase::Confirming, holds_back || verdict == Verdict::Complete, "{case}");
    }
}

#[test]
fn a_held_sweep_goes_on_only_when_a_person_says_so() {
    let held = || {
        let mut sweep = Sweep::begin(spec(plain(Walk::StampThenId)), Tick(7));
        sweep.page(&Page::default()).unwrap();
        assert_eq!(sweep.judge(DeleteGuard::default(), 100, 100), Verdict::AwaitApproval);
        sweep
    };
    let mut approved = held();
    approved.confirmed();
    assert!(matches!(approved.phase(), SweepPhase::AwaitingApproval { known: 100, missing: 100 }));
    approved.approve();
    assert_eq!(approved.phase(), SweepPhase::Confirming);
    approved.confirmed();
    assert_eq!(approved.phase(), SweepPhase::Done);
    let mut refused = held();
    refused.refuse();
    assert_eq!(refused.phase(), SweepPhase::Done);
}

#[test]
fn deletions_go_on_where_the_answer_was_complete() {
    let mut deletions = Deletions::since(START);
    let (asked, covered) = (START.plus(60_000), START.plus(45_000));
    assert_eq!(deletions.next(asked), DeletionStep::Look(Window { from: START, until: asked }));
    deletions.answered(asked, covered, PACE);
    assert_eq!(deletions.next(asked), DeletionStep::Wait { after_ms: PACE.every_ms });
    let later = asked.plus(PACE.every_ms as i64);
    assert_eq!(deletions.next(later), DeletionStep::Look(Window { from: covered, until: later }));
    assert_eq!(deletions.failed(later, &failure(Remedy::Retry, "busy")), Recovery::Caller);
    assert_eq!(deletions.next(later), DeletionStep::Look(Window { from: covered, until: later }));
    assert_eq!(deletions.failed(later, &failure(Remedy::Resync, "too old")), Recovery::Resync);
    assert_eq!(deletions.next(later), DeletionStep::Wait { after_ms: 1 });
}

#[test]
fn no_rule_about_lists_can_be_spared() {
    let story: fn() = row_21_a_sweep_infers_nothing_that_it_cannot_prove;
    let stories = [(Rule::SweepIsComplete, story), (Rule::MassDeleteWaits, story)];
    stories::assert_each_is_needed(suites::Suite::Lists, &stories);
}
