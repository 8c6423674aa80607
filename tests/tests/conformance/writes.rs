//! Writing: idempotent creates, preconditions where there are any, an outcome for every row.

use serde_json::{Value, json};
use syncline_core::remote::{Raw, WriteOutcome, WriteRequest, WriteVerb};

use crate::{for_every_connector, subject::Subject};

for_every_connector!(
    a_create_by_key_makes_one_object,
    a_create_meets_an_object_with_the_same_unique_value,
    a_stale_update_is_refused_where_that_can_be,
    every_row_has_its_own_end,
    rows_of_one_object_are_written_in_order,
    null_clears,
    deletes_end_as_deletes,
    a_vanished_object_is_gone,
    the_calls_are_counted_before,
);

fn id_of(outcome: &WriteOutcome) -> String {
    match outcome {
        WriteOutcome::Applied { id, .. } => id.to_string(),
        other => panic!("expected an applied row: {other:?}"),
    }
}

fn created(outcome: &WriteOutcome) -> bool {
    matches!(outcome, WriteOutcome::Applied { created: true, .. })
}

async fn a_create_by_key_makes_one_object(subject: &mut Subject) {
    let single = subject.write_one(subject.create("key/1 ü"), subject.person("Single")).await;
    assert!(created(&single), "{single:?}");
    let again = subject.write_one(subject.create("key/1 ü"), subject.person("Single")).await;
    assert!(!created(&again));
    assert_eq!(id_of(&single), id_of(&again));

    let rows = |prefix: &str| -> Vec<(WriteVerb, Value)> {
        let row = |n: u32| (subject.create(&format!("{prefix}{n}")), subject.person(&format!("{prefix}{n}")));
        (0..120).map(row).collect()
    };
    let first = subject.write(rows("Many")).await;
    assert!(first.iter().all(created));
    let second = subject.write(rows("Many")).await;
    assert!(!second.iter().any(created));
    assert_eq!(first.iter().map(id_of).collect::<Vec<_>>(), second.iter().map(id_of).collect::<Vec<_>>());
    assert_eq!(subject.users.count(subject.words.key, "key/1 ü").await, 1);
    assert_eq!(subject.users.count(subject.words.key, "Many119").await, 1);
    let object = subject.one(&id_of(&first[7])).await;
    assert_eq!(object.fields[subject.words.key], "Many7");
    assert_eq!(object.fields[subject.words.last_name], "Many7");
}

/// HubSpot keeps e-mail addresses unique, Salesforce does not: there the second create is another object.
async fn a_create_meets_an_object_with_the_same_unique_value(subject: &mut Subject) {
    let ann = subject.users.create(subject.person("Ann")).await;
    let rows = vec![(subject.create("k1"), subject.person("Ann")), (subject.create("k2"), subject.person("Ben"))];
    let outcomes = subject.write(rows).await;
    match &outcomes[0] {
        WriteOutcome::Exists { id, .. } => assert_eq!(id.as_ref().map(ToString::to_string), Some(ann)),
        WriteOutcome::Applied { created: true, id, .. } => assert_ne!(id.to_string(), ann),
        other => panic!("{other:?}"),
    }
    assert!(created(&outcomes[1]), "the other row is untouched by it: {:?}", outcomes[1]);
}

async fn a_stale_update_is_refused_where_that_can_be(subject: &mut Subject) {
    let id = subject.users.create(subject.person("Ann")).await;
    let seen = subject.one(&id).await.version;
    for _ in 0..2 {
        subject.step();
    }
    subject.users.edit(&id, json!({ subject.words.title: "By a user" })).await;
    let stale = subject.write_one(subject.update(&id, seen), json!({ subject.words.title: "By us" })).await;
    let title = subject.one(&id).await.fields[subject.words.title].clone();
    if subject.writer().conditional() && subject.words.can.refuse_stale {
        assert_eq!((stale, title), (WriteOutcome::Stale, json!("By a user")));
    } else {
        assert_eq!((id_of(&stale), title), (id.clone(), json!("By us")));
    }
    let fresh = subject.one(&id).await.version;
    let outcome = subject.write_one(subject.update(&id, fresh), json!({ subject.words.title: "By us, later" })).await;
    assert_eq!(id_of(&outcome), id);
    assert_eq!(subject.one(&id).await.fields[subject.words.title], "By us, later");
}

async fn every_row_has_its_own_end(subject: &mut Subject) {
    let (field, value) = subject.words.refused;
    let ids = [subject.users.create(subject.person("A")).await, subject.users.create(subject.person("B")).await];
    let gone = subject.users.create(subject.person("C")).await;
    subject.users.delete(&gone).await;
    let title = |text: &str| json!({ subject.words.title: text });
    let rows = vec![
        (subject.update(&ids[0], None), title("one")),
        (subject.update(&ids[1], None), json!({ field: value })),
        (subject.update(&gone, None), title("three")),
        (subject.create("fresh"), subject.person("Fresh")),
        (subject.create("bad"), json!({ subject.words.last_name: "Bad", field: value })),
    ];
    let outcomes = subject.write(rows).await;
    assert_eq!(id_of(&outcomes[0]), ids[0]);
    for outcome in [&outcomes[1], &outcomes[4]] {
        let WriteOutcome::Refused(refusal) = outcome else { panic!("{outcome:?}") };
        assert!(refusal.fields.iter().any(|name| name == field), "{refusal:?}");
    }
    assert_eq!(outcomes[2], WriteOutcome::Gone);
    assert!(created(&outcomes[3]));
    assert_eq!(subject.one(&ids[0]).await.fields[subject.words.title], "one");
    assert_eq!(subject.users.count(subject.words.last_name, "Bad").await, 0);
}

async fn rows_of_one_object_are_written_in_order(subject: &mut Subject) {
    let id = subject.users.create(subject.person("Ann")).await;
    let title = |text: &str| json!({ subject.words.title: text });
    let rows = ["one", "two", "three"].map(|text| (subject.update(&id, None), title(text))).to_vec();
    let outcomes = subject.write(rows).await;
    assert!(outcomes.iter().all(|outcome| id_of(outcome) == id));
    assert_eq!(subject.one(&id).await.fields[subject.words.title], "three");
}

async fn null_clears(subject: &mut Subject) {
    let id = subject.users.create(subject.person("Ann")).await;
    let outcome = subject.write_one(subject.update(&id, None), json!({ subject.words.title: null })).await;
    assert_eq!(id_of(&outcome), id);
    let value = subject.one(&id).await.fields[subject.words.title].clone();
    assert!(value.is_null() || value == "", "{value}");
}

async fn deletes_end_as_deletes(subject: &mut Subject) {
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(subject.users.create(subject.person(&format!("Person{n}"))).await);
    }
    subject.step();
    let delete = |id: &String| (WriteVerb::Delete { id: id.as_str().into(), expected: None }, json!({}));
    let outcomes = subject.write(ids.iter().map(delete).collect()).await;
    if !subject.words.can.delete {
        assert!(outcomes.iter().all(|outcome| matches!(outcome, WriteOutcome::Refused(_))), "{outcomes:?}");
        assert!(!subject.one(&ids[0]).await.deleted);
        return;
    }
    assert_eq!(outcomes.iter().map(id_of).collect::<Vec<_>>(), ids);
    assert!(
        subject.by_id(&ids.iter().map(String::as_str).collect::<Vec<_>>()).await.iter().all(|object| object.deleted)
    );
    let again = subject.write(ids.iter().take(1).map(delete).collect()).await;
    assert!(matches!(again[0], WriteOutcome::Gone | WriteOutcome::Applied { .. }), "{again:?}");
}

async fn a_vanished_object_is_gone(subject: &mut Subject) {
    let id = subject.users.create(subject.person("Ann")).await;
    let version = subject.one(&id).await.version;
    subject.step();
    subject.users.delete(&id).await;
    for expected in [None, version] {
        let outcome = subject.write_one(subject.update(&id, expected), json!({ subject.words.title: "x" })).await;
        assert_eq!(outcome, WriteOutcome::Gone, "{expected:?}");
    }
}

async fn the_calls_are_counted_before(subject: &mut Subject) {
    if !subject.words.can.meter {
        return;
    }
    let version = {
        let id = subject.users.create(subject.person("Ann")).await;
        subject.one(&id).await.version
    };
    let stored: Vec<String> = subject.users.stored().await.into_keys().take(60).collect();
    let row = |trace: u32, verb: WriteVerb| WriteRequest {
        object: subject.object(),
        verb,
        body: if matches!(verb_name(trace), "update") { title(subject) } else { Raw::new() },
        trace,
    };
    let rows: Vec<WriteRequest> = (0..60)
        .zip(&stored)
        .map(|(trace, id)| match verb_name(trace) {
            "update" => row(trace, subject.update(id, version.filter(|_| trace % 4 == 0))),
            _ => row(trace, WriteVerb::Delete { id: id.as_str().into(), expected: None }),
        })
        .collect();
    subject.wire.calls();
    let batch_max = if subject.words.pace.is_zero() { rows.len() } else { subject.writer().batch_max() };
    for batch in rows.chunks(batch_max) {
        subject.pass(subject.words.pace);
        let foreseen = subject.writer().calls(batch);
        subject.writer().write(&subject.credentials, batch, &[]).await;
        assert_eq!(subject.wire.calls().len(), usize::try_from(foreseen).expect("a small number"));
    }
}

fn verb_name(trace: u32) -> &'static str {
    if trace.is_multiple_of(2) { "update" } else { "delete" }
}

fn title(subject: &Subject) -> Raw {
    [(subject.words.title.to_owned(), json!("counted"))].into_iter().collect()
}
