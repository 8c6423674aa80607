//! The core's source: no clock, no randomness, no IO. Time and randomness are arguments there, and effects are data.

use crate::{
    assert_none,
    source::{Source, Token},
};

/// Modules of `std` that reach out of the process, or wait in it.
const STD_MODULES: [&str; 8] = ["env", "fs", "io", "net", "os", "process", "thread", "task"];

/// Names that stand for a clock, a source of randomness, output or a runtime, wherever they come from. The maps are here
/// because they are walked in an order that differs from run to run.
const NAMES: [&str; 24] = [
    "HashMap",
    "HashSet",
    "Instant",
    "OsRng",
    "RandomState",
    "SystemTime",
    "async",
    "axum",
    "dbg",
    "eprint",
    "eprintln",
    "futures",
    "getrandom",
    "hyper",
    "print",
    "println",
    "rand",
    "reqwest",
    "sqlx",
    "static_mut",
    "thread_local",
    "thread_rng",
    "tokio",
    "tracing",
];

/// Functions of otherwise pure types that ask for the time, the zone or randomness.
const FUNCTIONS: [&str; 6] = ["new_v4", "new_v7", "now", "now_v7", "system", "try_system"];

fn impurities(source: &Source) -> Vec<String> {
    let tokens = source.tokens();
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut findings = Vec::new();
    for (at, token) in tokens.iter().enumerate().filter(|(_, token)| !token.literal) {
        let name = token.text.as_str();
        let called = at > 0 && text(at - 1) == "::" && text(at + 1) == "(";
        if NAMES.contains(&name) || (called && FUNCTIONS.contains(&name)) {
            findings.push((name, token.line));
        }
        if name == "std" && text(at + 1) == "::" {
            findings.extend(std_modules(&tokens[at + 2..]));
        }
    }
    findings.into_iter().map(|(name, line)| format!("{}:{line} uses {name}", source.path)).collect()
}

/// The forbidden modules that a path or a use tree names directly below `std`.
fn std_modules(tokens: &[Token]) -> Vec<(&str, usize)> {
    let Some(first) = tokens.first() else { return Vec::new() };
    let named: Vec<&Token> = if first.text == "{" { heads(tokens) } else { vec![first] };
    named
        .into_iter()
        .map(|token| (token.text.as_str(), token.line))
        .filter(|(name, _)| STD_MODULES.contains(name))
        .collect()
}

/// The first name of each branch of the use tree that opens here.
fn heads(tokens: &[Token]) -> Vec<&Token> {
    let mut depth = 0;
    let mut heads = Vec::new();
    for pair in tokens.windows(2) {
        match pair[0].text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if depth == 1 && matches!(pair[0].text.as_str(), "{" | ",") {
            heads.push(&pair[1]);
        }
    }
    heads
}

#[test]
fn the_core_has_no_clock_no_randomness_and_no_io() {
    let findings = Source::below("core/src").iter().flat_map(impurities).collect();
    assert_none(findings, "the core is told the time and hands out effects as data; it may not use:");
}

#[test]
fn the_checker_finds_what_it_must() {
    for (text, found) in [
        ("use std::fs;", 1),
        ("use std::{collections::BTreeMap, net::{TcpStream, UdpSocket}, fmt};", 1),
        ("use std::{io::{self, Read}, env};", 2),
        ("fn f() { let t = std::time::Instant::now(); }", 2),
        ("fn f() { jiff::Timestamp::now() }", 1),
        ("fn f() { Uuid::now_v7() }", 1),
        ("fn f() { rand::random() }", 1),
        ("async fn f() {}", 1),
        ("fn f() { println!(\"x\") }", 1),
        ("use std::collections::HashMap;", 1),
        ("use std::{collections::BTreeMap, fmt, sync::Arc};", 0),
        ("fn due(now: Millis, process: u8) -> bool { now > process }", 0),
        ("// std::fs\nconst TEXT: &str = \"std::fs println now\";", 0),
        ("#[cfg(test)] mod tests { use std::fs; }", 0),
    ] {
        let findings = impurities(&Source::example(text));
        assert_eq!(findings.len(), found, "{text}: {findings:?}");
    }
}
