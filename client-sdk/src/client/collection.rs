//! The records of one model, as values of an application's type.

use std::{
    marker::PhantomData,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde::{Serialize, de::DeserializeOwned};
use syncline_core::{
    ids::{FieldName, ModelName, RecordId},
    live::{Filter, JsonFields},
};
use tokio::sync::oneshot;

use super::{
    Client, ClientError, ClientEvent, Watch,
    command::{Change, Command},
    subscriber::Subscriber,
};
use crate::{
    engine::Input,
    fields::{self, FieldEdit},
    store::{Row, RowQuery},
};

/// How many rows a listing reads at once.
const PAGE: usize = 500;

/// The records of one model. Cheap to clone.
#[derive(Debug)]
pub struct Collection<T> {
    client: Client,
    model: ModelName,
    /// Whether it was seen to that some subset of the model is replicated.
    is_replicated: Arc<AtomicBool>,
    kind: PhantomData<fn() -> T>,
}

impl<T> Clone for Collection<T> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            model: self.model.clone(),
            is_replicated: self.is_replicated.clone(),
            kind: PhantomData,
        }
    }
}

/// A record.
#[derive(Clone, Debug, PartialEq)]
pub struct Item<T> {
    /// The record's id, stable for ever.
    pub id: RecordId,
    /// Its fields.
    pub value: T,
    /// How many local changes of it the server has not acknowledged.
    pub pending: u32,
    /// Why the server refused them, where it did.
    pub refused: Option<String>,
}

/// Wanted values by field, all of which must hold: `filter([("stage", "customer".into())])`. A set holds when it contains
/// the wanted member.
pub fn filter<const N: usize>(wanted: [(&str, serde_json::Value); N]) -> Filter {
    Filter(wanted.into_iter().map(|(name, value)| (FieldName::from(name), value)).collect())
}

impl<T: Serialize + DeserializeOwned> Collection<T> {
    pub(super) fn new(client: Client, model: &str) -> Self {
        Self { client, model: model.into(), is_replicated: Arc::default(), kind: PhantomData }
    }

    /// A record; `None` where it is deleted or not here.
    ///
    /// # Errors
    /// [`ClientError::Misfit`] where it does not fit `T`, and [`ClientError::Store`].
    pub async fn get(&self, id: RecordId) -> Result<Option<Item<T>>, ClientError> {
        self.replicate().await?;
        let row = self.client.store().row(id).await?;
        row.filter(|row| row.model == self.model && row.deleted.is_none()).map(item).transpose()
    }

    /// The records whose fields have these values, in the order of their ids. One that does not fit `T` is left out, and
    /// told of as [`ClientEvent::Misfit`].
    ///
    /// # Errors
    /// [`ClientError::Store`].
    pub async fn list(&self, filter: &Filter) -> Result<Vec<Item<T>>, ClientError> {
        self.replicate().await?;
        let mut items = Vec::new();
        let mut after = None;
        loop {
            let query = RowQuery { model: &self.model, filter, after, limit: PAGE };
            let rows = self.client.store().rows(query).await?;
            after = rows.last().map(|row| row.record);
            let is_last = rows.len() < PAGE;
            items.extend(rows.into_iter().filter_map(|row| fitting(&self.client, row)));
            if is_last {
                return Ok(items);
            }
        }
    }

    /// Creates a record. It is durable when the call returns, with or without a connection.
    ///
    /// # Errors
    /// [`ClientError::Unfit`] and [`ClientError::Store`].
    pub async fn create(&self, value: &T) -> Result<RecordId, ClientError> {
        self.replicate().await?;
        let record = RecordId(uuid::Builder::from_random_bytes(rand::random()).into_uuid());
        let fields = fields::take_apart(value)?;
        let input = Input::Create { model: self.model.clone(), record, fields };
        self.client.input(input, self.model.as_str(), Some(record)).await?;
        Ok(record)
    }

    /// Edits a record: the closure changes a copy of what it holds at that moment, and only what it changed is written.
    /// Members of a set are added and removed one by one, texts that merge are edited by character, counters by the
    /// difference. Durable when the call returns, with or without a connection.
    ///
    /// # Errors
    /// [`ClientError::Unknown`]; [`ClientError::NotHeld`] where the record's document was never fetched and cannot be
    /// now; [`ClientError::Misfit`], [`ClientError::Unfit`], [`ClientError::Panicked`] and [`ClientError::Store`].
    pub async fn edit(&self, id: RecordId, change: impl FnOnce(&mut T) + Send + 'static) -> Result<(), ClientError> {
        self.fetch(id).await?;
        let change: Change = Box::new(move |fields| edits(id, fields, change));
        let (reply, answer) = oneshot::channel();
        let model = self.model.to_string();
        self.client.command(Command::Edit { model, record: id, change, reply }).await?;
        answer.await.map_err(|_| self.client.unanswered())?.map(drop)
    }

    /// Deletes a record. Durable when the call returns, with or without a connection.
    ///
    /// # Errors
    /// As [`Collection::edit`].
    pub async fn delete(&self, id: RecordId) -> Result<(), ClientError> {
        self.set_deleted(id, true).await
    }

    /// Brings a deleted record back.
    ///
    /// # Errors
    /// As [`Collection::edit`].
    pub async fn restore(&self, id: RecordId) -> Result<(), ClientError> {
        self.set_deleted(id, false).await
    }

    /// A live query: the records whose fields have these values, and then every change of them, by whomever.
    ///
    /// # Errors
    /// [`ClientError::Store`].
    pub async fn watch(&self, filter: Filter) -> Result<Watch<T>, ClientError>
    where
        T: 'static,
    {
        self.replicate().await?;
        let subscriber = Arc::new(Subscriber::new(self.model.clone(), filter));
        Ok(Watch::new(self.client.clone(), subscriber))
    }

    async fn set_deleted(&self, id: RecordId, deleted: bool) -> Result<(), ClientError> {
        self.fetch(id).await?;
        let input = Input::Edit { record: id, edits: Vec::new(), deleted: Some(deleted) };
        self.client.input(input, self.model.as_str(), Some(id)).await.map(drop)
    }

    /// Replicates the whole model where no subset of it is replicated yet.
    async fn replicate(&self) -> Result<(), ClientError> {
        if self.is_replicated.load(Ordering::Relaxed) {
            return Ok(());
        }
        let subsets = self.client.store().subsets().await?;
        if subsets.iter().all(|state| state.subset.model != self.model) {
            self.client.replicate(self.model.as_str(), Filter::default()).await?;
        }
        self.is_replicated.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Has the record's document fetched where it is not here.
    async fn fetch(&self, id: RecordId) -> Result<(), ClientError> {
        let row = self.client.store().row(id).await?.filter(|row| row.model == self.model);
        let model = self.model.to_string();
        match row {
            None => Err(ClientError::Unknown { model, record: id }),
            Some(row) if row.held => Ok(()),
            Some(_) => {
                let (reply, answer) = oneshot::channel();
                self.client.command(Command::Fetch { model, record: id, reply }).await?;
                answer.await.map_err(|_| self.client.unanswered())?
            }
        }
    }
}

/// What the closure changed of what the record holds.
fn edits<T: Serialize + DeserializeOwned>(
    record: RecordId,
    fields: &JsonFields,
    change: impl FnOnce(&mut T),
) -> Result<Vec<FieldEdit>, ClientError> {
    let mut value: T = fit(record, fields)?;
    let before = fields::take_apart(&value)?;
    change(&mut value);
    Ok(fields::diff(&before, &fields::take_apart(&value)?))
}

fn fit<T: DeserializeOwned>(record: RecordId, fields: &JsonFields) -> Result<T, ClientError> {
    fields::put_together(fields).map_err(|error| ClientError::Misfit { record, reason: error.to_string() })
}

/// The record as an item.
pub(super) fn item<T: DeserializeOwned>(row: Row) -> Result<Item<T>, ClientError> {
    let value = fit(row.record, &row.fields)?;
    Ok(Item { id: row.record, value, pending: row.pending, refused: row.refused })
}

/// The record as an item; one that does not fit is told of instead.
pub(super) fn fitting<T: DeserializeOwned>(client: &Client, row: Row) -> Option<Item<T>> {
    match item(row) {
        Ok(item) => Some(item),
        Err(ClientError::Misfit { record, reason }) => {
            // Nobody may be listening.
            let _ = client.inner.events.send(ClientEvent::Misfit { record, reason });
            None
        }
        Err(_) => None,
    }
}
