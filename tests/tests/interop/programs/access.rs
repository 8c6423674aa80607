//! Tokens that end, and edits that are not allowed.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::{Value as Json, json};
use syncline_client::{ClientEvent, ConnectionState};
use syncline_tests::{api::Api, patience::eventually, stage::Stage};

use super::{Program, builder, contact, event};
use crate::stage::{client, empty, record, token, until_record};

/// A program whose provider asks the product's backend for such tokens, and how often it did.
async fn with_tokens(stage: &Stage, api: &Api, wanted: Json) -> (Program, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let (count, api) = (asked.clone(), api.clone());
    let provider = move || {
        count.fetch_add(1, Ordering::Relaxed);
        let (api, wanted) = (api.clone(), wanted.clone());
        async move { Ok::<_, std::io::Error>(token(&api, wanted).await["token"].as_str().expect("a token").to_owned()) }
    };
    (Program::start(builder(stage).token(provider), &stage.file("program.db")).await, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_outlives_its_tokens() {
    let stage = empty().await;
    let server = stage.serve().await;
    let (program, asked) = with_tokens(&stage, &server.api, json!({"name": "ada", "expires_in_seconds": 1})).await;
    program.online().await;
    let made = program.create(contact("ann@x.example")).await;
    for round in 0..3 {
        let before = asked.load(Ordering::Relaxed);
        eventually("the token ends and another one is asked for", async || {
            let now = asked.load(Ordering::Relaxed);
            if now > before { Ok(()) } else { Err(format!("{now} tokens so far")) }
        })
        .await;
        let title = format!("CEO {round}");
        let set = title.clone();
        program.edit(made, move |contact| contact.title = Some(set)).await;
        program.settled().await;
        let record = until_record(&server.api, &made.to_string(), json!({ "title": title })).await;
        assert_eq!(record["_meta"]["origins"]["title"], client("ada"));
    }
    program.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_is_not_allowed_is_told_of_and_can_be_taken_back() {
    let stage = empty().await;
    let server = stage.serve().await;
    let (id, _) = record(&server.api, json!({"last_name": "Lee", "title": "CFO"})).await;
    let (program, _) = with_tokens(&stage, &server.api, json!({"name": "reader", "access": ["read"]})).await;
    program.holds(1).await;
    let ann = id.parse().expect("an id");
    let mut events = program.client.events();
    program.edit(ann, |contact| contact.title = Some("Mine".into())).await;
    let reason = event("the edit is refused", &mut events, |event| match event {
        ClientEvent::Refused { record, reason, .. } if record == ann => Some(reason),
        _ => None,
    })
    .await;
    assert!(!reason.is_empty());
    let item = program.get(ann).await.expect("it is shown still");
    assert_eq!((item.value.title.as_deref(), item.refused.is_some()), (Some("Mine"), true));
    assert_eq!(program.client.pending().refused, 1);

    program.client.discard(ann).await.expect("a client");
    program.shows(ann, "it is taken back", |contact| contact.title.as_deref() == Some("CFO")).await;
    server.api.patch(&id, &json!({"title": "COO"})).await;
    program.shows(ann, "the record goes on", |contact| contact.title.as_deref() == Some("COO")).await;
    assert_eq!(program.client.pending().refused, 0);
    program.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_may_not_be_made_is_told_of() {
    let stage = empty().await;
    let server = stage.serve().await;
    let wanted = json!({"name": "editor", "access": ["read", "write"]});
    let (program, _) = with_tokens(&stage, &server.api, wanted).await;
    program.online().await;
    let mut events = program.client.events();
    let made = program.create(contact("ann@x.example")).await;
    event("it is refused", &mut events, |event| match event {
        ClientEvent::Refused { record, .. } | ClientEvent::Unavailable { record, .. } if record == made => Some(()),
        _ => None,
    })
    .await;
    assert_eq!(server.api.records().await, Vec::<Json>::new());
    program.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_with_a_wrong_key_says_so_and_works_on() {
    let stage = empty().await;
    let _server = stage.serve().await;
    let program = Program::start(builder(&stage).api_key("a-guess"), &stage.file("program.db")).await;
    program.until_state("it is not let in", |state| matches!(state, ConnectionState::Unauthorised { .. })).await;
    let made = program.create(contact("ann@x.example")).await;
    assert!(program.get(made).await.is_some());
    program.end().await;
}
