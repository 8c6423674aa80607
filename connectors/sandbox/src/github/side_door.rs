//! The site as the sandbox's own side door sees it. Issues go by their ids here, since numbers repeat.

use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};

use super::caller::Caller;
use super::errors::ApiError;
use super::render::iso;
use super::seed::FIRST;
use super::sender;
use super::site::{GitHubState, snapshot};
use super::world::{Fate, Issue, Repository, World};
use crate::admin::{AdminBackend, AdminError, FieldAct, LockAct, StatePage, StateQuery, StateRow, WebhookTarget};
use crate::faults::Faults;
use crate::ledger::Ledger;

const ISSUES: &str = "issues";
const COMMENTS: &str = "comments";

fn unsupported(what: &str) -> AdminError {
    AdminError::Unsupported(format!("GitHub {what}"))
}

fn check(object: &str) -> Result<(), AdminError> {
    if object == ISSUES {
        return Ok(());
    }
    Err(AdminError::NotFound(format!("there is no object type `{object}` here; use issues or comments")))
}

fn parse(id: &str) -> Result<u64, AdminError> {
    id.parse().map_err(|_| AdminError::NotFound(format!("`{id}` is not an id; ids here are whole numbers")))
}

/// The repository and number of an issue that is there.
fn place(world: &World, id: &str) -> Result<(u64, u64), AdminError> {
    let found = world.by_id(parse(id)?);
    let here = found.filter(|(repository, number)| {
        world.repositories.get(repository).is_some_and(|home| home.issue(*number).is_ok())
    });
    here.ok_or_else(|| {
        AdminError::NotFound(format!("there is no issue {id} here; GET /admin/state?object=issues lists them"))
    })
}

fn refused(error: ApiError) -> AdminError {
    match error.status {
        http::StatusCode::NOT_FOUND => AdminError::NotFound(error.summary()),
        _ => AdminError::Refused(error.summary()),
    }
}

fn repository(world: &World, fields: &Map<String, Value>) -> Result<u64, AdminError> {
    let name = fields.get("repository").and_then(Value::as_str).unwrap_or(FIRST);
    world.named(name).ok_or_else(|| AdminError::NotFound(format!("there is no repository `{name}`")))
}

fn issue_row(home: &Repository, issue: &Issue) -> StateRow {
    let mut fields: Map<String, Value> =
        snapshot(issue).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    fields.insert("repository".to_owned(), home.name.as_str().into());
    fields.insert("number".to_owned(), issue.number.into());
    fields.insert("author".to_owned(), issue.author.as_str().into());
    fields.insert("pull_request".to_owned(), issue.is_pull_request.into());
    if let Fate::Moved(repository, number) = issue.fate {
        fields.insert("moved_to".to_owned(), json!({"repository": repository, "number": number}));
    }
    let deleted = issue.fate != Fate::Here;
    StateRow { id: issue.id.to_string(), deleted, created_us: issue.created, stamp: iso(issue.updated), fields }
}

fn comment_rows(home: &Repository, issue: &Issue) -> Vec<StateRow> {
    let row = |comment: &super::world::Comment| StateRow {
        id: comment.id.to_string(),
        deleted: issue.fate != Fate::Here,
        created_us: comment.created,
        stamp: iso(comment.updated),
        fields: Map::from_iter([
            ("repository".to_owned(), home.name.as_str().into()),
            ("issue".to_owned(), issue.id.into()),
            ("author".to_owned(), comment.author.as_str().into()),
            ("body".to_owned(), comment.body.as_str().into()),
        ]),
    };
    issue.comments.iter().map(row).collect()
}

impl AdminBackend for GitHubState {
    fn ledger(&self) -> &Ledger {
        &self.parts.ledger
    }

    fn faults(&self) -> &Faults {
        &self.parts.faults
    }

    fn state(&self, query: &StateQuery) -> Result<StatePage, AdminError> {
        let of_comments = query.object == COMMENTS;
        if !of_comments {
            check(&query.object)?;
        }
        let after = query.after.as_deref().map(parse).transpose()?.unwrap_or(0);
        let world = self.world();
        let mut rows: Vec<(u64, StateRow)> = Vec::new();
        for home in world.repositories.values() {
            for issue in home.issues.values().filter(|issue| query.deleted || issue.fate == Fate::Here) {
                let found = if of_comments { comment_rows(home, issue) } else { vec![issue_row(home, issue)] };
                rows.extend(found.into_iter().map(|row| (row.id.parse().unwrap_or(0), row)));
            }
        }
        rows.retain(|(id, _)| *id > after);
        rows.sort_unstable_by_key(|(id, _)| *id);
        let limit = query.limit();
        let next = rows.get(limit).and(rows.get(limit.saturating_sub(1))).map(|(id, _)| id.to_string());
        Ok(StatePage { rows: rows.into_iter().take(limit).map(|(_, row)| row).collect(), next })
    }

    fn create(&self, user: &str, object: &str, fields: Map<String, Value>) -> Result<String, AdminError> {
        let caller = Caller::person(user, "UI create");
        let mut world = self.world();
        if object == COMMENTS {
            let id = fields.get("issue").map(|raw| raw.as_str().map_or_else(|| raw.to_string(), str::to_owned));
            let at = place(&world, &id.unwrap_or_default())?;
            let raw = fields.get("body").cloned().unwrap_or_default();
            return self.say_as(&mut world, at, &raw, &caller).map(|id| id.to_string()).map_err(refused);
        }
        check(object)?;
        let home = repository(&world, &fields)?;
        let is_pull_request = fields.get("pull_request") == Some(&Value::Bool(true));
        let number = self.open_as(&mut world, home, &fields, &caller, is_pull_request).map_err(refused)?;
        let id = world.repositories.get(&home).and_then(|home| home.issues.get(&number)).map(|issue| issue.id);
        Ok(id.unwrap_or_default().to_string())
    }

    /// Beside the fields of an issue, `repository` transfers it, and `locked` locks it.
    fn update(&self, user: &str, object: &str, id: &str, fields: Map<String, Value>) -> Result<(), AdminError> {
        check(object)?;
        let caller = Caller::person(user, "UI update");
        let mut world = self.world();
        let at = place(&world, id)?;
        if fields.contains_key("repository") {
            let target = repository(&world, &fields)?;
            return self.transfer_as(&mut world, at, target, &caller).map(drop).map_err(refused);
        }
        if let Some(locked) = fields.get("locked").and_then(Value::as_bool) {
            let locks = |issue: &mut Issue, _| issue.is_locked = locked;
            self.change(&mut world, at, &fields, &caller, locks).map_err(refused)?;
        }
        self.change_as(&mut world, at, &fields, &caller).map_err(refused)
    }

    fn delete(&self, user: &str, object: &str, id: &str) -> Result<(), AdminError> {
        check(object)?;
        let mut world = self.world();
        let at = place(&world, id)?;
        self.delete_as(&mut world, at, &Caller::person(user, "UI delete")).map_err(refused)
    }

    fn restore(&self, _: &str, _: &str, _: &str) -> Result<(), AdminError> {
        Err(unsupported("does not bring deleted issues back"))
    }

    fn merge(&self, _: &str, _: &str, _: &str, _: &str) -> Result<String, AdminError> {
        Err(unsupported("does not merge issues; close one with state_reason duplicate"))
    }

    fn act_on_field(&self, _: &str, _: &str, _: &FieldAct) -> Result<(), AdminError> {
        Err(unsupported("issues have no fields that an administrator could hide"))
    }

    fn act_on_lock(&self, _: &str, _: &str, _: LockAct) -> Result<(), AdminError> {
        Err(unsupported("holds no issue against writes; PATCH the issue with `locked` to lock its conversation"))
    }

    fn expire_tokens(&self) -> usize {
        self.tokens.lock().expire_all(self.parts.clock.now())
    }

    fn flush(&self) -> BoxFuture<'_, Value> {
        Box::pin(async {
            let tried = sender::flush(&self.outbox, &self.parts.faults).await;
            json!({"deliveries_sent": tried, "webhooks": self.outbox.report()})
        })
    }

    /// Sets the webhook of the app.
    fn set_webhooks(&self, target: WebhookTarget) -> Result<Value, AdminError> {
        let WebhookTarget { target_url, subscriptions, secret } = target;
        let url = url::Url::parse(&target_url).ok().filter(|url| url.has_host());
        if url.is_none_or(|url| !matches!(url.scheme(), "http" | "https")) {
            let why = format!("{target_url} is not an http or https URL; give the receiver's full address");
            return Err(AdminError::Refused(why));
        }
        let events = subscriptions.unwrap_or_else(|| vec!["issues".to_owned(), "issue_comment".to_owned()]);
        let known = |name: &String| matches!(name.as_str(), "issues" | "issue_comment" | "*");
        if let Some(unknown) = events.iter().find(|name| !known(name)) {
            return Err(AdminError::Refused(format!(
                "`{unknown}` is no event of this sandbox; use issues or issue_comment"
            )));
        }
        for held in self.outbox.hooks(None) {
            self.outbox.remove(held.id);
        }
        let secret = secret.unwrap_or_else(|| self.parts.credentials.client_secret.clone());
        let hook = super::outbox::Hook { url: target_url.clone(), secret, events, ..self.fresh_hook(None, "*") };
        let shown = json!({"id": hook.id, "target_url": target_url, "subscriptions": hook.events});
        self.outbox.save(hook);
        Ok(shown)
    }
}
