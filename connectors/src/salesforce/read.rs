//! Reads: pages, objects by id, finds by value.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use syncline_core::{
    ids::{ExternalId, ObjectName},
    remote::{CursorFacts, Key, ObjectSchema, Page, PageRequest, ProviderError, Remedy, RemoteObject, Walk, Window},
};

use super::{
    Salesforce, query,
    rows::{self, QueryAnswer, Row},
    session::Session,
    wide::Columns,
};
use crate::{
    connector::{Credentials, Deleted, Probe, Reader},
    registry::scaled,
    rest::Call,
};

/// The most rows of a page, and the fewest that may be asked for.
const PAGE_MAX: u32 = 2_000;
const PAGE_MIN: u32 = 200;

/// Rows appear with the stamp of their writing when their transaction commits, which may be later.
const LAG_MS: u64 = 60_000;
const OVERLAP_MS: u64 = 10 * 60_000;

/// Ids of one query: 200 quoted ids of 18 characters take about 5,400 bytes of the address.
const IDS_MAX: usize = 200;

/// The most matches that a query of a find brings back: more are as ambiguous as these.
const FOUND_MAX: usize = 10_000;

/// The longest chain of merges that is followed.
const MERGES_MAX: usize = 8;

#[async_trait]
impl Reader for Salesforce {
    fn cursor(&self, _object: &ObjectName) -> CursorFacts {
        CursorFacts {
            walk: Walk::StampThenId,
            precision_ms: rows::PRECISION_MS,
            lag_ms: scaled(LAG_MS, self.settings.time_scale),
            overlap_ms: scaled(OVERLAP_MS, self.settings.time_scale),
            rows_max: None,
            page_max: PAGE_MAX,
            // A query locator holds the result as it was when the query was asked.
            tokens_shift: false,
        }
    }

    fn by_id_max(&self) -> usize {
        IDS_MAX
    }

    /// Field history exists for few fields of few objects, and only where an administrator switched it on.
    fn keeps_history(&self) -> bool {
        false
    }

    async fn page(&self, credentials: &Credentials, request: &PageRequest) -> Result<Page, ProviderError> {
        let session = self.session(credentials)?;
        let columns = Columns::new(&request.object, &request.fields)?;
        let call = match &request.token {
            Some(token) => next_page(token)?,
            None => query::call(&self.settings, request.deleted, query::page(request, columns.queried())),
        };
        let batch = request.limit.clamp(PAGE_MIN, PAGE_MAX);
        let mut answer: QueryAnswer =
            session.read(call.header("sforce-query-options", format!("batchSize={batch}"))).await?;
        columns.fill(&session, &request.object, &mut answer.records).await?;
        page(answer, &request.fields)
    }

    async fn by_id(
        &self,
        credentials: &Credentials,
        object: &ObjectName,
        ids: &[ExternalId],
        fields: &[String],
        _history: bool,
    ) -> Result<Vec<RemoteObject>, ProviderError> {
        let session = self.session(credentials)?;
        let mut found = Vec::new();
        for ids in ids.chunks(IDS_MAX) {
            found.extend(with_survivors(&session, object, ids, fields).await?);
        }
        Ok(found)
    }

    async fn deleted(
        &self,
        credentials: &Credentials,
        object: &ObjectName,
        window: Window,
    ) -> Result<Option<Deleted>, ProviderError> {
        super::deleted::read(&self.session(credentials)?, object, window).await.map(Some)
    }

    async fn find(
        &self,
        credentials: &Credentials,
        object: &ObjectName,
        searches: &[Vec<Key>],
        fields: &[String],
    ) -> Result<Vec<RemoteObject>, ProviderError> {
        let session = self.session(credentials)?;
        let columns = Columns::new(object, fields)?;
        let mut found: BTreeMap<ExternalId, RemoteObject> = BTreeMap::new();
        for soql in query::find(object, columns.queried(), searches)? {
            let rows =
                all_rows(&session, object, &columns, query::call(&self.settings, false, soql), FOUND_MAX).await?;
            found.extend(rows.into_iter().map(|row| (row.object.id.clone(), row.object)));
        }
        Ok(found.into_values().collect())
    }

    async fn describe(&self, credentials: &Credentials, object: &ObjectName) -> Result<ObjectSchema, ProviderError> {
        super::describe::read(&self.session(credentials)?, object).await
    }

    async fn probe(&self, credentials: &Credentials) -> Result<Probe, ProviderError> {
        let session = self.session(credentials)?;
        let answer = session.answer(Call::get(self.settings.path("/limits"))).await?;
        let now = answer.clock()?;
        Ok(Probe { now, account: session.base.host().to_owned() })
    }
}

/// The call of a further page. The address comes from an answer: it must be a path of the data API, not another host.
fn next_page(token: &str) -> Result<Call, ProviderError> {
    if token.starts_with("/services/data/") && !token.contains("..") {
        return Ok(Call::get(token));
    }
    Err(ProviderError {
        remedy: Remedy::Restart,
        message: format!("the next page's address `{token}` is no path of the data API: it is not followed"),
    })
}

fn page(answer: QueryAnswer, fields: &[String]) -> Result<Page, ProviderError> {
    let next = answer.next()?;
    let mut page = Page { next, ..Page::default() };
    for value in answer.records {
        match rows::row(value, fields) {
            Ok(row) => page.objects.push(row.object),
            Err(malformed) => page.malformed.push(malformed),
        }
    }
    Ok(page)
}

/// The rows of an answer to a question about certain objects, where a row that cannot be read fails the question.
fn understood(answer: QueryAnswer, fields: &[String]) -> Result<Vec<Row>, ProviderError> {
    let rows = answer.records.into_iter().map(|value| rows::row(value, fields));
    rows.collect::<Result<_, _>>().map_err(|malformed| ProviderError {
        remedy: Remedy::Retry,
        message: format!("object {}: {}", malformed.id.as_ref().map_or("?", |id| id.as_str()), malformed.reason),
    })
}

/// The rows of a query about certain objects, which may come in several pages; at most about `max` of them.
async fn all_rows(
    session: &Session<'_>,
    object: &ObjectName,
    columns: &Columns<'_>,
    mut call: Call,
    max: usize,
) -> Result<Vec<Row>, ProviderError> {
    let mut found = Vec::new();
    loop {
        let mut answer: QueryAnswer = session.read(call).await?;
        let next = answer.next()?;
        columns.fill(session, object, &mut answer.records).await?;
        found.extend(understood(answer, columns.asked)?);
        match next {
            Some(token) if found.len() < max => call = next_page(&token)?,
            _ => return Ok(found),
        }
    }
}

/// Reads objects by id and follows merges to their survivors, which carry the ids of those that they swallowed.
async fn with_survivors(
    session: &Session<'_>,
    object: &ObjectName,
    ids: &[ExternalId],
    fields: &[String],
) -> Result<Vec<RemoteObject>, ProviderError> {
    let columns = Columns::new(object, fields)?;
    let mut rows = Vec::new();
    let mut wanted: BTreeSet<ExternalId> = ids.iter().cloned().collect();
    for _ in 0..=MERGES_MAX {
        if wanted.is_empty() {
            break;
        }
        let soql = query::by_id(object, columns.queried(), &wanted);
        let found =
            all_rows(session, object, &columns, query::call(session.settings, true, soql), wanted.len()).await?;
        let survivors: BTreeSet<ExternalId> = found.iter().filter_map(|row| row.merged_into.clone()).collect();
        rows.extend(found);
        wanted = survivors.into_iter().filter(|id| !rows.iter().any(|row| rows::same_id(&row.object.id, id))).collect();
    }
    Ok(survivors(ids, rows))
}

/// Folds losers of merges into their survivors, and adds those of `ids` that no row speaks of.
fn survivors(ids: &[ExternalId], rows: Vec<Row>) -> Vec<RemoteObject> {
    let missing: Vec<RemoteObject> = ids
        .iter()
        .filter(|id| !rows.iter().any(|row| rows::same_id(&row.object.id, id)))
        .map(|id| rows::absent(id.clone()))
        .collect();
    let merges: BTreeMap<ExternalId, ExternalId> =
        rows.iter().filter_map(|row| Some((row.object.id.clone(), row.merged_into.clone()?))).collect();
    let mut objects: BTreeMap<ExternalId, RemoteObject> =
        rows.into_iter().map(|row| (row.object.id.clone(), row.object)).collect();
    for loser in merges.keys() {
        let survivor = last(&merges, loser);
        if objects.contains_key(survivor) {
            objects.remove(loser);
        }
        if let Some(object) = objects.get_mut(survivor) {
            object.aliases.push(loser.clone());
        }
    }
    objects.into_values().chain(missing).collect()
}

/// The end of a chain of merges.
fn last<'a>(merges: &'a BTreeMap<ExternalId, ExternalId>, id: &'a ExternalId) -> &'a ExternalId {
    let mut at = id;
    for _ in 0..=MERGES_MAX {
        match merges.get(at) {
            Some(next) => at = next,
            None => break,
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_paths_of_the_data_api_are_followed() {
        let next = "/services/data/v62.0/query/01gRO0000016PIAYA2-2000";
        assert_eq!(next_page(next), Ok(Call::get(next)));
        let others = [
            "https://evil.com/services/data/",
            "//evil.com/services/data/",
            "/services/data/../../secur/logout",
            "/services/oauth2/revoke",
            "",
        ];
        for token in others {
            assert_eq!(next_page(token).map_err(|error| error.remedy), Err(Remedy::Restart), "{token}");
        }
    }

    #[test]
    fn a_malformed_row_does_not_stop_the_page() {
        let answer = json!({"done": true, "records": [
            {"Id": "a", "SystemModstamp": "2026-05-05T10:32:01.000+0000", "Email": "x"},
            {"Id": "b"},
            {"Id": "c", "SystemModstamp": "2026-05-05T10:32:02.000+0000", "Email": null},
        ]});
        let answer = serde_json::from_value(answer).expect("an answer");
        let page = page(answer, &["Email".to_owned()]).expect("a page");
        let ids: Vec<&str> = page.objects.iter().map(|object| object.id.as_str()).collect();
        assert_eq!(ids, ["a", "c"]);
        assert_eq!(page.malformed.len(), 1);
        assert_eq!(page.next, None);
    }

    fn row(id: &str, deleted: bool, merged_into: Option<&str>) -> Row {
        let value = json!({
            "Id": id, "SystemModstamp": "2026-05-05T10:32:01.000+0000",
            "IsDeleted": deleted, "MasterRecordId": merged_into,
        });
        rows::row(value, &[]).expect("a row")
    }

    fn shown(ids: &[&str], rows: Vec<Row>) -> Vec<String> {
        let ids: Vec<ExternalId> = ids.iter().map(|id| ExternalId::from(*id)).collect();
        let show = |object: &RemoteObject| {
            let aliases = object.aliases.iter().map(|id| format!("+{id}")).collect::<String>();
            let gone = match (object.deleted, object.version) {
                (false, _) => "",
                (true, Some(_)) => " deleted",
                (true, None) => " absent",
            };
            format!("{}{aliases}{gone}", object.id)
        };
        survivors(&ids, rows).iter().map(show).collect()
    }

    #[test]
    fn merges_end_at_their_survivor() {
        let cases: [(&[&str], Vec<Row>, &[&str]); 6] = [
            (&["a"], vec![row("a", false, None)], &["a"]),
            (&["a", "b"], vec![row("a", true, None)], &["a deleted", "b absent"]),
            (&["a"], vec![row("a", true, Some("b")), row("b", false, None)], &["b+a"]),
            (&["a", "b"], vec![row("a", true, Some("b")), row("b", false, None)], &["b+a"]),
            (&["a"], vec![row("a", true, Some("b")), row("b", true, Some("c")), row("c", false, None)], &["c+a+b"]),
            (&["a"], vec![row("a", true, Some("b"))], &["a deleted"]),
        ];
        for (ids, rows, expected) in cases {
            assert_eq!(shown(ids, rows), expected, "{ids:?}");
        }
    }

    #[test]
    fn a_ring_of_merges_ends() {
        let rows = vec![row("a", true, Some("b")), row("b", true, Some("a"))];
        assert!(shown(&["a"], rows).len() <= 2);
    }
}
