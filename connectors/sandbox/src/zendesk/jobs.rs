//! Work that a request starts and a later one asks about.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

use super::account::{Books, ZendeskState};
use super::caller::Caller;
use super::errors::ApiError;
use super::kind::{Id, Kind};
use super::switches;
use super::writes::Written;
use crate::clock::Micros;

/// Jobs of the account that wait or run at a time.
const QUEUE_MAX: usize = 30;
/// The most rows of a job.
pub(crate) const ROWS_MAX: usize = 100;
/// How long a job waits before it runs.
const WAITS: Duration = Duration::from_secs(1);
/// How long each row takes.
const ROW_TAKES: Duration = Duration::from_millis(50);
/// How long a job that ended is remembered.
const REMEMBERED: Duration = Duration::from_secs(86_400);

/// What a job does to one row.
#[derive(Debug, Clone)]
pub(crate) enum Task {
    Create(Kind, Map<String, Value>),
    Update(Kind, Id, Map<String, Value>),
    Upsert(Kind, Map<String, Value>),
    Delete(Kind, Id),
    Scrub(Kind, Id),
    Merge(Id, Id),
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Waiting,
    Completed,
    Killed,
}

#[derive(Debug)]
struct Job {
    ty: &'static str,
    begins: Micros,
    ends: Micros,
    caller: Caller,
    tasks: Vec<Task>,
    total: usize,
    status: Status,
    results: Vec<Value>,
}

/// The jobs of the account.
#[derive(Debug)]
pub(crate) struct Jobs {
    jobs: BTreeMap<String, Job>,
    rng: ChaCha8Rng,
}

impl Jobs {
    /// No jobs yet.
    pub(crate) fn new(seed: u64) -> Self {
        Self { jobs: BTreeMap::new(), rng: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// When the next job ends.
    pub(crate) fn next_due(&self) -> Option<Micros> {
        self.jobs.values().filter(|job| job.status == Status::Waiting).map(|job| job.ends).min()
    }

    /// How many jobs wait or run.
    pub(crate) fn waiting(&self) -> usize {
        self.jobs.values().filter(|job| job.status == Status::Waiting).count()
    }

    fn take_due(&mut self, now: Micros) -> Option<(String, Caller, Vec<Task>)> {
        let due = self.jobs.iter_mut().filter(|(_, job)| job.status == Status::Waiting && job.ends <= now);
        let (id, job) = due.min_by_key(|(_, job)| job.ends)?;
        Some((id.clone(), job.caller.clone(), std::mem::take(&mut job.tasks)))
    }

    fn end(&mut self, id: &str, status: Status, results: Vec<Value>) {
        if let Some(job) = self.jobs.get_mut(id) {
            job.status = status;
            job.results = results;
        }
    }

    fn render(&self, id: &str, base_url: &str, now: Micros) -> Option<Value> {
        let job = self.jobs.get(id)?;
        let (status, message) = match job.status {
            Status::Waiting if now < job.begins => ("queued", Value::Null),
            Status::Waiting => ("working", Value::Null),
            Status::Completed => ("completed", format!("Completed at {}", super::time::iso(job.ends)).into()),
            Status::Killed => ("killed", "Killed by the platform".into()),
        };
        let progress = if job.status == Status::Waiting { Value::Null } else { job.results.len().into() };
        let results = if job.status == Status::Waiting { Value::Null } else { job.results.clone().into() };
        Some(json!({
            "id": id, "url": format!("{base_url}/api/v2/job_statuses/{id}.json"), "job_type": job.ty,
            "total": job.total, "progress": progress, "status": status, "message": message, "results": results,
        }))
    }
}

impl ZendeskState {
    /// Plans a job, and answers with what is known of it.
    pub(crate) fn plan(
        &self,
        books: &mut Books,
        ty: &'static str,
        tasks: Vec<Task>,
        caller: &Caller,
    ) -> Result<Value, ApiError> {
        if tasks.len() > ROWS_MAX {
            let why = format!("a job has at most {ROWS_MAX} rows, this one has {}", tasks.len());
            return Err(ApiError::bad_parameter("ids", &why));
        }
        let (clock, now) = (&self.parts.clock, self.parts.clock.now());
        let forgotten = clock.scaled_life(REMEMBERED);
        books.jobs.jobs.retain(|_, job| job.status == Status::Waiting || job.ends.plus(forgotten) > now);
        if books.jobs.waiting() >= QUEUE_MAX {
            return Err(ApiError::too_many_jobs());
        }
        let id = format!("{:032x}", books.jobs.rng.random::<u128>());
        let rows = u32::try_from(tasks.len()).unwrap_or(u32::MAX);
        let begins = now.plus(clock.scaled(WAITS));
        let ends = begins.plus(clock.scaled(ROW_TAKES.saturating_mul(rows)));
        let (total, caller) = (tasks.len(), caller.clone());
        let job = Job { ty, begins, ends, caller, tasks, total, status: Status::Waiting, results: Vec::new() };
        books.jobs.jobs.insert(id.clone(), job);
        self.planned.notify_one();
        self.job(books, &id).ok_or_else(ApiError::not_found)
    }

    /// A job on the wire.
    pub(crate) fn job(&self, books: &Books, id: &str) -> Option<Value> {
        books.jobs.render(id, &self.parts.base_url, self.parts.clock.peek())
    }

    /// Every job on the wire.
    pub(crate) fn all_jobs(&self, books: &Books) -> Vec<Value> {
        books.jobs.jobs.keys().filter_map(|id| self.job(books, id)).collect()
    }

    /// Runs what was due by `now`.
    pub(crate) fn run_jobs(&self, books: &mut Books, now: Micros) {
        while let Some((id, caller, tasks)) = books.jobs.take_due(now) {
            let faults = &self.parts.faults;
            let killed = faults.roll(switches::JOB_KILLED);
            let done = if killed { tasks.len() / 2 } else { tasks.len() };
            let mut results = Vec::with_capacity(done);
            for (index, task) in tasks.into_iter().take(done).enumerate() {
                let fails = caller.is_integration() && faults.roll(switches::JOB_ROW_FAILED);
                let outcome = if fails { Err(ApiError::database_conflict()) } else { self.run(books, task, &caller) };
                results.push(result(index, outcome));
            }
            books.jobs.end(&id, if killed { Status::Killed } else { Status::Completed }, results);
        }
    }

    /// Does one row; answers with the word for it and the object.
    fn run(&self, books: &mut Books, task: Task, caller: &Caller) -> Result<(&'static str, Id), ApiError> {
        let id_of = |written: Written| written.id;
        match task {
            Task::Create(kind, body) => self.create(books, kind, &body, caller).map(id_of).map(|id| ("Created", id)),
            Task::Update(kind, id, body) => {
                self.update(books, kind, id, &body, caller).map(id_of).map(|id| ("Updated", id))
            }
            Task::Upsert(kind, body) => {
                let (created, id) = self.upsert(books, kind, &body, caller)?;
                Ok((if created { "Created" } else { "Updated" }, id))
            }
            Task::Delete(kind, id) => self.delete(books, kind, id, caller).map(|()| ("Deleted", id)),
            Task::Scrub(kind, id) => self.scrub(books, kind, id, caller).map(|()| ("Deleted", id)),
            Task::Merge(from, into) => self.merge_ticket(books, from, into, caller).map(|()| ("Merged", from)),
        }
    }
}

fn result(index: usize, outcome: Result<(&'static str, Id), ApiError>) -> Value {
    match outcome {
        Ok((status, id)) => json!({"index": index, "id": id, "status": status, "success": true}),
        Err(error) => {
            json!({"index": index, "success": false, "status": "Failed", "error": error.code(), "details": error.summary()})
        }
    }
}
