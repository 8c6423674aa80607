//! One subset's listing and feed.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use syncline_core::{
    live::{Action, Change, Cursor, Subscribe},
    time::Millis,
};
use tokio::sync::mpsc;

use super::{backoff::Backoff, credentials::Credentials};
use crate::{
    api::Api,
    engine::Told,
    error::Error,
    live::{Event, Live},
    page::At,
    records::{Record, RecordQuery},
    store::Subset,
};

/// Records on one page of a listing.
const PAGE: u32 = 500;

/// What is told of a subset.
#[derive(Debug)]
pub(crate) enum FeedEvent {
    /// A page of its listing.
    Listed { subset: Subset, listing: u64, rows: Vec<Told> },
    /// The listing is complete.
    ListEnd { subset: Subset, listing: u64, cursor: Cursor },
    /// A change.
    Change { subset: Subset, cursor: Cursor, told: Box<Told> },
}

/// Follows a subset for as long as anybody listens. `listings` numbers the listings of all subsets.
pub(crate) async fn follow(
    credentials: Arc<Credentials>,
    subset: Subset,
    mut cursor: Option<Cursor>,
    listings: Arc<AtomicU64>,
    events: mpsc::Sender<FeedEvent>,
) {
    let mut backoff = Backoff::default();
    loop {
        let mut follower =
            Follower { credentials: &credentials, subset: &subset, events: &events, listings: &listings };
        match follower.run(&mut cursor, &mut backoff).await {
            Err(Ended::Unheard) => return,
            Err(Ended::Failed(error)) => {
                if matches!(error.status(), Some(401 | 403)) {
                    credentials.renew().await;
                }
                let wait = backoff.next(&mut rand::rng());
                tokio::time::sleep(wait).await;
            }
            Ok(()) => {}
        }
    }
}

/// Why following ended.
enum Ended {
    /// Nobody listens any more.
    Unheard,
    /// Something failed; it is tried again after a while.
    Failed(Error),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

struct Follower<'a> {
    credentials: &'a Credentials,
    subset: &'a Subset,
    events: &'a mpsc::Sender<FeedEvent>,
    listings: &'a AtomicU64,
}

impl Follower<'_> {
    /// Lists where there is no cursor, and then passes changes on. Returns where a new listing is needed.
    async fn run(&mut self, cursor: &mut Option<Cursor>, backoff: &mut Backoff) -> Result<(), Ended> {
        let api = self.credentials.api().await?;
        let subscribe = Subscribe {
            models: vec![self.subset.model.clone()],
            filter: self.subset.filter.clone(),
            cursor: *cursor,
            snapshot: false,
        };
        let mut live = api.live(subscribe).await?;
        backoff.reset();
        if cursor.is_none() {
            // The feed's place is taken before the listing begins, so that no change falls between the two.
            let from = subscribed(&mut live).await?;
            let listing = self.listings.fetch_add(1, Ordering::Relaxed) + 1;
            self.list(&api, listing).await?;
            self.send(FeedEvent::ListEnd { subset: self.subset.clone(), listing, cursor: from }).await?;
            *cursor = Some(from);
        }
        loop {
            match live.next().await? {
                Event::Change(change) => {
                    *cursor = Some(change.cursor);
                    let event = FeedEvent::Change {
                        subset: self.subset.clone(),
                        cursor: change.cursor,
                        told: Box::new(told_by_change(change)),
                    };
                    self.send(event).await?;
                }
                // Changes were left out: what is here is compared with a new listing.
                Event::Resync(_) => {
                    *cursor = None;
                    return Ok(());
                }
                Event::Subscribed(_) | Event::Lost(_) | Event::Snapshot(_) | Event::SnapshotEnd(_) => {}
            }
        }
    }

    async fn list(&self, api: &Api, listing: u64) -> Result<(), Ended> {
        let mut at = At::default().limit(PAGE);
        let query = RecordQuery { filter: texts(self.subset), ..RecordQuery::default() };
        loop {
            let page = api.list_records(self.subset.model.as_str(), &query, &at).await?;
            let rows: Vec<Told> = page.items.into_iter().map(told_by_record).collect();
            // A value that HTTP's filter cannot name is checked here.
            let rows = rows.into_iter().filter(|told| self.subset.filter.matches(&told.fields)).collect();
            self.send(FeedEvent::Listed { subset: self.subset.clone(), listing, rows }).await?;
            match page.next_cursor {
                Some(next) => at = At::after(next).limit(PAGE),
                None => return Ok(()),
            }
        }
    }

    async fn send(&self, event: FeedEvent) -> Result<(), Ended> {
        self.events.send(event).await.map_err(|_| Ended::Unheard)
    }
}

/// Waits until the subscription stands.
async fn subscribed(live: &mut Live) -> Result<Cursor, Error> {
    loop {
        if let Event::Subscribed(cursor) = live.next().await? {
            return Ok(cursor);
        }
    }
}

/// The filter in the form of HTTP's query: texts, numbers and truth values as they are written, nothing for null.
fn texts(subset: &Subset) -> std::collections::BTreeMap<String, String> {
    use serde_json::Value as Json;
    let text = |value: &Json| match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(flag) => Some(flag.to_string()),
        Json::Null => Some(String::new()),
        Json::Array(_) | Json::Object(_) => None,
    };
    subset.filter.0.iter().filter_map(|(name, value)| Some((name.to_string(), text(value)?))).collect()
}

fn told_by_record(record: Record) -> Told {
    let deleted = record.meta.deleted_at.as_ref().and_then(|at| at.parse::<jiff::Timestamp>().ok());
    Told {
        record: record.meta.id,
        document: record.meta.automerge_url.as_ref().and_then(|url| url.parse().ok()),
        version: record.meta.version,
        fields: record.fields,
        deleted: deleted.map(|at| Millis(at.as_millisecond())),
        origins: Vec::new(),
        erased: false,
    }
}

fn told_by_change(change: Change) -> Told {
    let event = change.event;
    Told {
        record: event.record,
        document: None,
        version: event.version,
        fields: event.fields,
        deleted: (event.action == Action::Deleted).then_some(event.at),
        erased: event.action == Action::Erased,
        origins: event.changed.into_iter().map(|changed| (changed.field.to_string(), changed.origin)).collect(),
    }
}
