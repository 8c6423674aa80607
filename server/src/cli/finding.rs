//! What an examination found, good and bad, and how it is shown.

use std::io;

use serde::Serialize;
use serde_json::json;

use super::output::{Item, Output, Tone};

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// How it stands.
    pub(crate) level: Level,
    /// What was looked at, such as `sync contacts, acme-hubspot`.
    pub(crate) about: String,
    /// What was found and, where it is a problem, how to mend it.
    pub(crate) message: String,
}

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    /// As it should be.
    Good,
    /// Works, and a person should know.
    Warning,
    /// Does not work.
    Problem,
}

impl Finding {
    /// As it should be.
    pub(crate) fn good(about: impl Into<String>, message: impl Into<String>) -> Self {
        Self { level: Level::Good, about: about.into(), message: message.into() }
    }

    /// Works, and a person should know.
    pub(crate) fn warning(about: impl Into<String>, message: impl Into<String>) -> Self {
        Self { level: Level::Warning, about: about.into(), message: message.into() }
    }

    /// Does not work.
    pub(crate) fn problem(about: impl Into<String>, message: impl Into<String>) -> Self {
        Self { level: Level::Problem, about: about.into(), message: message.into() }
    }
}

/// Whether nothing is a problem.
pub(crate) fn all_well(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.level != Level::Problem)
}

/// Shows findings.
pub(crate) fn show(output: Output, findings: &[Finding]) -> io::Result<()> {
    if output.is_json() {
        return output.json(&json!({"ok": all_well(findings), "findings": findings}));
    }
    let rows = findings.iter().map(|finding| {
        let (word, tone) = match finding.level {
            Level::Good => ("ok", Tone::Good),
            Level::Warning => ("note", Tone::Warn),
            Level::Problem => ("problem", Tone::Bad),
        };
        vec![Item::text(word).tone(tone), Item::text(&finding.about), Item::text(&finding.message)]
    });
    output.table(&["", "what", "found"], rows.collect(), "there was nothing to look at")
}
