//! What only GitHub has: markers in texts, transfers, names that change, silence about what was left out, comments.

use reqwest::Url;
use serde_json::{Value, json};
use syncline_connectors::connector::{Credentials, WebhookRefused};
use syncline_core::{
    ids::{ExternalId, ObjectName},
    read::ReadSpec,
    remote::{Key, Raw, Remedy, WriteOutcome, WriteRequest, WriteVerb},
};

use crate::{
    side_door::Stored,
    subject::{Subject, raw},
    webhooks,
};

const OPENING: &str = "<!-- syncline:";

/// An issue as its users see it: the text without the marker, which stands beside it.
pub(crate) fn unmarked(mut stored: Stored) -> Stored {
    let text = stored.fields["body"].as_str().unwrap_or_default().replace("\r\n", "\n");
    let (text, key) = match text.rsplit_once(OPENING) {
        Some((text, marker)) => {
            let query = format!("http://localhost/?{}", marker.split_whitespace().next().unwrap_or_default());
            let query = Url::parse(&query).expect("a marker is part of an address");
            let key = query.query_pairs().next().map(|(key, _)| key.into_owned());
            (text.trim_end().to_owned(), key)
        }
        None => (text, None),
    };
    stored.fields["body"] = if text.is_empty() { Value::Null } else { text.into() };
    stored.fields["syncline_id"] = key.into();
    stored
}

#[tokio::test]
async fn text_and_marker_do_not_meet() {
    let subject = Subject::github().await;
    let made = subject.write_one(subject.create("k"), json!({"title": "T", "body": "One\r\nTwo"})).await;
    let WriteOutcome::Applied { id, created: true, object: Some(object), .. } = made else { panic!("{made:?}") };
    assert_eq!((&object.fields["body"], &object.fields["syncline_id"]), (&json!("One\nTwo"), &json!("k")));
    // A browser shows the user everything, and sends it back with line ends of its own.
    subject.users.edit(id.as_str(), json!({"body": format!("One\n\nThree\n\n{OPENING}k -->")})).await;
    let object = subject.one(id.as_str()).await;
    assert_eq!((&object.fields["body"], &object.fields["syncline_id"]), (&json!("One\n\nThree"), &json!("k")));
    subject.write_one(subject.update(id.as_str(), None), json!({"body": "Four"})).await;
    let object = subject.one(id.as_str()).await;
    assert_eq!((&object.fields["body"], &object.fields["syncline_id"]), (&json!("Four"), &json!("k")));
}

#[tokio::test]
async fn a_lost_create_is_found_by_its_marker() {
    let subject = Subject::github().await;
    subject.users.switch("response_lost", 1.0).await;
    let lost = subject.write_one(subject.create("k"), json!({"title": "T"})).await;
    assert!(matches!(lost, WriteOutcome::Unknown { .. }), "{lost:?}");
    subject.users.switch("response_lost", 0.0).await;
    let search = |value: &str| [vec![Key { field: "syncline_id".to_owned(), value: value.to_owned() }]];
    let find = async |value: &str| {
        let reader = subject.connector.reader();
        reader
            .find(&subject.credentials, &subject.object(), &search(value), &subject.fields())
            .await
            .expect("an answer")
    };
    let [found] = &find("k").await[..] else { panic!("the issue bears its marker") };
    assert_eq!(found.fields["title"], "T");
    assert_eq!(find("another").await, []);
    subject.wire.calls();
    assert_eq!(find("k").await.len(), 1);
    assert_eq!(subject.wire.calls().len(), 2, "the pages that were seen are not read again");
}

#[tokio::test]
async fn an_issue_that_was_transferred_is_gone_from_here() {
    let subject = Subject::github().await;
    let id = subject.users.create(subject.person("Ann")).await;
    subject.users.edit(&id, json!({"repository": "engineering"})).await;
    let objects = subject.by_id(&[&id]).await;
    assert!(objects[0].deleted && objects[0].version.is_some(), "{objects:?}");
    assert_eq!(subject.write_one(subject.update(&id, None), json!({"title": "T"})).await, WriteOutcome::Gone);
}

fn about(subject: &Subject, repository: &str) -> Credentials {
    let address =
        format!("{}/repos/acme/{repository}", subject.integration.settings["base_url"].as_str().expect("a base"));
    Credentials { base_url: Some(address), ..subject.credentials.clone() }
}

#[tokio::test]
async fn a_repository_that_was_renamed_is_still_the_same() {
    let mut subject = Subject::github().await;
    subject.credentials = about(&subject, "desk");
    let led = subject.write_one(subject.create("k"), json!({"title": "T"})).await;
    assert!(matches!(led, WriteOutcome::NotApplied(_)), "GitHub says where to, and counts it as a write: {led:?}");
    let probe = subject.connector.reader().probe(&subject.credentials).await.expect("a probe");
    assert_eq!(probe.account, "acme/helpdesk");
    let made = subject.write_one(subject.create("k"), json!({"title": "T"})).await;
    let WriteOutcome::Applied { id, created: true, .. } = made else { panic!("{made:?}") };
    let written = subject.write_one(subject.update(id.as_str(), None), json!({"title": "U"})).await;
    assert!(matches!(written, WriteOutcome::Applied { .. }), "{written:?}");
    assert_eq!(subject.one(id.as_str()).await.fields["title"], "U");
    assert_eq!(subject.backfill(subject.spec()).await.len(), 1);
}

#[tokio::test]
async fn nothing_is_concluded_where_nothing_can_be_seen() {
    let subject = Subject::github().await;
    for repository in ["secret", "nowhere", "archive"] {
        let credentials = about(&subject, repository);
        let reader = subject.connector.reader();
        let read = reader.by_id(&credentials, &subject.object(), &["1".into()], &subject.fields(), false).await;
        assert_eq!(read.map_err(|error| error.remedy), Err(Remedy::Configure), "{repository}");
    }
}

#[tokio::test]
async fn what_github_leaves_out_without_a_word_is_refused() {
    let subject = Subject::github().await;
    subject.users.switch("push_access", 0.0).await;
    let outcome = subject.write_one(subject.create("k"), json!({"title": "T", "labels": ["bug"]})).await;
    let WriteOutcome::Refused(refusal) = &outcome else { panic!("{outcome:?}") };
    assert_eq!(refusal.fields, ["labels"]);
    // Without the refused field the same create finds what was made.
    let outcome = subject.write_one(subject.create("k"), json!({"title": "T"})).await;
    assert!(matches!(outcome, WriteOutcome::Applied { created: false, .. }), "{outcome:?}");
    assert_eq!(subject.users.count("syncline_id", "k").await, 1);
}

#[tokio::test]
async fn labels_assignees_milestones_and_states_are_written() {
    let mut subject = Subject::github().await;
    let fields = ["labels", "assignees", "milestone", "state", "state_reason"].map(str::to_owned);
    let read = async |subject: &Subject, id: &ExternalId| {
        let reader = subject.connector.reader();
        let objects =
            reader.by_id(&subject.credentials, &subject.object(), std::slice::from_ref(id), &fields, false).await;
        Value::Object(objects.expect("the issue").remove(0).fields)
    };
    let whole = json!({
        "title": "T", "labels": ["BUG", "new"], "milestone": "v1.0", "state": "closed", "state_reason": "not_planned",
    });
    let opened = subject.write_one(subject.create("k"), whole.clone()).await;
    let WriteOutcome::NotApplied(error) = opened else { panic!("{opened:?}") };
    assert!(matches!(error.remedy, Remedy::Wait { .. }), "two writes want a second between them: {error:?}");
    let listed = {
        let spec = ReadSpec { fields: fields.to_vec(), ..subject.spec() };
        subject.backfill(spec).await
    };
    let half = listed
        .values()
        .find(|object| object.fields["milestone"] == "v1.0" && object.fields["labels"] == json!(["bug", "new"]));
    let half = half.expect("the issue was opened");
    assert!(!half.fields.contains_key("state"), "that it is open is nobody's wish: {:?}", half.fields);
    let closed = subject.write_one(subject.create("k"), whole).await;
    let WriteOutcome::Applied { id, created: false, .. } = closed else { panic!("{closed:?}") };
    assert_eq!(subject.users.count("syncline_id", "k").await, 1);
    let expected = json!({
        "labels": ["bug", "new"], "assignees": [], "milestone": "v1.0", "state": "closed", "state_reason": "not_planned",
    });
    assert_eq!(read(&subject, &id).await, expected);
    let cleared = json!({"labels": [], "milestone": null, "state": "open"});
    subject.write_one(subject.update(id.as_str(), None), cleared).await;
    let expected = json!({"labels": [], "assignees": [], "milestone": null, "state": "open", "state_reason": null});
    assert_eq!(read(&subject, &id).await, expected);
    let unknown = subject.write_one(subject.update(id.as_str(), None), json!({"milestone": "v9"})).await;
    assert!(matches!(&unknown, WriteOutcome::Refused(refusal) if refusal.fields == ["milestone"]), "{unknown:?}");
    let nobody = subject.write_one(subject.update(id.as_str(), None), json!({"assignees": ["nobody-at-all"]})).await;
    assert!(matches!(&nobody, WriteOutcome::Refused(refusal) if refusal.fields == ["assignees"]), "{nobody:?}");
}

#[tokio::test]
async fn comments_are_written_read_and_deleted() {
    let subject = Subject::github().await;
    let issue = subject.users.create(subject.person("Ann")).await;
    let object = ObjectName::from("comments");
    let write = async |verb: WriteVerb, body: Raw| {
        subject.pass(subject.words.pace);
        let row = WriteRequest { object: object.clone(), verb, body, trace: 0 };
        let results = subject.writer().write(&subject.credentials, &[row], &["body".to_owned()]).await;
        results.into_iter().next().expect("a result").outcome
    };
    let said = raw(json!({"issue": issue.parse::<u64>().expect("a number"), "body": "Said"}));
    let made = write(subject.create("c"), said.clone()).await;
    let WriteOutcome::Applied { id, created: true, .. } = made else { panic!("{made:?}") };
    let again = write(subject.create("c"), said).await;
    assert!(matches!(&again, WriteOutcome::Applied { id: same, created: false, .. } if *same == id), "{again:?}");
    write(subject.update(id.as_str(), None), raw(json!({"body": "Said better"}))).await;
    let reader = subject.connector.reader();
    let fields = ["body", "issue", "syncline_id"].map(str::to_owned);
    let read = async || {
        let objects = reader.by_id(&subject.credentials, &object, std::slice::from_ref(&id), &fields, false).await;
        objects.expect("the comment").remove(0)
    };
    let shown = read().await;
    let expected = json!({"body": "Said better", "issue": issue.parse::<u64>().expect("a number"), "syncline_id": "c"});
    assert_eq!(Value::Object(shown.fields), expected);
    let deleted = write(WriteVerb::Delete { id: id.clone(), expected: None }, Raw::new()).await;
    assert!(matches!(deleted, WriteOutcome::Applied { .. }), "{deleted:?}");
    assert!(read().await.deleted);
    let again = write(WriteVerb::Delete { id: id.clone(), expected: None }, Raw::new()).await;
    assert_eq!(again, WriteOutcome::Gone);
}

#[tokio::test]
async fn a_quiet_window_costs_nothing() {
    let mut subject = Subject::github().await;
    let now = subject.now();
    let window = Some(syncline_core::remote::Window { from: now.plus(-600_000), until: now });
    let request = syncline_core::remote::PageRequest {
        object: subject.object(),
        fields: subject.fields(),
        window,
        after: None,
        token: None,
        deleted: false,
        limit: 100,
    };
    let left = async |subject: &mut Subject| {
        let (page, told) = syncline_connectors::usage::overhear(subject.page(&request)).await;
        assert_eq!(page.expect("a page").objects, []);
        told.last().expect("an answer tells of the hour").usage.remaining
    };
    let before = left(&mut subject).await;
    for _ in 0..3 {
        assert_eq!(left(&mut subject).await, before, "GitHub does not count what still holds");
    }
}

#[tokio::test]
async fn signed_events_become_hints_and_forged_ones_are_refused() {
    let subject = Subject::github().await;
    let (host, inbox) = webhooks::listen().await;
    subject.users.push_to(&format!("{host}/hook")).await;
    let ann = subject.users.create(subject.person("Ann")).await;
    subject.users.edit(&ann, json!({"body": "Changed"})).await;
    let ben = subject.users.create(subject.person("Ben")).await;
    subject.users.edit(&ben, json!({"repository": "engineering"})).await;
    subject.users.flush().await;
    let received = inbox.lock().expect("no test panics while it receives").clone();
    assert!(received.len() >= 4, "events were pushed");
    let secret = subject.webhook_secret.as_deref().expect("the webhook's secret");
    let receiver = subject.connector.webhooks().expect("GitHub pushes");
    let mut hinted = std::collections::BTreeSet::new();
    for delivery in &received {
        let given =
            |body: &[u8], secrets: &[&str]| receiver.receive(&delivery.given(&host, body, subject.now()), secrets);
        let verified = given(&delivery.body, &["retired", secret]).expect("a genuine delivery");
        assert_eq!(verified.secret, 1, "the secret that signed it");
        assert_eq!(
            given(&delivery.body, &["retired", secret]),
            Ok(verified.clone()),
            "a repeat is known by its number"
        );
        let mut forged = delivery.body.to_vec();
        forged.push(b' ');
        assert_eq!(given(&forged, &[secret]), Err(WebhookRefused::Signature));
        assert_eq!(given(&delivery.body, &["another"]), Err(WebhookRefused::Signature));
        let of_support = verified.hints.iter().filter(|hint| hint.account.as_deref() == Some("acme/support"));
        hinted.extend(of_support.map(|hint| hint.id.clone()));
    }
    assert_eq!(hinted, [ann, ben].map(ExternalId::from).into());
}
