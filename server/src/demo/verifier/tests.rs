//! The judge is judged: evidence made by hand in which something is wrong, and is found; and in which nothing is.

use serde_json::{Value as Json, json};

use super::{
    evidence::{Account, Conflict, Evidence, Record},
    ledger::Entry,
    verdict::{Verdict, judge},
};
use crate::demo::{players::Acknowledged, scenario::public::Shown};

/// The log entry that this JSON is.
fn entry(json: Json) -> Entry {
    serde_json::from_value(json).expect("an entry")
}

/// A user of an account changes the title.
fn edit(seq: u64, before: &str, after: &str) -> Entry {
    write(seq, "user", "Title", before, after)
}

/// Our write to the title.
fn ours(seq: u64, before: &str, after: &str) -> Entry {
    write(seq, "integration", "Title", before, after)
}

fn write(seq: u64, who: &str, field: &str, before: &str, after: &str) -> Entry {
    let fields = json!({field: {"before": before, "sent": after, "after": after}});
    entry(json!({"seq": seq, "at_us": seq, "actor": {"kind": who}, "op": "update", "id": "1", "fields": fields,
        "stamp_before": format!("s{seq}"), "stamp_after": format!("s{seq}")}))
}

fn event(seq: u64, who: &str, op: &str, stamp: &str) -> Entry {
    entry(json!({"seq": seq, "at_us": seq, "actor": {"kind": who}, "op": op, "id": "1", "stamp_after": stamp}))
}

/// One person in both accounts and the product, with the title `now`, and these logs.
fn world(now: &str, first: Vec<Entry>, second: Vec<Entry>) -> Evidence {
    let account = |title: &str, place: usize, log| {
        let names = [["Title", "Email", "LastName"], ["jobtitle", "email", "lastname"]][place];
        let fields = json!({names[0]: now, names[1]: "ann@example.org", names[2]: "Lee"});
        let shown = Shown { key: Some("r".into()), fields: fields.as_object().cloned().expect("an object") };
        Account { title: title.into(), keeps_history: place == 1, objects: [("1".to_owned(), shown)].into(), log }
    };
    let fields = json!({"title": now, "email": "ann@example.org", "last_name": "Lee", "do_not_call": null});
    let record = Record {
        deleted: false,
        fields: fields.as_object().cloned().expect("an object"),
        objects: [(0, "1".to_owned()), (1, "1".to_owned())].into(),
    };
    Evidence {
        accounts: vec![account("One", 0, first), account("Two", 1, second)],
        records: [("r".to_owned(), record)].into(),
        links: [((0, "1".to_owned()), "r".to_owned()), ((1, "1".to_owned()), "r".to_owned())].into(),
        ..Evidence::default()
    }
}

fn conflict(loser: &str) -> Conflict {
    Conflict { record: "r".into(), field: "title".into(), loser: json!(loser) }
}

fn acknowledged(at_us: i64, seen: &str, sent: Option<&str>) -> Acknowledged {
    let seen = json!({"title": seen}).as_object().cloned().expect("an object");
    let sent =
        sent.map(|sent| ("title".to_owned(), json!(sent))).into_iter().collect::<std::collections::BTreeMap<_, _>>();
    Acknowledged { at_us, reached_us: at_us, record: "r".into(), deleted: sent.is_empty(), seen, sent }
}

/// A deleted person: no side shows it any more.
fn deleted(mut evidence: Evidence) -> Evidence {
    evidence.accounts.iter_mut().for_each(|account| account.objects.clear());
    evidence.records.values_mut().for_each(|record| record.deleted = true);
    evidence
}

fn numbers(verdict: &Verdict) -> (u64, u64, u64, u64, u64) {
    let blind = verdict.blind.iter().map(|blind| blind.edits).sum();
    (verdict.lost, verdict.differences, verdict.duplicates, verdict.redundant, blind)
}

#[test]
fn a_lost_edit_is_found_and_one_that_is_accounted_for_is_not() {
    let with = |now: &str, first, second, conflicts: &[&str], product: Vec<Acknowledged>| {
        let conflicts = conflicts.iter().map(|loser| conflict(loser)).collect();
        Evidence { conflicts, acknowledged: product, ..world(now, first, second) }
    };
    for (what, evidence, lost) in [
        ("it stands", with("b", vec![edit(1, "a", "b")], vec![], &[], vec![]), 0),
        (
            "white space and Unicode's forms aside",
            with(" Ja\u{30a} ", vec![edit(1, "a", "Jå")], vec![], &[], vec![]),
            0,
        ),
        (
            "its own system went on from it",
            with("c", vec![edit(1, "a", "b"), edit(2, "b", "c")], vec![], &[], vec![]),
            0,
        ),
        ("it is gone", with("a", vec![edit(1, "a", "b")], vec![], &[], vec![]), 1),
        ("we overwrote it", with("c", vec![edit(1, "a", "b"), ours(2, "b", "c")], vec![], &[], vec![]), 1),
        (
            "it is in the conflict list",
            with("c", vec![edit(1, "a", "b"), ours(2, "b", "c")], vec![], &["b"], vec![]),
            0,
        ),
        ("another value is in the list", with("c", vec![edit(1, "a", "b")], vec![], &["a"], vec![]), 1),
        (
            "the product went on from it",
            with("c", vec![edit(1, "a", "b")], vec![], &[], vec![acknowledged(9, "b", Some("c"))]),
            0,
        ),
        (
            "the product had not seen it",
            with("c", vec![edit(1, "a", "b")], vec![], &[], vec![acknowledged(9, "a", Some("c"))]),
            1,
        ),
        ("the product's own is gone", with("a", vec![], vec![], &[], vec![acknowledged(9, "a", Some("c"))]), 1),
        ("an edit that changed nothing", with("a", vec![edit(1, "b", "b")], vec![], &[], vec![]), 0),
    ] {
        let verdict = judge(&evidence);
        assert_eq!(verdict.lost, lost, "{what}: {:?}", verdict.findings);
        assert_eq!(verdict.holds(), lost == 0, "{what}");
    }
}

#[test]
fn a_member_that_is_taken_out_stays_where_it_is_put_in_at_the_same_time() {
    let product = |at_us: i64, reached_us: i64, seen: Json, sent: Json| Acknowledged {
        at_us,
        reached_us,
        seen: [("interests".to_owned(), seen)].into_iter().collect(),
        sent: [("interests".to_owned(), sent)].into(),
        ..acknowledged(0, "", Some(""))
    };
    let out = |at_us| product(at_us, at_us, json!(["mobile"]), json!([]));
    let joined = |at_us, reached_us| product(at_us, reached_us, json!([]), json!(["mobile"]));
    let user = |seq| write(seq, "user", "Interests__c", "", "mobile");
    for (what, log, product, lost) in [
        ("nobody put it in", vec![], vec![out(5)], 1),
        ("it had been put in before", vec![], vec![joined(1, 1), out(5)], 1),
        ("somebody did who was cut off", vec![], vec![joined(1, 9), out(5)], 0),
        ("a user did, unread", vec![user(3), event(7, "integration", "read", "s3")], vec![out(5)], 0),
        ("a user did, read before", vec![user(3), event(4, "integration", "read", "s3")], vec![out(5)], 1),
    ] {
        let mut evidence = Evidence { acknowledged: product, ..world("a", log, vec![]) };
        let fields = [("interests".to_owned(), json!(["mobile"]))];
        evidence.records.values_mut().for_each(|record| record.fields.extend(fields.clone()));
        for (account, name) in evidence.accounts.iter_mut().zip(["Interests__c", "interests"]) {
            account.objects.values_mut().for_each(|shown| drop(shown.fields.insert(name.into(), json!("mobile"))));
        }
        let verdict = judge(&evidence);
        assert_eq!(verdict.lost, lost, "{what}: {:?}", verdict.findings);
    }
}

#[test]
fn deletes_are_judged_both_ways() {
    let gone = |seq| event(seq, "user", "delete", "s");
    let brought = |evidence: Evidence| evidence;
    let second = |seq| write(seq, "user", "jobtitle", "a", "b");
    for (what, evidence, lost) in [
        ("deleted by who had made the edit", deleted(world("b", vec![edit(1, "a", "b"), gone(2)], vec![])), 0),
        ("an edit after the delete's look", deleted(world("b", vec![gone(2)], vec![second(1)])), 1),
        (
            "an edit that the deleter had been brought",
            deleted(world("b", vec![ours(1, "a", "b"), gone(2)], vec![second(1)])),
            0,
        ),
        ("the record lives for no reason", brought(world("a", vec![gone(2)], vec![])), 1),
        (
            "the record lives for an unseen edit of a value that was brought before",
            world("b", vec![ours(1, "a", "b"), gone(3)], vec![second(2)]),
            0,
        ),
        ("the record lives for an unseen edit", brought(world("b", vec![gone(2)], vec![second(1)])), 0),
    ] {
        assert_eq!(judge(&evidence).lost, lost, "{what}: {:?}", judge(&evidence).findings);
    }
    let product = Evidence { acknowledged: vec![acknowledged(5, "a", None)], ..world("a", vec![], vec![]) };
    assert_eq!(judge(&product).lost, 1);
    assert_eq!(judge(&deleted(product)).lost, 0);
}

#[test]
fn an_edit_is_blind_only_where_the_log_says_so() {
    let overwritten = |seq: u64, stamp: &str| Entry { stamp_before: Some(stamp.into()), ..ours(seq, "b", "c") };
    let read = |seq, stamp| event(seq, "integration", "read", stamp);
    for (what, log, expected) in [
        ("under an equal stamp", vec![read(1, "t"), edit(2, "a", "b"), overwritten(3, "t")], (0, 0, 0, 0, 1)),
        ("the stamp had moved", vec![read(1, "t"), edit(2, "a", "b"), overwritten(3, "u")], (1, 0, 0, 0, 0)),
        ("we had read it", vec![read(1, "t"), edit(2, "a", "b"), read(3, "t"), overwritten(4, "t")], (1, 0, 0, 0, 0)),
        ("we had never looked", vec![edit(2, "a", "b"), overwritten(3, "t")], (1, 0, 0, 0, 0)),
    ] {
        let verdict = judge(&world("c", log, vec![]));
        assert_eq!(numbers(&verdict), expected, "{what}: {:?}", verdict.findings);
    }
    let title =
        |entry: Entry| Entry { fields: [("jobtitle".to_owned(), entry.fields["Title"].clone())].into(), ..entry };
    let log = vec![read(1, "t"), title(edit(2, "a", "b")), title(overwritten(3, "t"))];
    let verdict = judge(&world("c", vec![], log));
    assert!(verdict.blind[1].edits == 1 && !verdict.holds(), "a platform with a history has no blind edits");
}

#[test]
fn redundant_writes_are_found() {
    let flagged = Entry { redundant: true, ..ours(1, "a", "b") };
    let of_user = Entry { redundant: true, ..edit(1, "b", "b") };
    for (log, count) in [(ours(1, "b", "b"), 1), (flagged, 1), (ours(1, "a", "b"), 0), (of_user, 0)] {
        assert_eq!(judge(&world("b", vec![log], vec![])).redundant, count);
    }
}

#[test]
fn differences_are_found_and_a_platforms_own_form_is_none() {
    let mut evidence = world("b", vec![], vec![]);
    assert_eq!(numbers(&judge(&evidence)), (0, 0, 0, 0, 0));
    let two = evidence.accounts[1].objects.get_mut("1").expect("the object");
    two.fields.insert("phone".into(), json!("+15550101"));
    evidence.records.get_mut("r").expect("the record").fields.insert("phone".into(), json!("5550101"));
    let one = evidence.accounts[0].objects.get_mut("1").expect("the object");
    one.fields.insert("Phone".into(), json!("555-0101"));
    assert_eq!(judge(&evidence).differences, 1, "nobody sent the number to the second account");
    evidence.accounts[1]
        .log
        .push(entry(json!({"seq": 1, "at_us": 1, "actor": {"kind": "integration"}, "op": "update",
        "id": "1", "fields": {"phone": {"before": null, "sent": "5550101", "after": "+15550101"}}})));
    assert_eq!(judge(&evidence).differences, 0, "the platform's own log shows what it made of the number");
    evidence.accounts[0].objects.remove("1");
    assert_eq!(judge(&evidence).differences, 1, "an object is missing");
}

#[test]
fn strays_and_duplicates_are_found() {
    let mut evidence = world("b", vec![], vec![]);
    let copy = evidence.accounts[0].objects["1"].clone();
    evidence.accounts[0].objects.insert("2".into(), copy);
    let verdict = judge(&evidence);
    assert_eq!((verdict.differences, verdict.duplicates), (1, 2), "{:?}", verdict.findings);
    let record = evidence.records["r"].clone();
    evidence.records.insert("q".into(), record);
    assert!(judge(&evidence).findings.iter().any(|finding| finding.contains("two records")));
}

#[test]
fn a_value_that_nobody_wrote_is_found() {
    let title = |seq: u64, before: &str, after: &str| write(seq, "integration", "jobtitle", before, after);
    let (to_one, to_two) = (|| ours(1, "a", "b"), || title(2, "a", "b"));
    let transformed = |mut entry: Entry| {
        entry.fields.values_mut().for_each(|written| written.sent = json!("B"));
        entry
    };
    for (what, first, second, product, invented) in [
        ("only we wrote it", vec![to_one()], vec![to_two()], vec![], 1),
        ("a user did", vec![edit(0, "a", "b"), to_one()], vec![to_two()], vec![], 0),
        ("the product did", vec![to_one()], vec![to_two()], vec![acknowledged(1, "a", Some("b"))], 0),
        ("an account held it", vec![to_one()], vec![], vec![], 0),
        ("an account held it before", vec![ours(1, "b", "c")], vec![to_two()], vec![], 0),
        ("a platform made it of another", vec![transformed(to_one())], vec![to_two()], vec![], 0),
    ] {
        let verdict = judge(&Evidence { acknowledged: product, ..world("b", first, second) });
        assert_eq!(verdict.invented, invented, "{what}: {:?}", verdict.findings);
    }
}
