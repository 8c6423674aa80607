//! Growing quiet, and the judges.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use syncline_client::{
    Api, At, Change, ChangesQuery, ConflictState, Cursor, DeliveryCounts, DeliveryQuery, DeliveryState, Error, Phase,
    RecordId, RecordQuery, Steering,
};
use syncline_server::demo::Trial;
use syncline_tests::{
    patience::{eventually, until_reached},
    stage::Stage,
};

use crate::{
    audience::Audience,
    book::{Book, Doubt},
    traffic::MODEL,
};

/// So many requests of each account, polls and all, count as a while.
const A_WHILE: u64 = 12;
/// Changes of a page.
const PAGE: u32 = 1_000;

/// The records of objects, by the account's place and the object's id.
pub(crate) type Links = BTreeMap<(usize, String), String>;

/// Waits until everything was read and written, and stays as it is while both accounts are read again and again.
pub(crate) async fn grow_quiet(stage: &Stage, api: &Api) {
    eventually("it grows quiet", async || {
        nothing_is_owed(api).await.map_err(|why| format!("{why}\n{}", stage.log_tail()))?;
        let before = end_of_feed(api).await?;
        for account in stage.accounts() {
            let goal = account.requests() + A_WHILE;
            until_reached("polls go on", goal, || account.requests()).await;
        }
        nothing_is_owed(api).await?;
        let after = end_of_feed(api).await?;
        if before == after { Ok(()) } else { Err(format!("changes went on from {before:?} to {after:?}")) }
    })
    .await;
}

async fn nothing_is_owed(api: &Api) -> Result<(), String> {
    let sync = api.sync("contacts").await.map_err(|error| error.to_string())?;
    for side in &sync.sides {
        let DeliveryCounts { dirty, parked, .. } = side.deliveries;
        let live = matches!(side.phase, Some(Phase::Live));
        if side.last_error.as_ref().is_some_and(|error| error.contains("syncs approve")) {
            // While the process was dying, users have deleted more than a sweep takes for granted; a person says so.
            let approved = api.steer_sync("contacts", Some(&side.connection), Steering::Approve).await;
            approved.map_err(|error| error.to_string())?;
        }
        if !live || dirty + parked > 0 {
            let state = if dirty > 0 { DeliveryState::Dirty } else { DeliveryState::Parked };
            let query = DeliveryQuery { state, connection: Some(side.connection.clone()) };
            let owed = api.deliveries(&query, &At::default()).await.map_err(|error| error.to_string())?.items;
            return Err(format!("{} {:?} {:?} {owed:#?}", side.connection, side.phase, side.last_error));
        }
    }
    Ok(())
}

async fn end_of_feed(api: &Api) -> Result<Cursor, String> {
    Ok(feed(api).await?.last().map_or(Cursor(0), |change| change.cursor))
}

/// The whole feed.
async fn feed(api: &Api) -> Result<Vec<Change>, String> {
    let (mut changes, mut after) = (Vec::new(), Cursor(0));
    loop {
        let query = ChangesQuery { limit: Some(PAGE), ..ChangesQuery::default() };
        let page = api.changes(after, &query).await.map_err(|error| error.to_string())?;
        if page.items.is_empty() {
            return Ok(changes);
        }
        after = page.cursor;
        changes.extend(page.items);
    }
}

/// Clears up what nobody was told: a create is made again under its key, and an edit happened if the record's history has it.
pub(crate) async fn clear_doubts(api: &Api, book: &Book) {
    for (entry, doubt) in book.doubts() {
        match doubt {
            Doubt::Create { key, call } => {
                let fields = call.sent.into_iter().collect();
                let made = api.create_record(MODEL, &fields, Some(&key)).await.expect("a create may be repeated");
                book.acknowledged(entry, Some(&made.meta));
            }
            Doubt::Edit(call) => {
                let id: RecordId = call.record.parse().expect("a record's id");
                let landed = match call.sent.first_key_value() {
                    Some((field, value)) => was_written(api, id, field, value).await,
                    None => false,
                };
                if landed { book.acknowledged(entry, None) } else { book.refused(entry) }
            }
            Doubt::Delete(call) => {
                let id: RecordId = call.record.parse().expect("a record's id");
                let record = api.record(MODEL, id).await.expect("a record that was there");
                if record.meta.deleted_at.is_some() { book.acknowledged(entry, None) } else { book.refused(entry) }
            }
            Doubt::Resolve { conflict, .. } => {
                let state = api.conflict(conflict).await.expect("a conflict that was there").state;
                if state == "resolved" { book.acknowledged(entry, None) } else { book.refused(entry) }
            }
        }
    }
}

async fn was_written(api: &Api, id: RecordId, field: &str, value: &Json) -> bool {
    let mut at = At::default().limit(PAGE);
    loop {
        let page = api.record_history(MODEL, id, Some(field), &at).await.expect("a history");
        if page.items.iter().any(|entry| entry.fields.get(field).is_some_and(|written| written.value == *value)) {
            return true;
        }
        let Some(next) = page.next_cursor else { return false };
        at = At::after(next).limit(PAGE);
    }
}

/// What the API has acknowledged is never older afterwards.
pub(crate) async fn reads_its_own_writes(api: &Api, book: &Book) {
    for (id, version) in book.take_versions() {
        match api.record(MODEL, id).await {
            Ok(record) => {
                let now = record.meta.version;
                assert!(now >= version, "record {id} went back from version {version} to {now}");
            }
            // The process was killed again meanwhile.
            Err(Error::Unreachable { .. }) => return,
            Err(error) => panic!("record {id} was acknowledged at version {version}: {error}"),
        }
    }
}

/// The objects that records are linked to now.
pub(crate) async fn links(api: &Api) -> Links {
    let query = RecordQuery { include_deleted: true, ..RecordQuery::default() };
    let (mut links, mut at) = (Links::new(), At::default().limit(PAGE));
    loop {
        let page = api.list_records(MODEL, &query, &at).await.expect("records");
        for record in page.items {
            for (place, connection) in ["demo-salesforce", "demo-hubspot"].into_iter().enumerate() {
                if let Some(id) = record.meta.external_ids.get(connection).and_then(|copy| copy.id.clone()) {
                    links.insert((place, id), record.meta.id.to_string());
                }
            }
        }
        match page.next_cursor {
            Some(next) => at = At::after(next).limit(PAGE),
            None => return links,
        }
    }
}

/// O1 to O4: nothing is lost, different, double, redundant or invented. The judge is the demo's.
pub(crate) async fn judge_sides(stage: &Stage, api: &Api, known: &Links, book: &Book) {
    let trial = Trial::of(stage.sandbox(), api, known, book.told()).await.expect("evidence");
    let verdict = trial.verdict();
    println!("  {} edits judged; conflicts kept: {}", verdict.edits, kept(api).await);
    let blind: u64 = verdict.blind.iter().map(|blind| blind.edits).sum();
    if !verdict.holds() || blind > 0 {
        panic!("{verdict:#?}\n{}", told(stage, api, known, &verdict.findings).await);
    }
}

/// What happened to the records that findings speak of, by the API and by the accounts' own logs.
async fn told(stage: &Stage, api: &Api, known: &Links, findings: &[String]) -> String {
    let mut told = String::new();
    let ids: BTreeSet<&str> = findings.iter().flat_map(|finding| finding.split([' ', ',', ':'])).collect();
    for id in ids {
        let Ok(record) = id.parse::<RecordId>() else { continue };
        let history = api.record_history(MODEL, record, None, &At::default().limit(PAGE)).await;
        told += &format!("{:#?}\n", api.record(MODEL, record).await);
        for entry in history.into_iter().flat_map(|page| page.items) {
            told += &format!("{} {} {:?}", entry.at, entry.action, entry.origin);
            for (field, written) in entry.fields {
                told +=
                    &format!(" {field}={}{}", written.value, if written.repeats.is_some() { " (again)" } else { "" });
            }
            told += "\n";
        }
        for (place, account) in stage.accounts().iter().enumerate() {
            for object in known.iter().filter(|((at, _), linked)| *at == place && *linked == id).map(|((_, id), _)| id)
            {
                told += &account.log_of(object);
            }
        }
    }
    told
}

async fn kept(api: &Api) -> usize {
    let query = syncline_client::ConflictQuery { state: ConflictState::All, ..Default::default() };
    api.conflicts(&query, &At::default().limit(PAGE)).await.map_or(0, |page| page.items.len())
}

/// O5: the feed has no gap and never goes back, and says what it said to whoever listened through all the kills.
pub(crate) async fn judge_feed(api: &Api, audience: &Audience) {
    let changes = feed(api).await.expect("a feed");
    let heard = eventually("the subscriber hears the end of the feed", async || {
        let heard = audience.heard();
        let last = heard.last().map(|change| change.cursor);
        if last == changes.last().map(|change| change.cursor) { Ok(heard) } else { Err(format!("it is at {last:?}")) }
    })
    .await;
    let mut versions: BTreeMap<RecordId, u64> = BTreeMap::new();
    for (place, change) in (1..).zip(&changes) {
        assert_eq!(change.cursor, Cursor(place), "the feed has a gap");
        let before = versions.insert(change.event.record, change.event.version);
        assert!(before.is_none_or(|before| before < change.event.version), "a version came again: {change:?}");
    }
    assert_eq!(heard.len(), changes.len(), "the subscriber missed something, or was told something twice");
    for (heard, change) in heard.iter().zip(&changes) {
        assert_eq!(heard, change, "the subscriber was told what is not so");
    }
}

/// The database is whole.
pub(crate) async fn judge_file(stage: &Stage) {
    let options = SqliteConnectOptions::new().filename(stage.database()).read_only(true);
    let mut connection = SqliteConnection::connect_with(&options).await.expect("a database");
    let findings: Vec<String> =
        sqlx::query_scalar("PRAGMA integrity_check").fetch_all(&mut connection).await.expect("a check");
    assert_eq!(findings.into_iter().collect::<BTreeSet<_>>(), BTreeSet::from(["ok".to_owned()]));
}
