//! What a repository holds beside its issues: comments, labels, milestones, who may be assigned, and itself.

use std::sync::Arc;

use axum::extract::State;
use http::Method;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::call::{Answer, Call, created, nothing, ok};
use super::caller::{ASSIGNABLE, user};
use super::errors::ApiError;
use super::issues::place;
use super::listing;
use super::site::GitHubState;
use super::switches;
use super::wish::{assignable, text_of};
use super::world::{Comment, Label, Milestone, Repository, World};
use crate::clock::Micros;

type Site = State<Arc<GitHubState>>;

/// `GET /repos/{owner}/{repo}`
pub(crate) async fn repository(State(site): Site, call: Call) -> Answer {
    let world = site.world();
    let id = site.locate(&world, &call)?;
    let mut shown = call.shape(&site).repository(world.repository(id)?);
    let push = site.may_push(call.caller()?);
    shown["permissions"] = json!({"admin": false, "maintain": false, "push": push, "triage": push, "pull": true});
    ok(shown)
}

/// `GET /installation/repositories`
pub(crate) async fn repositories(State(site): Site, call: Call) -> Answer {
    let world = site.world();
    let (shape, all) = (call.shape(&site), world.repositories.values());
    let shown: Vec<Value> = all.filter(|found| found.is_installed).map(|found| shape.repository(found)).collect();
    ok(json!({"total_count": shown.len(), "repository_selection": "selected", "repositories": shown}))
}

/// `GET /user`
pub(crate) async fn me(State(site): Site, call: Call) -> Answer {
    let caller = call.caller()?;
    if caller.is_app {
        return Err(ApiError::forbidden("Resource not accessible by integration"));
    }
    ok(user(&caller.login, &site.parts.base_url))
}

/// `GET /rate_limit`
pub(crate) async fn rate_limit(State(site): Site, _: Call) -> Answer {
    let budget = site.limits.lock().budget(site.parts.clock.now());
    let limit = super::limits::PRIMARY_MAX;
    let core = json!({
        "limit": limit, "used": budget.used, "remaining": limit - budget.used,
        "reset": super::gate::reset_second(budget.resets), "resource": "core",
    });
    ok(json!({"resources": {"core": core}}))
}

/// A comment with the number of its issue, at its place in a list.
type CommentRow<'r> = (listing::Place, (u64, &'r Comment));

fn comment_rows<'r>(site: &GitHubState, call: &Call, home: &'r Repository) -> Result<Vec<CommentRow<'r>>, ApiError> {
    let since = listing::since(site, call)?;
    let by_update = call.query("sort") == Some("updated");
    let key = |comment: &Comment| (if by_update { comment.updated } else { comment.created }).0.div_euclid(1_000_000);
    let issues =
        home.here().filter(|issue| call.param("number").is_empty() || issue.number.to_string() == call.param("number"));
    let all = issues.flat_map(|issue| issue.comments.iter().map(move |comment| (issue.number, comment)));
    let fresh = all.filter(|(_, comment)| since.is_none_or(|since| comment.updated.floor_to_second() >= since));
    let mut rows: Vec<_> = fresh.map(|(number, comment)| ((key(comment), comment.id), (number, comment))).collect();
    rows.sort_by_key(|(place, _)| *place);
    // The list of one issue goes forward, the list of all of them backward unless it is told otherwise.
    if call.param("number").is_empty() && call.query("sort").is_some() && call.query("direction") != Some("asc") {
        rows.reverse();
    }
    Ok(rows)
}

/// `GET …/issues/comments`, `GET …/issues/{number}/comments`
pub(crate) async fn comments(State(site): Site, call: Call) -> Answer {
    let world = site.world();
    let id = if call.param("number").is_empty() { site.locate(&world, &call)? } else { place(&site, &world, &call)?.0 };
    let home = world.repository(id)?;
    let rows = comment_rows(&site, &call, home)?;
    let shape = call.shape(&site);
    listing::page(&site, &call, id, &rows, |(number, comment)| shape.comment(home, *number, comment))
}

/// `POST …/issues/{number}/comments`
pub(crate) async fn say(State(site): Site, call: Call) -> Answer {
    let (body, caller) = (call.json()?, call.caller()?);
    let mut world = site.world();
    let at = place(&site, &world, &call)?;
    let raw = body.get("body").cloned().unwrap_or_default();
    let id = site.say_as(&mut world, at, &raw, caller)?;
    created(shown_comment(&site, &world, &call, at, id)?)
}

fn shown_comment(site: &GitHubState, world: &World, call: &Call, at: (u64, u64), id: u64) -> Result<Value, ApiError> {
    let home = world.repository(at.0)?;
    let comment = home.issues.get(&at.1).and_then(|issue| issue.comments.iter().find(|comment| comment.id == id));
    let comment = comment.ok_or_else(ApiError::not_found)?;
    Ok(call.shape(site).comment(home, at.1, comment))
}

/// Where a comment stands, by the id in the path.
fn comment_place(site: &GitHubState, world: &World, call: &Call) -> Result<((u64, u64), u64), ApiError> {
    let (repository, id) = (site.locate(world, call)?, call.number("id")?);
    let home = world.repository(repository)?;
    let found = home.here().find(|issue| issue.comments.iter().any(|comment| comment.id == id));
    found.map(|issue| ((repository, issue.number), id)).ok_or_else(ApiError::not_found)
}

/// `GET …/issues/comments/{id}`
pub(crate) async fn comment(State(site): Site, call: Call) -> Answer {
    let world = site.world();
    let (at, id) = comment_place(&site, &world, &call)?;
    ok(shown_comment(&site, &world, &call, at, id)?)
}

/// `PATCH …/issues/comments/{id}`, `DELETE …/issues/comments/{id}`
pub(crate) async fn change_comment(State(site): Site, call: Call) -> Answer {
    let (body, caller) = (call.json()?, call.caller()?);
    let mut world = site.world();
    let (at, id) = comment_place(&site, &world, &call)?;
    if call.method == Method::DELETE {
        site.change(&mut world, at, &Map::new(), caller, |issue, _| issue.comments.retain(|comment| comment.id != id))?;
        return nothing();
    }
    let crlf = site.parts.faults.is_on(switches::BROWSER_CRLF);
    let raw = body.get("body").cloned().unwrap_or_default();
    let text = text_of(&raw, "IssueComment", caller, crlf).map_err(|error| site.refused(error))?;
    let text = text.ok_or_else(|| site.refused(ApiError::field("IssueComment", "body", "missing_field")))?;
    site.change(&mut world, at, &Map::new(), caller, |issue, now| {
        if let Some(comment) = issue.comments.iter_mut().find(|comment| comment.id == id && comment.body != text) {
            (comment.body, comment.updated) = (text, now);
        }
    })?;
    ok(shown_comment(&site, &world, &call, at, id)?)
}

/// `GET …/labels`
pub(crate) async fn labels(State(site): Site, call: Call) -> Answer {
    let world = site.world();
    let id = site.locate(&world, &call)?;
    let (home, shape) = (world.repository(id)?, call.shape(&site));
    let rows: Vec<_> = (0_i64..).zip(home.labels.values()).map(|(at, label)| ((at, label.id), label)).collect();
    listing::page(&site, &call, id, &rows, |label| shape.label(home, label))
}

/// `GET …/labels/{name}`
pub(crate) async fn label(State(site): Site, call: Call) -> Answer {
    let world = site.world();
    let home = world.repository(site.locate(&world, &call)?)?;
    let label = home.labels.get(&call.param("name").to_lowercase()).ok_or_else(ApiError::not_found)?;
    ok(call.shape(&site).label(home, label))
}

/// `POST …/labels`
pub(crate) async fn create_label(State(site): Site, call: Call) -> Answer {
    let body = call.json()?;
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    let mut world = site.world();
    let repository = site.locate(&world, &call)?;
    let name = text("name").filter(|name| !name.trim().is_empty());
    let name = name.ok_or_else(|| ApiError::field("Label", "name", "missing_field"))?;
    let id = world.fresh_id();
    let home = world.repository_mut(repository)?;
    if home.labels.contains_key(&name.to_lowercase()) {
        return Err(ApiError::field("Label", "name", "already_exists"));
    }
    let label =
        Label { id, name, color: text("color").unwrap_or_else(|| "ededed".into()), description: text("description") };
    let shown = call.shape(&site).label(home, &label);
    home.labels.insert(label.name.to_lowercase(), label);
    created(shown)
}

/// `PATCH …/labels/{name}` renames, `DELETE` removes; the issues follow, without a change of their own.
pub(crate) async fn change_label(State(site): Site, call: Call) -> Answer {
    let body = call.json()?;
    let mut world = site.world();
    let repository = site.locate(&world, &call)?;
    let home = world.repository_mut(repository)?;
    let mut label = home.labels.remove(&call.param("name").to_lowercase()).ok_or_else(ApiError::not_found)?;
    let old = label.name.clone();
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    label.name = text("new_name").unwrap_or(label.name);
    label.color = text("color").unwrap_or(label.color);
    let removed = call.method == Method::DELETE;
    for issue in home.issues.values_mut() {
        match issue.labels.iter().position(|name| *name == old) {
            Some(at) if removed => drop(issue.labels.remove(at)),
            Some(at) => issue.labels[at] = label.name.clone(),
            None => {}
        }
    }
    if removed {
        return nothing();
    }
    home.labels.insert(label.name.to_lowercase(), label.clone());
    ok(call.shape(&site).label(home, &label))
}

/// `GET …/milestones`: the open ones, unless it is told otherwise.
pub(crate) async fn milestones(State(site): Site, call: Call) -> Answer {
    let world = site.world();
    let id = site.locate(&world, &call)?;
    let (home, shape, state) = (world.repository(id)?, call.shape(&site), call.query("state").unwrap_or("open"));
    let wanted = home.milestones.values().filter(|found| state == "all" || (state == "open") == found.is_open);
    let rows: Vec<_> = (0_i64..).zip(wanted).map(|(at, found)| ((at, found.id), found)).collect();
    listing::page(&site, &call, id, &rows, |milestone| shape.milestone(home, milestone))
}

/// `GET …/milestones/{milestone}`
pub(crate) async fn milestone(State(site): Site, call: Call) -> Answer {
    let world = site.world();
    let home = world.repository(site.locate(&world, &call)?)?;
    let found = home.milestones.get(&call.number("milestone")?).ok_or_else(ApiError::not_found)?;
    ok(call.shape(&site).milestone(home, found))
}

/// `POST …/milestones`, `PATCH …/milestones/{milestone}`
pub(crate) async fn write_milestone(State(site): Site, call: Call) -> Answer {
    let body = call.json()?;
    let mut world = site.world();
    let (repository, id, now) = (site.locate(&world, &call)?, world.fresh_id(), site.parts.clock.now());
    let home = world.repository_mut(repository)?;
    let is_new = call.method == Method::POST;
    let number =
        if is_new { home.milestones.keys().next_back().map_or(1, |last| last + 1) } else { call.number("milestone")? };
    let fresh = Milestone {
        id,
        number,
        title: String::new(),
        description: None,
        is_open: true,
        due: None,
        created: now,
        updated: now,
    };
    let held = home.milestones.get(&number).cloned();
    let mut found = if is_new { fresh } else { held.ok_or_else(ApiError::not_found)? };
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    found.title = text("title").map_or(found.title, str::to_owned);
    if found.title.is_empty() {
        return Err(ApiError::field("Milestone", "title", "missing_field"));
    }
    if home.milestones.values().any(|other| other.number != number && other.title == found.title) {
        return Err(ApiError::field("Milestone", "title", "already_exists"));
    }
    found.description = text("description").map(str::to_owned).or(found.description);
    found.is_open = text("state").map_or(found.is_open, |state| state == "open");
    if let Some(due) = text("due_on") {
        let due = due.parse::<Timestamp>().map_err(|_| ApiError::field("Milestone", "due_on", "invalid"))?;
        found.due = Some(Micros::from_timestamp(due));
    }
    found.updated = now;
    home.milestones.insert(number, found.clone());
    let shown = call.shape(&site).milestone(home, &found);
    if is_new { created(shown) } else { ok(shown) }
}

/// `DELETE …/milestones/{milestone}`
pub(crate) async fn delete_milestone(State(site): Site, call: Call) -> Answer {
    let mut world = site.world();
    let (repository, number) = (site.locate(&world, &call)?, call.number("milestone")?);
    let home = world.repository_mut(repository)?;
    home.milestones.remove(&number).ok_or_else(ApiError::not_found)?;
    for issue in home.issues.values_mut().filter(|issue| issue.milestone == Some(number)) {
        issue.milestone = None;
    }
    nothing()
}

/// `GET …/assignees`
pub(crate) async fn assignees(State(site): Site, call: Call) -> Answer {
    site.locate(&site.world(), &call)?;
    ok(ASSIGNABLE.iter().map(|login| user(login, &site.parts.base_url)).collect())
}

/// `GET …/assignees/{login}`: 204 for who may be assigned.
pub(crate) async fn is_assignable(State(site): Site, call: Call) -> Answer {
    site.locate(&site.world(), &call)?;
    if assignable(call.param("login")).is_some() { nothing() } else { Err(ApiError::not_found()) }
}
