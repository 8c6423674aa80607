//! What only Zendesk has: tickets with a precondition and keys that it forgets, addresses that are objects of their own, names of
//! organizations that are unique, tokens of agents.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use syncline_connectors::connector::{Credentials, WebhookRefused};
use syncline_core::{
    ids::ExternalId,
    read::{Backfill, Pace, Step},
    remote::{Key, RemoteObject, WriteOutcome, WriteVerb},
};

use crate::{subject::Subject, webhooks};

async fn tickets() -> Subject {
    Subject::zendesk().await.about("tickets")
}

fn applied(outcome: &WriteOutcome) -> (ExternalId, bool) {
    match outcome {
        WriteOutcome::Applied { id, created, .. } => (id.clone(), *created),
        other => panic!("expected an applied row: {other:?}"),
    }
}

async fn read(subject: &Subject, id: &ExternalId, fields: &[&str]) -> RemoteObject {
    let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
    let reader = subject.connector.reader();
    let ids = std::slice::from_ref(id);
    let objects = reader.by_id(&subject.credentials, &subject.object(), ids, &fields, false).await;
    objects.expect("the object").remove(0)
}

async fn fields(subject: &Subject, id: &ExternalId, names: &[&str]) -> Value {
    Value::Object(read(subject, id, names).await.fields)
}

#[tokio::test]
async fn a_ticket_is_made_once() {
    let subject = tickets().await;
    let ticket = |subject: &str| json!({"subject": subject, "description": "It burns", "priority": "high"});
    subject.users.switch("response_lost", 1.0).await;
    let lost = subject.write_one(subject.create("k"), ticket("Help")).await;
    assert!(matches!(lost, WriteOutcome::Unknown { .. }), "{lost:?}");
    subject.users.switch("response_lost", 0.0).await;
    let (id, created) = applied(&subject.write_one(subject.create("k"), ticket("Help!")).await);
    assert!(!created, "the lost attempt made it");
    let shown = fields(&subject, &id, &["subject", "description", "priority", "external_id"]).await;
    let expected = json!({"subject": "Help!", "description": "It burns", "priority": "high", "external_id": "k"});
    assert_eq!(shown, expected);
    assert_eq!(subject.users.count("external_id", "k").await, 1);
}

#[tokio::test]
async fn a_ticket_that_was_deleted_is_made_anew_while_its_key_is_remembered() {
    let subject = tickets().await;
    let ticket = || json!({"subject": "Help", "description": "It burns"});
    let mut made = BTreeSet::new();
    for _ in 0..3 {
        let (id, _) = applied(&subject.write_one(subject.create("k"), ticket()).await);
        assert!(!read(&subject, &id, &["subject"]).await.deleted);
        subject.users.delete(id.as_str()).await;
        assert!(made.insert(id), "an answer about a ticket that is gone is no ticket");
    }
}

#[tokio::test]
async fn a_ticket_that_was_changed_is_not_overwritten() {
    let subject = tickets().await;
    let id = subject.users.create(json!({"subject": "Help", "description": "It burns"})).await;
    let seen = read(&subject, &id.as_str().into(), &[]).await.version;
    subject.step();
    subject.users.edit(&id, json!({"tags": ["urgent"]})).await;
    let ours = || json!({"tags": ["ours"], "subject": "Ours"});
    assert_eq!(subject.write_one(subject.update(&id, seen), ours()).await, WriteOutcome::Stale);
    let object = read(&subject, &id.as_str().into(), &["tags", "subject"]).await;
    assert_eq!(Value::Object(object.fields), json!({"tags": ["urgent"], "subject": "Help"}));
    applied(&subject.write_one(subject.update(&id, object.version), ours()).await);
    assert_eq!(fields(&subject, &id.as_str().into(), &["tags", "subject"]).await, ours());
}

#[tokio::test]
async fn custom_fields_of_tickets_are_read_and_written() {
    let subject = tickets().await;
    let reader = subject.connector.reader();
    let schema = reader.describe(&subject.credentials, &subject.object()).await.expect("a schema");
    let (name, choice) = schema
        .fields
        .iter()
        .find_map(|(name, field)| Some((name.clone(), field.options.first()?.clone())).filter(|_| field.ty == "tagger"))
        .expect("a field with choices");
    let id = subject.users.create(json!({"subject": "Help", "description": "It burns"})).await;
    applied(&subject.write_one(subject.update(&id, None), json!({ name.as_str(): choice })).await);
    assert_eq!(fields(&subject, &id.as_str().into(), &[&name]).await, json!({ name.as_str(): choice }));
    applied(&subject.write_one(subject.update(&id, None), json!({ name.as_str(): null })).await);
    assert_eq!(fields(&subject, &id.as_str().into(), &[&name]).await, json!({ name.as_str(): null }));
    let refused = subject.write_one(subject.update(&id, None), json!({"description": "It smokes"})).await;
    assert!(matches!(&refused, WriteOutcome::Refused(refusal) if refusal.fields == ["description"]), "{refused:?}");
}

#[tokio::test]
async fn deleted_tickets_are_shown_and_come_back() {
    let mut subject = tickets().await;
    let spec = subject.spec();
    let before = subject.now();
    subject.pass(Duration::from_secs(1));
    let made = async |subject: &Subject| subject.users.create(json!({"subject": "Help", "description": "d"})).await;
    let (gone, back) = (made(&subject).await, made(&subject).await);
    for id in [&gone, &back] {
        subject.users.delete(id).await;
    }
    let state = async |subject: &Subject, id: &str| {
        let object = read(subject, &id.into(), &["subject"]).await;
        (object.deleted, object.version.is_some())
    };
    assert_eq!(state(&subject, &gone).await, (true, true));
    assert_eq!(state(&subject, "999999999").await, (true, false));
    subject.users.restore(&back).await;
    assert_eq!(state(&subject, &back).await, (false, true));
    let again = subject.write_one(WriteVerb::Delete { id: gone.as_str().into(), expected: None }, json!({})).await;
    assert_eq!(again, WriteOutcome::Gone);
    subject.pass(Duration::from_secs(180));
    let window = syncline_core::remote::Window { from: before, until: subject.now() };
    let reader = subject.connector.reader();
    let told = reader.deleted(&subject.credentials, &subject.object(), window).await.expect("an answer");
    assert_eq!(told.expect("a log").ids, [ExternalId::from(gone.as_str())]);
    let listed = subject.backfill(spec).await;
    assert!(listed.contains_key(&back) && !listed.contains_key(&gone));
}

/// What Zendesk's machinery writes moves a ticket in the export and leaves its stamp: the walk goes on all the same.
#[tokio::test]
async fn tickets_are_followed_in_the_order_of_the_export() {
    let mut subject = tickets().await;
    let spec = subject.spec();
    let mut machine = Backfill::begin(spec.clone(), subject.now()).incremental(Pace { every_ms: 1 });
    let mut expected = BTreeSet::new();
    for n in 0..30 {
        subject.pass(Duration::from_secs(1));
        let ticket = json!({"subject": format!("Ticket {n}"), "description": "d"});
        expected.insert(subject.users.create(ticket).await);
    }
    subject.pass(Duration::from_millis(spec.facts.lag_ms + 2_000));
    let mut seen = BTreeSet::new();
    loop {
        let Step::Fetch(request) = machine.next(subject.now()) else { panic!("a window is due") };
        let page = subject.page(&request).await.expect("a page");
        seen.extend(page.objects.iter().map(|object| object.id.to_string()));
        if machine.page(&page).expect("the walk advances") {
            break;
        }
    }
    assert!(expected.is_subset(&seen), "{:?}", expected.difference(&seen));
}

async fn an_address_is_replaced_and_not_added(subject: Subject) {
    let ann = subject.users.create(subject.person("Ann")).await;
    subject.users.create(subject.person("Ben")).await;
    let change = |address: &str| json!({"email": address, "details": "Director"});
    applied(&subject.write_one(subject.update(&ann, None), change("new@example.com")).await);
    let id = ExternalId::from(ann.as_str());
    assert_eq!(fields(&subject, &id, &["email", "details"]).await, change("new@example.com"));
    applied(&subject.write_one(subject.update(&ann, None), json!({"email": "newer@example.com"})).await);
    assert_eq!(fields(&subject, &id, &["email"]).await, json!({"email": "newer@example.com"}));
    for address in [json!("ben@example.com"), json!(null)] {
        let row = json!({"email": address, "details": "Never"});
        let outcome = subject.write_one(subject.update(&ann, None), row).await;
        assert!(matches!(&outcome, WriteOutcome::Refused(refusal) if refusal.fields == ["email"]), "{outcome:?}");
        assert_eq!(fields(&subject, &id, &["email", "details"]).await, change("newer@example.com"));
    }
}

#[tokio::test]
async fn organizations_are_made_once_and_never_twice_under_a_name() {
    let subject = Subject::zendesk().await.about("organizations");
    let named = |name: &str, notes: &str| json!({"name": name, "notes": notes});
    let (id, created) = applied(&subject.write_one(subject.create("o1"), named("Zephyr Works", "a")).await);
    assert!(created);
    let (again, created) = applied(&subject.write_one(subject.create("o1"), named("Zephyr Works", "b")).await);
    assert_eq!((&again, created), (&id, false));
    assert_eq!(fields(&subject, &id, &["notes", "external_id"]).await, json!({"notes": "b", "external_id": "o1"}));
    subject.users.flush().await;
    subject.pass(Duration::from_secs(600));
    let other = subject.write_one(subject.create("o2"), named("zephyr works", "c")).await;
    assert!(matches!(&other, WriteOutcome::Exists { id: Some(held), .. } if *held == id), "{other:?}");
    let reader = subject.connector.reader();
    let key = |value: &str| vec![Key { field: "external_id".to_owned(), value: value.to_owned() }];
    let found = reader.find(&subject.credentials, &subject.object(), &[key("O1"), key("o2"), key("a,b")], &[]).await;
    let found: Vec<ExternalId> = found.expect("an answer").into_iter().map(|object| object.id).collect();
    assert_eq!(found, std::slice::from_ref(&id));
    applied(&subject.write_one(WriteVerb::Delete { id: id.clone(), expected: None }, json!({})).await);
    assert!(read(&subject, &id, &[]).await.deleted);
}

async fn an_agents_token_serves_as_well(mut subject: Subject) {
    let token = subject.api_token.clone().expect("a token");
    let access_token = format!("integration@sandbox.example/token:{token}");
    subject.credentials = Credentials { access_token, refresh_token: None, ..subject.credentials.clone() };
    subject.users.expire_tokens().await;
    subject.connector.reader().probe(&subject.credentials).await.expect("it does not expire");
    applied(&subject.write_one(subject.create("k"), subject.person("Ann")).await);
}

async fn signed_events_become_hints_and_forged_ones_are_refused(subject: Subject) {
    let (host, inbox) = webhooks::listen().await;
    subject.users.push_to(&format!("{host}/hook")).await;
    let ann = subject.users.create(subject.person("Ann")).await;
    subject.users.edit(&ann, json!({"details": "Director"})).await;
    let ben = subject.users.create(subject.person("Ben")).await;
    subject.users.delete(&ben).await;
    subject.users.flush().await;
    let received = inbox.lock().expect("no test panics while it receives").clone();
    assert!(!received.is_empty(), "events were pushed");
    let secret = subject.integration.client_secret.as_deref().expect("the webhook's secret");
    let receiver = subject.connector.webhooks().expect("Zendesk pushes");
    let (mut hinted, mut dedupes) = (BTreeSet::new(), BTreeSet::new());
    for delivery in &received {
        let given = |body: &[u8], late_ms: i64| {
            let delivery = delivery.given(&host, body, subject.now().plus(late_ms));
            receiver.receive(&delivery, &["retired", secret])
        };
        let verified = given(&delivery.body, 0).expect("a genuine delivery");
        assert_eq!(verified.secret, 1, "the secret that signed it");
        for hint in verified.hints {
            assert_eq!(hint.object.as_str(), "users");
            assert!(dedupes.insert(hint.dedupe), "each event is its own");
            hinted.insert(hint.id);
        }
        let mut forged = delivery.body.to_vec();
        forged.push(b' ');
        assert_eq!(given(&forged, 0), Err(WebhookRefused::Signature));
        assert_eq!(given(&delivery.body, 600_000), Err(WebhookRefused::Stale));
    }
    assert_eq!(hinted, [ann, ben].map(ExternalId::from).into());
}

/// What the connector in Rust and the manifest must both do.
mod both {
    use super::Subject;

    macro_rules! both {
        ($($story:ident),+ $(,)?) => {
            mod coded {
                $(#[tokio::test]
                async fn $story() {
                    super::super::$story(super::Subject::zendesk().await).await;
                })+
            }
            mod by_manifest {
                $(#[tokio::test]
                async fn $story() {
                    super::super::$story(super::Subject::zendesk_by_manifest().await).await;
                })+
            }
        };
    }

    both!(
        an_address_is_replaced_and_not_added,
        an_agents_token_serves_as_well,
        signed_events_become_hints_and_forged_ones_are_refused,
    );
}
