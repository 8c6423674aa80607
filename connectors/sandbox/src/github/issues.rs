//! Issues: listed, read, opened, changed, locked, and what hangs on one: labels, assignees.

use std::sync::Arc;

use axum::extract::State;
use http::Method;
use serde_json::{Map, Value};

use super::call::{Answer, Call, created, nothing, ok};
use super::caller::Caller;
use super::errors::ApiError;
use super::listing;
use super::render::Shape;
use super::site::GitHubState;
use super::wish::{assignable, names};
use super::world::{Fate, Issue, World};
use super::{events, switches};
use crate::clock::Micros;
use crate::ledger::Op;

type Site = State<Arc<GitHubState>>;

/// A repository whose issues can be asked for.
fn home(site: &GitHubState, world: &World, call: &Call) -> Result<u64, ApiError> {
    let id = site.locate(world, call)?;
    if world.repository(id)?.has_issues { Ok(id) } else { Err(ApiError::disabled()) }
}

/// The repository and number of an issue that is there.
pub(crate) fn place(site: &GitHubState, world: &World, call: &Call) -> Result<(u64, u64), ApiError> {
    let (id, number) = (home(site, world, call)?, call.number("number")?);
    world.repository(id)?.issue(number).map_err(|gone| site.gone(world, gone, call))?;
    Ok((id, number))
}

fn shown(site: &GitHubState, world: &World, (id, number): (u64, u64), call: &Call) -> Result<Value, ApiError> {
    let home = world.repository(id)?;
    let issue = home.issue(number).map_err(|gone| site.gone(world, gone, call))?;
    Ok(call.shape(site).issue(home, issue))
}

/// `GET /repos/{owner}/{repo}/issues`: pull requests are issues too.
pub(crate) async fn list(State(site): Site, call: Call) -> Answer {
    let world = site.world();
    let id = home(&site, &world, &call)?;
    let home = world.repository(id)?;
    let rows = listing::issues(&site, &call, home)?;
    listing::page(&site, &call, id, &rows, |issue| site.listed(home, issue, &call))
}

/// `GET …/issues/{number}`
pub(crate) async fn show(State(site): Site, call: Call) -> Answer {
    let world = site.world();
    let (id, number) = place(&site, &world, &call)?;
    let home = world.repository(id)?;
    let issue = home.issue(number).map_err(|gone| site.gone(&world, gone, &call))?;
    ok(site.show(home, issue, &call))
}

/// `POST …/issues`
pub(crate) async fn create(State(site): Site, call: Call) -> Answer {
    let (body, caller) = (call.json()?, call.caller()?);
    let mut world = site.world();
    let id = home(&site, &world, &call)?;
    let number = site.open_as(&mut world, id, &body, caller, false)?;
    created(shown(&site, &world, (id, number), &call)?)
}

/// `PATCH …/issues/{number}`
pub(crate) async fn update(State(site): Site, call: Call) -> Answer {
    let (body, caller) = (call.json()?, call.caller()?);
    let mut world = site.world();
    let at = place(&site, &world, &call)?;
    site.change_as(&mut world, at, &body, caller)?;
    ok(shown(&site, &world, at, &call)?)
}

/// `PUT …/issues/{number}/lock`, `DELETE …/lock`
pub(crate) async fn lock(State(site): Site, call: Call) -> Answer {
    let (body, caller, locks) = (call.json()?, call.caller()?, call.method == Method::PUT);
    let mut world = site.world();
    let at = place(&site, &world, &call)?;
    check_push(&site, caller)?;
    let reason = body.get("lock_reason").and_then(Value::as_str).map(str::to_owned);
    if reason.as_deref().is_some_and(|text| !matches!(text, "off-topic" | "too heated" | "resolved" | "spam")) {
        return Err(site.refused(ApiError::field("Issue", "lock_reason", "invalid")));
    }
    site.change(&mut world, at, &Map::new(), caller, |issue, _| {
        (issue.is_locked, issue.lock_reason) = (locks, reason.filter(|_| locks));
    })?;
    nothing()
}

fn check_push(site: &GitHubState, caller: &Caller) -> Result<(), ApiError> {
    if site.may_push(caller) {
        return Ok(());
    }
    Err(site.refused(ApiError::forbidden("Resource not accessible by integration")))
}

/// `GET …/issues/{number}/labels`
pub(crate) async fn labels(State(site): Site, call: Call) -> Answer {
    let world = site.world();
    let at = place(&site, &world, &call)?;
    ok(shown(&site, &world, at, &call)?["labels"].clone())
}

/// `POST …/issues/{number}/labels` adds, `PUT` replaces, `DELETE` removes all, or the one in the path.
pub(crate) async fn change_labels(State(site): Site, call: Call) -> Answer {
    let caller = call.caller()?;
    let given = match call.method {
        Method::DELETE => Vec::new(),
        _ => {
            let body = call.any_json()?;
            names(body.get("labels").unwrap_or(&body))?
        }
    };
    let mut world = site.world();
    let at = place(&site, &world, &call)?;
    check_push(&site, caller)?;
    let named = call.param("name").to_lowercase();
    let held = world.repository(at.0)?.issue(at.1).map_err(|_| ApiError::not_found())?.labels.clone();
    let after: Vec<String> = match call.method {
        Method::POST => held.into_iter().chain(given).collect(),
        Method::PUT => given,
        _ if named.is_empty() => Vec::new(),
        _ if held.iter().all(|name| name.to_lowercase() != named) => {
            return Err(site.refused(ApiError::not_found()));
        }
        _ => held.into_iter().filter(|name| name.to_lowercase() != named).collect(),
    };
    let after = site.known_labels(&mut world, at.0, &after).map_err(|error| site.refused(error))?;
    site.change(&mut world, at, &Map::new(), caller, |issue, _| issue.labels = after)?;
    if call.method == Method::DELETE && named.is_empty() {
        return nothing();
    }
    ok(shown(&site, &world, at, &call)?["labels"].clone())
}

/// `POST …/issues/{number}/assignees` adds, `DELETE` removes. Who cannot be assigned is left out without a word.
pub(crate) async fn change_assignees(State(site): Site, call: Call) -> Answer {
    let (body, caller) = (call.json()?, call.caller()?);
    let logins = names(body.get("assignees").unwrap_or(&Value::Null))?;
    let mut world = site.world();
    let at = place(&site, &world, &call)?;
    let known: Vec<String> = logins.iter().filter_map(|login| assignable(login)).collect();
    let (adds, may_push) = (call.method == Method::POST, site.may_push(caller));
    site.change(&mut world, at, &Map::new(), caller, |issue, _| {
        if !may_push {
            return;
        }
        issue.assignees.retain(|login| !known.contains(login));
        if adds {
            issue.assignees.extend(known);
        }
    })?;
    let answer = shown(&site, &world, at, &call)?;
    if adds { created(answer) } else { ok(answer) }
}

impl GitHubState {
    /// Opens an issue, or a pull request, and returns its number.
    pub(crate) fn open_as(
        &self,
        world: &mut World,
        repository: u64,
        body: &Map<String, Value>,
        caller: &Caller,
        is_pull_request: bool,
    ) -> Result<u64, ApiError> {
        let wish = self.read_wish(world, repository, body, true, caller).map_err(|error| self.refused(error))?;
        let (id, at) = (world.fresh_id(), self.parts.clock.now());
        let number = world.repository(repository)?.next_number();
        let mut issue = Issue {
            id,
            number,
            title: String::new(),
            body: None,
            author: caller.login.clone(),
            by_app: caller.is_app,
            is_open: true,
            reason: None,
            labels: Vec::new(),
            assignees: Vec::new(),
            milestone: None,
            is_locked: false,
            lock_reason: None,
            comments: Vec::new(),
            created: at,
            updated: at,
            closed: None,
            is_pull_request,
            fate: Fate::Here,
        };
        wish.apply(&mut issue, at);
        self.open(world, repository, issue, body, caller);
        Ok(number)
    }

    /// Changes an issue. Who may not push may change only what is theirs.
    pub(crate) fn change_as(
        &self,
        world: &mut World,
        at: (u64, u64),
        body: &Map<String, Value>,
        caller: &Caller,
    ) -> Result<(), ApiError> {
        let author = world.repository(at.0)?.issues.get(&at.1).map(|issue| issue.author.clone()).unwrap_or_default();
        if author != caller.login {
            check_push(self, caller)?;
        }
        let wish = self.read_wish(world, at.0, body, false, caller).map_err(|error| self.refused(error))?;
        self.change(world, at, body, caller, |issue, at| wish.apply(issue, at))
    }

    /// Deletes an issue for good, which only the browser and GraphQL can.
    pub(crate) fn delete_as(&self, world: &mut World, at: (u64, u64), caller: &Caller) -> Result<(), ApiError> {
        let now = self.parts.clock.now();
        let issue = world.repository_mut(at.0)?.issues.get_mut(&at.1).ok_or_else(ApiError::not_found)?;
        let before = issue.clone();
        (issue.fate, issue.updated) = (Fate::Deleted, now);
        let change =
            super::site::Change { op: Op::Delete, repository: at.0, before: Some(before), after: issue.clone() };
        self.tell(world, &change, &Map::new(), caller, now);
        Ok(())
    }

    /// Moves an issue to another repository, where it gets a new id and a new number.
    pub(crate) fn transfer_as(
        &self,
        world: &mut World,
        at: (u64, u64),
        target: u64,
        caller: &Caller,
    ) -> Result<u64, ApiError> {
        if at.0 == target {
            return Err(self.refused(ApiError::field("Issue", "repository", "invalid")));
        }
        let (now, id) = (self.parts.clock.now(), world.fresh_id());
        let number = world.repository(target)?.next_number();
        let issue = world.repository_mut(at.0)?.issues.get_mut(&at.1).ok_or_else(ApiError::not_found)?;
        let before = issue.clone();
        (issue.fate, issue.updated) = (Fate::Moved(target, number), now);
        let left = issue.clone();
        let known = &world.repository(target)?.labels;
        let labels = before.labels.iter().filter(|name| known.contains_key(&name.to_lowercase())).cloned().collect();
        let arrived = Issue { id, number, labels, milestone: None, updated: now, ..before.clone() };
        world.repository_mut(target)?.issues.insert(number, arrived.clone());
        self.log_transfer(&before, &left, &arrived, caller, now);
        let shape = Shape { base_url: &self.parts.base_url, singular_assignee: true };
        let (old_home, new_home) = (world.repository(at.0)?, world.repository(target)?);
        let (told_old, told_new) = events::transferred(shape, (old_home, &before), (new_home, &arrived));
        self.outbox.publish(told_old, old_home, shape, caller, now);
        self.outbox.publish(told_new, new_home, shape, caller, now);
        Ok(id)
    }

    /// Adds a comment and returns its id.
    pub(crate) fn say_as(
        &self,
        world: &mut World,
        at: (u64, u64),
        raw: &Value,
        caller: &Caller,
    ) -> Result<u64, ApiError> {
        let crlf = self.parts.faults.is_on(switches::BROWSER_CRLF);
        let text = super::wish::text_of(raw, "IssueComment", caller, crlf).map_err(|error| self.refused(error))?;
        let Some(body) = text else {
            return Err(self.refused(ApiError::field("IssueComment", "body", "missing_field")));
        };
        let locked = world.repository(at.0)?.issues.get(&at.1).is_some_and(|issue| issue.is_locked);
        if locked && !self.may_push(caller) {
            return Err(self.refused(ApiError::forbidden("Unable to create comment because issue is locked.")));
        }
        let id = world.fresh_id();
        let (author, by_app) = (caller.login.clone(), caller.is_app);
        self.change(world, at, &Map::new(), caller, |issue, now: Micros| {
            let comment = super::world::Comment { id, author, by_app, body, created: now, updated: now };
            issue.comments.push(comment);
        })?;
        Ok(id)
    }
}
