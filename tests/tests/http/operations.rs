//! Everything around the records: conflicts, connections, syncs, deliveries, quarantine, webhooks, health.

use std::collections::BTreeMap;

use axum::http::Method;
use serde_json::{Value as Json, json};
use syncline_connectors::connector::WebhookRefused;
use syncline_core::{
    conflict::{Candidate, Conflict},
    guard::{Coming, DeleteGuard, GuardState, Signal},
    ids::RecordId,
    journal::{Hash, Origin},
    outbox::Delivery,
    replica::{Link, Replica},
    repo::DocumentId,
    time::{Clock, Millis},
    value::{Fields, Value},
};
use syncline_server::{
    engine::commands::CommandError,
    http::webhooks::AT_ONCE_MAX,
    store::{
        CommitBatch,
        documents::Refusal,
        erasures::{ErasureId, Receipt},
        held::{DeleteSource, GuardPut, HeldWrite},
        quarantine::{QuarantineCause, Quarantined},
        syncs::{CheckpointPut, Phase, Stream, SyncState},
    },
};

use crate::harness::{Api, ann};

/// A contact with a conflict and a parked and a dirty delivery, beside a quarantined row and a checkpoint.
async fn furnish(api: &Api) -> RecordId {
    let who = Api::acme();
    let refusal = Refusal {
        at: Millis(1),
        principal: "ann".into(),
        document: DocumentId::from_bytes([7; 16]),
        reason: "no".into(),
    };
    api.store.tenant(&who.tenant).note_refusal(&refusal).await.unwrap();
    let id = RecordId::created(&who.tenant, &"contact".into(), "furnished");
    let mut record = api.pen.draft(&who, "contact", id, Fields::from([("stage".into(), Value::text("lead"))]));
    let parked = Delivery::Parked { reason: "the email is malformed there".into(), since: Millis(1) };
    let dirty = Delivery::Dirty { due: Millis(2), attempts: 3, error: Some("timed out".into()) };
    record.state.replicas = BTreeMap::from([
        ("acme-crm".into(), replica(Link::Linked { id: "003A".into() }, parked)),
        ("acme-desk".into(), replica(Link::Unlinked, dirty)),
    ]);
    record.conflicts = vec![conflict()];
    let batch = CommitBatch {
        records: vec![record],
        checkpoints: vec![CheckpointPut { stream: stream(), state: r#"{"at": 5}"#.into(), rows: 40 }],
        quarantine: vec![quarantined()],
        ..CommitBatch::default()
    };
    let store = api.store.tenant(&who.tenant);
    let mut side = SyncState::new("contacts", "acme-crm".into());
    side.phase = Phase::Degraded;
    side.expected = Some(100);
    side.last_error = Some("the quota is used up".into());
    store.put_sync_state(&side).await.unwrap();
    api.pen.commit(&who.tenant, batch).await;
    id
}

fn stream() -> Stream {
    Stream { sync: "contacts".into(), connection: "acme-crm".into(), name: "backfill".into() }
}

fn conflict() -> Conflict {
    let candidate = |byte: u8, value: &str, origin| Candidate {
        op: Hash([byte; 32]),
        value: Value::text(value),
        origin,
        clock: Clock::exact(Millis(1_000)),
    };
    Conflict {
        field: "stage".into(),
        loser: candidate(1, "mql", Origin::Connection("acme-crm".into())),
        winner: candidate(2, "lead", Origin::Client("backend".into())),
        reason: "latest".into(),
        uncertain: true,
        at: Millis(2_000),
    }
}

fn quarantined() -> Quarantined {
    Quarantined {
        sync: "contacts".into(),
        connection: "acme-crm".into(),
        object: "Contact".into(),
        external_id: Some("003B".into()),
        cause: QuarantineCause::Invalid,
        reason: "Status__c is `Maybe`, which the mapping does not know: add it to `values`".into(),
        raw: json!({"Id": "003B", "Status__c": "Maybe"}),
        at: Millis(3_000),
    }
}

/// A replica with nothing but its link and its delivery, in the store's own form.
fn replica(link: Link, delivery: Delivery) -> Replica {
    let replica = json!({
        "object": "Contact", "link": link, "baseline": {}, "reflected": {"common": []}, "version": null,
        "looked": 0, "settled": 0, "delivery": delivery,
    });
    serde_json::from_value(replica).unwrap()
}

#[tokio::test]
async fn conflicts_are_listed_and_resolved() {
    let api = Api::start().await;
    let record = furnish(&api).await;
    let page = api.get("/v1/conflicts").await;
    let conflict = &page.items()[0];
    assert_eq!(conflict["record"], record.to_string());
    assert_eq!((&conflict["winner"]["value"], &conflict["loser"]["value"]), (&json!("lead"), &json!("mql")));
    assert_eq!(conflict["loser"]["origin"], json!({"kind": "connection", "id": "acme-crm"}));
    assert_eq!((&conflict["state"], &conflict["uncertain"]), (&json!("open"), &json!(true)));
    let path = format!("/v1/conflicts/{}", conflict["id"]);
    assert_eq!(&api.get(&path).await.body, conflict);

    for (query, expected) in [
        ("model=contact".to_owned(), 1),
        ("model=ticket".to_owned(), 0),
        (format!("record={record}"), 1),
        ("state=resolved".to_owned(), 0),
        (format!("cursor={}", conflict["id"]), 0),
        ("limit=1".to_owned(), 1),
    ] {
        assert_eq!(api.get(&format!("/v1/conflicts?{query}")).await.items().len(), expected, "{query}");
    }
    for (body, status, says) in [
        (json!({"choice": "both"}), 422, "unknown variant `both`"),
        (json!({}), 422, "missing field `choice`"),
        (json!({"choice": "winner", "why": 1}), 422, "unknown field `why`"),
    ] {
        api.post(&format!("{path}/resolve"), body).await.refused(status, says);
    }
    let resolved = api.post(&format!("{path}/resolve"), json!({"choice": {"value": "customer"}})).await;
    assert_eq!(resolved.body["state"], "resolved");
    assert_eq!(
        (resolved.text("/resolution/choice"), resolved.text("/resolution/by")),
        ("value".into(), "backend".into())
    );
    assert_eq!(api.get("/v1/conflicts?state=all").await.items().len(), 1);
    assert_eq!(api.get("/v1/conflicts").await.items().len(), 0);
    api.get("/v1/conflicts/999").await.refused(404, "the conflict 999");
    api.get("/v1/conflicts/x").await.refused(404, "names nothing");
    api.get("/v1/conflicts?state=closed").await.refused(400, "unknown variant `closed`");
}

#[tokio::test]
async fn connections_and_syncs_say_how_they_are_doing() {
    let api = Api::start().await;
    furnish(&api).await;
    assert_eq!(api.get("/v1/providers").await.items().len(), 1);
    assert_eq!(api.get("/v1/integrations").await.text("/items/0/provider"), "crm");
    let connections = api.get("/v1/connections").await;
    assert_eq!(connections.items().len(), 2);
    let crm = api.get("/v1/connections/acme-crm").await;
    assert_eq!(&crm.body, &connections.items()[0]);
    assert_eq!((crm.text("/status"), crm.text("/last_error")), ("degraded".into(), "the quota is used up".into()));
    assert_eq!(crm.text("/webhook_url"), "https://sync.example.com/v1/webhooks/acme-crm");
    assert_eq!(connections.items()[1]["status"], Json::Null, "a side that has not started has no state");
    api.get("/v1/connections/globex-crm").await.refused(404, "the connection `globex-crm`");

    let sync = api.get("/v1/syncs/contacts").await;
    assert_eq!(&sync.body, &api.get("/v1/syncs").await.items()[0]);
    assert_eq!(sync.text("/phase"), "degraded");
    let side = &sync.body["sides"][0];
    assert_eq!(side["progress"], json!({"read": 40, "expected": 100}));
    assert_eq!(side["checkpoints"], json!([{"stream": "backfill", "state": {"at": 5}}]));
    assert_eq!(side["deliveries"], json!({"clean": 0, "dirty": 0, "parked": 1}));
    api.get("/v1/syncs/contracts").await.refused(404, "the sync `contracts`");
}

#[tokio::test]
async fn syncs_are_steered() {
    let api = Api::start().await;
    for (path, call) in [
        ("/v1/syncs/contacts/pause", "Pause acme contacts *"),
        ("/v1/syncs/contacts/resume", "Resume acme contacts *"),
        ("/v1/syncs/contacts/trigger?connection=acme-crm", "Trigger acme contacts acme-crm"),
        ("/v1/syncs/contacts/reset", "Reset acme contacts *"),
        ("/v1/syncs/contacts/approve", "Approve acme contacts *"),
    ] {
        assert_eq!(api.ask(Method::POST, path).send().await.status, 200);
        assert_eq!(api.pen.calls(), [call]);
    }
    api.ask(Method::POST, "/v1/syncs/contacts/stop").send().await.refused(404, "pause");
    let ask = api.ask(Method::POST, "/v1/syncs/contacts/pause?connection=globex-crm");
    ask.send().await.refused(404, "takes no part");
    assert!(api.pen.calls().is_empty());
    api.pen.refuse_next(CommandError::Conflict("the sync is paused: resume it first".into()));
    api.ask(Method::POST, "/v1/syncs/contacts/trigger").send().await.refused(409, "resume it first");
}

#[tokio::test]
async fn deliveries_and_quarantined_rows_are_listed_and_replayed() {
    let api = Api::start().await;
    let record = furnish(&api).await;
    let parked = api.get("/v1/deliveries").await;
    assert_eq!(parked.items().len(), 1);
    assert_eq!(parked.text("/items/0/reason"), "the email is malformed there");
    let dirty = api.get("/v1/deliveries?state=dirty&connection=acme-desk&limit=1").await;
    assert_eq!((dirty.number("/items/0/attempts"), &dirty.items()[0]["external_id"]), (3, &Json::Null));
    let next = dirty.text("/next_cursor");
    assert_eq!(api.get(&format!("/v1/deliveries?state=dirty&cursor={next}")).await.items().len(), 0);
    let path = format!("/v1/deliveries/{record}/acme-crm/replay");
    assert_eq!(api.ask(Method::POST, &path).send().await.status, 202);
    assert_eq!(api.pen.calls(), [format!("replay acme {record} acme-crm")]);

    let rows = api.get("/v1/quarantine?connection=acme-crm").await;
    assert_eq!(rows.items()[0]["raw"], json!({"Id": "003B", "Status__c": "Maybe"}));
    assert_eq!(rows.number("/items/0/attempts"), 1);
    let id = rows.number("/items/0/id");
    assert_eq!(api.get(&format!("/v1/quarantine?cursor={id}")).await.items().len(), 0);
    assert_eq!(api.ask(Method::POST, &format!("/v1/quarantine/{id}/replay")).send().await.status, 202);
    assert_eq!(api.pen.calls(), [format!("replay acme {id}")]);
    api.pen.refuse_next(CommandError::NotFound("the quarantined row 9 does not exist".into()));
    api.ask(Method::POST, "/v1/quarantine/9/replay").send().await.refused(404, "the quarantined row 9");
}

#[tokio::test]
async fn webhooks_need_no_key_and_are_handed_on_as_they_came() {
    let api = Api::start().await;
    let hook = |body: &'static str| {
        let ask = api.ask(Method::POST, "/v1/webhooks/acme-desk?a=1").header("authorization", "");
        ask.header("x-signature", "s").raw("text/plain", body)
    };
    assert_eq!(hook("[1, 2]").send().await.status, 202);
    assert_eq!(api.pen.calls(), ["webhook acme-desk POST /v1/webhooks/acme-desk?a=1 s 6"]);
    for (error, status) in [
        (CommandError::Webhook(WebhookRefused::Signature), 401),
        (CommandError::Webhook(WebhookRefused::Body), 400),
        (CommandError::NotFound("the connection takes no webhooks".into()), 404),
        (CommandError::Unavailable("the inbox is full".into()), 503),
    ] {
        api.pen.refuse_next(error);
        hook("[]").send().await.refused(status, "");
    }
    let long = api.ask(Method::POST, "/v1/webhooks/acme-desk").raw("application/json", "x".repeat(1024 * 1024 + 1));
    long.send().await.refused(413, "1048576");
}

/// An erasure that is over, as the store keeps it.
async fn erased(api: &Api) -> ErasureId {
    let receipt = Receipt { erased_at: Some(Millis(6_000)), ..waiting() };
    let store = api.store.tenant(&Api::acme().tenant);
    let id = store.open_erasure(&receipt, None).await.unwrap();
    store.close_erasure(id, &receipt).await.unwrap();
    id
}

/// An erasure that waits for connected systems.
fn waiting() -> Receipt {
    Receipt {
        model: "contact".into(),
        asked_at: Millis(5_000),
        asked_by: "ann".into(),
        everywhere: true,
        erased_at: None,
        rows: BTreeMap::new(),
        proof: None,
        readmitted: None,
    }
}

#[tokio::test]
async fn erasures_are_asked_for_and_leave_receipts() {
    let api = Api::start().await;
    let record = furnish(&api).await;
    let path = format!("/v1/records/contact/{record}/erase");
    let now = api.ask(Method::POST, &path).send().await;
    assert_eq!((now.status.as_u16(), now.text("/state").as_str()), (200, "erased"));
    assert_eq!(now.body["proof"]["left"], 0);
    let later = api.ask(Method::POST, &format!("{path}?everywhere=true")).send().await;
    assert_eq!((later.status.as_u16(), later.text("/state").as_str()), (202, "waiting"));
    let asked = |everywhere: bool| format!("erase contact {record} everywhere: {everywhere}");
    assert_eq!(api.pen.calls(), [asked(false), asked(true)]);
    api.ask(Method::POST, "/v1/records/contact/nobody/erase").send().await.refused(404, "is no record id");
    api.pen.refuse_next(CommandError::Conflict("deletes do not propagate".into()));
    api.ask(Method::POST, &format!("{path}?everywhere=true")).send().await.refused(409, "do not propagate");

    let first = erased(&api).await;
    let store = api.store.tenant(&Api::acme().tenant);
    let second = store.open_erasure(&waiting(), Some(record)).await.unwrap();
    let third = store.open_erasure(&waiting(), None).await.unwrap();
    let states: Vec<(i64, String)> = api
        .get("/v1/erasures")
        .await
        .items()
        .iter()
        .map(|item| (item["id"].as_i64().unwrap(), item["state"].as_str().unwrap().to_owned()))
        .collect();
    let expected = [(third.0, "ended"), (second.0, "waiting"), (first.0, "erased")];
    assert_eq!(states, expected.map(|(id, state)| (id, state.to_owned())), "newest first");
    assert_eq!(api.get("/v1/erasures?limit=1").await.items().len(), 1);
    api.ask(Method::GET, "/v1/erasures/999").send().await.refused(404, "999");
}

#[tokio::test]
async fn a_sync_shows_the_deletes_that_wait_for_a_person() {
    let api = Api::start().await;
    let record = furnish(&api).await;
    assert_eq!(api.get("/v1/syncs/contacts").await.body["held_deletes"], json!([]));
    let source = DeleteSource::Connection("acme-crm".into());
    let mut state = GuardState::default();
    let coming = Coming { deletes: 8, known: 24, signal: Signal::Named };
    assert!(!state.admit(&DeleteGuard::default(), 3_600_000, Millis(7_000), coming));
    let hold = HeldWrite::Hold {
        sync: "contacts".into(),
        source: source.clone(),
        record,
        object: Some("003A".into()),
        at: Millis(7_000),
    };
    let guards = vec![GuardPut { sync: "contacts".into(), source, state }];
    api.pen.commit(&Api::acme().tenant, CommitBatch { held: vec![hold], guards, ..CommitBatch::default() }).await;
    let sync = api.get("/v1/syncs/contacts").await.body;
    let held = &sync["held_deletes"][0];
    assert_eq!((&held["connection"], &held["signal"]), (&json!("acme-crm"), &json!("named")));
    assert_eq!((&held["waiting"], &held["known"], &held["share_percent"]), (&json!(1), &json!(24), &json!(4)));
    assert_eq!(held["sample"], json!([{"record": record.to_string(), "object": "003A"}]));
    assert!(held["remedy"].as_str().unwrap().contains("syncline syncs reject contacts --connection acme-crm"));
    assert_eq!(sync["phase"], "degraded");
}

#[tokio::test]
async fn webhooks_beyond_a_bound_are_to_be_delivered_again() {
    let api = Api::start().await;
    let hook =
        || api.ask(Method::POST, "/v1/webhooks/acme-desk").header("authorization", "").raw("text/plain", "[]").send();
    let places = api.webhooks.try_acquire_many(AT_ONCE_MAX as u32).unwrap();
    let refused = hook().await;
    assert_eq!(refused.headers["retry-after"], "1");
    refused.refused(503, "deliver this one again");
    assert!(api.pen.calls().is_empty(), "nothing is done for it");
    drop(places);
    assert_eq!(hook().await.status, 202);
    assert_eq!(api.webhooks.available_permits(), AT_ONCE_MAX, "a place is given back");
}

#[tokio::test]
async fn a_connection_shows_what_its_webhooks_brought() {
    let api = Api::start().await;
    let desk = api.get("/v1/connections/acme-desk").await.body;
    let webhooks = &desk["webhooks"];
    assert_eq!((&webhooks["secrets"][0]["verified"], &webhooks["secrets"][1]["verified"]), (&json!(0), &json!(1)));
    assert_eq!((&webhooks["refused"], &webhooks["secrets"][0]["last_used_at"]), (&json!(1), &Json::Null));
    assert_eq!(api.get("/v1/connections/acme-crm").await.body["webhooks"], Json::Null);
}

#[tokio::test]
async fn health_and_readiness_need_no_key() {
    let api = Api::start().await;
    for path in ["/health", "/ready"] {
        let reply = api.ask(Method::GET, path).header("authorization", "").send().await;
        assert_eq!((reply.status.as_u16(), reply.body), (200, json!({"status": "ok", "version": "1.2.3"})));
    }
    api.store.close().await.unwrap();
    let unready = api.ask(Method::GET, "/ready").header("authorization", "").send().await;
    unready.refused(503, "the server's log");
    assert_eq!(api.get("/health").await.status, 200, "a process whose database is gone still lives");
}

#[tokio::test]
async fn every_documented_answer_can_be_had_and_keeps_its_schema() {
    let api = Api::start().await;
    let record = furnish(&api).await;
    let id = api.contact(ann()).await;
    let contact = format!("/v1/records/contact/{id}");
    let genesis = api.get(&format!("{contact}/history")).await.text("/items/0/change");
    let conflict = api.get("/v1/conflicts").await.number("/items/0/id");
    let row = api.get("/v1/quarantine").await.number("/items/0/id");
    api.store.tenant(&"acme".into()).note_damage(record, "cut short", Millis(0)).await.unwrap();
    let erasure = erased(&api).await.0;
    let crm = format!("{contact}/links/acme-crm");
    let linked = api.ask(Method::PUT, &crm).json(&json!({"external_id": "003C"})).send().await;
    let operation = format!("/v1/identity/operations/{}", linked.number("/operation/id"));
    for (method, path, body) in [
        (Method::GET, contact.clone(), Json::Null),
        (Method::PATCH, contact.clone(), json!({"first_name": "Anna"})),
        (Method::POST, format!("{contact}/restore"), json!({"field": "first_name", "change": genesis})),
        (Method::DELETE, contact.clone(), Json::Null),
        (Method::POST, format!("{contact}/undelete"), Json::Null),
        (Method::POST, format!("{contact}/rebuild"), json!({"from_values": true})),
        (Method::GET, "/v1/records/contact?origins=true".into(), Json::Null),
        (Method::GET, format!("/v1/records/contact/{record}?origins=true"), Json::Null),
        (Method::GET, "/v1/changes".into(), Json::Null),
        (Method::GET, format!("/v1/conflicts/{conflict}"), Json::Null),
        (Method::POST, format!("/v1/conflicts/{conflict}/resolve"), json!({"choice": "loser"})),
        (Method::GET, "/v1/providers".into(), Json::Null),
        (Method::GET, "/v1/integrations".into(), Json::Null),
        (Method::GET, "/v1/connections".into(), Json::Null),
        (Method::GET, "/v1/connections/acme-crm".into(), Json::Null),
        (Method::GET, "/v1/syncs".into(), Json::Null),
        (Method::GET, "/v1/syncs/contacts".into(), Json::Null),
        (Method::POST, "/v1/syncs/contacts/trigger".into(), Json::Null),
        (Method::GET, "/v1/deliveries?state=dirty".into(), Json::Null),
        (Method::POST, format!("/v1/deliveries/{record}/acme-crm/replay"), Json::Null),
        (Method::POST, format!("/v1/quarantine/{row}/replay"), Json::Null),
        (Method::GET, "/v1/quarantine/records".into(), Json::Null),
        (Method::POST, format!("{contact}/erase"), Json::Null),
        (Method::POST, format!("{contact}/erase?everywhere=true"), Json::Null),
        (Method::GET, "/v1/erasures".into(), Json::Null),
        (Method::GET, format!("/v1/erasures/{erasure}"), Json::Null),
        (Method::POST, format!("/v1/erasures/{erasure}/readmit"), Json::Null),
        (Method::POST, format!("/v1/quarantine/{row}/separate"), Json::Null),
        (Method::GET, format!("{contact}/links"), Json::Null),
        (Method::DELETE, crm, Json::Null),
        (Method::POST, format!("{contact}/merge"), json!({"record": record})),
        (Method::POST, format!("{contact}/split"), json!({"connection": "acme-crm"})),
        (Method::GET, "/v1/identity/operations".into(), Json::Null),
        (Method::GET, operation.clone(), Json::Null),
        (Method::POST, format!("{operation}/undo"), Json::Null),
        (Method::GET, "/v1/issues".into(), Json::Null),
        (Method::GET, format!("/v1/issues/row.{row}"), Json::Null),
        (Method::POST, format!("/v1/issues/row.{row}/replay"), Json::Null),
        (Method::POST, "/v1/issues/replay?kind=object_quarantined".into(), Json::Null),
        (Method::POST, "/v1/repo/tokens".into(), json!({"name": "ann"})),
        (Method::GET, "/v1/repo/refusals".into(), Json::Null),
        (Method::POST, "/v1/webhooks/acme-desk".into(), json!([])),
        (Method::GET, "/health".into(), Json::Null),
        (Method::GET, "/ready".into(), Json::Null),
    ] {
        let ask = api.ask(method.clone(), &path);
        let reply = if body.is_null() { ask } else { ask.json(&body) }.send().await;
        assert!(reply.status.is_success(), "{method} {path}: {}", reply.body);
    }
    assert!(api.contract.unchecked().is_empty(), "{:?}", api.contract.unchecked());
}
