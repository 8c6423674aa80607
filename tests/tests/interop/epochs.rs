//! Records whose history begins anew under the feet of those who hold their documents.

use automerge::{ROOT, ReadDoc, transaction::Transactable};
use serde_json::json;
use syncline_tests::{
    api::KEY,
    patience::eventually,
    stage::{Server, Stage},
};

use crate::{
    peers::{Peer, until_fields},
    programs::{Contact, Program},
    stage::{empty, record, until_record},
};

/// A stage on which a history of more than eight changes is a long one.
async fn forgetful() -> Stage {
    let stage = empty().await;
    stage.amend("repo: {free_documents: true}", "repo: {free_documents: true}\nhistory: {changes: 8}");
    stage
}

/// Edits a record until it has another document than it had, and returns that document's address.
async fn until_renewed(server: &Server<'_>, id: &str) -> String {
    let url = async || {
        let shown = server.api.get(&format!("/v1/records/contact/{id}")).await;
        shown["_meta"]["automerge_url"].as_str().expect("an address").to_owned()
    };
    let before = url().await;
    for round in 0..40 {
        for edit in 0..4 {
            server.api.patch(id, &json!({"title": format!("Title {round}/{edit}")})).await;
        }
        server.agree().await;
        let now = url().await;
        if now != before {
            return now;
        }
    }
    panic!("record {id} kept its history")
}

fn title(contact: &Contact) -> &str {
    contact.title.as_deref().unwrap_or_default()
}

/// A record with a long history begins anew, twice, while a program is offline. What the program edited meanwhile is neither lost
/// nor taken for newer than it is; what was set since wins, and the program's value is kept beside it.
///
/// Fails without: the limit of `history` (no epoch begins), the place where an epoch began in `reconcile/renew` (the late edit wins
/// unseen: mutant `LateSawAll`), `moved_to` (the program goes on in the old document).
#[tokio::test(flavor = "multi_thread")]
async fn row_32_what_a_program_edits_offline_reaches_a_record_that_began_anew_twice() {
    let stage = forgetful().await;
    let server = stage.serve().await;
    let (id, _) = record(
        &server.api,
        json!({"email": "ann@x.example", "last_name": "Lee", "interests": ["crm"], "notes": "one two", "logins": 1}),
    )
    .await;
    server.agree().await;
    let program = Program::open(&stage, "program.db").await;
    program.holds(1).await;
    program.end().await;

    let program =
        Program::start(syncline_client::Client::builder("http://127.0.0.1:9").api_key(KEY), &stage.file("program.db"))
            .await;
    let ann = id.parse().expect("an id");
    program
        .edit(ann, |contact| {
            contact.first_name = Some("Ann".into());
            contact.title = Some("Offline".into());
            contact.interests.insert("billing".into());
            contact.notes.as_mut().expect("a text").0.insert_str(3, " and");
        })
        .await;
    program.end().await;
    until_renewed(&server, &id).await;
    server.api.patch(&id, &json!({"interests": ["crm", "mobile"]})).await;
    until_renewed(&server, &id).await;

    let program = Program::open(&stage, "program.db").await;
    program.settled().await;
    let wanted = json!({"first_name": "Ann", "interests": ["billing", "crm", "mobile"], "notes": "one and two"});
    let shown = until_record(&server.api, &id, wanted).await;
    let newer = shown["title"].as_str().expect("a title").to_owned();
    assert_ne!(newer, "Offline", "the titles that were set since are newer");
    let conflicts = server.api.get("/v1/conflicts?state=all").await;
    let lost = |conflict: &serde_json::Value| conflict["loser"]["value"] == "Offline";
    assert!(conflicts["items"].as_array().expect("conflicts").iter().any(lost), "{conflicts}");

    program.shows(ann, "the program follows to the new document", |contact| title(contact) == newer).await;
    program.edit(ann, |contact| contact.title = Some("Followed".into())).await;
    program.settled().await;
    until_record(&server.api, &id, json!({"title": "Followed"})).await;
    let history = server.api.get(&format!("/v1/records/contact/{id}/history?limit=200")).await;
    let entries = history["items"].as_array().expect("entries");
    let created: Vec<_> = entries.iter().filter(|entry| entry["action"] == "created").collect();
    assert_eq!(created.len(), 1, "an epoch is nobody's edit: {history}");
    assert_eq!(created[0]["fields"]["email"]["value"], "ann@x.example");
    assert_eq!(server.agree().await.records.len(), 1);
    program.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_does_not_follow_goes_on_in_the_old_document() {
    let stage = forgetful().await;
    let server = stage.serve().await;
    let (id, old) = record(&server.api, json!({"email": "ann@x.example", "last_name": "Lee"})).await;
    let peer = Peer::named(&server.api, "stays").await;
    let document = peer.found(&old).await;
    let new = until_renewed(&server, &id).await;
    assert_ne!(new, old);
    eventually("the old document says where the record went", async || {
        let said =
            document.with_document(|doc| doc.get(ROOT, "moved_to").expect("read").map(|(value, _)| value.to_string()));
        said.filter(|said| said.contains(&new)).map(drop).ok_or_else(|| "it does not".to_owned())
    })
    .await;

    server.api.patch(&id, &json!({"phone": "+49 30 1234567"})).await;
    until_fields(&document, json!({"phone": "+49301234567"})).await;
    document.with_document(|doc| {
        let mut tx = doc.transaction();
        let (_, fields) = tx.get(ROOT, "fields").expect("read").expect("fields");
        tx.put(&fields, "first_name", "Ann").expect("written");
        tx.commit();
    });
    until_record(&server.api, &id, json!({"first_name": "Ann", "phone": "+49301234567"})).await;
    let another = Peer::named(&server.api, "comes later").await;
    until_fields(&another.found(&new).await, json!({"first_name": "Ann"})).await;
    server.agree().await;

    // The server forgets nothing of it over a restart.
    server.kill();
    let server = stage.serve().await;
    server.api.patch(&id, &json!({"first_name": "Anna"})).await;
    until_fields(&document, json!({"first_name": "Anna"})).await;
    server.agree().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_comes_late_gets_the_present_documents() {
    let stage = forgetful().await;
    let server = stage.serve().await;
    let mut ids = Vec::new();
    for number in 0..12 {
        let fields = json!({"email": format!("{number}@x.example"), "last_name": "Lee"});
        ids.push(record(&server.api, fields).await.0);
    }
    for edit in 0..10 {
        for id in &ids {
            server.api.patch(id, &json!({"title": format!("Title {edit}")})).await;
        }
    }
    server.agree().await;
    for id in &ids {
        until_renewed(&server, id).await;
    }
    let program = Program::open(&stage, "program.db").await;
    program.holds(ids.len()).await;
    server.kill();
    program.offline().await;
    for id in &ids {
        let title = format!("Offline {id}");
        program.edit(id.parse().expect("an id"), move |contact| contact.title = Some(title)).await;
    }
    let server = stage.serve().await;
    program.settled().await;
    for id in &ids {
        until_record(&server.api, id, json!({"title": format!("Offline {id}")})).await;
    }
    server.agree().await;
    program.end().await;
}
