//! What the users of connected systems do to their objects, what webhooks tell of it, and what requests of ours do there.

use rand::RngExt;
use syncline_core::{
    ids::{ExternalId, FieldName, RecordId},
    remote::{ProviderError, Raw, Remedy, WriteOutcome, WriteRequest, WriteResult, WriteVerb},
    replica::Replica,
    value::{Fields, Value},
};

use crate::{
    checker::Invariant,
    event::UserDeed,
    fault::Fault,
    ledger::Written,
    model::{EMAIL, Shape},
    network::{Answer, Ask, Reply},
    provider::{
        Done,
        object::{Entry, Object},
        quirks::Quirks,
    },
    setup::email_of,
    store::Hint,
    world::{Item, World},
};

/// How many entities users know of.
const ENTITIES: u32 = 6;

impl World {
    /// A user of a connected system does something.
    pub(crate) fn user(&mut self, system: usize, pick: usize, deed: UserDeed) {
        let now = self.now;
        let lag = self.lag(system);
        match deed {
            UserDeed::Create => self.user_creates(system, pick),
            UserDeed::Edit => self.user_edits(system, pick),
            UserDeed::Rename => self.user_renames(system, pick),
            UserDeed::Touch => {
                if let Some(id) = self.pick_live(system, pick) {
                    self.note(|| format!("user touches {id}"));
                    self.accounts[system].provider.user_touches(&id, lag, now);
                }
            }
            UserDeed::Delete => {
                if let Some(id) = self.pick_live(system, pick) {
                    self.user_deletes(system, &id);
                }
            }
            UserDeed::Restore => self.user_restores(system, pick),
            UserDeed::Merge => self.user_merges(system, pick),
            UserDeed::Recreate => {
                if let Some(id) = self.pick_live(system, pick) {
                    let email = self.accounts[system].provider.objects[&id].value(EMAIL);
                    self.user_deletes(system, &id);
                    self.user_makes(system, email.as_str().unwrap_or_default());
                }
            }
            UserDeed::Wipe => {
                let all: Vec<ExternalId> =
                    self.accounts[system].provider.live().map(|object| object.id.clone()).collect();
                all.iter().for_each(|id| self.user_deletes(system, id));
            }
        }
        self.stir(system);
    }

    fn pick_live(&self, system: usize, pick: usize) -> Option<ExternalId> {
        let live: Vec<&Object> = self.accounts[system].provider.live().collect();
        live.get(pick % live.len().max(1)).map(|object| object.id.clone())
    }

    /// Users do not make a second object of an entity, but for a few.
    fn user_creates(&mut self, system: usize, pick: usize) {
        let email = email_of(pick as u32 % ENTITIES);
        let known =
            self.accounts[system].provider.live().any(|object| object.value(EMAIL).as_str() == Some(email.as_str()));
        if !known || pick % 16 == 15 {
            self.user_makes(system, &email);
        }
    }

    fn user_edits(&mut self, system: usize, pick: usize) {
        let tenant = self.accounts[system].tenant;
        let names: Vec<FieldName> =
            self.plans[tenant].model.fields.keys().filter(|name| name.as_str() != EMAIL).cloned().collect();
        let name = names[self.rng.random_range(0..names.len())].clone();
        if let Some(id) = self.pick_live(system, pick) {
            self.user_sets(system, &id, &name);
        }
    }

    fn user_renames(&mut self, system: usize, pick: usize) {
        if let Some(id) = self.pick_live(system, pick) {
            self.user_sets(system, &id, &EMAIL.into());
        }
    }

    fn user_sets(&mut self, system: usize, id: &ExternalId, name: &FieldName) {
        let tenant = self.accounts[system].tenant;
        let (now, lag, word) = (self.now, self.lag(system), self.word(tenant));
        let raw = self.accounts[system].provider.objects[id].raw();
        let saw = self.value(system, &raw, name);
        let value = Shape::of(name).edited(&saw, &word, &mut self.rng);
        self.note(|| format!("user sets {name} of {id} to {}", value.to_json()));
        let fields = Fields::from([(name.clone(), value.clone())]);
        let values = self.raw(system, &fields);
        self.accounts[system].provider.user_sets(id, values, lag, now);
        let who = format!("a user of {id}");
        self.ledger.wrote(Written { tenant, field: name.clone(), value, saw, acknowledged: true, who });
    }

    pub(crate) fn user_deletes(&mut self, system: usize, id: &ExternalId) {
        let (now, lag) = (self.now, self.lag(system));
        self.note(|| format!("user deletes {id}"));
        self.forgive_object(system, id, true);
        self.expect_again(system, id);
        let connection = self.accounts[system].connection.clone();
        self.ledger.ended.insert((connection, id.clone()));
        self.accounts[system].provider.user_deletes(id, lag, now);
    }

    fn user_restores(&mut self, system: usize, pick: usize) {
        let provider = &self.accounts[system].provider;
        let deleted: Vec<ExternalId> = provider
            .objects
            .values()
            .filter(|object| object.deleted.is_some() && object.merged_into.is_none())
            .map(|object| object.id.clone())
            .collect();
        let Some(id) = deleted.get(pick % deleted.len().max(1)).cloned() else { return };
        let (now, lag) = (self.now, self.lag(system));
        self.note(|| format!("user restores {id}"));
        self.counts.thing("restores");
        self.accounts[system].provider.user_restores(&id, lag, now);
    }

    /// What an ended object held may stand in two records: its own may get another object, and when this one is restored, or
    /// a list that lags shows it, it is a record by itself.
    fn expect_again(&mut self, system: usize, id: &ExternalId) {
        let raw = self.accounts[system].provider.objects[id].raw();
        for (field, value) in self.values(system, &raw) {
            self.ledger.copied.extend(Shape::of(&field).parts(&value));
        }
    }

    fn user_merges(&mut self, system: usize, pick: usize) {
        let Some(from) = self.pick_live(system, pick) else { return };
        let Some(into) = self.pick_live(system, pick + 1).filter(|into| *into != from) else { return };
        let tenant = self.accounts[system].tenant;
        let (now, lag) = (self.now, self.lag(system));
        self.note(|| format!("user merges {from} into {into}"));
        self.counts.thing("merges");
        self.forgive_object(system, &from, true);
        // The id shows the other object from now on, and that one's history.
        self.forgive_history(system, &from);
        self.expect_again(system, &from);
        self.expect_again(system, &into);
        let filled = self.accounts[system].provider.user_merges(&from, &into, lag, now);
        let connection = self.accounts[system].connection.clone();
        self.ledger.ended.insert((connection.clone(), from.clone()));
        self.ledger.merged.insert((connection, from));
        for (field, value) in self.values(system, &filled) {
            self.ledger.copied.extend(Shape::of(&field).parts(&value));
            let (saw, who) = (Value::Null, format!("a merge into {into}"));
            self.ledger.wrote(Written { tenant, field, value, saw, acknowledged: true, who });
        }
    }

    /// What an object holds is lost with it, where whoever ends it has seen it. What its users wrote is lost to everybody where
    /// deleted objects cannot be read.
    fn forgive_object(&mut self, system: usize, id: &ExternalId, seen: bool) {
        let provider = &self.accounts[system].provider;
        let Some(object) = provider.objects.get(id) else { return };
        let readable = provider.quirks.keeps_deleted;
        if seen {
            let fields = self.values(system, &object.raw());
            self.ledger.forgive_all(&fields);
        }
        if !readable {
            self.forgive_history(system, id);
        }
    }

    /// What an object's users wrote cannot be read any more.
    fn forgive_history(&mut self, system: usize, id: &ExternalId) {
        let Some(object) = self.accounts[system].provider.objects.get(id) else { return };
        let of_users = |(name, entries): (&String, &Vec<Entry>)| {
            let users = entries.iter().filter(|entry| !entry.by_us);
            users.map(|entry| Raw::from_iter([(name.clone(), entry.value.clone())])).collect::<Vec<_>>()
        };
        let lost: Vec<Raw> = object.fields.iter().flat_map(of_users).collect();
        for raw in lost {
            let fields = self.values(system, &raw);
            self.ledger.forgive_all(&fields);
        }
    }

    /// Sends webhooks about what changed.
    pub(crate) fn stir(&mut self, system: usize) {
        let stirred = std::mem::take(&mut self.accounts[system].provider.stirred);
        if !self.accounts[system].provider.quirks.webhooks {
            return;
        }
        for id in stirred {
            self.hints_sent += 1;
            let connection = self.accounts[system].connection.clone();
            let hint = Hint { connection, id: id.clone(), name: format!("event {}", self.hints_sent) };
            let provider = &self.accounts[system].provider;
            let payload = Box::new(provider.show(&provider.objects[&id]));
            let mut delay = self.rng.random_range(20..1_500);
            if self.strikes(system, Fault::HintLost) {
                continue;
            }
            if self.strikes(system, Fault::HintLate) {
                delay += 8_000;
            }
            let at = self.now.plus(delay);
            if self.strikes(system, Fault::HintTwice) {
                let again = at.plus(self.rng.random_range(1..5_000));
                self.at(again, Item::Hint { system, hint: hint.clone(), payload: payload.clone() });
            }
            self.at(at, Item::Hint { system, hint, payload });
        }
    }

    /// A request of ours has arrived at a provider.
    pub(crate) fn answer(&mut self, system: usize, ask: &Ask, fresh: &[(ExternalId, u64)]) -> Reply {
        let error = |remedy, message: &str| Err(ProviderError { remedy, message: message.into() });
        let now = self.now;
        if matches!(ask, Ask::Refresh) {
            self.accounts[system].provider.token_expired = false;
            return Ok(Answer::Refreshed);
        }
        if self.strikes(system, Fault::TokenExpired) {
            self.accounts[system].provider.token_expired = true;
        }
        if self.accounts[system].provider.token_expired {
            return refused(ask, Remedy::Refresh, "the token has expired");
        }
        if self.strikes(system, Fault::TooMany) {
            let after_ms = Some(self.rng.random_range(500..4_000));
            return refused(ask, Remedy::Wait { after_ms, budget: "calls".into() }, "too many calls");
        }
        if self.strikes(system, Fault::Unavailable) {
            return refused(ask, Remedy::Retry, "unavailable");
        }
        match ask {
            Ask::Probe => Ok(Answer::Probed { clock: self.accounts[system].provider.clock(now) }),
            Ask::Refresh => Ok(Answer::Refreshed),
            Ask::Page(request) => {
                if request.token.is_some() && self.strikes(system, Fault::PageTokenLost) {
                    return error(Remedy::Restart, "the page token is not valid any more");
                }
                if (request.token.is_some() || request.after.is_some()) && self.strikes(system, Fault::PageFails) {
                    return error(Remedy::Gone, "the listing broke off");
                }
                if request.window.is_some() && self.strikes(system, Fault::Forgotten) {
                    self.accounts[system].provider.forgot = true;
                    return error(Remedy::Resync, "the window is older than what is kept");
                }
                let lags = self.accounts[system].provider.quirks.lags();
                if request.window.is_some() && lags && self.strikes(system, Fault::IndexStalls) {
                    self.accounts[system].provider.stalled_until = now.plus(Quirks::STALL_MS as i64);
                }
                let page = self.accounts[system].provider.page(request, now);
                // Of an empty window nobody can tell whether it is so; a sweep heals it.
                let whole = request.window.is_none() && !request.deleted;
                if whole && !page.objects.is_empty() && self.strikes(system, Fault::EmptyList) {
                    self.accounts[system].provider.hid = true;
                    return Ok(Answer::Page(Default::default()));
                }
                Ok(Answer::Page(page))
            }
            Ask::ById(ids) => Ok(Answer::Objects(self.accounts[system].provider.by_id(ids))),
            Ask::Find(searches) => Ok(Answer::Objects(self.accounts[system].provider.find(searches))),
            Ask::Deleted(_) if self.strikes(system, Fault::Forgotten) => {
                self.accounts[system].provider.forgot = true;
                error(Remedy::Resync, "the window is older than what is kept")
            }
            Ask::Deleted(window) => Ok(Answer::Deleted(self.accounts[system].provider.deleted(*window, now))),
            Ask::Write(rows, records) => {
                let mut results = Vec::with_capacity(rows.len());
                for (row, record) in rows.iter().zip(records) {
                    results.push(self.write_row(system, row, *record, rows.len() > 1, fresh));
                }
                self.stir(system);
                Ok(Answer::Results(results))
            }
        }
    }

    fn write_row(
        &mut self,
        system: usize,
        row: &WriteRequest,
        record: RecordId,
        several: bool,
        fresh: &[(ExternalId, u64)],
    ) -> WriteResult {
        let trace = row.trace;
        if several && self.strikes(system, Fault::RowFails) {
            let error = ProviderError { remedy: Remedy::Retry, message: "this row is locked".into() };
            return WriteResult { trace, outcome: WriteOutcome::NotApplied(error) };
        }
        self.check_sent(system, &row.body);
        let (now, lag) = (self.now, self.lag(system));
        let effect = self.accounts[system].provider.write(row, fresh, lag, now);
        let outcome = effect.outcome.clone();
        self.note(|| {
            format!(
                "write to {}: {:?} {} -> {outcome:?}",
                system,
                row.verb,
                serde_json::Value::Object(row.body.clone())
            )
        });
        match effect.done {
            Done::Made { id } => self.check_made(system, &id, record),
            Done::Set { id, before } => {
                let guarded = matches!(row.verb, WriteVerb::Update { expected: Some(_), .. });
                let blind = self.accounts[system].provider.quirks.is_blind() || !guarded;
                if matches!(row.verb, WriteVerb::Create { .. }) {
                    // The object with the record's key may be another record's by now.
                    self.expect_again(system, &id);
                }
                if blind {
                    let upsert = matches!(row.verb, WriteVerb::Create { .. });
                    self.excuse_blindness(system, &id, &before, &row.body, upsert);
                }
            }
            Done::Deleted { id } => {
                self.forgive_object(system, &id, false);
                self.expect_again(system, &id);
                let connection = self.accounts[system].connection.clone();
                self.ledger.ended.insert((connection, id));
            }
            Done::Nothing => {}
        }
        if let Some(redundant) = self.accounts[system].provider.redundant.pop() {
            self.violate(Invariant::Once, format!("a write changed nothing, although we knew: {redundant}"));
        }
        if matches!(effect.outcome, WriteOutcome::Applied { .. }) {
            self.counts.thing("writes");
        }
        WriteResult { trace, outcome: effect.outcome }
    }

    /// What the write overwrote without a trace is lost to everybody, unless a reading that waits has glimpsed it. An upsert
    /// has seen nothing of the object that it finds by its key, which may be another record's by then.
    fn excuse_blindness(&mut self, system: usize, id: &ExternalId, before: &Raw, body: &Raw, upsert: bool) {
        let account = &self.accounts[system];
        if account.provider.quirks.history {
            return;
        }
        let held_before = self.values(system, before);
        let sent = self.values(system, body);
        let store = &self.store.tenants[account.tenant];
        let record = store.links.get(&(account.connection.clone(), id.clone()));
        let replica = record.and_then(|record| store.records.get(record)?.replicas.get(&account.connection));
        let mut lost = Vec::new();
        for (name, _) in sent.iter().filter(|(name, value)| held_before.get(*name) != Some(value)) {
            let held = held_before.get(name).cloned().unwrap_or_default();
            let known = !upsert
                && replica.is_some_and(|replica| {
                    let full = replica.held.len() == Replica::HELD_MAX;
                    replica.baseline.get(name).unwrap_or(&Value::Null).same_as(&held)
                        || !full && replica.held.iter().any(|reading| reading.fields.get(name) == Some(&held))
                });
            if !known {
                lost.push((name.clone(), held));
            }
        }
        for (name, value) in lost {
            if !value.is_blank() {
                self.ledger.blind += 1;
                self.counts.thing("blind overwrites");
                self.note(|| format!("blind: {name}={} of {id} is overwritten unseen", value.to_json()));
                self.ledger.forgive(&name, &value);
            }
        }
    }
}

fn refused(ask: &Ask, remedy: Remedy, message: &str) -> Reply {
    let error = ProviderError { remedy, message: message.into() };
    match ask {
        Ask::Write(rows, _) => {
            let refused =
                |row: &WriteRequest| WriteResult { trace: row.trace, outcome: WriteOutcome::NotApplied(error.clone()) };
            Ok(Answer::Results(rows.iter().map(refused).collect()))
        }
        _ => Err(error),
    }
}
