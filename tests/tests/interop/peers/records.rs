//! One peer and the HTTP API on the same records.

use serde_json::json;

use super::{
    Peer,
    document::{add, contact, fields, increment, insert, set},
    record_of, until_fields,
};
use crate::stage::{client, empty, record, until_record};

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_a_peer_makes_becomes_a_record_in_both_accounts() {
    let stage = empty().await;
    let server = stage.serve().await;
    let peer = Peer::named(&server.api, "samod-1").await;
    let values = json!({"email": "Ada@X.example ", "last_name": "Lovelace", "interests": {"billing": true}});
    let made = peer.create(contact(&values)).await;

    let id = record_of(&made);
    let wanted = json!({"email": "ada@x.example", "last_name": "Lovelace", "interests": ["billing"]});
    let record = until_record(&server.api, &id, wanted).await;
    assert_eq!(record["_meta"]["automerge_url"], made.url().to_string());
    assert_eq!(record["_meta"]["origins"]["last_name"], client("samod-1"));
    until_fields(&made, json!({"email": "ada@x.example"})).await;
    assert_eq!(server.agree().await.records.into_keys().collect::<Vec<_>>(), [id]);
    for account in stage.accounts() {
        assert!(account.by_email("ada@x.example").await.is_some(), "{} has her", account.words.connection);
    }
    peer.never_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_go_both_ways_in_every_kind_of_field() {
    let stage = empty().await;
    let server = stage.serve().await;
    let (id, url) = record(
        &server.api,
        json!({"email": "ann@x.example", "last_name": "Lee", "title": "CFO", "logins": 1, "interests": ["crm"],
               "notes": "one two"}),
    )
    .await;
    let peer = Peer::named(&server.api, "samod-2").await;
    let found = peer.found(&url).await;
    let shown = fields(&found);
    assert_eq!((&shown["title"], &shown["logins"]), (&json!("CFO"), &json!(1)));
    assert_eq!((&shown["interests"], &shown["notes"]), (&json!({"crm": true}), &json!("one two")));

    set(&found, json!({"title": "CEO"}));
    increment(&found, "logins", 4);
    add(&found, "interests", "billing");
    insert(&found, "notes", 3, " and");
    let wanted = json!({"title": "CEO", "logins": 5, "interests": ["billing", "crm"], "notes": "one and two"});
    let record = until_record(&server.api, &id, wanted).await;
    assert_eq!(record["_meta"]["origins"]["title"], client("samod-2"));
    peer.acknowledged(&found).await;

    let edits = json!({"title": "COO", "logins": 7, "interests": ["billing"], "notes": "one and only"});
    server.api.patch(&id, &edits).await;
    let wanted = json!({"title": "COO", "logins": 7, "interests": {"billing": true}, "notes": "one and only"});
    until_fields(&found, wanted).await;
    set(&found, json!({"title": null}));
    until_record(&server.api, &id, json!({"title": null})).await;
    server.agree().await;
    peer.never_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platforms_user_and_a_peer_edit_one_record() {
    let stage = empty().await;
    let server = stage.serve().await;
    let (id, url) = record(&server.api, json!({"email": "ann@x.example", "last_name": "Lee"})).await;
    let peer = Peer::named(&server.api, "samod-3").await;
    let found = peer.found(&url).await;
    server.agree().await;
    for (account, (field, value)) in stage.accounts().into_iter().zip([("title", "CTO"), ("phone", "+49 30 7654321")]) {
        let object = account.by_email("ann@x.example").await.expect("she was created there");
        account.edit(&object.id, &[(field, value)]).await;
    }
    set(&found, json!({"first_name": "Änne"}));
    until_fields(&found, json!({"title": "CTO", "first_name": "Änne", "phone": "+49307654321"})).await;
    assert_eq!(server.agree().await.records[&id]["first_name"], "Änne");
    peer.never_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_model_does_not_allow_is_put_back_and_the_peer_goes_on() {
    let stage = empty().await;
    let server = stage.serve().await;
    let (id, url) = record(&server.api, json!({"last_name": "Lee", "title": "CFO"})).await;
    let peer = Peer::named(&server.api, "samod-4").await;
    let found = peer.found(&url).await;
    set(&found, json!({"title": 7, "nonsense": true}));
    until_fields(&found, json!({"title": "CFO", "nonsense": null})).await;
    set(&found, json!({"title": "CEO"}));
    until_record(&server.api, &id, json!({"title": "CEO"})).await;
    peer.acknowledged(&found).await;
    peer.never_left();
}
