//! Every rule about what may enter a document is needed.

use std::collections::BTreeSet;

use automerge::ActorId;
use syncline_core::{
    document::{Actor, Document, Put},
    ids::FieldName,
    model::{DeleteEffect, DeleteRace, DeleteRule, Field, FieldType, Model},
    mutant::Rule,
    time::Millis,
    value::{Fields, Value},
};

use crate::{bombs, stories, suites::Suite, vetting};

#[test]
fn no_rule_about_what_enters_can_be_spared() {
    stories::assert_each_is_needed(
        Suite::Protocol,
        &[
            (Rule::ActorIsClaimed, vetting::row_30_forged_actors_are_refused_also_for_orphans),
            (Rule::DerivedActorIsReserved, derived_actors_are_borrowed_too),
            (Rule::SequenceHasNoGap, vetting::row_30_sequence_numbers_follow_each_other),
            (Rule::OpNumbersAreBounded, vetting::operations_are_numbered_at_most_one_above_all_others),
            (Rule::LimitsAreCounted, bombs::references_are_counted_by_their_groups),
            (Rule::WaitingIsBounded, vetting::row_31_orphans_wait_up_to_their_bounds_only),
        ],
    );
}

/// An actor that writes at heads before its own last change gets another one from Automerge.
fn derived_actors_are_borrowed_too() {
    let own = Actor::service(&"acme".into(), 1);
    let (name, field) = (FieldName::new("age"), Field::of(FieldType::Int));
    let deletes = DeleteRule { effect: DeleteEffect::Propagate, race: DeleteRace::EditWins };
    let fields = [(name.clone(), field.clone())].into();
    let model = Model { name: "contact".into(), fields, match_keys: Vec::new(), deletes };
    let (mut document, hash) = Document::genesis(&own, &model, &Fields::new(), Millis(0)).unwrap();
    for age in [30, 31] {
        let put = Put { name: &name, field: &field, old: &Value::Null, new: &Value::Int(age), as_text_object: false };
        document.write_at(&own, &vec![hash], &[put], Millis(0)).unwrap();
    }
    let changes = document.automerge().unwrap().get_changes(&[]);
    let actors: BTreeSet<&ActorId> = changes.iter().map(|change| change.actor_id()).collect();
    assert_eq!(actors.len(), 2);
    assert!(actors.iter().all(|actor| own.is_borrowed_by(actor)), "{actors:?}");
}
