//! Credentials: expiry, refresh, and the end of a grant.

use syncline_connectors::connector::Credentials;
use syncline_core::remote::{Remedy, WriteOutcome, WriteVerb};

use crate::{for_every_connector, subject::Subject};

for_every_connector!(
    an_expired_token_asks_for_a_refresh,
    a_connection_without_a_token_begins_with_a_refresh,
    a_dead_grant_asks_for_a_person,
    credentials_show_no_secret,
);

async fn an_expired_token_asks_for_a_refresh(subject: &mut Subject) {
    if subject.connector.refresher().is_none() {
        return;
    }
    subject.users.expire_tokens().await;
    let reader = subject.connector.reader();
    let read = reader.by_id(&subject.credentials, &subject.object(), &["1".into()], &[], false).await;
    assert_eq!(read.map_err(|error| error.remedy), Err(Remedy::Refresh));
    let probe = reader.probe(&subject.credentials).await;
    assert_eq!(probe.map_err(|error| error.remedy), Err(Remedy::Refresh));
    let delete = WriteVerb::Delete { id: "1".into(), expected: None };
    let verb = if subject.words.can.delete { delete } else { subject.update("1", None) };
    let rows = vec![(verb.clone(), serde_json::json!({})), (verb, serde_json::json!({}))];
    for outcome in subject.write(rows).await {
        assert!(matches!(&outcome, WriteOutcome::NotApplied(error) if error.remedy == Remedy::Refresh), "{outcome:?}");
    }
    subject.refresh().await;
    subject.connector.reader().probe(&subject.credentials).await.expect("the new token works");
}

async fn a_connection_without_a_token_begins_with_a_refresh(subject: &mut Subject) {
    if subject.connector.refresher().is_none() {
        return;
    }
    let bare = Credentials { access_token: String::new(), base_url: None, ..subject.credentials.clone() };
    subject.credentials = bare;
    let probe = subject.connector.reader().probe(&subject.credentials).await;
    assert_eq!(probe.map_err(|error| error.remedy), Err(Remedy::Refresh));
    subject.refresh().await;
    subject.connector.reader().probe(&subject.credentials).await.expect("the refresh brought all that is needed");
}

async fn a_dead_grant_asks_for_a_person(subject: &mut Subject) {
    if subject.connector.refresher().is_none() {
        return;
    }
    let refresher = subject.connector.refresher().expect("it was asked for");
    for refresh_token in [Some("never issued".to_owned()), None] {
        let dead = Credentials { refresh_token, ..subject.credentials.clone() };
        let refreshed = refresher.refresh(&dead, subject.now()).await;
        assert_eq!(refreshed.map_err(|error| error.remedy).err(), Some(Remedy::Reauthorise));
    }
}

async fn credentials_show_no_secret(subject: &mut Subject) {
    let shown = format!("{:?} {:?}", subject.credentials, subject.connector);
    for secret in [Some(&subject.credentials.access_token), subject.credentials.refresh_token.as_ref()].iter().flatten()
    {
        assert!(!shown.contains(secret.as_str()), "{shown}");
    }
}
