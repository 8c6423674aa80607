use serde_json::{Value, json};

use crate::org::empty;

fn part(reference: &str, method: &str, url: &str, body: Value) -> Value {
    json!({ "referenceId": reference, "method": method, "url": format!("/services/data/v60.0{url}"), "body": body })
}

fn statuses(body: &Value) -> Vec<u64> {
    let parts = body["compositeResponse"].as_array().unwrap_or_else(|| panic!("no parts: {body}"));
    parts.iter().map(|part| part["httpStatusCode"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn later_parts_refer_to_earlier_ones() {
    let org = empty().await;
    let body = json!({ "compositeRequest": [
        part("acme", "POST", "/sobjects/Account", json!({ "Name": "Acme" })),
        part("ann", "POST", "/sobjects/Contact", json!({ "LastName": "Ann", "AccountId": "@{acme.id}" })),
        part("read", "GET", "/sobjects/Contact/@{ann.id}?fields=AccountId", Value::Null),
        part("find", "GET", "/query?q=SELECT+Id+FROM+Contact+WHERE+AccountId='@{acme.id}'", Value::Null),
        part("bad", "PATCH", "/sobjects/Contact/@{nobody.id}", json!({})),
    ]});
    let got = org.post("/composite", body).await;
    assert_eq!(statuses(&got.body), [201, 201, 200, 200, 400]);
    let parts = &got.body["compositeResponse"];
    assert_eq!(parts[2]["body"]["AccountId"], parts[0]["body"]["id"]);
    assert_eq!(parts[3]["body"]["records"][0]["Id"], parts[1]["body"]["id"]);
    assert_eq!(parts[4]["body"][0]["errorCode"], "PROCESSING_HALTED");
    assert!(
        parts[0]["httpHeaders"]["Location"].as_str().unwrap().starts_with("/services/data/v60.0/sobjects/Account/")
    );
}

#[tokio::test]
async fn all_or_none_rolls_every_part_back() {
    let org = empty().await;
    let body = json!({ "allOrNone": true, "compositeRequest": [
        part("a", "POST", "/sobjects/Contact", json!({ "LastName": "Ann" })),
        part("b", "POST", "/sobjects/Contact", json!({ "FirstName": "Bob" })),
        part("c", "POST", "/sobjects/Contact", json!({ "LastName": "Cem" })),
    ]});
    let got = org.post("/composite", body).await;
    assert_eq!(statuses(&got.body), [400, 400, 400]);
    let code = |place: usize| got.body["compositeResponse"][place]["body"][0]["errorCode"].clone();
    assert_eq!([code(0), code(1), code(2)], ["PROCESSING_HALTED", "REQUIRED_FIELD_MISSING", "PROCESSING_HALTED"]);
    assert_eq!(org.query("SELECT COUNT() FROM Contact").await.body["totalSize"], 0);
}

#[tokio::test]
async fn a_batch_has_independent_parts() {
    let org = empty().await;
    let id = org.contact(json!({ "LastName": "Ann" })).await;
    let parts = json!([
        { "method": "PATCH", "url": format!("v60.0/sobjects/Contact/{id}"), "richInput": { "Title": "x" } },
        { "method": "GET", "url": "v60.0/sobjects/Contact/nope" },
        { "method": "GET", "url": "v60.0/limits" },
    ]);
    let got = org.post("/composite/batch", json!({ "batchRequests": parts })).await;
    let statuses: Vec<_> =
        got.body["results"].as_array().unwrap().iter().map(|one| one["statusCode"].clone()).collect();
    assert_eq!((statuses, &got.body["hasErrors"]), (vec![json!(204), json!(404), json!(200)], &json!(true)));
    let got = org.post("/composite/batch", json!({ "haltOnError": true, "batchRequests": parts })).await;
    assert_eq!(got.body["results"][2]["statusCode"], 412);
    let many: Vec<_> = (0..26).map(|n| part(&n.to_string(), "GET", "/limits", Value::Null)).collect();
    assert_eq!(org.post("/composite", json!({ "compositeRequest": many })).await.error(), (400, "LIMIT_EXCEEDED"));
}
