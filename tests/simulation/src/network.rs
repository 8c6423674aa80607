//! Calls to providers: how long they take, and what becomes of them. By itself the network is prompt and loses nothing; every
//! trouble is a fault that an event has armed.

use rand::RngExt;
use syncline_core::{
    ids::{ExternalId, RecordId},
    remote::{
        Key, Page, PageRequest, ProviderError, Remedy, RemoteObject, Window, WriteOutcome, WriteRequest, WriteResult,
    },
    time::Millis,
};

use crate::{
    executor::TaskId,
    fault::Fault,
    provider::DeletedIds,
    world::{Item, World},
};

/// After so long a caller gives up.
pub(crate) const TIMEOUT_MS: i64 = 10_000;
/// How long after it was sent a request may still take effect: less than [`crate::engine::DEADLINE_MS`] by the few seconds that
/// lie between an intent and its request.
pub(crate) const LATEST_EFFECT_MS: i64 = 25_000;
/// How long a cut lasts.
const CUT_MS: i64 = 8_000;

/// What is asked of a provider.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    Probe,
    Refresh,
    Page(PageRequest),
    ById(Vec<ExternalId>),
    Find(Vec<Vec<Key>>),
    Deleted(Window),
    /// The rows, and for checkers the record of each.
    Write(Vec<WriteRequest>, Vec<RecordId>),
}

/// What a provider answers.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Probed { clock: Millis },
    Refreshed,
    Page(Page),
    Objects(Vec<RemoteObject>),
    Deleted(Option<DeletedIds>),
    Results(Vec<WriteResult>),
}

pub(crate) type Reply = Result<Answer, ProviderError>;

/// A call that is under way.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) system: usize,
    pub(crate) task: TaskId,
    ask: Ask,
    /// The answer, until it arrives.
    reply: Option<Reply>,
    answer_lost: bool,
    slow: bool,
    /// The objects that the answer shows as they are, with the revision of each.
    shown: Vec<(ExternalId, u64)>,
    /// The objects whose present revision the sender had been shown when it sent this.
    fresh: Vec<(ExternalId, u64)>,
    /// The caller has an answer, or has given up.
    pub(crate) ended: Option<Reply>,
}

impl Call {
    /// Whoever waited for the answer is gone. The request is not.
    pub(crate) fn abandon(&mut self) {
        self.ended.get_or_insert_with(|| Err(retry("nobody waits")));
    }
}

fn retry(message: &str) -> ProviderError {
    ProviderError { remedy: Remedy::Retry, message: message.into() }
}

impl World {
    /// Sends a request.
    pub(crate) fn begin_call(&mut self, system: usize, task: TaskId, ask: Ask) -> u64 {
        self.calls_made += 1;
        let id = self.calls_made;
        let is_write = matches!(ask, Ask::Write(..));
        let now = self.now;
        let (there, _) = self.latency();
        let mut arrives = Some(now.plus(there));
        let fresh = if is_write { self.accounts[system].provider.fresh() } else { Vec::new() };
        let (reply, shown, ended) = (None, Vec::new(), None);
        let mut call = Call { system, task, ask, reply, answer_lost: false, slow: false, shown, fresh, ended };
        if self.cut_until[system] > now {
            arrives = None;
        } else if self.strikes(system, Fault::Cut) {
            self.cut_until[system] = now.plus(CUT_MS);
            arrives = None;
        } else if self.strikes(system, Fault::RequestLost) {
            arrives = None;
        } else if is_write && self.strikes(system, Fault::LateEffect) {
            arrives = Some(now.plus(self.rng.random_range(TIMEOUT_MS..LATEST_EFFECT_MS)));
            call.answer_lost = true;
        } else if is_write && self.strikes(system, Fault::AnswerLost) {
            call.answer_lost = true;
        } else if !is_write && self.strikes(system, Fault::SlowAnswer) {
            call.slow = true;
        }
        if let Some(at) = arrives {
            self.at(at, Item::Effect(id));
        }
        self.at(now.plus(TIMEOUT_MS), Item::Timeout(id));
        self.calls.insert(id, call);
        id
    }

    /// Milliseconds there and back.
    fn latency(&mut self) -> (i64, i64) {
        (self.rng.random_range(3..60), self.rng.random_range(3..60))
    }

    /// A request arrives at its provider and takes effect.
    pub(crate) fn effect(&mut self, id: u64) {
        let Some(call) = self.calls.get(&id) else { return };
        let (system, ask, fresh) = (call.system, call.ask.clone(), call.fresh.clone());
        let reply = self.answer(system, &ask, &fresh);
        let (_, back) = self.latency();
        let now = self.now;
        let Some(call) = self.calls.get_mut(&id) else { return };
        if let (Ask::ById(_) | Ask::Find(_), Ok(Answer::Objects(objects))) = (&ask, &reply) {
            let provider = &self.accounts[system].provider;
            let shown = |object: &RemoteObject| Some((object.id.clone(), provider.objects.get(&object.id)?.revision));
            call.shown = objects.iter().filter_map(shown).collect();
        }
        call.reply = Some(reply);
        let slow = if call.slow { TIMEOUT_MS / 2 } else { 0 };
        // Of a lost answer whoever asked learns from its own timeout, if it is still there.
        if !call.answer_lost {
            self.at(now.plus(back + slow), Item::Answer(id));
        }
    }

    /// An answer arrives.
    pub(crate) fn arrive(&mut self, id: u64) {
        let Some(call) = self.calls.get_mut(&id).filter(|call| call.ended.is_none()) else { return };
        call.ended = call.reply.take();
        let (task, system, shown) = (call.task, call.system, std::mem::take(&mut call.shown));
        let provider = &mut self.accounts[system].provider;
        for (object, revision) in shown {
            if let Some(object) = provider.objects.get_mut(&object) {
                object.shown = Some(revision);
            }
        }
        self.wake(task);
    }

    /// The caller gives up, unless the answer is there.
    pub(crate) fn give_up(&mut self, id: u64) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        if call.ended.is_none() {
            call.ended = Some(match &call.ask {
                Ask::Write(rows, _) => {
                    let unknown = |row: &WriteRequest| WriteResult {
                        trace: row.trace,
                        outcome: WriteOutcome::Unknown { message: "no answer in time".into() },
                    };
                    Ok(Answer::Results(rows.iter().map(unknown).collect()))
                }
                _ => Err(retry("no answer in time")),
            });
            let task = call.task;
            self.wake(task);
        }
    }
}
