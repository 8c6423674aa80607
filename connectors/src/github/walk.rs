//! Pages of what was modified, in the order of modification.
//!
//! A row that changes while its list is walked moves to the list's end, and every row behind it one place forward: a walk by
//! page numbers would step over as many rows as moved. So each page is a list of its own that begins at the second in which the
//! last one ended. Only where one second fills a page the list's own next page is followed, until the second is over.

use serde_json::Value;
use syncline_core::{
    remote::{Page, PageRequest, ProviderError, Remedy, RemoteObject, Window},
    time::Millis,
};

use super::{
    link,
    rows::{Kind, Row, Shape, Shown},
    session::Session,
};
use crate::rest::{Answer, Call};

/// The most rows of a page.
pub(super) const ROWS_MAX: u32 = 100;

/// Where a walk goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// At everything that was modified in this second or later; `None`: at the beginning.
    Since(Option<Millis>),
    /// At this page of a list, which began in the second and has not left it.
    Within(Millis, String),
}

impl Place {
    fn of(request: &PageRequest) -> Result<Self, ProviderError> {
        let Some(token) = &request.token else {
            let from = request.window.map(|window| window.from);
            return Ok(Self::Since(request.after.as_ref().map(|after| after.stamp).or(from)));
        };
        Self::parse(token).ok_or_else(|| ProviderError {
            remedy: Remedy::Restart,
            message: "the page's token is none of this version's".to_owned(),
        })
    }

    fn parse(token: &str) -> Option<Self> {
        let (word, rest) = token.split_once(':')?;
        match word {
            "since" => Some(Self::Since(Some(Millis(rest.parse().ok()?)))),
            "within" => {
                let (second, path) = rest.split_once(':')?;
                path.starts_with('/').then_some(Self::Within(Millis(second.parse().ok()?), path.to_owned()))
            }
            _ => None,
        }
    }

    fn token(&self) -> Option<String> {
        match self {
            Self::Since(None) => None,
            Self::Since(Some(second)) => Some(format!("since:{}", second.0)),
            Self::Within(second, path) => Some(format!("within:{}:{path}", second.0)),
        }
    }

    /// The second in which this page's list begins.
    fn second(&self) -> Option<Millis> {
        match self {
            Self::Since(second) => *second,
            Self::Within(second, _) => Some(*second),
        }
    }

    /// Where the walk goes on after a page whose last row was modified at `last` and whose list goes on at `next`.
    fn after(&self, last: Option<Millis>, next: Option<String>) -> Option<Self> {
        let next = next?;
        match (self.second(), last) {
            (begun, Some(last)) if begun.is_none_or(|begun| last > begun) => Some(Self::Since(Some(last))),
            (begun, _) => Some(Self::Within(begun.unwrap_or_default(), next)),
        }
    }
}

/// Reads a page.
pub(super) async fn page(
    session: &Session<'_>,
    request: &PageRequest,
    shape: Shape<'_>,
) -> Result<Page, ProviderError> {
    if let Some(page) = newest(session, request, shape).await? {
        return Ok(page);
    }
    let place = Place::of(request)?;
    let answer = session.get(call(session, shape.kind, &place, request.limit)).await?;
    let next = link::next(session, &answer)?;
    let rows = rows(&answer, shape)?;
    let last = rows.iter().filter_map(|row| row.modified).max();
    let mut page = Page { next: place.after(last, next).and_then(|place| place.token()), ..Page::default() };
    if request.window.is_some_and(|window| last.is_some_and(|last| last >= window.until)) {
        page.next = None;
    }
    fill(&mut page, rows, request);
    Ok(page)
}

/// A window that the list of what was modified last reaches across comes in one page. Its address stays the same from window to
/// window, so that GitHub need only say that nothing has changed.
async fn newest(session: &Session<'_>, request: &PageRequest, shape: Shape<'_>) -> Result<Option<Page>, ProviderError> {
    let (Some(window), None, None) = (request.window, &request.after, &request.token) else { return Ok(None) };
    if request.limit < ROWS_MAX {
        return Ok(None);
    }
    let call = listing(session, shape.kind).query("sort", "updated").query("direction", "desc");
    let answer = session.get_again(call.query("per_page", ROWS_MAX.to_string())).await?;
    let more = link::next(session, &answer)?.is_some();
    let mut rows = rows(&answer, shape)?;
    if more && !reaches_across(&rows, window) {
        return Ok(None);
    }
    rows.reverse();
    let mut page = Page::default();
    fill(&mut page, rows, request);
    page.objects.sort_by_key(|object| object.version.map(|version| version.stamp));
    Ok(Some(page))
}

fn reaches_across(rows: &[Row], window: Window) -> bool {
    rows.iter().filter_map(|row| row.modified).any(|modified| modified < window.from)
}

/// The list of all of a kind, in the states that it has.
pub(super) fn listing(session: &Session<'_>, kind: Kind) -> Call {
    let call = Call::get(session.path(kind.collection()));
    match kind {
        Kind::Issues => call.query("state", "all"),
        Kind::Comments => call,
    }
}

fn call(session: &Session<'_>, kind: Kind, place: &Place, limit: u32) -> Call {
    let since = match place {
        Place::Within(_, path) => return Call::get(path.clone()),
        Place::Since(since) => *since,
    };
    let call = listing(session, kind)
        .query("sort", "updated")
        .query("direction", "asc")
        .query("per_page", limit.clamp(1, ROWS_MAX).to_string());
    match since {
        // Asked for everything since 1970, GitHub shows nothing.
        Some(since) if since > Millis(0) => call.query("since", rfc3339(since)),
        _ => call,
    }
}

/// A time in whole seconds, rounded down: the list shows what was modified in that second as well.
fn rfc3339(at: Millis) -> String {
    let second = jiff::Timestamp::from_second(at.0.div_euclid(1_000)).unwrap_or_default();
    second.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The rows of a list's page.
pub(super) fn rows(answer: &Answer, shape: Shape<'_>) -> Result<Vec<Row>, ProviderError> {
    Ok(answer.json::<Vec<Value>>()?.into_iter().map(|value| shape.row(value)).collect())
}

/// Puts rows into a page: those of the window, after the position.
fn fill(page: &mut Page, rows: Vec<Row>, request: &PageRequest) {
    for row in rows {
        match row.shown {
            Shown::Object(object) if is_wanted(request, &object) => page.objects.push(*object),
            Shown::Object(_) | Shown::PullRequest => {}
            Shown::Malformed(malformed) => page.malformed.push(*malformed),
        }
    }
}

fn is_wanted(request: &PageRequest, object: &RemoteObject) -> bool {
    let Some(version) = object.version else { return true };
    let inside = |window: Window| version.stamp >= window.from && version.stamp < window.until;
    let passed = match (&request.after, &request.token) {
        (Some(after), None) => version.stamp < after.stamp || (version.stamp == after.stamp && object.id == after.id),
        _ => false,
    };
    request.window.is_none_or(inside) && !passed
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use syncline_core::remote::Position;

    use super::{
        super::canned::{Canned, Stage, credentials},
        *,
    };

    fn asked() -> PageRequest {
        PageRequest {
            object: "issues".into(),
            fields: Vec::new(),
            window: None,
            after: None,
            token: None,
            deleted: false,
            limit: 100,
        }
    }

    #[test]
    fn a_place_is_its_token() {
        for place in
            [Place::Since(Some(Millis(5_000))), Place::Within(Millis(5_000), "/issues?since=a:b&page=2".into())]
        {
            assert_eq!(place.token().as_deref().and_then(Place::parse), Some(place));
        }
        for token in ["", "since:", "since:x", "within:5000", "within:5000:https://evil.com/", "page:2"] {
            let error = Place::of(&PageRequest { token: Some(token.into()), ..asked() }).expect_err(token);
            assert_eq!(error.remedy, Remedy::Restart, "{token}");
        }
    }

    #[test]
    fn a_walk_begins_at_its_position_or_its_window() {
        let window = Some(Window { from: Millis(3_000), until: Millis(9_000) });
        let after = Some(Position { stamp: Millis(5_000), id: "7".into() });
        let cases = [
            (asked(), Place::Since(None)),
            (PageRequest { window, ..asked() }, Place::Since(Some(Millis(3_000)))),
            (PageRequest { window, after: after.clone(), ..asked() }, Place::Since(Some(Millis(5_000)))),
            (PageRequest { token: Some("since:6000".into()), after, ..asked() }, Place::Since(Some(Millis(6_000)))),
        ];
        for (request, expected) in cases {
            assert_eq!(Place::of(&request), Ok(expected));
        }
    }

    #[test]
    fn a_list_is_begun_anew_after_each_page_unless_one_second_fills_it() {
        let since = |second| Place::Since(Some(Millis(second)));
        let within = |second| Place::Within(Millis(second), "/next".to_owned());
        let cases = [
            ("the first page", Place::Since(None), Some(4_000), true, Some(since(4_000))),
            ("a page that left its second", since(4_000), Some(6_000), true, Some(since(6_000))),
            ("a page of one second", since(4_000), Some(4_000), true, Some(within(4_000))),
            ("and another", within(4_000), Some(4_000), true, Some(within(4_000))),
            ("the second is over", within(4_000), Some(5_000), true, Some(since(5_000))),
            ("a page without readable rows", since(4_000), None, true, Some(within(4_000))),
            ("the last page", since(4_000), Some(6_000), false, None),
        ];
        for (name, place, last, more, expected) in cases {
            assert_eq!(place.after(last.map(Millis), more.then(|| "/next".to_owned())), expected, "{name}");
        }
    }

    #[test]
    fn only_rows_of_the_window_after_the_position_are_taken() {
        let row = |number: u64, second: i64| {
            let at = rfc3339(Millis(second * 1_000));
            Shape { kind: Kind::Issues, fields: &[] }.row(json!({"number": number, "updated_at": at}))
        };
        let window = Some(Window { from: Millis(3_000), until: Millis(9_000) });
        let after = Some(Position { stamp: Millis(5_000), id: "7".into() });
        let taken = |request: &PageRequest| {
            let mut page = Page::default();
            fill(&mut page, [row(1, 2), row(7, 5), row(8, 5), row(9, 6), row(10, 9)].into(), request);
            page.objects.iter().map(|object| object.id.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(taken(&asked()), ["1", "7", "8", "9", "10"]);
        assert_eq!(taken(&PageRequest { window, ..asked() }), ["7", "8", "9"]);
        assert_eq!(taken(&PageRequest { window, after: after.clone(), ..asked() }), ["8", "9"]);
        let token = Some("since:5000".to_owned());
        assert_eq!(taken(&PageRequest { window, after, token, ..asked() }), ["7", "8", "9"]);
    }

    fn at(number: u64, time: &str) -> Value {
        json!({"number": number, "title": "T", "created_at": "2026-05-05T09:00:00Z", "updated_at": time})
    }

    fn linked(canned: Canned, next: &str) -> Canned {
        canned.header(
            "link",
            format!("<https://api.github.com{next}>; rel=\"next\", <https://api.github.com/x>; rel=\"last\""),
        )
    }

    #[tokio::test]
    async fn a_backfill_walks_second_by_second() {
        let list = "/repos/acme/app/issues?state=all&sort=updated&direction=asc&per_page=100";
        let cursor = "/repositories/123/issues?after=Y3Vyc29y&page=2";
        let mut pull_request = at(3, "2026-05-05T10:00:02Z");
        pull_request["pull_request"] = json!({});
        let second = format!("GET {list}&since=2026-05-05T10%3A00%3A02Z");
        let stage = Stage::new([
            linked(
                Canned::new(&format!("GET {list}"), 200, &json!([at(1, "2026-05-05T10:00:01Z"), pull_request])),
                "/n",
            ),
            linked(Canned::new(&second, 200, &json!([at(4, "2026-05-05T10:00:02Z")])), cursor),
            Canned::new(
                &format!("GET {cursor}"),
                200,
                &json!([at(5, "2026-05-05T10:00:02Z"), at(6, "2026-05-05T10:00:03Z")]),
            ),
        ]);
        let mut request = asked();
        let mut seen = Vec::new();
        loop {
            let page = stage.connector.reader().page(&credentials(), &request).await.expect("a page");
            seen.extend(page.objects.iter().map(|object| object.id.to_string()));
            request.token = page.next;
            if request.token.is_none() {
                break;
            }
        }
        assert_eq!(seen, ["1", "4", "5", "6"]);
        stage.ends();
    }

    #[tokio::test]
    async fn a_window_is_one_page_where_the_newest_rows_reach_across() {
        let newest = "GET /repos/acme/app/issues?state=all&sort=updated&direction=desc&per_page=100";
        let from = Millis(1_777_975_202_000);
        let window = Some(Window { from, until: from.plus(2_000) });
        let request = PageRequest { window, ..asked() };
        let rows = json!([
            at(4, "2026-05-05T10:00:04Z"),
            at(3, "2026-05-05T10:00:03Z"),
            at(2, "2026-05-05T10:00:02Z"),
            at(1, "2026-05-05T10:00:01Z"),
        ]);
        let stage = Stage::new([linked(Canned::new(newest, 200, &rows), "/n").header("etag", "\"a\"")]);
        let read = async || {
            let page = stage.connector.reader().page(&credentials(), &request).await.expect("a page");
            (page.objects.iter().map(|object| object.id.to_string()).collect::<Vec<_>>(), page.next)
        };
        assert_eq!(read().await, (vec!["2".to_owned(), "3".to_owned()], None));
        stage.then([Canned::new(newest, 304, &Value::Null).if_none_match("\"a\"")]);
        assert_eq!(read().await, (vec!["2".to_owned(), "3".to_owned()], None));

        let busy = json!([at(9, "2026-05-05T10:00:09Z"), at(4, "2026-05-05T10:00:04Z")]);
        let list = "GET /repos/acme/app/issues?state=all&sort=updated&direction=asc&per_page=100&since=2026-05-05T10%3A00%3A02Z";
        stage.then([
            linked(Canned::new(newest, 200, &busy).if_none_match("\"a\""), "/n"),
            linked(
                Canned::new(list, 200, &json!([at(2, "2026-05-05T10:00:02Z"), at(4, "2026-05-05T10:00:04Z")])),
                "/n",
            ),
        ]);
        assert_eq!(read().await, (vec!["2".to_owned()], None), "the walk ends where the window does");
        stage.ends();
    }

    #[test]
    fn times_are_whole_seconds() {
        assert_eq!(rfc3339(Millis(1_777_977_120_999)), "2026-05-05T10:32:00Z");
    }
}
