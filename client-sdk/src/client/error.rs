//! How a client's calls fail, one variant per remedy.

use syncline_core::ids::RecordId;

use crate::{engine::EngineError, error::Error, fields::Unfit, store::StoreError};

/// Why a call of a [`Client`](crate::Client) failed. Nothing was changed, unless a variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The client was built without a key or a token provider.
    #[error("the client has no credentials: give the builder an API key or a provider of tokens")]
    NoCredentials,
    /// A call that needs the network failed, or the address or the key cannot be used.
    #[error(transparent)]
    Api(#[from] Error),
    /// The local store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such record here.
    #[error("there is no {model} {record} here: check the id, and that the client replicates a subset that holds it")]
    Unknown {
        /// The model that was asked.
        model: String,
        /// The record.
        record: RecordId,
    },
    /// The record is listed here, but its document has not been fetched yet, and there is no connection to fetch it.
    #[error(
        "record {record} cannot be edited yet: its document has not been fetched; connect once, then it can be edited offline"
    )]
    NotHeld {
        /// The record.
        record: RecordId,
    },
    /// The server does not give out the record's document.
    #[error("the server does not give out record {record}: it was removed, or these credentials may not read it")]
    Unavailable {
        /// The record.
        record: RecordId,
    },
    /// There is no connection, and what was asked is of no use later.
    #[error("there is no connection: presence is neither sent nor received offline")]
    Offline,
    /// What the record holds is not what the application's type expects.
    #[error(
        "record {record} does not fit the type it is read as: {reason}; make that field optional or of another type"
    )]
    Misfit {
        /// The record.
        record: RecordId,
        /// What did not fit.
        reason: String,
    },
    /// The application's value has no place in a record.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The closure of an edit panicked.
    #[error("the edit of record {record} panicked; nothing was changed: mend the closure")]
    Panicked {
        /// The record.
        record: RecordId,
    },
    /// A stated bound was reached.
    #[error("too many {what} at once, at most {max}: drop some first")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many are allowed.
        max: usize,
    },
    /// The record's document is damaged.
    #[error("record {record}: {reason}")]
    Document {
        /// The record.
        record: RecordId,
        /// What is wrong with it.
        reason: String,
    },
    /// The message cannot be encoded.
    #[error("the message cannot be sent: {0}; send plain data")]
    Message(String),
    /// The client was closed.
    #[error("the client was closed; build another one")]
    Closed,
}

impl ClientError {
    /// What an engine's error means for a record of a model.
    pub(super) fn of(error: EngineError, model: &str, record: RecordId) -> Self {
        match error {
            EngineError::Unknown(record) => Self::Unknown { model: model.to_owned(), record },
            EngineError::NotHeld(record) => Self::NotHeld { record },
            EngineError::Offline => Self::Offline,
            EngineError::TooMany => Self::TooMany { what: "records with presence", max: crate::engine::ATTENDED_MAX },
            EngineError::Document(error) => Self::Document { record, reason: error.to_string() },
        }
    }
}
