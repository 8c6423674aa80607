//! A program with some hundred records comes back.

use futures_util::{StreamExt as _, stream};
use serde_json::json;

use super::Program;
use crate::stage::{empty, record, until_record};

const RECORDS: usize = 300;
/// How many records are made over the API at once.
const AT_ONCE: usize = 16;
/// Every how many-th record is edited while the program is away.
const EVERY: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_program_with_hundreds_of_records_comes_back_to_what_changed() {
    let stage = empty().await;
    let server = stage.serve().await;
    let made = (0..RECORDS).map(|number| {
        let fields = json!({"email": format!("p{number}@x.example"), "last_name": "Lee"});
        let api = &server.api;
        async move { record(api, fields).await.0 }
    });
    let mut ids: Vec<String> = stream::iter(made).buffer_unordered(AT_ONCE).collect().await;
    ids.sort_unstable();
    let program = Program::open(&stage, "program.db").await;
    program.holds(RECORDS).await;

    // The server goes and comes back under it, with other people's edits.
    server.kill();
    program.offline().await;
    let server = stage.serve().await;
    for id in ids.iter().step_by(EVERY) {
        server.api.patch(id, &json!({"title": "Under it"})).await;
    }
    program.online().await;
    until_titled(&program, "Under it").await;

    // The program goes and comes back, with edits of its own and of others.
    program.end().await;
    for id in ids.iter().step_by(EVERY) {
        server.api.patch(id, &json!({"title": "While away"})).await;
    }
    let program = Program::open(&stage, "program.db").await;
    let last = ids.last().expect("many").clone();
    program.edit(last.parse().expect("an id"), |contact| contact.first_name = Some("Ada".into())).await;
    until_titled(&program, "While away").await;
    program.settled().await;
    until_record(&server.api, &last, json!({"first_name": "Ada"})).await;
    assert_eq!(server.agree().await.records.len(), RECORDS);
    program.end().await;
}

async fn until_titled(program: &Program, title: &str) {
    syncline_tests::patience::eventually(&format!("the program sees `{title}`"), async || {
        let all = program.all().await;
        let titled = all.iter().filter(|item| item.value.title.as_deref() == Some(title)).count();
        if (all.len(), titled) == (RECORDS, RECORDS / EVERY) {
            Ok(())
        } else {
            Err(format!("{titled} of {}", all.len()))
        }
    })
    .await;
}
