//! How writes are spread over batches. HubSpot has no precondition: the engine reads just before, and looks into the
//! history afterwards.

use std::collections::BTreeMap;

use async_trait::async_trait;
use syncline_core::{
    ids::ObjectName,
    remote::{WriteOutcome, WriteRequest, WriteResult},
};

use super::{
    HubSpot,
    batch_write::{self, Kind},
    errors::{self, BatchRefused, RowFault},
    rows::Shape,
    session::Session,
};
use crate::{
    connector::{Credentials, Writer},
    rest::{Outcomes, batches},
};

#[async_trait]
impl Writer for HubSpot {
    fn batch_max(&self) -> usize {
        batch_write::ROWS_MAX
    }

    fn conditional(&self) -> bool {
        false
    }

    fn calls(&self, requests: &[WriteRequest]) -> u32 {
        u32::try_from(groups(requests).len()).unwrap_or(u32::MAX)
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
        for (kind, object, rows) in groups(requests) {
            let shape = Shape { object: &object, fields, app_id: self.settings.app_id.as_ref() };
            match &halted {
                Some(error) => outcomes.settle_all(&rows, &WriteOutcome::NotApplied(Clone::clone(error))),
                None => {
                    let ended = write_batch(&session, &kind, shape, rows).await;
                    halted = ended.halt();
                    outcomes.merge(ended);
                }
            }
        }
        outcomes.finish(requests)
    }
}

/// Rows that may travel together, in batches of up to 100 that name no object twice.
fn groups(rows: &[WriteRequest]) -> Vec<(Kind, ObjectName, Vec<&WriteRequest>)> {
    let mut groups: BTreeMap<(Kind, ObjectName), Vec<&WriteRequest>> = BTreeMap::new();
    for row in rows {
        groups.entry((Kind::of(row), row.object.clone())).or_default().push(row);
    }
    let mut split = Vec::new();
    for ((kind, object), rows) in groups {
        for rows in batches(rows, batch_write::ROWS_MAX, |row| batch_write::target(row)) {
            split.push((kind.clone(), object.clone(), rows));
        }
    }
    split
}

/// Writes a batch. Where HubSpot refuses it whole for the values of some row, or since some object is in use, nothing was written:
/// the halves are sent apart, until the row at fault stands alone. Otherwise an object that stays in use would hold up every row that
/// meets it in a batch, again and again.
async fn write_batch(session: &Session<'_>, kind: &Kind, shape: Shape<'_>, rows: Vec<&WriteRequest>) -> Outcomes {
    let mut outcomes = Outcomes::default();
    let mut parts = vec![rows];
    while let Some(rows) = parts.pop() {
        if let Some(error) = outcomes.halt() {
            outcomes.settle_all(&rows, &WriteOutcome::NotApplied(error));
            continue;
        }
        match send(session, kind, shape, &rows).await {
            Ok(ended) => outcomes.merge(ended),
            Err(fault) => match rows[..] {
                [row] => outcomes.settle(row, fault.outcome(&row.verb)),
                _ => {
                    let (first, second) = rows.split_at(rows.len() / 2);
                    parts.extend([first.to_vec(), second.to_vec()]);
                }
            },
        }
    }
    outcomes
}

/// Sends one batch; the error is of a batch that was refused whole for one of its rows.
async fn send(
    session: &Session<'_>,
    kind: &Kind,
    shape: Shape<'_>,
    rows: &[&WriteRequest],
) -> Result<Outcomes, RowFault> {
    let all = |outcome: WriteOutcome| {
        let mut outcomes = Outcomes::default();
        outcomes.settle_all(rows, &outcome);
        Ok(outcomes)
    };
    let call = match batch_write::request(session.settings, kind, shape.object, rows) {
        Ok(call) => call,
        Err(error) => return all(WriteOutcome::NotApplied(error)),
    };
    let answer = match session.send(call).await {
        Ok(answer) => answer,
        Err(error) => return all(Outcomes::lost(error)),
    };
    if answer.is_success() {
        return Ok(batch_write::outcomes(&answer, rows, shape));
    }
    match errors::refused(&answer) {
        BatchRefused::Row(RowFault::InUse(error)) => Err(RowFault::InUse(session.scaled(error))),
        BatchRefused::Row(fault) => Err(fault),
        BatchRefused::All(WriteOutcome::NotApplied(error)) => all(WriteOutcome::NotApplied(session.scaled(error))),
        BatchRefused::All(outcome) => all(outcome),
    }
}

#[cfg(test)]
mod tests {
    use syncline_core::remote::{Key, Raw, WriteVerb};

    use super::*;

    #[test]
    fn rows_travel_with_their_like_and_never_twice() {
        let row = |trace: u32, verb| WriteRequest { object: "contacts".into(), verb, body: Raw::new(), trace };
        let update = |trace, id: &str| row(trace, WriteVerb::Update { id: id.into(), expected: None });
        let create = |trace, value: &str| {
            row(trace, WriteVerb::Create { key: Some(Key { field: "ext".into(), value: value.into() }) })
        };
        let mut rows = vec![update(0, "1"), create(1, "a"), update(2, "1"), create(3, "b"), update(4, "2")];
        rows.extend(
            (5..110).map(|trace| row(trace, WriteVerb::Delete { id: trace.to_string().into(), expected: None })),
        );
        let traces: Vec<Vec<u32>> =
            groups(&rows).iter().map(|(_, _, rows)| rows.iter().map(|row| row.trace).collect()).collect();
        assert_eq!(traces[..3], [vec![0, 4], vec![2], vec![1, 3]]);
        assert_eq!(traces[3..].iter().map(Vec::len).collect::<Vec<_>>(), [100, 5]);
    }
}
