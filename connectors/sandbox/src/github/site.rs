//! The emulated site: its repositories, and the bookkeeping around every read and write of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::call::Call;
use super::caller::{Caller, OWNER};
use super::errors::ApiError;
use super::events;
use super::limits::Limits;
use super::outbox::Outbox;
use super::render::{Shape, iso};
use super::tokens::{self, Tokens};
use super::world::{Gone, Issue, Repository, World};
use super::{seed, switches};
use crate::clock::Micros;
use crate::ledger::{Event, FieldWrite, Op};
use crate::sandbox::Parts;

/// The emulated site.
#[derive(Debug)]
pub struct GitHubState {
    pub(crate) parts: Parts,
    world: Mutex<World>,
    pub(crate) tokens: Mutex<Tokens>,
    pub(crate) limits: Mutex<Limits>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) stop: CancellationToken,
    private_key: String,
}

/// A write that happened to an issue.
#[derive(Debug)]
pub(crate) struct Change {
    /// What was done.
    pub(crate) op: Op,
    /// In which repository.
    pub(crate) repository: u64,
    /// The issue before, absent where it is new.
    pub(crate) before: Option<Issue>,
    /// The issue after.
    pub(crate) after: Issue,
}

impl GitHubState {
    /// A site with so many issues in its first repository.
    ///
    /// The key of the app is drawn by the system and not from the seed: nothing that a run observes depends on it.
    #[must_use]
    pub fn new(parts: Parts, issues: u64, seed: u64) -> Self {
        let now = parts.clock.now();
        let mut world = World::new();
        seed::fill(&mut world, issues, now);
        let (private_key, public_key) = tokens::app_key().unwrap_or_default();
        Self {
            world: Mutex::new(world),
            tokens: Mutex::new(Tokens::new(parts.credentials.clone(), public_key, seed, now)),
            limits: Mutex::new(Limits::new(&parts.clock)),
            outbox: Arc::new(Outbox::new(&parts)),
            stop: CancellationToken::new(),
            private_key,
            parts,
        }
    }

    /// The private key of the app, as PKCS #8 in PEM.
    #[must_use]
    pub fn private_key(&self) -> &str {
        &self.private_key
    }

    /// Everything, for as long as the guard lives. Ledger entries are appended under it, so that their order is the site's.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock()
    }

    /// The repository that a path means, by its name or id. One that has another name now is a redirect.
    pub(crate) fn locate(&self, world: &World, call: &Call) -> Result<u64, ApiError> {
        let visible = |id: u64| {
            let installed = world.repositories.get(&id).is_some_and(|repository| repository.is_installed);
            (installed || !call.caller()?.is_integration()).then_some(id).ok_or_else(ApiError::not_found)
        };
        if !call.param("repository").is_empty() {
            let id = call.number("repository")?;
            return visible(world.repository(id)?.id);
        }
        let (owner, name) = (call.param("owner"), call.param("repo"));
        if !owner.eq_ignore_ascii_case(OWNER) {
            return Err(ApiError::not_found());
        }
        if let Some(id) = world.named(name) {
            return visible(id);
        }
        let id = visible(world.once_named(name).ok_or_else(ApiError::not_found)?)?;
        let rest = call.path.splitn(5, '/').nth(4).map_or(String::new(), |rest| format!("/{rest}"));
        let query = call.whole_query();
        let query = if query.is_empty() { String::new() } else { format!("?{query}") };
        let location = format!("{}/repositories/{id}{rest}{query}", self.parts.base_url);
        Err(ApiError::moved(location, call.method == http::Method::GET))
    }

    /// Why an issue cannot be read, in the platform's words. A transfer to where the caller cannot look is not found.
    pub(crate) fn gone(&self, world: &World, gone: Gone, call: &Call) -> ApiError {
        match gone {
            Gone::Never => ApiError::not_found(),
            Gone::Deleted => ApiError::deleted(),
            Gone::Moved(repository, number) => match world.repositories.get(&repository) {
                Some(target) if target.is_installed || call.caller().is_ok_and(|caller| !caller.is_integration()) => {
                    let location = format!("{}/repositories/{repository}/issues/{number}", self.parts.base_url);
                    ApiError::moved(location, call.method == http::Method::GET)
                }
                _ => ApiError::not_found(),
            },
        }
    }

    /// Whether the caller may push, and so label and assign.
    pub(crate) fn may_push(&self, caller: &Caller) -> bool {
        !caller.is_integration() || self.parts.faults.is_on(switches::PUSH_ACCESS)
    }

    /// An issue as it is shown to somebody, which the ledger notes.
    pub(crate) fn show(&self, repository: &Repository, issue: &Issue, call: &Call) -> Value {
        let caller = call.caller.as_ref().filter(|caller| caller.is_integration());
        if let Some(caller) = caller.filter(|_| self.parts.ledger.log_reads()) {
            self.parts.ledger.append(Event {
                at_us: self.parts.clock.now(),
                actor: caller.actor.clone(),
                op: Op::Read,
                object: "issues".into(),
                id: issue.id.to_string(),
                fields: BTreeMap::new(),
                stamp_before: None,
                stamp_after: Some(iso(issue.updated)),
                redundant: false,
                via: caller.via.clone(),
            });
        }
        let mut shown = call.shape(self).issue(repository, issue);
        if caller.is_some() {
            let faults = &self.parts.faults;
            if issue.body.is_none() && faults.roll(switches::EMPTY_BODY_TEXT) {
                shown["body"] = "".into();
            }
            if issue.reason == Some("reopened") && faults.roll(switches::REOPENED_NULL) {
                shown["state_reason"] = Value::Null;
            }
        }
        shown
    }

    /// A row of a list, which now and then lacks what every row has.
    pub(crate) fn listed(&self, repository: &Repository, issue: &Issue, call: &Call) -> Value {
        let mut shown = self.show(repository, issue, call);
        let integration = call.caller.as_ref().is_some_and(Caller::is_integration);
        if integration && self.parts.faults.roll(switches::MALFORMED_ROW) {
            if self.parts.faults.draw(switches::MALFORMED_ROW) < 0.5 {
                shown["number"] = Value::Null;
            } else {
                shown["labels"] = "not a list".into();
            }
        }
        shown
    }

    /// Changes an issue, and tells ledger and webhooks. What changes nothing moves nothing.
    pub(crate) fn change(
        &self,
        world: &mut World,
        (repository, number): (u64, u64),
        sent: &Map<String, Value>,
        caller: &Caller,
        apply: impl FnOnce(&mut Issue, Micros),
    ) -> Result<(), ApiError> {
        let home = world.repository_mut(repository)?;
        let issue = home.issues.get_mut(&number).ok_or_else(ApiError::not_found)?;
        let (before, at) = (issue.clone(), self.parts.clock.now());
        apply(issue, at);
        let moved = snapshot(issue) != snapshot(&before) || issue.comments != before.comments;
        if moved {
            issue.updated = at;
        }
        let after = issue.clone();
        let change = Change { op: Op::Update, repository, before: Some(before), after };
        self.tell(world, &change, sent, caller, at);
        Ok(())
    }

    /// Puts a new issue in its place, and tells ledger and webhooks.
    pub(crate) fn open(
        &self,
        world: &mut World,
        repository: u64,
        issue: Issue,
        sent: &Map<String, Value>,
        caller: &Caller,
    ) {
        let at = issue.created;
        if let Some(home) = world.repositories.get_mut(&repository) {
            home.issues.insert(issue.number, issue.clone());
        }
        self.tell(world, &Change { op: Op::Create, repository, before: None, after: issue }, sent, caller, at);
    }

    /// Notes a write in the ledger, and hands what it means to the webhooks.
    pub(crate) fn tell(&self, world: &World, change: &Change, sent: &Map<String, Value>, caller: &Caller, at: Micros) {
        let held = change.before.as_ref().map(snapshot).unwrap_or_default();
        let mut fields = BTreeMap::new();
        for (name, after) in snapshot(&change.after) {
            let before = held.get(name).cloned().unwrap_or_default();
            let given = sent.get(name).cloned();
            if given.is_some() || before != after {
                fields.insert(name.to_owned(), FieldWrite { before, sent: given.unwrap_or_default(), after });
            }
        }
        let moved = change.before.as_ref().is_none_or(|before| before.updated != change.after.updated);
        self.parts.ledger.append(Event {
            at_us: at,
            actor: caller.actor.clone(),
            op: change.op,
            object: "issues".into(),
            id: change.after.id.to_string(),
            fields,
            stamp_before: change.before.as_ref().map(|before| iso(before.updated)),
            stamp_after: Some(iso(change.after.updated)),
            redundant: change.op == Op::Update && !moved,
            via: caller.via.clone(),
        });
        let Ok(home) = world.repository(change.repository) else { return };
        let shape = Shape { base_url: &self.parts.base_url, singular_assignee: true };
        let empty = self.parts.faults.roll(switches::CHANGES_EMPTY);
        for happening in events::of(shape, home, change, empty) {
            self.outbox.publish(happening, home, shape, caller, at);
        }
    }

    /// Counts a write that was refused, and passes the refusal on.
    pub(crate) fn refused(&self, error: ApiError) -> ApiError {
        self.parts.ledger.count_rejected();
        error
    }
}

impl Drop for GitHubState {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What of an issue can be changed, by its name on the wire.
pub(crate) fn snapshot(issue: &Issue) -> BTreeMap<&'static str, Value> {
    BTreeMap::from([
        ("title", issue.title.as_str().into()),
        ("body", issue.body.clone().into()),
        ("state", if issue.is_open { "open" } else { "closed" }.into()),
        ("state_reason", issue.reason.into()),
        ("labels", json!(issue.labels)),
        ("assignees", json!(issue.assignees)),
        ("milestone", issue.milestone.into()),
        ("locked", issue.is_locked.into()),
    ])
}

impl GitHubState {
    /// Notes a transfer: the issue that left, and the one that it became.
    pub(crate) fn log_transfer(&self, before: &Issue, left: &Issue, arrived: &Issue, caller: &Caller, at: Micros) {
        let into: Value = arrived.id.to_string().into();
        let fields =
            BTreeMap::from([("into".to_owned(), FieldWrite { before: Value::Null, sent: into.clone(), after: into })]);
        for (op, issue, fields) in [(Op::Merge, left, fields), (Op::Create, arrived, BTreeMap::new())] {
            self.parts.ledger.append(Event {
                at_us: at,
                actor: caller.actor.clone(),
                op,
                object: "issues".into(),
                id: issue.id.to_string(),
                fields,
                stamp_before: (op == Op::Merge).then(|| iso(before.updated)),
                stamp_after: Some(iso(issue.updated)),
                redundant: false,
                via: caller.via.clone(),
            });
        }
    }
}
