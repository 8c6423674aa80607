//! Records that are merged, and parted again, under the feet of those who hold their documents.

use automerge::{ROOT, ReadDoc, transaction::Transactable};
use serde_json::{Value as Json, json};
use syncline_tests::{api::KEY, patience::eventually, stage::Server};

use crate::{
    peers::{Peer, until_fields},
    programs::Program,
    stage::{empty, record, until_record},
};

async fn merge(server: &Server<'_>, stays: &str, goes: &str) -> Json {
    server.api.post(&format!("/v1/records/contact/{stays}/merge"), &json!({ "record": goes })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_program_edits_offline_in_a_record_that_was_merged_goes_where_it_went() {
    let stage = empty().await;
    let server = stage.serve().await;
    let (stays, _) =
        record(&server.api, json!({"email": "ann@x.example", "last_name": "Lee", "interests": ["crm"]})).await;
    let (goes, _) =
        record(&server.api, json!({"email": "anna@x.example", "last_name": "Lee", "phone": "+49301234567"})).await;
    server.agree().await;
    let program = Program::open(&stage, "program.db").await;
    program.holds(2).await;
    program.end().await;

    let program =
        Program::start(syncline_client::Client::builder("http://127.0.0.1:9").api_key(KEY), &stage.file("program.db"))
            .await;
    let late = goes.parse().expect("an id");
    program
        .edit(late, |contact| {
            contact.title = Some("Offline".into());
            contact.interests.insert("billing".into());
        })
        .await;
    program.end().await;
    merge(&server, &stays, &goes).await;

    let program = Program::open(&stage, "program.db").await;
    program.settled().await;
    until_record(
        &server.api,
        &stays,
        json!({"title": "Offline", "interests": ["billing", "crm"], "phone": "+49301234567"}),
    )
    .await;
    program.holds(1).await;
    let stays = stays.parse().expect("an id");
    program.shows(stays, "it is one record here too", |contact| contact.title.as_deref() == Some("Offline")).await;
    program.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_does_not_follow_a_merge_goes_on_in_the_old_document_also_when_it_is_taken_back() {
    let stage = empty().await;
    let server = stage.serve().await;
    let (stays, stands) = record(&server.api, json!({"email": "ann@x.example", "last_name": "Lee"})).await;
    let (goes, old) = record(&server.api, json!({"email": "anna@x.example", "last_name": "Ley", "title": "CTO"})).await;
    server.agree().await;
    let peer = Peer::named(&server.api, "stays").await;
    let document = peer.found(&old).await;
    let write = |field: &str, value: &str| {
        document.with_document(|doc| {
            let mut tx = doc.transaction();
            let (_, fields) = tx.get(ROOT, "fields").expect("read").expect("fields");
            tx.put(&fields, field, value).expect("written");
            tx.commit();
        });
    };
    let moved_to = async |wanted: &str| {
        eventually("the old document says where the record is", async || {
            let said = document
                .with_document(|doc| doc.get(ROOT, "moved_to").expect("read").map(|(value, _)| value.to_string()));
            said.filter(|said| said.contains(wanted)).map(drop).ok_or_else(|| format!("not {wanted}"))
        })
        .await;
    };
    let merged = merge(&server, &stays, &goes).await;
    moved_to(&stands).await;
    server.api.patch(&stays, &json!({"phone": "+49 30 1234567"})).await;
    until_fields(&document, json!({"phone": "+49301234567", "title": "CTO"})).await;
    write("first_name", "Ann");
    until_record(&server.api, &stays, json!({"first_name": "Ann", "title": "CTO"})).await;

    let undo = format!("/v1/identity/operations/{}/undo", merged["operation"]["id"]);
    server.api.post(&undo, &Json::Null).await;
    let back = until_record(&server.api, &goes, json!({"last_name": "Ley", "title": "CTO"})).await;
    moved_to(back["_meta"]["automerge_url"].as_str().expect("an address")).await;
    until_fields(&document, json!({"last_name": "Ley"})).await;
    write("title", "CEO");
    until_record(&server.api, &goes, json!({"title": "CEO"})).await;
    until_record(&server.api, &stays, json!({"first_name": "Ann", "phone": "+49301234567"})).await;
}
