//! Why a run of the demo could not come to its end.

use std::time::Duration;

use super::Standing;

/// Why a run could not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// Something did not start or stop.
    #[error("the demo cannot run: {0}")]
    Start(String),
    /// The API did not answer as it must.
    #[error(transparent)]
    Api(#[from] syncline_client::Error),
    /// The offline client failed.
    #[error("the offline client failed: {0}")]
    Client(#[from] syncline_client::ClientError),
    /// An emulator did not answer as it must.
    #[error("an emulator did not do what was asked: {0}")]
    Call(String),
    /// Deletes by a user were not noticed.
    #[error(
        "of {vanished} contacts that vanished at once, {held} were held back and {passed} were deleted in {} s; the log says more \
         with SYNCLINE_LOG=debug", .patience.as_secs()
    )]
    Unnoticed {
        /// How long was waited.
        patience: Duration,
        /// How many vanished.
        vanished: u64,
        /// How many of the deletes wait for a person.
        held: u64,
        /// How many were carried out.
        passed: u64,
    },
    /// There was always something left to do.
    #[error("it did not grow quiet in {} s: {standing}; the log says more with SYNCLINE_LOG=debug", .patience.as_secs())]
    NeverQuiet {
        /// How long was waited.
        patience: Duration,
        /// What was left to do.
        standing: Standing,
    },
}
