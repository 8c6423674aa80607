//! The writer of one side: brings dirty replicas up to date. Each round reads the objects just before writing, merges
//! first, writes down what it is about to send, sends only what still differs, and takes the receipts in.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use syncline_connectors::connector::Writer;
use syncline_core::{
    budget::{Call, CallKind},
    ids::{ExternalId, FieldName, RecordId},
    matching::MatchKey,
    plan::Side,
    reconcile::{Input, Receipt},
    record::RecordState,
    remote::{Key, ProviderError, Refusal, Remedy, WriteOutcome, WriteRequest, WriteResult, WriteVerb},
    replica::{Intent, IntentVerb, Link, Replica, Source},
    time::Millis,
    value::Fields,
};

use super::{
    clock::Clock,
    intake::{Arrival, Batch},
    side::{RunningSide, StepError},
    told,
};
use crate::{
    config::Approval,
    failpoint::{Point, reach},
    store::{StoreError, syncs::Phase},
};

/// How many rounds are under way at once: while one waits for the slowest of its answers, the other goes on.
pub(super) const LANES: usize = 2;
/// How many deliveries are brought up to date in one round at most.
const DELIVERIES_PER_ROUND: usize = 200;
/// How many calls of the provider's writer make a round. What was read before the first call is to be fresh at the last one, also
/// where each call carries a single row and a second has to pass before the next.
const CALLS_PER_ROUND: usize = 2;
/// How long after a batch was begun its rows may be sent: what was read before it is no longer fresh then.
const FRESH_FOR: Duration = Duration::from_secs(2);
/// How often the rows of one batch are sent at most.
const SENDINGS_MAX: u32 = 10;
/// How long to wait after a failed round.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);
/// How long to wait where the other lane has everything that is due.
const OTHER_LANE_BUSY: Duration = Duration::from_millis(100);
/// How many searches one call carries.
const SEARCHES_PER_CALL: usize = 100;
/// The longest wait without looking again.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// One lane of a side's writer: runs until the service stops.
pub(super) async fn run(side: Arc<RunningSide>) {
    while side.ready().await {
        match round(&side).await {
            Ok(wait) => tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = side.write_now.notified() => {}
                () = side.stop.cancelled() => return,
            },
            Err(error) => {
                side.note_failure(&error).await;
                if !side.sleep(PAUSE_AFTER_FAILURE).await {
                    return;
                }
            }
        }
    }
}

/// Whether writing may begin: every side has been read completely, so that nothing is created that exists, and a person
/// has allowed it where the sync says so.
async fn may_write(side: &RunningSide) -> Result<bool, StoreError> {
    let key_lost = side.part().and_then(|part| part.key_field.as_ref()).is_some_and(|key| !side.schema().has(key));
    if key_lost || !side.part().is_some_and(|part| part.writes) || side.session.connector.writer().is_none() {
        return Ok(false);
    }
    for peer in side.peers() {
        let state = peer.state().await?;
        let read_once = !matches!(state.phase, Phase::Backfilling) && state.last_success_at.is_some();
        let allowed = side.sync.approval == Approval::Auto || state.approved;
        if !read_once || !allowed {
            return Ok(false);
        }
    }
    Ok(true)
}

/// One batch of deliveries; returns how long to wait for the next.
async fn round(side: &RunningSide) -> Result<Duration, StepError> {
    if !may_write(side).await? {
        return Ok(IDLE_MAX);
    }
    let now = Clock::wall();
    let tenant = side.tenant();
    let model = &side.sync.plan.model.name;
    let per_round = per_round(side);
    let due_max = u32::try_from(per_round * LANES).unwrap_or(u32::MAX);
    let due = tenant.due_deliveries(&side.connection, model, now, due_max).await?;
    let claim = side.claim(&due, per_round);
    if claim.records.is_empty() && !due.is_empty() {
        return Ok(OTHER_LANE_BUSY);
    }
    let due = tenant.load_surface(&claim.records).await?;
    if due.is_empty() {
        let next = tenant.next_due(&side.connection, model).await?;
        let wait =
            next.map_or(IDLE_MAX, |due| Duration::from_millis(due.0.saturating_sub(now.0).max(50).unsigned_abs()));
        return Ok(wait.min(IDLE_MAX));
    }
    let begun = Instant::now();
    let looked = look_first(side, &due).await?;
    let looking = begun.elapsed();
    let records: Vec<RecordId> = due.iter().map(|state| state.id).collect();
    let intents = prepare(side, &records, looked.at).await?;
    let prepared = begun.elapsed();
    let sent = intents.len();
    if sent > 0 {
        send(side, intents, &looked.anothers).await?;
    }
    tracing::debug!(due = due.len(), sent, ?looking, ?prepared, done = ?begun.elapsed(), "deliveries");
    // Where nothing was sent, everything was merged away, or waits for its time.
    Ok(if sent == 0 { Duration::from_millis(50) } else { Duration::ZERO })
}

/// How many deliveries one round takes on.
fn per_round(side: &RunningSide) -> usize {
    let batch_max = side.session.connector.writer().map_or(1, Writer::batch_max);
    batch_max.saturating_mul(CALLS_PER_ROUND).clamp(1, DELIVERIES_PER_ROUND)
}

/// What was found before sending.
struct Looked {
    /// When the look began, by our clock.
    at: Millis,
    /// Records whose key is in an object that is not theirs, as after a merge or a copy there, and why they wait for a person:
    /// where a create with a key writes to the object that has it, theirs would overwrite somebody else's.
    anothers: BTreeMap<RecordId, String>,
}

/// Reads every linked object by id, looks for objects that an unlinked record may already have, and asks what became of
/// writes whose answer was lost.
async fn look_first(side: &RunningSide, due: &[RecordState]) -> Result<Looked, StepError> {
    let replicas = || due.iter().filter_map(|state| Some((state, state.replicas.get(&side.connection)?)));
    // An intent that is open here was sent by an earlier run of the service, or was never sent: nobody knows.
    let interrupted: Vec<Arrival> = replicas()
        .filter_map(|(state, replica)| {
            replica.intent.as_ref().filter(|intent| !intent.uncertain).map(|intent| (state, intent))
        })
        .map(|(state, intent)| {
            // It may have been sent long after it was opened, and been under way until the service stopped, just now perhaps:
            // counted from its opening, the deadline would end too early.
            let wait_until = side.deadline(Clock::wall());
            let message = "the service stopped while this write was under way".into();
            receipt(side, state.id, intent, Receipt::Unknown { message, wait_until })
        })
        .collect();
    let was_interrupted: BTreeSet<RecordId> = interrupted
        .iter()
        .filter_map(|arrival| if let Arrival::Known { record, .. } = arrival { Some(*record) } else { None })
        .collect();
    if !interrupted.is_empty() {
        reach(Point::UncertainBefore);
        side.take(Batch::of(interrupted)).await?;
        reach(Point::UncertainAfter);
    }
    let ids: Vec<ExternalId> = replicas()
        .filter(|(state, _)| !was_interrupted.contains(&state.id))
        .filter_map(|(_, replica)| replica.link.linked().cloned())
        .collect();
    let at = side.look(&ids, Vec::new()).await?;
    let unlinked: Vec<(&RecordState, &Replica)> = replicas()
        .filter(|(state, replica)| replica.link == Link::Unlinked && !was_interrupted.contains(&state.id))
        // A record that was deleted needs no object, but may have one all the same: a create was cut off before.
        .filter(|(state, replica)| state.deleted.is_none() || replica.intent.is_some())
        .collect();
    let anothers = find_existing(side, &unlinked).await?;
    Ok(Looked { at, anothers })
}

/// Before creates: an object with our key, or with the same match key, is linked instead of made again.
async fn find_existing(
    side: &RunningSide,
    unlinked: &[(&RecordState, &Replica)],
) -> Result<BTreeMap<RecordId, String>, StepError> {
    let Some(part) = side.part().filter(|_| !unlinked.is_empty()) else { return Ok(BTreeMap::new()) };
    let mut searches = Vec::new();
    for (state, replica) in unlinked {
        if let Some(field) = part.key_field.as_ref().filter(|_| replica.is_used() || replica.intent.is_some()) {
            searches.push(vec![Key { field: field.clone(), value: state.id.to_string() }]);
        }
        let match_keys = &side.sync.plan.model.match_keys;
        searches.extend(match_keys.iter().filter_map(|names| remote_keys(part, names, &state.fields)));
    }
    let schema = side.schema();
    searches.retain(|keys: &Vec<Key>| keys.iter().all(|key| schema.has(&key.field)));
    let fields = side.remote_fields();
    let reader = side.session.connector.reader();
    let (mut bearers, mut seen) = (BTreeMap::new(), BTreeMap::new());
    for searches in searches.chunks(SEARCHES_PER_CALL) {
        let begun = side.clock.tick().await?;
        let found = side
            .session
            .call(Call::live(CallKind::Search), |credentials| {
                let fields = &fields;
                async move { reader.find(&credentials, &part.object, searches, fields).await }
            })
            .await?;
        let (arrivals, quarantine) = side.arrivals(found, Source::ById, begun);
        bearers.extend(arrivals.iter().filter_map(Arrival::bears_key));
        let model = &side.sync.plan.model;
        seen.extend(arrivals.iter().filter_map(|arrival| arrival.match_keys(model)));
        side.take(Batch { arrivals, quarantine, ..Batch::default() }).await?;
    }
    let ids: Vec<ExternalId> = seen.keys().cloned().collect();
    for id in side.tenant().find_replicas(&side.connection, &part.object, &ids).await?.into_keys() {
        seen.remove(&id);
    }
    let asked =
        |(state, replica): &&(&RecordState, &Replica)| replica.intent.is_some() || bearers.contains_key(&state.id);
    let ids: Vec<RecordId> = unlinked.iter().filter(asked).map(|(state, _)| state.id).collect();
    let mut anothers = BTreeMap::new();
    let mut closed = Vec::new();
    for state in side.tenant().load_surface(&ids).await? {
        let Some(replica) = state.replicas.get(&side.connection) else { continue };
        let bearer = bearers.get(&state.id).filter(|_| replica.link == Link::Unlinked);
        let object = &part.object;
        let reason = bearer.map(|id| {
            format!(
                "{object} {id} has this record's key and is not linked to it: link it, or merge the two records by hand"
            )
        });
        let keys = MatchKey::all(&side.sync.plan.model, &state.fields);
        let is_alike = |(_, others): &(&ExternalId, &Vec<MatchKey>)| others.iter().any(|key| keys.contains(key));
        let of_nobody = seen.iter().filter(|_| replica.intent.is_some()).find(is_alike);
        let reason = reason.or(of_nobody.map(|(id, _)| {
            format!(
                "{object} {id} may be what this create has made, or another record's: link it to the one that it belongs \
                 to, then try again"
            )
        }));
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
        reach(Point::NotCreatedBefore);
        side.take(Batch::of(closed)).await?;
        reach(Point::NotCreatedAfter);
    }
    Ok(anothers)
}

/// A match key in the provider's own fields and spellings; `None` where a member is blank or not written here.
fn remote_keys(part: &Side, names: &[FieldName], fields: &Fields) -> Option<Vec<Key>> {
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
async fn prepare(
    side: &RunningSide,
    records: &[RecordId],
    looked_at: Millis,
) -> Result<Vec<(RecordId, Intent)>, StepError> {
    let conditional = side.session.connector.writer().is_some_and(|writer| writer.conditional());
    let lacking = side.part().map(|part| side.schema().lacking(part)).unwrap_or_default();
    let known = |record: &RecordId, input| Arrival::Known { record: *record, input: Box::new(input) };
    let mut arrivals = Vec::with_capacity(records.len());
    for record in records {
        let connection = side.connection.clone();
        if !lacking.is_empty() {
            arrivals.push(known(record, Input::Lacks { connection: connection.clone(), fields: lacking.clone() }));
        }
        arrivals.push(known(record, Input::Prepare { connection, looked_at, conditional }));
    }
    reach(Point::IntentBefore);
    let intents = side.take(Batch::of(arrivals)).await?.intents;
    if !intents.is_empty() {
        reach(Point::IntentAfter);
    }
    Ok(intents)
}

/// Sends the intents and takes their receipts in.
async fn send(
    side: &RunningSide,
    intents: Vec<(RecordId, Intent)>,
    anothers: &BTreeMap<RecordId, String>,
) -> Result<(), StepError> {
    let (Some(part), Some(writer)) = (side.part(), side.session.connector.writer()) else { return Ok(()) };
    let ids: Vec<RecordId> = intents.iter().map(|(record, _)| *record).collect();
    let states: HashMap<RecordId, RecordState> =
        side.tenant().load_surface(&ids).await?.into_iter().map(|state| (state.id, state)).collect();
    let fields = side.remote_fields();
    let mut receipts = Vec::new();
    let mut requests = Vec::new();
    for (trace, (record, intent)) in intents.iter().enumerate() {
        let Some(state) = states.get(record) else { continue };
        if let (IntentVerb::Create, Some(message)) = (intent.verb, anothers.get(record)) {
            receipts.push(receipt(side, *record, intent, Receipt::Exists { id: None, message: message.clone() }));
            continue;
        }
        match request(side, part, state, intent, trace) {
            Ok(request) => requests.push(request),
            Err(receipt_input) => receipts.push(receipt(side, *record, intent, *receipt_input)),
        }
    }
    for chunk in requests.chunks(writer.batch_max().max(1)) {
        let results = write(side, writer, chunk.to_vec(), &fields).await;
        reach(Point::WriteAnswered);
        let mut told = told::Writes::of(side);
        for result in results {
            let Some((record, intent)) = intents.get(result.trace as usize) else { continue };
            told.note(*record, intent, &result.outcome);
            receipts.push(receipt(side, *record, intent, read_result(side, part, result)));
        }
    }
    side.take(Batch::of(receipts)).await?;
    reach(Point::ReceiptAfter);
    Ok(())
}

/// One batch. Rows that certainly had no effect because a token or a budget ran out on the way are sent again, as long as
/// what was read before the batch is fresh.
async fn write(
    side: &RunningSide,
    writer: &dyn Writer,
    mut requests: Vec<WriteRequest>,
    fields: &[String],
) -> Vec<WriteResult> {
    let begun = Instant::now();
    let mut ended = Vec::with_capacity(requests.len());
    for sending in 1.. {
        let patience = FRESH_FOR.saturating_sub(begun.elapsed());
        let again = match write_once(side, writer, &requests, fields, patience).await {
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
        if again.is_empty() || sending >= SENDINGS_MAX || begun.elapsed() >= FRESH_FOR {
            ended.extend(again);
            break;
        }
        let traces: BTreeSet<u32> = again.iter().map(|result| result.trace).collect();
        requests.retain(|request| traces.contains(&request.trace));
    }
    let applied = ended.iter().filter(|result| matches!(result.outcome, WriteOutcome::Applied { .. })).count();
    side.tally.sent(applied);
    (applied..ended.len()).for_each(|_| side.tally.not_applied());
    ended
}

/// One call, made when the budgets admit it within `patience`; applies the remedies that are not about a row.
async fn write_once(
    side: &RunningSide,
    writer: &dyn Writer,
    requests: &[WriteRequest],
    fields: &[String],
    patience: Duration,
) -> Result<Vec<WriteResult>, ProviderError> {
    let session = &side.session;
    let call = Call { cost: writer.calls(requests), ..Call::live(CallKind::Write) };
    session.require_grant()?;
    session.admitted_within(call, patience).await?;
    let credentials = session.fresh_credentials().await?;
    let begun = Clock::wall();
    let mut results = session.heard(writer.write(&credentials, requests, fields)).await;
    // A call that carried several rows is told by the first that it says was not taken up.
    let failure = results.iter().find_map(|result| match &result.outcome {
        WriteOutcome::NotApplied(error) => Some(error),
        _ => None,
    });
    session.count(failure);
    let waits: Vec<_> = results.iter().filter_map(wait_asked).collect();
    if waits.len() < results.len() {
        session.passed(call, begun);
    }
    if let Some((after_ms, budget)) = waits.first() {
        session.blocked(call, budget, *after_ms);
    }
    for result in &results {
        if let WriteOutcome::NotApplied(error) = &result.outcome {
            session.heed(error).await;
        }
    }
    if results.iter().any(|result| refused_for(result, |remedy| *remedy == Remedy::Refresh)) {
        // What was applied stays applied, whatever becomes of the token.
        if let Err(error) = session.refresh(&credentials.access_token).await {
            for result in &mut results {
                if refused_for(result, |remedy| *remedy == Remedy::Refresh) {
                    result.outcome = WriteOutcome::NotApplied(error.clone());
                }
            }
        }
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
    side: &RunningSide,
    part: &Side,
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
            // Parts of a whole are written together, so the values that are not sent are needed as well.
            let mut values = state.fields.clone();
            values.extend(intent.fields.clone());
            let changed = intent.fields.keys().cloned().collect();
            part.mapping.write(&changed, &values, creating == IntentVerb::Create).map_err(|faults| {
                let fields = faults.iter().map(|fault| fault.field.clone()).collect();
                let message = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                let refusal = Refusal { code: "mapping".into(), message, fields: Vec::new() };
                Box::new(Receipt::Refused { fields, refusal })
            })?
        }
    };
    Ok(WriteRequest { object: part.object.clone(), verb, body, trace: u32::try_from(trace).unwrap_or(u32::MAX) })
}

/// A provider's answer as a receipt, read through the mapping.
fn read_result(side: &RunningSide, part: &Side, result: WriteResult) -> Receipt {
    match result.outcome {
        WriteOutcome::Applied { id, object, whole, .. } => {
            let answer = object.and_then(|object| {
                // An answer that cannot be read is read back like one that is empty.
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
            if !fields.is_empty() {
                // The provider may refuse the field rather than the value.
                side.inspect_soon();
            }
            Receipt::Refused { fields, refusal }
        }
        WriteOutcome::NotApplied(error) => Receipt::NotApplied { error, jitter: rand::random_range(0..=1000) },
        WriteOutcome::Unknown { message } => Receipt::Unknown { message, wait_until: side.deadline(Clock::wall()) },
    }
}

fn receipt(side: &RunningSide, record: RecordId, intent: &Intent, result: Receipt) -> Arrival {
    let input = Input::Receipt { connection: side.connection.clone(), intent: intent.id, result };
    Arrival::Known { record, input: Box::new(input) }
}
