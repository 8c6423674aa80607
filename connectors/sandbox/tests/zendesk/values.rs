//! What comes back different from what was sent.

use serde_json::{Value, json};

use crate::lab::{AGENT, Lab, codes};

const ORDER: u64 = 360_000_000_020;
const VIP: u64 = 360_000_000_060;
const SEATS: u64 = 360_000_000_100;
const REFUND: u64 = 360_000_000_120;
const CARD: u64 = 360_000_000_140;
const TOPICS: u64 = 360_000_000_160;
const TIER: u64 = 360_000_000_180;

fn field(ticket: &Value, id: u64) -> Value {
    let fields = ticket["custom_fields"].as_array().unwrap();
    fields.iter().find(|field| field["id"] == id).map_or(json!("no such field"), |field| field["value"].clone())
}

#[tokio::test]
async fn values_come_back_in_the_platforms_form() {
    let lab = Lab::start().await;
    let id = lab.ticket(json!({})).await;
    for (sent, name, stored) in [
        (json!({"subject": "{{dc.greeting}} {{dc.unknown}}"}), "subject", json!("Hello {{dc.unknown}}")),
        (json!({"priority": "HIGH"}), "priority", json!("high")),
        (json!({"tags": ["Two Words", "A"]}), "tags", json!(["a", "two", "words"])),
        (json!({"tags": "b, c"}), "tags", json!(["b", "c"])),
        (json!({"external_id": ""}), "external_id", json!(null)),
        (json!({"due_at": "2026-06-01T00:00:00Z"}), "due_at", json!(null)),
        (json!({"type": "task", "due_at": "2026-06-01T02:00:00+02:00"}), "due_at", json!("2026-06-01T00:00:00Z")),
        (json!({"type": "question"}), "due_at", json!(null)),
        (json!({"assignee_id": AGENT}), "status", json!("open")),
    ] {
        assert_eq!(lab.change(id, sent.clone()).await[name], stored, "{sent}");
    }
    assert_eq!(lab.show(id).await["raw_subject"], "{{dc.greeting}} {{dc.unknown}}");
}

#[tokio::test]
async fn custom_fields_come_back_in_the_platforms_form() {
    let lab = Lab::start().await;
    let id = lab.ticket(json!({})).await;
    for (field_id, sent, stored) in [
        (ORDER, json!("A 1"), json!("A 1")),
        (ORDER, json!(""), json!(null)),
        (SEATS, json!(12), json!("12")),
        (REFUND, json!("1.50"), json!("1.50")),
        (CARD, json!("4111-1111-1111-1234"), json!("1234")),
        (TOPICS, json!(["topics_mobile", "topics_billing"]), json!(["topics_billing", "topics_mobile"])),
        (TOPICS, json!([]), json!([])),
        (VIP, json!(true), json!(true)),
        (TIER, json!("tier_gold"), json!("tier_gold")),
    ] {
        let ticket = lab.change(id, json!({"custom_fields": [{"id": field_id, "value": sent}]})).await;
        assert_eq!(field(&ticket, field_id), stored, "{field_id} {sent}");
    }
    lab.change(id, json!({"custom_fields": [{"id": 12_345, "value": "unknown fields are ignored"}]})).await;
    for (field_id, sent) in [(SEATS, json!("1.5")), (TIER, json!("gold")), (CARD, json!("12"))] {
        let body = json!({"ticket": {"custom_fields": [{"id": field_id, "value": sent}]}});
        let refused = lab.put(&format!("tickets/{id}"), body).await.expect(422);
        assert_eq!(codes(&refused, "base").len(), 1, "{field_id}");
    }
    lab.fault("numbers_as_text", 0.0).await;
    let ticket = lab.change(id, json!({"fields": [{"id": SEATS, "value": "13"}]})).await;
    assert_eq!(field(&ticket, SEATS), 13, "both names of the list are understood");
}

#[tokio::test]
async fn a_drop_down_and_its_tag_are_one_thing() {
    let lab = Lab::start().await;
    let id = lab.ticket(json!({"tags": ["x"], "custom_fields": [{"id": TIER, "value": "tier_gold"}]})).await;
    assert_eq!(lab.show(id).await["tags"], json!(["tier_gold", "x"]));
    let ticket = lab.change(id, json!({"custom_fields": [{"id": TIER, "value": "tier_silver"}]})).await;
    assert_eq!(ticket["tags"], json!(["tier_silver", "x"]));
    let ticket = lab.change(id, json!({"tags": ["x"]})).await;
    assert_eq!((&ticket["tags"], field(&ticket, TIER)), (&json!(["x"]), json!(null)), "a lost tag clears the field");
    let ticket = lab.change(id, json!({"tags": ["vip", "topics_mobile"]})).await;
    assert_eq!((field(&ticket, VIP), field(&ticket, TOPICS)), (json!(true), json!(["topics_mobile"])));
    lab.fault("tag_mirror", 0.0).await;
    assert_eq!(lab.change(id, json!({"tags": []})).await["tags"], json!([]));
    assert_eq!(field(&lab.show(id).await, VIP), true);
}

#[tokio::test]
async fn fields_are_described_and_changed() {
    let lab = Lab::start().await;
    let fields = lab.get("ticket_fields.json").await.expect(200);
    let tier = fields["ticket_fields"].as_array().unwrap().iter().find(|field| field["id"] == TIER).unwrap().clone();
    assert_eq!((&tier["type"], &tier["custom_field_options"][0]["value"]), (&json!("tagger"), &json!("tier_bronze")));
    assert!(fields["ticket_fields"].as_array().unwrap().iter().any(|field| field["type"] == "subject"));
    let users = lab.get("user_fields").await.expect(200);
    assert_eq!(
        (&users["user_fields"][0]["key"], &users["user_fields"][6]["type"]),
        (&json!("department"), &json!("dropdown"))
    );

    let body = json!({"user_field": {"type": "text", "title": "Syncline id", "key": "syncline_id"}});
    let made = lab.post("user_fields", body.clone()).await.expect(201)["user_field"].clone();
    assert_eq!(codes(&lab.post("user_fields", body).await.expect(422), "key"), ["DuplicateValue"]);
    let user = lab.user(json!({"name": "Ann", "user_fields": {"syncline_id": "7", "no_such_key": 1}})).await;
    let shown = lab.get(&format!("users/{user}")).await.expect(200);
    assert_eq!(shown["user"]["user_fields"]["syncline_id"], "7");
    assert!(shown["user"]["user_fields"].get("no_such_key").is_none());

    let options = json!({"ticket_field": {"custom_field_options": [{"name": "Gold", "value": "tier_gold"}]}});
    let changed = lab.put(&format!("ticket_fields/{TIER}"), options).await.expect(200);
    assert_eq!(changed["ticket_field"]["custom_field_options"].as_array().unwrap().len(), 1, "a list replaces");
    lab.delete(&format!("user_fields/{}", made["id"])).await.expect(204);
    let shown = lab.get(&format!("users/{user}")).await.expect(200);
    assert!(shown["user"]["user_fields"].get("syncline_id").is_none());
}
