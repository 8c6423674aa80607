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
        // Node counts in comments of the Test Anything Protocol.
        for line in text.lines() {
            let number =
                |word: &str| line.strip_prefix(word).and_then(|rest| rest.trim().parse::<u64>().ok()).unwrap_or(0);
            report.passed += number("# pass ");
            report.failed += number("# fail ") + number("# cancelled ");
            report.ignored += number("# skipped ") + number("# todo ");
        }
        if !succeeded {
            report.failed = report.failed.max(1);
        }
        report.text = text;
        report
    }

    /// What a person should read of it: everything where something failed, otherwise only what passing tests reported.
    pub(crate) fn excerpt(&self) -> &str {
        if self.failed > 0 {
            return self.text.trim();
        }
        let Some(from) = self.text.find("\n---- ") else { return "" };
        let reported = &self.text[from..];
        reported.split("\nsuccesses:\n").next().unwrap_or(reported).trim()
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
            (
                "ok 1 - a\n# tests 4\n# pass 2\n# fail 1\n# cancelled 1\n# skipped 3\n# todo 0\n".to_owned(),
                false,
                2,
                2,
                3,
            ),
        ] {
            let report = Report::read(text.clone(), succeeded);
            assert_eq!((report.passed, report.failed, report.ignored), (passed, failed, ignored), "{text}");
        }
    }

    #[test]
    fn failures_are_shown_whole_and_successes_by_what_they_report() {
        let silent = "running 1 test\n\nsuccesses:\n\nsuccesses:\n    a::b\n\ntest result: ok. 1 passed\n";
        let telling = "running 1 test\n\nsuccesses:\n\n---- a::b stdout ----\nraces 7 %\n\n\nsuccesses:\n    a::b\n";
        for (text, succeeded, excerpt) in [
            (silent, true, ""),
            (telling, true, "---- a::b stdout ----\nraces 7 %"),
            (telling, false, telling.trim()),
            ("killed\n", false, "killed"),
        ] {
            assert_eq!(Report::read(text.into(), succeeded).excerpt(), excerpt);
        }
    }
}
