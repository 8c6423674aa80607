//! Lists, look-ups and searches.

use serde_json::{Value, json};
use syncline_sandbox::Population;

use crate::lab::{Lab, column};

#[tokio::test]
async fn lists_are_walked_by_cursor() {
    let lab = Lab::with(Population::empty(), 25).await;
    let (mut path, mut ids) = ("tickets.json?page[size]=10".to_owned(), Vec::new());
    loop {
        let page = lab.get(&path).await.expect(200);
        ids.extend(column(&page["tickets"], "id"));
        if page["meta"]["has_more"] == false {
            break;
        }
        path = page["links"]["next"].as_str().unwrap().to_owned();
        // What is deleted behind the cursor shifts nothing.
        lab.delete(&format!("tickets/{}", ids[0])).await;
    }
    assert_eq!(ids, (1..=25).map(|id: u32| id.to_string()).collect::<Vec<_>>());
    let last = lab.get("tickets?page[size]=100").await.expect(200);
    let before = last["meta"]["after_cursor"].as_str().unwrap();
    let back = lab.get(&format!("tickets?page[size]=3&page[before]={before}")).await.expect(200);
    assert_eq!(column(&back["tickets"], "id"), ["22", "23", "24"]);
    lab.get("tickets?page[size]=101").await.expect(400);
    lab.get("tickets?page[size]=1&page[after]=nonsense").await.expect(400);
}

#[tokio::test]
async fn lists_are_walked_by_number() {
    let lab = Lab::with(Population::empty(), 25).await;
    let first = lab.get("tickets?per_page=10").await.expect(200);
    assert_eq!((&first["count"], &first["previous_page"]), (&json!(25), &Value::Null));
    let second = lab.get(first["next_page"].as_str().unwrap()).await.expect(200);
    assert_eq!(column(&second["tickets"], "id")[0], "11");
    let third = lab.get(second["next_page"].as_str().unwrap()).await.expect(200);
    assert_eq!((column(&third["tickets"], "id").len(), &third["next_page"]), (5, &Value::Null));
    let deep = lab.get("tickets?page=101&per_page=1").await.expect(400);
    assert_eq!(deep["error"], "InvalidPaginationDepth");
}

#[tokio::test]
async fn many_are_read_at_a_time() {
    let lab = Lab::with(Population::empty(), 5).await;
    lab.delete("tickets/3").await.expect(204);
    let found = lab.get("tickets/show_many.json?ids=5,3,1,99").await.expect(200);
    assert_eq!(column(&found["tickets"], "id"), ["1", "5"], "what is not there is left out");
    let many: Vec<String> = (0..101).map(|id| id.to_string()).collect();
    lab.get(&format!("tickets/show_many?ids={}", many.join(","))).await.expect(400);
    lab.get("tickets/show_many").await.expect(400);
}

#[tokio::test]
async fn searches_trail_the_objects() {
    let lab = Lab::start().await;
    let search =
        async || column(&lab.get("search.json?query=type:ticket subject:printer").await.expect(200)["results"], "id");
    lab.fault("index_lag", 1.0).await;
    let id = lab.ticket(json!({"subject": "Printer"})).await;
    assert!(search().await.is_empty());
    lab.seconds(121);
    assert_eq!(search().await, [id.to_string()]);
    lab.delete(&format!("tickets/{id}")).await.expect(204);
    assert_eq!(search().await.len(), 1, "what is gone is still found");
    lab.flush().await;
    assert!(search().await.is_empty());
}

#[tokio::test]
async fn searches_find_by_keyword() {
    let lab = Lab::start().await;
    lab.user(json!({"name": "Ann Lee", "email": "ann@example.com"})).await;
    lab.ticket(json!({"subject": "A", "tags": ["x"], "requester": {"email": "ann@example.com"}, "external_id": "E-1"}))
        .await;
    lab.ticket(json!({"subject": "B", "status": "solved", "priority": "high"})).await;
    for (query, found) in [
        ("type:ticket tags:x", vec!["ticket"]),
        ("type:ticket status<solved", vec!["ticket"]),
        ("type:user name:ann*", vec!["user"]),
        ("requester:ann@example.com", vec!["ticket"]),
        ("external_id:e-1", vec!["ticket"]),
        ("priority:high -status:solved", vec![]),
        ("type:ticket created>=2026-05-05", vec!["ticket", "ticket"]),
    ] {
        let answer = lab.get(&format!("search?query={query}")).await.expect(200);
        assert_eq!(column(&answer["results"], "result_type"), found, "{query}");
        assert_eq!(lab.get(&format!("search/count?query={query}")).await.expect(200)["count"], found.len());
    }
}

#[tokio::test]
async fn a_search_shows_a_thousand_results_and_an_export_all() {
    let lab = Lab::with(Population::empty(), 1_020).await;
    let tenth = lab.get("search?query=type:ticket&page=10").await.expect(200);
    assert_eq!((&tenth["count"], tenth["results"].as_array().unwrap().len()), (&json!(1_020), 100));
    let refused = lab.get(tenth["next_page"].as_str().unwrap()).await.expect(422);
    assert_eq!(refused["error"], "invalid");
    let first = lab.get("search/export?query=&filter[type]=ticket&page[size]=1000").await.expect(200);
    assert_eq!(first["meta"]["has_more"], true);
    let next = first["links"]["next"].as_str().unwrap();
    assert_eq!(lab.get(next).await.expect(200)["results"].as_array().unwrap().len(), 20);
    lab.seconds(3_601);
    lab.get(next).await.expect(400);
    lab.get("search/export?query=type:ticket&filter[type]=ticket").await.expect(400);
    lab.fault("search_cap", 0.0).await;
    assert_eq!(lab.get("search?query=type:ticket&page=11").await.expect(200)["results"].as_array().unwrap().len(), 20);
}
