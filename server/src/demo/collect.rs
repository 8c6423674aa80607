//! Collecting the evidence: public reads of every side, and the platforms' own logs.

use std::collections::{BTreeMap, BTreeSet};

use syncline_client::{Api, At, ConflictQuery, ConflictState, Page, Record, RecordQuery};
use syncline_sandbox::Sandbox;

use super::{
    DemoError,
    players::Acknowledged,
    scenario::{ACCOUNTS, MODEL},
    verifier::{
        evidence::{self, Evidence},
        ledger::Entry,
    },
    web::Web,
};

/// Entries of a page of a log.
const LOG_PAGE: usize = 10_000;
/// Items of a page of the API.
const API_PAGE: u32 = 1_000;

/// The record of each object, by account and object.
pub(super) type Links = BTreeMap<(usize, String), String>;

/// Every record that the API shows, deleted ones included.
pub(super) async fn records(api: &Api) -> Result<Vec<Record>, DemoError> {
    let query = RecordQuery { include_deleted: true, ..RecordQuery::default() };
    let (mut records, mut at) = (Vec::new(), At::default().limit(API_PAGE));
    loop {
        let page = api.list_records(MODEL, &query, &at).await?;
        records.extend(page.items);
        match page.next_cursor {
            Some(next) => at = At::after(next).limit(API_PAGE),
            None => return Ok(records),
        }
    }
}

/// The objects that records are linked to, or were when they were last seen.
pub(super) fn links(records: &[Record]) -> Links {
    let mut links = Links::new();
    for record in records {
        for (place, account) in ACCOUNTS.iter().enumerate() {
            let external = record.meta.external_ids.get(account.connection);
            if let Some(id) = external.and_then(|external| external.id.clone()) {
                links.insert((place, id), record.meta.id.to_string());
            }
        }
    }
    links
}

/// All evidence; `known` are links that were seen earlier and may be gone.
pub(super) async fn evidence(
    sandbox: &Sandbox,
    api: &Api,
    web: &Web,
    known: &Links,
    acknowledged: Vec<Acknowledged>,
) -> Result<Evidence, DemoError> {
    let records = records(api).await?;
    let mut accounts = Vec::new();
    for account in ACCOUNTS {
        let running = account.running(sandbox)?;
        accounts.push(evidence::Account {
            title: account.title.to_owned(),
            keeps_history: account.keeps_history,
            objects: account.objects(web, running).await?,
            log: log(web, &running.admin_url).await?,
        });
    }
    let mut all = links_in_logs(&accounts);
    all.extend(known.clone());
    all.extend(links(&records));
    Ok(Evidence {
        accounts,
        records: records.iter().map(|record| (record.meta.id.to_string(), shown(record))).collect(),
        links: all,
        conflicts: conflicts(api).await?,
        acknowledged,
        refused: BTreeSet::new(),
    })
}

fn shown(record: &Record) -> evidence::Record {
    let objects = ACCOUNTS.iter().enumerate().filter_map(|(place, account)| {
        let external = record.meta.external_ids.get(account.connection)?;
        Some((place, external.id.clone()?))
    });
    evidence::Record {
        deleted: record.meta.deleted_at.is_some(),
        fields: record.fields.clone(),
        objects: objects.collect(),
    }
}

/// Objects that the service made carry the record's id, from their first moment.
fn links_in_logs(accounts: &[evidence::Account]) -> Links {
    let mut links = Links::new();
    for (place, (account, side)) in ACCOUNTS.iter().zip(accounts).enumerate() {
        for entry in side.log.iter().filter(|entry| entry.by_us() && entry.writes()) {
            if let Some(key) = entry.fields.get(account.key).and_then(|written| written.after.as_str()) {
                links.insert((place, entry.id.clone()), key.to_owned());
            }
        }
    }
    links
}

async fn log(web: &Web, admin: &str) -> Result<Vec<Entry>, DemoError> {
    let (mut entries, mut after) = (Vec::new(), 0);
    loop {
        let page = web.get(&format!("{admin}/log?after={after}&limit={LOG_PAGE}")).await?;
        let dropped = page["dropped"]["writes"].as_u64().unwrap_or_default();
        if dropped > 0 {
            return Err(DemoError::Call(format!("the log of {admin} was full and {dropped} writes are missing")));
        }
        let read: Vec<Entry> = serde_json::from_value(page["entries"].clone())
            .map_err(|error| DemoError::Call(format!("the log of {admin} cannot be read: {error}")))?;
        let Some(last) = read.last() else { return Ok(entries) };
        after = last.seq;
        entries.extend(read);
    }
}

/// Every conflict, settled ones included.
async fn conflicts(api: &Api) -> Result<Vec<evidence::Conflict>, DemoError> {
    let query = ConflictQuery { state: ConflictState::All, ..ConflictQuery::default() };
    let (mut kept, mut at) = (Vec::new(), At::default().limit(API_PAGE));
    loop {
        let Page { items, next_cursor } = api.conflicts(&query, &at).await?;
        kept.extend(items.into_iter().map(|conflict| evidence::Conflict {
            record: conflict.record.to_string(),
            field: conflict.field,
            loser: conflict.loser.value,
        }));
        match next_cursor {
            Some(next) => at = At::after(next).limit(API_PAGE),
            None => return Ok(kept),
        }
    }
}
