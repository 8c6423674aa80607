//! What a suite's run said.

use std::fmt::Write as _;

/// The counts of a suite's run, and its words.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Report {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
    /// What the suite printed.
    pub(crate) text: String,
}

impl Report {
    /// Reads the counts out of what a test binary printed. A run that failed without a failed test, because it crashed or
    /// hung, counts as one failed test, so that it can never pass for a success.
    pub(crate) fn read(text: String, succeeded: bool) -> Self {
        let mut report = Self::default();
        for counts in text.lines().filter_map(|line| line.strip_prefix("test result: ")) {
            report.passed += count(counts, "passed");
            report.failed += count(counts, "failed");
            report.ignored += count(counts, "ignored");
        }
        if !succeeded {
            report.failed = report.failed.max(1);
        }
        report.text = text;
        report
    }

    /// Whether a person should read what the suite printed: it failed, or a test that passed had something to report.
    pub(crate) fn is_worth_reading(&self) -> bool {
        self.failed > 0 || self.text.contains("\n---- ")
    }
}

/// The number before `word` in `ok. 3 passed; 0 failed; …`.
fn count(counts: &str, word: &str) -> u64 {
    let words: Vec<&str> = counts.split([' ', ';', '.']).filter(|word| !word.is_empty()).collect();
    words.windows(2).find(|pair| pair[1] == word).and_then(|pair| pair[0].parse().ok()).unwrap_or(0)
}

/// The suites' counts and seconds as a table.
pub(crate) fn table(rows: &[(String, Report, f64)]) -> String {
    let width = rows.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or(0).max("suite".len());
    let mut table = format!("{:<width$}  {:>7} {:>7} {:>8} {:>8}\n", "suite", "passed", "failed", "ignored", "seconds");
    for (name, report, seconds) in rows {
        let Report { passed, failed, ignored, .. } = report;
        // Writing to a string cannot fail.
        let _ = writeln!(table, "{name:<width$}  {passed:>7} {failed:>7} {ignored:>8} {seconds:>8.1}");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_summed_and_a_crash_is_a_failure() {
        let ok = "running 2 tests\ntest result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n";
        let bad = "test result: FAILED. 1 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out\n";
        for (text, succeeded, passed, failed, ignored) in [
            (ok.to_owned(), true, 2, 0, 1),
            (format!("{ok}{bad}"), false, 3, 3, 1),
            ("running 2 tests\nkilled".to_owned(), false, 0, 1, 0),
            (ok.to_owned(), false, 2, 1, 1),
            (String::new(), true, 0, 0, 0),
        ] {
            let report = Report::read(text.clone(), succeeded);
            assert_eq!((report.passed, report.failed, report.ignored), (passed, failed, ignored), "{text}");
        }
    }

    #[test]
    fn silence_and_success_are_not_worth_reading() {
        assert!(!Report::read("\nsuccesses:\n\nsuccesses:\n    a::b\n".into(), true).is_worth_reading());
        assert!(Report::read("\nsuccesses:\n\n---- a::b stdout ----\nraces 7 %\n".into(), true).is_worth_reading());
        assert!(Report::read(String::new(), false).is_worth_reading());
    }
}
