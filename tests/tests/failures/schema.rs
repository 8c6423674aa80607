//! Row 18: a mapped field of a provider is removed, hidden, or has another type.

use serde_json::{Value as Json, json};
use syncline_tests::accounts::Account;

use crate::{
    patience::eventually,
    stage::{Server, Stage},
};

/// How many contacts the accounts share.
const CONTACTS: u64 = 5;

/// A field goes, or changes its type, while it is edited elsewhere: the side says so, the field waits on every record that
/// owes it, every other field goes on, nothing is cleared anywhere, and all is well again once the field is as it was.
///
/// Fails without: `RunningSide::remote_fields` leaving the field out (reading stops), `Input::Lacks` (the write is refused
/// and stays refused), `SchemaState::compare` (values of another type are taken for edits or quarantined), `reader::fetch`
/// asking for a field that is back (the next edit there is not seen).
#[tokio::test(flavor = "multi_thread")]
async fn row_18_remote_field_removed_or_changes_type() {
    let stage = Stage::set(CONTACTS, CONTACTS).await;
    let server = stage.serve().await;
    server.agree().await;
    let [salesforce, hubspot] = stage.accounts();
    let visible = |visible: bool| json!({ "visible": visible });
    for (number, (at, other, gone, back)) in [
        (salesforce, hubspot, visible(false), visible(true)),
        (hubspot, salesforce, visible(false), visible(true)),
        (hubspot, salesforce, json!({"type": "number"}), json!({"type": "string"})),
    ]
    .into_iter()
    .enumerate()
    {
        let case = format!("{} {gone}", at.words.connection);
        let (before_there, before_here) = (at.stored("title").await, other.stored("title").await);
        at.act_on_field("title", &gone).await;
        let id = other.objects().await.into_keys().next().expect("an object");
        let (name, title) = (format!("Name{number}"), format!("Title {number}"));
        other.edit(&id, &[("title", &title), ("first_name", &name)]).await;
        let (there, family) = (before_there.keys().next_back().expect("an object"), format!("Family{number}"));
        at.edit(there, &[("last_name", &family)]).await;
        server.api.steer("trigger").await;

        eventually("other fields go on both ways, and the title waits", async || {
            let first_names = at.stored("first_name").await;
            let lost = server.api.issues("remote_field_missing").await;
            let waiting = server.api.issues("field_waiting").await;
            let read = server.api.records().await.iter().any(|record| record["last_name"] == *family);
            let goes_on = read && first_names.values().any(|first| *first == name);
            match (goes_on, lost.len(), waiting.len(), phase(&server, at).await.as_str()) {
                (true, 1, 1, "degraded") => Ok(()),
                found => Err(format!("{case}: {found:?} {:?}", server.api.all_issues().await)),
            }
        })
        .await;
        nothing_cleared(&case, &before_here, &other.stored("title").await);
        assert!(server.api.records().await.iter().any(|record| record["title"] == title.as_str()), "{case}");
        assert_eq!(server.api.quarantine().await, Vec::<Json>::new(), "{case}: rows are read without the field");

        at.act_on_field("title", &back).await;
        nothing_cleared(&case, &before_there, &at.stored("title").await);
        server.api.steer("trigger").await;
        let agreement = server.agree().await;
        assert!(agreement.records.values().any(|record| record["title"] == title.as_str()), "{case}: {agreement:?}");
        assert_eq!(server.api.all_issues().await, Vec::<Json>::new(), "{case}");
    }
    assert_eq!(server.api.conflicts().await, Vec::<Json>::new(), "one writer is in conflict with nobody");
    server.stays_quiet().await;
}

async fn phase(server: &Server<'_>, account: Account<'_>) -> String {
    let sync = server.api.get("/v1/syncs/contacts").await;
    let sides = sync["sides"].as_array().expect("sides");
    let side = sides.iter().find(|side| side["connection"] == account.words.connection).expect("the side");
    side["phase"].as_str().expect("a phase").to_owned()
}

/// Whoever had a title has one still.
fn nothing_cleared(
    case: &str,
    before: &std::collections::BTreeMap<String, String>,
    after: &std::collections::BTreeMap<String, String>,
) {
    for (id, title) in before {
        assert!(title.is_empty() || !after[id].is_empty(), "{case}: the title of {id} was cleared");
    }
}
