//! What the log tells of failures. A provider's words may quote values of records, so at the usual level only what a failure asks for and
//! its code are told, in words of our own and with the ids by which `syncline issues` tells the rest; the provider's words follow at
//! `debug`.

use std::collections::BTreeMap;

use syncline_core::{
    ids::RecordId,
    remote::{ProviderError, Remedy, WriteOutcome},
    replica::Intent,
};

use super::side::{RunningSide, StepError};
use crate::{
    issues::{IssueId, code_of, is_code},
    metrics::instruments::outcome_of,
};

/// The longest wait that nobody is told of, in milliseconds.
const PACE_MAX_MS: u64 = 5_000;

/// What the writes of one call came to and a person should know. What concerns one record alone is told at once; what is the
/// provider's or the network's befalls all records of a call, and is told once when this is dropped: with one of them, and how many
/// they are.
pub(super) struct Writes<'a> {
    side: &'a RunningSide,
    failed: BTreeMap<Failure, (u32, IssueId)>,
}

/// How writes have failed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Failure {
    /// In one word, as metrics tell it.
    outcome: &'static str,
    code: Option<String>,
    advice: &'static str,
}

impl<'a> Writes<'a> {
    /// None so far, of this side.
    pub(super) const fn of(side: &'a RunningSide) -> Self {
        Self { side, failed: BTreeMap::new() }
    }

    /// Tells, or keeps for the end, what became of one.
    pub(super) fn note(&mut self, record: RecordId, intent: &Intent, outcome: &WriteOutcome) {
        let delivery = IssueId::Delivery { connection: self.side.connection.clone(), record };
        let intent = intent.id.0;
        match outcome {
            WriteOutcome::Applied { .. } => tracing::debug!(%record, %delivery, intent, "a write was applied"),
            WriteOutcome::Stale => tracing::debug!(%record, %delivery, intent, "the object was edited meanwhile"),
            WriteOutcome::Exists { .. } => tracing::debug!(%record, %delivery, intent, "the object is there already"),
            WriteOutcome::Gone => tracing::debug!(%record, %delivery, intent, "the object is gone"),
            WriteOutcome::Refused(refusal) => {
                let code = Some(refusal.code.as_str()).filter(|code| is_code(code));
                tracing::warn!(
                    %record, %delivery, intent, code,
                    "the provider refuses a write: `syncline issues list` says of what, and what to do"
                );
                tracing::debug!(%record, %delivery, intent, words = refusal.message, "the provider refuses a write");
            }
            WriteOutcome::NotApplied(error) => {
                tracing::debug!(%record, %delivery, intent, words = error.message, "a write was not applied");
                if !is_pace(&error.remedy) {
                    self.failed(delivery, Failure::of(error));
                }
            }
            WriteOutcome::Unknown { message } => {
                tracing::debug!(%record, %delivery, intent, words = message, "the answer to a write was lost");
                let advice = "once it can no longer take effect, the object is read to see what became of it";
                self.failed(delivery, Failure { outcome: "unknown", code: None, advice });
            }
        }
    }

    fn failed(&mut self, delivery: IssueId, failure: Failure) {
        let (writes, _) = self.failed.entry(failure).or_insert((0, delivery));
        *writes += 1;
    }
}

impl Drop for Writes<'_> {
    fn drop(&mut self) {
        for (Failure { outcome, code, advice }, (writes, delivery)) in std::mem::take(&mut self.failed) {
            tracing::warn!(%delivery, writes, outcome, code, "writes failed, this one among them: {advice}");
        }
    }
}

impl Failure {
    fn of(error: &ProviderError) -> Self {
        let code = code_of(&error.message).map(str::to_owned);
        Self { outcome: outcome_of(&error.remedy), code, advice: advice(&error.remedy) }
    }
}

/// Tells of a step that failed. What is not a provider's is in our own words, which name ids and places alone.
pub(super) fn step(error: &StepError) {
    match error {
        StepError::Provider(error) => {
            let Failure { outcome, code, advice } = Failure::of(error);
            tracing::warn!(outcome, code, "a step failed: {advice}");
            tracing::debug!(words = error.message, "a step failed");
        }
        _ => tracing::warn!(%error, "a step failed"),
    }
}

/// Whether it is over so soon that it is the provider's pace, and no trouble.
const fn is_pace(remedy: &Remedy) -> bool {
    matches!(remedy, Remedy::Wait { after_ms: Some(0..=PACE_MAX_MS), .. })
}

/// What follows from a failure, and what a person can do about it.
const fn advice(remedy: &Remedy) -> &'static str {
    match remedy {
        Remedy::Refresh => "the access token is exchanged, then it is tried again",
        Remedy::Reauthorise => "authorise the connection again; what it is owed is kept",
        Remedy::Retry => {
            "it is tried again, after a longer pause each time; `syncline issues list --details` has the provider's words"
        }
        Remedy::Wait { .. } => "a quota is used up: it goes on once the provider allows it",
        Remedy::Busy { .. } => "somebody else has the object in use: it is tried again",
        Remedy::Restart => "reading goes on from the last safe place",
        Remedy::Resync => "the provider does not remember that far back: all ids are read again",
        Remedy::Gone => "the object or field is gone there, or hidden from our user",
        Remedy::Configure => {
            "the configuration or the provider's settings must change: `syncline issues list --details` has the provider's words"
        }
    }
}
