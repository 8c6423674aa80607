use reqwest::Method;
use serde_json::{Value, json};

use crate::org::empty;

fn rows(records: Value, all_or_none: bool) -> Value {
    json!({ "allOrNone": all_or_none, "records": records })
}

fn contact(name: &str) -> Value {
    json!({ "attributes": { "type": "Contact" }, "LastName": name })
}

/// The status code of each row, or `ok`.
fn codes(results: &Value) -> Vec<&str> {
    let rows = results.as_array().unwrap_or_else(|| panic!("no results: {results}")).iter();
    rows.map(|row| match row["success"] == json!(true) {
        true => "ok",
        false => row["errors"][0]["statusCode"].as_str().unwrap(),
    })
    .collect()
}

#[tokio::test]
async fn each_row_has_its_own_result() {
    let org = empty().await;
    let records = json!([contact("A"), { "attributes": { "type": "Contact" } }, contact("C"), { "LastName": "D" }]);
    let got = org.post("/composite/sobjects", rows(records, false)).await;
    assert_eq!(got.status, 200);
    assert_eq!(codes(&got.body), ["ok", "REQUIRED_FIELD_MISSING", "ok", "INVALID_TYPE"]);
    assert_eq!(got.body[1]["errors"][0]["fields"], json!(["LastName"]));
    assert!(got.body[1].get("id").is_none());
    let (a, c) = (got.body[0]["id"].clone(), got.body[2]["id"].clone());

    let mut records = vec![contact("A2"), contact("C2"), contact("C3"), contact("X"), contact("Y")];
    for (record, id) in records.iter_mut().zip([&a, &c, &c, &json!("003Sb0000000zzz"), &json!("nope")]) {
        record["id"] = id.clone();
    }
    let got = org.patch("/composite/sobjects", rows(json!(records), false)).await;
    let expected = ["ok", "ok", "DUPLICATE_VALUE", "INVALID_CROSS_REFERENCE_KEY", "MALFORMED_ID"];
    assert_eq!(codes(&got.body), expected);
    assert_eq!(org.query("SELECT LastName FROM Contact ORDER BY Id").await.column("LastName"), ["A2", "C2"]);

    let ids = format!("{},{},{}", a.as_str().unwrap(), c.as_str().unwrap(), a.as_str().unwrap());
    let got = org.delete(&format!("/composite/sobjects?ids={ids}")).await;
    assert_eq!(codes(&got.body), ["ok", "ok", "ENTITY_IS_DELETED"]);
}

#[tokio::test]
async fn all_or_none_means_it() {
    let org = empty().await;
    let records = json!([contact("A"), contact(""), contact("C")]);
    let got = org.post("/composite/sobjects", rows(records, true)).await;
    let rolled_back = "ALL_OR_NONE_OPERATION_ROLLED_BACK";
    assert_eq!(codes(&got.body), [rolled_back, "REQUIRED_FIELD_MISSING", rolled_back]);
    assert_eq!(org.query_with("SELECT COUNT() FROM Contact", "queryAll", &[]).await.body["totalSize"], 0);
    let counts = org.admin(Method::GET, "/counts", None).await.body["writes"].clone();
    assert_eq!((&counts["accepted"], &counts["rejected"]), (&json!(0), &json!(1)));
    // What was rolled back is not in the ledger either.
    let log = org.admin(Method::GET, "/log", None).await.body;
    assert_eq!(log["entries"], json!([]));
}

#[tokio::test]
async fn upserts_say_what_they_created() {
    let org = empty().await;
    org.key_field().await;
    let row = |key: &str, name: &str| {
        let mut row = contact(name);
        row["Key__c"] = json!(key);
        row
    };
    let records = json!([row("k1", "A"), row("k2", "B"), row("K1", "C"), contact("D")]);
    let got = org.patch("/composite/sobjects/Contact/Key__c", rows(records, false)).await;
    assert_eq!(codes(&got.body), ["ok", "ok", "DUPLICATE_VALUE", "MISSING_ARGUMENT"]);
    assert_eq!(got.body[0]["created"], true);
    let again = org.patch("/composite/sobjects/Contact/Key__c", rows(json!([row("k2", "B2")]), false)).await;
    assert_eq!(again.body, json!([{ "id": got.body[1]["id"], "success": true, "created": false, "errors": [] }]));

    let by_id = json!([{ "Id": got.body[1]["id"], "LastName": "B3" }, { "LastName": "New" }]);
    let got = org.patch("/composite/sobjects/Contact/Id", rows(by_id, false)).await;
    assert_eq!((&got.body[0]["created"], &got.body[1]["created"]), (&json!(false), &json!(true)));
    let no_key = org.patch("/composite/sobjects/Contact/Title", rows(json!([contact("x")]), false)).await;
    assert_eq!(codes(&no_key.body), ["INVALID_CROSS_REFERENCE_KEY"]);
}

#[tokio::test]
async fn reading_many_keeps_the_order_of_the_ids() {
    let org = empty().await;
    let (a, b) = (org.contact(contact("A")).await, org.contact(contact("B")).await);
    let path = format!("/composite/sobjects/Contact?ids={b},003Sb0000000zzz,{a}&fields=LastName");
    for got in [
        org.get(&path).await,
        org.post("/composite/sobjects/Contact", json!({ "ids": [b, "nope", a], "fields": ["LastName"] })).await,
    ] {
        let names: Vec<_> = got.body.as_array().unwrap().iter().map(|row| row["LastName"].clone()).collect();
        assert_eq!(names, [json!("B"), json!(null), json!("A")]);
    }
    let got = org.get(&format!("/composite/sobjects/Contact?ids={a}&fields=Nope")).await;
    assert_eq!(got.error(), (400, "INVALID_FIELD"));
}

#[tokio::test]
async fn two_hundred_rows_are_the_limit() {
    let org = empty().await;
    for (count, answer) in [(200, (200, "no error")), (201, (400, "EXCEEDED_ID_LIMIT"))] {
        let records: Vec<_> = (0..count).map(|number| contact(&number.to_string())).collect();
        let got = org.post("/composite/sobjects", rows(json!(records), false)).await;
        assert_eq!(got.error(), answer, "{count}");
    }
    assert_eq!(org.query("SELECT COUNT() FROM Contact").await.body["totalSize"], 200);
}
