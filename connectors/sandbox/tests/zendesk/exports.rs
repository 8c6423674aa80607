//! Incremental exports: their order, their hidden minute, their pages.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;
use serde_json::json;
use syncline_sandbox::Population;

use crate::lab::{As, Lab, column};

const START: &str = "incremental/tickets/cursor.json?start_time=0";

/// Walks an export to its end and returns the ids in the order in which they came, and the last cursor.
async fn walk(lab: &Lab, first: &str, member: &str) -> (Vec<String>, String) {
    let (mut path, mut ids) = (first.to_owned(), Vec::new());
    for _ in 0..200 {
        let page = lab.app(&path).await.expect(200);
        ids.extend(column(&page[member], "id"));
        let cursor = page["after_cursor"].as_str().unwrap().to_owned();
        if page["end_of_stream"] == true {
            return (ids, cursor);
        }
        path = page["after_url"].as_str().unwrap().to_owned();
        lab.seconds(10);
    }
    panic!("the export did not end");
}

#[tokio::test]
async fn an_export_goes_by_the_second_of_the_last_touch() {
    let lab = Lab::start().await;
    for _ in 0..3 {
        lab.ticket(json!({})).await;
        lab.seconds(1);
    }
    lab.change(1, json!({"subject": "later"})).await;
    lab.seconds(60);
    let page = lab.app(START).await.expect(200);
    assert_eq!(column(&page["tickets"], "id"), ["2", "3"], "the change is not a minute old yet");
    assert_eq!(page["end_of_stream"], true);
    lab.seconds(1);
    let next = format!("incremental/tickets/cursor.json?cursor={}", page["after_cursor"].as_str().unwrap());
    let rest = lab.app(&next).await.expect(200);
    assert_eq!(column(&rest["tickets"], "id"), ["1"]);
    let end = lab.app(rest["after_url"].as_str().unwrap()).await.expect(200);
    assert_eq!((end["tickets"].as_array().unwrap().len(), &end["after_cursor"]), (0, &rest["after_cursor"]));
    lab.fault("export_hides_last_minute", 0.0).await;
    lab.change(2, json!({"subject": "now"})).await;
    assert_eq!(column(&lab.app(&next).await.expect(200)["tickets"], "id"), ["1", "2"]);
}

#[tokio::test]
async fn a_start_must_be_a_minute_old() {
    let lab = Lab::start().await;
    let at = |start: i64| format!("incremental/tickets/cursor.json?start_time={start}");
    assert_eq!(lab.app(&at(lab.now_s() - 59)).await.expect(422)["error"], "StartTimeTooRecent");
    lab.app(&at(lab.now_s() - 60)).await.expect(200);
    assert_eq!(lab.app("incremental/tickets/cursor.json").await.expect(400)["error"], "ParameterMissing");
    lab.app("incremental/tickets/cursor.json?cursor=nonsense").await.expect(400);
    lab.app("incremental/unicorns/cursor.json?start_time=0").await.expect(404);
}

#[tokio::test]
async fn rows_of_one_second_may_lie_on_two_pages() {
    let lab = Lab::start().await;
    for _ in 0..7 {
        lab.ticket(json!({})).await;
    }
    lab.seconds(120);
    let (ids, _) = walk(&lab, &format!("{START}&per_page=3"), "tickets").await;
    assert_eq!(ids, (1..=7).map(|id: u32| id.to_string()).collect::<Vec<_>>());
    let page = lab.app("incremental/tickets/cursor.json?start_time=1778000000&per_page=3").await.expect(200);
    assert_eq!(
        (column(&page["tickets"], "id").len(), &page["end_of_stream"]),
        (3, &json!(false)),
        "the start is inclusive"
    );
}

#[tokio::test]
async fn pages_may_be_empty_short_and_repeat_a_row() {
    let lab = Lab::with(Population::empty(), 40).await;
    for (fault, repeats) in [("export_empty_page", false), ("export_short_page", false), ("export_repeat", true)] {
        lab.fault(fault, 0.5).await;
        let (ids, _) = walk(&lab, &format!("{START}&per_page=6"), "tickets").await;
        let distinct: BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), 40, "{fault} loses nothing");
        assert_eq!(ids.len() > 40, repeats, "{fault}");
        assert!(lab.fired(fault).await > 0);
        lab.fault(fault, 0.0).await;
        lab.seconds(60);
    }
    lab.fault("export_empty_page", 1.0).await;
    let page = lab.app(START).await.expect(200);
    assert_eq!((&page["tickets"], &page["end_of_stream"]), (&json!([]), &json!(false)));
}

#[tokio::test]
async fn deleted_tickets_are_exported() {
    let lab = Lab::start().await;
    let (kept, deleted) = (lab.ticket(json!({})).await, lab.ticket(json!({})).await);
    lab.delete(&format!("tickets/{deleted}")).await.expect(204);
    lab.seconds(120);
    let page = lab.app(START).await.expect(200);
    assert_eq!(column(&page["tickets"], "status"), ["new", "deleted"]);
    let page = lab.app(&format!("{START}&exclude_deleted=true")).await.expect(200);
    assert_eq!(column(&page["tickets"], "id"), [kept.to_string()]);
}

#[tokio::test]
async fn users_are_exported_with_those_who_left() {
    let lab = Lab::with(Population::demo().sized(30, 0), 0).await;
    let (ids, _) = walk(&lab, "incremental/users/cursor.json?start_time=0&per_page=7", "users").await;
    assert_eq!(ids.len(), 32, "thirty people and the staff");
    lab.delete(&format!("users/{}", ids[0])).await.expect(200);
    lab.seconds(120);
    let path = format!("incremental/users/cursor.json?start_time={}", lab.now_s() - 300);
    let page = lab.app(&path).await.expect(200);
    assert_eq!((column(&page["users"], "id"), &page["users"][0]["active"]), (vec![ids[0].clone()], &json!(false)));
}

#[tokio::test]
async fn the_older_form_repeats_its_last_second() {
    let lab = Lab::start().await;
    for _ in 0..3 {
        lab.ticket(json!({})).await;
        lab.ticket(json!({})).await;
        lab.seconds(1);
    }
    lab.seconds(120);
    let first = lab.app("incremental/tickets.json?start_time=0&per_page=3").await.expect(200);
    assert_eq!((&first["count"], &first["end_of_stream"]), (&json!(4), &json!(false)), "a second is shown whole");
    assert_eq!(first["end_time"], 1_778_000_001);
    let second = lab.app(first["next_page"].as_str().unwrap()).await.expect(200);
    assert_eq!(column(&second["tickets"], "id"), ["3", "4", "5", "6"]);
    assert_eq!(second["end_of_stream"], true);
    assert!(second["next_page"].is_string(), "there is always a next page");
}

#[tokio::test]
async fn comments_are_exported_as_events() {
    let lab = Lab::start().await;
    let id = lab.ticket(json!({"comment": {"body": "first"}})).await;
    lab.seconds(1);
    lab.change(id, json!({"status": "open", "comment": {"body": "second", "public": false}})).await;
    lab.seconds(120);
    let path = "incremental/ticket_events.json?start_time=0&include=comment_events";
    let events = lab.app(path).await.expect(200)["ticket_events"].clone();
    assert_eq!(column(&events, "ticket_id"), ["1", "1"]);
    let children = events[1]["child_events"].as_array().unwrap();
    let comment = children.iter().find(|child| child["event_type"] == "Comment").unwrap();
    assert_eq!((&comment["body"], &comment["public"]), (&json!("second"), &json!(false)));
    assert!(children.iter().any(|child| child["field_name"] == "status"));
    let bare = lab.app("incremental/ticket_events.json?start_time=0").await.expect(200);
    assert!(!bare.to_string().contains("second"));
}

#[tokio::test]
async fn a_row_may_lack_what_every_row_has() {
    let lab = Lab::with(Population::empty(), 30).await;
    lab.fault("malformed_row", 1.0).await;
    let page = lab.app(START).await.expect(200);
    let rows = page["tickets"].as_array().unwrap();
    let damaged =
        |row: &Value| row.is_null() || row["id"].is_null() || !row["tags"].is_array() || row["updated_at"] == "";
    assert!(rows.len() == 30 && rows.iter().all(damaged));
    let agent = lab.ask(As::Agent, Method::GET, "tickets", Value::Null).await.expect(200);
    assert!(!agent["tickets"].as_array().unwrap().iter().any(damaged));
}
