//! Presence: what clients that have a record open say to each other. Nothing of it is kept.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use serde::{Serialize, de::DeserializeOwned};
use syncline_core::ids::RecordId;
use tokio::sync::Notify;

use super::{Client, ClientError};
use crate::engine::Input;

/// The most messages that wait for one listener; older ones go first, since presence is of the moment.
pub(crate) const HEARD_MAX: usize = 64;

/// What somebody said about a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said<T> {
    /// Who said it, by the name that the client has in the protocol: another one in each run.
    pub by: String,
    /// What was said.
    pub message: T,
}

/// One listener's queue.
#[derive(Debug)]
pub(super) struct Ear {
    pub(super) record: RecordId,
    heard: Mutex<VecDeque<(String, Vec<u8>)>>,
    changed: Notify,
}

impl Ear {
    pub(super) fn hear(&self, by: &str, data: &[u8]) {
        let mut heard = self.heard.lock();
        if heard.len() >= HEARD_MAX {
            heard.pop_front();
        }
        heard.push_back((by.to_owned(), data.to_vec()));
        self.changed.notify_one();
    }
}

/// A place among those who have a record open. While it lives, the record's document is kept in sync in every connection.
#[derive(Debug)]
pub struct Presence {
    client: Client,
    ear: Arc<Ear>,
}

impl Presence {
    pub(super) async fn open(client: Client, record: RecordId) -> Result<Self, ClientError> {
        let ear = Arc::new(Ear { record, heard: Mutex::default(), changed: Notify::new() });
        client.input(Input::Attend { record, on: true }, "record", Some(record)).await?;
        client.listen(ear.clone()).await?;
        Ok(Self { client, ear })
    }

    /// Says something to whoever has the record open now.
    ///
    /// # Errors
    /// [`ClientError::Offline`] where nobody can hear it, [`ClientError::Message`] where it is no plain data.
    pub async fn send<T: Serialize>(&self, message: &T) -> Result<(), ClientError> {
        let data = minicbor_serde::to_vec(message).map_err(|error| ClientError::Message(error.to_string()))?;
        let record = self.ear.record;
        self.client.input(Input::Say { record, data }, "record", Some(record)).await.map(drop)
    }

    /// The next message that reads as a `T`; others are left out. Waits for it.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Said<T> {
        loop {
            let next = self.ear.heard.lock().pop_front();
            match next {
                Some((by, data)) => {
                    if let Ok(message) = minicbor_serde::from_slice(&data) {
                        return Said { by, message };
                    }
                }
                None => self.ear.changed.notified().await,
            }
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.client.leave(self.ear.record);
    }
}
