//! What PostgreSQL's errors mean. Only the server's message is repeated: its details hold values.

use sqlx::{Error, postgres::PgDatabaseError};
use syncline_core::remote::{ProviderError, Remedy};

/// How long a row that somebody has locked is left alone.
const LOCKED_MS: u64 = 1_000;

/// The server's own error, where it answered with one.
pub(super) fn server(error: &Error) -> Option<&PgDatabaseError> {
    error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>())
}

/// The five letters of the server's error; empty where there was no answer.
pub(super) fn code(error: &Error) -> &str {
    server(error).map_or("", PgDatabaseError::code)
}

/// Whether the error may come of a table that is not what it was.
pub(super) fn may_tell_of_change(error: &Error) -> bool {
    let code = code(error);
    code.starts_with("42") || code.starts_with("22") || code == "0A000"
}

/// Whether the values are at fault: they are not of the type, too long, or against a constraint.
pub(super) fn blames_values(error: &Error) -> bool {
    let code = code(error);
    code.starts_with("22") || code.starts_with("23") || matches!(code, "428C9" | "P0001" | "42804")
}

/// A failed call, classified by its remedy.
pub(super) fn classify(error: &Error) -> ProviderError {
    let Some(server) = server(error) else {
        let remedy = match error {
            Error::Configuration(_) | Error::Tls(_) => Remedy::Configure,
            _ => Remedy::Retry,
        };
        return ProviderError { remedy, message: format!("the database was not reached: {error}") };
    };
    let (code, message) = (server.code(), server.message());
    ProviderError { remedy: remedy(code), message: format!("PostgreSQL says {code}: {message}") }
}

fn remedy(code: &str) -> Remedy {
    match code {
        // Somebody else's lock, and two who wait for each other.
        "55P03" => Remedy::Busy { after_ms: LOCKED_MS },
        // The position in the log was given up: the slot is gone, or was taken from us for its size.
        "55000" | "58P01" => Remedy::Resync,
        "42501" | "3D000" | "25006" => Remedy::Configure,
        _ => match code.get(..2) {
            Some("28") => Remedy::Reauthorise,
            // No room, shutting down, cancelled, connection trouble, conflicts of transactions.
            Some("08" | "40" | "53" | "55" | "57" | "58" | "XX") => Remedy::Retry,
            _ => Remedy::Configure,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_of_errors_has_a_remedy() {
        let cases = [
            ("28P01", Remedy::Reauthorise),
            ("28000", Remedy::Reauthorise),
            ("3D000", Remedy::Configure),
            ("42501", Remedy::Configure),
            ("42703", Remedy::Configure),
            ("40001", Remedy::Retry),
            ("40P01", Remedy::Retry),
            ("53300", Remedy::Retry),
            ("57014", Remedy::Retry),
            ("57P03", Remedy::Retry),
            ("55P03", Remedy::Busy { after_ms: LOCKED_MS }),
            ("08006", Remedy::Retry),
        ];
        for (code, expected) in cases {
            assert_eq!(remedy(code), expected, "{code}");
        }
        let unreached = classify(&Error::PoolTimedOut);
        assert_eq!(unreached.remedy, Remedy::Retry);
    }
}
