//! Servers that are killed under their peers, and many documents at once.

use futures_util::future::join_all;
use serde_json::json;
use syncline_tests::patience::eventually;

use super::{
    Peer,
    document::{contact, set},
    record_of, until_fields,
};
use crate::stage::{empty, until_record};

const DOCUMENTS: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn peers_come_back_by_themselves_after_a_kill_and_bring_what_they_wrote() {
    let stage = empty().await;
    let server = stage.serve().await;
    let (one, two) = (Peer::named(&server.api, "samod-1").await, Peer::named(&server.api, "samod-2").await);
    let mine = one.create(contact(&json!({"last_name": "Lee"}))).await;
    let theirs = two.found(&mine.url().to_string()).await;

    server.kill();
    set(&mine, json!({"title": "CEO"}));
    set(&theirs, json!({"first_name": "Ada"}));
    let born = two.repo.create(contact(&json!({"last_name": "Born"}))).await.expect("a running repo");

    let server = stage.serve().await;
    for document in [&mine, &theirs] {
        until_fields(document, json!({"title": "CEO", "first_name": "Ada"})).await;
    }
    until_record(&server.api, &record_of(&born), json!({"last_name": "Born"})).await;
    until_record(&server.api, &record_of(&mine), json!({"title": "CEO", "first_name": "Ada"})).await;
    for peer in [&one, &two] {
        peer.heard().only_known_words();
    }
    assert_eq!(server.agree().await.records.len(), 2, "nobody was made twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_after_a_kill_without_its_writer() {
    let stage = empty().await;
    let mut title = None;
    let mut edited: Option<(String, String)> = None;
    for round in 0..3 {
        let server = stage.serve().await;
        let peer = Peer::named(&server.api, "samod-1").await;
        if let Some((id, url)) = &edited {
            until_record(&server.api, id, json!({"title": title})).await;
            until_fields(&peer.found(url).await, json!({"title": title})).await;
        }
        let made = peer.create(contact(&json!({"last_name": format!("Lee {round}")}))).await;
        title = Some(format!("CEO {round}"));
        set(&made, json!({"title": title}));
        peer.acknowledged(&made).await;
        peer.never_left();
        server.kill();
        edited = Some((record_of(&made), made.url().to_string()));
        peer.repo.stop().await;
    }
    let server = stage.serve().await;
    let (id, _) = edited.expect("three rounds");
    until_record(&server.api, &id, json!({"title": title})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_documents_at_once_are_made_found_and_edited() {
    let stage = empty().await;
    let server = stage.serve().await;
    let (one, two) = (Peer::named(&server.api, "samod-1").await, Peer::named(&server.api, "samod-2").await);
    let contacts = (0..DOCUMENTS).map(|number| json!({"email": format!("p{number}@x.example"), "last_name": "Lee"}));
    let mine = join_all(contacts.map(|fields| one.create(contact(&fields)))).await;
    let urls: Vec<String> = mine.iter().map(|made| made.url().to_string()).collect();
    let theirs = join_all(urls.iter().map(|url| two.found(url))).await;
    for (number, (mine, theirs)) in mine.iter().zip(&theirs).enumerate() {
        set(mine, json!({"title": format!("CEO {number}")}));
        set(theirs, json!({"first_name": format!("Ada {number}")}));
    }
    for (number, pair) in mine.iter().zip(&theirs).enumerate() {
        let wanted = json!({"title": format!("CEO {number}"), "first_name": format!("Ada {number}")});
        until_fields(pair.0, wanted.clone()).await;
        until_fields(pair.1, wanted).await;
    }
    let agreement = server.agree().await;
    assert_eq!(agreement.records.len(), DOCUMENTS);
    for (number, made) in mine.iter().enumerate() {
        assert_eq!(agreement.records[&record_of(made)]["title"], format!("CEO {number}"));
    }
    one.never_left();
    two.never_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_in_order_says_so() {
    let stage = empty().await;
    let server = stage.serve().await;
    let peer = Peer::named(&server.api, "samod-1").await;
    let made = peer.create(contact(&json!({"last_name": "Lee"}))).await;
    server.end();
    eventually("the peer is told", async || {
        if peer.heard().codes() == [1001] { Ok(()) } else { Err(format!("{:?}", peer.heard())) }
    })
    .await;
    set(&made, json!({"title": "CEO"}));
    let server = stage.serve().await;
    until_record(&server.api, &record_of(&made), json!({"title": "CEO"})).await;
    peer.heard().only_known_words();
}
