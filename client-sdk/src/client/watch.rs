//! Live queries.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{Stream, StreamExt as _, stream};
use serde::de::DeserializeOwned;
use syncline_core::ids::RecordId;
use tokio::sync::oneshot;

use super::{
    Client, ClientError, Item,
    collection::fitting,
    command::Command,
    subscriber::{Found, RowEvent, Subscriber},
};
use crate::{
    engine::Source,
    store::{Row, RowQuery},
};

/// How many rows of a snapshot are read at once.
const PAGE: usize = 500;

/// What a live query tells.
#[derive(Clone, Debug, PartialEq)]
pub enum WatchEvent<T> {
    /// The records that match now. Comes first, and again where the reader was too slow for the single changes, or where
    /// the store failed meanwhile: everything told before is void.
    Snapshot(Vec<Item<T>>),
    /// A record that matches from now on.
    Inserted(Item<T>),
    /// A record that matched before and does now.
    Updated {
        /// The record.
        item: Item<T>,
        /// The fields that changed and who wrote them; empty where only the record's standing with the server changed.
        changed: BTreeMap<String, Source>,
    },
    /// A record that matches no longer: it was deleted, changed, or is no longer replicated.
    Removed(RecordId),
}

/// A live query. Holds at most 1024 changes for its reader; one that falls further behind is given a snapshot instead.
/// Also a [`Stream`]. Ends when the client ends.
pub struct Watch<T> {
    events: Pin<Box<dyn Stream<Item = Result<WatchEvent<T>, ClientError>> + Send>>,
}

impl<T: DeserializeOwned + 'static> Watch<T> {
    pub(super) fn new(client: Client, subscriber: Arc<Subscriber>) -> Self {
        let state = (client, subscriber);
        let events = stream::unfold(state, |(client, subscriber)| async move {
            let event = next(&client, &subscriber).await?;
            Some((event, (client, subscriber)))
        });
        Self { events: Box::pin(events) }
    }
}

impl<T> Watch<T> {
    /// The next event; waits for it. `None` after the client has ended. Cancelling the wait loses nothing, but for a
    /// snapshot that is being read: it is then read anew.
    pub async fn next(&mut self) -> Option<Result<WatchEvent<T>, ClientError>> {
        self.events.next().await
    }
}

impl<T> Stream for Watch<T> {
    type Item = Result<WatchEvent<T>, ClientError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.poll_next_unpin(cx)
    }
}

impl<T> std::fmt::Debug for Watch<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

async fn next<T: DeserializeOwned>(
    client: &Client,
    subscriber: &Arc<Subscriber>,
) -> Option<Result<WatchEvent<T>, ClientError>> {
    loop {
        let event = match subscriber.next().await {
            Found::Closed => return None,
            Found::Behind => return Some(snapshot(client, subscriber).await),
            Found::Event(RowEvent::Removed(record)) => return Some(Ok(WatchEvent::Removed(record))),
            Found::Event(RowEvent::Inserted(row)) => fitting(client, *row).map(WatchEvent::Inserted),
            Found::Event(RowEvent::Updated { row, changed }) => {
                fitting(client, *row).map(|item| WatchEvent::Updated { item, changed })
            }
        };
        if let Some(event) = event {
            return Some(Ok(event));
        }
    }
}

/// Takes a snapshot while changes go on: the store is read page by page, and what changed meanwhile is made in what was
/// read. The driver works on all the while.
async fn snapshot<T: DeserializeOwned>(
    client: &Client,
    subscriber: &Arc<Subscriber>,
) -> Result<WatchEvent<T>, ClientError> {
    ask(client, |reply| Command::Subscribe { subscriber: subscriber.clone(), reply }).await?;
    let mut rows = read(client, subscriber).await?;
    // What was committed before the last page was read has been told after this.
    ask(client, |reply| Command::Barrier { reply }).await?;
    // Where too much changed meanwhile the query is behind again, and another snapshot follows this one.
    for change in subscriber.take().into_iter().flatten() {
        match change {
            RowEvent::Inserted(row) | RowEvent::Updated { row, .. } => drop(rows.insert(row.record, *row)),
            RowEvent::Removed(record) => drop(rows.remove(&record)),
        }
    }
    Ok(WatchEvent::Snapshot(rows.into_values().filter_map(|row| fitting(client, row)).collect()))
}

async fn read(client: &Client, subscriber: &Subscriber) -> Result<BTreeMap<RecordId, Row>, ClientError> {
    let mut rows: BTreeMap<RecordId, Row> = BTreeMap::new();
    loop {
        let after = rows.keys().next_back().copied();
        let query = RowQuery { model: &subscriber.model, filter: &subscriber.filter, after, limit: PAGE };
        let page = client.store().rows(query).await?;
        let is_last = page.len() < PAGE;
        rows.extend(page.into_iter().map(|row| (row.record, row)));
        if is_last {
            return Ok(rows);
        }
    }
}

async fn ask(client: &Client, command: impl FnOnce(oneshot::Sender<()>) -> Command) -> Result<(), ClientError> {
    let (reply, answer) = oneshot::channel();
    client.command(command(reply)).await?;
    answer.await.map_err(|_| client.unanswered())
}
