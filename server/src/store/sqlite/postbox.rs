//! Group commit for webhooks: deliveries that come while the writer is busy are stored by one transaction, so that under load each
//! pays for a share of a commit only, and waits for the writer once.

use std::sync::Arc;

use sqlx::SqliteConnection;
use syncline_connectors::connector::Hint;
use syncline_core::{ids::ConnectionId, time::Millis};
use tokio::sync::{mpsc, oneshot};

use super::{
    codec::unsigned,
    script::{RowsStatement, Script},
    writer::Writer,
};
use crate::store::{StoreError, inbox::INBOX_MAX};

/// How many deliveries may wait to be stored; further ones are refused with [`StoreError::Overloaded`].
const WAITING_MAX: usize = 1024;
/// The most deliveries that one transaction stores, so that nobody else waits long for the writer.
const TOGETHER_MAX: usize = 128;

const PUT: RowsStatement = RowsStatement {
    head: "INSERT INTO inbox (connection, dedupe, object, external_id, account, at) VALUES ",
    row: "(?,?,?,?,?,?)",
    tail: " ON CONFLICT (connection, dedupe) DO NOTHING",
};

/// Where deliveries wait.
#[derive(Debug)]
pub(super) struct Postbox {
    waiting: mpsc::Sender<Posted>,
}

/// One delivery: the hints of one connection.
#[derive(Debug)]
pub(super) struct Delivery {
    /// The connection's number.
    pub(super) side: i64,
    /// Its name, for messages.
    pub(super) connection: ConnectionId,
    /// What it says.
    pub(super) hints: Vec<Hint>,
    /// When it came.
    pub(super) at: Millis,
}

#[derive(Debug)]
struct Posted {
    delivery: Delivery,
    answer: oneshot::Sender<Result<usize, StoreError>>,
}

impl Postbox {
    /// A postbox that is emptied for as long as it exists.
    pub(super) fn new(writer: Arc<Writer>) -> Self {
        let (waiting, posted) = mpsc::channel(WAITING_MAX);
        tokio::spawn(empty(writer, posted));
        Self { waiting }
    }

    /// Stores a delivery durably; returns how many of its hints are new.
    pub(super) async fn put(&self, delivery: Delivery) -> Result<usize, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.waiting.try_send(Posted { delivery, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                StoreError::Overloaded(format!("{WAITING_MAX} webhooks wait to be stored"))
            }
            mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
        })?;
        answered.await.unwrap_or(Err(StoreError::Closed))
    }
}

/// Stores what waits, together, and tells each delivery how it went.
async fn empty(writer: Arc<Writer>, mut posted: mpsc::Receiver<Posted>) {
    let mut together = Vec::with_capacity(TOGETHER_MAX);
    while posted.recv_many(&mut together, TOGETHER_MAX).await > 0 {
        let (deliveries, answers): (Vec<Delivery>, Vec<_>) =
            together.drain(..).map(|posted| (posted.delivery, posted.answer)).unzip();
        let stored = store(&writer, deliveries).await;
        for (place, answer) in answers.into_iter().enumerate() {
            let result = match &stored {
                Ok(results) => results.get(place).cloned().unwrap_or(Err(StoreError::Closed)),
                Err(error) => Err(error.clone()),
            };
            // Whoever posted it may have gone away.
            let _ = answer.send(result);
        }
    }
}

/// One transaction; a delivery that finds the inbox full is refused by itself.
async fn store(writer: &Writer, deliveries: Vec<Delivery>) -> Result<Vec<Result<usize, StoreError>>, StoreError> {
    let mut tx = writer.begin().await?;
    let mut results = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        results.push(put(tx.connection(), delivery).await?);
    }
    tx.commit().await?;
    Ok(results)
}

async fn put(connection: &mut SqliteConnection, delivery: Delivery) -> Result<Result<usize, StoreError>, StoreError> {
    let Delivery { side, connection: name, hints, at } = delivery;
    let waiting: i64 = sqlx::query_scalar("SELECT count(*) FROM inbox WHERE connection = ? AND done = 0")
        .bind(side)
        .fetch_one(&mut *connection)
        .await?;
    if unsigned(waiting) + hints.len() as u64 > INBOX_MAX {
        let reason = format!("{waiting} webhook events of connection `{name}` wait to be followed");
        return Ok(Err(StoreError::Overloaded(reason)));
    }
    let mut script = Script::new(connection);
    script
        .rows(&PUT, hints, |values, hint| {
            values
                .bind(side)
                .bind(hint.dedupe)
                .bind(hint.object.as_str().to_owned())
                .bind(hint.id.as_str().to_owned())
                .bind(hint.account)
                .bind(at.0);
        })
        .await?;
    Ok(Ok(script.run().await?.affected as usize))
}
