//! The failure matrix of `docs/reliability.md` and the tests that it names: neither may say what the other does not.

use std::collections::{BTreeMap, BTreeSet};

use crate::{assert_none, source::Source};

/// The page that promises.
const PAGE: &str = "docs/reliability.md";

/// The last row of the matrix.
const ROWS: u32 = 40;

/// Rows that belong to later work: the page says so, and tests may hold what is prepared.
const OPEN: [u32; 7] = [33, 34, 35, 36, 38, 39, 40];

/// Where tests may stand.
const SUITES: [&str; 5] = ["core", "connectors", "server", "client-sdk", "tests"];

/// The tests of each row, by the number in their names.
type Tests = BTreeMap<u32, BTreeSet<String>>;

/// The number in a name such as `row_02_a_lost_answer`; `None` for any other name.
fn row_of(name: &str) -> Option<u32> {
    let rest = name.strip_prefix("row_")?;
    let (digits, what) = rest.split_at_checked(2)?;
    what.strip_prefix('_').filter(|what| !what.is_empty())?;
    digits.parse().ok()
}

/// The tests that a file defines, also those inside modules that are compiled for tests only.
fn defined(text: &str) -> impl Iterator<Item = &str> {
    let names = text.lines().filter_map(|line| {
        let line = line.trim_start();
        let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
        line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")
    });
    names.filter_map(|rest| rest.split(['(', '<']).next())
}

fn tests_in(texts: impl Iterator<Item = String>) -> Tests {
    let mut tests = Tests::new();
    for text in texts {
        for name in defined(&text) {
            if let Some(row) = row_of(name) {
                tests.entry(row).or_default().insert(name.to_owned());
            }
        }
    }
    tests
}

/// The rows of the page's matrix with the tests that each names: table rows that begin with a number.
fn promised(page: &str) -> Tests {
    let mut rows = Tests::new();
    for line in page.lines() {
        let Some((first, rest)) = line.strip_prefix("| ").and_then(|line| line.split_once(" |")) else { continue };
        let Ok(row) = first.trim().parse::<u32>() else { continue };
        let names = rest.split('`').filter(|part| row_of(part).is_some()).map(str::to_owned);
        rows.entry(row).or_default().extend(names);
    }
    rows
}

fn findings(page: &str, tests: &Tests) -> Vec<String> {
    let promised = promised(page);
    let mut findings = Vec::new();
    for row in 1..=ROWS {
        let Some(named) = promised.get(&row) else {
            findings.push(format!("{PAGE} has no row {row}"));
            continue;
        };
        let empty = BTreeSet::new();
        let there = tests.get(&row).unwrap_or(&empty);
        if named.is_empty() && !OPEN.contains(&row) {
            findings.push(format!("row {row} is not tested"));
        }
        findings.extend(named.difference(there).map(|name| format!("row {row}: no test is called {name}")));
        findings.extend(there.difference(named).map(|name| format!("row {row}: {PAGE} does not name {name}")));
        let foreign = named.iter().filter(|name| row_of(name) != Some(row));
        findings.extend(foreign.map(|name| format!("row {row}: {name} belongs to another row")));
    }
    findings.extend(tests.keys().filter(|row| !(1..=ROWS).contains(*row)).map(|row| format!("there is no row {row}")));
    findings
}

#[test]
fn every_row_of_the_failure_matrix_names_its_tests() {
    let page = std::fs::read_to_string(crate::root().join(PAGE)).expect("the page can be read");
    let tests = tests_in(SUITES.into_iter().flat_map(Source::below).map(|source| source.text));
    assert_none(findings(&page, &tests), "the page and the suites must name the same tests; but:");
}

#[test]
fn the_checker_finds_what_it_must() {
    for (name, row) in [
        ("row_02_a_lost_answer", Some(2)),
        ("row_37_forged", Some(37)),
        ("row_2_short", None),
        ("row_02_", None),
        ("row_02", None),
        ("a_row_02_x", None),
    ] {
        assert_eq!(row_of(name), row, "{name}");
    }
    let suite = "#[test]\nfn row_01_a() {}\n    async fn row_02_b() {}\nfn other() {}\nfn row_03_c<T>() {}";
    let tests = tests_in([suite.to_owned()].into_iter());
    let names: Vec<&String> = tests.values().flatten().collect();
    assert_eq!(names, ["row_01_a", "row_02_b", "row_03_c"]);

    let mut page: String = (1..=ROWS)
        .map(|row| {
            format!(
                "| {row} | fault | {} |\n",
                if OPEN.contains(&row) { String::new() } else { format!("`row_{row:02}_x`") }
            )
        })
        .collect();
    let mut tests: Tests = (1..=ROWS)
        .filter(|row| !OPEN.contains(row))
        .map(|row| (row, BTreeSet::from([format!("row_{row:02}_x")])))
        .collect();
    assert_eq!(findings(&page, &tests), Vec::<String>::new());
    tests.insert(1, BTreeSet::from(["row_01_y".into()]));
    tests.insert(33, BTreeSet::from(["row_33_x".into()]));
    tests.remove(&2);
    page = page.replace("`row_02_x`", "");
    page = page.replace("| 40 |", "| none |");
    assert_eq!(
        findings(&page, &tests),
        [
            "row 1: no test is called row_01_x",
            "row 1: docs/reliability.md does not name row_01_y",
            "row 2 is not tested",
            "row 33: docs/reliability.md does not name row_33_x",
            "docs/reliability.md has no row 40",
        ]
    );
}
