//! Documents of no model, which this server is told to keep.

use automerge::{ROOT, transaction::Transactable};
use serde_json::{Value as Json, json};
use syncline_tests::patience::eventually;

use super::{
    Peer,
    document::{content, of},
};
use crate::stage::empty;

#[tokio::test(flavor = "multi_thread")]
async fn a_document_of_no_model_is_the_tenants_and_no_record() {
    let stage = empty().await;
    let server = stage.serve().await;
    let (one, two) = (Peer::named(&server.api, "samod-1").await, Peer::named(&server.api, "samod-2").await);
    let mine = one.create(of(&json!({"kind": "board", "cards": {"first": true}}))).await;
    let url = mine.url().to_string();
    let theirs = two.found(&url).await;
    assert_eq!(content(&theirs), content(&mine));
    for (document, name) in [(&mine, "mine"), (&theirs, "theirs")] {
        document.with_document(|document| {
            let mut tx = document.transaction();
            tx.put(ROOT, name, true).expect("a map");
            tx.commit();
        });
    }
    let both = json!({"kind": "board", "cards": {"first": true}, "mine": true, "theirs": true});
    for document in [&mine, &theirs] {
        eventually("both edits", async || same(&content(document), &both)).await;
    }
    one.acknowledged(&mine).await;
    let stranger = Peer::named(&server.api.of_strangers(), "samod-1").await;
    assert!(stranger.find(&url).await.is_none(), "another tenant does not find it");
    assert_eq!(server.api.records().await, Vec::<Json>::new());
    for peer in [&one, &two, &stranger] {
        peer.never_left();
    }
    server.kill();

    let server = stage.serve().await;
    let third = Peer::named(&server.api, "samod-3").await;
    assert_eq!(content(&third.found(&url).await), both, "it survives a kill");
}

fn same(shown: &Json, wanted: &Json) -> Result<(), String> {
    if shown == wanted { Ok(()) } else { Err(shown.to_string()) }
}
