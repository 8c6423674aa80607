//! Every fail point of the list stands somewhere in the service, and every one that stands somewhere is in the list: the
//! compiler sees to the latter. No release build has any, nor a clock that can be set wrong: both hang on debug assertions.

use std::fs;

use syncline_server::failpoint::Point;

use crate::{assert_none, root, source::Source};

/// Where the list is.
const LIST: &str = "server/src/failpoint.rs";

/// How often the code passes a point.
fn uses(sources: &[Source], point: Point) -> usize {
    let call = format!("reach(Point::{point:?});");
    let elsewhere = sources.iter().filter(|source| source.path != LIST);
    elsewhere.map(|source| source.text.matches(&call).count()).sum()
}

#[test]
fn every_fail_point_stands_in_the_code() {
    let sources = Source::below("server/src");
    let idle = Point::ALL.iter().filter(|point| uses(&sources, **point) == 0);
    assert_none(idle.map(ToString::to_string).collect(), "a fail point that nothing reaches proves nothing; but:");
}

/// Lines that say by hand whether a profile has debug assertions; without one, only `dev` and what inherits from it have them.
fn settings(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines
        .filter(|line| line.contains("debug-assertions") || line.contains("debug_assertions"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn no_profile_gives_a_release_build_what_suites_do_to_the_process() {
    let texts =
        ["Cargo.toml", ".cargo/config.toml"].map(|file| fs::read_to_string(root().join(file)).unwrap_or_default());
    assert!(texts[0].contains("[profile.release]"), "the profiles are there");
    let found = texts.iter().flat_map(|text| settings(text)).collect();
    assert_none(
        found,
        "fail points and `SYNCLINE_CLOCK_SHIFT_MS` are refused by builds without debug assertions; but:",
    );
}

#[test]
fn the_checker_finds_what_it_must() {
    for (text, found) in [
        ("[profile.release]\ndebug-assertions = true", 1),
        ("rustflags = [\"-C\", \"debug-assertions\"]", 1),
        ("[profile.release]\n# debug-assertions stay off\ndebug = 1", 0),
    ] {
        assert_eq!(settings(text).len(), found, "{text}");
    }
    let passing = Source::example("fn f() {\n    reach(Point::Closing);\n}");
    let mentioning = Source::example("fn f() {\n    let point = Point::Closing;\n}");
    assert_eq!((uses(&[passing], Point::Closing), uses(&[mentioning], Point::Closing)), (1, 0));
}
