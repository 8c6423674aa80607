//! How a file may look: one noun, of a size that can be read at once, and no unexplained way to panic.

use crate::{assert_none, source::Source};

/// A file that is longer wants to be two.
const LINES_MAX: usize = 600;

/// Names that say nothing about what a file holds.
const EMPTY_NAMES: [&str; 6] = ["utils", "util", "helpers", "common", "misc", "shared"];

/// How many lines above an `expect` its reason may stand.
const REASON_LINES: usize = 3;

const ALL: [&str; 8] = [
    "core",
    "connectors/src",
    "connectors/tests",
    "connectors/sandbox/src",
    "server",
    "client-sdk",
    "tests",
    "xtask/src",
];
const PRODUCT: [&str; 6] =
    ["core/src", "connectors/src", "connectors/sandbox/src", "server/src", "client-sdk/src", "xtask/src"];

/// The folders among these that exist, so that a package without tests needs no entry here.
fn sources(folders: &[&str]) -> Vec<Source> {
    folders
        .iter()
        .filter(|folder| crate::root().join(folder).is_dir())
        .flat_map(|folder| Source::below(folder))
        .collect()
}

fn empty_name(path: &str) -> Option<&str> {
    path.split('/').map(|part| part.trim_end_matches(".rs")).find(|part| EMPTY_NAMES.contains(part))
}

/// Calls of `unwrap` and `expect` with no comment beside or right above them that says why they cannot fail.
fn unexplained_panics(source: &Source) -> Vec<String> {
    let lines: Vec<&str> = source.text.lines().collect();
    let explained = |line: usize| {
        let from = line.saturating_sub(REASON_LINES + 1);
        lines[from..line.min(lines.len())].iter().any(|line| line.contains("// ") || line.contains("reason ="))
    };
    let tokens = source.tokens();
    // A parser's own `self.expect(token)` is no panic.
    let calls = tokens.windows(4).filter(|row| {
        let panics = matches!(row[2].text.as_str(), "unwrap" | "expect") && row[0].text != "self";
        row[1].text == "." && row[3].text == "(" && panics
    });
    let bare = calls.filter(|row| !explained(row[2].line));
    bare.map(|row| format!("{}:{} calls {}", source.path, row[2].line, row[2].text)).collect()
}

/// Whether the module that a file holds is compiled for tests only.
fn is_for_tests(source: &Source) -> bool {
    let Some((folder, file)) = source.path.rsplit_once('/') else { return false };
    let parent = std::fs::read_to_string(crate::root().join(folder).join("mod.rs")).unwrap_or_default();
    parent.contains(&format!("#[cfg(test)]\nmod {};", file.trim_end_matches(".rs")))
}

#[test]
fn no_file_is_too_long_to_read() {
    let long = sources(&ALL).into_iter().filter(|source| source.text.lines().count() > LINES_MAX);
    let findings = long.map(|source| format!("{} has {} lines", source.path, source.text.lines().count())).collect();
    assert_none(findings, "one noun per file, of at most 600 lines; but:");
}

#[test]
fn every_file_is_named_for_what_it_holds() {
    let findings =
        sources(&ALL).iter().filter_map(|source| empty_name(&source.path).map(|_| source.path.clone())).collect();
    assert_none(findings, "a file's name says what it holds; these say nothing:");
}

#[test]
fn every_panic_says_why_it_cannot_happen() {
    let product = sources(&PRODUCT).into_iter().filter(|source| !is_for_tests(source));
    let findings = product.flat_map(|source| unexplained_panics(&source)).collect();
    assert_none(findings, "outside tests, unwrap and expect need a comment that says why they cannot fail; but:");
}

#[test]
fn the_checkers_find_what_they_must() {
    assert_eq!(empty_name("server/src/utils/time.rs"), Some("utils"));
    assert_eq!(empty_name("server/src/helpers.rs"), Some("helpers"));
    assert_eq!(empty_name("server/src/time.rs"), None);
    for (text, found) in [
        ("fn f() {\n    x.unwrap();\n}", 1),
        ("fn f() {\n    x.expect(\"y\").unwrap();\n}", 2),
        ("fn f() {\n    // The list was checked to hold one element.\n    x.unwrap();\n}", 0),
        ("fn f() {\n    self.expect(Token::From)?;\n}", 0),
        ("fn f() {\n    x.unwrap_or(1);\n    expect(2);\n}", 0),
        ("#[cfg(test)]\nmod tests { fn f() { x.unwrap(); } }", 0),
    ] {
        let findings = unexplained_panics(&Source::example(text));
        assert_eq!(findings.len(), found, "{text}: {findings:?}");
    }
}
