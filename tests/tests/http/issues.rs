//! Issues: every kind is listed, explained and tried again; none quotes a value unasked, and none is another tenant's.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::Method;
use serde_json::{Value as Json, json};
use syncline_core::{
    guard::{Coming, DeleteGuard, GuardState, Signal},
    ids::{ConnectionId, RecordId},
    outbox::Delivery,
    time::Millis,
    value::{Fields, Value},
};
use syncline_server::{
    issues::IssueKind,
    store::{
        CommitBatch, TenantStore,
        connections::Revocation,
        held::{DeleteSource, GuardPut, HeldWrite},
        quarantine::{QuarantineCause, Quarantined},
        syncs::{CheckpointPut, Phase, Stream, SyncState},
    },
};

use crate::harness::{Api, GLOBEX_KEY};

/// Stands in every text that a provider or a user has chosen.
pub(crate) const CANARY: &str = "canary@private.example";

/// A record, by its number.
pub(crate) fn record(number: u8) -> RecordId {
    RecordId::created(&Api::acme().tenant, &"contact".into(), &number.to_string())
}

/// Every kind of issue, each with the id that it must have and what trying it again must ask of the engine: nothing where
/// a person has to decide instead.
fn expected() -> Vec<(IssueKind, String, Vec<String>)> {
    let crm = |number: u8| format!("delivery.acme-crm.{}", record(number));
    let field = |number: u8, name: &str| format!("field.acme-crm.{}.{name}", record(number));
    let again = |number: u8| vec![format!("replay acme {} acme-crm", record(number))];
    let trigger = |sync: &str, connection: &str| format!("Trigger acme {sync} {connection}");
    vec![
        (
            IssueKind::AuthorizationRevoked,
            "connection.acme-desk".into(),
            vec![trigger("contacts", "acme-desk"), trigger("leads", "acme-desk")],
        ),
        (IssueKind::SyncPaused, "sync.leads.acme-desk".into(), vec!["Resume acme leads acme-desk".into()]),
        (IssueKind::SyncWaitingApproval, "sync.leads.acme-crm".into(), Vec::new()),
        (IssueKind::SyncDegraded, "sync.contacts.acme-crm".into(), vec![trigger("contacts", "acme-crm")]),
        (
            IssueKind::RemoteFieldMissing,
            "schema.contacts.acme-crm.Rank__c".into(),
            vec![trigger("contacts", "acme-crm")],
        ),
        (IssueKind::DeliveryParked, crm(1), again(1)),
        (IssueKind::DeliveryUncertain, crm(2), Vec::new()),
        (IssueKind::DeliveryFailing, crm(3), again(3)),
        (IssueKind::FieldRefused, field(4, "email"), again(4)),
        (IssueKind::FieldFlapping, field(4, "stage"), again(4)),
        (IssueKind::FieldUndecided, field(5, "stage"), Vec::new()),
        (IssueKind::FieldWaiting, field(6, "stage"), again(6)),
        (IssueKind::ObjectQuarantined, "row.1".into(), vec!["replay acme 1".into()]),
        (IssueKind::ObjectAmbiguous, "row.2".into(), vec!["replay acme 2".into()]),
        (IssueKind::DeletesHeld, "deletes.contacts.acme-crm".into(), Vec::new()),
        (
            IssueKind::DocumentDamaged,
            format!("document.{}", record(7)),
            vec![format!("rebuild acme contact {} false", record(7))],
        ),
    ]
}

/// One of everything.
pub(crate) async fn furnish(api: &Api) {
    let who = Api::acme();
    let store = api.store.tenant(&who.tenant);
    let dirty =
        |attempts| json!({"state": "dirty", "due": 9, "attempts": attempts, "error": format!("HTTP 503: {CANARY}")});
    let parked = |fields: &[(&str, &str)]| {
        let parked = |cause: &str| json!({"reason": format!("INVALID_EMAIL_ADDRESS: {CANARY}"), "value": {"text": CANARY}, "at": 5, "cause": cause});
        let fields = fields.iter().map(|(name, cause)| ((*name).to_owned(), parked(cause)));
        Json::Object(fields.collect())
    };
    let clean = json!({"state": "clean"});
    let given_up = json!(Delivery::Parked { reason: format!("gave up after 20 attempts: {CANARY}"), since: Millis(7) });
    let intent =
        json!({"id": 3, "verb": "update", "fields": {}, "heads": [], "expected": null, "opened": 4, "uncertain": true});
    let replicas = [
        json!({"delivery": given_up}),
        json!({"delivery": dirty(1), "intent": intent}),
        json!({"delivery": dirty(5)}),
        json!({"delivery": clean, "parked": parked(&[("email", "refused"), ("stage", "flapping")])}),
        json!({"delivery": clean, "parked": parked(&[("stage", "undecided")])}),
        json!({"delivery": clean, "parked": parked(&[("stage", "missing")])}),
        json!({"delivery": dirty(1)}),
    ];
    let mut records = Vec::new();
    for (number, special) in (1..).zip(replicas) {
        let fields = Fields::from([("email".into(), Value::text(CANARY))]);
        let mut draft = api.pen.draft(&who, "contact", record(number), fields);
        let mut replica = json!({
            "object": "Contact", "link": {"state": "linked", "id": format!("003{number}")}, "baseline": {},
            "reflected": {"common": []}, "version": null, "looked": 0, "settled": 0,
        });
        replica.as_object_mut().unwrap().extend(special.as_object().unwrap().clone());
        let replica = serde_json::from_value(replica).unwrap();
        draft.state.replicas = BTreeMap::from([("acme-crm".into(), replica)]);
        records.push(draft);
    }
    let lost = json!({"types": {"Rank__c": "double"}, "lost": {"Rank__c": {"was": "double", "is": null, "since": 6}}});
    let stream = Stream { sync: "contacts".into(), connection: "acme-crm".into(), name: "schema".into() };
    let batch = CommitBatch {
        records,
        checkpoints: vec![CheckpointPut { stream, state: lost.to_string(), rows: 0 }],
        quarantine: vec![row(1, QuarantineCause::Invalid), row(2, QuarantineCause::Ambiguous)],
        ..CommitBatch::default()
    };
    api.pen.commit(&who.tenant, batch).await;
    store.note_damage(record(7), CANARY, Millis(6)).await.unwrap();
    hold(api, DeleteSource::Connection("acme-crm".into()), 1).await;
    put_phase(store.as_ref(), "contacts", "acme-crm", Phase::Degraded).await;
    // The connection's own issue says it all.
    put_phase(store.as_ref(), "contacts", "acme-desk", Phase::ReauthNeeded).await;
    put_phase(store.as_ref(), "leads", "acme-crm", Phase::WaitingApproval).await;
    put_phase(store.as_ref(), "leads", "acme-desk", Phase::Paused).await;
    let revocation = Revocation { at: Millis(8), why: format!("invalid_grant: {CANARY}"), configured: "1".into() };
    assert!(store.put_revocation(&"acme-desk".into(), Some(&revocation)).await.unwrap());
}

/// Holds the delete of one record back, of eight that one source showed at once.
async fn hold(api: &Api, source: DeleteSource, number: u8) {
    let mut state = GuardState::default();
    let coming = Coming { deletes: 8, known: 24, signal: Signal::Named };
    assert!(!state.admit(&DeleteGuard::default(), 3_600_000, Millis(5), coming));
    let object = source.connection().map(|_| CANARY.into());
    let (sync, at) = ("contacts".to_owned(), Millis(5));
    let held = HeldWrite::Hold { sync: sync.clone(), source: source.clone(), record: record(number), object, at };
    let guards = vec![GuardPut { sync, source, state }];
    api.pen.commit(&Api::acme().tenant, CommitBatch { held: vec![held], guards, ..CommitBatch::default() }).await;
}

async fn put_phase(store: &dyn TenantStore, sync: &str, connection: &str, phase: Phase) {
    let mut state = SyncState::new(sync, ConnectionId::new(connection));
    (state.phase, state.since) = (phase, Some(Millis(9)));
    state.last_error = Some(CANARY.into());
    store.put_sync_state(&state).await.unwrap();
}

fn row(number: u32, cause: QuarantineCause) -> Quarantined {
    Quarantined {
        sync: "contacts".into(),
        connection: "acme-crm".into(),
        object: "Contact".into(),
        external_id: Some(format!("9{number}").as_str().into()),
        cause,
        reason: format!("Email is `{CANARY}`"),
        raw: json!({"Email": CANARY}),
        at: Millis(3),
    }
}

#[tokio::test]
async fn every_kind_of_issue_is_listed_explained_and_tried_again() {
    let api = Api::start().await;
    furnish(&api).await;
    let all = api.get("/v1/issues").await;
    let ids =
        |items: &[Json]| items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>();
    let expected = expected();
    assert_eq!(ids(all.items()), expected.iter().map(|(_, id, _)| id.clone()).collect());
    assert_eq!(expected.iter().map(|(kind, ..)| *kind).collect::<Vec<_>>(), IssueKind::ALL, "the table has every kind");
    assert!(!all.body.to_string().contains(CANARY), "a value is quoted unasked");
    for (kind, id, calls) in &expected {
        let word = kind.as_str();
        let of_kind = api.get(&format!("/v1/issues?kind={word}")).await;
        assert_eq!(ids(of_kind.items()), BTreeSet::from([id.clone()]), "{word}");
        let issue = api.get(&format!("/v1/issues/{id}")).await;
        assert_eq!((&issue.body, issue.text("/kind").as_str()), (&of_kind.items()[0], word));
        let (cause, remedy, command) = (issue.text("/cause"), issue.text("/remedy"), issue.text("/command"));
        assert!(
            cause.len() > 20 && remedy.len() > 20 && command.starts_with("syncline "),
            "{word}: {cause} {remedy} {command}"
        );
        // A failing delivery began with its first failure, which nobody has written down.
        assert_eq!(issue.body["since"].is_string(), *kind != IssueKind::DeliveryFailing, "{word}");
        let detailed = api.get(&format!("/v1/issues/{id}?details=true")).await;
        let told = detailed.body["error"].as_str().unwrap();
        assert!(
            told.contains(CANARY) || matches!(kind, IssueKind::RemoteFieldMissing | IssueKind::DeletesHeld),
            "{word}: {told}"
        );

        let replay = api.ask(Method::POST, &format!("/v1/issues/{id}/replay")).send().await;
        if calls.is_empty() {
            replay.refused(409, &command);
        } else {
            assert_eq!((replay.status.as_u16(), &api.pen.calls()), (202, calls), "{word}");
        }
        assert_eq!(issue.body["replayable"], !calls.is_empty(), "{word}");
        let every = api.ask(Method::POST, &format!("/v1/issues/replay?kind={word}")).send().await;
        assert_eq!(every.number("/replayed"), u64::from(!calls.is_empty()), "{word}: {}", every.body);
        assert_eq!(api.pen.calls(), *calls);
    }
    assert_eq!(
        api.get(&format!("/v1/issues/field.acme-crm.{}.email", record(4))).await.text("/code"),
        "INVALID_EMAIL_ADDRESS"
    );
    api.ask(Method::POST, "/v1/issues/replay").send().await.refused(400, "kind");
}

#[tokio::test]
async fn what_is_no_connections_is_listed_first_and_explained() {
    let api = Api::start().await;
    furnish(&api).await;
    hold(&api, DeleteSource::Clients, 2).await;
    let first = api.get("/v1/issues?limit=2").await;
    let ids: Vec<String> = (0..2).map(|place| first.text(&format!("/items/{place}/id"))).collect();
    assert_eq!(ids, ["deletes.contacts".to_owned(), format!("document.{}", record(7))]);
    assert!(first.items().iter().all(|issue| issue["connection"].is_null()), "{}", first.body);
    let held = api.get("/v1/issues/deletes.contacts").await;
    assert_eq!((held.number("/deletes"), held.text("/resource").as_str()), (1, "/v1/syncs/contacts"));
    assert!(held.text("/cause").contains("1 records were deleted by the product's clients"), "{}", held.body);
    api.ask(Method::POST, "/v1/issues/deletes.contacts/replay")
        .send()
        .await
        .refused(409, "syncline syncs status contacts");
    let shown = api.get("/v1/issues/deletes.contacts.acme-crm").await;
    assert!(shown.text("/cause").contains("1 objects of `acme-crm` are gone"), "{}", shown.body);
    assert_eq!(api.get("/v1/issues?kind=deletes_held&connection=acme-crm").await.items().len(), 1);
    let document = api.get(&format!("/v1/issues/document.{}", record(7))).await;
    assert_eq!(document.text("/command"), format!("syncline records rebuild contact {}", record(7)));
    for over in ["deletes.leads".to_owned(), "deletes.contacts.acme-desk".into(), format!("document.{}", record(6))] {
        api.get(&format!("/v1/issues/{over}")).await.refused(404, "over");
    }
}

#[tokio::test]
async fn pages_of_issues_neither_repeat_nor_skip_any() {
    let api = Api::start().await;
    furnish(&api).await;
    for filter in ["", "kind=field_flapping&", "connection=acme-crm&"] {
        let whole = api.get(&format!("/v1/issues?{filter}limit=1000")).await.items().clone();
        for limit in [1, 2, 3, 5] {
            let (mut items, mut cursor) = (Vec::new(), String::new());
            loop {
                let page = api.get(&format!("/v1/issues?{filter}limit={limit}{cursor}")).await;
                items.extend(page.items().iter().cloned());
                match page.body["next_cursor"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            assert_eq!(items, whole, "{filter} by {limit}");
        }
    }
}

#[tokio::test]
async fn an_issue_ends_with_its_cause_and_is_nobody_elses() {
    let api = Api::start().await;
    furnish(&api).await;
    let globex =
        api.ask(Method::GET, "/v1/issues").header("authorization", &format!("Bearer {GLOBEX_KEY}")).send().await;
    assert!(globex.items().is_empty(), "{}", globex.body);
    for (_, id, _) in expected() {
        let asked = api.ask(Method::GET, &format!("/v1/issues/{id}"));
        asked.header("authorization", &format!("Bearer {GLOBEX_KEY}")).send().await.refused(404, "over");
    }
    let store = api.store.tenant(&Api::acme().tenant);
    assert!(store.put_revocation(&"acme-desk".into(), None).await.unwrap());
    put_phase(store.as_ref(), "leads", "acme-desk", Phase::Live).await;
    for id in ["connection.acme-desk", "sync.leads.acme-desk", "row.77", "delivery.acme-crm.no-record", "trouble"] {
        api.get(&format!("/v1/issues/{id}")).await.refused(404, "issue");
    }
}
