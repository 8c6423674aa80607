//! What the client's handles ask for.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::Arc,
};

use syncline_core::ids::RecordId;

use super::{Answer, Driver, Fetching};
use crate::{
    client::{
        command::{Change, Command},
        error::ClientError,
        state::ConnectionState,
        subscriber::Subscriber,
    },
    engine::{EngineError, Input},
    store::{Row, StoreError},
};

/// The most callers that wait for documents to be fetched.
const FETCHES_MAX: usize = 1024;

impl Driver {
    pub(super) async fn handle_all(
        &mut self,
        commands: Vec<Command>,
        inputs: Vec<Input>,
        answers: &mut Vec<Answer>,
        subscribed: &mut Vec<Arc<Subscriber>>,
    ) -> Result<(), StoreError> {
        for input in inputs {
            // What the server says is no application's wish: where it fails, the engine has told so.
            let _ = self.handle(input).await?;
        }
        for command in commands {
            match command {
                Command::Input { input, model, record, reply } => {
                    self.on_hold(&input);
                    let result = self.handle(input).await?;
                    answers.push(Answer::Row(reply, self.outcome(result, &model, record)));
                }
                Command::Edit { model, record, change, reply } => {
                    let result = self.edit(&model, record, change).await?;
                    answers.push(Answer::Row(reply, result));
                }
                Command::Subscribe { subscriber, reply } => {
                    subscribed.push(subscriber);
                    answers.push(Answer::Done(reply));
                }
                Command::Barrier { reply } => answers.push(Answer::Done(reply)),
                Command::Fetch { model, record, reply } => {
                    let result = self.fetch(&model, record).await?;
                    answers.push(Answer::Fetch(record, reply, result));
                }
                Command::Close { reply } => self.closing.push(reply),
                Command::Listen { ear } => {
                    self.ears.retain(|ear| ear.strong_count() > 0);
                    self.ears.push(Arc::downgrade(&ear));
                }
            }
        }
        Ok(())
    }

    pub(super) fn outcome(
        &self,
        result: Result<(), EngineError>,
        model: &str,
        record: Option<RecordId>,
    ) -> Result<Option<Row>, ClientError> {
        let record = record.unwrap_or(RecordId(uuid::Uuid::nil()));
        result.map(|()| self.engine.row(record).cloned()).map_err(|error| ClientError::of(error, model, record))
    }

    /// Gives a document its turn, unless it is here.
    pub(super) async fn fetch(
        &mut self,
        model: &str,
        record: RecordId,
    ) -> Result<Result<Fetching, ClientError>, StoreError> {
        if let Err(error) = self.handle(Input::Attend { record, on: true }).await? {
            return Ok(Err(ClientError::of(error, model, record)));
        }
        // The turn is taken; nobody has to attend for it to go on.
        let _ = self.handle(Input::Attend { record, on: false }).await?;
        Ok(match self.engine.row(record) {
            Some(row) if row.held => Ok(Fetching::Done),
            Some(row) if self.engine.is_unavailable(row.document) => Err(ClientError::Unavailable { record }),
            _ => Ok(Fetching::UnderWay),
        })
    }

    /// Runs an edit on what the record holds now.
    pub(super) async fn edit(
        &mut self,
        model: &str,
        record: RecordId,
        change: Change,
    ) -> Result<Result<Option<Row>, ClientError>, StoreError> {
        let probe = Input::Edit { record, edits: Vec::new(), deleted: None };
        self.bring(&probe).await?;
        let row = self.engine.row(record).filter(|row| row.model.as_str() == model && row.deleted.is_none());
        let Some(row) = row else {
            return Ok(Err(ClientError::Unknown { model: model.to_owned(), record }));
        };
        // The closure is the application's: its panic must not end the task on which everybody depends, and it has
        // touched nothing but its own copy.
        let edits = match panic::catch_unwind(AssertUnwindSafe(|| change(&row.fields))) {
            Ok(Ok(edits)) => edits,
            Ok(Err(error)) => return Ok(Err(error)),
            Err(_) => return Ok(Err(ClientError::Panicked { record })),
        };
        let result = self.handle(Input::Edit { record, edits, deleted: None }).await?;
        Ok(self.outcome(result, model, Some(record)))
    }

    /// A subset that is held from now on is followed; one that is released no longer is.
    pub(super) fn on_hold(&mut self, input: &Input) {
        match input {
            Input::Hold { subset } => self.follow(subset.clone(), None),
            Input::Release { subset } => self.feeds.retain(|(followed, task)| {
                let is_other = followed != subset;
                if !is_other {
                    task.abort();
                }
                is_other
            }),
            _ => {}
        }
    }

    /// Answers a wish after the commit.
    pub(super) fn answer(&mut self, answer: Answer) {
        match answer {
            Answer::Row(reply, result) => drop(reply.send(result)),
            Answer::Done(reply) => {
                let _ = reply.send(());
            }
            Answer::Fetch(_, reply, Ok(Fetching::Done)) => drop(reply.send(Ok(()))),
            Answer::Fetch(_, reply, Err(error)) => drop(reply.send(Err(error))),
            Answer::Fetch(record, reply, Ok(Fetching::UnderWay)) => {
                let is_online = matches!(*self.lines.state.borrow(), ConnectionState::Online);
                let waiting: usize = self.fetches.values().map(Vec::len).sum();
                if !is_online {
                    drop(reply.send(Err(ClientError::NotHeld { record })));
                } else if waiting >= FETCHES_MAX {
                    drop(reply.send(Err(ClientError::TooMany { what: "waiting edits", max: FETCHES_MAX })));
                } else {
                    self.fetches.entry(record).or_default().push(reply);
                }
            }
        }
    }

    /// From here on the query is told of every change. What this batch changed is in the store already.
    pub(super) fn subscribe(&mut self, subscriber: &Arc<Subscriber>) {
        subscriber.begin();
        let is_new = self.subscribers.iter().all(|known| !std::ptr::eq(known.as_ptr(), Arc::as_ptr(subscriber)));
        if is_new {
            self.subscribers.push(Arc::downgrade(subscriber));
        }
    }
}
