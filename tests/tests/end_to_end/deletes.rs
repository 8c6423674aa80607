//! Deletes and restores, alone and against an edit.

use reqwest::Method;

use crate::{
    accounts::Account,
    api::copy_of,
    patience::eventually,
    stage::{Server, Stage},
};

#[tokio::test(flavor = "multi_thread")]
async fn row_19_a_delete_reaches_everybody_and_can_be_taken_back() {
    let stage = Stage::set(6, 6).await;
    let server = stage.serve().await;
    let agreement = server.agree().await;
    let (salesforce, hubspot) = (stage.salesforce(), stage.hubspot());
    let mut records = agreement.records.iter();
    let mut deleted = Vec::new();
    for account in [salesforce, hubspot] {
        let (id, record) = records.next().expect("a record");
        let copy = copy_of(record, account.words.connection).expect("a copy");
        account.delete(&copy).await;
        gone(&server, id).await;
        deleted.push((account, id, copy));
    }
    let (id, _) = records.next().expect("a record");
    let path = format!("/v1/records/contact/{id}");
    assert_eq!(server.api.call(Method::DELETE, &path, None).await.status, 204);
    let agreement = server.agree().await;
    assert_eq!(agreement.records.len(), 3, "three were deleted, on every side");

    server.api.call(Method::POST, &format!("{path}/undelete"), None).await;
    let agreement = server.agree().await;
    assert_eq!(agreement.records.len(), 4, "one was brought back, on every side");
    assert!(agreement.records.contains_key(id));
    for (account, id, copy) in deleted {
        account.restore(&copy).await;
        eventually("the record is back", async || {
            let record = server.api.record(id).await;
            if record["_meta"]["deleted_at"].is_null() { Ok(()) } else { Err(record.to_string()) }
        })
        .await;
    }
    assert_eq!(server.agree().await.records.len(), 6, "the others were brought back by their users, on every side");
    server.stays_quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_20_an_edit_wins_against_a_delete_where_the_model_says_so() {
    let stage = Stage::set(4, 4).await;
    let server = stage.serve().await;
    let id = edit_against_delete(&server, stage.hubspot(), stage.salesforce()).await;
    eventually("the edit stands", async || match server.api.record(&id).await["title"].as_str() {
        Some("Edited") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let agreement = server.agree().await;
    assert_eq!(agreement.records.len(), 4, "the deleted copy is back");
    assert_eq!(agreement.records[&id]["title"], "Edited");
    server.stays_quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_20_a_delete_wins_against_an_edit_where_the_model_says_so() {
    let stage = Stage::set(4, 4).await;
    stage.amend("race: edit_wins", "race: delete_wins");
    let server = stage.serve().await;
    let id = edit_against_delete(&server, stage.salesforce(), stage.hubspot()).await;
    gone(&server, &id).await;
    assert_eq!(server.agree().await.records.len(), 3, "the edited copy is gone as well");
    server.stays_quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn merging_two_people_in_one_account_deletes_nobody_in_the_other() {
    let stage = Stage::set(4, 4).await;
    let server = stage.serve().await;
    let records = server.agree().await.records;
    let (hubspot, connection) = (stage.hubspot(), stage.hubspot().words.connection);
    let mut pair = records.iter();
    let ((absorbed, first), (survivor, second)) = (pair.next().expect("one"), pair.next().expect("another"));
    let copy = |record| copy_of(record, connection).expect("a copy");
    hubspot.merge(&copy(first), &copy(second)).await;

    eventually("the absorbed person lets go", async || {
        let state = &server.api.record(absorbed).await["_meta"]["external_ids"][connection]["state"];
        if state == "linked" { Err(state.to_string()) } else { Ok(()) }
    })
    .await;
    eventually("the survivor is known by its new id", async || {
        server.idle().await?;
        let copy = copy_of(&server.api.record(survivor).await, connection).ok_or("it has no copy")?;
        hubspot.objects().await.contains_key(&copy).then_some(()).ok_or_else(|| format!("{copy} is no more"))
    })
    .await;
    assert_eq!(hubspot.objects().await.len(), 3);
    assert_eq!(stage.salesforce().objects().await.len(), 4);
    assert_eq!(server.api.records().await.len(), 4, "nobody is deleted");
    server.stays_quiet().await;
}

/// One user edits a person whom another has deleted, before either is known; the record's id.
async fn edit_against_delete(server: &Server<'_>, editor: Account<'_>, deleter: Account<'_>) -> String {
    let (id, record) = server.agree().await.records.pop_first().expect("a record");
    let copy = |account: Account<'_>| copy_of(&record, account.words.connection).expect("a copy");
    server.api.steer("pause").await;
    deleter.delete(&copy(deleter)).await;
    editor.edit(&copy(editor), &[("title", "Edited")]).await;
    server.api.steer("resume").await;
    id
}

/// Waits until a record is deleted.
async fn gone(server: &Server<'_>, id: &str) {
    eventually("the record is deleted", async || {
        let record = server.api.record(id).await;
        if record["_meta"]["deleted_at"].is_string() { Ok(()) } else { Err(record.to_string()) }
    })
    .await;
}
