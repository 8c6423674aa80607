//! How a verb fails: one clear message, and the exit code.

use std::{io, process::ExitCode};

use crate::{
    config::Problems,
    engine::clock::ShiftError,
    failpoint::ArmError,
    service::ServiceError,
    store::{StoreError, sqlite::copy::CopyError},
};

/// Why a verb failed. Usage errors never come here: the argument parser reports them and exits with 2.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The configuration has problems.
    #[error("{0}")]
    Config(#[from] Problems),
    /// The server did not do what was asked.
    #[error(transparent)]
    Api(#[from] syncline_client::Error),
    /// The database did not open or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database was not copied.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The terminal or pipe did not take the output.
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
    /// The environment asks for a clock that this build does not have.
    #[error(transparent)]
    Clock(#[from] ShiftError),
    /// The service did not start or stop well.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// A fail point was asked for that cannot be armed.
    #[error(transparent)]
    FailPoint(#[from] ArmError),
    /// The verb did its work, and what it found is a failure that it has reported already.
    #[error("")]
    Reported,
    /// Anything else, in words that say what, where and how to mend it.
    #[error("{0}")]
    Said(String),
}

impl Failure {
    /// A failure in words.
    pub(crate) fn said(message: impl Into<String>) -> Self {
        Self::Said(message.into())
    }

    /// Prints the message, where there is one, and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        match self {
            // The reader of a pipe has seen enough, such as `head`: that is no failure.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
            Self::Reported => {}
            failure => {
                let style = anstyle::Style::new().fg_color(Some(anstyle::AnsiColor::Red.into())).bold();
                anstream::eprintln!("{style}error:{style:#} {}", failure.to_string().trim_end());
            }
        }
        ExitCode::FAILURE
    }
}
