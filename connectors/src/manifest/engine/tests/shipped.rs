//! The manifests that are built in, against answers as their providers give them.

use serde_json::{Value, json};
use syncline_core::{
    remote::{Key, PageRequest, Window, WriteOutcome, WriteRequest, WriteVerb},
    time::Millis,
};

use super::super::canned::{Canned, Stage, credentials, first, raw};

const DIRECTUS: &str = include_str!("../../../../manifests/directus.yaml");
const REDMINE: &str = include_str!("../../../../manifests/redmine.yaml");
const BASE: i64 = 1_777_977_120_000; // 2026-05-05T10:32:00Z

async fn write(stage: &Stage, object: &str, verb: WriteVerb, body: Value) -> WriteOutcome {
    let row = WriteRequest { object: object.into(), verb, body: raw(body), trace: 0 };
    let writer = stage.connector.writer().expect("it is written to");
    writer.write(&credentials(), &[row], &[]).await.remove(0).outcome
}

#[tokio::test]
async fn directus_reads_by_id_inside_a_window_and_deletes_from_its_activity() {
    let since = "2026-05-05T10:32:00.000Z";
    let changed = format!(
        "{{\"_or\":[{{\"date_updated\":{{\"_gte\":\"{since}\"}}}},{{\"_and\":[{{\"date_updated\":{{\"_null\":true}}}},{{\"date_created\":{{\"_gte\":\"{since}\"}}}}]}}]}}"
    );
    let rows = json!({"data": [
        {"id": "a", "name": "x", "date_created": "2026-05-05T10:32:01.000Z", "date_updated": null},
        {"id": "b", "name": "y", "date_created": "2026-05-01T00:00:00.000Z", "date_updated": "2026-05-05T10:32:02.500Z"},
    ]});
    let log = json!({"data": [{"id": 1, "action": "delete", "item": "c", "timestamp": "2026-05-05T10:32:03.000Z"}]});
    let deletes = "{\"_and\":[{\"action\":{\"_eq\":\"delete\"}},{\"collection\":{\"_eq\":\"contacts\"}},{\"timestamp\":{\"_gte\":\"2026-05-05T10:27:00.000Z\"}}]}";
    let stage = Stage::of(
        DIRECTUS,
        [
            Canned::new("GET /v1/items/contacts?limit=2&sort=id", 200, &json!({"data": []})),
            Canned::new(&format!("GET /v1/items/contacts?filter={{\"_and\":[{changed}]}}&limit=2&sort=id"), 200, &rows),
            Canned::new(
                &format!(
                    "GET /v1/items/contacts?filter={{\"_and\":[{{\"id\":{{\"_gt\":\"b\"}}}},{changed}]}}&limit=2&sort=id"
                ),
                200,
                &json!({"data": []}),
            ),
            Canned::new(&format!("GET /v1/activity?filter={deletes}&limit=100&offset=0&sort=timestamp,id"), 200, &log),
            Canned::new(
                &format!("GET /v1/activity?filter={deletes}&limit=100&offset=1&sort=timestamp,id"),
                200,
                &json!({"data": []}),
            ),
        ],
    );
    let reader = stage.connector.reader();
    let listed = PageRequest { object: "contacts".into(), ..first() };
    assert_eq!(reader.page(&credentials(), &listed).await.expect("a page").next, None);
    let window = Window { from: Millis(BASE), until: Millis(BASE + 60_000) };
    let windowed = PageRequest { window: Some(window), ..listed };
    let page = reader.page(&credentials(), &windowed).await.expect("a page");
    let stamps: Vec<i64> = page.objects.iter().filter_map(|object| Some(object.version?.stamp.0 - BASE)).collect();
    assert_eq!(stamps, [1_000, 2_500]);
    let last = reader.page(&credentials(), &PageRequest { token: page.next, ..windowed }).await.expect("a page");
    assert_eq!((last.objects.len(), last.next), (0, None));
    let told = reader.deleted(&credentials(), &"contacts".into(), window).await.expect("an answer").expect("a log");
    assert_eq!((told.ids, told.covered_until), (vec!["c".into()], window.until));
    stage.ends();
}

#[tokio::test]
async fn directus_tells_what_is_gone_from_what_is_forbidden() {
    let forbidden = json!({"errors": [{"message": "You don't have permission to access this.", "extensions": {"code": "FORBIDDEN"}}]});
    let unique = json!({"errors": [{"message": "Value has to be unique.", "extensions": {"code": "RECORD_NOT_UNIQUE", "field": "email"}}]});
    let by_id = |rows: Value| {
        Canned::new("GET /v1/items/contacts?filter={\"id\":{\"_in\":[\"7\"]}}&limit=-1", 200, &json!({"data": rows}))
    };
    let find =
        || Canned::new("GET /v1/items/contacts?filter={\"key\":{\"_in\":[\"k\"]}}&limit=-1", 200, &json!({"data": []}));
    let stage = Stage::of(
        DIRECTUS,
        [
            Canned::new("PATCH /v1/items/contacts/7", 403, &forbidden),
            by_id(json!([])),
            find(),
            Canned::new("POST /v1/items/contacts", 400, &unique).sent("{\"email\":\"a\",\"key\":\"k\"}"),
            find(),
        ],
    );
    let update = WriteVerb::Update { id: "7".into(), expected: None };
    assert_eq!(write(&stage, "contacts", update, json!({"name": "x"})).await, WriteOutcome::Gone);
    let create = WriteVerb::Create { key: Some(Key { field: "key".into(), value: "k".into() }) };
    let exists = write(&stage, "contacts", create, json!({"email": "a"})).await;
    assert!(matches!(exists, WriteOutcome::Exists { id: None, .. }), "{exists:?}");
    stage.ends();
}

#[tokio::test]
async fn redmine_walks_by_seconds_and_reads_after_an_empty_answer() {
    let issue = |id: u64, second: i64| {
        json!({"id": id, "subject": "Help", "status": {"id": 1, "name": "New"}, "updated_on": Millis(BASE + second * 1_000).to_rfc3339(),
               "custom_fields": [{"id": 5, "name": "Key", "value": "k"}]})
    };
    let page = |rows: Vec<Value>, total: u64| json!({"issues": rows, "total_count": total});
    let list = |since: &str| {
        format!(
            "GET /v1/issues.json?limit=2&offset=0&sort=updated_on:asc,id:asc&status_id=*&updated_on=>=2026-05-05T10:32:{since}Z"
        )
    };
    let stage = Stage::of(
        REDMINE,
        [
            Canned::new(&list("00"), 200, &page(vec![issue(1, 1), issue(2, 3)], 3)).with("x-redmine-api-key", "token"),
            Canned::new(&list("03"), 200, &page(vec![issue(2, 3), issue(3, 4)], 2)),
            Canned::new("GET /v1/issues.json?limit=100&status_id=*&cf_5=k", 200, &page(vec![issue(3, 4)], 1)),
            Canned::new("PUT /v1/issues/3.json", 204, &json!(null)).sent(json!({"issue": {
                "assigned_to_id": "", "custom_fields": [{"id": 6, "value": "gold"}], "status_id": 2, "subject": "Help!",
            }})),
            Canned::new("GET /v1/issues.json?issue_id=3&limit=100&status_id=*", 200, &page(vec![issue(3, 5)], 1)),
        ],
    );
    let reader = stage.connector.reader();
    let fields = ["subject", "status_id", "assigned_to_id", "cf_5"].map(str::to_owned).to_vec();
    let window = Some(Window { from: Millis(BASE), until: Millis(BASE + 60_000) });
    let request = PageRequest { object: "issues".into(), fields, window, ..first() };
    let one = reader.page(&credentials(), &request).await.expect("a page");
    let shown = json!({"subject": "Help", "status_id": "1", "assigned_to_id": null, "cf_5": "k"});
    assert_eq!(Value::Object(one.objects[0].fields.clone()), shown);
    let two = reader.page(&credentials(), &PageRequest { token: one.next, ..request }).await.expect("a page");
    assert_eq!((two.objects.len(), two.next), (2, None));
    let create = WriteVerb::Create { key: Some(Key { field: "cf_5".into(), value: "k".into() }) };
    let body = json!({"subject": "Help!", "status_id": "2", "assigned_to_id": null, "cf_6": "gold"});
    let outcome = write(&stage, "issues", create, body).await;
    let WriteOutcome::Applied { created: false, object: Some(object), .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(object.version.map(|version| version.stamp), Some(Millis(BASE + 5_000)));
    stage.ends();
}
