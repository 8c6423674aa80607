//! Many rows at a time.

use reqwest::Method;
use serde_json::{Value, json};

use crate::lab::{As, Lab, column};

async fn job(lab: &Lab, answer: Value) -> Value {
    let id = answer["job_status"]["id"].as_str().unwrap().to_owned();
    lab.get(&format!("job_statuses/{id}.json")).await.expect(200)["job_status"].clone()
}

/// Starts a job and returns it when it has ended.
async fn ended(lab: &Lab, method: Method, path: &str, body: Value) -> Value {
    let answer = lab.ask(As::App, method, path, body).await.expect(200);
    lab.seconds(60);
    job(lab, answer).await
}

#[tokio::test]
async fn a_job_waits_works_and_ends() {
    let lab = Lab::start().await;
    let rows: Vec<Value> = (0..100).map(|n| json!({"subject": n.to_string(), "comment": {"body": "b"}})).collect();
    let answer = lab.post("tickets/create_many.json", json!({ "tickets": rows })).await.expect(200);
    assert_eq!((&answer["job_status"]["status"], &answer["job_status"]["results"]), (&json!("queued"), &Value::Null));
    lab.seconds(2);
    assert_eq!(job(&lab, answer.clone()).await["status"], "working");
    assert_eq!(lab.get("tickets").await.expect(200)["count"], 0, "nothing is done before it is done");
    lab.seconds(5);
    let done = job(&lab, answer.clone()).await;
    assert_eq!((&done["status"], &done["total"], &done["progress"]), (&json!("completed"), &json!(100), &json!(100)));
    assert_eq!(done["results"][99], json!({"index": 99, "id": 100, "status": "Created", "success": true}));
    let shown = lab.get(&format!("job_statuses/show_many?ids={}", done["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(shown["job_statuses"][0]["status"], "completed");
    lab.seconds(86_401);
    lab.post("tickets/create_many", json!({"tickets": []})).await.expect(200);
    let forgotten = format!("job_statuses/{}", done["id"].as_str().unwrap());
    lab.get(&forgotten).await.expect(404);
}

#[tokio::test]
async fn rows_fail_one_by_one() {
    let lab = Lab::start().await;
    let (one, two) = (lab.ticket(json!({})).await, lab.ticket(json!({"status": "closed"})).await);
    let stamp = lab.show(one).await["updated_at"].clone();
    lab.seconds(2);
    let three = lab.ticket(json!({})).await;
    let rows = json!([
        {"id": one, "subject": "new", "safe_update": true, "updated_stamp": stamp},
        {"id": two, "subject": "closed"},
        {"id": three, "subject": "old", "safe_update": "true", "updated_stamp": stamp},
        {"id": 99, "subject": "nobody"},
    ]);
    let done = ended(&lab, Method::PUT, "tickets/update_many", json!({ "tickets": rows })).await;
    assert_eq!(column(&done["results"], "success"), ["true", "false", "false", "false"]);
    assert_eq!(column(&done["results"], "error")[1..], ["RecordInvalid", "UpdateConflict", "RecordNotFound"]);
    assert_eq!(lab.show(one).await["subject"], "new");
}

#[tokio::test]
async fn one_change_is_made_to_many() {
    let lab = Lab::start().await;
    let (one, two) = (lab.ticket(json!({"tags": ["a", "b"]})).await, lab.ticket(json!({})).await);
    let body = json!({"ticket": {"additional_tags": ["n"], "remove_tags": ["a"]}});
    ended(&lab, Method::PUT, &format!("tickets/update_many.json?ids={one},{two}"), body).await;
    assert_eq!(lab.show(one).await["tags"], json!(["b", "n"]));
    assert_eq!(lab.show(two).await["tags"], json!(["n"]));
    let done = ended(&lab, Method::DELETE, &format!("tickets/destroy_many?ids={one},{two}"), Value::Null).await;
    assert_eq!(column(&done["results"], "status"), ["Deleted", "Deleted"]);
    assert_eq!(lab.get("tickets").await.expect(200)["count"], 0);
}

#[tokio::test]
async fn users_are_made_or_changed_many_at_a_time() {
    let lab = Lab::start().await;
    let ann = lab.user(json!({"name": "Ann", "email": "ann@example.com"})).await;
    let rows =
        json!([{"email": "Ann@example.com", "notes": "n"}, {"name": "Bob", "email": "bob@example.com"}, {"name": ""}]);
    let done = ended(&lab, Method::POST, "users/create_or_update_many", json!({ "users": rows })).await;
    assert_eq!(column(&done["results"], "status"), ["Updated", "Created", "Failed"]);
    assert_eq!(done["results"][0]["id"], ann);
}

#[tokio::test]
async fn merged_tickets_close() {
    let lab = Lab::start().await;
    let (loser, winner) = (lab.ticket(json!({})).await, lab.ticket(json!({})).await);
    let done = ended(&lab, Method::POST, &format!("tickets/{winner}/merge"), json!({"ids": [loser]})).await;
    assert_eq!(done["results"][0]["success"], true);
    let closed = lab.show(loser).await;
    assert_eq!((&closed["status"], &closed["tags"]), (&json!("closed"), &json!(["closed_by_merge"])));
    let comments = lab.get(&format!("tickets/{winner}/comments")).await.expect(200);
    assert_eq!(comments["count"], 2);
}

#[tokio::test]
async fn the_queue_and_the_rows_are_bounded() {
    let lab = Lab::start().await;
    for _ in 0..30 {
        lab.post("tickets/create_many", json!({"tickets": []})).await.expect(200);
    }
    let full = lab.post("tickets/create_many", json!({"tickets": []})).await;
    assert_eq!((full.status.as_u16(), full.header("retry-after")), (429, "60"));
    lab.seconds(5);
    lab.post("tickets/create_many", json!({"tickets": []})).await.expect(200);
    lab.post("tickets/create_many", json!({"tickets": vec![json!({}); 101]})).await.expect(400);
}

#[tokio::test]
async fn jobs_may_fail_in_part_or_be_killed() {
    let lab = Lab::start().await;
    let rows: Vec<Value> = (0..10).map(|_| json!({"subject": "s", "comment": {"body": "b"}})).collect();
    let body = json!({ "tickets": rows });
    lab.fault("job_row_failed", 0.5).await;
    let done = ended(&lab, Method::POST, "tickets/create_many", body.clone()).await;
    let failed = column(&done["results"], "success").iter().filter(|success| *success == "false").count();
    assert!(done["status"] == "completed" && failed > 0 && failed < 10);
    lab.fault("job_row_failed", 0.0).await;
    lab.fault("job_killed", 1.0).await;
    let killed = ended(&lab, Method::POST, "tickets/create_many", body).await;
    assert_eq!((&killed["status"], killed["results"].as_array().unwrap().len()), (&json!("killed"), 5));
    let stored = lab.get("tickets").await.expect(200)["count"].as_u64().unwrap();
    assert_eq!(stored, 10 - failed as u64 + 5);
}
