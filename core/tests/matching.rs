//! Which record a newly seen object is: without any of the rules another person's record would be taken.

#[path = "catalogue/stories.rs"]
mod stories;
#[path = "catalogue/suites.rs"]
mod suites;

use syncline_core::{
    ids::RecordId,
    matching::{Candidate, Claim, Evidence, Match, MatchKey, Seat, decide},
    mutant::Rule,
};
use uuid::Uuid;

const A: RecordId = RecordId(Uuid::from_u128(1));
const B: RecordId = RecordId(Uuid::from_u128(2));

fn keys(pairs: &[(&str, &str)]) -> Vec<MatchKey> {
    pairs.iter().map(|(name, value)| MatchKey { name: (*name).into(), value: (*value).into() }).collect()
}

/// What becomes of an object with an address and a telephone, beside these records.
fn check(records: &[(RecordId, &str, Seat)], expected: Match) {
    let candidate = |(record, email, seat): &(RecordId, &str, Seat)| Candidate {
        record: *record,
        keys: keys(&[("email", email), ("phone", "1")]),
        seat: *seat,
    };
    let candidates = records.iter().map(candidate).collect();
    let evidence = Evidence { keys: keys(&[("email", "ann"), ("phone", "1")]), candidates, ..Evidence::default() };
    assert_eq!(decide(&evidence), expected, "{records:?}");
}

#[test]
fn no_rule_of_matching_can_be_spared() {
    stories::assert_each_is_needed(
        suites::Suite::Matching,
        &[
            (Rule::AmbiguousIsHeld, || {
                check(&[(A, "ann", Seat::Free), (B, "ann", Seat::Free)], Match::Ambiguous(vec![A, B]))
            }),
            (Rule::TakenIsNoCandidate, || check(&[(A, "ann", Seat::Taken), (B, "ann", Seat::Free)], Match::Link(B))),
            (Rule::BetterKeyTellsApart, || check(&[(A, "bob", Seat::Free)], Match::Ambiguous(vec![A]))),
            (Rule::TwinNeedsReadById, || check(&[(A, "ann", Seat::Taken)], Match::Unconfirmed)),
            (Rule::CutOffStaysSo, || {
                let by_alias = vec![Claim { record: A, seat: Seat::Detached }];
                assert_eq!(decide(&Evidence { by_alias, ..Evidence::default() }), Match::Ambiguous(vec![A]));
            }),
            (Rule::CreatingIsAwaited, || check(&[(A, "ann", Seat::Creating)], Match::Creating(A))),
        ],
    );
}
