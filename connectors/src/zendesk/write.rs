//! How rows are spread over calls: one for each row, some at the same time. Zendesk's batches are jobs that end later, in an order
//! and with an effect that their answers do not tell.

use async_trait::async_trait;
use futures_util::stream::{FuturesUnordered, StreamExt};
use syncline_core::{
    ids::ExternalId,
    remote::{ProviderError, Raw, RemoteVersion, WriteOutcome, WriteRequest, WriteResult, WriteVerb},
};

use super::{
    Zendesk, address,
    create::{self, Bearers},
    kind::Kind,
    lookup,
    session::Session,
    single, values,
};
use crate::{
    connector::{Credentials, Writer},
    rest::{Outcomes, waves},
};

/// Rows of one call of the engine: few enough that the last is sent while what was read before the first is fresh.
const ROWS_MAX: usize = 50;

/// How many calls are under way at once.
const CONCURRENT_MAX: usize = 8;

#[async_trait]
impl Writer for Zendesk {
    fn batch_max(&self) -> usize {
        ROWS_MAX
    }

    /// Tickets have a precondition. Users and organizations have none: what stands in this stead is the look just before.
    fn conditional(&self) -> bool {
        true
    }

    fn calls(&self, requests: &[WriteRequest]) -> u32 {
        let each: usize = requests.iter().map(calls_of).sum();
        let looks: usize = waves(requests)
            .iter()
            .map(|rows| rows.iter().filter(|row| is_sought(row)).count().div_ceil(lookup::IDS_MAX))
            .sum();
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

/// How many calls a row takes, when nothing goes wrong.
fn calls_of(row: &WriteRequest) -> usize {
    match (&row.verb, row.object.as_str()) {
        (WriteVerb::Create { key: Some(_) }, "tickets") => 2,
        (WriteVerb::Update { .. }, "users") if row.body.contains_key(address::FIELD) => {
            address::CALLS + usize::from(row.body.len() > 1)
        }
        _ => 1,
    }
}

/// Whether the object is looked for together with others before the row is written.
fn is_sought(row: &WriteRequest) -> bool {
    row.object.as_str() == "users" && matches!(row.verb, WriteVerb::Create { key: Some(_) })
}

/// Writes rows by calls of their own, some at the same time. Once one was refused for a reason that holds for all, the others
/// stay.
async fn write_wave(
    session: &Session<'_>,
    rows: &[&WriteRequest],
    fields: &[String],
    halted: &mut Option<ProviderError>,
) -> Outcomes {
    let mut outcomes = Outcomes::default();
    let sought: Vec<&WriteRequest> = rows.iter().copied().filter(|row| is_sought(row)).collect();
    let mut bearers = Bearers::new();
    if !sought.is_empty() && halted.is_none() {
        match create::bearers(session, &sought).await {
            Ok(found) => bearers = found,
            Err(error) => {
                outcomes.settle_all(&sought, &WriteOutcome::NotApplied(error));
                *halted = outcomes.halt();
            }
        }
    }
    let mut waiting = rows.iter().copied().filter(|row| !outcomes.knows(row)).collect::<Vec<_>>().into_iter();
    let mut under_way = FuturesUnordered::new();
    loop {
        while halted.is_none() && under_way.len() < CONCURRENT_MAX {
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

async fn write_one(session: &Session<'_>, row: &WriteRequest, bearers: &Bearers, fields: &[String]) -> WriteOutcome {
    let ended = match Kind::of(&row.object) {
        Ok(kind) => write_row(session, kind, row, bearers, fields).await,
        Err(error) => Err(WriteOutcome::NotApplied(error)),
    };
    session.scaled_outcome(ended.unwrap_or_else(|ended| ended))
}

/// The error is how a row ended before its last call was made.
async fn write_row(
    session: &Session<'_>,
    kind: Kind,
    row: &WriteRequest,
    bearers: &Bearers,
    fields: &[String],
) -> Result<WriteOutcome, WriteOutcome> {
    let creates = matches!(row.verb, WriteVerb::Create { .. });
    let body = values::spelled(kind, &row.body, creates).map_err(WriteOutcome::Refused)?;
    match &row.verb {
        WriteVerb::Create { .. } => create::create(session, kind, row, body, bearers, fields).await,
        WriteVerb::Update { id, expected } => change(session, kind, row, id, expected.as_ref(), body, fields).await,
        WriteVerb::Delete { id, .. } => {
            let call = single::delete(kind, id).map_err(WriteOutcome::NotApplied)?;
            let answer = session.send(call).await.map_err(Outcomes::lost)?;
            Ok(single::outcome(&answer, kind, row, fields))
        }
    }
}

/// Changes an object. A user's address goes first: if it is refused, nothing was written.
pub(super) async fn change(
    session: &Session<'_>,
    kind: Kind,
    row: &WriteRequest,
    id: &ExternalId,
    expected: Option<&RemoteVersion>,
    mut body: Raw,
    fields: &[String],
) -> Result<WriteOutcome, WriteOutcome> {
    // Checked before anything is sent.
    single::path(kind, id).map_err(WriteOutcome::NotApplied)?;
    if let Some(address) = address::take(kind, &mut body) {
        address::replace(session, row, id, &address).await?;
        if body.is_empty() {
            return Ok(single::applied(id.clone(), false));
        }
    }
    let call = single::update(kind, id, expected, body).map_err(WriteOutcome::NotApplied)?;
    let answer = session.send(call).await.map_err(Outcomes::lost)?;
    Ok(match single::outcome(&answer, kind, row, fields) {
        // The row may be a create that has found its object, whose answer then says no more than that it was changed.
        WriteOutcome::Applied { object, whole, .. } => {
            WriteOutcome::Applied { id: id.clone(), created: false, object, whole }
        }
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use syncline_core::remote::Key;

    use super::*;
    use crate::{
        http::{HttpClient, HttpRequest, HttpResponse, TransportError},
        registry::{self, Integration},
    };

    #[derive(Debug)]
    struct Nobody;

    #[async_trait]
    impl HttpClient for Nobody {
        async fn send(&self, _request: HttpRequest) -> Result<HttpResponse, TransportError> {
            Err(TransportError::unsent("nobody answers"))
        }
    }

    fn row(object: &str, trace: u32, verb: WriteVerb, body: serde_json::Value) -> WriteRequest {
        let serde_json::Value::Object(body) = body else { panic!("an object is expected") };
        WriteRequest { object: object.into(), verb, body, trace }
    }

    fn create(value: &str) -> WriteVerb {
        WriteVerb::Create { key: Some(Key { field: "external_id".into(), value: value.into() }) }
    }

    fn update(id: &str) -> WriteVerb {
        WriteVerb::Update { id: id.into(), expected: None }
    }

    #[test]
    fn rows_of_one_object_follow_each_other() {
        let rows = [
            row("users", 0, update("1"), json!({})),
            row("users", 1, create("K"), json!({})),
            row("users", 2, update("1"), json!({})),
            row("users", 3, create("k"), json!({})),
            row("tickets", 4, update("1"), json!({})),
            row("users", 5, WriteVerb::Create { key: None }, json!({})),
        ];
        let traces: Vec<Vec<u32>> =
            waves(&rows).iter().map(|rows| rows.iter().map(|row| row.trace).collect()).collect();
        assert_eq!(traces, [vec![0, 1, 4, 5], vec![2, 3]]);
    }

    #[test]
    fn calls_are_counted_before() {
        let connector = registry::build("zendesk", Integration::default(), Arc::new(Nobody)).expect("a connector");
        let calls = |rows: &[WriteRequest]| connector.writer().map(|writer| writer.calls(rows));
        let rows =
            |object: &str, verb: fn(&str) -> WriteVerb, body: serde_json::Value, count: u32| -> Vec<WriteRequest> {
                (0..count).map(|trace| row(object, trace, verb(&trace.to_string()), body.clone())).collect()
            };
        let cases = [
            (rows("tickets", update, json!({"subject": "x"}), 3), 3),
            (rows("tickets", create, json!({"subject": "x"}), 3), 6),
            (rows("users", create, json!({"name": "x", "email": "a@b.c"}), 3), 4),
            (rows("users", create, json!({"name": "x"}), 120), 122),
            (rows("users", update, json!({"name": "x"}), 3), 3),
            (rows("users", update, json!({"email": "a@b.c"}), 3), 6),
            (rows("users", update, json!({"name": "x", "email": "a@b.c"}), 3), 9),
            (rows("organizations", create, json!({"name": "x"}), 3), 3),
        ];
        for (rows, expected) in cases {
            assert_eq!(calls(&rows), Some(expected), "{rows:?}");
        }
    }
}
