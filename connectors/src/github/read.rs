//! Which read is used when: lists for what was modified, single reads for everything that must be consistent.

use async_trait::async_trait;
use syncline_core::{
    ids::{ExternalId, ObjectName},
    remote::{CursorFacts, Key, ObjectSchema, Page, PageRequest, ProviderError, RemoteObject, Walk, Window},
};

use super::{
    GitHub, fields, find,
    home::Home,
    look,
    rows::{self, Kind, Shape},
    walk,
};
use crate::{
    connector::{Credentials, Deleted, Probe, Reader},
    registry::scaled,
};

/// GitHub does not say how long a change may stay out of lists: seconds were seen.
const LAG_MS: u64 = 5_000;
const OVERLAP_MS: u64 = 5 * 60_000;

/// Each id is a call of its own. One by one they are counted one by one, and a limit that is met in between repeats nothing.
const IDS_MAX: usize = 1;

#[async_trait]
impl Reader for GitHub {
    fn cursor(&self, _object: &ObjectName) -> CursorFacts {
        CursorFacts {
            walk: Walk::StampThenId,
            precision_ms: rows::PRECISION_MS,
            lag_ms: scaled(LAG_MS, self.settings.time_scale),
            overlap_ms: scaled(OVERLAP_MS, self.settings.time_scale),
            rows_max: None,
            page_max: walk::ROWS_MAX,
            // Each page begins at a second. Only within one that fills a page the pages of the list are followed.
            tokens_shift: false,
        }
    }

    fn by_id_max(&self) -> usize {
        IDS_MAX
    }

    /// Events tell of titles, labels, assignees and states, but not of texts: a history with gaps proves nothing.
    fn keeps_history(&self) -> bool {
        false
    }

    /// Nothing lists what was deleted: only a look tells, and a sweep says where to look.
    async fn page(&self, credentials: &Credentials, request: &PageRequest) -> Result<Page, ProviderError> {
        let kind = Kind::of(&request.object)?;
        let session = self.session(credentials)?;
        if request.deleted {
            return Ok(Page::default());
        }
        walk::page(&session, request, Shape { kind, fields: &request.fields }).await
    }

    async fn by_id(
        &self,
        credentials: &Credentials,
        object: &ObjectName,
        ids: &[ExternalId],
        fields: &[String],
        _history: bool,
    ) -> Result<Vec<RemoteObject>, ProviderError> {
        let shape = Shape { kind: Kind::of(object)?, fields };
        look::by_id(&self.session(credentials)?, shape, ids).await
    }

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
        let shape = Shape { kind: Kind::of(object)?, fields };
        find::find(&self.session(credentials)?, shape, searches).await
    }

    async fn describe(&self, _credentials: &Credentials, object: &ObjectName) -> Result<ObjectSchema, ProviderError> {
        fields::schema(object)
    }

    async fn probe(&self, credentials: &Credentials) -> Result<Probe, ProviderError> {
        let session = self.session(credentials)?;
        let (home, answer) = Home::answer(&session).await?;
        let now = answer.clock()?;
        Ok(Probe { now, account: home.full_name })
    }
}
