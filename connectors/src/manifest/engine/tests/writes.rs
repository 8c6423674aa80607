//! Creations, updates and deletes, with every kind of key and precondition.

use serde_json::{Value, json};
use syncline_core::{
    remote::{Key, Remedy, RemoteVersion, WriteOutcome, WriteVerb},
    time::Millis,
};

use super::super::canned::{Canned, Stage};

const STAMP: &str = "2026-05-05T10:32:01Z";
const AT: i64 = 1_777_977_121_000;
const READS: &str = "version: {path: updated, precision: 1s}\nlist: {request: {get: /things}}\nby_id: {one: {request: {get: \"/things/{id}\"}}}";

fn create(key: &str) -> WriteVerb {
    WriteVerb::Create { key: Some(Key { field: "code".into(), value: key.into() }) }
}

fn update(ms: Option<i64>) -> WriteVerb {
    let version = |ms| RemoteVersion { stamp: Millis(ms), precision_ms: 1_000 };
    WriteVerb::Update { id: "7".into(), expected: ms.map(version) }
}

fn name(outcome: &WriteOutcome) -> String {
    match outcome {
        WriteOutcome::Applied { id, created, object, whole } => {
            let shown =
                object.as_ref().map_or(Value::Null, |object| object.fields.get("name").cloned().unwrap_or_default());
            format!("{} {id} {shown} {whole}", if *created { "created" } else { "applied" })
        }
        WriteOutcome::NotApplied(error) => format!("not applied: {:?}", error.remedy),
        WriteOutcome::Refused(refusal) => format!("refused: {} {:?}", refusal.code, refusal.fields),
        WriteOutcome::Exists { id, .. } => format!("exists {}", id.as_ref().map_or("?", |id| id.as_str())),
        WriteOutcome::Unknown { .. } => "unknown".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// What a write sends, and how it ends.
async fn check(object: &str, verb: WriteVerb, body: Value, answers: Vec<Canned>, expected: &str) {
    let stage = Stage::new("", &format!("{READS}\n{object}"), answers);
    assert_eq!(name(&stage.write(verb, body).await), expected, "{object}");
    stage.ends();
}

#[tokio::test]
async fn updates_have_every_kind_of_precondition_and_body() {
    let thing = |name: &str, tag: &str| json!({"id": "7", "name": name, "kept": 1, "updated": STAMP, "_etag": tag});
    let get = |tag: &'static str| Canned::new("GET /v1/things/7", 200, &thing("old", tag)).header("etag", tag);
    let cases: Vec<(&str, Option<i64>, Vec<Canned>, &str)> = vec![
        (
            "update: {request: {patch: \"/things/{id}\", json: {thing: \"{body}\"}}, row: thing}",
            None,
            vec![
                Canned::new("PATCH /v1/things/7", 200, &json!({"thing": thing("new", "")}))
                    .sent("{\"thing\":{\"name\":\"new\"}}"),
            ],
            "applied 7 \"new\" false",
        ),
        (
            "update: {request: {put: \"/things/{id}\", json: \"{body}\", headers: {If-Unmodified-Since: \"{version|rfc1123}\"}}}",
            Some(AT),
            vec![
                Canned::new("PUT /v1/things/7", 204, &json!(null))
                    .with("if-unmodified-since", "Tue, 05 May 2026 10:32:01 GMT"),
            ],
            "applied 7 null false",
        ),
        (
            "update: {request: {put: \"/things/{id}\", json: {\"...\": \"{body}\", safe: \"{version|present}\", stamp: \"{version|iso8601}\"}}}",
            Some(AT),
            vec![
                Canned::new("PUT /v1/things/7", 412, &json!({}))
                    .sent(format!("{{\"name\":\"new\",\"safe\":true,\"stamp\":\"{STAMP}\"}}")),
            ],
            "stale",
        ),
        (
            "update: {request: {put: \"/things/{id}\", json: {\"...\": \"{body}\", safe: \"{version|present}\"}}}",
            None,
            vec![Canned::new("PUT /v1/things/7", 200, &json!({})).sent("{\"name\":\"new\"}")],
            "applied 7 null false",
        ),
        (
            "etag: header\nupdate: {request: {put: \"/things/{id}\", json: \"{object}\", headers: {If-Match: \"{etag}\"}}}",
            Some(AT),
            vec![
                get("\"a\""),
                Canned::new("PUT /v1/things/7", 200, &json!({}))
                    .with("if-match", "\"a\"")
                    .sent(json!({"id": "7", "name": "new", "kept": 1, "updated": STAMP, "_etag": "\"a\""})),
            ],
            "applied 7 null false",
        ),
        (
            "etag: {path: _etag}\nupdate: {request: {patch: \"/things/{id}\", json: \"{body}\", headers: {If-Match: \"{etag}\"}}}",
            None,
            vec![get("b"), Canned::new("PATCH /v1/things/7", 200, &json!({})).with("if-match", "b")],
            "applied 7 null false",
        ),
        (
            // Somebody wrote since, which the look before the write sees.
            "etag: header\nupdate: {request: {patch: \"/things/{id}\", json: \"{body}\", headers: {If-Match: \"{etag}\"}}}",
            Some(AT - 1_000),
            vec![get("c")],
            "stale",
        ),
        (
            "update: {request: {patch: \"/things/{id}\", form: {\"...\": \"{body}\", by: us}}, then_read: true}",
            None,
            vec![
                Canned::new("PATCH /v1/things/7", 204, &json!(null))
                    .sent("name=new&by=us")
                    .with("content-type", "application/x-www-form-urlencoded"),
                Canned::new("GET /v1/things/7", 200, &thing("stored", "")),
            ],
            "applied 7 \"stored\" false",
        ),
        (
            "update: {request: {patch: \"/things/{id}\", json: {t: \"{once}\", \"...\": \"{body}\"}}, once: {request: {post: \"/tickets/{id}\"}, path: ticket}}",
            None,
            vec![
                Canned::new("POST /v1/tickets/7", 200, &json!({"ticket": "T1"})),
                Canned::new("PATCH /v1/things/7", 200, &json!({})).sent("{\"name\":\"new\",\"t\":\"T1\"}"),
            ],
            "applied 7 null false",
        ),
        ("create: {request: {post: /things, json: \"{body}\"}, row: .}", None, vec![], "refused: NoUpdates [\"name\"]"),
    ];
    for (object, expected, answers, outcome) in cases {
        check(object, update(expected), json!({"name": "new"}), answers, outcome).await;
    }
}

#[tokio::test]
async fn creations_are_repeatable_in_every_way() {
    let made = json!({"id": "7", "name": "new", "updated": STAMP, "code": "k"});
    let digest = "syncline-";
    let plain = "create: {request: {post: /things, json: \"{body}\"}, row: .}";
    let looked = format!(
        "key: {{field: code, look: true}}\nfind: [{{fields: [code], request: {{get: /find, query: {{c: \"{{values|join:,}}\"}}}}}}]\n\
         update: {{request: {{put: \"/things/{{id}}\", json: \"{{body}}\"}}}}\n{plain}"
    );
    check(
        plain,
        WriteVerb::Create { key: None },
        json!({"name": "new"}),
        vec![Canned::new("POST /v1/things", 201, &made)],
        "created 7 \"new\" false",
    )
    .await;
    let look = |found: Value| Canned::new("GET /v1/find?c=k", 200, &found);
    let sent = "{\"code\":\"k\",\"name\":\"new\"}";
    check(
        &looked,
        create("k"),
        json!({"name": "new"}),
        vec![look(json!([])), Canned::new("POST /v1/things", 201, &made).sent(sent)],
        "created 7 \"new\" false",
    )
    .await;
    check(
        &looked,
        create("k"),
        json!({"name": "new"}),
        vec![look(json!([made])), Canned::new("PUT /v1/things/7", 200, &json!({}))],
        "applied 7 null false",
    )
    .await;
    check(
        &looked,
        create("k"),
        json!({"name": "new"}),
        vec![look(json!([made, {"id": "8", "code": "K", "updated": STAMP}]))],
        "refused: SeveralObjects [\"code\"]",
    )
    .await;
    check(
        &looked,
        create("k"),
        json!({"name": "new"}),
        vec![Canned::new("GET /v1/find?c=k", 503, &json!({}))],
        "not applied: Retry",
    )
    .await;
    // Another attempt has made it between the look and the creation.
    let rule = looked.clone();
    let stage = Stage::new(
        "errors: {rules: [{when: {status: 409, verb: create}, then: exists}]}",
        &format!("{READS}\n{rule}"),
        [look(json!([])), Canned::new("POST /v1/things", 409, &json!({})), look(json!([made]))],
    );
    assert_eq!(name(&stage.write(create("k"), json!({"name": "new"})).await), "not applied: Retry");

    let upsert =
        "key: {field: code, upsert: {request: {put: \"/things/{key_field}/{key}\", json: \"{body}\"}, row: .}}";
    for (status, expected) in [(201, "created 7 \"new\" false"), (200, "applied 7 \"new\" false")] {
        let answer = Canned::new("PUT /v1/things/code/k%2F1", status, &made);
        check(upsert, create("k/1"), json!({"name": "new"}), vec![answer], expected).await;
    }
    let named = "key: {field: code, repeated: {name: x-repeat, equals: hit}}\ncreate: {request: {post: /things, json: \"{body}\", headers: {Idempotency-Key: \"{attempt_key}\"}}, location: true}";
    let mut keys = Vec::new();
    for (hit, expected) in [("miss", "created 9 null false"), ("hit", "applied 9 null false")] {
        let answer = Canned::new("POST /v1/things", 201, &json!(null))
            .header("location", "/v1/things/9?x")
            .header("x-repeat", hit);
        check(named, create("k"), json!({"name": "new"}), vec![answer], expected).await;
        keys.push(digest);
    }
    assert_eq!(keys[0], keys[1]);
    check(
        named,
        WriteVerb::Create { key: Some(Key { field: "name".into(), value: "k".into() }) },
        json!({}),
        vec![],
        "not applied: Configure",
    )
    .await;
    check(plain, create("k"), json!({}), vec![], "not applied: Configure").await;
    check(
        "update: {request: {put: \"/things/{id}\", json: \"{body}\"}}",
        WriteVerb::Create { key: None },
        json!({"name": 1}),
        vec![],
        "refused: NoCreations [\"name\"]",
    )
    .await;
}

#[tokio::test]
async fn a_key_may_stand_behind_a_text() {
    let object = "key: {field: code, look: true, marker: {field: text, before: \"<!-- id:\", after: \" -->\"}}\n\
                  create: {request: {post: /things, json: \"{body}\"}, id: id}\n\
                  update: {request: {patch: \"/things/{id}\", json: \"{body}\"}}";
    let thing = |text: &str| json!({"id": "7", "text": text, "updated": STAMP});
    let made = || {
        vec![
            Canned::new("GET /v1/things", 200, &json!([thing("x")])),
            Canned::new("POST /v1/things", 201, &json!({"id": "8"})).sent(json!({"text": "Hello\n\n<!-- id:k -->"})),
        ]
    };
    check(object, create("k"), json!({"text": "Hello"}), made(), "created 8 null false").await;
    let changed = vec![
        Canned::new("GET /v1/things/7", 200, &thing("Old\n\n<!-- id:k -->")),
        Canned::new("PATCH /v1/things/7", 200, &json!({})).sent(json!({"text": "New\n\n<!-- id:k -->"})),
    ];
    check(object, update(None), json!({"text": "New"}), changed, "applied 7 null false").await;
    let found = vec![
        Canned::new("GET /v1/things", 200, &json!([thing("Old\n\n<!-- id:k -->")])),
        Canned::new("GET /v1/things/7", 200, &thing("Old\n\n<!-- id:k -->")),
        Canned::new("PATCH /v1/things/7", 200, &json!({})),
    ];
    check(object, create("K"), json!({"text": "New"}), found, "applied 7 null false").await;
}

#[tokio::test]
async fn fields_are_written_to_their_places() {
    let object = r#"
fields:
  others: false
  known:
    name: {write_path: title.text}
    born: {type: date, format: date_parts}
    tags: {type: set, separator: ";"}
    owner: {type: reference, path: owner.id, write_path: owner_id}
    active: {truth: [1, 0]}
    note: {null_as: ""}
    once: {access: create}
    seen: {access: read}
    short: {max_len: 2}
  lists: [{path: custom, name: id, value: value, prefix: cf_}]
update: {request: {patch: "/things/{id}", json: "{body}"}}"#;
    let body = json!({"name": "x", "born": "2026-05-05", "tags": ["a", "b"], "owner": "7", "active": true, "note": null, "cf_5": "gold", "cf_x": null});
    let sent = json!({
        "title": {"text": "x"}, "born": {"__class__": "date", "year": 2026, "month": 5, "day": 5}, "tags": "a;b", "owner_id": 7,
        "active": 1, "note": "", "custom": [{"id": 5, "value": "gold"}, {"id": "x", "value": null}],
    });
    check(
        object,
        update(None),
        body,
        vec![Canned::new("PATCH /v1/things/7", 200, &json!({})).sent(sent)],
        "applied 7 null false",
    )
    .await;
    for (body, expected) in [
        (json!({"once": 1}), "refused: SetAtCreation [\"once\"]"),
        (json!({"seen": 1}), "refused: ReadOnly [\"seen\"]"),
        (json!({"short": "abc"}), "refused: TooLong [\"short\"]"),
        (json!({"stranger": 1}), "refused: UnknownField [\"stranger\"]"),
    ] {
        check(object, update(None), body, vec![], expected).await;
    }
}

#[tokio::test]
async fn fields_that_are_objects_of_their_own_have_their_own_calls() {
    let object = r#"
fields:
  known:
    email:
      parts:
        look: {get: "/things/{id}/emails"}
        rows: .
        pick: [{path: first, equals: true}]
        value: value
        change: {put: "/emails/{found.id}", json: {value: "{value}"}}
        add: {post: "/things/{id}/emails", json: {value: "{value}"}}
        remove: {delete: "/emails/{found.id}"}
update: {request: {patch: "/things/{id}", json: "{body}"}}"#;
    let emails = |held: Value| Canned::new("GET /v1/things/7/emails", 200, &held);
    let held = || json!([{"id": 1, "value": "a", "first": false}, {"id": 2, "value": "b", "first": true}]);
    let cases = [
        (
            json!({"email": "c"}),
            vec![emails(held()), Canned::new("PUT /v1/emails/2", 200, &json!({})).sent("{\"value\":\"c\"}")],
            "applied 7 null false",
        ),
        (json!({"email": "b"}), vec![emails(held())], "applied 7 null false"),
        (
            json!({"email": "c"}),
            vec![emails(json!([])), Canned::new("POST /v1/things/7/emails", 201, &json!({}))],
            "applied 7 null false",
        ),
        (
            json!({"email": null}),
            vec![emails(held()), Canned::new("DELETE /v1/emails/2", 204, &json!(null))],
            "applied 7 null false",
        ),
        (json!({"email": null}), vec![emails(json!([]))], "applied 7 null false"),
        (
            json!({"email": "c", "name": "x"}),
            vec![emails(held()), Canned::new("PUT /v1/emails/2", 422, &json!({"error": "bad"}))],
            "refused: Refused [\"email\"]",
        ),
        (
            json!({"email": "c", "name": "x"}),
            vec![
                emails(held()),
                Canned::new("PUT /v1/emails/2", 200, &json!({})),
                Canned::new("PATCH /v1/things/7", 200, &json!({})).sent("{\"name\":\"x\"}"),
            ],
            "applied 7 null false",
        ),
        (json!({"email": "c"}), vec![Canned::new("GET /v1/things/7/emails", 404, &json!({}))], "gone"),
    ];
    for (body, answers, expected) in cases {
        check(object, update(None), body, answers, expected).await;
    }
}

#[tokio::test]
async fn every_failure_has_an_outcome() {
    let errors = r#"
errors:
  code: ["errors[0].code"]
  message: [message]
  fields: [{path: errors, name: field}]
  in_success: [{path: error}]
  rules:
    - {when: {status: 403, code: FORBIDDEN, verb: [update, delete]}, then: perhaps_gone}
    - {when: {status: 400, code: TAKEN, verb: create}, then: exists}
    - {when: {status: 200, body: [{path: error, equals: conflict}]}, then: stale}
    - {when: {status: 429, header: {name: x-left, equals: "0"}}, then: wait, after: 5s}
    - {when: {status: 429}, then: busy, after: 2s}
    - {when: {status: 5xx, says: maintenance}, then: retry}
"#;
    let object = "create: {request: {post: /things, json: \"{body}\"}, row: .}\nupdate: {request: {patch: \"/things/{id}\", json: \"{body}\"}}\n\
                  key: {holder: holder}\ndelete: {request: {delete: \"/things/{id}\"}}\nfields: {known: {name: {path: title}}}";
    let fault = |code: &str| json!({"errors": [{"code": code, "field": "title"}], "message": "words", "holder": "5"});
    let delete = WriteVerb::Delete { id: "7".into(), expected: None };
    let none = WriteVerb::Create { key: None };
    let patch = |status, body: &Value| Canned::new("PATCH /v1/things/7", status, body);
    let post = |status, body: &Value| Canned::new("POST /v1/things", status, body);
    let gone = || Canned::new("GET /v1/things/7", 404, &json!({}));
    let there = || Canned::new("GET /v1/things/7", 200, &json!({"id": "7", "updated": STAMP}));
    let cases = [
        (update(None), vec![patch(422, &fault("BAD"))], "refused: BAD [\"name\"]"),
        (update(None), vec![patch(403, &fault("FORBIDDEN")), gone()], "gone"),
        (update(None), vec![patch(403, &fault("FORBIDDEN")), there()], "not applied: Configure"),
        (update(None), vec![patch(200, &json!({"error": "conflict"}))], "stale"),
        (update(None), vec![patch(401, &json!({}))], "not applied: Refresh"),
        (update(None), vec![patch(404, &json!({}))], "gone"),
        (update(None), vec![patch(503, &json!({}))], "unknown"),
        (update(None), vec![patch(503, &json!({"message": "Maintenance"}))], "not applied: Retry"),
        (
            update(None),
            vec![patch(429, &json!({})).header("x-left", "0").header("retry-after", "7")],
            "not applied: Wait { after_ms: Some(7000), budget: \"requests\" }",
        ),
        (update(None), vec![patch(429, &json!({})).header("x-left", "3")], "not applied: Busy { after_ms: 2000 }"),
        (none.clone(), vec![post(400, &fault("TAKEN"))], "exists 5"),
        (none.clone(), vec![post(404, &json!({}))], "not applied: Configure"),
        (none, vec![post(201, &json!({}))], "unknown"),
        (delete.clone(), vec![Canned::new("DELETE /v1/things/7", 204, &json!(null))], "applied 7 null false"),
        (delete, vec![Canned::new("DELETE /v1/things/7", 410, &json!(null))], "gone"),
    ];
    for (verb, answers, expected) in cases {
        let stage = Stage::new(errors, &format!("{READS}\n{object}"), answers);
        assert_eq!(name(&stage.write(verb.clone(), json!({"name": "x"})).await), expected, "{verb:?}");
        stage.ends();
    }
    let stage = Stage::new("", &format!("{READS}\nid: {{type: number}}\n{object}"), []);
    let astray = WriteVerb::Update { id: "..".into(), expected: None };
    let WriteOutcome::NotApplied(error) = stage.write(astray, json!({"name": "x"})).await else {
        panic!("nothing is sent")
    };
    assert_eq!(error.remedy, Remedy::Configure);
}
