//! Row 15: writes of which only some succeed.

use serde_json::Value as Json;
use syncline_sandbox::ledger::Op;

use crate::{patience::eventually, stage::Stage};

/// How many people are created at once: fewer than a batch holds.
const PEOPLE: usize = 40;

/// Some rows of a batch fail for a while, and one for good: each row has an outcome of its own, only what failed is sent
/// again, and the one that cannot be written waits alone.
///
/// Fails where a batch has one outcome for all its rows: everybody waits with the one that is refused, or is taken for written.
#[tokio::test(flavor = "multi_thread")]
async fn row_15_part_of_a_batch_fails() {
    let stage = Stage::set(0, 0).await;
    let [salesforce, hubspot] = stage.accounts();
    let server = stage.serve().await;
    server.agree().await;
    // Rows of a batch meet a lock now and then; a contact without a last name is refused whatever happens.
    salesforce.set_fault("lock_row", 0.3);
    let mut nameless = String::new();
    for number in 0..PEOPLE {
        let email = format!("person{number}@x.example");
        let name = if number == 7 { "" } else { "Person" };
        let id = hubspot.create(&[("email", &email), ("last_name", name)]).await;
        if number == 7 {
            nameless = id;
        }
    }
    eventually("everybody with a name arrives, and one waits", async || {
        let (here, issues) = (salesforce.objects().await.len(), server.api.all_issues().await);
        let waits =
            issues.iter().filter(|issue| issue["kind"] == "delivery_parked" || issue["kind"] == "field_refused");
        match (here, waits.count()) {
            (here, 1) if here == PEOPLE - 1 => Ok(()),
            _ => Err(format!("{here} of {}, {issues:?}", PEOPLE - 1)),
        }
    })
    .await;
    assert!(salesforce.fired("lock_row") > 0, "no row met a lock");
    assert_eq!(salesforce.sent(Op::Create), PEOPLE - 1, "each was made once");

    salesforce.set_fault("lock_row", 0.0);
    hubspot.edit(&nameless, &[("last_name", "Named")]).await;
    let agreement = server.agree().await;
    assert_eq!((agreement.records.len(), salesforce.sent(Op::Create)), (PEOPLE, PEOPLE));
    assert_eq!(server.api.all_issues().await, Vec::<Json>::new());
    server.stays_quiet().await;
}
