//! The writer of one side: brings dirty replicas up to date. Each round reads the objects just before writing, merges first,
//! writes down what it is about to send, sends only what still differs, and takes the receipts in.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt;
use syncline_core::{
    budget::{Call, CallKind},
    document::Document,
    ids::{ExternalId, FieldName, RecordId},
    matching::MatchKey,
    plan::Side as Part,
    reconcile::{Input, Receipt},
    record::RecordState,
    remote::{Key, ProviderError, Refusal, Remedy, WriteOutcome, WriteRequest, WriteResult, WriteVerb},
    replica::{Intent, IntentVerb, Link, Replica, Source},
    time::Millis,
    value::Fields,
};

use super::{
    DEADLINE_MS,
    intake::{Arrival, Batch, MAY_BE_ITS, TAKEN},
    side::{Side, StepError},
};
use crate::{
    executor::Signal,
    fault::Place,
    mutant::Mutant,
    network::{Answer, Ask},
};

/// How many deliveries are brought up to date in one round.
const DELIVERIES_PER_ROUND: usize = 3;
/// How long after a batch was begun its rows may be sent.
const FRESH_MS: i64 = 2_000;
/// How often the rows of one batch are sent at most.
const SENDINGS_MAX: u32 = 10;
/// How long to wait after a failed round.
const PAUSE_AFTER_FAILURE_MS: i64 = 1_000;
/// How long to wait where the other lane has everything that is due.
const OTHER_LANE_BUSY_MS: i64 = 100;
/// The longest wait without looking again.
const IDLE_MAX_MS: i64 = 30_000;

/// One lane of a side's writer: runs until the process ends.
pub(super) async fn run(side: Side) {
    loop {
        match round(&side).await {
            Ok(wait_ms) => side.handle.idle(wait_ms, Signal::Write, side.system).await,
            Err(_) => side.handle.sleep(PAUSE_AFTER_FAILURE_MS).await,
        }
    }
}

/// Records that no other lane of the writer touches while this is held.
struct Claim {
    side: Side,
    records: Vec<RecordId>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.side.with(|world| {
            if let Some(process) = &mut world.process {
                let claimed = &mut process.sides[self.side.system].claimed;
                claimed.retain(|record| !self.records.contains(record));
            }
        });
    }
}

fn claim(side: &Side, due: &[RecordId]) -> Claim {
    let records = side.with(|world| {
        let Some(process) = &mut world.process else { return Vec::new() };
        let claimed = &mut process.sides[side.system].claimed;
        due.iter().copied().filter(|record| claimed.insert(*record)).take(DELIVERIES_PER_ROUND).collect()
    });
    Claim { side: side.clone(), records }
}

/// Whether writing may begin: every side has been read completely, so that nothing is created that exists.
fn may_write(side: &Side) -> bool {
    side.with(|world| {
        let live = &world.store.tenants[side.tenant].live;
        world.plans[side.tenant].sides.keys().all(|connection| live.contains(connection))
    })
}

/// The records without their histories, which no write needs.
fn load(side: &Side, records: &[RecordId]) -> Vec<RecordState> {
    side.with(|world| {
        let stored = &world.store.tenants[side.tenant].records;
        records.iter().filter_map(|record| stored.get(record).map(surface)).collect()
    })
}

fn surface(state: &RecordState) -> RecordState {
    RecordState {
        tenant: state.tenant.clone(),
        id: state.id,
        model: state.model.clone(),
        revision: state.revision,
        epoch: state.epoch,
        version: state.version,
        fields: state.fields.clone(),
        deleted: state.deleted,
        merged_into: state.merged_into,
        document: Document::from_saved(Vec::new(), state.document.heads().clone()),
        journal: Vec::new(),
        replicas: state.replicas.clone(),
        first_seen_at: state.first_seen_at,
        last_modified_at: state.last_modified_at,
    }
}

/// One batch of deliveries; returns how long to wait for the next.
async fn round(side: &Side) -> Result<i64, StepError> {
    if !may_write(side) {
        return Ok(IDLE_MAX_MS);
    }
    let (now, due) = side.with(|world| {
        let store = &world.store.tenants[side.tenant];
        (world.now, store.due_deliveries(&side.connection, world.now, DELIVERIES_PER_ROUND * super::LANES))
    });
    let claim = claim(side, &due);
    if claim.records.is_empty() && !due.is_empty() {
        return Ok(OTHER_LANE_BUSY_MS);
    }
    let due = load(side, &claim.records);
    if due.is_empty() {
        let next = side.with(|world| world.store.tenants[side.tenant].next_due(&side.connection));
        let wait_ms = next.map_or(IDLE_MAX_MS, |due| (due.0 - now.0).max(50));
        return Ok(wait_ms.min(IDLE_MAX_MS));
    }
    let looked = look_first(side, &due).await?;
    let records: Vec<RecordId> = due.iter().map(|state| state.id).collect();
    let intents = prepare(side, &records, looked.at).await?;
    let sent = intents.len();
    if sent > 0 {
        side.handle.point(Place::BeforeSend).await;
        send(side, intents, &looked.anothers).await?;
    }
    Ok(if sent == 0 { 50 } else { 0 })
}

/// What was found before sending.
struct Looked {
    /// When the look began, by our clock.
    at: Millis,
    /// Records whose key is in an object that is not theirs, as after a merge or a copy there, and why they wait for a person:
    /// where a create with a key writes to the object that has it, theirs would overwrite somebody else's.
    anothers: BTreeMap<RecordId, String>,
}

/// Reads every linked object by id, looks for objects that an unlinked record may already have, and asks what became of writes
/// whose answer was lost.
async fn look_first(side: &Side, due: &[RecordState]) -> Result<Looked, StepError> {
    let replicas = || due.iter().filter_map(|state| Some((state, state.replicas.get(&side.connection)?)));
    // An intent that is open here was sent by an earlier run of the service, or was never sent: nobody knows.
    let mut interrupted = Vec::new();
    let mut was_interrupted = BTreeSet::new();
    for (state, replica) in replicas() {
        if let Some(intent) = replica.intent.as_ref().filter(|intent| !intent.uncertain) {
            let message = "the service stopped while this write was under way".into();
            // It may have been sent long after it was opened, and been under way until the process died.
            let wait_until = deadline(side, side.with(|world| world.now));
            let result = Receipt::Unknown { message, wait_until };
            interrupted.push(receipt(side, state.id, intent, result));
            was_interrupted.insert(state.id);
        }
    }
    if !interrupted.is_empty() {
        side.with(|world| world.counts.thing("intents that a crash left open"));
        side.take(Batch::of(interrupted)).await?;
    }
    let ids: Vec<ExternalId> = replicas()
        .filter(|(state, _)| !was_interrupted.contains(&state.id))
        .filter_map(|(_, replica)| replica.link.linked().cloned())
        .collect();
    let at = side.look(&ids, Vec::new()).await?;
    let unlinked: Vec<(&RecordState, &Replica)> = replicas()
        .filter(|(state, replica)| {
            // A create whose answer was lost is asked for, even if its record was deleted since: what it made must go as well.
            let owed = state.deleted.is_none() || replica.intent.is_some();
            replica.link == Link::Unlinked && !was_interrupted.contains(&state.id) && owed
        })
        .collect();
    let anothers = find_existing(side, &unlinked).await?;
    Ok(Looked { at, anothers })
}

/// Nothing that was sent before can take effect after this.
fn deadline(side: &Side, from: Millis) -> Millis {
    let waits = side.with(|world| world.mutant != Some(Mutant::DeadlineNotWaited));
    from.plus(if waits { DEADLINE_MS } else { 0 })
}

/// Before creates: an object with our key, or with the same match key, is linked instead of made again.
async fn find_existing(
    side: &Side,
    unlinked: &[(&RecordState, &Replica)],
) -> Result<BTreeMap<RecordId, String>, StepError> {
    if unlinked.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (plan, mutant) = side.with(|world| (world.plans[side.tenant].clone(), world.mutant));
    let part = &plan.sides[&side.connection];
    let mut searches = Vec::new();
    for (state, replica) in unlinked {
        if mutant == Some(Mutant::KeyNotSearched) {
            continue;
        }
        if let Some(field) = part.key_field.as_ref().filter(|_| replica.is_used() || replica.intent.is_some()) {
            searches.push(vec![Key { field: field.clone(), value: state.id.to_string() }]);
        }
        let match_keys = plan.model.match_keys.iter();
        searches.extend(match_keys.filter_map(|names| remote_keys(part, names, &state.fields)));
    }
    let (mut bearers, mut seen) = (BTreeMap::new(), BTreeMap::new());
    if !searches.is_empty() {
        let begun = side.tick();
        let answer = side.call(Call::live(CallKind::Search), Ask::Find(searches)).await?;
        if let Answer::Objects(found) = answer {
            let arrivals = side.with(|world| world.arrivals(side.system, found, Source::ById, begun));
            bearers.extend(arrivals.iter().filter_map(Arrival::bears_key));
            seen.extend(arrivals.iter().filter_map(|arrival| arrival.match_keys(&plan.model)));
            side.take(Batch::of(arrivals)).await?;
        }
    }
    side.with(|world| {
        let links = &world.store.tenants[side.tenant].links;
        seen.retain(|id, _| !links.contains_key(&(side.connection.clone(), id.clone())));
    });
    let asked =
        |(state, replica): &&(&RecordState, &Replica)| replica.intent.is_some() || bearers.contains_key(&state.id);
    let ids: Vec<RecordId> = unlinked.iter().filter(asked).map(|(state, _)| state.id).collect();
    let mut anothers = BTreeMap::new();
    let mut closed = Vec::new();
    for state in load(side, &ids) {
        let Some(replica) = state.replicas.get(&side.connection) else { continue };
        let bearer = bearers.get(&state.id).filter(|_| replica.link == Link::Unlinked);
        let reason = bearer.map(|id| format!("{id} has its key and {TAKEN} another"));
        let keys = MatchKey::all(&plan.model, &state.fields);
        let is_alike = |(_, others): &(&ExternalId, &Vec<MatchKey>)| others.iter().any(|key| keys.contains(key));
        let of_nobody = seen.iter().filter(|_| replica.intent.is_some()).find(is_alike);
        let reason = reason.or(of_nobody.map(|(id, _)| format!("{id} {MAY_BE_ITS}")));
        if let Some(intent) = &replica.intent {
            // What was not found was not made: the deadline of its request is past.
            let error = ProviderError { remedy: Remedy::Retry, message: "the object was not created".into() };
            let result = match reason.clone() {
                Some(message) => Receipt::Exists { id: None, message },
                None => Receipt::NotApplied { error, jitter: 0 },
            };
            closed.push(receipt(side, state.id, intent, result));
        }
        anothers.extend(reason.map(|reason| (state.id, reason)));
    }
    if !closed.is_empty() {
        side.take(Batch::of(closed)).await?;
    }
    Ok(anothers)
}

/// A match key in the provider's own fields and spellings; `None` where a member is blank or not written here.
fn remote_keys(part: &Part, names: &[FieldName], fields: &Fields) -> Option<Vec<Key>> {
    if names.iter().any(|name| fields.get(name).is_none_or(|value| value.is_blank())) {
        return None;
    }
    let changed: BTreeSet<FieldName> = names.iter().filter(|name| part.mapping.writable(name)).cloned().collect();
    let body = part
        .mapping
        .write(&changed, fields, false)
        .ok()
        .filter(|body| !body.is_empty() && changed.len() == names.len())?;
    body.into_iter().map(|(field, value)| Some(Key { field, value: value.as_str()?.to_owned() })).collect()
}

/// Computes and writes down what each record is to send.
async fn prepare(side: &Side, records: &[RecordId], looked_at: Millis) -> Result<Vec<(RecordId, Intent)>, StepError> {
    let conditional = side.with(|world| world.accounts[side.system].provider.quirks.conditional);
    let arrivals = records
        .iter()
        .map(|record| {
            let connection = side.connection.clone();
            let input = Box::new(Input::Prepare { connection, looked_at, conditional });
            Arrival::Known { record: *record, input, write: None }
        })
        .collect();
    Ok(side.take(Batch::of(arrivals)).await?.intents)
}

/// Sends the intents and takes their receipts in.
async fn send(
    side: &Side,
    intents: Vec<(RecordId, Intent)>,
    anothers: &BTreeMap<RecordId, String>,
) -> Result<(), StepError> {
    let (plan, batch_max) =
        side.with(|world| (world.side(side.system).0.clone(), world.accounts[side.system].provider.quirks.batch_max));
    let part = &plan.sides[&side.connection];
    let ids: Vec<RecordId> = intents.iter().map(|(record, _)| *record).collect();
    let states = load(side, &ids);
    let mut receipts = Vec::new();
    let mut requests = Vec::new();
    for (trace, (record, intent)) in intents.iter().enumerate() {
        let Some(state) = states.iter().find(|state| state.id == *record) else { continue };
        if let (IntentVerb::Create, Some(message)) = (intent.verb, anothers.get(record)) {
            receipts.push(receipt(side, *record, intent, Receipt::Exists { id: None, message: message.clone() }));
            continue;
        }
        match request(side, part, state, intent, trace) {
            Ok(request) => requests.push(request),
            Err(result) => receipts.push(receipt(side, *record, intent, *result)),
        }
    }
    for chunk in requests.chunks(batch_max.max(1)) {
        let results = write(side, chunk.to_vec(), &ids).await;
        let passes = side.with(|world| world.mutant == Some(Mutant::FailedRowPassed));
        for mut result in results {
            let Some((record, intent)) = intents.get(result.trace as usize) else { continue };
            if let (true, WriteOutcome::NotApplied(_), Some(id)) =
                (passes, &result.outcome, updated(chunk, result.trace))
            {
                result.outcome = WriteOutcome::Applied { id, created: false, object: None, whole: false };
            }
            receipts.push(receipt(side, *record, intent, read_result(side, part, result)));
        }
    }
    side.take(Batch::of(receipts)).await?;
    Ok(())
}

/// The object that this row of a batch updates.
fn updated(rows: &[WriteRequest], trace: u32) -> Option<ExternalId> {
    rows.iter().find(|row| row.trace == trace).and_then(|row| match &row.verb {
        WriteVerb::Update { id, .. } => Some(id.clone()),
        WriteVerb::Create { .. } | WriteVerb::Delete { .. } => None,
    })
}

/// One batch. Rows that certainly had no effect because a token or a budget ran out on the way are sent again, as long as what
/// was read before the batch is fresh.
async fn write(side: &Side, mut requests: Vec<WriteRequest>, records: &[RecordId]) -> Vec<WriteResult> {
    let begun = side.with(|world| world.now);
    let elapsed = || side.with(|world| world.now.0 - begun.0);
    let mut ended = Vec::with_capacity(requests.len());
    for sending in 1.. {
        let again = match write_once(side, &requests, records, FRESH_MS - elapsed()).await {
            Ok(results) => {
                let (again, settled): (Vec<_>, Vec<_>) = results.into_iter().partition(may_go_again);
                ended.extend(settled);
                again
            }
            Err(error) => {
                let outcome = WriteOutcome::NotApplied(error);
                ended.extend(requests.iter().map(|row| WriteResult { trace: row.trace, outcome: outcome.clone() }));
                break;
            }
        };
        if again.is_empty() || sending >= SENDINGS_MAX || elapsed() >= FRESH_MS {
            ended.extend(again);
            break;
        }
        let traces: BTreeSet<u32> = again.iter().map(|result| result.trace).collect();
        requests.retain(|request| traces.contains(&request.trace));
    }
    ended
}

/// One call, made when the budgets admit it in time; applies the remedies that are not about a row.
async fn write_once(
    side: &Side,
    requests: &[WriteRequest],
    records: &[RecordId],
    patience_ms: i64,
) -> Result<Vec<WriteResult>, ProviderError> {
    let call = Call::live(CallKind::Write);
    side.admitted(call, patience_ms).await?;
    let begun = side.with(|world| world.now);
    // Requests bear the places of their records.
    let records = requests.iter().map(|request| records[request.trace as usize]).collect();
    let Answer::Results(results) = side.handle.ask(side.system, Ask::Write(requests.to_vec(), records)).await? else {
        return Ok(Vec::new());
    };
    let waits: Vec<_> = results.iter().filter_map(wait_asked).collect();
    if waits.len() < results.len() {
        side.passed(call, begun);
    }
    if let Some((after_ms, budget)) = waits.first() {
        side.blocked(call, budget, *after_ms);
    }
    if results.iter().any(|result| refused_for(result, |remedy| *remedy == Remedy::Refresh)) {
        side.refresh().await?;
    }
    Ok(results)
}

fn may_go_again(result: &WriteResult) -> bool {
    refused_for(result, |remedy| matches!(remedy, Remedy::Refresh | Remedy::Wait { .. }))
}

fn wait_asked(result: &WriteResult) -> Option<(Option<u64>, &str)> {
    match &result.outcome {
        WriteOutcome::NotApplied(ProviderError { remedy: Remedy::Wait { after_ms, budget }, .. }) => {
            Some((*after_ms, budget))
        }
        _ => None,
    }
}

fn refused_for(result: &WriteResult, matches: impl Fn(&Remedy) -> bool) -> bool {
    matches!(&result.outcome, WriteOutcome::NotApplied(error) if matches(&error.remedy))
}

fn request(
    side: &Side,
    part: &Part,
    state: &RecordState,
    intent: &Intent,
    trace: usize,
) -> Result<WriteRequest, Box<Receipt>> {
    let linked = || state.replicas.get(&side.connection).and_then(|replica| replica.link.linked().cloned());
    let verb = match (intent.verb, linked()) {
        (IntentVerb::Create, _) => {
            let key = part.key_field.clone().map(|field| Key { field, value: state.id.to_string() });
            WriteVerb::Create { key }
        }
        (IntentVerb::Update, Some(id)) => WriteVerb::Update { id, expected: intent.expected },
        (IntentVerb::Delete, Some(id)) => WriteVerb::Delete { id, expected: intent.expected },
        (_, None) => return Err(Box::new(Receipt::Gone)),
    };
    let body = match intent.verb {
        IntentVerb::Delete => Default::default(),
        creating => {
            let mut values = state.fields.clone();
            values.extend(intent.fields.clone());
            let changed = intent.fields.keys().cloned().collect();
            part.mapping.write(&changed, &values, creating == IntentVerb::Create).map_err(|faults| {
                let fields = faults.iter().map(|fault| fault.field.clone()).collect();
                let refusal = Refusal { code: "mapping".into(), message: String::new(), fields: Vec::new() };
                Box::new(Receipt::Refused { fields, refusal })
            })?
        }
    };
    Ok(WriteRequest { object: part.object.clone(), verb, body, trace: u32::try_from(trace).unwrap_or(u32::MAX) })
}

/// A provider's answer as a receipt, read through the mapping.
fn read_result(side: &Side, part: &Part, result: WriteResult) -> Receipt {
    match result.outcome {
        WriteOutcome::Applied { id, object, whole, .. } => {
            let answer = object.and_then(|object| {
                part.mapping.observe(&object, part.key_field.as_deref(), Source::Answer, Default::default()).ok()
            });
            let whole = whole && answer.is_some();
            Receipt::Applied { id, answer: answer.map(Box::new), whole }
        }
        WriteOutcome::Stale => Receipt::Stale,
        WriteOutcome::Exists { id, message } => Receipt::Exists { id, message },
        WriteOutcome::Gone => Receipt::Gone,
        WriteOutcome::Refused(refusal) => {
            let mut fields: Vec<FieldName> =
                refusal.fields.iter().flat_map(|remote| part.mapping.fields_of_remote(remote)).collect();
            fields.sort_unstable();
            fields.dedup();
            Receipt::Refused { fields, refusal }
        }
        WriteOutcome::NotApplied(error) => {
            Receipt::NotApplied { error, jitter: side.with(|world| world.rng.random_range(0..=1_000)) }
        }
        WriteOutcome::Unknown { message } => {
            let now = side.with(|world| world.now);
            Receipt::Unknown { message, wait_until: deadline(side, now) }
        }
    }
}

fn receipt(side: &Side, record: RecordId, intent: &Intent, result: Receipt) -> Arrival {
    let input = Input::Receipt { connection: side.connection.clone(), intent: intent.id, result };
    Arrival::Known { record, input: Box::new(input), write: None }
}
