//! Every fail point of the list stands somewhere in the service, and every one that stands somewhere is in the list: the
//! compiler sees to the latter.

use syncline_server::failpoint::Point;

use crate::{assert_none, source::Source};

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

#[test]
fn the_checker_finds_what_it_must() {
    let passing = Source::example("fn f() {\n    reach(Point::Closing);\n}");
    let mentioning = Source::example("fn f() {\n    let point = Point::Closing;\n}");
    assert_eq!((uses(&[passing], Point::Closing), uses(&[mentioning], Point::Closing)), (1, 0));
}
