//! What webhooks tell about a change: one delivery for each thing that moved.

use serde_json::{Map, Value, json};

use super::caller::user;
use super::render::Shape;
use super::site::Change;
use super::world::{Fate, Issue, Repository};
use crate::ledger::Op;

/// One thing that happened, before it is known who wants to hear of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Happening {
    /// `X-GitHub-Event`.
    pub(crate) event: &'static str,
    /// What happened.
    pub(crate) action: &'static str,
    /// The members that only this event has.
    pub(crate) members: Map<String, Value>,
}

fn happening(event: &'static str, action: &'static str, members: Value) -> Happening {
    let members = match members {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    Happening { event, action, members }
}

/// The deliveries of a change of an issue. `empty` leaves out what an edit changed.
pub(crate) fn of(shape: Shape<'_>, home: &Repository, change: &Change, empty: bool) -> Vec<Happening> {
    let (after, shown) = (&change.after, shape.issue(home, &change.after));
    if after.is_pull_request {
        // Pull requests have events of their own, which this emulator does not send.
        return Vec::new();
    }
    let issue = |action, more: Value| {
        let mut members = json!({"issue": shown});
        if let (Some(members), Value::Object(more)) = (members.as_object_mut(), more) {
            members.extend(more);
        }
        happening("issues", action, members)
    };
    match (&change.before, change.op) {
        (None, _) => vec![issue("opened", json!({}))],
        (Some(_), Op::Delete) if after.fate == Fate::Deleted => vec![issue("deleted", json!({}))],
        (Some(before), _) => moved(shape, home, before, after, empty, issue),
    }
}

fn moved(
    shape: Shape<'_>,
    home: &Repository,
    before: &Issue,
    after: &Issue,
    empty: bool,
    issue: impl Fn(&'static str, Value) -> Happening,
) -> Vec<Happening> {
    let mut told = Vec::new();
    let mut changes = Map::new();
    if before.title != after.title {
        changes.insert("title".to_owned(), json!({"from": before.title}));
    }
    if before.body != after.body {
        changes.insert("body".to_owned(), json!({"from": before.body.as_deref().unwrap_or_default()}));
    }
    if !changes.is_empty() {
        told.push(issue("edited", json!({"changes": if empty { Map::new() } else { changes }})));
    }
    let label =
        |name: &String| home.labels.get(&name.to_lowercase()).map_or(Value::Null, |label| shape.label(home, label));
    let absent = |from: &[String], list: &[String]| -> Vec<String> {
        from.iter().filter(|entry| !list.contains(entry)).cloned().collect()
    };
    for name in absent(&after.labels, &before.labels) {
        told.push(issue("labeled", json!({"label": label(&name)})));
    }
    for name in absent(&before.labels, &after.labels) {
        told.push(issue("unlabeled", json!({"label": label(&name)})));
    }
    for login in absent(&after.assignees, &before.assignees) {
        told.push(issue("assigned", json!({"assignee": user(&login, shape.base_url)})));
    }
    for login in absent(&before.assignees, &after.assignees) {
        told.push(issue("unassigned", json!({"assignee": user(&login, shape.base_url)})));
    }
    if before.milestone != after.milestone {
        let milestone = |number: Option<u64>| {
            let found = number.and_then(|number| home.milestones.get(&number));
            found.map_or(Value::Null, |milestone| shape.milestone(home, milestone))
        };
        if before.milestone.is_some() {
            told.push(issue("demilestoned", json!({"milestone": milestone(before.milestone)})));
        }
        if after.milestone.is_some() {
            told.push(issue("milestoned", json!({"milestone": milestone(after.milestone)})));
        }
    }
    if before.is_open != after.is_open {
        told.push(issue(if after.is_open { "reopened" } else { "closed" }, json!({})));
    }
    if before.is_locked != after.is_locked {
        told.push(issue(if after.is_locked { "locked" } else { "unlocked" }, json!({})));
    }
    told.extend(comments(shape, home, before, after));
    told
}

fn comments(shape: Shape<'_>, home: &Repository, before: &Issue, after: &Issue) -> Vec<Happening> {
    let tell = |action, comment: &super::world::Comment, changes: Value| {
        let mut members = json!({
            "issue": shape.issue(home, after), "comment": shape.comment(home, after.number, comment),
        });
        if !changes.is_null() {
            members["changes"] = changes;
        }
        happening("issue_comment", action, members)
    };
    let mut told = Vec::new();
    for comment in &after.comments {
        match before.comments.iter().find(|held| held.id == comment.id) {
            None => told.push(tell("created", comment, Value::Null)),
            Some(held) if held.body != comment.body => {
                told.push(tell("edited", comment, json!({"body": {"from": held.body}})));
            }
            Some(_) => {}
        }
    }
    let gone = before.comments.iter().filter(|held| after.comments.iter().all(|comment| comment.id != held.id));
    told.extend(gone.map(|comment| tell("deleted", comment, Value::Null)));
    told
}

/// An issue that went to another repository: what both repositories are told.
pub(crate) fn transferred(
    shape: Shape<'_>,
    (old_home, old): (&Repository, &Issue),
    (new_home, new): (&Repository, &Issue),
) -> (Happening, Happening) {
    let (before, after) = (shape.issue(old_home, old), shape.issue(new_home, new));
    let left = json!({
        "issue": before, "changes": {"new_issue": after, "new_repository": shape.repository(new_home)},
    });
    let arrived = json!({
        "issue": after, "changes": {"old_issue": before, "old_repository": shape.repository(old_home)},
    });
    (happening("issues", "transferred", left), happening("issues", "opened", arrived))
}
