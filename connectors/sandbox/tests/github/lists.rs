//! Lists: filters, order, pages, and answers that the client has already.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::lab::{As, Lab, SUPPORT, column};

#[tokio::test]
async fn a_list_is_filtered_and_sorted() {
    let lab = Lab::with(24).await;
    let count = async |query: &str| {
        let list = lab.get(&format!("{SUPPORT}/issues?per_page=100&{query}")).await.expect(200);
        list.as_array().unwrap().len()
    };
    assert_eq!(count("").await, 18, "open ones, where nothing is asked for");
    for (query, expected) in [
        ("state=all", 24),
        ("state=closed", 6),
        ("state=all&milestone=1", 4),
        ("state=all&milestone=none", 20),
        ("state=all&assignee=none", 16),
        ("state=all&creator=MONA", 24),
        ("state=all&labels=wontfix", 0),
    ] {
        assert_eq!(count(query).await, expected, "{query}");
    }
    let all = lab.get(&format!("{SUPPORT}/issues?state=all&per_page=100&sort=created&direction=asc")).await.expect(200);
    assert_eq!(column(&all, "number")[..3], ["1", "2", "3"]);
    let pulls = all.as_array().unwrap().iter().filter(|issue| issue.get("pull_request").is_some()).count();
    assert_eq!(pulls, 3, "pull requests stand among the issues");
    lab.get(&format!("{SUPPORT}/issues?state=ajar")).await.expect(422);
}

#[tokio::test]
async fn pages_are_joined_by_links_that_name_the_repository_by_id() {
    let lab = Lab::with(70).await;
    let first = lab.app(&format!("{SUPPORT}/issues?state=all&direction=asc")).await;
    assert_eq!(first.body.as_array().unwrap().len(), 30);
    assert!(first.link("prev").is_none() && first.link("last").unwrap().contains("page=3"));
    let second = lab.app(&first.link("next").unwrap()).await;
    assert!(first.link("next").unwrap().contains("/repositories/"));
    assert_eq!(column(&second.body, "number")[0], "31");
    assert!(second.link("prev").is_some() && second.link("first").is_some());
    let last = lab.app(&second.link("next").unwrap()).await;
    assert_eq!((last.body.as_array().unwrap().len(), last.link("next")), (10, None));
}

#[tokio::test]
async fn a_page_shifts_when_a_row_moves() {
    let lab = Lab::with(10).await;
    let path = format!("{SUPPORT}/issues?state=all&sort=updated&direction=asc&per_page=5");
    let first = lab.get(&path).await;
    assert_eq!(column(&first.body, "number"), ["1", "2", "3", "4", "5"]);
    lab.patch(&format!("{SUPPORT}/issues/1"), json!({"title": "moved to the tail"})).await.expect(200);
    let second = lab.get(&first.link("next").unwrap()).await.expect(200);
    assert_eq!(column(&second, "number"), ["7", "8", "9", "10", "1"], "the sixth was skipped");
}

#[tokio::test]
async fn since_is_inclusive_and_the_epoch_is_empty() {
    let lab = Lab::with(5).await;
    lab.patch(&format!("{SUPPORT}/issues/2"), json!({"title": "now"})).await.expect(200);
    let list = async |since: &str| {
        column(&lab.get(&format!("{SUPPORT}/issues?state=all&since={since}")).await.expect(200), "number")
    };
    assert_eq!(list("2026-05-05T16:53:20Z").await, ["2"]);
    assert!(list("2026-05-05T16:53:21Z").await.is_empty());
    assert_eq!(list("1970-01-02T00:00:00Z").await.len(), 5);
    assert!(list("1970-01-01T00:00:00Z").await.is_empty());
    lab.fault("since_epoch_empty", 0.0).await;
    assert_eq!(list("1970-01-01T00:00:00Z").await.len(), 5);
    lab.get(&format!("{SUPPORT}/issues?since=yesterday")).await.expect(422);
}

#[tokio::test]
async fn a_long_list_is_walked_by_cursor() {
    let lab = Lab::with(620).await;
    let (mut path, mut numbers) = (format!("{SUPPORT}/issues?state=all&per_page=100&direction=asc"), Vec::new());
    loop {
        let page = lab.get(&path).await;
        numbers.extend(column(&page.body, "number"));
        assert!(page.link("last").is_none());
        match page.link("next") {
            Some(next) => path = next,
            None => break,
        }
        assert!(path.contains("after="));
    }
    assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), 620);
    lab.fault("cursor_links", 0.0).await;
    let page = lab.get(&format!("{SUPPORT}/issues?state=all&per_page=100")).await;
    assert!(page.link("last").unwrap().contains("page=7") && !page.link("next").unwrap().contains("after="));
}

#[tokio::test]
async fn an_answer_that_the_client_has_costs_nothing() {
    let lab = Lab::with(3).await;
    let path = format!("{SUPPORT}/issues?state=all");
    let first = lab.app(&path).await;
    let (tag, used) = (first.header("etag").to_owned(), first.header("x-ratelimit-used").to_owned());
    let again = |tag: String| async {
        let tag = tag;
        lab.send(As::App, Method::GET, &path, &[("if-none-match", &tag)], Value::Null).await.unwrap()
    };
    let same = again(tag.clone()).await;
    assert_eq!((same.status.as_u16(), same.header("x-ratelimit-used"), same.text.as_str()), (304, used.as_str(), ""));
    lab.patch(&format!("{SUPPORT}/issues/1"), json!({"title": "x"})).await.expect(200);
    let changed = again(tag.clone()).await;
    assert_eq!(changed.status, 200);
    assert_ne!((changed.header("etag"), changed.header("x-ratelimit-used")), (tag.as_str(), used.as_str()));
}

#[tokio::test]
async fn a_row_may_lack_what_every_row_has() {
    let lab = Lab::with(20).await;
    lab.fault("malformed_row", 1.0).await;
    let rows = lab.app(&format!("{SUPPORT}/issues?state=all")).await.expect(200);
    assert!(rows.as_array().unwrap().iter().all(|row| row["number"].is_null() || !row["labels"].is_array()));
}
