//! Rules that generated histories cannot miss, because nothing in them depends on the rule, or hardly ever: each has a story.

use syncline_core::{
    ids::ConnectionId,
    mutant::Rule,
    plan::Side,
    policies::Policy,
    reconcile::{ClientEdit, Input, Replayed, Verdict},
    replica::{Link, Replica, Source},
    value::Value,
};

use crate::{
    a_reading_back_that_was_overtaken_is_repeated, a_reading_begun_before_the_deadline_does_not_settle_a_lost_answer,
    after_a_lost_answer_a_text_that_happens_to_hold_the_characters_of_ours_is_not_taken_for_it,
    after_a_lost_create_an_object_that_lags_behind_the_record_edits_nothing, deletes, found, stories,
    story::{DEADLINE_MS, Story, fields, reading},
    suites::Suite,
};

#[test]
fn no_rule_about_systems_can_be_spared() {
    stories::assert_each_is_needed(
        Suite::Systems,
        &[
            (Rule::HeldIsBounded, few_readings_wait_for_a_write),
            (Rule::OlderIsStale, a_read_by_id_from_a_copy_that_lags_is_dropped),
            (Rule::DeleteNeedsReadById, a_list_that_shows_a_delete_only_causes_a_look),
            (Rule::AgreeingIsNoEdit, a_system_that_comes_to_agree_changes_nothing),
            (Rule::StoredFormEndsWithBaseline, a_stored_form_is_forgotten_with_the_value),
            (Rule::FoundIsFirstSight, after_a_lost_create_an_object_that_lags_behind_the_record_edits_nothing),
            (Rule::SpellingStaysOut, the_spelling_of_one_system_stays_out_of_a_merged_text),
            (Rule::RepeatShowsOp, who_saw_a_repetition_has_seen_what_it_repeats),
            (Rule::EditCountsAtOnce, deletes::a_deleter_had_not_seen_what_our_write_hid),
            (Rule::ChoiceEndsWaiting, a_choice_of_what_stands_ends_the_waiting),
            (Rule::FlappingIsParked, what_two_machines_turn_to_and_fro_is_parked),
            (Rule::DeadlineIsWaitedOut, a_lost_answer_is_not_settled_before_its_time),
            (
                Rule::AddedTextIsWhole,
                after_a_lost_answer_a_text_that_happens_to_hold_the_characters_of_ours_is_not_taken_for_it,
            ),
            (
                Rule::CreateAwaitsEnd,
                deletes::a_record_that_comes_back_gets_no_new_object_before_the_end_of_the_old_one_was_read,
            ),
            (Rule::LookFollowsDeadline, a_reading_begun_before_the_deadline_does_not_settle_a_lost_answer),
            (Rule::ReadBackIsRepeated, a_reading_back_that_was_overtaken_is_repeated),
            (Rule::DeletedTwiceIsGone, deletes::an_object_that_is_deleted_after_its_record_can_still_be_restored),
            (Rule::RestoreIsReadLater, deletes::a_reading_that_was_under_way_when_we_deleted_restores_nothing),
            (Rule::OlderWriteIsNoProof, found::a_lost_create_that_turns_up_an_older_object_of_ours_is_not_proved_by_it),
            (Rule::MergedIsAnother, found::what_an_object_was_merged_into_is_no_form_of_what_was_written_to_it),
            (Rule::GlimpsedIsProof, found::a_write_that_was_seen_and_undone_again_took_effect),
            (Rule::MergedLetsGo, an_object_that_was_merged_lets_go_of_its_record),
            (Rule::EpochNeedsRest, no_epoch_begins_before_a_write_was_read_back),
        ],
    );
}

fn crm(story: &Story) -> &Replica {
    &story.state.replicas[&ConnectionId::new("crm")]
}

fn few_readings_wait_for_a_write() {
    let mut story = Story::new();
    story.app_sets("name", "Bea");
    story.sends("crm");
    for number in 0..=Replica::HELD_MAX {
        assert_eq!(story.reads("crm", "1", &[("name", &format!("Cleo {number}"))]), Verdict::Held);
    }
    assert_eq!(crm(&story).held.len(), Replica::HELD_MAX);
}

fn a_read_by_id_from_a_copy_that_lags_is_dropped() {
    let mut story = Story::new();
    let before = story.at;
    story.reads("crm", "1", &[("name", "Bea"), ("phone", "")]);
    let begun = story.tick();
    let lagging = reading("1", &[("name", "Ann"), ("phone", "")], begun, before);
    assert_eq!(story.observes("crm", lagging).verdict, Verdict::Stale);
    assert_eq!(story.shows("name"), "\"Bea\"");
}

fn a_list_that_shows_a_delete_only_causes_a_look() {
    let mut story = Story::new();
    let mut row = story.loses("Ann");
    row.source = Source::List;
    assert_eq!(story.observes("crm", row).verdict, Verdict::Unconfirmed);
    assert_eq!(story.state.deleted, None);
}

fn a_system_that_comes_to_agree_changes_nothing() {
    let mut story = Story::new();
    story.reads("crm", "1", &[("name", "Bea"), ("phone", "")]);
    let before = (story.state.document.heads().clone(), story.state.version);
    story.reads("desk", "1", &[("name", "Bea"), ("phone", "")]);
    assert_eq!((story.state.document.heads().clone(), story.state.version), before);
}

/// crm writes everything in capitals.
fn a_stored_form_is_forgotten_with_the_value() {
    let mut story = Story::new();
    story.app_sets("name", "Bea");
    story.delivers("crm");
    story.reads("crm", "1", &[("name", "BEA"), ("phone", "")]);
    assert!(!story.is_owed("crm"), "it shows our value in its own way");
    story.reads("crm", "1", &[("name", "Cleo"), ("phone", "")]);
    story.app_sets("name", "Bea");
    assert_eq!(story.sends("crm"), Some(fields(&[("name", "Bea")])), "now it shows another");
}

fn the_spelling_of_one_system_stays_out_of_a_merged_text() {
    let mut story = Story::with(Policy::Text);
    story.app_sets("name", "Ann Lee");
    story.delivers("crm");
    story.reads("crm", "1", &[("name", "ann lee"), ("phone", "")]);
    story.reads("crm", "1", &[("name", "ann lee jr"), ("phone", "")]);
    assert_eq!(story.shows("name"), "\"Ann Lee jr\"");
}

fn who_saw_a_repetition_has_seen_what_it_repeats() {
    let mut story = Story::with(Policy::Prefer(vec!["crm".into(), "desk".into()]));
    story.reads("crm", "1", &[("name", "Bea"), ("phone", "")]);
    story.reads("desk", "1", &[("name", "Cleo"), ("phone", "")]);
    story.delivers("desk");
    // Now desk has seen the repetition of Bea. While another write to it is open, a late edit makes the service repeat once more.
    story.app_sets("phone", "12");
    story.sends("desk");
    let late = [("name".into(), (Value::text("Ann"), Value::text("Zoe")))].into();
    story.give(Input::Replayed(Replayed { principal: "late".into(), fields: late, written_at: None, delete: None }));
    assert_eq!(story.shows("name"), "\"Bea\"");
    story.accepted("desk", Some(&[("name", "Edda"), ("phone", "12")]));
    assert_eq!((story.shows("name"), story.lost()), ("\"Edda\"".into(), vec!["\"Cleo\"", "\"Zoe\""]));
}

fn a_choice_of_what_stands_ends_the_waiting() {
    let mut story = Story::with(Policy::Manual);
    story.reads("crm", "1", &[("name", "Bea"), ("phone", "")]);
    story.reads("desk", "1", &[("name", "Cleo"), ("phone", "")]);
    let fields = fields(&[("name", "Ann")]);
    story.give(Input::Edited(ClientEdit { principal: "app".into(), fields, delete: None, settles: true }));
    assert_eq!((story.is_owed("crm"), story.is_owed("desk")), (true, true));
}

/// crm insists on one value, desk on another, and shop is told of each.
fn what_two_machines_turn_to_and_fro_is_parked() {
    let mut story = Story::new();
    let side = Side { rank: 3, ..story.plan.sides["desk"].clone() };
    story.plan.sides.insert("shop".into(), side);
    let insists = [("crm", "Bea", "desk"), ("desk", "Cleo", "crm")];
    for (machine, value, other) in insists.into_iter().cycle().take(4) {
        story.reads(machine, "1", &[("name", value), ("phone", "")]);
        story.delivers(other);
        story.delivers("shop");
    }
    story.reads("crm", "1", &[("name", "Bea"), ("phone", "")]);
    assert_eq!(story.sends("shop"), None);
    assert!(story.state.replicas["shop"].parked.contains_key("name"));
}

fn a_lost_answer_is_not_settled_before_its_time() {
    let mut story = Story::new();
    story.app_sets("name", "Bea");
    story.sends("crm");
    story.answer_is_given_up("crm");
    assert_eq!(story.reads("crm", "1", &[("name", "Ann"), ("phone", "")]), Verdict::Held, "it may still arrive");
    story.at += DEADLINE_MS;
    assert_eq!(story.sends("crm"), None);
    story.reads("crm", "1", &[("name", "Bea"), ("phone", "")]);
    assert!(!story.is_owed("crm"), "it did");
}

fn an_object_that_was_merged_lets_go_of_its_record() {
    let mut story = Story::new();
    story.give(Input::Merged { connection: "crm".into(), into: "2".into() });
    assert_eq!((story.state.deleted, &crm(&story).link), (None, &Link::Detached { id: "1".into() }));
}

/// What slipped in before the write would be an edit of a history that is gone.
fn no_epoch_begins_before_a_write_was_read_back() {
    let mut story = Story::new();
    story.reads("desk", "1", &[("name", "Bea"), ("phone", "")]);
    story.delivers("crm");
    assert!(story.give(Input::Renew).sealed.is_none());
    story.reads("crm", "1", &[("name", "Bea"), ("phone", "")]);
    assert!(story.give(Input::Renew).sealed.is_some());
}
