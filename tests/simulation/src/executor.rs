//! Runs the service's tasks one step at a time. A task is an ordinary future; it is only ever resumed by what happens in the
//! world, in one order, so that a run is the same each time. A crash drops all of them where they stand.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    future::{Future, pending, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use syncline_core::time::Millis;

use crate::{
    checker::Invariant,
    fault::{Fault, Place},
    network::{Ask, Reply},
    world::{Item, World},
};

/// More steps than this in one run are a circle.
const POLLS_MAX: u64 = 30_000;

/// The name of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TaskId(pub(crate) u64);

pub(crate) type Running = Pin<Box<dyn Future<Output = ()>>>;

/// What a task can be woken by, beside time and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Signal {
    /// Somebody asks for a look.
    Look,
    /// A delivery may be due.
    Write,
    /// A person will not wait for the next reading.
    Read,
}

/// What only one task may do at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lock {
    /// Take a batch of this tenant in.
    Intake(usize),
    /// Read objects of this system by id.
    Look(usize),
}

/// A task's handle to the world. No borrow of the world outlives a call.
#[derive(Clone)]
pub(crate) struct Handle {
    world: Rc<RefCell<World>>,
}

impl Handle {
    pub(crate) fn with<R>(&self, act: impl FnOnce(&mut World) -> R) -> R {
        act(&mut self.world.borrow_mut())
    }

    async fn until(&self, mut ready: impl FnMut(&mut World) -> bool) {
        poll_fn(|_| if self.with(&mut ready) { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// Waits so many milliseconds.
    pub(crate) async fn sleep(&self, ms: i64) {
        let until = self.with(|world| world.wake_at(ms));
        self.until(|world| world.now >= until).await;
    }

    /// Waits for a signal, but not longer than so many milliseconds. A signal that came before is not lost.
    pub(crate) async fn idle(&self, ms: i64, signal: Signal, system: usize) {
        // A task whose own work raises the signal that it waits for must not keep time from passing.
        self.sleep(1).await;
        let until = self.with(|world| world.wake_at(ms));
        self.until(|world| world.take_signal(signal, system) || world.now >= until).await;
    }

    /// Asks a provider and waits for its answer.
    pub(crate) async fn ask(&self, system: usize, ask: Ask) -> Reply {
        let is_write = matches!(ask, Ask::Write(..));
        let call = self.with(|world| {
            let task = world.current;
            world.begin_call(system, task, ask)
        });
        if is_write {
            self.point(Place::AfterSend).await;
        }
        self.until(|world| world.calls.get(&call).is_none_or(|call| call.ended.is_some())).await;
        if is_write {
            self.point(Place::AfterAnswer).await;
        }
        let ended = self.with(|world| world.calls.get_mut(&call).and_then(|call| call.ended.take()));
        // A call is only ever forgotten together with the task that waits for it.
        match ended {
            Some(reply) => reply,
            None => pending().await,
        }
    }

    /// A place where the process may die.
    pub(crate) async fn point(&self, place: Place) {
        if self.with(|world| world.dies_at(place)) {
            pending::<()>().await;
        }
    }

    /// Waits for its turn; the turn ends when the guard is dropped.
    pub(crate) async fn lock(&self, lock: Lock) -> Turn {
        self.with(|world| {
            let task = world.current;
            world.locks.entry(lock).or_default().push_back(task);
        });
        self.until(|world| world.locks.get(&lock).and_then(|queue| queue.front()) == Some(&world.current)).await;
        Turn { handle: self.clone(), lock }
    }
}

/// A turn at something that only one may do at a time.
pub(crate) struct Turn {
    handle: Handle,
    lock: Lock,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.handle.with(|world| world.unlock(self.lock));
    }
}

/// Runs a world.
pub(crate) struct Executor {
    handle: Handle,
    tasks: BTreeMap<TaskId, Running>,
    polls: u64,
}

impl Executor {
    pub(crate) fn new(world: World) -> Self {
        Self { handle: Handle { world: Rc::new(RefCell::new(world)) }, tasks: BTreeMap::new(), polls: 0 }
    }

    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Lets everything happen that happens until then.
    pub(crate) fn run_until(&mut self, until: Millis) {
        loop {
            self.take_over();
            if let Some(task) = self.handle.with(World::next_ready) {
                self.poll(task);
                self.polls += 1;
                if self.polls > POLLS_MAX {
                    let what = format!("more than {POLLS_MAX} steps: something goes in circles");
                    return self.handle.with(|world| world.violate(Invariant::Rest, what));
                }
                continue;
            }
            if !self.handle.with(|world| world.advance(until)) {
                return;
            }
            if self.handle.with(|world| std::mem::take(&mut world.starts)) {
                crate::engine::start(&self.handle);
            }
        }
    }

    /// Takes spawned tasks over, and drops all of them after a crash.
    fn take_over(&mut self) {
        if self.handle.with(|world| std::mem::take(&mut world.died)) {
            self.tasks.clear();
            self.handle.with(World::bury);
        }
        for (task, running) in self.handle.with(|world| std::mem::take(&mut world.spawned)) {
            self.tasks.insert(task, running);
            self.handle.with(|world| world.wake(task));
        }
    }

    fn poll(&mut self, task: TaskId) {
        let Some(running) = self.tasks.get_mut(&task) else { return };
        self.handle.with(|world| world.current = task);
        let mut context = Context::from_waker(Waker::noop());
        if running.as_mut().poll(&mut context).is_ready() {
            self.tasks.remove(&task);
        }
    }

    /// Ends the run.
    pub(crate) fn finish(mut self) -> Handle {
        self.tasks.clear();
        self.handle.clone()
    }
}

impl World {
    /// Plans to resume the current task in so many milliseconds.
    fn wake_at(&mut self, ms: i64) -> Millis {
        // Even what is due at once takes a little time, so that no task can stand in everybody's way.
        let until = self.now.plus(ms.max(1));
        let task = self.current;
        self.at(until, Item::Wake(task));
        until
    }

    pub(crate) fn wake(&mut self, task: TaskId) {
        if !self.ready.contains(&task) {
            self.ready.push_back(task);
        }
    }

    fn next_ready(&mut self) -> Option<TaskId> {
        if self.died { None } else { self.ready.pop_front() }
    }

    pub(crate) fn spawn(&mut self, running: Running) {
        self.tasks_made += 1;
        self.spawned.push((TaskId(self.tasks_made), running));
    }

    /// Raises a signal. It stays until somebody takes it.
    pub(crate) fn signal(&mut self, signal: Signal, system: usize) {
        self.signals.insert((signal, system));
        if let Some(waiting) = self.listeners.remove(&(signal, system)) {
            waiting.into_iter().for_each(|task| self.wake(task));
        }
    }

    fn take_signal(&mut self, signal: Signal, system: usize) -> bool {
        if self.signals.remove(&(signal, system)) {
            return true;
        }
        let task = self.current;
        let waiting = self.listeners.entry((signal, system)).or_default();
        if !waiting.contains(&task) {
            waiting.push(task);
        }
        false
    }

    fn unlock(&mut self, lock: Lock) {
        let Some(queue) = self.locks.get_mut(&lock) else { return };
        queue.pop_front();
        if let Some(next) = queue.front().copied() {
            self.wake(next);
        }
    }

    /// Whether the process dies here, because an event has said so.
    fn dies_at(&mut self, place: Place) -> bool {
        let dies = !self.died && self.strikes_somewhere(Fault::Crash(place)).is_some();
        if dies {
            self.note(|| format!("** the process dies: {place:?}"));
            self.died = true;
        }
        self.died
    }
}
