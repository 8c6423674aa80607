//! Lists and windows, by every kind of paging.

use serde_json::{Value, json};
use syncline_core::{
    remote::{PageRequest, Position, ProviderError, Remedy, Window},
    time::Millis,
};

use super::super::canned::{Canned, Stage, credentials, first};

const BASE: i64 = 1_777_977_120_000; // 2026-05-05T10:32:00Z

fn at(seconds: i64) -> Millis {
    Millis(BASE + seconds * 1_000)
}

fn row(id: &str, seconds: i64) -> Value {
    let text = at(seconds).to_rfc3339();
    json!({"id": id, "name": format!("Thing {id}"), "updated": text})
}

fn object(list: &str) -> String {
    format!(
        "version: {{path: updated, precision: 1s}}\nby_id: {{one: {{request: {{get: \"/things/{{id}}\"}}}}}}\nlist:\n  {}",
        list.replace('\n', "\n  ")
    )
}

/// Reads pages until there are no more; the ids of each.
async fn walk(stage: &Stage, mut request: PageRequest) -> Result<Vec<String>, ProviderError> {
    let mut pages = Vec::new();
    loop {
        let page = stage.connector.reader().page(&credentials(), &request).await?;
        let ids: Vec<&str> = page.objects.iter().map(|object| object.id.as_str()).collect();
        pages.push(ids.join(" "));
        assert!(pages.len() < 20, "the walk does not end: {pages:?}");
        match page.next {
            Some(token) => request.token = Some(token),
            None => return Ok(pages),
        }
    }
}

#[tokio::test]
async fn every_kind_of_paging_reads_everything() {
    let rows = |ids: &[&str]| Value::Array(ids.iter().map(|id| row(id, 0)).collect());
    let cases: Vec<(&str, Vec<Canned>, Vec<&str>)> = vec![
        (
            "request: {get: /things}\nrows: data",
            vec![Canned::new("GET /v1/things", 200, &json!({"data": rows(&["1", "2", "3"])}))],
            vec!["1 2 3"],
        ),
        (
            "request: {get: /things, query: {after: \"{after_id}\", limit: \"{limit}\"}}\npage: keyset",
            vec![
                Canned::new("GET /v1/things?limit=2", 200, &rows(&["1", "2"])),
                Canned::new("GET /v1/things?after=2&limit=2", 200, &rows(&["3"])),
                Canned::new("GET /v1/things?after=3&limit=2", 200, &rows(&[])),
            ],
            vec!["1 2", "3", ""],
        ),
        (
            "request: {get: /things, query: {after: \"{after_id}\", limit: \"{limit}\"}}\npage: keyset\nshort_page_ends: true",
            vec![
                Canned::new("GET /v1/things?limit=2", 200, &rows(&["1", "2"])),
                Canned::new("GET /v1/things?after=2&limit=2", 200, &rows(&["3"])),
            ],
            vec!["1 2", "3"],
        ),
        (
            // The second page begins with the last row of the first.
            "request: {get: /things, query: {offset: \"{offset}\"}}\npage: offset",
            vec![
                Canned::new("GET /v1/things?offset=0", 200, &rows(&["1", "2"])),
                Canned::new("GET /v1/things?offset=1", 200, &rows(&["2", "3"])),
                Canned::new("GET /v1/things?offset=2", 200, &rows(&["3"])),
            ],
            vec!["1 2", "2 3", "3"],
        ),
        (
            // Row 1 is deleted meanwhile, so that row 3 would be stepped over.
            "request: {get: /things, query: {offset: \"{offset}\"}}\npage: offset\ntotal: total\nrows: rows",
            vec![
                Canned::new("GET /v1/things?offset=0", 200, &json!({"rows": rows(&["1", "2"]), "total": 4})),
                Canned::new("GET /v1/things?offset=1", 200, &json!({"rows": rows(&["3", "4"]), "total": 3})),
                Canned::new("GET /v1/things?offset=0", 200, &json!({"rows": rows(&["2", "3"]), "total": 3})),
                Canned::new("GET /v1/things?offset=1", 200, &json!({"rows": rows(&["3", "4"]), "total": 3})),
            ],
            vec!["1 2", "3 4", "2 3", "3 4"],
        ),
        (
            "request: {get: /things, query: {page: \"{page}\"}}\npage: page\ntotal: total\nrows: rows",
            vec![
                Canned::new("GET /v1/things?page=1", 200, &json!({"rows": rows(&["1", "2"]), "total": 4})),
                // Row 1 is deleted meanwhile, so that row 3 has moved into the first page.
                Canned::new("GET /v1/things?page=2", 200, &json!({"rows": rows(&["4"]), "total": 3})),
                Canned::new("GET /v1/things?page=1", 200, &json!({"rows": rows(&["2", "3"]), "total": 3})),
                Canned::new("GET /v1/things?page=2", 200, &json!({"rows": rows(&["4"]), "total": 3})),
                Canned::new("GET /v1/things?page=3", 200, &json!({"rows": [], "total": 3})),
            ],
            vec!["1 2", "4", "2 3", "4", ""],
        ),
        (
            "request: {get: /things}\npage: link",
            vec![
                Canned::new("GET /v1/things", 200, &rows(&["1"]))
                    .header("link", "<https://api.example.com/v1/things?page=2>; rel=\"next\", </v1/x>; rel=\"last\""),
                Canned::new("GET /v1/things?page=2", 200, &rows(&["2"])).header("link", "</v1/things>; rel=\"prev\""),
            ],
            vec!["1", "2"],
        ),
        (
            "request: {get: /things}\nrows: rows\npage: {next_url: links.next}",
            vec![
                Canned::new(
                    "GET /v1/things",
                    200,
                    &json!({"rows": rows(&["1"]), "links": {"next": "/v1/things?c=a%2Bb"}}),
                ),
                Canned::new("GET /v1/things?c=a+b", 200, &json!({"rows": rows(&["2"]), "links": {"next": null}})),
            ],
            vec!["1", "2"],
        ),
        (
            "request: {post: /search, json: {limit: \"{limit}\", after: \"{cursor}\"}}\nrows: rows\npage: {token: {path: next}}",
            vec![
                Canned::new("POST /v1/search", 200, &json!({"rows": rows(&["1"]), "next": 7})).sent("{\"limit\":2}"),
                Canned::new("POST /v1/search", 200, &json!({"rows": rows(&["2"])}))
                    .sent("{\"after\":\"7\",\"limit\":2}"),
            ],
            vec!["1", "2"],
        ),
        (
            "request: {get: /things, query: {c: \"{cursor}\"}}\npage: {token: {header: x-next}}",
            vec![
                Canned::new("GET /v1/things", 200, &rows(&[])).header("x-next", "b"),
                Canned::new("GET /v1/things?c=b", 200, &rows(&["1"])),
            ],
            vec!["", "1"],
        ),
    ];
    for (list, answers, expected) in cases {
        let stage = Stage::new("", &object(list), answers);
        assert_eq!(walk(&stage, first()).await.expect("a walk"), expected, "{list}");
        stage.ends();
    }
}

#[tokio::test]
async fn a_walk_that_cannot_go_on_says_so() {
    for (list, answer, expected) in [
        (
            "request: {get: /things}\npage: link",
            Canned::new("GET /v1/things", 200, &json!([row("1", 0)]))
                .header("link", "<https://evil.com/>; rel=\"next\""),
            Remedy::Configure,
        ),
        (
            "request: {get: /things, query: {c: \"{cursor}\"}}\nrows: rows\npage: {token: {path: next}}\nend: [{path: done, equals: true}]",
            Canned::new("GET /v1/things", 200, &json!({"rows": [row("1", 0)], "done": false})),
            Remedy::Restart,
        ),
        (
            "request: {get: /things}\nrows: rows",
            Canned::new("GET /v1/things", 200, &json!({"data": []})),
            Remedy::Retry,
        ),
        ("request: {get: /things}", Canned::new("GET /v1/things", 500, &json!({})), Remedy::Retry),
        (
            "request: {get: /things, query: {a: \"{after_id}\"}}\npage: keyset",
            Canned::new("GET /v1/things", 200, &json!([{"name": "nameless"}])),
            Remedy::Retry,
        ),
    ] {
        let stage = Stage::new("", &object(list), [answer]);
        assert_eq!(walk(&stage, first()).await.map_err(|error| error.remedy), Err(expected), "{list}");
    }
    let stage = Stage::new("", &object("request: {get: /things}"), []);
    let foreign = PageRequest { token: Some("of another version".into()), ..first() };
    assert_eq!(walk(&stage, foreign).await.map_err(|error| error.remedy), Err(Remedy::Restart));
}

/// Rows that change move to the end, and those behind them one place forward: each page begins where the last one ended.
#[tokio::test]
async fn pages_that_count_rows_begin_at_the_last_stamp() {
    let list =
        "request: {get: /things, query: {since: \"{since|iso8601}\", page: \"{page}\"}}\norder: stamp\npage: page";
    let stage = Stage::new(
        "",
        &object(list),
        [
            Canned::new("GET /v1/things?page=1&since=2026-05-05T10:32:00Z", 200, &json!([row("1", 1), row("2", 2)])),
            // The whole page stands in the second in which it began, so that its own next page is followed.
            Canned::new("GET /v1/things?page=1&since=2026-05-05T10:32:02Z", 200, &json!([row("2", 2), row("3", 2)])),
            Canned::new("GET /v1/things?page=2&since=2026-05-05T10:32:02Z", 200, &json!([row("4", 2), row("5", 9)])),
            Canned::new("GET /v1/things?page=1&since=2026-05-05T10:32:09Z", 200, &json!([row("5", 9), row("6", 20)])),
        ],
    );
    let window = Some(Window { from: at(0), until: at(20) });
    assert_eq!(walk(&stage, PageRequest { window, ..first() }).await.expect("a walk"), ["1 2", "2 3", "4 5", "5"]);
    stage.ends();
}

#[tokio::test]
async fn a_window_that_nothing_asks_for_is_cut_out_of_the_list() {
    let answer = json!([row("1", 1), row("2", 5), row("3", 30), {"id": "4", "updated": null}, {"id": "5"}]);
    let stage = Stage::new("", &object("request: {get: /things}"), [Canned::new("GET /v1/things", 200, &answer)]);
    let window = Some(Window { from: at(2), until: at(30) });
    let page = stage.connector.reader().page(&credentials(), &PageRequest { window, ..first() }).await.expect("a page");
    let ids: Vec<(&str, bool)> =
        page.objects.iter().map(|object| (object.id.as_str(), object.version.is_some())).collect();
    // What has no stamp is asked for by its id.
    assert_eq!(ids, [("2", true), ("4", false)]);
    assert_eq!((page.malformed.len(), page.malformed[0].reason.as_str()), (1, "the row has no updated"));
}

#[tokio::test]
async fn a_walk_goes_on_from_its_position_without_a_token() {
    let after = Some(Position { stamp: at(5), id: "2".into() });
    let by_stamp = "request: {get: /things, query: {since: \"{since|epoch_s}\"}}\norder: stamp\npage: {token: {path: next}}\nstable: true\nrows: rows";
    let answer = json!({"rows": [row("1", 3), row("2", 5), row("3", 5)]});
    let stage = Stage::new(
        "",
        &object(&by_stamp.replace("since|epoch_s}\"", "since|epoch_s}\", c: \"{cursor}\"")),
        [Canned::new("GET /v1/things?since=1777977125", 200, &answer)],
    );
    let page = stage.connector.reader().page(&credentials(), &PageRequest { after: after.clone(), ..first() }).await;
    let stamps: Vec<bool> = page.expect("a page").objects.iter().map(|object| object.version.is_some()).collect();
    assert_eq!(stamps, [false, false, true], "what the position has passed says nothing of its place");

    let by_id = "request: {get: /things, query: {after: \"{after_id}\"}}\npage: keyset";
    let stage = Stage::new("", &object(by_id), [Canned::new("GET /v1/things?after=2", 200, &json!([]))]);
    assert_eq!(walk(&stage, PageRequest { after, ..first() }).await.expect("a walk"), [""]);
}

#[tokio::test]
async fn deletes_are_told_by_every_kind_of_list() {
    let window = Window { from: at(0), until: at(100) };
    let changes = "request: {get: /things, query: {since: \"{since|epoch_s}\"}}\norder: stamp\nlag: 10s";
    let flagged = json!([row("1", 1), {"id": "2", "updated": "2026-05-05T10:32:01Z", "gone": true}]);
    let cases = [
        (
            format!("{}\ndeletes: changes\ndeleted: {{when: [{{path: gone, equals: true}}]}}", object(changes)),
            Some(Canned::new("GET /v1/things?since=1777977120", 200, &flagged)),
            Some((vec!["2"], at(90))),
        ),
        (
            format!(
                "{}\ndeletes:\n  feed:\n    list: {{request: {{get: /log, query: {{from: \"{{since|iso8601}}\"}}}}, rows: log, overlap: 0s}}\n    id: item\n    at: at\n    format: epoch_s\n    when: [{{path: what, equals: delete}}]\n    covered: until",
                object("request: {get: /things}")
            ),
            Some(Canned::new(
                "GET /v1/log?from=2026-05-05T10:32:00Z",
                200,
                &json!({"log": [{"item": 7, "at": 1_777_977_121, "what": "delete"}, {"item": 8, "at": 1_777_977_122, "what": "edit"}], "until": 1_777_977_180}),
            )),
            Some((vec!["7"], at(60))),
        ),
        (object("request: {get: /things}"), None, None),
        (
            format!("{}\ndeletes: {{archived: {{request: {{get: /archive}}}}}}", object("request: {get: /things}")),
            None,
            None,
        ),
    ];
    for (object, answer, expected) in cases {
        let stage = Stage::new("", &object, answer);
        let told = stage.connector.reader().deleted(&credentials(), &"things".into(), window).await.expect("an answer");
        let told = told.map(|told| (told.ids.iter().map(ToString::to_string).collect::<Vec<_>>(), told.covered_until));
        let expected = expected.map(|(ids, until)| (ids.into_iter().map(str::to_owned).collect(), until));
        assert_eq!(told, expected, "{object}");
        stage.ends();
    }
}

#[tokio::test]
async fn an_archive_is_listed_as_deleted_and_a_feed_remembers_so_long() {
    let archived =
        format!("{}\ndeletes: {{archived: {{request: {{get: /archive}}}}}}", object("request: {get: /things}"));
    let stage = Stage::new("", &archived, [Canned::new("GET /v1/archive", 200, &json!([row("1", 0)]))]);
    let page = stage.connector.reader().page(&credentials(), &PageRequest { deleted: true, ..first() }).await;
    assert!(page.expect("a page").objects[0].deleted);

    let feed = format!(
        "{}\ndeletes: {{feed: {{list: {{request: {{get: /log}}}}, id: item, remembers: 1d}}}}",
        object("request: {get: /things}")
    );
    let stage = Stage::new("", &feed, []);
    let window = Window { from: at(0), until: at(200_000) };
    let told = stage.connector.reader().deleted(&credentials(), &"things".into(), window).await;
    assert_eq!(told.map_err(|error| error.remedy), Err(Remedy::Resync));
}
