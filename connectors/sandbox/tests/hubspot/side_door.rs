//! The side door: state, edits as a user, ledger.

use reqwest::Method;
use serde_json::{Value, json};
use syncline_sandbox::Population;

use crate::lab::{As, CONTACTS, Lab};

#[tokio::test]
async fn people_edit_through_the_same_rules() {
    let lab = Lab::start().await;
    let users = "/admin/users/anna/contacts";
    let id = lab.post(users, json!({"email": "Ann@Example.com"})).await.expect(201)["id"].as_str().unwrap().to_owned();
    lab.patch(&format!("{users}/{id}"), json!({"city": "Bonn"})).await.expect(200);
    let refused = lab.patch(&format!("{users}/{id}"), json!({"email": "bad"})).await.expect(422);
    assert!(refused["error"].as_str().unwrap().contains("INVALID_EMAIL"));
    lab.delete(&format!("{users}/{id}")).await.expect(200);
    lab.patch(&format!("{users}/{id}"), json!({"city": "Bern"})).await.expect(404);
    lab.post(&format!("{users}/{id}/restore"), Value::Null).await.expect(200);
    let other = lab.contact(json!({"firstname": "Bob"})).await;
    let merged = lab.post(&format!("{users}/{other}/merge"), json!({"into": id})).await.expect(200);
    let found = lab.get(&format!("{CONTACTS}/{other}?properties=city")).await.expect(200);
    assert_eq!((found["id"].clone(), found["properties"]["city"].clone()), (merged["id"].clone(), json!("Bonn")));
    lab.post("/admin/users/anna/unicorns", json!({})).await.expect(404);

    let ops: Vec<_> = lab.log().await.iter().map(|entry| entry["op"].as_str().unwrap().to_owned()).collect();
    let expected = ["create", "update", "delete", "restore", "create", "merge", "merge", "create", "read"];
    assert_eq!(ops, expected[..8]);
}

#[tokio::test]
async fn the_state_is_paged_and_can_show_the_archive() {
    let lab = Lab::with(Population::demo().sized(25, 0)).await;
    let (mut after, mut rows) = (String::new(), Vec::new());
    loop {
        let page = lab.get(&format!("/admin/state?object=contacts&limit=10{after}")).await.expect(200);
        rows.extend(page["rows"].as_array().unwrap().clone());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(rows.len(), 25);
    assert!(rows[0]["fields"]["email"].is_string() && rows[0]["stamp"].is_string());
    lab.delete(&format!("{CONTACTS}/{}", rows[0]["id"].as_str().unwrap())).await.expect(204);
    for (deleted, count) in [(false, 24), (true, 25)] {
        let page = lab.get(&format!("/admin/state?object=contacts&deleted={deleted}")).await.expect(200);
        assert_eq!(page["rows"].as_array().unwrap().len(), count);
    }
}

#[tokio::test]
async fn the_ledger_tells_who_sent_what_and_what_became_of_it() {
    let lab = Lab::start().await;
    let id = lab.contact(json!({"email": "Ann@Example.com"})).await;
    let path = format!("{CONTACTS}/{id}");
    lab.advance_ms(1_000);
    for _ in 0..2 {
        lab.ask(As::App, Method::PATCH, &path, json!({"properties": {"phone": "+1 888 482 7768"}})).await.expect(200);
    }
    lab.ask(As::App, Method::GET, &path, Value::Null).await.expect(200);
    lab.ask(As::App, Method::POST, &format!("{CONTACTS}/search"), json!({})).await.expect(200);
    lab.get(&path).await.expect(200);
    let log = lab.log().await;
    let ops: Vec<_> = log.iter().map(|entry| entry["op"].as_str().unwrap()).collect();
    assert_eq!(ops, ["create", "update", "update", "read", "read"]);
    let create = &log[0];
    assert_eq!(create["actor"], json!({"kind": "user", "id": "77"}));
    assert_eq!(
        create["fields"]["email"],
        json!({"before": null, "sent": "Ann@Example.com", "after": "ann@example.com"})
    );
    assert_eq!(create["fields"]["lifecyclestage"], json!({"before": null, "sent": null, "after": "lead"}));
    let update = &log[1];
    assert_eq!(update["actor"], json!({"kind": "integration", "id": "54321"}));
    assert_eq!(update["fields"]["phone"], json!({"before": null, "sent": "+1 888 482 7768", "after": "+18884827768"}));
    assert_eq!(update["via"], "PATCH /crm/v3/objects/{type}/{id}");
    assert_eq!(update["stamp_before"], "2026-05-05T16:53:20Z");
    assert_eq!(update["stamp_after"], "2026-05-05T16:53:21Z");
    assert_eq!((update["redundant"].clone(), log[2]["redundant"].clone()), (json!(false), json!(true)));
    assert_eq!(log[3]["stamp_after"], update["stamp_after"]);
    let counts = lab.counts().await;
    assert_eq!(counts["writes"]["redundant_by_integration"], 1);
    assert_eq!(counts["requests"]["PATCH /crm/v3/objects/{type}/{id}"], 2);
}

#[tokio::test]
async fn a_seed_gives_the_same_account_again() {
    let state = async || {
        let lab = Lab::with(Population::messy().sized(50, 20)).await;
        lab.get("/admin/state?object=contacts").await.expect(200)
    };
    assert_eq!(state().await, state().await);
}
