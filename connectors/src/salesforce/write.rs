//! Which path a write takes.
//!
//! | row | path | precondition |
//! |---|---|---|
//! | update of a version that we know | one call of its own | `If-Unmodified-Since`, whole seconds |
//! | other updates | collections of up to 200 | none |
//! | creates with a key | collections of up to 200, or one upsert | the key makes them idempotent |
//! | creates without a key | collections of up to 200, or one insert | none |
//! | deletes | collections of up to 200, or one call | none: Salesforce has none for deletes |

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures_util::stream::{FuturesUnordered, StreamExt};
use serde_json::Value;
use syncline_core::{
    ids::ObjectName,
    remote::{ProviderError, WriteOutcome, WriteRequest, WriteResult, WriteVerb},
};

use super::{
    Salesforce,
    collection::{self, Kind},
    errors,
    session::Session,
    single,
};
use crate::{
    connector::{Credentials, Writer},
    rest::{Answer, Outcomes, batches},
};

/// How many single writes are under way at once: an organisation may have 25 requests that last long.
const CONCURRENT_MAX: usize = 24;

#[async_trait]
impl Writer for Salesforce {
    fn batch_max(&self) -> usize {
        collection::ROWS_MAX
    }

    fn conditional(&self) -> bool {
        true
    }

    fn calls(&self, requests: &[WriteRequest]) -> u32 {
        let singles = requests.iter().filter(|row| is_conditional(row)).count();
        let rest = requests.iter().filter(|row| !is_conditional(row));
        u32::try_from(singles + groups(rest).len()).unwrap_or(u32::MAX)
    }

    async fn write(
        &self,
        credentials: &Credentials,
        requests: &[WriteRequest],
        _fields: &[String],
    ) -> Vec<WriteResult> {
        let mut outcomes = Outcomes::default();
        let session = match self.session(credentials) {
            Ok(session) => session,
            Err(error) => {
                outcomes.settle_all(&requests.iter().collect::<Vec<_>>(), &WriteOutcome::NotApplied(error));
                return outcomes.finish(requests);
            }
        };
        let mut halted = None;
        let (singles, rest): (Vec<&WriteRequest>, Vec<_>) = requests.iter().partition(|row| is_conditional(row));
        for rows in batches(singles, usize::MAX, |row| collection::target(row)) {
            let ended = write_each(&session, rows, &mut halted).await;
            outcomes.merge(ended);
        }
        for (kind, object, rows) in groups(rest) {
            let ended = match &halted {
                Some(error) => all(&rows, &WriteOutcome::NotApplied(error.clone())),
                None => write_collection(&session, &kind, &object, rows).await,
            };
            halted = halted.or_else(|| ended.halt());
            outcomes.merge(ended);
        }
        outcomes.finish(requests)
    }
}

fn is_conditional(row: &WriteRequest) -> bool {
    matches!(&row.verb, WriteVerb::Update { expected: Some(_), .. })
}

/// Rows that may travel together, in collections of up to 200 that name no object twice.
fn groups<'a>(rows: impl IntoIterator<Item = &'a WriteRequest>) -> Vec<(Kind, ObjectName, Vec<&'a WriteRequest>)> {
    let mut groups: BTreeMap<(Kind, ObjectName), Vec<&WriteRequest>> = BTreeMap::new();
    for row in rows {
        groups.entry((Kind::of(row), row.object.clone())).or_default().push(row);
    }
    let split = |((kind, object), rows): ((Kind, ObjectName), Vec<&'a WriteRequest>)| {
        let batches = batches(rows, collection::ROWS_MAX, |row| collection::target(row));
        batches.into_iter().map(move |rows| (kind.clone(), object.clone(), rows))
    };
    groups.into_iter().flat_map(split).collect()
}

fn all(rows: &[&WriteRequest], outcome: &WriteOutcome) -> Outcomes {
    let mut outcomes = Outcomes::default();
    outcomes.settle_all(rows, outcome);
    outcomes
}

/// Writes rows by a call each, some at the same time. Once one was refused for a reason that holds for all, the others stay.
async fn write_each(session: &Session<'_>, rows: Vec<&WriteRequest>, halted: &mut Option<ProviderError>) -> Outcomes {
    let mut outcomes = Outcomes::default();
    let mut waiting = rows.into_iter();
    let mut under_way = FuturesUnordered::new();
    loop {
        while halted.is_none() && under_way.len() < CONCURRENT_MAX {
            let Some(row) = waiting.next() else { break };
            under_way.push(write_one(session, row));
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

async fn write_one<'a>(session: &Session<'_>, row: &'a WriteRequest) -> (&'a WriteRequest, WriteOutcome) {
    let call = match single::request(session.settings, row) {
        Ok(call) => call,
        Err(error) => return (row, WriteOutcome::NotApplied(error)),
    };
    match session.send(call).await {
        Ok(answer) => (row, single::outcome(&answer, row)),
        Err(error) => (row, Outcomes::lost(error)),
    }
}

/// Writes rows together. Where Salesforce refuses the call for the values of some row, nothing was written: the halves are
/// sent apart, until the row at fault stands alone.
async fn write_collection(
    session: &Session<'_>,
    kind: &Kind,
    object: &ObjectName,
    rows: Vec<&WriteRequest>,
) -> Outcomes {
    let mut outcomes = Outcomes::default();
    let mut parts = vec![rows];
    while let Some(rows) = parts.pop() {
        if let [row] = rows[..] {
            let (row, outcome) = write_one(session, row).await;
            outcomes.settle(row, outcome);
            continue;
        }
        match send_collection(session, kind, object, &rows).await {
            Ok(ended) => outcomes.merge(ended),
            Err(Refused) => {
                let (first, second) = rows.split_at(rows.len() / 2);
                parts.extend([first.to_vec(), second.to_vec()]);
            }
        }
    }
    outcomes
}

/// The whole call was refused for the values of one of its rows.
struct Refused;

async fn send_collection(
    session: &Session<'_>,
    kind: &Kind,
    object: &ObjectName,
    rows: &[&WriteRequest],
) -> Result<Outcomes, Refused> {
    let call = match collection::request(session.settings, kind, object, rows) {
        Ok(call) => call,
        Err(error) => return Ok(all(rows, &WriteOutcome::NotApplied(error))),
    };
    let answer = match session.send(call).await {
        Ok(answer) => answer,
        Err(error) => return Ok(all(rows, &Outcomes::lost(error))),
    };
    if answer.is_success() {
        return Ok(results(&answer, rows));
    }
    match errors::refused(&answer, &rows[0].verb) {
        WriteOutcome::Refused(_) | WriteOutcome::Exists { .. } | WriteOutcome::Gone | WriteOutcome::Stale => {
            Err(Refused)
        }
        outcome => Ok(all(rows, &outcome)),
    }
}

fn results(answer: &Answer, rows: &[&WriteRequest]) -> Outcomes {
    match answer.json::<Vec<Value>>() {
        Ok(results) => collection::outcomes(&results, rows),
        Err(error) => all(rows, &WriteOutcome::Unknown { message: error.message }),
    }
}

#[cfg(test)]
mod tests {
    use syncline_core::{
        remote::{Key, Raw, RemoteVersion},
        time::Millis,
    };

    use super::*;

    fn row(trace: u32, verb: WriteVerb) -> WriteRequest {
        WriteRequest { object: "Contact".into(), verb, body: Raw::new(), trace }
    }

    fn create(trace: u32, field: &str, value: &str) -> WriteRequest {
        row(trace, WriteVerb::Create { key: Some(Key { field: field.into(), value: value.into() }) })
    }

    #[test]
    fn rows_travel_with_their_like() {
        let version = Some(RemoteVersion { stamp: Millis(0), precision_ms: 1000 });
        let rows = [
            create(0, "A__c", "1"),
            create(1, "B__c", "1"),
            create(2, "A__c", "2"),
            create(3, "A__c", "1"),
            row(4, WriteVerb::Delete { id: "x".into(), expected: None }),
            row(5, WriteVerb::Update { id: "x".into(), expected: None }),
            row(6, WriteVerb::Create { key: None }),
            row(7, WriteVerb::Create { key: None }),
        ];
        let traces: Vec<Vec<u32>> =
            groups(&rows).iter().map(|(_, _, rows)| rows.iter().map(|row| row.trace).collect()).collect();
        assert_eq!(traces, [vec![5], vec![0, 2], vec![3], vec![1], vec![6, 7], vec![4]]);
        assert!(is_conditional(&row(0, WriteVerb::Update { id: "x".into(), expected: version })));
        assert!(!is_conditional(&rows[5]));
    }
}
