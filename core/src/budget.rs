//! Rate limits as data: how many calls a provider allows, how many are left, and when the next may go.
//!
//! Written here rather than taken from `governor`: a provider's answers must be able to correct the count, a refusal must
//! block it, and time must be an argument; `governor`'s cells know none of the three.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::time::Millis;

/// What kind of call is made; providers meter them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallKind {
    /// Lists, queries and reads by id.
    Read,
    /// Searches.
    Search,
    /// Creates, updates and deletes.
    Write,
    /// Everything else: schema, probes, tokens.
    Other,
}

impl CallKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Read, Self::Search, Self::Write, Self::Other];
}

/// One rate limit of a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetFacts {
    /// The provider's name for it, such as `DAILY`; [`crate::remote::Remedy::Wait`] names it so.
    pub name: String,
    /// The length of the window, in milliseconds.
    pub window_ms: u64,
    /// The most calls in any window.
    pub limit: u32,
    /// The kinds of calls that it counts.
    pub calls: Vec<CallKind>,
    /// The share of the limit, in percent, that is left untouched for the customer's other integrations.
    pub reserve_percent: u8,
}

/// A call that is about to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its kind.
    pub kind: CallKind,
    /// What it costs; most calls cost 1.
    pub cost: u32,
    /// Whether somebody waits for it.
    pub urgency: Urgency,
}

/// Whether somebody waits for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// A change is on its way.
    Live,
    /// Backfills and sweeps: they leave [`Budget::SPARE_PERCENT`] of the budget to live calls.
    Background,
}

impl Call {
    /// A call of cost 1 that somebody waits for.
    pub const fn live(kind: CallKind) -> Self {
        Self { kind, cost: 1, urgency: Urgency::Live }
    }

    /// A call of cost 1 that can wait.
    pub const fn background(kind: CallKind) -> Self {
        Self { kind, cost: 1, urgency: Urgency::Background }
    }
}

/// The call may not go yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the provider's budget {budget} is used up until {}", until.to_rfc3339())]
pub struct WaitUntil {
    /// The earliest time at which it may go, as far as is known now.
    pub until: Millis,
    /// Which budget is used up.
    pub budget: String,
}

/// What an answer tells of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The limit, where the answer names it: it depends on what the customer has bought.
    pub limit: Option<u32>,
    /// Calls left, by the provider's count: other integrations' calls are in it.
    pub remaining: u32,
    /// When the provider's count begins anew, where it says.
    pub reset: Option<Millis>,
}

/// One budget: a count over a sliding window that never lets more than the limit into any window, corrected by what the
/// provider says. It holds at most [`Budget::SLOTS`] + 2 counters, whatever the traffic.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    facts: BudgetFacts,
    /// Our own calls by slot, oldest first.
    slots: VecDeque<Slot>,
    /// Calls of the account's other integrations, as the provider's last answer lets us reckon.
    others: Option<Others>,
    block: Block,
}

/// Our own calls in one slice of the window.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Slot {
    /// The slice's number since 1970.
    number: i64,
    cost: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Others {
    cost: u32,
    until: Millis,
}

/// The provider refused a call.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Block {
    /// No call before this.
    until: Millis,
    /// Refusals in a row.
    strikes: u32,
    /// A refusal before this is one more of the same trouble.
    grace: Millis,
}

impl Budget {
    /// Slices of a window. A call is forgotten when its whole slice has left the window, so that up to one slice of
    /// throughput, a twentieth, is given away for certainty.
    pub const SLOTS: u64 = 20;
    /// The share of the usable budget, in percent, that background calls leave to live ones.
    pub const SPARE_PERCENT: u32 = 20;
    /// The first wait after a refusal that does not say how long; it doubles with each further one. Short, because
    /// limits on how much may be under way at once are met often and pass at once.
    pub const BLOCK_MIN_MS: u64 = 50;
    /// The longest wait that we choose ourselves; a provider may ask for more.
    pub const BLOCK_MAX_MS: u64 = 900_000;
    /// How long a reckoning of other integrations' calls is believed where the provider names no reset.
    pub const OTHERS_MS_MAX: u64 = 300_000;

    /// A budget of which nothing is used.
    pub fn new(facts: BudgetFacts) -> Self {
        Self { facts, slots: VecDeque::new(), others: None, block: Block::default() }
    }

    /// What the budget is.
    pub fn facts(&self) -> &BudgetFacts {
        &self.facts
    }

    /// Takes `cost` out of the budget for a call made now. A cost above the whole usable budget counts as all of it,
    /// since it could otherwise never go.
    pub fn take(&mut self, now: Millis, cost: u32, urgency: Urgency) -> Result<(), WaitUntil> {
        self.admits(now, cost, urgency)?;
        self.spend(now, cost);
        Ok(())
    }

    /// Whether a call may go now, without taking anything.
    pub fn admits(&self, now: Millis, cost: u32, urgency: Urgency) -> Result<(), WaitUntil> {
        let free_at = self.block.until.max(now);
        let until = if self.fits(free_at, cost, urgency) { free_at } else { self.fitting_time(free_at, cost, urgency) };
        if until <= now { Ok(()) } else { Err(WaitUntil { until, budget: self.facts.name.clone() }) }
    }

    /// What is left for live calls.
    pub fn left(&self, now: Millis) -> u32 {
        self.usable(Urgency::Live).saturating_sub(self.used(now))
    }

    /// Corrects the count by what an answer told. The last answer is believed, since windows may roll: what the provider
    /// counts beyond our own calls is other integrations'.
    pub fn learn(&mut self, now: Millis, usage: Usage) {
        self.facts.limit = usage.limit.unwrap_or(self.facts.limit);
        let counted = self.facts.limit.saturating_sub(usage.remaining);
        let believed_ms = self.facts.window_ms.min(Self::OTHERS_MS_MAX);
        let until = usage.reset.unwrap_or_else(|| later(now, believed_ms));
        self.others = Some(Others { cost: counted.saturating_sub(self.own(now)), until });
    }

    /// The provider refused a call for this budget's sake: none goes before `after_ms`, or, where it does not say,
    /// before a wait that doubles with each refusal in a row. Calls that were on their way together and are refused
    /// together count as one refusal.
    pub fn blocked(&mut self, now: Millis, after_ms: Option<u64>) {
        let same_incident = now < self.block.until;
        if !same_incident {
            self.block.strikes = if now < self.block.grace { self.block.strikes.saturating_add(1) } else { 1 };
        }
        let chosen = (Self::BLOCK_MIN_MS << self.block.strikes.saturating_sub(1).min(32)).min(Self::BLOCK_MAX_MS);
        let wait_ms = match after_ms {
            Some(after_ms) => after_ms,
            None if same_incident => return,
            None => chosen,
        };
        self.block.until = self.block.until.max(later(now, wait_ms));
        self.block.grace = later(self.block.until, wait_ms.max(chosen).saturating_mul(2));
    }

    /// A call that was begun at `begun` was not refused: unless it was under way when the last refusal came, the trouble is
    /// over, and the next refusal begins a new one.
    pub fn passed(&mut self, begun: Millis) {
        if begun >= self.block.until {
            self.block.strikes = 0;
        }
    }

    fn spend(&mut self, now: Millis, cost: u32) {
        let number = now.0.div_euclid(self.slot_ms());
        while self.slots.front().is_some_and(|slot| self.expiry(*slot) <= now) {
            self.slots.pop_front();
        }
        match self.slots.back_mut() {
            // A clock that steps back must not reorder the slots: the call is counted as late as the last one.
            Some(last) if last.number >= number => last.cost = last.cost.saturating_add(cost),
            _ => self.slots.push_back(Slot { number, cost }),
        }
    }

    /// The earliest time from `from` on at which the cost fits: one at which something is forgotten.
    fn fitting_time(&self, from: Millis, cost: u32, urgency: Urgency) -> Millis {
        let expiries = self.slots.iter().map(|slot| self.expiry(*slot)).chain(self.others.map(|others| others.until));
        let mut times: Vec<Millis> = expiries.filter(|time| *time > from).collect();
        times.sort_unstable();
        // At the last of these times nothing is counted any more, so that every cost fits.
        times.into_iter().find(|time| self.fits(*time, cost, urgency)).unwrap_or(from)
    }

    fn fits(&self, at: Millis, cost: u32, urgency: Urgency) -> bool {
        let usable = self.usable(urgency);
        self.used(at).saturating_add(cost.min(usable)) <= usable
    }

    /// The part of the limit that we may use; never nothing, or no call could ever tell us better.
    fn usable(&self, urgency: Urgency) -> u32 {
        let reserve = percent(self.facts.limit, u32::from(self.facts.reserve_percent));
        let usable = self.facts.limit.saturating_sub(reserve).max(1);
        match urgency {
            Urgency::Live => usable,
            Urgency::Background => (usable - percent(usable, Self::SPARE_PERCENT)).max(1),
        }
    }

    fn used(&self, at: Millis) -> u32 {
        let others = self.others.filter(|others| at < others.until).map_or(0, |others| others.cost);
        self.own(at).saturating_add(others)
    }

    fn own(&self, at: Millis) -> u32 {
        let counted = self.slots.iter().filter(|slot| self.expiry(**slot) > at);
        counted.fold(0, |sum: u32, slot| sum.saturating_add(slot.cost))
    }

    /// When the last call that may be in the slot leaves the window.
    fn expiry(&self, slot: Slot) -> Millis {
        let end = Millis(slot.number.saturating_add(1).saturating_mul(self.slot_ms()));
        later(end, self.facts.window_ms)
    }

    fn slot_ms(&self) -> i64 {
        i64::try_from(self.facts.window_ms.div_ceil(Self::SLOTS)).unwrap_or(i64::MAX).max(1)
    }
}

/// All budgets of one connection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Budgets(Vec<Budget>);

impl Budgets {
    /// One budget for each of the provider's limits; none of them is used yet.
    pub fn new(facts: impl IntoIterator<Item = BudgetFacts>) -> Self {
        Self(facts.into_iter().map(Budget::new).collect())
    }

    /// Takes the call out of every budget that counts it, or out of none and says when all of them will have room.
    pub fn take(&mut self, now: Millis, call: Call) -> Result<(), WaitUntil> {
        let refused = self.counting(call.kind).filter_map(|budget| budget.admits(now, call.cost, call.urgency).err());
        if let Some(longest) = refused.max_by_key(|wait| wait.until) {
            return Err(longest);
        }
        self.counting(call.kind).for_each(|budget| budget.spend(now, call.cost));
        Ok(())
    }

    /// Corrects the budget of this name. An unknown name changes nothing: the limit is not one that we hold.
    pub fn learn(&mut self, now: Millis, name: &str, usage: Usage) {
        if let Some(budget) = self.0.iter_mut().find(|budget| budget.facts.name == name) {
            budget.learn(now, usage);
        }
    }

    /// A call was refused because of the budget of this name; with an unknown name, every budget that counts the call is
    /// blocked, which is never too little.
    pub fn blocked(&mut self, now: Millis, kind: CallKind, name: &str, after_ms: Option<u64>) {
        let known = self.0.iter().any(|budget| budget.facts.name == name);
        let meant = self
            .0
            .iter_mut()
            .filter(|budget| if known { budget.facts.name == name } else { budget.facts.calls.contains(&kind) });
        meant.for_each(|budget| budget.blocked(now, after_ms));
    }

    /// A call of this kind that was begun at `begun` was not refused.
    pub fn passed(&mut self, begun: Millis, kind: CallKind) {
        self.counting(kind).for_each(|budget| budget.passed(begun));
    }

    /// The budgets, for status reports.
    pub fn iter(&self) -> impl Iterator<Item = &Budget> {
        self.0.iter()
    }

    fn counting(&mut self, kind: CallKind) -> impl Iterator<Item = &mut Budget> {
        self.0.iter_mut().filter(move |budget| budget.facts.calls.contains(&kind))
    }
}

fn later(at: Millis, ms: u64) -> Millis {
    at.plus(i64::try_from(ms).unwrap_or(i64::MAX))
}

/// `share` percent of `whole`, rounded up, at most the whole.
fn percent(whole: u32, share: u32) -> u32 {
    let part = (u64::from(whole) * u64::from(share.min(100))).div_ceil(100);
    u32::try_from(part).unwrap_or(whole)
}
