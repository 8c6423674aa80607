use reqwest::Method;
use serde_json::{Value, json};

use crate::org::{Who, empty, plain};

#[tokio::test]
async fn users_edit_through_the_side_door() {
    let org = empty().await;
    let got = org.admin(Method::POST, "/users/alice/Contact", Some(json!({ "LastName": " Lee ", "Title": "A" }))).await;
    assert_eq!(got.status, 201);
    let id = got.body["id"].as_str().unwrap().to_owned();
    let path = format!("/users/bob/Contact/{id}");
    assert_eq!(org.admin(Method::PATCH, &path, Some(json!({ "Title": "A" }))).await.status, 200);
    assert_eq!(org.admin(Method::DELETE, &path, None).await.status, 200);
    assert_eq!(org.admin(Method::DELETE, &path, None).await.status, 404);
    assert_eq!(org.admin(Method::POST, &format!("{path}/restore"), None).await.status, 200);
    assert_eq!(org.field(&id, "LastName").await, "Lee");
    assert_eq!(
        org.get("/query?q=SELECT+LastModifiedBy.Name+FROM+Contact").await.body["records"][0]["LastModifiedBy"]["Name"],
        "bob"
    );

    let log = org.admin(Method::GET, "/log?limit=3", None).await.body;
    let entries = log["entries"].as_array().unwrap();
    let shown: Vec<_> =
        entries.iter().map(|entry| (&entry["op"], &entry["actor"]["id"], &entry["redundant"])).collect();
    let text = |value: &str| json!(value);
    let (alice, bob) = (text("alice"), text("bob"));
    let expected = [
        (text("create"), alice, json!(false)),
        (text("update"), bob.clone(), json!(true)),
        (text("delete"), bob, json!(false)),
    ];
    assert_eq!(shown, expected.iter().map(|(a, b, c)| (a, b, c)).collect::<Vec<_>>());
    assert_eq!(entries[0]["fields"]["LastName"], json!({ "before": null, "sent": " Lee ", "after": "Lee" }));
    assert_eq!(entries[0]["actor"]["kind"], "user");
    assert_eq!(entries[1]["stamp_before"], "2026-05-05T10:00:00.000+0000");
    let next = org.admin(Method::GET, &format!("/log?after={}", log["next"]), None).await.body;
    assert_eq!(next["entries"][0]["op"], "restore");
}

#[tokio::test]
async fn refusals_say_why() {
    let org = empty().await;
    let lee = org.contact(json!({ "LastName": "Lee" })).await;
    for (method, path, body, status, says) in [
        (Method::POST, "/users/a/Contact".to_owned(), json!({}), 422, "REQUIRED_FIELD_MISSING"),
        (Method::POST, "/users/a/Nope".to_owned(), json!({}), 404, "this org has Account, Contact"),
        (Method::POST, "/users/a/Contact".to_owned(), json!([]), 422, "not the JSON expected"),
        (Method::PATCH, "/users/a/Contact/nope".to_owned(), json!({}), 404, "not an id of this org"),
        (Method::POST, format!("/users/a/Contact/{lee}/merge"), json!({ "into": lee }), 422, "into itself"),
        (Method::POST, "/webhooks".to_owned(), json!({ "target_url": "http://x" }), 501, "polling"),
        (Method::PUT, "/faults".to_owned(), json!({ "nope": { "enabled": true } }), 404, "no fault named `nope`"),
        (Method::POST, "/profile".to_owned(), json!({ "profile": "wild" }), 422, "expected one of"),
        (Method::GET, "/nowhere".to_owned(), Value::Null, 404, "no such admin route"),
    ] {
        let got = org.admin(method, &path, Some(body)).await;
        assert_eq!(got.status, status, "{path}: {got:?}");
        assert!(got.body["error"].as_str().unwrap().contains(says), "{path}: {got:?}");
    }
}

#[tokio::test]
async fn a_merge_leaves_one() {
    let org = empty().await;
    let (a, b) = (org.contact(json!({ "LastName": "A" })).await, org.contact(json!({ "LastName": "B" })).await);
    let got = org.admin(Method::POST, &format!("/users/alice/Contact/{a}/merge"), Some(json!({ "into": b }))).await;
    assert_eq!(got.body, json!({ "id": b }));
    assert_eq!(org.query("SELECT Id FROM Contact").await.column("Id"), [b.as_str()]);
    let all = org.query_with("SELECT MasterRecordId FROM Contact WHERE IsDeleted = true", "queryAll", &[]).await;
    assert_eq!(all.column("MasterRecordId"), [b.as_str()]);
}

#[tokio::test]
async fn state_comes_in_pages_and_shows_what_is_hidden() {
    let org = plain(25).await;
    let first = org.query("SELECT Id FROM Contact ORDER BY Id LIMIT 1").await.column("Id")[0].to_owned();
    org.delete(&format!("/sobjects/Contact/{first}")).await;
    for (deleted, expected) in [(false, 24), (true, 25)] {
        let (mut after, mut seen) = (String::new(), Vec::new());
        loop {
            let path = format!("/state?object=Contact&limit=10&deleted={deleted}{after}");
            let page = org.admin(Method::GET, &path, None).await.body;
            seen.extend(page["rows"].as_array().unwrap().clone());
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        assert_eq!(seen.len(), expected);
        assert_eq!(seen[0]["deleted"], deleted);
        assert!(seen[0]["fields"]["LastName"].is_string() && seen[0]["created_us"].is_u64());
    }
}

#[tokio::test]
async fn requests_and_redundant_writes_are_counted() {
    let org = empty().await;
    let id = org.contact(json!({ "LastName": "Lee" })).await;
    let path = format!("/sobjects/Contact/{id}");
    org.patch(&path, json!({ "LastName": " Lee" })).await;
    org.patch(&path, json!({ "LastName": "Li" })).await;
    org.get("/limits/").await;
    org.get("/limits").await;
    let counts = org.admin(Method::GET, "/counts", None).await.body;
    assert_eq!(
        counts["writes"],
        json!({ "accepted": 3, "redundant": 1, "redundant_by_integration": 1, "rejected": 0 })
    );
    assert_eq!(counts["requests"]["GET /services/data/{version}/limits"], 2);
    assert_eq!(counts["requests"]["PATCH /services/data/{version}/sobjects/{object}/{id}"], 2);
    assert_eq!(counts["faults"]["late_commit"], 0);
}

#[tokio::test]
async fn profiles_and_switches_are_set_from_outside() {
    let org = empty().await;
    let changed = org.admin(Method::PUT, "/faults", Some(json!({ "lock_row": { "probability": 1 } }))).await.body;
    let lock = |faults: &Value| {
        let all = faults["faults"].as_array().unwrap().clone();
        all.into_iter().find(|fault| fault["name"] == "lock_row").unwrap()
    };
    assert_eq!((&lock(&changed)["enabled"], &lock(&changed)["probability"]), (&json!(true), &json!(1.0)));
    assert_eq!(org.post("/sobjects/Contact", json!({ "LastName": "Lee" })).await.error().1, "UNABLE_TO_LOCK_ROW");
    let storm = org.admin(Method::POST, "/profile", Some(json!({ "profile": "storm" }))).await.body;
    assert_eq!(lock(&storm)["probability"], 0.03);
    let off = org.admin(Method::POST, "/profile", Some(json!({ "profile": "off" }))).await.body;
    assert_eq!((&lock(&off)["enabled"], &lock(&off)["fired"]), (&json!(false), &json!(1)));
    assert_eq!(org.send(Who::User, Method::GET, "/limits", &[], None).await.unwrap().status, 200);
}
