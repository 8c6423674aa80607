//! The outcomes of a write, row by row.

use std::collections::BTreeMap;

use syncline_core::remote::{ProviderError, Refusal, Remedy, WriteOutcome, WriteRequest, WriteResult};

use crate::http::TransportError;

/// Collects one outcome for each row. A row that no answer spoke of may have had an effect, and is said to be unknown.
#[derive(Debug, Default)]
pub struct Outcomes(BTreeMap<u32, WriteOutcome>);

impl Outcomes {
    /// Records how a row ended; the first word about a row stands.
    pub fn settle(&mut self, row: &WriteRequest, outcome: WriteOutcome) {
        self.0.entry(row.trace).or_insert(outcome);
    }

    /// Records the same end for several rows.
    pub fn settle_all(&mut self, rows: &[&WriteRequest], outcome: &WriteOutcome) {
        for row in rows {
            self.settle(row, outcome.clone());
        }
    }

    /// Adds the outcomes of another part of the write.
    pub fn merge(&mut self, other: Self) {
        for (trace, outcome) in other.0 {
            self.0.entry(trace).or_insert(outcome);
        }
    }

    /// Whether the row's end is known.
    pub fn knows(&self, row: &WriteRequest) -> bool {
        self.0.contains_key(&row.trace)
    }

    /// The failure after which nothing more should be sent over this connection: the token or a quota is used up.
    pub fn halt(&self) -> Option<ProviderError> {
        self.0.values().find_map(|outcome| match outcome {
            WriteOutcome::NotApplied(error) => match error.remedy {
                Remedy::Refresh | Remedy::Reauthorise | Remedy::Wait { .. } => Some(error.clone()),
                _ => None,
            },
            _ => None,
        })
    }

    /// Exactly one result for each of `requests`.
    pub fn finish(mut self, requests: &[WriteRequest]) -> Vec<WriteResult> {
        let unknown =
            || WriteOutcome::Unknown { message: "the provider's answer does not speak of this row".to_owned() };
        requests
            .iter()
            .map(|row| WriteResult { trace: row.trace, outcome: self.0.remove(&row.trace).unwrap_or_else(unknown) })
            .collect()
    }

    /// What a call that got no answer means for its rows.
    pub fn lost(error: TransportError) -> WriteOutcome {
        if error.sent {
            WriteOutcome::Unknown { message: error.message }
        } else {
            WriteOutcome::NotApplied(ProviderError { remedy: Remedy::Retry, message: error.message })
        }
    }

    /// A refusal of the values.
    pub fn refused(code: impl Into<String>, message: impl Into<String>, fields: Vec<String>) -> WriteOutcome {
        WriteOutcome::Refused(Refusal { code: code.into(), message: message.into(), fields })
    }
}

#[cfg(test)]
mod tests {
    use syncline_core::remote::{Raw, WriteVerb};

    use super::*;

    fn row(trace: u32) -> WriteRequest {
        WriteRequest { object: "x".into(), verb: WriteVerb::Create { key: None }, body: Raw::new(), trace }
    }

    #[test]
    fn every_row_has_one_result() {
        let rows = [row(7), row(3)];
        let mut outcomes = Outcomes::default();
        outcomes.settle(&rows[0], WriteOutcome::Gone);
        outcomes.settle(&rows[0], WriteOutcome::Stale);
        let results = outcomes.finish(&rows);
        assert_eq!(results[0], WriteResult { trace: 7, outcome: WriteOutcome::Gone });
        assert!(matches!(&results[1], WriteResult { trace: 3, outcome: WriteOutcome::Unknown { .. } }));
    }

    #[test]
    fn only_an_unsent_call_was_certainly_not_applied() {
        assert!(matches!(Outcomes::lost(TransportError::unsent("x")), WriteOutcome::NotApplied(_)));
        assert!(matches!(Outcomes::lost(TransportError::sent("x")), WriteOutcome::Unknown { .. }));
    }
}
