//! Two peers that edit one record apart, and meet through the server.

use ::samod::DocHandle;
use serde_json::{Value as Json, json};
use syncline_tests::patience::eventually;

use super::{
    Peer,
    document::{add, fields, increment, insert, set},
    until_fields,
};
use crate::stage::{empty, record, until_record};

/// Two peers with one record's document open, both offline.
async fn apart(server: &syncline_tests::stage::Server<'_>) -> (String, [Peer; 2], [DocHandle; 2]) {
    let values = json!({"last_name": "Lee", "logins": 1, "interests": ["crm"], "notes": "one two"});
    let (id, url) = record(&server.api, values).await;
    let peers = [Peer::named(&server.api, "samod-1").await, Peer::named(&server.api, "samod-2").await];
    let documents = [peers[0].found(&url).await, peers[1].found(&url).await];
    for peer in &peers {
        peer.never_left();
        peer.part().await;
    }
    (id, peers, documents)
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_of_different_fields_and_within_one_all_survive() {
    let stage = empty().await;
    let server = stage.serve().await;
    let (id, peers, documents) = apart(&server).await;
    for (document, (field, at, word)) in documents.iter().zip([("title", 0, "zero "), ("first_name", 7, " three")]) {
        set(document, json!({ field: field }));
        increment(document, "logins", 2);
        add(document, "interests", field);
        insert(document, "notes", at, word);
    }
    for peer in &peers {
        peer.rejoin().await;
    }
    let merged = json!({"title": "title", "first_name": "first_name", "logins": 5, "notes": "zero one two three"});
    until_record(&server.api, &id, merged.clone()).await;
    for document in &documents {
        until_fields(document, merged.clone()).await;
        until_fields(document, json!({"interests": {"crm": true, "title": true, "first_name": true}})).await;
    }
    assert_eq!(server.api.conflicts().await, Vec::<Json>::new());
    for peer in &peers {
        peer.heard().only_known_words();
    }
    server.agree().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_race_for_one_field_leaves_a_conflict_and_one_value_everywhere() {
    let stage = empty().await;
    let server = stage.serve().await;
    let (id, peers, documents) = apart(&server).await;
    set(&documents[0], json!({"title": "Chief"}));
    set(&documents[1], json!({"title": "Head"}));
    for peer in &peers {
        peer.rejoin().await;
    }
    let conflict = eventually("the race is seen", async || {
        server.api.conflicts().await.pop().ok_or_else(|| "there is no conflict".to_owned())
    })
    .await;
    assert_eq!((&conflict["record"], &conflict["field"]), (&json!(id), &json!("title")));
    let mut met =
        [&conflict["winner"]["value"], &conflict["loser"]["value"]].map(|value| value.as_str().expect("text"));
    let winner = json!({"title": met[0]});
    met.sort_unstable();
    assert_eq!(met, ["Chief", "Head"], "neither value is lost");
    until_record(&server.api, &id, winner.clone()).await;
    for document in &documents {
        until_fields(document, winner.clone()).await;
    }

    let path = format!("/v1/conflicts/{}/resolve", conflict["id"]);
    server.api.post(&path, &json!({"choice": "loser"})).await;
    let overturned = json!({"title": conflict["loser"]["value"]});
    for document in &documents {
        until_fields(document, overturned.clone()).await;
    }
    assert_eq!(fields(&documents[0]), fields(&documents[1]));
    for peer in &peers {
        peer.heard().only_known_words();
    }
    server.agree().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_peers_at_once_see_each_others_edits_without_a_break() {
    let stage = empty().await;
    let server = stage.serve().await;
    let (id, url) = record(&server.api, json!({"last_name": "Lee", "logins": 0})).await;
    let peers = [Peer::named(&server.api, "samod-1").await, Peer::named(&server.api, "samod-2").await];
    let documents = [peers[0].found(&url).await, peers[1].found(&url).await];
    for round in 1..=20 {
        for (document, field) in documents.iter().zip(["title", "first_name"]) {
            set(document, json!({ field: format!("{field} {round}") }));
            increment(document, "logins", 1);
        }
    }
    let wanted = json!({"title": "title 20", "first_name": "first_name 20", "logins": 40});
    until_record(&server.api, &id, wanted.clone()).await;
    for (peer, document) in peers.iter().zip(&documents) {
        until_fields(document, wanted.clone()).await;
        peer.acknowledged(document).await;
        peer.never_left();
    }
    server.agree().await;
}
