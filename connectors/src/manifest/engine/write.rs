//! How rows are spread over calls: one call or more for each row, some at the same time.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures_util::stream::{FuturesUnordered, StreamExt};
use syncline_core::{
    ids::{ExternalId, ObjectName},
    remote::{Key, ProviderError, WriteOutcome, WriteRequest, WriteResult, WriteVerb},
};

use super::{
    Engine, create, find,
    session::Session,
    single::{self, looks_first},
};
use crate::{
    connector::{Credentials, Writer},
    manifest::spec::Object,
    rest::{Outcomes, waves},
};

/// Rows of one call of the engine: few enough that the last is sent while what was read before the first is fresh.
const ROWS_MAX: usize = 50;

/// The objects that creations will find, by object and our key in small letters.
pub(super) type Bearers = BTreeMap<(ObjectName, String), Vec<ExternalId>>;

#[async_trait]
impl Writer for Engine {
    fn batch_max(&self) -> usize {
        ROWS_MAX
    }

    /// Where only some objects have a precondition, what stands in its stead is the look just before.
    fn conditional(&self) -> bool {
        let mut updates = self.spec().objects.values().filter_map(|object| object.update.as_ref()).peekable();
        updates.peek().is_some() && updates.all(|update| update.request.uses("version") || update.request.uses("etag"))
    }

    fn calls(&self, requests: &[WriteRequest]) -> u32 {
        let each: usize = requests.iter().map(|row| calls_of(self, row)).sum();
        let looks: usize = waves(requests).iter().map(|rows| looks(self, rows)).sum();
        u32::try_from(each + looks).unwrap_or(u32::MAX)
    }

    async fn write(&self, credentials: &Credentials, requests: &[WriteRequest], fields: &[String]) -> Vec<WriteResult> {
        let mut outcomes = Outcomes::default();
        let session = match self.session(credentials) {
            Ok(session) => session,
            Err(error) => {
                outcomes.settle_all(&requests.iter().collect::<Vec<_>>(), &WriteOutcome::NotApplied(error));
                return outcomes.finish(requests);
            }
        };
        let mut halted = None;
        for rows in waves(requests) {
            let ended = write_wave(&session, &rows, fields, &mut halted).await;
            outcomes.merge(ended);
        }
        outcomes.finish(requests)
    }
}

/// How many calls a row takes, when nothing goes wrong, beside the looks that rows share.
fn calls_of(engine: &Engine, row: &WriteRequest) -> usize {
    let Ok(object) = engine.object(&row.object) else { return 0 };
    let write = match &row.verb {
        WriteVerb::Create { key: Some(_) } if create::upsert(object).is_some() => create::upsert(object),
        WriteVerb::Create { .. } => object.create.as_ref(),
        WriteVerb::Update { .. } => object.update.as_ref(),
        WriteVerb::Delete { .. } => object.delete.as_ref(),
    };
    let Some(write) = write else { return 0 };
    let creates = matches!(row.verb, WriteVerb::Create { .. });
    let parted = |name: &&String| object.fields.known.get(*name).is_some_and(|field| field.parts.is_some());
    let parts = if creates { 0 } else { row.body.keys().filter(parted).count() };
    let rest = usize::from(parts == 0 || row.body.len() > parts);
    let first = usize::from(!creates && looks_first(object, write, &row.body));
    let own = 1 + first + usize::from(write.once.is_some()) + usize::from(write.then_read && write.row.is_none());
    2 * parts + rest * own
}

/// How many calls the looks for what creations have made before take.
fn looks(engine: &Engine, rows: &[&WriteRequest]) -> usize {
    let mut sought: BTreeMap<&ObjectName, usize> = BTreeMap::new();
    for row in rows.iter().filter(|row| create::is_sought(engine, row)) {
        *sought.entry(&row.object).or_default() += 1;
    }
    let calls = |(name, count): (&ObjectName, usize)| {
        let Ok(object) = engine.object(name) else { return 0 };
        let field = object.key.as_ref().and_then(|key| key.field.as_deref()).unwrap_or_default();
        let way = object.find.iter().find(|find| find.knows(field));
        match way {
            Some(find) if find.request.uses("value") => count,
            Some(find) => count.div_ceil(usize::try_from(find.max).unwrap_or(1).max(1)),
            None => 1,
        }
    };
    sought.into_iter().map(calls).sum()
}

/// Writes rows, some at the same time. Once one was refused for a reason that holds for all, the others stay.
async fn write_wave(
    session: &Session<'_>,
    rows: &[&WriteRequest],
    fields: &[String],
    halted: &mut Option<ProviderError>,
) -> Outcomes {
    let mut outcomes = Outcomes::default();
    let bearers = if halted.is_none() { sought(session, rows, &mut outcomes).await } else { Bearers::new() };
    *halted = halted.take().or_else(|| outcomes.halt());
    let concurrent = usize::from(session.engine.spec().limits.concurrent).max(1);
    let mut waiting = rows.iter().copied().filter(|row| !outcomes.knows(row)).collect::<Vec<_>>().into_iter();
    let mut under_way = FuturesUnordered::new();
    loop {
        while halted.is_none() && under_way.len() < concurrent {
            let Some(row) = waiting.next() else { break };
            let bearers = &bearers;
            under_way.push(async move { (row, write_one(session, row, bearers, fields).await) });
        }
        let Some((row, outcome)) = under_way.next().await else { break };
        outcomes.settle(row, outcome);
        *halted = halted.take().or_else(|| outcomes.halt());
    }
    if let Some(error) = halted {
        outcomes.settle_all(&waiting.collect::<Vec<_>>(), &WriteOutcome::NotApplied(error.clone()));
    }
    outcomes
}

/// Looks for what earlier attempts of the creations among these rows have made, all of one object at once.
async fn sought(session: &Session<'_>, rows: &[&WriteRequest], outcomes: &mut Outcomes) -> Bearers {
    let mut by_object: BTreeMap<&ObjectName, Vec<(&WriteRequest, Key)>> = BTreeMap::new();
    for row in rows.iter().filter(|row| create::is_sought(session.engine, row)) {
        if let WriteVerb::Create { key: Some(key) } = &row.verb {
            by_object.entry(&row.object).or_default().push((row, key.clone()));
        }
    }
    let mut bearers = Bearers::new();
    for (name, sought) in by_object {
        let Ok(object) = session.engine.object(name) else { continue };
        let keys: Vec<Key> = sought.iter().map(|(_, key)| key.clone()).collect();
        match find::bearers(session, object, name.as_str(), &keys).await {
            Ok(found) => bearers.extend(found.into_iter().map(|(key, ids)| ((name.clone(), key), ids))),
            Err(error) => {
                let rows: Vec<&WriteRequest> = sought.iter().map(|(row, _)| *row).collect();
                outcomes.settle_all(&rows, &WriteOutcome::NotApplied(error));
            }
        }
    }
    bearers
}

async fn write_one(session: &Session<'_>, row: &WriteRequest, bearers: &Bearers, fields: &[String]) -> WriteOutcome {
    let ended = match session.engine.object(&row.object) {
        Ok(object) => write_row(session, object, row, bearers, fields).await,
        Err(error) => Err(WriteOutcome::NotApplied(error)),
    };
    ended.unwrap_or_else(|ended| ended)
}

/// The error is how a row ended before its last call was made.
async fn write_row(
    session: &Session<'_>,
    object: &Object,
    row: &WriteRequest,
    bearers: &Bearers,
    fields: &[String],
) -> Result<WriteOutcome, WriteOutcome> {
    match &row.verb {
        WriteVerb::Create { key } => create::create(session, object, row, key.as_ref(), bearers, fields).await,
        WriteVerb::Update { id, expected } => {
            single::update(session, object, id, expected.as_ref(), &row.body, fields).await
        }
        WriteVerb::Delete { id, expected } => single::delete(session, object, id, expected.as_ref()).await,
    }
}
