//! Which read is used when: lists for backfills and archived rows, searches for increments, batches for everything that
//! must be consistent.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;
use syncline_core::{
    ids::{ExternalId, ObjectName},
    remote::{CursorFacts, Key, ObjectSchema, Page, PageRequest, ProviderError, RemoteObject, Walk, Window},
};

use super::{
    HubSpot,
    batch_read::{self, Wanted},
    list, properties,
    rows::{self, Listing, Shape},
    search::{self, Question},
    session::Session,
};
use crate::{
    connector::{Credentials, Deleted, Probe, Reader},
    registry::scaled,
    rest::Call,
};

/// The index of the search lags behind the objects by moments.
const LAG_MS: u64 = 30_000;
const OVERLAP_MS: u64 = 5 * 60_000;

/// A search ends at 10,000 results; a walk is keyed anew before.
const SEARCH_ROWS_MAX: u32 = 9_800;

/// The most matches that a question brings back: more are as ambiguous as these.
const FOUND_MAX: usize = 10_000;

#[async_trait]
impl Reader for HubSpot {
    fn cursor(&self, _object: &ObjectName) -> CursorFacts {
        CursorFacts {
            walk: Walk::IdWithinWindow,
            precision_ms: rows::PRECISION_MS,
            lag_ms: scaled(LAG_MS, self.settings.time_scale),
            overlap_ms: scaled(OVERLAP_MS, self.settings.time_scale),
            rows_max: Some(SEARCH_ROWS_MAX),
            page_max: search::ROWS_MAX,
            tokens_shift: true,
        }
    }

    fn by_id_max(&self) -> usize {
        batch_read::ROWS_MAX
    }

    fn keeps_history(&self) -> bool {
        true
    }

    async fn page(&self, credentials: &Credentials, request: &PageRequest) -> Result<Page, ProviderError> {
        let session = self.session(credentials)?;
        let shape = self.shape(&request.object, &request.fields);
        if is_search(request) {
            search_page(&session, request, shape).await
        } else {
            list_page(&session, request, shape).await
        }
    }

    async fn by_id(
        &self,
        credentials: &Credentials,
        object: &ObjectName,
        ids: &[ExternalId],
        fields: &[String],
        history: bool,
    ) -> Result<Vec<RemoteObject>, ProviderError> {
        batch_read::by_id(&self.session(credentials)?, self.shape(object, fields), ids, history).await
    }

    /// Archived rows are listed by [`Reader::page`].
    async fn deleted(
        &self,
        _credentials: &Credentials,
        _object: &ObjectName,
        _window: Window,
    ) -> Result<Option<Deleted>, ProviderError> {
        Ok(None)
    }

    async fn find(
        &self,
        credentials: &Credentials,
        object: &ObjectName,
        searches: &[Vec<Key>],
        fields: &[String],
    ) -> Result<Vec<RemoteObject>, ProviderError> {
        let session = self.session(credentials)?;
        let shape = self.shape(object, fields);
        let (addresses, others) = addresses(object, searches);
        let mut found: BTreeMap<ExternalId, RemoteObject> = BTreeMap::new();
        let wanted = Wanted { shape, history: false, archived: false, id_property: Some("email") };
        for object in batch_read::read(&session, wanted, &addresses).await? {
            found.insert(object.id.clone(), object);
        }
        for question in search::questions(&others, shape) {
            let objects = answers(&session, &question, shape).await?;
            found.extend(objects.into_iter().map(|object| (object.id.clone(), object)));
        }
        Ok(found.into_values().collect())
    }

    async fn describe(&self, credentials: &Credentials, object: &ObjectName) -> Result<ObjectSchema, ProviderError> {
        properties::read(&self.session(credentials)?, object).await
    }

    async fn probe(&self, credentials: &Credentials) -> Result<Probe, ProviderError> {
        let session = self.session(credentials)?;
        let answer = session.answer(Call::get("/account-info/v3/details")).await?;
        let account: Account = answer.json()?;
        let now = answer.clock()?;
        Ok(Probe { now, account: account.portal_id.to_string() })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Account {
    portal_id: Value,
}

impl HubSpot {
    fn shape<'a>(&'a self, object: &'a ObjectName, fields: &'a [String]) -> Shape<'a> {
        Shape { object, fields, app_id: self.settings.app_id.as_ref() }
    }
}

/// Increments are searched, and so is a live list that lost its token: only the search can begin after an id.
fn is_search(request: &PageRequest) -> bool {
    let keyed = request.window.is_some() || (request.token.is_none() && request.after.is_some());
    !request.deleted && (keyed || request.token.as_deref().is_some_and(search::is_token))
}

async fn search_page(session: &Session<'_>, request: &PageRequest, shape: Shape<'_>) -> Result<Page, ProviderError> {
    let call = search::request(session.settings, request, shape)?;
    if !search::is_wide(&call) {
        let listing: Listing = session.read(call).await?;
        return Ok(search::page(listing, shape));
    }
    let listing: Listing = session.read(search::request(session.settings, request, shape.narrow())?).await?;
    let mut page = search::page(listing, shape.narrow());
    fill(session, shape, false, &mut page.objects).await?;
    Ok(page)
}

async fn list_page(session: &Session<'_>, request: &PageRequest, shape: Shape<'_>) -> Result<Page, ProviderError> {
    let wide = list::is_wide(shape);
    let listed = if wide { shape.narrow() } else { shape };
    let listing: Listing = session.read(list::request(session.settings, request, listed)?).await?;
    let mut page = list::page(listing, request, listed);
    if wide {
        fill(session, shape, request.deleted, &mut page.objects).await?;
    }
    Ok(page)
}

/// Takes e-mail addresses of contacts out of the searches: they are unique, so that a batch finds them at once, where the
/// search's index lags.
fn addresses<'a>(object: &ObjectName, searches: &'a [Vec<Key>]) -> (BTreeSet<&'a str>, Vec<Vec<Key>>) {
    let mut addresses = BTreeSet::new();
    let mut others = Vec::new();
    for search in searches {
        match search.as_slice() {
            [key] if key.field == "email" && object.as_str() == "contacts" => {
                addresses.insert(key.value.as_str());
            }
            _ => others.push(search.clone()),
        }
    }
    (addresses, others)
}

/// All matches of a question, in pages by id.
async fn answers(
    session: &Session<'_>,
    question: &Question,
    shape: Shape<'_>,
) -> Result<Vec<RemoteObject>, ProviderError> {
    let whole = search::ask(session.settings, question, None, shape)?;
    let wide = search::is_wide(&whole);
    let searched = if wide { shape.narrow() } else { shape };
    let mut found = Vec::new();
    let mut after: Option<ExternalId> = None;
    loop {
        let call = search::ask(session.settings, question, after.as_ref(), searched)?;
        let page = search::page(session.read::<Listing>(call).await?, searched);
        found.extend(page.objects);
        after = page.next.as_deref().and_then(search::id_of_token);
        if after.is_none() || found.len() >= FOUND_MAX {
            break;
        }
    }
    if wide {
        fill(session, shape, false, &mut found).await?;
    }
    Ok(found)
}

/// Reads the fields of rows whose field names were too long for their list or search. A row that vanished meanwhile keeps
/// its identity and its stamp, and no fields.
async fn fill(
    session: &Session<'_>,
    shape: Shape<'_>,
    archived: bool,
    objects: &mut [RemoteObject],
) -> Result<(), ProviderError> {
    let wanted = Wanted { shape, history: false, archived, id_property: None };
    let ids: BTreeSet<&str> = objects.iter().map(|object| object.id.as_str()).collect();
    let filled = batch_read::read(session, wanted, &ids).await?;
    for object in objects {
        if let Some(whole) = filled.iter().find(|whole| whole.id == object.id) {
            object.clone_from(whole);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use syncline_core::{remote::Position, time::Millis};

    use super::*;

    #[test]
    fn only_addresses_of_contacts_are_read_at_once() {
        let key = |field: &str| vec![Key { field: field.into(), value: "v".into() }];
        let searches = [key("email"), key("phone"), [key("email"), key("phone")].concat()];
        let (addresses, others) = addresses(&"contacts".into(), &searches);
        assert_eq!((addresses.len(), others.len()), (1, 2));
        let (addresses, others) = super::addresses(&"companies".into(), &searches);
        assert_eq!((addresses.len(), others.len()), (0, 3));
    }

    #[test]
    fn each_walk_has_its_read() {
        let base = PageRequest {
            object: "contacts".into(),
            fields: Vec::new(),
            window: None,
            after: None,
            token: None,
            deleted: false,
            limit: 100,
        };
        let window = Some(Window { from: Millis(0), until: Millis(1) });
        let after = Some(Position { stamp: Millis(0), id: "1".into() });
        let token = |text: &str| Some(text.to_owned());
        let cases = [
            ("the first page of a backfill", base.clone(), false),
            ("its further pages", PageRequest { token: token("152"), after: after.clone(), ..base.clone() }, false),
            ("a backfill that lost its token", PageRequest { after: after.clone(), ..base.clone() }, true),
            ("that one's further pages", PageRequest { token: token("after-id:9"), ..base.clone() }, true),
            ("an increment", PageRequest { window, ..base.clone() }, true),
            ("archived rows", PageRequest { deleted: true, window, after, ..base }, false),
        ];
        for (name, request, expected) in cases {
            assert_eq!(is_search(&request), expected, "{name}");
        }
    }
}
