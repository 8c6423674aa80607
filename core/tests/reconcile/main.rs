//! The rules of `reconcile`, one readable story each.

mod deletes;
mod found;
mod rules;
#[path = "../catalogue/stories.rs"]
mod stories;
mod story;
#[path = "../catalogue/suites.rs"]
mod suites;

use syncline_core::{
    ids::ConnectionId,
    model::{Field, FieldType},
    policies::Policy,
    reconcile::{FollowUp, Input, Receipt, Verdict},
    remote::Refusal,
    replica::{Link, Source},
    time::Millis,
    value::{Fields, Value},
};

use story::{DEADLINE_MS, Story, fields, reading};

#[test]
fn an_edit_goes_to_the_others_and_never_back() {
    let mut story = Story::new();
    assert_eq!(story.reads("crm", "1", &[("name", "Bea"), ("phone", "")]), Verdict::Changed);
    assert_eq!((story.is_owed("crm"), story.is_owed("desk")), (false, true));
    assert_eq!(story.sends("desk"), Some(fields(&[("name", "Bea")])));
    story.accepted("desk", None);
    assert_eq!(story.reads("desk", "1", &[("name", "Bea"), ("phone", "")]), Verdict::Echo);
    assert_eq!((story.is_owed("crm"), story.is_owed("desk")), (false, false));
}

#[test]
fn edits_of_different_fields_both_stand() {
    let mut story = Story::new();
    story.reads("crm", "1", &[("name", "Bea"), ("phone", "")]);
    story.reads("desk", "1", &[("name", "Ann"), ("phone", "12")]);
    assert_eq!((story.shows("name"), story.shows("phone")), ("\"Bea\"".into(), "\"12\"".into()));
    assert!(story.lost.is_empty());
}

#[test]
fn of_two_edits_of_one_field_the_loser_is_kept_once() {
    let mut story = Story::new();
    story.reads("crm", "1", &[("name", "Bea"), ("phone", "")]);
    story.reads("desk", "1", &[("name", "Cleo"), ("phone", "")]);
    story.reads("desk", "1", &[("name", "Cleo"), ("phone", "")]);
    assert_eq!((story.shows("name"), story.lost()), ("\"Cleo\"".into(), vec!["\"Bea\""]));
}

#[test]
fn a_receipt_settles_only_the_fields_that_were_sent() {
    let mut story = Story::new();
    story.app_sets("name", "Bea");
    story.sends("crm");
    story.accepted("crm", Some(&[("name", "Bea"), ("phone", "12")]));
    assert_eq!(story.shows("phone"), "\"12\"", "somebody's edit inside the answer is seen");
}

#[test]
fn another_spelling_of_what_was_sent_is_the_providers_and_any_other_value_is_an_edit() {
    for (stored, stands, owed) in [("BEA", "\"Bea\"", false), ("Cleo", "\"Cleo\"", false)] {
        let mut story = Story::new();
        story.app_sets("name", "Bea");
        story.delivers("crm");
        story.reads("crm", "1", &[("name", stored), ("phone", "")]);
        assert_eq!((story.shows("name").as_str(), story.is_owed("crm")), (stands, owed), "stored {stored}");
    }
}

#[test]
fn a_system_has_seen_what_was_sent_to_it_and_not_what_came_meanwhile() {
    let mut story = Story::new();
    story.app_sets("name", "Bea");
    story.sends("crm");
    story.app_sets("name", "Cleo");
    story.accepted("crm", None);
    story.reads("crm", "1", &[("name", "Dora"), ("phone", "")]);
    assert_eq!((story.shows("name"), story.lost()), ("\"Dora\"".into(), vec!["\"Cleo\""]));
}

#[test]
fn at_first_link_blanks_spellings_and_old_values_are_no_edits() {
    for (second, stands, lost) in
        [("", "Cleo", vec![]), ("CLEO", "Cleo", vec![]), ("Ann", "Cleo", vec![]), ("Dora", "Dora", vec!["\"Cleo\""])]
    {
        let mut story = Story::of(Field::of(FieldType::Text { max_len: 100 }), "Ann");
        story.app_sets("name", "Cleo");
        story.reads("desk", "1", &[("name", second), ("phone", "")]);
        assert_eq!((story.shows("name"), story.lost()), (format!("\"{stands}\""), lost), "second shows {second}");
    }
}

#[test]
fn systems_that_come_to_agree_need_no_write_and_have_seen_each_other() {
    let mut story = Story::new();
    story.reads("crm", "1", &[("name", "Bea"), ("phone", "")]);
    story.reads("desk", "1", &[("name", "Bea"), ("phone", "")]);
    assert!(!story.is_owed("crm") && !story.is_owed("desk"));
    story.reads("crm", "1", &[("name", "Cleo"), ("phone", "")]);
    assert_eq!((story.shows("name"), story.lost()), ("\"Cleo\"".into(), vec![]));
}

#[test]
fn a_reading_without_a_difference_still_advances_the_version() {
    let mut story = Story::new();
    assert_eq!(story.reads("crm", "1", &[("name", "Ann"), ("phone", "")]), Verdict::Echo);
    assert_eq!(story.state.replicas["crm"].version.map(|version| version.stamp), Some(Millis(story.at)));
}

#[test]
fn readings_wait_for_an_open_write_and_what_they_glimpsed_is_kept() {
    let mut story = Story::new();
    story.app_sets("name", "Bea");
    story.sends("crm");
    assert_eq!(story.reads("crm", "1", &[("name", "Cleo"), ("phone", "")]), Verdict::Held);
    story.accepted("crm", None);
    assert_eq!(story.reads("crm", "1", &[("name", "Bea"), ("phone", "")]), Verdict::Echo);
    assert_eq!((story.shows("name"), &story.lost[..]), ("\"Bea\"".into(), &[("\"Cleo\"".to_owned(), true)][..]));
}

#[test]
fn readings_that_may_show_the_past_ask_for_a_read_by_id() {
    for (what, source, begun_early, stamp_early, verdict) in [
        ("a list row that is no newer", Source::List, false, true, Verdict::Stale),
        ("a read begun before the last adoption", Source::ById, true, false, Verdict::Unconfirmed),
        ("a list row that is newer", Source::List, false, false, Verdict::Changed),
    ] {
        let mut story = Story::new();
        let early = (story.tick(), story.at);
        story.reads("crm", "1", &[("name", "Bea"), ("phone", "")]);
        story.at += 10_000;
        let begun = if begun_early { early.0 } else { story.tick() };
        let mut observation =
            reading("1", &[("name", "Ann"), ("phone", "")], begun, if stamp_early { early.1 } else { story.at });
        observation.source = source;
        if begun_early {
            observation.version = None;
        }
        let outcome = story.observes("crm", observation);
        assert_eq!(outcome.verdict, verdict, "{what}");
        let asks = FollowUp::Read { connection: "crm".into(), id: "1".into() };
        assert_eq!(outcome.follow_ups.contains(&asks), verdict == Verdict::Unconfirmed, "{what}");
    }
}

#[test]
fn policies_judge_knowing_edits_too() {
    let text = || Field::of(FieldType::Text { max_len: 100 });
    let stages = ["lead", "customer"].map(str::to_owned).to_vec();
    let forward = Field { policy: Policy::ForwardOnly(stages), ..text() };
    let kept = Field { blank_never_wins: true, ..text() };
    for (field, before, refused) in [(forward, "customer", "lead"), (kept, "Ann", "")] {
        let mut story = Story::of(field, before);
        story.reads("crm", "1", &[("name", refused), ("phone", "")]);
        assert_eq!((story.shows("name"), story.lost.len()), (format!("\"{before}\""), 1));
        assert_eq!(story.sends("crm"), Some(fields(&[("name", before)])), "the refused value is written over");
    }
}

#[test]
fn a_preferred_writer_wins_though_the_service_repeated_its_value() {
    let mut story = Story::with(Policy::Prefer(vec!["crm".into(), "desk".into()]));
    story.reads("crm", "1", &[("name", "Bea"), ("phone", "")]);
    for name in ["Cleo", "Dora"] {
        story.reads("desk", "1", &[("name", name), ("phone", "")]);
        assert_eq!(story.shows("name"), "\"Bea\"");
    }
    story.delivers("desk");
    story.reads("desk", "1", &[("name", "Edda"), ("phone", "")]);
    assert_eq!(story.shows("name"), "\"Edda\"", "an edit by somebody who saw the value is no conflict");
}

#[test]
fn a_manual_field_keeps_the_agreed_value_until_a_person_chooses() {
    let mut story = Story::with(Policy::Manual);
    story.reads("crm", "1", &[("name", "Bea"), ("phone", "")]);
    story.reads("desk", "1", &[("name", "Cleo"), ("phone", "")]);
    assert_eq!((story.shows("name"), story.lost().len()), ("\"Ann\"".into(), 2));
    assert!(!story.is_owed("crm") && !story.is_owed("desk"));
    story.app_sets("name", "Cleo");
    assert_eq!((story.is_owed("crm"), story.is_owed("desk")), (true, false));
}

#[test]
fn a_lost_answer_is_settled_by_what_a_later_reading_shows() {
    for (shown, stands, owed, lost) in [
        ("Bea", "Bea", false, vec![]),
        ("BEA", "Bea", false, vec![]),
        ("Ann", "Bea", true, vec![]),
        ("Cleo", "Cleo", false, vec!["\"Bea\""]),
    ] {
        let mut story = Story::new();
        story.app_sets("name", "Bea");
        story.sends("crm");
        let overlapping = story.tick();
        story.answer_lost("crm");
        let early = reading("1", &[("name", "Ann"), ("phone", "")], overlapping, story.at);
        assert_eq!(story.observes("crm", early).verdict, Verdict::Held, "begun while the write was under way");
        story.reads("crm", "1", &[("name", shown), ("phone", "")]);
        assert_eq!((story.shows("name"), story.lost()), (format!("\"{stands}\""), lost), "it shows {shown}");
        assert_eq!(story.is_owed("crm"), owed, "it shows {shown}");
    }
}

/// A reading that arrives after the deadline may have been begun before it, and the write may have taken effect behind it.
///
/// Fails without `LookFollowsDeadline`.
#[test]
fn a_reading_begun_before_the_deadline_does_not_settle_a_lost_answer() {
    let mut story = Story::new();
    story.app_sets("name", "Bea");
    story.sends("crm");
    story.answer_is_given_up("crm");
    let begun_before = story.tick();
    story.at += DEADLINE_MS;
    let early = reading("1", &[("name", "Ann"), ("phone", "")], begun_before, story.at);
    let outcome = story.observes("crm", early);
    assert_eq!(outcome.verdict, Verdict::Held);
    assert!(outcome.follow_ups.contains(&FollowUp::Read { connection: "crm".into(), id: "1".into() }));
    story.reads("crm", "1", &[("name", "Bea"), ("phone", "")]);
    assert_eq!((story.shows("name"), story.is_owed("crm")), ("\"Bea\"".into(), false));
}

/// A list row that brings an edit in while the object is being read back makes that reading too early to count: it is repeated.
///
/// Fails without `ReadBackIsRepeated`.
#[test]
fn a_reading_back_that_was_overtaken_is_repeated() {
    let mut story = Story::new();
    story.app_sets("name", "Bea");
    story.sends("crm");
    story.accepted("crm", Some(&[("name", "Bea"), ("phone", "")]));
    let begun = story.tick();
    story.at += 10_000;
    let listed = story.tick();
    let mut row = reading("1", &[("name", "Bea"), ("phone", "2")], listed, story.at);
    row.source = Source::List;
    assert_eq!(story.observes("crm", row).verdict, Verdict::Changed);
    let back = reading("1", &[("name", "Bea"), ("phone", "2")], begun, story.at);
    let again = FollowUp::Read { connection: "crm".into(), id: "1".into() };
    assert!(
        story.observes("crm", back.clone()).follow_ups.contains(&again),
        "what slipped in is still to be looked for"
    );
    story.reads("crm", "1", &[("name", "Bea"), ("phone", "2")]);
    assert!(!story.observes("crm", back).follow_ups.contains(&again), "it has been looked for");
}

/// Fails without `FoundIsFirstSight`: what an older object held before is no edit of it.
#[test]
fn after_a_lost_create_an_object_that_lags_behind_the_record_edits_nothing() {
    let mut story = Story::of(Field::of(FieldType::Text { max_len: 100 }), "Ann");
    story.app_sets("phone", "12");
    story.app_sets("phone", "13");
    story.app_sets("name", "Bea");
    assert_eq!(story.sends("desk"), Some(fields(&[("name", "Bea"), ("phone", "13")])));
    story.answer_lost("desk");
    story.reads("desk", "9", &[("name", "Ann"), ("phone", "12")]);
    assert_eq!((story.shows("name"), story.shows("phone")), ("\"Bea\"".into(), "\"13\"".into()));
    assert_eq!(story.lost, []);
    assert_eq!(story.sends("desk"), Some(fields(&[("name", "Bea"), ("phone", "13")])));
}

/// A person who is in a hurry does not shorten the time in which a lost write may still take effect.
#[test]
fn a_replay_leaves_a_write_whose_end_nobody_knows_its_time() {
    let mut story = Story::new();
    story.app_sets("name", "Bea");
    story.sends("crm");
    story.answer_lost("crm");
    let due = story.state.replicas[&ConnectionId::new("crm")].delivery.due();
    story.give(Input::Replay { connection: "crm".into() });
    assert_eq!(story.state.replicas[&ConnectionId::new("crm")].delivery.due(), due);

    story.reads("crm", "1", &[("name", "Ann"), ("phone", "")]);
    assert!(story.is_owed("crm"), "the write was not applied");
    story.give(Input::Replay { connection: "crm".into() });
    let now = Some(Millis(story.at));
    assert_eq!(story.state.replicas[&ConnectionId::new("crm")].delivery.due(), now, "nothing is under way any more");
}

/// Fails without `AddedTextIsWhole`: by their characters alone, each of the first two could be an edit of what was sent.
#[test]
fn after_a_lost_answer_a_text_that_happens_to_hold_the_characters_of_ours_is_not_taken_for_it() {
    for (sent, shown, stands) in [
        ("one 14", "one 101 104", "one 14 101 104"),
        ("one ab", "one axb", "one ab axb"),
        ("one two", "one two three", "one two three"),
        ("one two", "zero one two", "zero one two"),
    ] {
        let mut story = Story::with(Policy::Text);
        story.reads("crm", "1", &[("name", "one"), ("phone", "")]);
        story.app_sets("name", sent);
        story.sends("crm");
        story.answer_lost("crm");
        story.reads("crm", "1", &[("name", shown), ("phone", "")]);
        let words = |text: &str| text.split([' ', '"']).map(str::to_owned).filter(|word| !word.is_empty()).collect();
        let (found, expected): (Vec<String>, Vec<String>) = (words(&story.shows("name")), words(stands));
        let sorted = |mut words: Vec<String>| {
            words.sort();
            words
        };
        assert_eq!(sorted(found), sorted(expected), "sent {sent}, shown {shown}: {}", story.shows("name"));
    }
}

#[test]
fn a_delete_goes_everywhere_and_an_edit_that_the_deleter_had_not_seen_brings_the_record_back() {
    let gone = |story: &mut Story, name: &str| {
        story.at += 10_000;
        let begun = story.tick();
        let mut end = reading("1", &[("name", name), ("phone", "")], begun, story.at);
        end.deleted = true;
        story.observes("crm", end)
    };
    let mut story = Story::new();
    gone(&mut story, "Ann");
    assert!(story.state.deleted.is_some() && story.is_owed("desk"));

    type Sending = fn(&mut Story);
    let not_sent: Sending = |_| {};
    let lost: Sending = |story| {
        story.sends("crm");
        story.answer_lost("crm");
    };
    for (sending, last, lives) in
        [(not_sent, "Ann", true), (not_sent, "Bea", false), (lost, "Ann", true), (lost, "BEA", false)]
    {
        let mut story = Story::new();
        story.app_sets("name", "Bea");
        sending(&mut story);
        gone(&mut story, last);
        assert_eq!(story.state.deleted.is_none(), lives, "crm had seen {last}");
        assert_eq!(story.is_owed("crm"), lives, "crm had seen {last}");
    }

    let mut story = Story::new();
    story.edit(Fields::new(), Some(true));
    story.sends("crm");
    let read_back = story.accepted("crm", None).follow_ups;
    assert!(read_back.contains(&FollowUp::Read { connection: "crm".into(), id: "1".into() }));
    gone(&mut story, "Dora");
    assert!(story.state.deleted.is_none(), "Dora was written between our look and our delete");
    assert_eq!((story.shows("name"), &story.state.replicas["crm"].link), ("\"Dora\"".into(), &Link::Unlinked));

    story.at += 10_000;
    let begun = story.tick();
    let mut row = reading("1", &[("name", "Ann"), ("phone", "")], begun, story.at);
    row.source = Source::List;
    assert_eq!(story.observes("crm", row).verdict, Verdict::Unconfirmed, "a list may still show what is gone");
}

/// Fails without `RefusedIsParked`, and, where the value changed under way, if what was not refused is parked.
#[test]
fn a_refused_value_is_parked_until_it_changes() {
    for (meanwhile, parked, then) in
        [(None, true, vec![("phone", "12")]), (Some("Cleo"), false, vec![("name", "Cleo"), ("phone", "12")])]
    {
        let mut story = Story::new();
        story.edit(fields(&[("name", "Bea"), ("phone", "12")]), None);
        story.sends("crm");
        meanwhile.iter().for_each(|name| story.app_sets("name", name));
        let refusal = Refusal { code: "invalid".into(), message: "no such name".into(), fields: Vec::new() };
        story.ends("crm", Receipt::Refused { fields: vec!["name".into()], refusal });
        assert_eq!(story.state.replicas["crm"].parked.contains_key("name"), parked, "meanwhile {meanwhile:?}");
        assert_eq!(story.sends("crm"), Some(fields(&then)), "meanwhile {meanwhile:?}");
        story.accepted("crm", None);
        story.app_sets("name", "Dora");
        assert_eq!(story.sends("crm"), Some(fields(&[("name", "Dora")])), "meanwhile {meanwhile:?}");
    }
}

#[test]
fn two_blanks_are_no_conflict() {
    let mut story = Story::new();
    story.reads("crm", "1", &[("name", ""), ("phone", "")]);
    story.at += 10_000;
    let begun = story.tick();
    let mut blank = reading("1", &[("phone", "")], begun, story.at);
    blank.fields.insert("name".into(), Value::Set(Default::default()));
    story.observes("desk", blank);
    assert_eq!(story.lost, []);
}

#[test]
fn a_value_that_people_turn_to_and_fro_is_not_parked() {
    let mut story = Story::new();
    for name in ["Bea", "Ann", "Bea", "Ann", "Bea", "Ann"] {
        story.reads("crm", "1", &[("name", name), ("phone", "")]);
        story.delivers("desk");
        assert_eq!(story.reads("desk", "1", &[("name", name), ("phone", "")]), Verdict::Echo);
    }
}
