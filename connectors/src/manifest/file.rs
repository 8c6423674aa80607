//! A manifest's file: strict, and everything that is wrong with it told at once.

use std::{path::Path, sync::LazyLock};

use serde_json::Value;

use super::{check::Checker, laws, spec::Spec};
use crate::located::{self, Location, Problem, Problems, Report};

/// The largest file that is read.
pub const FILE_BYTES_MAX: usize = 256 * 1024;

/// A manifest in which everything is known to fit together.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    spec: Spec,
}

static SCHEMA: LazyLock<Value> = LazyLock::new(|| schemars::schema_for!(Spec).to_value());

/// The JSON Schema of manifests, generated from the types that they are decoded into.
pub fn json_schema() -> &'static Value {
    &SCHEMA
}

impl Manifest {
    /// Reads a manifest. `path` names it in messages.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Problems> {
        let report = Report::default();
        let spec = read(text, &report);
        match (spec, report.into_sorted()) {
            (Some(spec), list) if list.is_empty() => Ok(Self { spec }),
            (_, list) => Err(Problems { file: path.to_owned(), list }),
        }
    }

    /// What it says.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }
}

fn read(text: &str, report: &Report) -> Option<Spec> {
    let top = Location { line: 1, column: 1 };
    if text.len() > FILE_BYTES_MAX {
        let message = format!("the file is longer than {FILE_BYTES_MAX} bytes");
        report.add(top, "", message, "write one manifest for each provider");
        return None;
    }
    let root = match located::parse(text) {
        Ok(root) => root,
        Err(error) => {
            report.add(error.at, "", format!("this is not valid YAML: {}", error.message), error.remedy);
            return None;
        }
    };
    Checker::new(&SCHEMA, report).check(&root);
    if !report.is_empty() {
        return None;
    }
    match serde_json::from_value::<Spec>(root.to_json()) {
        Ok(spec) => {
            laws::check(&spec, &root, report);
            Some(spec)
        }
        Err(error) => {
            report.add(top, "", error.to_string(), "compare it with the reference of manifests");
            None
        }
    }
}

/// The problems of a file that cannot be read.
pub fn unreadable(path: &Path, error: &std::io::Error) -> Problems {
    let problem = Problem {
        at: Location { line: 1, column: 1 },
        path: String::new(),
        message: format!("the file cannot be read: {error}"),
        remedy: "allow this user to read the file".to_owned(),
    };
    Problems { file: path.to_owned(), list: vec![problem] }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = include_str!("../../manifests/zendesk-users.yaml");

    /// The smallest manifest.
    const SMALL: &str = r#"
manifest: 1
provider: small
title: Small
connection: {}
probe: {request: {get: /me}}
objects:
  things:
    list: {request: {get: /things}}
    by_id: {one: {request: {get: "/things/{id}"}}}
"#;

    fn problems(text: &str) -> Vec<String> {
        match Manifest::parse(text, Path::new("m.yaml")) {
            Ok(_) => Vec::new(),
            Err(problems) => problems
                .list
                .iter()
                .map(|problem| {
                    let Problem { at, path, message, remedy } = problem;
                    format!("{}:{}: {path}: {message}; {remedy}", at.line, at.column)
                })
                .collect(),
        }
    }

    #[test]
    fn good_manifests_are_read() {
        for text in [SMALL, USERS] {
            assert_eq!(problems(text), [] as [&str; 0]);
        }
    }

    /// Each case changes the small manifest in one place.
    #[test]
    fn every_problem_has_its_place_and_remedy() {
        let mut missed = Vec::new();
        for (old, new, expected) in [
            ("manifest: 1", "manifest: 2", "2:11: manifest: 2 is out of range; use a number from 1 to 1"),
            (
                "manifest: 1",
                "manifest: one",
                "2:11: manifest: expected a whole number, found `one`; write the number without quotes",
            ),
            ("title: Small\n", "", "2:1: : `title` is missing; The name that people use."),
            ("title: Small", "title: [a]", "4:8: title: expected a text, found a list; write it in double quotes"),
            ("title: Small", "titel: Small\ntitle: x", "4:1: : unknown key `titel`; did you mean `title`?"),
            (
                "title: Small",
                "title: Small\ntitle: x",
                "5:1: : the key `title` is repeated; keep one of them and remove the others",
            ),
            (
                "provider: small",
                "provider: Small",
                "3:11: provider: `Small` is no provider's name; use at most 40 small letters, digits and dashes, beginning with a letter",
            ),
            (
                "{get: /things}",
                "{pots: /things}",
                "9:22: objects.things.list.request: unknown key `pots`; did you mean `post`?",
            ),
            (
                "{get: /things}",
                "{get: things}",
                "9:21: objects.things.list.request: the path of a call begins with a slash; write it like `/users/{id}`",
            ),
            (
                "{get: /things}",
                "{get: /a, post: /b}",
                "9:21: objects.things.list.request: a call has exactly one method; give one of `get`, `post`, `put`, `patch`, `delete`",
            ),
            (
                "{get: /things}",
                "{get: \"/things?x={ofset}\"}",
                "9:27: objects.things.list.request.get: nothing is called `ofset`; did you mean `offset`?",
            ),
            (
                "{get: /things}",
                "{get: /things, query: {a: {b: [\"{sinse}\"]}}}",
                "9:52: objects.things.list.request.query.a.b.0: nothing is called `sinse`; did you mean `since`?",
            ),
            (
                "/things/{id}",
                "/things/{ids|first}",
                "10:28: objects.things.by_id.one.request: `ids` is not known here; look up one of: `settings`, `client_id`, `fields`, `id`",
            ),
            (
                "{get: /things}}",
                "{get: /things}, page: ofset}",
                "9:43: objects.things.list.page: `ofset` is not known here; did you mean `offset`?",
            ),
            (
                "{get: /things}}",
                "{get: /things}, page: offset}",
                "9:21: objects.things.list.request: paging by `offset` needs `{offset}` in the call; look it up in a parameter or in the body",
            ),
            (
                "{get: /things}}",
                "{get: /things}, page: {tokn: {path: a}}}",
                "9:44: objects.things.list.page: unknown key `tokn`; did you mean `token`?",
            ),
            (
                "{get: /things}}",
                "{get: /things}, lag: 5}",
                "9:42: objects.things.list.lag: expected a span of time, found `5`; write a whole number and a unit: 500ms, 15s, 5m, 24h, 7d",
            ),
            (
                "{get: /things}}",
                "{get: /things}, rows: a..b}",
                "9:43: objects.things.list.rows: `a..b` is no path: a key is empty; write keys with dots, places and conditions in brackets: `user.id`, `errors[0].code`, `phones[type=work].number`; `.` is the whole",
            ),
            (
                "{get: /things}}",
                "{get: /things}, order: stamp}",
                "9:11: objects.things.list: rows without a stamp have no order by it; give the object its `version`, or say `order: id`",
            ),
            (
                "{get: /things}",
                "{get: \"/{settings.site}\"}",
                "9:21: objects.things.list.request: there is no setting `site`; add `site` to `settings`",
            ),
            (
                "{get: /things}",
                "{get: \"{after_id}\"}",
                "9:21: objects.things.list.request: the path of a call begins with a slash",
            ),
            (
                "{get: /things}}",
                "{get: /x, headers: {a: \"{settings.site}\"}}}",
                "9:21: objects.things.list.request: there is no setting `site`; add `site` to `settings`",
            ),
            (
                "connection: {}",
                "connection: {hosts: [acme]}",
                "5:22: connection.hosts.0: `acme` is no host; write `api.example.com`, or `*.example.com` for any host below it",
            ),
            (
                "connection: {}",
                "connection: {base_url: \"http://example.com\"}",
                "5:24: connection.base_url: `http://example.com` is not https",
            ),
            (
                "connection: {}",
                "connection: {}\nauth: {send: {basik: {}}}",
                "6:15: auth.send: unknown key `basik`; did you mean `basic`?",
            ),
            (
                "connection: {}",
                "connection: {}\nauth: {send: {basic: {credentials: \"x\"}}}",
                "6:36: auth.send.basic.credentials: the token does not go with the call; look up `{token}`",
            ),
            (
                "connection: {}",
                "connection: {}\nerrors: {rules: [{when: {status: 4x}, then: wate}]}",
                "6:34: errors.rules.0.when.status: `4x` is no status; write a number such as 409, or `4xx`",
            ),
            (
                "connection: {}",
                "connection: {}\nerrors: {rules: [{when: {verb: red}, then: wate}]}",
                "6:44: errors.rules.0.then: `wate` is not known here; did you mean `wait`?",
            ),
            (
                "connection: {}",
                "connection: {}\nerrors: {rules: [{when: {}, then: wait, budget: x}]}",
                "6:49: errors.rules.0.budget: `limits` has no budget `x`",
            ),
            (
                "connection: {}",
                "connection: {}\nsettings: {site: {type: text, default: 1}}",
                "6:40: settings.site.default: `site` is a text; ",
            ),
            (
                "connection: {}",
                "connection: {}\nwebhooks: {verify: {algorithm: hmac_sha256, header: x, message: \"{timestamp}\"}, event: [{object: thing, id: id}]}",
                "6:98: webhooks.event.0.object: there is no object `thing`; did you mean `things`?",
            ),
            (
                "{get: /things}}",
                "{get: /things}, page: keyset}",
                "9:21: objects.things.list.request: paging by `keyset` needs `{after_id}`",
            ),
            ("manifest: 1", "manifest: 1\n\t- x", "this is not valid YAML"),
        ] {
            assert!(SMALL.contains(old), "{old}");
            let found = problems(&SMALL.replacen(old, new, 1));
            if !found.iter().any(|problem| problem.contains(expected)) {
                missed.push(format!("{expected}\n    {found:#?}"));
            }
        }
        assert!(missed.is_empty(), "{}", missed.join("\n"));
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let text = SMALL
            .replace("title: Small", "titel: Small")
            .replace("{get: /things}", "{gett: /things}")
            .replace("connection: {}", "connection: {hosts: x}");
        let found = problems(&text);
        assert_eq!(found.len(), 4, "{found:#?}");
        assert!(problems(&"a".repeat(FILE_BYTES_MAX + 1))[0].contains("longer than 262144 bytes"));
    }

    /// Whatever is done to a manifest, reading it ends with a manifest or with problems. The changes follow a fixed seed.
    #[test]
    fn no_text_makes_the_reader_panic() {
        let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut next = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap_or(0) % below.max(1)
        };
        let pieces = [
            "{", "}", "[", "]", ":", "|", "\n", "  ", "- ", "\"", "{id}", "{since|", "null", "...", "$if", "*", "&a ",
            "*a", "é", "%", "\\", "0", "4xx", "~",
        ];
        let texts = [SMALL, USERS];
        for round in 0..3_000 {
            let source = texts[round % texts.len()];
            let mut text: Vec<char> = source.chars().collect();
            for _ in 0..=next(4) {
                let (at, length) = (next(text.len()), next(12));
                let end = (at + length).min(text.len());
                let piece = pieces[next(pieces.len())];
                text.splice(at..end, piece.chars());
            }
            let text: String = text.into_iter().collect();
            if let Err(problems) = Manifest::parse(&text, Path::new("m.yaml")) {
                assert!(!problems.list.is_empty() && !problems.to_string().is_empty());
            }
        }
    }
}
