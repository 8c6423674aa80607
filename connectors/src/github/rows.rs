//! Issues and comments as GitHub shows them, in lists and one by one.

use std::collections::BTreeMap;

use serde_json::Value;
use syncline_core::{
    ids::{ExternalId, ObjectName},
    remote::{MalformedRow, ProviderError, Raw, Remedy, RemoteObject, RemoteVersion},
    time::Millis,
};

use super::marker;
use crate::rest::{fields, stamp};

/// GitHub stamps whole seconds.
pub(super) const PRECISION_MS: u32 = 1_000;

/// What answers to the opening of an issue, such as a robot that labels it, does so within this time.
const OPENING_MS: i64 = 60_000;

/// What can be read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// Issues, by their number in the repository.
    Issues,
    /// Comments on issues, by their id.
    Comments,
}

impl Kind {
    /// The kind that an object's name means.
    pub(super) fn of(object: &ObjectName) -> Result<Self, ProviderError> {
        match object.as_str() {
            "issues" => Ok(Self::Issues),
            "comments" => Ok(Self::Comments),
            other => Err(ProviderError {
                remedy: Remedy::Configure,
                message: format!("`{other}` is no object of GitHub: write `issues` or `comments`"),
            }),
        }
    }

    /// The path of their list, and of a single one before its id.
    pub(super) fn collection(self) -> &'static str {
        match self {
            Self::Issues => "/issues",
            Self::Comments => "/issues/comments",
        }
    }

    /// The path of a single one; `None` where an id can be nobody's.
    pub(super) fn path(self, id: &ExternalId) -> Option<String> {
        let number: u64 = id.as_str().parse().ok()?;
        Some(format!("{}/{number}", self.collection()))
    }
}

/// How rows are to be read.
#[derive(Clone, Copy)]
pub(super) struct Shape<'a> {
    pub(super) kind: Kind,
    pub(super) fields: &'a [String],
}

/// A row of a list. What it says of the walk is known even where it is not ours to read.
#[derive(Debug)]
pub(super) struct Row {
    /// When it was modified.
    pub(super) modified: Option<Millis>,
    /// When it was created.
    pub(super) created: Option<Millis>,
    /// What it is.
    pub(super) shown: Shown,
}

/// What a row is.
#[derive(Debug)]
pub(super) enum Shown {
    /// An object.
    Object(Box<RemoteObject>),
    /// A pull request, or a comment on one: GitHub lists them among the issues.
    PullRequest,
    /// A row that cannot be read.
    Malformed(Box<MalformedRow>),
}

impl Row {
    /// The object, where it is one.
    pub(super) fn object(self) -> Option<RemoteObject> {
        match self.shown {
            Shown::Object(object) => Some(*object),
            Shown::PullRequest | Shown::Malformed(_) => None,
        }
    }
}

impl Shape<'_> {
    /// Reads a row.
    pub(super) fn row(self, value: Value) -> Row {
        let time = |name: &str| value.get(name).and_then(stamp::read);
        let (modified, created) = (time("updated_at"), time("created_at"));
        let shown = match self.shown(value, modified) {
            Ok(Some(object)) => Shown::Object(Box::new(object)),
            Ok(None) => Shown::PullRequest,
            Err(malformed) => Shown::Malformed(Box::new(malformed)),
        };
        Row { modified, created, shown }
    }

    /// Reads an object that was asked for by name; `None` where it is a pull request.
    pub(super) fn object(self, value: Value) -> Result<Option<RemoteObject>, ProviderError> {
        let modified = value.get("updated_at").and_then(stamp::read);
        self.shown(value, modified).map_err(|malformed| ProviderError {
            remedy: Remedy::Retry,
            message: format!("object {}: {}", malformed.id.as_ref().map_or("?", |id| id.as_str()), malformed.reason),
        })
    }

    fn shown(self, value: Value, modified: Option<Millis>) -> Result<Option<RemoteObject>, MalformedRow> {
        let malformed = |id, reason: &str, raw| Err(MalformedRow { id, reason: reason.to_owned(), raw });
        let name = match self.kind {
            Kind::Issues => "number",
            Kind::Comments => "id",
        };
        let Some(id) = value.get(name).and_then(Value::as_u64).map(|id| ExternalId::from(id.to_string())) else {
            return malformed(None, &format!("the row has no `{name}`"), value);
        };
        if is_about_pull_request(self.kind, &value) {
            return Ok(None);
        }
        let Some(stamp) = modified else {
            return malformed(Some(id), "the row has no readable `updated_at`", value);
        };
        // Read as an empty list it would look as if somebody had emptied it.
        if let Some(name) = ["labels", "assignees"].into_iter().find(|name| is_no_list(&value, name)) {
            return malformed(Some(id), &format!("the row's `{name}` is no list"), value);
        }
        let Value::Object(row) = value else { return malformed(Some(id), "the row is no object", value) };
        Ok(Some(RemoteObject {
            id,
            aliases: Vec::new(),
            deleted: false,
            version: Some(RemoteVersion { stamp, precision_ms: PRECISION_MS }),
            author: None,
            fields: fields::pick(&plain(self.kind, row), self.fields),
            history: BTreeMap::new(),
        }))
    }
}

fn is_no_list(row: &Value, name: &str) -> bool {
    row.get(name).is_some_and(|value| !value.is_array())
}

fn is_about_pull_request(kind: Kind, row: &Value) -> bool {
    match kind {
        Kind::Issues => row.get("pull_request").is_some_and(|mark| !mark.is_null()),
        Kind::Comments => row.get("html_url").and_then(Value::as_str).is_some_and(|page| page.contains("/pull/")),
    }
}

/// A row with plain values in place of nested ones, under GitHub's names: labels, assignees, milestone and type by what people
/// call them, the text without its marker. What else GitHub shows can be read by its path, such as `user.login`.
fn plain(kind: Kind, mut row: Raw) -> Raw {
    let parts = row.get("body").and_then(Value::as_str).map(marker::read).unwrap_or_default();
    row.insert("body".to_owned(), parts.text.clone().map_or(Value::Null, Value::String));
    row.insert(marker::FIELD.to_owned(), parts.key.clone().map_or(Value::Null, Value::String));
    match kind {
        Kind::Issues => {
            if parts.opening && is_as_opened(&row) {
                row.retain(|name, _| !matches!(name.as_str(), "state" | "state_reason"));
            }
            replace(&mut row, "labels", |labels| names(labels, "name"));
            replace(&mut row, "assignees", |assignees| names(assignees, "login"));
            for path in ["milestone.number", "milestone.due_on", "milestone.state"] {
                if let Some(value) = nested(&row, path) {
                    row.insert(path.to_owned(), value);
                }
            }
            replace(&mut row, "milestone", |milestone| member(milestone, "title"));
            replace(&mut row, "type", |ty| member(ty, "name"));
            // Some answers to a reopening name this reason, and later ones none.
            if row.get("state_reason").is_some_and(|reason| reason == "reopened") {
                row.insert("state_reason".to_owned(), Value::Null);
            }
        }
        Kind::Comments => {
            let issue = row.get("issue_url").and_then(Value::as_str).and_then(number_at_end);
            row.insert("issue".to_owned(), issue.map_or(Value::Null, Value::from));
        }
    }
    row
}

/// Whether an issue that was opened to be closed is still as it was opened: that it is open is nobody's wish then, and is not shown on.
/// Once somebody has touched it later, its state is shown as it is.
fn is_as_opened(row: &Raw) -> bool {
    let time = |name: &str| row.get(name).and_then(stamp::read);
    let (created, modified) = (time("created_at"), time("updated_at"));
    let fresh = created.zip(modified).is_some_and(|(created, modified)| modified.0 - created.0 <= OPENING_MS);
    fresh && row.get("state").is_some_and(|state| state == "open")
}

fn replace(row: &mut Raw, name: &str, plain: impl Fn(&Value) -> Value) {
    if let Some(value) = row.get_mut(name) {
        *value = plain(value);
    }
}

/// The names of a list's members; some answers hold names instead of members.
fn names(list: &Value, name: &str) -> Value {
    let members = list.as_array().map(Vec::as_slice).unwrap_or_default();
    members.iter().map(|value| member(value, name)).filter(|value| !value.is_null()).collect()
}

fn member(value: &Value, name: &str) -> Value {
    match value {
        Value::Object(object) => object.get(name).cloned().unwrap_or_default(),
        other => other.clone(),
    }
}

fn nested(row: &Raw, path: &str) -> Option<Value> {
    let (head, tail) = path.split_once('.')?;
    row.get(head)?.get(tail).cloned()
}

fn number_at_end(address: &str) -> Option<u64> {
    address.rsplit('/').next()?.parse().ok()
}

/// An object that is gone. GitHub says so without saying since when: the time of its answer stands for it. Without an answer
/// that says so it is nowhere to be found, which the missing version tells.
pub(super) fn gone(id: ExternalId, told: Option<Millis>) -> RemoteObject {
    RemoteObject {
        id,
        aliases: Vec::new(),
        deleted: true,
        version: told.map(|stamp| RemoteVersion { stamp, precision_ms: PRECISION_MS }),
        author: None,
        fields: Raw::new(),
        history: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(kind: Kind, fields: &[&str], value: Value) -> Row {
        let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
        Shape { kind, fields: &fields }.row(value)
    }

    fn issue() -> Value {
        json!({
            "id": 3001, "number": 7, "state": "closed", "state_reason": "completed", "title": "Broken",
            "body": "One\r\nTwo\r\n\r\n<!-- syncline:k1 -->", "user": {"login": "ann", "id": 1},
            "labels": [{"id": 1, "name": "bug"}, "plain"], "assignees": [{"login": "ben"}, {"login": "cleo"}],
            "milestone": {"number": 2, "title": "v2", "state": "open"}, "type": {"name": "Task"}, "comments": 3,
            "created_at": "2026-05-05T10:00:00Z", "updated_at": "2026-05-05T10:32:00Z",
        })
    }

    #[test]
    fn an_issue_is_plain() {
        let fields = [
            "title",
            "body",
            "syncline_id",
            "labels",
            "assignees",
            "milestone",
            "milestone.number",
            "type",
            "user.login",
            "state_reason",
            "comments",
            "misspelt",
        ];
        let row = read(Kind::Issues, &fields, issue());
        assert_eq!((row.created, row.modified), (Some(Millis(1_777_975_200_000)), Some(Millis(1_777_977_120_000))));
        let object = row.object().expect("an issue");
        assert_eq!((object.id.as_str(), object.deleted), ("7", false));
        assert_eq!(object.version, Some(RemoteVersion { stamp: Millis(1_777_977_120_000), precision_ms: 1_000 }));
        let expected = json!({
            "title": "Broken", "body": "One\nTwo", "syncline_id": "k1", "labels": ["bug", "plain"],
            "assignees": ["ben", "cleo"], "milestone": "v2", "milestone.number": 2, "type": "Task", "user.login": "ann",
            "state_reason": "completed", "comments": 3,
        });
        assert_eq!(Value::Object(object.fields), expected);
    }

    #[test]
    fn what_is_empty_is_null_and_a_reopening_gives_no_reason() {
        let mut value = issue();
        for (name, empty) in [("body", json!("")), ("milestone", json!(null)), ("type", json!(null))] {
            value[name] = empty;
        }
        value["labels"] = json!([]);
        value["state_reason"] = json!("reopened");
        let fields = ["body", "syncline_id", "labels", "milestone", "milestone.number", "type", "state_reason"];
        let object = read(Kind::Issues, &fields, value).object().expect("an issue");
        let expected = json!({
            "body": null, "syncline_id": null, "labels": [], "milestone": null, "milestone.number": null,
            "type": null, "state_reason": null,
        });
        assert_eq!(Value::Object(object.fields), expected);
    }

    #[test]
    fn an_issue_that_waits_to_be_closed_shows_no_state() {
        let cases = [
            ("<!-- syncline:k opening -->", "open", "2026-05-05T10:00:30Z", false),
            ("<!-- syncline:k opening -->", "open", "2026-05-05T10:05:00Z", true),
            ("<!-- syncline:k opening -->", "closed", "2026-05-05T10:00:30Z", true),
            ("<!-- syncline:k -->", "open", "2026-05-05T10:00:00Z", true),
        ];
        for (body, state, updated_at, shown) in cases {
            let mut value = issue();
            for (name, text) in [("body", body), ("state", state), ("updated_at", updated_at)] {
                value[name] = json!(text);
            }
            let object =
                read(Kind::Issues, &["state", "state_reason", "syncline_id"], value).object().expect("an issue");
            assert_eq!(object.fields["syncline_id"], "k");
            assert_eq!(object.fields.contains_key("state"), shown, "{body} {state} {updated_at}");
            assert_eq!(object.fields.contains_key("state_reason"), shown, "{body} {state} {updated_at}");
        }
    }

    #[test]
    fn a_comment_names_its_issue() {
        let value = json!({
            "id": 55, "body": "Yes", "issue_url": "https://api.github.com/repos/acme/app/issues/7",
            "html_url": "https://github.com/acme/app/issues/7#issuecomment-55",
            "created_at": "2026-05-05T10:00:00Z", "updated_at": "2026-05-05T10:32:00Z",
        });
        let object = read(Kind::Comments, &["body", "issue"], value.clone()).object().expect("a comment");
        assert_eq!((object.id.as_str(), Value::Object(object.fields)), ("55", json!({"body": "Yes", "issue": 7})));
        let mut on_pull_request = value;
        on_pull_request["html_url"] = json!("https://github.com/acme/app/pull/7#issuecomment-55");
        assert!(matches!(read(Kind::Comments, &[], on_pull_request).shown, Shown::PullRequest));
    }

    #[test]
    fn pull_requests_are_told_and_malformed_rows_kept() {
        let mut pull_request = issue();
        pull_request["pull_request"] = json!({"url": "https://api.github.com/repos/acme/app/pulls/7"});
        let row = read(Kind::Issues, &[], pull_request);
        assert!(matches!(row.shown, Shown::PullRequest) && row.modified.is_some());

        for (value, id, reason) in [
            (json!("x"), None, "no `number`"),
            (json!({"number": "7"}), None, "no `number`"),
            (json!({"number": 7}), Some("7"), "no readable `updated_at`"),
            (json!({"number": 7, "updated_at": "soon"}), Some("7"), "no readable `updated_at`"),
            (
                json!({"number": 7, "updated_at": "2026-05-05T10:32:00Z", "labels": "bug"}),
                Some("7"),
                "`labels` is no list",
            ),
        ] {
            let Shown::Malformed(malformed) = read(Kind::Issues, &[], value.clone()).shown else { panic!("{value}") };
            assert_eq!((&malformed.id, &malformed.raw), (&id.map(ExternalId::from), &value));
            assert!(malformed.reason.contains(reason), "{}", malformed.reason);
        }
    }

    #[test]
    fn only_numbers_are_ids() {
        for (id, expected) in [
            ("7", Some("/issues/7")),
            ("007", Some("/issues/7")),
            ("7/comments", None),
            ("", None),
            ("-1", None),
            ("..", None),
        ] {
            assert_eq!(Kind::Issues.path(&id.into()).as_deref(), expected, "{id}");
        }
    }
}
