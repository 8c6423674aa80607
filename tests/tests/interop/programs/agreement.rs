//! Two programs and both platforms' users edit at once, while things go wrong in the accounts.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use syncline_client::{Counter, RecordId};
use syncline_sandbox::FaultProfile;
use syncline_tests::{
    api::copy_of,
    patience::eventually,
    stage::{Setting, Stage},
};

use super::Program;
use crate::stage::SETTING;

const PEOPLE: u64 = 20;
const ROUNDS: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn programs_and_platforms_agree_at_the_end_though_things_go_wrong() {
    let stage = Stage::of(Setting { contacts: PEOPLE, shared: PEOPLE, faults: FaultProfile::Usual, ..SETTING }).await;
    let server = stage.serve().await;
    let records = server.agree().await.records;
    let people = records.len();
    let hubspot = stage.hubspot();
    let connection = server.api.get(&format!("/v1/connections/{}", hubspot.words.connection)).await;
    hubspot.push_to(connection["webhook_url"].as_str().expect("an address")).await;
    let programs = [Program::open(&stage, "one.db").await, Program::open(&stage, "two.db").await];
    for program in &programs {
        program.holds(people).await;
    }

    let all: Vec<(RecordId, &Json)> = records.iter().map(|(id, record)| (id.parse().expect("an id"), record)).collect();
    for round in 0..ROUNDS {
        for (number, (id, record)) in all.iter().enumerate() {
            for (program, field) in programs.iter().zip(["first", "title"]) {
                let value = format!("{field} {round}");
                program
                    .edit(*id, move |contact| {
                        contact.logins = Some(Counter(contact.logins.unwrap_or_default().0 + 1));
                        if field == "first" { contact.first_name = Some(value) } else { contact.title = Some(value) }
                    })
                    .await;
            }
            if number % ROUNDS == round {
                let account = stage.accounts()[number % 2];
                let copy = copy_of(record, account.words.connection).expect("a copy");
                let phone = format!("+49 30 76543{number:02}");
                account.edit(&copy, &[("phone", &phone), ("title", "Raced for")]).await;
            }
        }
    }

    for program in &programs {
        program.settled().await;
    }
    let agreement = eventually("everything has arrived everywhere", async || {
        let records = server.agree().await.records;
        for program in &programs {
            same(&records, program).await?;
        }
        Ok(records)
    })
    .await;
    assert_eq!(agreement.len(), people, "nobody was made twice, and nobody is gone");
    for account in stage.accounts() {
        assert!(account.mishaps() > 0, "nothing went wrong in {}", account.words.connection);
    }
    for (number, (id, _)) in all.iter().enumerate() {
        let record = &agreement[&id.to_string()];
        assert_eq!(record["logins"], 2 * ROUNDS, "each edit counts once: {record}");
        let digits = format!("76543{number:02}");
        assert!(record["phone"].as_str().is_some_and(|phone| phone.ends_with(&digits)), "{digits} in {record}");
    }
    for program in programs {
        program.end().await;
    }
}

/// Whether a program shows the records as the service does.
async fn same(records: &BTreeMap<String, Json>, program: &Program) -> Result<(), String> {
    let shown = program.all().await;
    if shown.len() != records.len() {
        return Err(format!("{} records here, {} there", shown.len(), records.len()));
    }
    for item in shown {
        let record = &records[&item.id.to_string()];
        let ours = serde_json::to_value(&item.value).expect("plain data");
        for field in ["email", "first_name", "last_name", "title", "logins"] {
            if ours[field] != record[field] {
                return Err(format!("{field} of {} is {} here and {} there", item.id, ours[field], record[field]));
            }
        }
    }
    Ok(())
}
