//! The policies as tables, and the law that a choice depends on the candidates alone.

use proptest::prelude::*;
use syncline_core::{
    conflict::Candidate,
    ids::ConnectionId,
    journal::{Hash, Origin},
    model::{Field, FieldType},
    policies::{self, Choice, Contender, Merge, Policy},
    time::{Clock, ClockKind, Millis},
    value::Value,
};

/// A candidate as a table row: its origin (a connection, `client:…` or `syncline`), its time in milliseconds and its value.
struct Row(&'static str, i64, Value);

fn origin(name: &str) -> Origin {
    match name.split_once(':') {
        Some((_, client)) => Origin::Client(client.to_owned()),
        None if name == "syncline" => Origin::Service,
        None => Origin::Connection(ConnectionId::new(name)),
    }
}

fn clock(at: i64, precision_ms: u32) -> Clock {
    Clock { at: Millis(at), precision_ms, kind: ClockKind::Record }
}

fn candidate(op: u8, name: &str, clock: Clock, value: Value) -> Candidate {
    Candidate { op: Hash([op; 32]), value, origin: origin(name), clock }
}

/// Ranks by name, so that `a` comes before `b`; clients and the service come last.
fn rank(origin: &Origin) -> u32 {
    match origin {
        Origin::Connection(connection) => connection.as_str().bytes().next().map_or(0, u32::from),
        Origin::Client(_) | Origin::Service => u32::MAX,
    }
}

fn contenders(candidates: &[Candidate]) -> Vec<Contender<'_>> {
    candidates.iter().enumerate().map(|(arrival, candidate)| Contender { candidate, arrival }).collect()
}

fn check(policy: &Policy, rows: &[Row], expected: Choice) {
    let row = |(op, Row(name, at, value)): (usize, &Row)| candidate(op as u8, name, clock(*at, 1), value.clone());
    let candidates: Vec<Candidate> = rows.iter().enumerate().map(row).collect();
    assert_eq!(policy.choose(&contenders(&candidates), &rank), expected, "{policy:?} among {candidates:#?}");
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn text(text: &str) -> Value {
    Value::text(text)
}

#[test]
fn latest_takes_the_newest_where_clocks_can_tell() {
    let latest = Policy::Latest;
    check(&latest, &[Row("a", 0, text("x")), Row("b", 2_001, text("y"))], Choice::Winner(1));
    check(&latest, &[Row("b", 9_000, text("x")), Row("a", 1_000, text("y"))], Choice::Winner(0));
    check(&latest, &[], Choice::Agreed);
}

#[test]
fn latest_asks_the_order_of_systems_within_the_uncertainty() {
    let latest = Policy::Latest;
    check(&latest, &[Row("a", 0, text("x")), Row("b", 2_000, text("y"))], Choice::Winner(0));
    check(&latest, &[Row("b", 0, text("x")), Row("b", 500, text("y"))], Choice::Winner(1));
    check(&latest, &[Row("b", 500, text("x")), Row("b", 0, text("y"))], Choice::Winner(1));
}

#[test]
fn latest_never_chains_uncertain_pairs() {
    // a≈b and b≈c, but c is certainly newer than a: the order of systems must not carry a over c.
    let rows = [Row("a", 0, text("x")), Row("b", 1_500, text("y")), Row("c", 3_000, text("z"))];
    check(&Policy::Latest, &rows, Choice::Winner(1));
}

#[test]
fn latest_respects_coarse_stamps() {
    let coarse = candidate(0, "b", clock(60_000, 60_000), text("coarse"));
    let fine = candidate(1, "a", clock(5_000, 1), text("fine"));
    let candidates = [coarse, fine];
    assert_eq!(Policy::Latest.choose(&contenders(&candidates), &rank), Choice::Winner(1));
}

#[test]
fn prefer_follows_the_order_and_then_the_clock() {
    let prefer = Policy::Prefer(names(&["b", "client"]));
    check(&prefer, &[Row("a", 90_000, text("x")), Row("b", 0, text("y"))], Choice::Winner(1));
    check(&prefer, &[Row("a", 90_000, text("x")), Row("client:app", 0, text("y"))], Choice::Winner(1));
    check(&prefer, &[Row("a", 90_000, text("x")), Row("c", 0, text("y"))], Choice::Winner(0));
    check(&prefer, &[Row("syncline", 0, text("x")), Row("c", 9_000, text("y"))], Choice::Winner(1));
}

#[test]
fn max_and_min_compare_values_and_blanks_lose() {
    let rows = || [Row("a", 0, Value::Int(5)), Row("b", 1, Value::Int(-7)), Row("c", 90_000, Value::Null)];
    check(&Policy::Max, &rows(), Choice::Winner(0));
    check(&Policy::Min, &rows(), Choice::Winner(1));
    let equal = [Row("a", 0, Value::Int(5)), Row("b", 90_000, Value::Int(5))];
    check(&Policy::Max, &equal, Choice::Winner(1));
}

#[test]
fn forward_only_takes_the_furthest_stage_and_admits_no_way_back() {
    let policy = Policy::ForwardOnly(names(&["lead", "mql", "customer"]));
    check(&policy, &[Row("a", 0, text("mql")), Row("b", 90_000, text("lead"))], Choice::Winner(0));
    check(&policy, &[Row("a", 0, text("mql")), Row("b", 90_000, text("other"))], Choice::Winner(0));
    check(&policy, &[Row("a", 0, text("mql")), Row("b", 90_000, text("mql"))], Choice::Winner(1));
    for (before, after, admitted) in [
        (text("lead"), text("customer"), true),
        (text("mql"), text("mql"), true),
        (text("customer"), text("mql"), false),
        (text("lead"), Value::Null, false),
        (Value::Null, text("lead"), true),
        (text("lead"), text("other"), false),
        (text("other"), text("lead"), true),
        (text("other"), Value::Null, true),
    ] {
        assert_eq!(policy.admits(&before, &after), admitted, "{before:?} → {after:?}");
    }
}

#[test]
fn manual_never_chooses() {
    check(&Policy::Manual, &[Row("a", 0, text("x")), Row("b", 90_000, text("y"))], Choice::Agreed);
}

#[test]
fn only_merging_policies_shape_the_document() {
    for (policy, merge) in [
        (Policy::Set, Merge::Set),
        (Policy::Text, Merge::Text),
        (Policy::Counter, Merge::Counter),
        (Policy::Latest, Merge::Register),
        (Policy::Manual, Merge::Register),
        (Policy::Prefer(names(&["a"])), Merge::Register),
    ] {
        assert_eq!(policy.merge(), merge, "{policy:?}");
    }
}

#[test]
fn blanks_lose_where_they_never_win() {
    let says = candidate(0, "b", clock(0, 1), text("x"));
    let blank = candidate(1, "a", clock(90_000, 1), Value::Null);
    let candidates = [blank, says];
    for (blank_never_wins, winner) in [(true, 1), (false, 0)] {
        let field = Field { blank_never_wins, ..Field::of(FieldType::Text { max_len: 80 }) };
        assert_eq!(policies::choose(&field, &contenders(&candidates), &rank), Choice::Winner(winner));
        assert_eq!(policies::blank_refused(&field, &text("x"), &text(" ")), blank_never_wins);
        assert!(!policies::blank_refused(&field, &Value::Null, &Value::Null), "a blank may replace a blank");
        assert!(!policies::blank_refused(&field, &text("x"), &text("y")), "a value may replace a value");
    }
    let field = Field { blank_never_wins: true, ..Field::of(FieldType::Text { max_len: 80 }) };
    let blanks = [candidates[0].clone()];
    assert_eq!(
        policies::choose(&field, &contenders(&blanks), &rank),
        Choice::Winner(0),
        "only blanks: one of them wins"
    );
}

#[test]
fn policies_are_spelled_in_snake_case() {
    for (policy, json) in [
        (Policy::Latest, r#""latest""#),
        (Policy::ForwardOnly(names(&["lead", "mql"])), r#"{"forward_only":["lead","mql"]}"#),
        (Policy::Prefer(names(&["acme-salesforce", "client"])), r#"{"prefer":["acme-salesforce","client"]}"#),
    ] {
        assert_eq!(serde_json::to_string(&policy).unwrap(), json);
        assert_eq!(serde_json::from_str::<Policy>(json).unwrap(), policy);
    }
}

fn any_policy() -> impl Strategy<Value = Policy> {
    prop_oneof![
        Just(Policy::Latest),
        Just(Policy::Prefer(names(&["c", "client", "a"]))),
        Just(Policy::Max),
        Just(Policy::Min),
        Just(Policy::ForwardOnly(names(&["lead", "mql", "customer"]))),
        Just(Policy::Manual),
    ]
}

fn any_candidates() -> impl Strategy<Value = Vec<(Candidate, usize)>> {
    let value = prop_oneof![
        Just(Value::Null),
        (0..4_i64).prop_map(Value::Int),
        prop::sample::select(vec!["lead", "mql", "customer", "other"]).prop_map(Value::text),
    ];
    let name = prop::sample::select(vec!["a", "b", "c", "client:app", "syncline"]);
    let row = (name, 0..8_000_i64, prop::sample::select(vec![1_u32, 1_000, 5_000]), value);
    prop::collection::vec(row, 0..7).prop_map(|rows| {
        let made = |(op, (name, at, precision_ms, value)): (usize, (&str, i64, u32, Value))| {
            (candidate(op as u8, name, clock(at, precision_ms), value), op)
        };
        rows.into_iter().enumerate().map(made).collect()
    })
}

/// The op that wins, so that choices compare whatever the order of the slice.
fn winning_op(policy: &Policy, candidates: &[(Candidate, usize)]) -> Option<Hash> {
    let contenders: Vec<Contender<'_>> =
        candidates.iter().map(|(candidate, arrival)| Contender { candidate, arrival: *arrival }).collect();
    match policy.choose(&contenders, &rank) {
        Choice::Winner(index) => Some(contenders[index].candidate.op),
        Choice::Agreed => None,
    }
}

proptest! {
    #[test]
    fn the_choice_does_not_depend_on_the_order_of_the_slice(
        policy in any_policy(),
        (candidates, shuffled) in any_candidates().prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
    ) {
        prop_assert_eq!(winning_op(&policy, &candidates), winning_op(&policy, &shuffled));
    }

    #[test]
    fn nobody_certainly_older_than_the_newest_wins_by_clock(candidates in any_candidates()) {
        let Some(op) = winning_op(&Policy::Latest, &candidates) else {
            prop_assert!(candidates.is_empty(), "latest always chooses somebody");
            return Ok(());
        };
        let winner = candidates.iter().find(|(candidate, _)| candidate.op == op).unwrap();
        let newest = candidates.iter().map(|(candidate, _)| candidate.clock).max_by_key(|clock| (clock.at, clock.precision_ms));
        prop_assert_eq!(winner.0.clock.order(&newest.unwrap()), None);
    }

    #[test]
    fn forward_moves_chain(stages in prop::collection::vec(prop::sample::select(vec!["", "lead", "mql", "customer", "other"]), 3)) {
        let policy = Policy::ForwardOnly(names(&["lead", "mql", "customer"]));
        let values: Vec<Value> = stages.iter().map(|stage| Value::text(*stage)).collect();
        if policy.admits(&values[0], &values[1]) && policy.admits(&values[1], &values[2]) {
            prop_assert!(policy.admits(&values[0], &values[2]), "{:?}", values);
        }
    }
}
