//! Everything together.

use serde::Serialize;

use super::{agreement, deletes, doubles, edits, evidence::Evidence, invented};

/// The most findings of a kind that are told in words; all are counted.
const TOLD_MAX: usize = 20;

/// What the judge found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Edits that were judged.
    pub edits: u64,
    /// Deviations of one side from another.
    pub differences: u64,
    /// Writes of ours that changed nothing.
    pub redundant: u64,
    /// Contacts that stand more than once.
    pub duplicates: u64,
    /// Edits and deletes that are gone without a trace.
    pub lost: u64,
    /// Values of records that nobody wrote.
    pub invented: u64,
    /// Edits that no client could have seen, by account.
    pub blind: Vec<Blind>,
    /// What was found, in words.
    pub findings: Vec<String>,
}

/// Edits of an account that no client could have seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Blind {
    /// The account.
    pub account: String,
    /// How many.
    pub edits: u64,
    /// Whether the platform keeps a history in which they could have been found: then there may be none.
    pub avoidable: bool,
    /// Why.
    pub reason: String,
}

/// Judges the evidence.
pub(in crate::demo) fn judge(evidence: &Evidence) -> Verdict {
    let gathered = edits::gather(evidence);
    let losses = edits::judge(evidence, &gathered);
    let mut lost = losses.lost;
    lost.extend(deletes::lost(evidence, &gathered));
    let differences = agreement::differences(evidence);
    let duplicates = doubles::found(evidence);
    let redundant = redundant(evidence);
    let invented = invented::found(evidence);
    let blind = evidence.accounts.iter().enumerate().map(|(place, account)| Blind {
        account: account.title.clone(),
        avoidable: account.keeps_history,
        edits: losses.blind.iter().filter(|(account, _)| *account == place).count() as u64,
        reason: "made after our last look and before our write, under a stamp that did not move".to_owned(),
    });
    let kinds = [
        ("lost", &lost),
        ("different", &differences),
        ("duplicate", &duplicates),
        ("redundant", &redundant),
        ("invented", &invented),
    ];
    let findings = kinds
        .into_iter()
        .flat_map(|(kind, list)| list.iter().take(TOLD_MAX).map(move |finding| format!("{kind}: {finding}")));
    Verdict {
        edits: losses.judged as u64,
        differences: differences.len() as u64,
        redundant: redundant.len() as u64,
        duplicates: duplicates.len() as u64,
        lost: lost.len() as u64,
        invented: invented.len() as u64,
        blind: blind.collect(),
        findings: findings.collect(),
    }
}

fn redundant(evidence: &Evidence) -> Vec<String> {
    let entries = evidence.accounts.iter().flat_map(|account| account.log.iter().map(move |entry| (account, entry)));
    let redundant = entries.filter(|(_, entry)| entry.is_redundant());
    redundant
        .map(|(account, entry)| {
            let fields: Vec<&str> = entry.fields.keys().map(String::as_str).collect();
            format!(
                "{} {} (log {}): a write of {} changed nothing",
                account.title,
                entry.id,
                entry.seq,
                fields.join(", ")
            )
        })
        .collect()
}

impl Verdict {
    /// Whether everything that must hold does.
    pub fn holds(&self) -> bool {
        let missed = self.blind.iter().any(|blind| blind.avoidable && blind.edits > 0);
        let found = self.differences + self.redundant + self.duplicates + self.lost + self.invented;
        found == 0 && !missed
    }
}
