//! What is deleted, how it comes back, and what is left when it is erased.

use serde_json::{Value, json};

use crate::lab::{AGENT, Lab, column};

#[tokio::test]
async fn a_deleted_ticket_can_come_back() {
    let lab = Lab::start().await;
    let id = lab.ticket(json!({"subject": "gone", "status": "open"})).await;
    lab.delete(&format!("tickets/{id}")).await.expect(204);
    let missing = lab.get(&format!("tickets/{id}")).await.expect(404);
    assert_eq!(missing, json!({"error": "RecordNotFound", "description": "Not found"}));
    lab.put(&format!("tickets/{id}"), json!({"ticket": {"subject": "x"}})).await.expect(404);
    let deleted = lab.get("deleted_tickets.json").await.expect(200)["deleted_tickets"].clone();
    assert_eq!(column(&deleted, "id"), [id.to_string()]);
    assert_eq!((&deleted[0]["previous_state"], &deleted[0]["actor"]["id"]), (&json!("open"), &json!(AGENT)));
    lab.put(&format!("deleted_tickets/{id}/restore"), Value::Null).await.expect(200);
    assert_eq!(lab.show(id).await["status"], "open");
    lab.put(&format!("deleted_tickets/{id}/restore"), Value::Null).await.expect(404);
}

#[tokio::test]
async fn an_erased_ticket_leaves_a_shell() {
    let lab = Lab::start().await;
    let id = lab.ticket(json!({"subject": "secret", "tags": ["secret"], "comment": {"body": "secret"}})).await;
    lab.delete(&format!("deleted_tickets/{id}")).await.expect(404);
    lab.delete(&format!("tickets/{id}")).await.expect(204);
    lab.delete(&format!("deleted_tickets/{id}")).await.expect(200);
    lab.seconds(120);
    assert_eq!(lab.get("deleted_tickets").await.expect(200)["count"], 0);
    let page = lab.app("incremental/tickets/cursor.json?start_time=0").await.expect(200);
    assert_eq!(column(&page["tickets"], "subject"), [""; 0], "the erasure is not a minute old");
    lab.seconds(120);
    let page = lab.app("incremental/tickets/cursor.json?start_time=0").await.expect(200);
    let shell = &page["tickets"][0];
    assert_eq!(
        (&shell["status"], &shell["subject"], &shell["tags"]),
        (&json!("deleted"), &json!("SCRUBBED"), &json!([]))
    );
    assert!(!page.to_string().contains("secret"));
}

#[tokio::test]
async fn the_list_of_deleted_tickets_forgets() {
    let lab = Lab::start().await;
    let id = lab.ticket(json!({})).await;
    lab.delete(&format!("tickets/{id}")).await.expect(204);
    lab.seconds(31 * 86_400);
    assert_eq!(lab.get("deleted_tickets").await.expect(200)["count"], 0);
    lab.put(&format!("deleted_tickets/{id}/restore"), Value::Null).await.expect(404);
}

#[tokio::test]
async fn a_deleted_user_is_inactive_and_then_nobody() {
    let lab = Lab::start().await;
    let id = lab.user(json!({"name": "Ann", "email": "ann@example.com", "phone": "1"})).await;
    let gone = lab.delete(&format!("users/{id}")).await.expect(200);
    assert_eq!(gone["user"]["active"], false);
    assert_eq!(lab.get(&format!("users/{id}")).await.expect(200)["user"]["active"], false);
    assert!(!column(&lab.get("users").await.expect(200)["users"], "id").contains(&id.to_string()));
    lab.put(&format!("users/{id}"), json!({"user": {"name": "x"}})).await.expect(404);
    lab.user(json!({"name": "Ann again", "email": "ann@example.com"})).await;
    assert_eq!(column(&lab.get("deleted_users").await.expect(200)["deleted_users"], "id"), [id.to_string()]);
    lab.get(&format!("deleted_users/{id}")).await.expect(200);
    let erased = lab.delete(&format!("deleted_users/{id}")).await.expect(200)["deleted_user"].clone();
    assert_eq!(erased["name"], "Permanently Deleted User");
    assert_eq!((&erased["email"], &erased["phone"], &erased["active"]), (&Value::Null, &Value::Null, &json!(false)));
    lab.get(&format!("deleted_users/{id}")).await.expect(404);
    lab.get(&format!("users/{id}")).await.expect(404);
}
