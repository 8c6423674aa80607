//! What the body of an issue asks for, checked against the repository.

use serde_json::{Map, Value, json};

use super::caller::{ASSIGNABLE, Caller};
use super::errors::ApiError;
use super::site::GitHubState;
use super::switches;
use super::world::{Issue, Label, Repository, World};
use crate::clock::Micros;

/// The longest title, in characters.
const TITLE_MAX: usize = 256;
/// The longest body, in characters.
const BODY_MAX: usize = 65_536;
/// The longest name of a label, in characters.
const LABEL_MAX: usize = 50;
/// The most labels and assignees of an issue.
const LABELS_MAX: usize = 100;
const ASSIGNEES_MAX: usize = 10;

/// What a body asks for; what is absent stays.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    title: Option<String>,
    body: Option<Option<String>>,
    state: Option<(bool, Option<&'static str>)>,
    labels: Option<Vec<String>>,
    assignees: Option<Vec<String>>,
    milestone: Option<Option<u64>>,
}

impl Wish {
    /// Carries it out on an issue.
    pub(crate) fn apply(self, issue: &mut Issue, at: Micros) {
        issue.title = self.title.unwrap_or(std::mem::take(&mut issue.title));
        issue.body = self.body.unwrap_or(issue.body.take());
        issue.labels = self.labels.unwrap_or(std::mem::take(&mut issue.labels));
        issue.assignees = self.assignees.unwrap_or(std::mem::take(&mut issue.assignees));
        issue.milestone = self.milestone.unwrap_or(issue.milestone);
        if let Some((open, reason)) = self.state {
            let turned = issue.is_open != open;
            issue.is_open = open;
            issue.closed = if open { None } else { issue.closed.or(Some(at)) };
            issue.reason = match (open, turned) {
                (true, true) => Some("reopened"),
                (true, false) => issue.reason,
                (false, _) => reason.or(issue.reason.filter(|_| !turned)).or(Some("completed")),
            };
        }
    }
}

impl GitHubState {
    /// Reads a body for an issue of a repository. What needs the right to push is left out for who has it not, without a
    /// word where the issue is new. Labels that nobody knew are made.
    pub(crate) fn read_wish(
        &self,
        world: &mut World,
        repository: u64,
        body: &Map<String, Value>,
        is_new: bool,
        caller: &Caller,
    ) -> Result<Wish, ApiError> {
        let dropped = caller.is_integration() && is_new && self.parts.faults.roll(switches::SILENT_DROP);
        let rights = self.may_push(caller) && !dropped;
        let given = |name: &str| body.get(name);
        let title = given("title").map(|raw| self.title(raw)).transpose()?;
        if is_new && title.is_none() {
            return Err(ApiError::field("Issue", "title", "missing_field"));
        }
        let text = given("body").map(|raw| text_of(raw, "Issue", caller, self.crlf())).transpose()?;
        let state = if is_new { None } else { state(given("state"), given("state_reason"))? };
        let mut wish = Wish { title, body: text, state, ..Wish::default() };
        if !rights {
            return Ok(wish);
        }
        let labels = given("labels").map(names).transpose()?;
        let assignees = given("assignees").map(names).transpose()?;
        // The singular form is older, and still understood.
        let single = given("assignee").and_then(Value::as_str).map(|login| vec![login.to_owned()]);
        wish.assignees = assignees.or(single).map(|logins| check_assignees(&logins)).transpose()?;
        let home = world.repository(repository)?;
        wish.milestone = given("milestone").map(|raw| milestone(home, raw)).transpose()?;
        wish.labels = labels.map(|names| self.known_labels(world, repository, &names)).transpose()?;
        Ok(wish)
    }

    fn crlf(&self) -> bool {
        self.parts.faults.is_on(switches::BROWSER_CRLF)
    }

    fn title(&self, raw: &Value) -> Result<String, ApiError> {
        let title = match raw {
            Value::String(title) => title.clone(),
            Value::Number(number) => number.to_string(),
            _ => return Err(ApiError::field("Issue", "title", "invalid")),
        };
        let trimmed = if self.parts.faults.is_on(switches::TITLE_TRIMMED) { title.trim().to_owned() } else { title };
        if trimmed.trim().is_empty() {
            return Err(ApiError::field("Issue", "title", "missing_field"));
        }
        if trimmed.chars().count() > TITLE_MAX {
            return Err(ApiError::custom("Issue", "title", "title is too long (maximum is 256 characters)"));
        }
        Ok(trimmed)
    }

    /// Names as the repository spells them; labels that it does not have are made.
    pub(crate) fn known_labels(
        &self,
        world: &mut World,
        repository: u64,
        names: &[String],
    ) -> Result<Vec<String>, ApiError> {
        let mut known: Vec<String> = Vec::with_capacity(names.len());
        for name in names {
            if name.trim().is_empty() || name.chars().count() > LABEL_MAX {
                return Err(ApiError::invalid(vec![
                    json!({"resource": "Label", "field": "name", "code": "invalid", "value": name}),
                ]));
            }
            let id = world.fresh_id();
            let home = world.repository_mut(repository)?;
            let fresh = Label { id, name: name.clone(), color: "ededed".into(), description: None };
            let label = home.labels.entry(name.to_lowercase()).or_insert(fresh);
            if !known.contains(&label.name) {
                known.push(label.name.clone());
            }
        }
        if known.len() > LABELS_MAX {
            return Err(ApiError::custom("Issue", "labels", "labels are limited to 100"));
        }
        known.sort();
        Ok(known)
    }
}

/// A text of an issue or comment: null where it is empty, CRLF where a browser wrote it.
pub(crate) fn text_of(raw: &Value, resource: &str, caller: &Caller, crlf: bool) -> Result<Option<String>, ApiError> {
    let text = match raw {
        Value::Null => return Ok(None),
        Value::String(text) => text.clone(),
        _ => return Err(ApiError::field(resource, "body", "invalid")),
    };
    let text = if caller.in_browser && crlf { text.replace("\r\n", "\n").replace('\n', "\r\n") } else { text };
    if text.chars().count() > BODY_MAX {
        return Err(ApiError::custom(resource, "body", "body is too long (maximum is 65536 characters)"));
    }
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// Names from texts, or from objects with a `name`.
pub(crate) fn names(raw: &Value) -> Result<Vec<String>, ApiError> {
    let name = |entry: &Value| entry.as_str().or(entry["name"].as_str()).map(str::to_owned);
    let list = raw.as_array().and_then(|list| list.iter().map(name).collect::<Option<Vec<_>>>());
    list.ok_or_else(|| ApiError::field("Issue", "labels", "invalid"))
}

/// The login as the site spells it, of those who may be assigned.
pub(crate) fn assignable(login: &str) -> Option<String> {
    ASSIGNABLE.iter().find(|known| known.eq_ignore_ascii_case(login)).map(|known| (*known).to_owned())
}

fn check_assignees(logins: &[String]) -> Result<Vec<String>, ApiError> {
    let mut known = Vec::with_capacity(logins.len());
    for login in logins {
        let Some(found) = assignable(login) else {
            let error = json!({"value": login, "resource": "Issue", "field": "assignees", "code": "invalid"});
            return Err(ApiError::invalid(vec![error]));
        };
        if !known.contains(&found) {
            known.push(found);
        }
    }
    known.truncate(ASSIGNEES_MAX);
    Ok(known)
}

fn milestone(home: &Repository, raw: &Value) -> Result<Option<u64>, ApiError> {
    if raw.is_null() {
        return Ok(None);
    }
    let number = raw.as_u64().or_else(|| raw.as_str()?.parse().ok());
    match number.filter(|number| home.milestones.contains_key(number)) {
        Some(number) => Ok(Some(number)),
        None => {
            let error = json!({"value": raw, "resource": "Issue", "field": "milestone", "code": "invalid"});
            Err(ApiError::invalid(vec![error]))
        }
    }
}

fn state(state: Option<&Value>, reason: Option<&Value>) -> Result<Option<(bool, Option<&'static str>)>, ApiError> {
    const REASONS: [&str; 4] = ["completed", "not_planned", "duplicate", "reopened"];
    let reason = match reason.filter(|raw| !raw.is_null()) {
        None => None,
        Some(raw) => {
            let known = REASONS.into_iter().find(|known| raw == known);
            Some(known.ok_or_else(|| ApiError::field("Issue", "state_reason", "invalid"))?)
        }
    };
    match state.and_then(Value::as_str) {
        Some("open") => Ok(Some((true, None))),
        Some("closed") if reason == Some("reopened") => Err(ApiError::field("Issue", "state_reason", "invalid")),
        Some("closed") => Ok(Some((false, reason))),
        None if state.is_none() => Ok(None),
        _ => Err(ApiError::field("Issue", "state", "invalid")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_and_reasons_belong_together() {
        for (asked, reason, expected) in [
            (json!("closed"), json!("not_planned"), Some((false, Some("not_planned")))),
            (json!("closed"), json!(null), Some((false, None))),
            (json!("open"), json!("reopened"), Some((true, None))),
        ] {
            assert_eq!(state(Some(&asked), Some(&reason)), Ok(expected));
        }
        assert_eq!(state(None, Some(&json!("completed"))), Ok(None));
        for (asked, reason) in [("closed", "reopened"), ("closed", "bored"), ("ajar", "completed")] {
            assert!(state(Some(&json!(asked)), Some(&json!(reason))).is_err(), "{asked} {reason}");
        }
    }

    #[test]
    fn texts_are_bounded_in_characters() {
        let (api, browser) = (Caller::of(super::super::caller::Principal::User, "x".into()), Caller::person("a", "UI"));
        assert_eq!(text_of(&json!(""), "Issue", &api, true), Ok(None));
        assert_eq!(text_of(&json!("a\nb\r\nc"), "Issue", &browser, true), Ok(Some("a\r\nb\r\nc".into())));
        assert_eq!(text_of(&json!("a\nb"), "Issue", &api, true), Ok(Some("a\nb".into())));
        assert!(text_of(&json!("ü".repeat(65_536)), "Issue", &api, true).is_ok());
        assert!(text_of(&json!("x".repeat(65_537)), "Issue", &api, true).is_err());
        assert!(text_of(&json!(5), "Issue", &api, true).is_err());
    }
}
