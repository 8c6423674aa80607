//! What the client's handles ask of its driver.

use std::sync::Arc;

use syncline_core::{ids::RecordId, live::JsonFields};
use tokio::sync::oneshot;

use super::{error::ClientError, presence::Ear, subscriber::Subscriber};
use crate::{engine::Input, fields::FieldEdit, store::Row};

/// Computes an edit from what the record holds at the moment of the edit.
pub(super) type Change = Box<dyn FnOnce(&JsonFields) -> Result<Vec<FieldEdit>, ClientError> + Send>;

/// One wish, and where the answer goes. The answer comes after everything that follows from it is durable.
pub(super) enum Command {
    /// An input for the engine as it is.
    Input {
        input: Input,
        model: String,
        record: Option<RecordId>,
        reply: oneshot::Sender<Result<Option<Row>, ClientError>>,
    },
    /// An edit by a closure, run on what the record holds then.
    Edit { model: String, record: RecordId, change: Change, reply: oneshot::Sender<Result<Option<Row>, ClientError>> },
    /// A live query begins, or begins anew: it is told of every change from here on.
    Subscribe { subscriber: Arc<Subscriber>, reply: oneshot::Sender<()> },
    /// Asks for an answer when everything that was committed before has been told.
    Barrier { reply: oneshot::Sender<()> },
    /// A record's document is to be fetched before anything else.
    Fetch { model: String, record: RecordId, reply: oneshot::Sender<Result<(), ClientError>> },
    /// Somebody listens to what is said about a record.
    Listen { ear: Arc<Ear> },
    /// The client is to end.
    Close { reply: oneshot::Sender<()> },
}
