//! Objects by id and by value, their fields, and schemas.

use serde_json::{Value, json};
use syncline_core::{
    ids::ExternalId,
    remote::{Key, RemoteObject},
};

use super::super::canned::{Canned, Stage, credentials};

const MANY: &str =
    "list: {request: {get: /things}}\nby_id: {many: {request: {get: /things, query: {ids: \"{ids|join:,}\"}}, max: 2}}";

async fn by_id(stage: &Stage, ids: &[&str], fields: &[&str]) -> Vec<RemoteObject> {
    let ids: Vec<ExternalId> = ids.iter().map(|id| (*id).into()).collect();
    let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
    let reader = stage.connector.reader();
    reader.by_id(&credentials(), &"things".into(), &ids, &fields, false).await.expect("the objects")
}

#[tokio::test]
async fn objects_come_by_id_alone_or_together() {
    let stage = Stage::new(
        "",
        &format!("id: {{type: number}}\naliases: {{path: merged, separator: \";\"}}\n{MANY}"),
        [
            Canned::new("GET /v1/things?ids=1,2", 200, &json!([{"id": 1, "merged": "2; 9"}])),
            Canned::new("GET /v1/things?ids=3", 404, &json!({})),
        ],
    );
    let found = by_id(&stage, &["1", "2", "3", "../4"], &[]).await;
    let shown: Vec<(&str, bool)> = found.iter().map(|object| (object.id.as_str(), object.deleted)).collect();
    assert_eq!(shown, [("../4", true), ("1", false), ("3", true)], "what was merged leads to its survivor");
    stage.ends();

    let one = "list: {request: {get: /things}}\nby_id: {one: {request: {get: \"/things/{id}\"}, row: data}}";
    let stage = Stage::new(
        "",
        one,
        [
            Canned::new("GET /v1/things/a%2Fb", 200, &json!({"data": [{"id": "a/b", "name": "x"}]})),
            Canned::new("GET /v1/things/c", 410, &json!({})),
        ],
    );
    let found = by_id(&stage, &["a/b", "c"], &["name"]).await;
    assert_eq!((found[0].fields["name"].clone(), found[1].deleted), (json!("x"), true));
}

#[tokio::test]
async fn fields_are_read_from_their_places_and_spelled_as_ours() {
    let fields = r#"
fields:
  at: data
  known:
    name: {path: title, type: text}
    size: {type: number}
    born: {type: date, format: "%d.%m.%Y"}
    made: {type: datetime, format: parts}
    tags: {type: set, separator: ","}
    owner: {type: reference}
    active: {truth: ["yes", "no"]}
    note: {null_as: ""}
    due: {absent_is_null: true}
    phone: {path: "phones[type=work].number", access: read}
  lists: [{path: custom, name: id, value: value, prefix: cf_}]
"#;
    let row = json!({"id": "1", "data": {
        "title": "a\r\nb", "size": "12.5", "born": "05.05.2026",
        "made": {"__class__": "datetime", "year": 2026, "month": 5, "day": 5, "hour": 10, "minute": 32, "second": 1, "microsecond": 0},
        "tags": "a, b,", "owner": {"id": 7, "name": "Ann"}, "active": "no", "note": "",
        "phones": [{"type": "home", "number": "1"}, {"type": "work", "number": "2"}],
        "custom": [{"id": 5, "value": "gold"}], "other": {"deep": 1},
    }});
    let stage = Stage::new("", &format!("{MANY}{fields}"), [Canned::new("GET /v1/things?ids=1", 200, &json!([row]))]);
    let asked = [
        "name",
        "size",
        "born",
        "made",
        "tags",
        "owner",
        "active",
        "note",
        "due",
        "phone",
        "cf_5",
        "cf_6",
        "other.deep",
        "missing",
    ];
    let found = by_id(&stage, &["1"], &asked).await;
    let expected = json!({
        "name": "a\nb", "size": 12.5, "born": "2026-05-05", "made": "2026-05-05T10:32:01.000Z", "tags": ["a", "b"],
        "owner": "7", "active": false, "note": null, "due": null, "phone": "2", "cf_5": "gold", "other.deep": 1,
    });
    assert_eq!(Value::Object(found[0].fields.clone()), expected);
}

#[tokio::test]
async fn searches_share_calls_and_are_compared_again() {
    let key = |field: &str, value: &str| Key { field: field.to_owned(), value: value.to_owned() };
    let find = r#"
find:
  - {fields: [code], request: {get: /by_code, query: {codes: "{values|join:,}"}}, max: 2, not_with: ","}
  - {fields: ["x_*"], request: {get: /by_field, query: {"{field}": "{value}"}}}
  - {fields: [name], request: {get: /search, query: {q: "{terms}"}}, term: '{field}:"{value|text|plain}"', between: " OR "}
"#;
    let stage = Stage::new(
        "",
        &format!("{MANY}{find}"),
        [
            Canned::new("GET /v1/by_code?codes=a,b", 200, &json!([{"id": "1", "code": "A"}, {"id": "2", "code": "z"}])),
            Canned::new("GET /v1/by_code?codes=c", 404, &json!({})),
            Canned::new("GET /v1/by_field?x_1=q", 200, &json!([{"id": "3", "x_1": "q"}])),
            Canned::new(
                "GET /v1/search?q=name:\"Ann Lee\" OR name:\"ben\"",
                200,
                &json!([{"id": "4", "name": "Ben", "age": 7}, {"id": "5", "name": "Ben", "age": 8}]),
            ),
            // What nothing else finds is compared with the whole list.
            Canned::new("GET /v1/things", 200, &json!([{"id": "6", "age": 9}, {"id": "7", "age": 1}])),
        ],
    );
    let searches = vec![
        vec![key("code", "a")],
        vec![key("code", "b")],
        vec![key("code", "c")],
        vec![key("x_1", "q")],
        vec![key("name", "Ann \"Lee\"")],
        vec![key("age", "7"), key("name", "ben")],
        vec![key("age", "9")],
        vec![],
    ];
    let reader = stage.connector.reader();
    let found = reader.find(&credentials(), &"things".into(), &searches, &["name".to_owned()]).await.expect("matches");
    let ids: Vec<&str> = found.iter().map(|object| object.id.as_str()).collect();
    assert_eq!(ids, ["1", "3", "4", "6"]);
    assert!(found.iter().all(|object| object.fields.keys().all(|name| name == "name")), "only what was asked for");
    stage.ends();
}

#[tokio::test]
async fn schemas_are_listed_and_discovered() {
    let discover = r#"
fields:
  known:
    name: {type: text, max_len: 40, options: [a]}
    id: {access: read}
key: {field: code}
create: {request: {post: /things, json: "{body}"}, row: .}
discover:
  list: {request: {get: /fields}, rows: fields}
  when: [{path: kind, one_of: [text, list]}]
  name: "x_{row.key}"
  label: title
  ty: kind
  writable: [{path: locked, equals: false}]
  unique: [{path: unique, equals: true}]
  options: choices.*.value
"#;
    let fields = json!({"fields": [
        {"key": 1, "title": "One", "kind": "list", "locked": false, "unique": true, "choices": [{"value": "a"}, {"value": "b"}]},
        {"key": 2, "kind": "text", "locked": true},
        {"key": 3, "kind": "alias", "locked": false},
    ]});
    let stage = Stage::new("", &format!("{MANY}{discover}"), [Canned::new("GET /v1/fields", 200, &fields)]);
    let schema = stage.connector.reader().describe(&credentials(), &"things".into()).await.expect("a schema");
    let names: Vec<&str> = schema.fields.keys().map(String::as_str).collect();
    assert_eq!(names, ["code", "id", "name", "x_1", "x_2"]);
    let one = &schema.fields["x_1"];
    assert_eq!((one.label.as_str(), one.writable, one.unique, one.options.len()), ("One", true, true, 2));
    assert!(!schema.fields["x_2"].writable && !schema.fields["x_2"].unique && !schema.fields["id"].writable);
    assert!(schema.fields["code"].unique && schema.fields["name"].max_len == Some(40));
    let unknown = stage.connector.reader().describe(&credentials(), &"others".into()).await;
    assert!(unknown.expect_err("no such object").message.contains("use things"));
}
