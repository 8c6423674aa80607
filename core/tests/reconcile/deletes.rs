//! What a delete in a connected system leaves, what refusing it does, and what a restore brings back.

use syncline_core::{
    ids::ConnectionId,
    model::{DeleteEffect, DeleteRace, DeleteRule},
    policies::Policy,
    reconcile::{Input, Verdict},
    replica::{Link, Observation, Past},
    time::Millis,
    value::{Fields, Value},
};

use super::story::{Story, fields, reading};

impl Story {
    /// `crm` shows that its object is deleted, and what it held last.
    pub(crate) fn loses(&mut self, name: &str) -> Observation {
        self.at += 10_000;
        let begun = self.tick();
        let mut end = reading("1", &[("name", name), ("phone", "")], begun, self.at);
        end.deleted = true;
        end
    }
}

/// What a delete in `crm` leaves, by the model's rule; with and without an edit that its deleter had not seen.
///
/// Fails without `DeleteEffect` or `DeleteRace` in `observed_deleted`, and without `delete_refused`.
#[test]
fn row_20_a_delete_and_an_edit_meet_as_the_model_says() {
    use DeleteEffect::{Detach, Ignore, Propagate};
    use DeleteRace::{DeleteWins, EditWins};
    struct Left {
        lives: bool,
        link: Link,
        crm_owed: bool,
        desk_owed: bool,
        lost: &'static [&'static str],
    }
    let id = || "1".into();
    let gone = |lost| Left { lives: false, link: Link::Gone { id: id() }, crm_owed: false, desk_owed: true, lost };
    let again = || Left { lives: true, link: Link::Unlinked, crm_owed: true, desk_owed: false, lost: &[] };
    let cut = || Left { lives: true, link: Link::Detached { id: id() }, crm_owed: false, desk_owed: false, lost: &[] };
    for (effect, race, unseen, left) in [
        (Propagate, EditWins, false, gone(&[])),
        (Propagate, EditWins, true, again()),
        (Propagate, DeleteWins, false, gone(&[])),
        (Propagate, DeleteWins, true, gone(&["\"Bea\""])),
        (Detach, EditWins, false, cut()),
        (Detach, EditWins, true, cut()),
        (Detach, DeleteWins, false, cut()),
        (Detach, DeleteWins, true, cut()),
        (Ignore, EditWins, false, again()),
        (Ignore, EditWins, true, again()),
        (Ignore, DeleteWins, false, again()),
        (Ignore, DeleteWins, true, again()),
    ] {
        for refused in [false, true] {
            let case = format!("{effect:?}, {race:?}, an unseen edit: {unseen}, refused: {refused}");
            let mut story = Story::new();
            story.plan.model.deletes = DeleteRule { effect, race };
            if unseen {
                story.app_sets("name", "Bea");
                story.delivers("desk");
            }
            let observation = story.loses("Ann");
            let connection = ConnectionId::new("crm");
            story.give(match refused {
                true => Input::DeleteRefused { connection, observation },
                false => Input::Observed { connection, observation },
            });
            let expected = if refused { &again() } else { &left };
            assert_eq!(story.state.deleted.is_none(), expected.lives, "{case}");
            assert_eq!(story.state.replicas["crm"].link, expected.link, "{case}");
            assert_eq!(
                (story.is_owed("crm"), story.is_owed("desk")),
                (expected.crm_owed, expected.desk_owed),
                "{case}"
            );
            assert_eq!(story.lost(), expected.lost, "{case}");
        }
    }
}

/// A delete that was refused is not taken in later as an ordinary reading, once a write has ended that was under way.
#[test]
fn a_refused_delete_is_not_held_for_the_end_of_a_write() {
    let mut story = Story::new();
    story.app_sets("name", "Bea");
    story.sends("crm");
    let observation = story.loses("Ann");
    story.give(Input::DeleteRefused { connection: "crm".into(), observation });
    assert!(story.state.replicas["crm"].held.is_empty());
    story.accepted("crm", None);
    assert!(story.state.deleted.is_none());
}

/// Fails without `observed_restored`: the object would stay by itself.
#[test]
fn row_19_an_object_that_is_restored_brings_the_same_record_back_everywhere() {
    for delivered in [false, true] {
        let mut story = Story::new();
        let id = story.state.id;
        let end = story.loses("Ann");
        story.observes("crm", end);
        if delivered {
            story.sends("desk");
            story.accepted("desk", None);
        }
        story.reads("crm", "1", &[("name", "Ann"), ("phone", "")]);
        assert_eq!((story.state.id, story.state.deleted), (id, None), "the tombstone is lifted");
        assert_eq!(story.state.replicas["crm"].link, Link::Linked { id: "1".into() });
        assert_eq!(story.is_owed("desk"), delivered, "only what was deleted there is created again");
    }
}

/// Fails without `EditCountsAtOnce`: Cleo slipped in before our write, and its deleter saw Bea.
#[test]
pub(crate) fn a_deleter_had_not_seen_what_our_write_hid() {
    let mut story = Story::new();
    story.app_sets("name", "Bea");
    story.delivers("crm");
    let mut end = story.loses("Bea");
    let past = |name, ago, by_us| Past {
        value: Value::text(name),
        at: Millis(story.at - ago),
        stamp: Millis(story.at - ago),
        by_us,
    };
    end.past.insert("name".into(), vec![past("Bea", 1_000, true), past("Cleo", 2_000, false)]);
    story.observes("crm", end);
    assert_eq!((story.state.deleted, story.shows("name")), (None, "\"Cleo\"".into()));
    assert!(story.is_owed("crm"), "it gets a new object");
}

/// Fails if the conflict holds what a merging field showed before the edit.
#[test]
fn what_a_delete_wins_over_is_kept_with_its_last_words() {
    let mut story = Story::with(Policy::Text);
    story.plan.model.deletes.race = DeleteRace::DeleteWins;
    story.edit(Fields::new(), Some(true));
    story.reads("desk", "1", &[("name", "Ann Lee"), ("phone", "")]);
    assert!(story.state.deleted.is_some());
    assert_eq!(story.lost(), ["\"Ann Lee\""]);
}

/// Fails without `CreateAwaitsEnd`: nobody would know any more whose last words these are.
#[test]
pub(crate) fn a_record_that_comes_back_gets_no_new_object_before_the_end_of_the_old_one_was_read() {
    let mut story = Story::new();
    story.edit(Fields::new(), Some(true));
    story.sends("crm");
    story.accepted("crm", None);
    story.edit(Fields::new(), Some(false));
    assert_eq!(story.sends("crm"), None);
    let end = story.loses("Bea");
    story.observes("crm", end);
    assert_eq!(story.shows("name"), "\"Bea\"");
    assert_eq!(story.sends("crm"), Some(fields(&[("name", "Bea")])));
}

/// Fails without `DeletedTwiceIsGone`: the object that is back would pass for a new one, and be deleted as the record is.
#[test]
pub(crate) fn an_object_that_is_deleted_after_its_record_can_still_be_restored() {
    let mut story = Story::new();
    story.app_sets("name", "Bea");
    story.edit(Fields::new(), Some(true));
    let end = story.loses("Ann");
    story.observes("crm", end);
    assert_eq!(story.state.replicas[&ConnectionId::new("crm")].link, Link::Gone { id: "1".into() });
    story.reads("crm", "1", &[("name", "Ann"), ("phone", "")]);
    assert_eq!((story.state.deleted, story.shows("name")), (None, "\"Bea\"".into()));
}

/// Fails without `RestoreIsReadLater`: the record would come back, and go again with the edit once our own delete is read.
#[test]
pub(crate) fn a_reading_that_was_under_way_when_we_deleted_restores_nothing() {
    let mut story = Story::new();
    story.edit(Fields::new(), Some(true));
    story.sends("crm");
    let slow = reading("1", &[("name", "Bea"), ("phone", "")], story.tick(), story.at);
    story.accepted("crm", None);
    assert_eq!(story.observes("crm", slow).verdict, Verdict::Unconfirmed);
    assert!(story.state.deleted.is_some());
    let end = story.loses("Bea");
    story.observes("crm", end);
    assert_eq!((story.state.deleted, story.shows("name")), (None, "\"Bea\"".into()), "it meets the delete as an edit");
}
