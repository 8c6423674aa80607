//! What whole histories of the service turned up (`tests/simulation`), each as the story that was left of it.

use syncline_core::{
    ids::RecordId,
    matching::{Evidence, Match, MatchKey, Seat, decide},
    model::{Field, FieldType},
    policies::Policy,
    reconcile::{Input, Receipt, Stray, Verdict},
    remote::RemoteVersion,
    replica::{Link, Observation, Past, Replica, Source},
    time::{Clock, ClockKind, Millis},
    value::Value,
};

use super::story::{DEADLINE_MS, Story, reading};

fn text(policy: Policy) -> Field {
    Field { policy, ..Field::of(FieldType::Text { max_len: 100 }) }
}

/// `crm` shows Ann; the create in `desk` is under way.
fn creating() -> Story {
    let mut story = Story::of(text(Policy::Latest), "Ann");
    assert!(story.sends("desk").is_some(), "the person is created in the other system");
    story
}

/// A reading of `desk`'s object 9 that was begun now.
fn found(story: &mut Story, source: Source) -> Observation {
    let begun = story.tick();
    Observation { source, ..reading("9", &[("name", "Ann"), ("phone", "")], begun, story.at) }
}

#[test]
fn what_a_lost_create_made_takes_its_seat_once_nothing_can_be_under_way() {
    let mut story = creating();
    let before = found(&mut story, Source::ById);
    story.answer_is_given_up("desk");
    let gave_up = story.at;
    let (early, listed) = (found(&mut story, Source::ById), found(&mut story, Source::List));
    let seat = |story: &Story, reading: &Observation, ms: i64| {
        Seat::of(story.state.replicas.get("desk"), reading, Millis(gave_up + ms))
    };
    for (why, reading, ms, taken) in [
        ("the deadline has not passed", &early, DEADLINE_MS - 1, Seat::Creating),
        ("a list may lag", &listed, DEADLINE_MS, Seat::Creating),
        ("it was begun before the answer was given up", &before, DEADLINE_MS, Seat::Creating),
        ("a read by id shows what was made", &early, DEADLINE_MS, Seat::Free),
    ] {
        assert_eq!(seat(&story, reading, ms), taken, "{why}");
    }
    story.at = gave_up + DEADLINE_MS;
    let shown = found(&mut story, Source::ById);
    story.observes("desk", shown);
    assert_eq!(story.state.replicas["desk"].link, Link::Linked { id: "9".into() });
    assert_eq!((story.sends("desk"), story.lost().len()), (None, 0), "nothing is made or written again");
}

#[test]
fn an_older_object_that_a_lost_create_turns_up_shows_what_stands_there() {
    a_lost_create_that_turns_up_an_older_object_of_ours_is_not_proved_by_it();
}

/// Fails without `OlderWriteIsNoProof`: the provider names us as the author, so Bea would be what became of Ann.
pub(crate) fn a_lost_create_that_turns_up_an_older_object_of_ours_is_not_proved_by_it() {
    let mut story = Story::of(text(Policy::Prefer(vec!["crm".into()])), "Ann");
    let written = Millis(story.at);
    story.at += 3_600_000;
    story.sends("desk");
    story.answer_lost("desk");
    let begun = story.tick();
    let mut restored = reading("9", &[("name", "Bea"), ("phone", "")], begun, story.at);
    restored
        .past
        .insert("name".into(), vec![Past { value: Value::text("Bea"), at: written, stamp: written, by_us: true }]);
    story.observes("desk", restored);
    assert_eq!(story.shows("name"), "\"Ann\"");
    assert!(story.is_owed("desk"), "Bea stands there still");
}

#[test]
fn what_was_held_for_a_create_and_is_another_object_is_looked_at_again() {
    let mut story = creating();
    let other = found(&mut story, Source::ById);
    assert_eq!(story.observes("desk", other).verdict, Verdict::Held);
    let ended = story.accepted("desk", None);
    let stray = Stray { connection: "desk".into(), id: "9".into(), at: Millis(story.at) };
    assert_eq!(Vec::from_iter(ended.strays), [stray]);
}

#[test]
fn an_object_like_a_record_that_has_another_needs_a_read_by_id() {
    let record = RecordId(Default::default());
    let keys = vec![MatchKey { name: "email".into(), value: "ann".into() }];
    for (seat, by_read, verdict) in [
        (Seat::Taken, false, Match::Unconfirmed),
        (Seat::Taken, true, Match::New),
        (Seat::Free, false, Match::Link(record)),
    ] {
        let candidates = vec![syncline_core::matching::Candidate { record, keys: keys.clone(), seat }];
        let evidence = Evidence { keys: keys.clone(), candidates, by_read, ..Evidence::default() };
        assert_eq!(decide(&evidence), verdict, "{seat:?}, read by id: {by_read}");
    }
}

#[test]
fn texts_that_two_systems_begin_apart_are_both_kept() {
    let mut story = Story::of(text(Policy::Text), "");
    story.reads("desk", "1", &[("name", ""), ("phone", "")]);
    story.app_sets("phone", "1");
    story.reads("crm", "1", &[("name", "from the crm"), ("phone", "")]);
    story.reads("desk", "1", &[("name", "from the desk"), ("phone", "")]);
    let told = [story.shows("name"), story.lost().concat()].concat();
    assert!(told.contains("from the crm") && told.contains("from the desk"), "one is shown, one is kept: {told}");
}

#[test]
fn a_system_that_spells_a_text_its_own_way_is_not_sent_it_again_for_a_users_edit() {
    let mut story = Story::of(text(Policy::Text), "Ann");
    story.reads("desk", "1", &[("name", "ann"), ("phone", "")]);
    story.reads("desk", "1", &[("name", "ann lee"), ("phone", "")]);
    assert_eq!(story.shows("name"), "\"Ann lee\"");
    assert!(!story.is_owed("desk"), "it would fold the case once more");
    assert!(story.is_owed("crm"));
}

#[test]
fn a_history_is_compared_by_the_providers_own_clock() {
    // The provider's clock is an hour ahead; clocks are corrected when they arrive, versions never are.
    const AHEAD_MS: i64 = 3_600_000;
    let mut story = Story::new();
    let stamped = |story: &mut Story, name: &str, history: Vec<Past>| {
        story.at += 10_000;
        let begun = story.tick();
        let version = Some(RemoteVersion { stamp: Millis(story.at + AHEAD_MS), precision_ms: 1 });
        let past = [("name".into(), history)].into();
        Observation { version, past, ..reading("1", &[("name", name), ("phone", "")], begun, 0) }
    };
    let before = stamped(&mut story, "Ann", Vec::new());
    story.observes("desk", before);
    story.app_sets("name", "Bea");
    story.sends("desk");
    let (at, ours) = (Millis(story.at), Value::text("bea"));
    story.answer_lost("desk");
    let written = Past { value: ours, at, stamp: at.plus(AHEAD_MS), by_us: true };
    let after = stamped(&mut story, "bea", vec![written]);
    story.observes("desk", after);
    assert_eq!(
        (story.lost().len(), story.shows("name")),
        (0, "\"Bea\"".into()),
        "it is what was sent, in another case"
    );
    assert!(!story.is_owed("desk"));
}

#[test]
fn a_stamp_far_ahead_puts_a_conditional_write_off_for_its_precision_only() {
    let mut story = Story::new();
    story.at += 10_000;
    let begun = story.tick();
    let version = Some(RemoteVersion { stamp: Millis(story.at + 3_600_000), precision_ms: 1_000 });
    let seen = Observation { version, ..reading("1", &[("name", "Ann"), ("phone", "")], begun, 0) };
    story.observes("desk", seen);
    story.app_sets("name", "Bea");
    let prepare = Input::Prepare { connection: "desk".into(), looked_at: Millis(story.at), conditional: true };
    assert_eq!(story.give(prepare).intent, None, "its second may not have passed");
    let due = story.state.replicas["desk"].delivery.due().expect("it is still owed");
    assert_eq!(due.0 - story.at, 1_000, "not an hour: the clock may not have been measured yet");
}

#[test]
fn a_create_that_is_answered_with_another_records_object_waits_for_a_person() {
    let mut story = creating();
    story.ends("desk", Receipt::Exists { id: None, message: "9 belongs to record 7".into() });
    let replica = &story.state.replicas["desk"];
    assert_eq!((replica.link.clone(), replica.intent.is_none()), (Link::Unlinked, true));
    assert!(!story.is_owed("desk"));
}

#[test]
fn an_object_that_rests_while_a_write_waits_pushes_nothing_out() {
    let mut story = Story::new();
    story.app_sets("name", "Bea");
    story.sends("desk");
    story.answer_is_given_up("desk");
    story.reads("desk", "1", &[("name", "Cleo"), ("phone", "")]);
    let at = story.at + 1;
    for _ in 0..=Replica::HELD_MAX {
        let begun = story.tick();
        story.observes("desk", reading("1", &[("name", "Bea"), ("phone", "")], begun, at));
    }
    assert_eq!(story.state.replicas["desk"].held.len(), 2, "what is shown again is held once");
    rests(&mut story);
    story.reads("desk", "1", &[("name", "Bea"), ("phone", "")]);
    assert_eq!(story.lost(), ["\"Cleo\""], "somebody wrote that before our write hid it");
}

/// The time passes in which a write to `desk` whose answer was lost could still arrive.
fn rests(story: &mut Story) {
    story.at += DEADLINE_MS;
    assert_eq!(story.sends("desk"), None, "the write is still open");
}

#[test]
fn what_was_held_for_a_create_that_made_nothing_is_looked_at_again() {
    let mut story = creating();
    let other = found(&mut story, Source::ById);
    assert_eq!(story.observes("desk", other).verdict, Verdict::Held);
    let ended = story.ends("desk", Receipt::Exists { id: None, message: "it is another record's".into() });
    let stray = Stray { connection: "desk".into(), id: "9".into(), at: Millis(story.at) };
    assert_eq!(Vec::from_iter(ended.strays), [stray]);
    assert_eq!(story.state.replicas["desk"].link, Link::Unlinked, "nobody has said that it is this one");
}

/// A reading of `desk`'s object by a provider whose clock is behind by a quarter of an hour.
fn behind(story: &mut Story, name: &str) -> Observation {
    story.at += 10_000;
    let begun = story.tick();
    let (now, at) = (Millis(story.at), Millis(story.at - 900_000));
    let clock = Clock { at: now, precision_ms: 1, kind: ClockKind::Record };
    let clocks = [("name".into(), clock)].into();
    let version = Some(RemoteVersion { stamp: at, precision_ms: 1 });
    Observation { version, clocks, ..reading("1", &[("name", name), ("phone", "")], begun, 0) }
}

#[test]
fn what_was_glimpsed_is_kept_where_the_providers_clock_is_behind() {
    let mut story = Story::new();
    story.at += 3_600_000;
    let before = behind(&mut story, "Ann");
    story.observes("desk", before);
    story.app_sets("name", "Bea");
    story.sends("desk");
    story.answer_is_given_up("desk");
    let glimpsed = behind(&mut story, "Cleo");
    assert_eq!(story.observes("desk", glimpsed).verdict, Verdict::Held);
    rests(&mut story);
    for _ in 0..2 {
        let after = behind(&mut story, "Bea");
        story.observes("desk", after);
    }
    assert_eq!(story.lost(), ["\"Cleo\""]);
}

#[test]
fn what_was_glimpsed_is_kept_when_the_object_is_merged_away() {
    let mut story = Story::new();
    story.app_sets("name", "Bea");
    story.sends("desk");
    story.answer_is_given_up("desk");
    story.reads("desk", "1", &[("name", "Cleo"), ("phone", "")]);
    story.give(Input::Merged { connection: "desk".into(), into: "2".into() });
    assert_eq!(story.lost(), ["\"Cleo\""]);
}

#[test]
fn the_history_of_what_an_object_was_merged_into_proves_nothing_of_our_write() {
    let mut story = Story::with(Policy::Prefer(vec!["crm".into()]));
    story.at += 3_600_000;
    let mut before = behind(&mut story, "Ann");
    story.observes("desk", before.clone());
    story.app_sets("name", "Bea");
    story.sends("desk");
    story.answer_lost("desk");
    before = behind(&mut story, "Cleo");
    let at = before.clocks["name"].at;
    let ours = Past { value: Value::text("Cleo"), at, stamp: at.plus(-900_000), by_us: true };
    let survivor =
        Observation { id: "2".into(), aliases: vec!["1".into()], past: [("name".into(), vec![ours])].into(), ..before };
    story.observes("desk", survivor);
    assert!(story.is_owed("desk") || story.shows("name") == "\"Cleo\"", "Cleo is no form of Bea");
}

#[test]
fn an_object_that_was_merged_into_another_shows_that_ones_values() {
    what_an_object_was_merged_into_is_no_form_of_what_was_written_to_it();
}

/// Fails without `MergedIsAnother`: the provider names us as the author of what the other object holds, so that would be what it
/// made of our write, and would stand there for ever.
pub(crate) fn what_an_object_was_merged_into_is_no_form_of_what_was_written_to_it() {
    let mut story = Story::with(Policy::Prefer(vec!["crm".into()]));
    let long_ago = Millis(story.at);
    story.reads("crm", "1", &[("name", "Bea"), ("phone", "")]);
    story.delivers("desk");
    let begun = story.tick();
    let ours = Past { value: Value::text("Cleo"), at: long_ago, stamp: long_ago, by_us: true };
    let other = reading("2", &[("name", "Cleo"), ("phone", "")], begun, long_ago.0);
    let past = [("name".into(), vec![ours])].into();
    story.observes("desk", Observation { aliases: vec!["1".into()], past, ..other });
    assert_eq!(story.state.replicas["desk"].link, Link::Linked { id: "2".into() });
    assert_eq!(story.shows("name"), "\"Cleo\"", "whoever merged them left Cleo there");
    assert!(story.is_owed("crm"));
}

#[test]
fn texts_of_objects_that_were_merged_are_not_mixed() {
    let mut story = Story::with(Policy::Text);
    story.reads("desk", "1", &[("name", "Ann likes tea"), ("phone", "")]);
    story.delivers("crm");
    story.app_sets("name", "Ann likes coffee");
    let begun = story.tick();
    let other = reading("2", &[("name", "Bob hates tea"), ("phone", "")], begun, story.at);
    story.observes("desk", Observation { aliases: vec!["1".into()], ..other });
    let whole = ["\"Ann likes coffee\"", "\"Bob hates tea\""];
    assert!(whole.contains(&story.shows("name").as_str()), "{} is nobody's text", story.shows("name"));
    assert_eq!(story.lost().len(), 1, "the other one is told");
}

#[test]
fn a_lost_write_that_was_overwritten_again_is_known_by_the_readings_that_waited() {
    a_write_that_was_seen_and_undone_again_took_effect();
}

/// Fails without `GlimpsedIsProof`: what stands there is what stood there before, so the write would count as never made, be made
/// again over what the users have chosen, and hide what it had overwritten.
pub(crate) fn a_write_that_was_seen_and_undone_again_took_effect() {
    let mut story = Story::with(Policy::Latest);
    story.app_sets("name", "Bea");
    story.sends("desk");
    story.answer_is_given_up("desk");
    for (after_ms, name) in [(1_000, "Cleo"), (2_000, "Bea"), (3_000, "Ann")] {
        let begun = story.tick();
        let held = reading("1", &[("name", name), ("phone", "")], begun, story.at + after_ms);
        assert_eq!(story.observes("desk", held).verdict, Verdict::Held);
    }
    story.at += DEADLINE_MS;
    let input = Input::Prepare { connection: "desk".into(), looked_at: Millis(story.at), conditional: false };
    story.give(input);
    let begun = story.tick();
    let stamp = story.at - DEADLINE_MS + 3_000;
    story.observes("desk", reading("1", &[("name", "Ann"), ("phone", "")], begun, stamp));
    assert_eq!(story.shows("name"), "\"Ann\"", "its users put Ann back, over Bea");
    assert!(story.lost().contains(&"\"Cleo\""), "Cleo, overwritten by our write, is told: {:?}", story.lost());
}

#[test]
fn a_value_that_comes_up_in_two_spellings_is_written_to_neither_system() {
    let mut story = Story::with(Policy::Latest);
    story.reads("crm", "1", &[("name", "Ann"), ("phone", "X12")]);
    story.reads("desk", "1", &[("name", "Ann"), ("phone", "x12")]);
    assert_eq!(story.shows("phone"), "\"X12\"");
    let owed = [story.is_owed("crm"), story.is_owed("desk")];
    assert_eq!((owed, story.lost().len()), ([false, false], 0), "neither has seen the other, and both say the same");
    story.reads("desk", "1", &[("name", "Ann"), ("phone", "x13")]);
    assert_eq!((story.shows("phone").as_str(), story.is_owed("crm")), ("\"x13\"", true), "an edit is one still");
}
