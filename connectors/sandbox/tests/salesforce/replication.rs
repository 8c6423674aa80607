use serde_json::{Value, json};

use crate::org::{Org, empty};

async fn window(org: &Org, what: &str, start: &str, end: &str) -> crate::org::Got {
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    org.get(&format!("/sobjects/Contact/{what}/?start={}&end={}", encode(start), encode(end))).await
}

fn ids(list: &Value) -> Vec<&str> {
    list.as_array()
        .unwrap_or_else(|| panic!("no ids: {list}"))
        .iter()
        .map(|one| one["id"].as_str().or(one.as_str()).unwrap())
        .collect()
}

/// A contact deleted at 10:00:30 and another at 10:01:10; the clock then shows 10:05.
async fn two_deleted() -> (Org, [String; 2]) {
    let org = empty().await;
    let first = org.contact(json!({ "LastName": "First" })).await;
    let second = org.contact(json!({ "LastName": "Second" })).await;
    for (id, wait) in [(&first, 30), (&second, 40)] {
        org.seconds(wait);
        assert_eq!(org.delete(&format!("/sobjects/Contact/{id}")).await.status, 204);
    }
    org.seconds(230);
    (org, [first, second])
}

#[tokio::test]
async fn windows_are_cut_to_minutes() {
    let (org, [first, second]) = two_deleted().await;
    let both = vec![first.as_str(), second.as_str()];
    for (start, end, found, covered) in [
        ("2026-05-05T09:59:59Z", "2026-05-05T10:02:00Z", both.clone(), "10:02:00"),
        ("2026-05-05T10:00:59Z", "2026-05-05T10:02:59Z", both.clone(), "10:02:00"),
        ("2026-05-05T10:00:00+00:00", "2026-05-05T10:01:59Z", vec![first.as_str()], "10:01:00"),
        ("2026-05-05T10:01:00Z", "2026-05-05T11:00:00Z", vec![second.as_str()], "10:05:00"),
    ] {
        let got = window(&org, "deleted", start, end).await;
        assert_eq!(ids(&got.body["deletedRecords"]), found, "{start} {end}");
        assert_eq!(got.body["latestDateCovered"], format!("2026-05-05T{covered}.000+0000"), "{start} {end}");
    }
    org.switch("replication_minutes", false);
    let got = window(&org, "deleted", "2026-05-05T10:00:59Z", "2026-05-05T10:02:00Z").await;
    assert_eq!(ids(&got.body["deletedRecords"]), [second.as_str()]);
    assert_eq!(got.body["deletedRecords"][0]["deletedDate"], "2026-05-05T10:01:10.000+0000");
}

#[tokio::test]
async fn updated_lists_what_changed_and_is_still_there() {
    let (org, _) = two_deleted().await;
    let id = org.contact(json!({ "LastName": "Third" })).await;
    org.seconds(60);
    let got = window(&org, "updated", "2026-05-05T10:00:00Z", "2026-05-05T10:06:00Z").await;
    assert_eq!(got.body, json!({ "ids": [id], "latestDateCovered": "2026-05-05T10:06:00.000+0000" }));
}

#[tokio::test]
async fn windows_that_make_no_sense_are_refused() {
    let (org, _) = two_deleted().await;
    for (what, start, end) in [
        ("deleted", "2026-05-05T10:00:00Z", "2026-05-05T10:00:59Z"),
        ("deleted", "2026-05-05T10:02:00Z", "2026-05-05T10:01:00Z"),
        ("deleted", "2026-04-20T09:00:00Z", "2026-05-05T10:01:00Z"),
        ("updated", "2026-04-05T09:00:00Z", "2026-05-05T10:01:00Z"),
        ("updated", "2026-05-05T11:00:00Z", "2026-05-05T12:00:00Z"),
    ] {
        let got = window(&org, what, start, end).await;
        assert_eq!(got.error(), (400, "INVALID_REPLICATION_DATE"), "{what} {start} {end}");
    }
    assert_eq!(
        org.get("/sobjects/Contact/deleted/?start=2026-05-05T10:00:00Z").await.error(),
        (400, "MISSING_ARGUMENT")
    );
}

#[tokio::test]
async fn a_running_transaction_holds_the_covered_end_back() {
    let (org, [first, _]) = two_deleted().await;
    org.switch("covered_late", true);
    let got = window(&org, "deleted", "2026-05-05T10:00:00Z", "2026-05-05T10:06:00Z").await;
    assert_eq!(got.body["latestDateCovered"], "2026-05-05T10:04:15.000+0000");
    org.switch("covered_late", false);
    org.switch("delete_log_purged", true);
    let got = window(&org, "deleted", "2026-05-05T10:00:00Z", "2026-05-05T10:06:00Z").await;
    assert_eq!(got.body["earliestDateAvailable"], "2026-05-05T09:55:00.000+0000");
    assert_eq!(ids(&got.body["deletedRecords"]).len(), 2);
    org.seconds(3_600);
    let got = window(&org, "deleted", "2026-05-05T10:00:00Z", "2026-05-05T10:06:00Z").await;
    assert_eq!(got.error(), (400, "INVALID_REPLICATION_DATE"));
    org.switch("delete_log_purged", false);
    let restored = org.admin(reqwest::Method::POST, &format!("/users/alice/Contact/{first}/restore"), None).await;
    assert_eq!(restored.status, 200);
    let got = window(&org, "deleted", "2026-05-05T10:00:00Z", "2026-05-05T10:06:00Z").await;
    assert_eq!(ids(&got.body["deletedRecords"]).len(), 1, "what was restored is not deleted");
}
