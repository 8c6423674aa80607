//! A record that a program makes and that turns out to be there already.

use serde_json::json;
use syncline_client::{ClientEvent, Counter};

use super::{Contact, Program, contact, event};
use crate::stage::{empty, record, until_record};

#[tokio::test(flavor = "multi_thread")]
async fn a_twin_made_offline_becomes_the_record_that_is_there_with_its_edits() {
    let stage = empty().await;
    let server = stage.serve().await;
    let values = json!({"email": "ann@x.example", "last_name": "Lee", "first_name": "Ann", "logins": 1,
                        "interests": ["crm"]});
    let (id, _) = record(&server.api, values).await;
    server.agree().await;
    server.end();
    let program = Program::open(&stage, "program.db").await;
    program.offline().await;
    let twin = Contact {
        title: Some("CEO".into()),
        logins: Some(Counter(2)),
        interests: ["billing".to_owned()].into(),
        ..contact("ANN@x.example")
    };
    let twin = program.create(twin).await;
    program.edit(twin, |contact| contact.logins = Some(Counter(contact.logins.expect("a counter").0 + 3))).await;
    let mut events = program.client.events();

    let server = stage.serve().await;
    let into = event("the twin is merged", &mut events, |event| match event {
        ClientEvent::Merged { from, into, .. } if from == twin => Some(into),
        _ => None,
    })
    .await;
    assert_eq!(into.to_string(), id);
    program.settled().await;
    let wanted = json!({"title": "CEO", "first_name": "Ann", "logins": 6, "interests": ["billing", "crm"]});
    until_record(&server.api, &id, wanted).await;
    program.edit(into, |contact| contact.logins = Some(Counter(contact.logins.expect("a counter").0 + 1))).await;
    program.settled().await;
    until_record(&server.api, &id, json!({"logins": 7})).await;
    assert_eq!(program.get(twin).await, None, "the twin is gone");
    program.shows(into, "the counter counts each edit once", |contact| contact.logins == Some(Counter(7))).await;
    assert_eq!(server.agree().await.records.len(), 1);
    program.end().await;
}

/// Edits go on while the server is finding out that the record was there: each counts once, wherever it fell.
#[tokio::test(flavor = "multi_thread")]
async fn edits_of_a_twin_made_while_it_moves_count_once() {
    const EDITS: i64 = 30;
    let stage = empty().await;
    let server = stage.serve().await;
    let (id, _) = record(&server.api, json!({"email": "ann@x.example", "last_name": "Lee", "logins": 1})).await;
    let program = Program::open(&stage, "program.db").await;
    program.online().await;
    let mut events = program.client.events();
    let twin = program.create(Contact { logins: Some(Counter(0)), ..contact("ann@x.example") }).await;
    let mut lives_as = twin;
    for number in 0..EDITS {
        let up = move |contact: &mut Contact| {
            contact.logins = Some(Counter(contact.logins.unwrap_or_default().0 + 1));
            contact.title = Some(format!("CEO {number}"));
        };
        // Once it has moved, the old id is unknown, and nothing was changed under it.
        if program.contacts.edit(lives_as, up).await.is_err() {
            assert_eq!(lives_as, twin, "it moves once");
            lives_as = id.parse().expect("an id");
            program.edit(lives_as, up).await;
        }
    }
    event("the twin is merged", &mut events, |event| matches!(event, ClientEvent::Merged { .. }).then_some(())).await;
    program.settled().await;
    let wanted = json!({"logins": 1 + EDITS, "title": format!("CEO {}", EDITS - 1)});
    until_record(&server.api, &id, wanted).await;
    assert_eq!(server.agree().await.records.len(), 1);
    program.end().await;
}
