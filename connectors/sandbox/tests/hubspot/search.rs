//! Search: filters, sorts, pages, the cap, and the index that trails.

use serde_json::{Value, json};
use syncline_sandbox::Population;

use crate::lab::{CONTACTS, Lab, START_MS, ids};

fn filter(name: &str, operator: &str, value: &str) -> Value {
    json!({"filterGroups": [{"filters": [{"propertyName": name, "operator": operator, "value": value}]}]})
}

#[tokio::test]
async fn filters_groups_and_sorts() {
    let lab = Lab::start().await;
    let mut all = Vec::new();
    for (first, city) in [("Cem", "Bonn"), ("Ann", "Köln"), ("bob", "Bonn"), ("Dörte", "")] {
        lab.advance_ms(1_000);
        all.push(lab.contact(json!({"firstname": first, "city": city})).await);
    }
    let pick = |places: &[usize]| places.iter().map(|place| all[*place].clone()).collect::<Vec<_>>();
    for (body, expected) in [
        (json!({}), pick(&[0, 1, 2, 3])),
        (filter("city", "EQ", "bonn"), pick(&[0, 2])),
        (filter("city", "NOT_HAS_PROPERTY", ""), pick(&[3])),
        (filter("hs_object_id", "GT", &all[1]), pick(&[2, 3])),
        (filter("lastmodifieddate", "GTE", &(START_MS + 3_000).to_string()), pick(&[2, 3])),
        (filter("createdate", "LT", "2026-05-05T16:53:22Z"), pick(&[0])),
        (
            json!({"filterGroups": [
                {"filters": [{"propertyName": "city", "operator": "EQ", "value": "Köln"}]},
                {"filters": [{"propertyName": "city", "operator": "IN", "values": ["bonn"]},
                             {"propertyName": "firstname", "operator": "EQ", "value": "Bob"}]}]}),
            pick(&[1, 2]),
        ),
        (json!({"query": "dör"}), pick(&[3])),
        (json!({"sorts": [{"propertyName": "firstname", "direction": "ASCENDING"}]}), pick(&[1, 2, 0, 3])),
        (json!({"sorts": [{"propertyName": "city", "direction": "DESCENDING"}]}), pick(&[1, 0, 2, 3])),
        (json!({"sorts": ["-hs_object_id"]}), pick(&[3, 2, 1, 0])),
    ] {
        let found = lab.search(body.clone()).await.expect(200);
        assert_eq!(ids(&found), expected, "{body}");
        assert_eq!(found["total"], expected.len());
    }
}

#[tokio::test]
async fn pages_are_offsets() {
    let lab = Lab::with(Population::demo().sized(450, 0)).await;
    let (mut after, mut all) = (Value::Null, Vec::new());
    loop {
        let sorts = json!([{"propertyName": "email", "direction": "ASCENDING"}]);
        let body = lab
            .search(json!({"limit": 200, "after": after, "sorts": sorts, "properties": ["email"]}))
            .await
            .expect(200);
        assert_eq!(body["total"], 450);
        let emails = body["results"].as_array().unwrap().iter();
        all.extend(emails.map(|row| row["properties"]["email"].as_str().unwrap().to_owned()));
        match &body["paging"]["next"]["after"] {
            Value::Null => break,
            next => after = next.clone(),
        }
    }
    assert_eq!(all.len(), 450);
    assert!(all.is_sorted());
}

#[tokio::test]
async fn a_search_ends_at_ten_thousand_rows() {
    let lab = Lab::with(Population::demo().sized(10_300, 0)).await;
    let page = |after: usize| json!({"limit": 200, "after": after.to_string(), "properties": ["email"]});
    let last = lab.search(page(9_800)).await.expect(200);
    assert_eq!(last["total"], 10_300);
    assert_eq!(last["paging"]["next"]["after"], "10000");
    assert_eq!(lab.search(page(10_000)).await.expect(400)["category"], "VALIDATION_ERROR");
    assert_eq!(lab.fired("search_cap").await, 1);
    let last_id = ids(&last).pop().unwrap();
    let rekeyed = lab.search(filter("hs_object_id", "GT", &last_id)).await.expect(200);
    assert_eq!(rekeyed["total"], 300);
    lab.fault("search_cap", 0.0).await;
    assert_eq!(ids(&lab.search(page(10_200)).await.expect(200)).len(), 100);
}

#[tokio::test]
async fn bad_searches_are_400() {
    let lab = Lab::start().await;
    let many = |count: usize| vec![json!({"propertyName": "city", "operator": "HAS_PROPERTY"}); count];
    for body in [
        json!({"limit": 201}),
        json!({"after": "x"}),
        filter("misspelt", "EQ", "x"),
        filter("city", "LIKE", "x"),
        filter("lastmodifieddate", "GTE", "yesterday"),
        json!({"filterGroups": [{"filters": [{"propertyName": "city", "operator": "EQ"}]}]}),
        json!({"filterGroups": [{"filters": [{"propertyName": "city", "operator": "IN"}]}]}),
        json!({"filterGroups": vec![json!({"filters": many(1)}); 6]}),
        json!({"filterGroups": [{"filters": many(11)}]}),
        json!({"filterGroups": vec![json!({"filters": many(9)}); 3]}),
        json!({"sorts": ["city", "zip"]}),
        json!({"sorts": [{"propertyName": "city", "direction": "UP"}]}),
        json!({"query": "x".repeat(3_000)}),
        json!("x"),
    ] {
        let answer = lab.search(body.clone()).await;
        assert_eq!(answer.status, 400, "{body} {}", answer.body);
        assert_eq!(answer.body["status"], "error");
    }
}

#[tokio::test]
async fn the_index_trails_the_records_but_reads_by_id_do_not() {
    let lab = Lab::start().await;
    let id = lab.contact(json!({"city": "Bonn"})).await;
    lab.fault("index_lag", 1.0).await;
    lab.advance_ms(1_000);
    let new = lab.contact(json!({"city": "Bern"})).await;
    lab.patch(&format!("{CONTACTS}/{id}"), json!({"properties": {"city": "Köln"}})).await.expect(200);
    let body = json!({"properties": ["city"]});
    let before = lab.search(body.clone()).await.expect(200);
    assert_eq!(ids(&before), [id.as_str()], "the new record is not there yet");
    assert_eq!(before["results"][0]["properties"]["city"], "Bonn");
    assert_eq!(before["results"][0]["updatedAt"], "2026-05-05T16:53:20Z");
    let consistent = lab.get(&format!("{CONTACTS}/{id}?properties=city")).await.expect(200);
    assert_eq!(consistent["properties"]["city"], "Köln");
    assert_eq!(ids(&lab.get(CONTACTS).await.body), [id.clone(), new.clone()], "the list is consistent");

    lab.advance_ms(20_200);
    let after = lab.search(body).await.expect(200);
    assert_eq!(ids(&after), [id, new]);
    assert_eq!(after["results"][0]["properties"]["city"], "Köln");
    assert_eq!(after["results"][0]["updatedAt"], consistent["updatedAt"], "the late row carries its early stamp");
}

#[tokio::test]
async fn a_flush_makes_everything_visible_and_an_archived_record_never_is() {
    let lab = Lab::start().await;
    lab.fault("index_lag", 1.0).await;
    let id = lab.contact(json!({})).await;
    assert_eq!(lab.search(json!({})).await.body["total"], 0);
    lab.flush().await;
    assert_eq!(lab.search(json!({})).await.body["total"], 1);
    lab.delete(&format!("{CONTACTS}/{id}")).await.expect(204);
    assert_eq!(lab.search(json!({})).await.body["total"], 0);
    lab.flush().await;
    assert_eq!(lab.search(json!({})).await.body["total"], 0);
}

#[tokio::test]
async fn the_stamp_may_move_without_a_visible_change() {
    let lab = Lab::start().await;
    let id = lab.contact(json!({"city": "Bonn"})).await;
    lab.fault("stamp_bump", 1.0).await;
    lab.advance_ms(5_000);
    lab.patch(&format!("{CONTACTS}/{id}"), json!({"properties": {"city": "Bonn"}})).await.expect(200);
    let body = lab.get(&format!("{CONTACTS}/{id}?propertiesWithHistory=city")).await.expect(200);
    assert_ne!(body["updatedAt"], body["createdAt"]);
    assert_eq!(body["propertiesWithHistory"]["city"].as_array().unwrap().len(), 1);
}
