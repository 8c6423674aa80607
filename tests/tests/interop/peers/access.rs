//! What a peer may not see, and how it is told.

use serde_json::{Value as Json, json};
use syncline_tests::{patience::eventually, stage::Server};

use super::{
    Peer, address,
    document::{contact, fields, set},
    next, record_of, until_fields,
};
use crate::stage::{empty, record, until_record};

/// A document that nobody made.
const UNKNOWN: &str = "automerge:4NMNnkMhL8jXrdJ9jamS58PAVdXu";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_and_what_is_anothers_are_both_unavailable() {
    let stage = empty().await;
    let server = stage.serve().await;
    let (id, url) = record(&server.api, json!({"last_name": "Lee"})).await;
    let stranger = Peer::named(&server.api.of_strangers(), "samod-1").await;
    let known = Peer::named(&server.api, "samod-1").await;
    let unread = Peer::with(&server.api, json!({"name": "blind", "models": []})).await;
    for (peer, url) in [(&known, UNKNOWN), (&stranger, UNKNOWN), (&stranger, &url), (&unread, &url)] {
        assert!(peer.find(url).await.is_none(), "{url} is unavailable");
    }
    let found = known.found(&url).await;
    set(&found, json!({"title": "CEO"}));
    until_record(&server.api, &id, json!({"title": "CEO"})).await;
    for peer in [&known, &stranger, &unread] {
        peer.never_left();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_only_read_sees_everything_and_changes_nothing() {
    let stage = empty().await;
    let server = stage.serve().await;
    let (id, url) = record(&server.api, json!({"last_name": "Lee", "title": "CFO"})).await;
    let reader = Peer::with(&server.api, json!({"name": "reader", "access": ["read"]})).await;
    let seen = reader.found(&url).await;
    let mut notices = Box::pin(seen.ephemera());
    set(&seen, json!({"title": "Mine"}));
    let notice: Json = minicbor_serde::from_slice(&next("a notice", &mut notices).await).expect("plain data");
    assert_eq!(notice["syncline"]["kind"], "refused", "{notice}");
    let writer = Peer::named(&server.api, "writer").await;
    let found = writer.found(&url).await;
    set(&found, json!({"first_name": "Ann"}));
    until_record(&server.api, &id, json!({"first_name": "Ann", "title": "CFO"})).await;
    assert_eq!(fields(&found)["title"], "CFO");
    reader.never_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_token_is_told_so_in_a_code_and_not_by_a_refused_handshake() {
    let stage = empty().await;
    let server = stage.serve().await;
    let good = address(&server.api, json!({})).await;
    let forged = Peer::at(&good[..good.len() - 3]).await;
    until_closed(&forged, 4401).await;
    forged.redirect(&good);
    forged.connected().await;
    forged.heard().only_known_words();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_ends_is_told_so_and_edits_arrive_with_the_next() {
    let stage = empty().await;
    let server = stage.serve().await;
    let peer = Peer::with(&server.api, json!({"name": "brief", "expires_in_seconds": 2})).await;
    let made = peer.create(contact(&json!({"last_name": "Lee"}))).await;
    until_closed(&peer, 4401).await;
    set(&made, json!({"title": "After"}));
    let id = record_of(&made);
    peer.redirect(&address(&server.api, json!({"name": "brief"})).await);
    until_record(&server.api, &id, json!({"title": "After"})).await;
    peer.heard().only_known_words();
    is_alone(&server, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tenants_peers_of_one_name_do_not_meet() {
    let stage = empty().await;
    let server = stage.serve().await;
    let ours = Peer::calling_itself(&server.api, "the-same-peer").await;
    let made = ours.create(contact(&json!({"last_name": "Lee"}))).await;
    let stranger = Peer::calling_itself(&server.api.of_strangers(), "the-same-peer").await;
    assert!(stranger.find(&made.url().to_string()).await.is_none());
    set(&made, json!({"title": "CEO"}));
    until_record(&server.api, &record_of(&made), json!({"title": "CEO"})).await;
    until_fields(&made, json!({"title": "CEO", "last_name": "Lee"})).await;
    ours.never_left();
    stranger.never_left();
}

async fn until_closed(peer: &Peer, code: u16) {
    eventually(&format!("the socket is closed with {code}"), async || {
        let codes = peer.heard().codes();
        if codes.contains(&code) { Ok(()) } else { Err(format!("{:?}", peer.heard())) }
    })
    .await;
}

async fn is_alone(server: &Server<'_>, id: &str) {
    let records = server.agree().await.records;
    assert_eq!(records.into_keys().collect::<Vec<_>>(), [id], "nobody was made twice");
}
