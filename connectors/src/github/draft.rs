//! What a write is to send, in GitHub's spelling, and whether the answer shows that it was taken.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use syncline_core::remote::Raw;

use super::{
    marker::{self, Parts},
    rows::Kind,
};

/// A write in the making.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Draft {
    /// What is ready to be sent.
    pub(super) ready: Raw,
    /// The text that people see, where it is written.
    text: Option<Option<String>>,
    /// The marker, where it is written.
    key: Option<String>,
    /// The milestone by its title, which GitHub takes by its number.
    pub(super) milestone: Option<String>,
    /// The issue that a comment stands under.
    pub(super) issue: Option<Value>,
}

impl Draft {
    /// Spells a write's fields as GitHub wants them.
    pub(super) fn of(kind: Kind, body: &Raw) -> Self {
        let mut draft = Self::default();
        for (name, value) in body {
            match (name.as_str(), value) {
                ("body", value) => draft.text = Some(text(value)),
                (marker::FIELD, value) => draft.key = text(value),
                ("labels" | "assignees", value) => drop(draft.ready.insert(name.clone(), list(value))),
                ("milestone", Value::String(title)) if !title.is_empty() => draft.milestone = Some(title.clone()),
                ("milestone" | "type", Value::String(_)) if value == "" => {
                    drop(draft.ready.insert(name.clone(), Value::Null))
                }
                ("issue", value) if kind == Kind::Comments => draft.issue = Some(value.clone()),
                (_, value) => drop(draft.ready.insert(name.clone(), value.clone())),
            }
        }
        draft
    }

    /// A write of fields that are spelled already.
    pub(super) fn ready(ready: Raw) -> Self {
        Self { ready, ..Self::default() }
    }

    /// The same, with the marker of a record.
    #[must_use]
    pub(super) fn marked(self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self }
    }

    /// Whether the object must be read first: its text and its marker are one field, and seldom both are written.
    pub(super) fn touches_text(&self) -> bool {
        self.text.is_some() || self.key.is_some()
    }

    /// Puts text and marker together; what is not written stays as it is at `present`.
    pub(super) fn settle_text(&mut self, present: Parts) {
        if self.touches_text() {
            let text = self.text.take().unwrap_or(present.text);
            let key = self.key.take().or(present.key);
            let opening = present.opening && !self.ready.contains_key("state");
            let body = marker::write(&Parts { text, key, opening });
            self.ready.insert("body".to_owned(), Value::String(body));
        }
    }

    /// Takes out what GitHub does not take when an issue is created: it is opened, and closed afterwards.
    pub(super) fn split_state(&mut self) -> Raw {
        let state = self.ready.remove("state");
        let reason = self.ready.remove("state_reason").filter(|reason| !reason.is_null());
        let mut afterwards = Raw::new();
        if let Some(state) = state.filter(|state| state != "open" && !state.is_null()) {
            afterwards.insert("state".to_owned(), state);
            afterwards.extend(reason.map(|reason| ("state_reason".to_owned(), reason)));
        }
        afterwards
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        other => Some(other.to_string()),
    }
}

fn list(value: &Value) -> Value {
    match value {
        Value::Array(_) => value.clone(),
        Value::Null => json!([]),
        Value::String(text) if text.is_empty() => json!([]),
        single => json!([single]),
    }
}

/// The fields of a write that GitHub left out without a word, as it does where the token may not set them, or an assignee
/// may not work on the repository. `shown` is the object as the answer shows it.
pub(super) fn dropped(sent: &Raw, shown: &Value) -> Vec<String> {
    let is_kept = |name: &str, value: &Value| {
        let shown = shown.get(name).unwrap_or(&Value::Null);
        match name {
            "labels" => folded(value, "name") == folded(shown, "name"),
            "assignees" => folded(value, "login") == folded(shown, "login"),
            "milestone" => *value == *shown.get("number").unwrap_or(shown),
            "type" => fold(value, "name") == fold(shown, "name"),
            "state" => value == shown,
            "state_reason" => value == shown || value == "reopened",
            _ => true,
        }
    };
    sent.iter().filter(|(name, value)| !is_kept(name, value)).map(|(name, _)| name.clone()).collect()
}

/// Names are compared without their letter case: a label takes that of the one that exists.
fn folded(list: &Value, name: &str) -> BTreeSet<Option<String>> {
    list.as_array().into_iter().flatten().map(|value| fold(value, name)).collect()
}

fn fold(value: &Value, name: &str) -> Option<String> {
    value.get(name).unwrap_or(value).as_str().map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(value: Value) -> Raw {
        match value {
            Value::Object(raw) => raw,
            other => panic!("a body is an object, not {other}"),
        }
    }

    fn ready(kind: Kind, body: Value, present: Parts) -> Value {
        let mut draft = Draft::of(kind, &raw(body));
        draft.settle_text(present);
        Value::Object(draft.ready)
    }

    #[test]
    fn values_are_spelled_as_github_wants_them() {
        let body = json!({
            "title": "T", "labels": null, "assignees": ["ann"], "milestone": "", "type": "", "state": "closed",
        });
        let expected = json!({"title": "T", "labels": [], "assignees": ["ann"], "milestone": null, "type": null, "state": "closed"});
        assert_eq!(ready(Kind::Issues, body, Parts::default()), expected);
        let draft = Draft::of(Kind::Issues, &raw(json!({"milestone": "v2"})));
        assert_eq!((draft.milestone.as_deref(), draft.ready.len()), (Some("v2"), 0));
        let draft = Draft::of(Kind::Issues, &raw(json!({"milestone": 2})));
        assert_eq!((draft.milestone, Value::Object(draft.ready)), (None, json!({"milestone": 2})));
        let draft = Draft::of(Kind::Comments, &raw(json!({"issue": 7, "body": "B"})));
        assert_eq!((draft.issue, draft.ready.len()), (Some(json!(7)), 0));
    }

    #[test]
    fn text_and_marker_are_written_together() {
        let present = || Parts { text: Some("Old".into()), key: Some("k".into()), opening: true };
        let cases = [
            (json!({"body": "New"}), present(), json!({"body": "New\n\n<!-- syncline:k opening -->"})),
            (
                json!({"body": null, "state": "closed"}),
                present(),
                json!({"body": "<!-- syncline:k -->", "state": "closed"}),
            ),
            (json!({"syncline_id": "j"}), present(), json!({"body": "Old\n\n<!-- syncline:j opening -->"})),
            (json!({"body": "New"}), Parts::default(), json!({"body": "New"})),
            (json!({"body": null}), Parts::default(), json!({"body": ""})),
            (json!({"title": "T"}), present(), json!({"title": "T"})),
        ];
        for (body, present, expected) in cases {
            assert_eq!(ready(Kind::Issues, body.clone(), present), expected, "{body}");
        }
    }

    #[test]
    fn an_issue_is_opened_before_it_is_closed() {
        let cases = [
            (json!({"state": "open", "state_reason": null}), json!({})),
            (json!({"state": "open", "state_reason": "completed"}), json!({})),
            (json!({"state": "closed"}), json!({"state": "closed"})),
            (
                json!({"state": "closed", "state_reason": "not_planned"}),
                json!({"state": "closed", "state_reason": "not_planned"}),
            ),
            (json!({"title": "T"}), json!({})),
        ];
        for (body, expected) in cases {
            let mut draft = Draft::of(Kind::Issues, &raw(body.clone()));
            assert_eq!(Value::Object(draft.split_state()), expected, "{body}");
            assert!(!draft.ready.contains_key("state") && !draft.ready.contains_key("state_reason"));
        }
    }

    #[test]
    fn what_was_left_out_is_told() {
        let shown = json!({
            "title": "Trimmed", "labels": [{"name": "Bug"}], "assignees": [{"login": "Ann"}], "milestone": {"number": 2},
            "type": {"name": "Task"}, "state": "closed", "state_reason": "completed",
        });
        let cases = [
            (
                json!({"title": "  Trimmed", "labels": ["bug"], "assignees": ["ann"], "milestone": 2, "type": "task"}),
                &[][..],
            ),
            (json!({"labels": ["bug", "ui"]}), &["labels"]),
            (json!({"labels": []}), &["labels"]),
            (json!({"assignees": ["ann", "nobody"]}), &["assignees"]),
            (json!({"milestone": 3, "type": "Bug"}), &["milestone", "type"]),
            (json!({"milestone": null}), &["milestone"]),
            (json!({"state": "closed", "state_reason": "not_planned"}), &["state_reason"]),
        ];
        for (sent, expected) in cases {
            assert_eq!(dropped(&raw(sent.clone()), &shown), expected, "{sent}");
        }
        assert!(
            dropped(&raw(json!({"milestone": null, "labels": []})), &json!({"milestone": null, "labels": []}))
                .is_empty()
        );
    }
}
