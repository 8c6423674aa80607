//! What goes wrong: every failure has a remedy, and what was not written is told from what may have been.

use std::{collections::BTreeSet, time::Duration};

use serde_json::json;
use syncline_core::remote::{Remedy, WriteOutcome, WriteVerb};

use crate::{for_every_connector, subject::Subject};

for_every_connector!(
    a_storm_hides_no_row_from_a_backfill,
    a_storm_makes_no_twin,
    a_lost_answer_is_not_a_failure,
    a_cut_cable_wrote_nothing,
);

async fn a_storm_hides_no_row_from_a_backfill(subject: &mut Subject) {
    let expected: BTreeSet<String> = subject.users.stored().await.into_keys().collect();
    subject.pass(Duration::from_secs(3_600));
    subject.users.profile("storm").await;
    if let Some(switch) = subject.words.unreadable {
        // Rows that nobody can read are told, not hidden; here every row is to be seen.
        subject.users.switch(switch, 0.0).await;
    }
    for _ in 0..5 {
        let found = subject.backfill(subject.spec()).await;
        assert_eq!(found.into_keys().collect::<BTreeSet<_>>(), expected);
    }
}

async fn a_storm_makes_no_twin(subject: &mut Subject) {
    subject.users.profile("storm").await;
    let mut open: Vec<u32> = (0..60).collect();
    let mut rounds = 0;
    while !open.is_empty() {
        rounds += 1;
        assert!(rounds < 500, "{} rows never end", open.len());
        let rows =
            open.iter().map(|n| (subject.create(&format!("k{n}")), subject.person(&format!("Person{n}")))).collect();
        let outcomes = subject.write(rows).await;
        let mut again = Vec::new();
        for (n, outcome) in open.iter().zip(outcomes) {
            match outcome {
                WriteOutcome::Applied { .. } => {}
                WriteOutcome::Unknown { .. } => again.push(*n),
                WriteOutcome::NotApplied(error) => {
                    assert!(subject.follow(&error).await, "{error}: {:?}", error.remedy);
                    again.push(*n);
                }
                other => panic!("{other:?}"),
            }
        }
        open = again;
    }
    subject.users.profile("off").await;
    subject.users.flush().await;
    for n in 0..60 {
        assert_eq!(subject.users.count(subject.words.key, &format!("k{n}")).await, 1, "k{n}");
    }
}

async fn a_lost_answer_is_not_a_failure(subject: &mut Subject) {
    if !subject.words.can.fail {
        return;
    }
    let id = subject.users.create(subject.person("Ann")).await;
    subject.users.switch("response_lost", 1.0).await;
    let outcome = subject.write_one(subject.update(&id, None), json!({ subject.words.title: "Lost" })).await;
    assert!(matches!(outcome, WriteOutcome::Unknown { .. }), "{outcome:?}");
    let rows = vec![(subject.create("a"), subject.person("A")), (subject.create("b"), subject.person("B"))];
    let outcomes = subject.write(rows).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, WriteOutcome::Unknown { .. })), "{outcomes:?}");
    subject.users.switch("response_lost", 0.0).await;
    assert_eq!(subject.one(&id).await.fields[subject.words.title], "Lost");
}

async fn a_cut_cable_wrote_nothing(subject: &mut Subject) {
    subject.cut();
    let delete = |id: &str| {
        let delete = WriteVerb::Delete { id: id.into(), expected: None };
        (if subject.words.can.delete { delete } else { subject.update(id, None) }, json!({}))
    };
    let rows = vec![delete("1"), delete("2"), (subject.create("k"), json!({})), (subject.update("3", None), json!({}))];
    for outcome in subject.write(rows).await {
        assert!(matches!(&outcome, WriteOutcome::NotApplied(error) if error.remedy == Remedy::Retry), "{outcome:?}");
    }
    let read = subject.connector.reader().probe(&subject.credentials).await;
    assert_eq!(read.map_err(|error| error.remedy), Err(Remedy::Retry));
}
