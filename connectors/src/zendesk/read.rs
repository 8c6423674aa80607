//! Which read is used when: exports for backfills, increments and deletes; reads by id and by key, which never lag; searches for
//! everything else that is looked for.

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;
use syncline_core::{
    ids::{ExternalId, ObjectName},
    remote::{CursorFacts, Key, ObjectSchema, Page, PageRequest, ProviderError, Remedy, RemoteObject, Walk, Window},
};

use super::{Zendesk, describe, export, find, kind::Kind, lookup, rows};
use crate::{
    connector::{Credentials, Deleted, Probe, Reader},
    registry::scaled,
    rest::Call,
};

/// Rows may come late by what a transaction of Zendesk's takes.
const OVERLAP_MS: u64 = 5 * 60_000;

#[async_trait]
impl Reader for Zendesk {
    fn cursor(&self, _object: &ObjectName) -> CursorFacts {
        CursorFacts {
            walk: Walk::StampThenId,
            precision_ms: rows::PRECISION_MS,
            lag_ms: scaled(export::LAG_MS, self.settings.time_scale),
            overlap_ms: scaled(OVERLAP_MS, self.settings.time_scale),
            rows_max: None,
            page_max: export::ROWS_MAX,
            // A cursor of an export is a place in time.
            tokens_shift: false,
        }
    }

    fn by_id_max(&self) -> usize {
        lookup::IDS_MAX
    }

    /// Only tickets have one, their audits, which cost a call for each ticket; their writes have a precondition instead.
    fn keeps_history(&self) -> bool {
        false
    }

    async fn page(&self, credentials: &Credentials, request: &PageRequest) -> Result<Page, ProviderError> {
        export::page(&self.session(credentials)?, Kind::of(&request.object)?, request).await
    }

    async fn by_id(
        &self,
        credentials: &Credentials,
        object: &ObjectName,
        ids: &[ExternalId],
        fields: &[String],
        _history: bool,
    ) -> Result<Vec<RemoteObject>, ProviderError> {
        lookup::by_id(&self.session(credentials)?, Kind::of(object)?, ids, fields).await
    }

    async fn deleted(
        &self,
        credentials: &Credentials,
        object: &ObjectName,
        window: Window,
    ) -> Result<Option<Deleted>, ProviderError> {
        export::deleted(&self.session(credentials)?, Kind::of(object)?, window).await.map(Some)
    }

    async fn find(
        &self,
        credentials: &Credentials,
        object: &ObjectName,
        searches: &[Vec<Key>],
        fields: &[String],
    ) -> Result<Vec<RemoteObject>, ProviderError> {
        find::find(&self.session(credentials)?, Kind::of(object)?, searches, fields).await
    }

    async fn describe(&self, credentials: &Credentials, object: &ObjectName) -> Result<ObjectSchema, ProviderError> {
        describe::read(&self.session(credentials)?, Kind::of(object)?).await
    }

    async fn probe(&self, credentials: &Credentials) -> Result<Probe, ProviderError> {
        let session = self.session(credentials)?;
        let answer = session.answer(Call::get("/api/v2/users/me.json")).await?;
        if answer.json::<Me>()?.user.id.is_null() {
            // Zendesk answers 200 to strangers here, as somebody without a name.
            return Err(ProviderError {
                remedy: Remedy::Refresh,
                message: "Zendesk does not know whose the access token is".to_owned(),
            });
        }
        let now = answer.clock()?;
        Ok(Probe { now, account: session.base.host().to_owned() })
    }
}

#[derive(Deserialize)]
struct Me {
    user: MyUser,
}

#[derive(Deserialize)]
struct MyUser {
    #[serde(default)]
    id: Value,
}
