//! Work without a network, over restarts of the program.

use serde_json::json;
use syncline_client::Counter;

use super::{Contact, Program, contact};
use crate::stage::{empty, record, until_record};

#[tokio::test(flavor = "multi_thread")]
async fn edits_made_offline_survive_restarts_and_meet_those_of_everybody_else() {
    let stage = empty().await;
    let server = stage.serve().await;
    let (id, _) = record(
        &server.api,
        json!({"email": "ann@x.example", "last_name": "Lee", "logins": 1, "interests": ["crm"], "notes": "one two"}),
    )
    .await;
    server.agree().await;
    let program = Program::open(&stage, "program.db").await;
    program.holds(1).await;
    server.end();
    program.offline().await;

    let ann = id.parse().expect("an id");
    program
        .edit(ann, |contact| {
            contact.title = Some("CEO".into());
            contact.logins = Some(Counter(contact.logins.expect("a counter").0 + 2));
        })
        .await;
    let born = program.create(Contact { title: Some("New".into()), ..contact("born@x.example") }).await;
    program.end().await;

    // The program starts again while the server is still away.
    let program = Program::open(&stage, "program.db").await;
    assert_eq!(program.get(ann).await.expect("held").value.title.as_deref(), Some("CEO"));
    program
        .edit(ann, |contact| {
            contact.interests.insert("billing".into());
            contact.notes.as_mut().expect("a text").0.insert_str(3, " and");
        })
        .await;
    assert!(program.client.pending().waiting >= 3, "{:?}", program.client.pending());
    let salesforce = stage.salesforce();
    let copy = salesforce.by_email("ann@x.example").await.expect("she was created there");
    salesforce.edit(&copy.id, &[("phone", "+49 30 7654321")]).await;

    let server = stage.serve().await;
    server.api.patch(&id, &json!({"first_name": "Ann", "logins": 6})).await;
    program.settled().await;
    let wanted = json!({"title": "CEO", "first_name": "Ann", "logins": 8, "interests": ["billing", "crm"],
                        "notes": "one and two", "phone": "+49307654321"});
    until_record(&server.api, &id, wanted).await;
    until_record(&server.api, &born.to_string(), json!({"title": "New", "email": "born@x.example"})).await;
    program
        .shows(ann, "the program sees the others' edits", |contact| {
            contact.first_name.as_deref() == Some("Ann") && contact.logins == Some(Counter(8))
        })
        .await;
    assert_eq!(server.agree().await.records.len(), 2);
    program.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_program_deletes_and_restores_offline_is_deleted_and_restored() {
    let stage = empty().await;
    let server = stage.serve().await;
    let program = Program::open(&stage, "program.db").await;
    let (gone, kept) =
        (program.create(contact("gone@x.example")).await, program.create(contact("kept@x.example")).await);
    program.settled().await;
    server.agree().await;
    server.kill();
    program.offline().await;
    for id in [gone, kept] {
        program.contacts.delete(id).await.expect("a durable delete");
    }
    let server = stage.serve().await;
    program.settled().await;
    assert!(server.agree().await.records.is_empty(), "both are deleted everywhere");

    server.kill();
    program.offline().await;
    program.contacts.restore(kept).await.expect("a durable restoration");
    let server = stage.serve().await;
    program.settled().await;
    let records = server.agree().await.records;
    assert_eq!(records.into_keys().collect::<Vec<_>>(), [kept.to_string()]);
    for account in stage.accounts() {
        assert!(account.by_email("gone@x.example").await.is_none(), "deleted in {}", account.words.connection);
        assert!(account.by_email("kept@x.example").await.is_some(), "restored in {}", account.words.connection);
    }
    program.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_program_deletes_and_restores_before_anybody_heard_of_it_stays() {
    let stage = empty().await;
    let server = stage.serve().await;
    let program = Program::open(&stage, "program.db").await;
    let kept = program.create(contact("kept@x.example")).await;
    program.settled().await;
    server.agree().await;
    server.kill();
    program.offline().await;
    program.contacts.delete(kept).await.expect("a durable delete");
    program.contacts.restore(kept).await.expect("a durable restoration");
    let server = stage.serve().await;
    program.settled().await;
    let records = server.agree().await.records;
    assert_eq!(records.into_keys().collect::<Vec<_>>(), [kept.to_string()]);
    program.end().await;
}
