//! Ephemeral messages between peers.

use ::samod::DocHandle;
use serde_json::{Value as Json, json};

use super::{Peer, document::contact, next};
use crate::stage::empty;

#[tokio::test(flavor = "multi_thread")]
async fn peers_of_one_document_hear_each_other_and_nobody_else_does() {
    let stage = empty().await;
    let server = stage.serve().await;
    let (one, two) = (Peer::named(&server.api, "samod-1").await, Peer::named(&server.api, "samod-2").await);
    let mine = one.create(contact(&json!({"last_name": "Lee"}))).await;
    let theirs = two.found(&mine.url().to_string()).await;
    let other = two.create(contact(&json!({"last_name": "Hopper"}))).await;
    let (mut at_one, mut at_two, mut elsewhere) =
        (Box::pin(mine.ephemera()), Box::pin(theirs.ephemera()), Box::pin(other.ephemera()));

    say(&theirs, &json!({"cursor": 3}));
    assert_eq!(said(&next("a message", &mut at_one).await), json!({"cursor": 3}));
    for cursor in 4..14 {
        say(&mine, &json!({ "cursor": cursor }));
    }
    for cursor in 4..14 {
        assert_eq!(said(&next("a message", &mut at_two).await), json!({ "cursor": cursor }), "in order, each once");
    }
    // Messages of one connection keep their order: what was meant for the others would have come before this.
    let found = one.found(&other.url().to_string()).await;
    say(&found, &json!({"last": true}));
    assert_eq!(said(&next("a message", &mut elsewhere).await), json!({"last": true}));
    one.never_left();
    two.never_left();
}

fn say(document: &DocHandle, message: &Json) {
    document.broadcast(minicbor_serde::to_vec(message).expect("plain data"));
}

fn said(message: &[u8]) -> Json {
    minicbor_serde::from_slice(message).expect("plain data")
}
