//! When which call is used.

use async_trait::async_trait;
use serde_json::Value;
use syncline_core::{
    ids::{ExternalId, ObjectName},
    remote::{CursorFacts, Key, ObjectSchema, Page, PageRequest, ProviderError, Remedy, RemoteObject, Window},
};

use super::{Engine, deletes, describe, find, lookup, walk};
use crate::connector::{Credentials, Deleted, Probe, Reader};

/// Ids of one call of the engine where each takes a call of its own.
const IDS_MAX: usize = 50;

#[async_trait]
impl Reader for Engine {
    fn cursor(&self, object: &ObjectName) -> CursorFacts {
        walk::facts(self, self.object(object).ok())
    }

    fn by_id_max(&self) -> usize {
        let many = self.spec().objects.values().filter_map(|object| object.by_id.many.as_ref());
        many.map(|many| usize::try_from(many.max).unwrap_or(IDS_MAX)).min().unwrap_or(IDS_MAX).max(1)
    }

    fn keeps_history(&self) -> bool {
        false
    }

    async fn page(&self, credentials: &Credentials, request: &PageRequest) -> Result<Page, ProviderError> {
        walk::page(&self.session(credentials)?, self.object(&request.object)?, request).await
    }

    async fn by_id(
        &self,
        credentials: &Credentials,
        object: &ObjectName,
        ids: &[ExternalId],
        fields: &[String],
        _history: bool,
    ) -> Result<Vec<RemoteObject>, ProviderError> {
        lookup::by_id(&self.session(credentials)?, self.object(object)?, ids, fields).await
    }

    async fn deleted(
        &self,
        credentials: &Credentials,
        object: &ObjectName,
        window: Window,
    ) -> Result<Option<Deleted>, ProviderError> {
        deletes::deleted(&self.session(credentials)?, self.object(object)?, window).await
    }

    async fn find(
        &self,
        credentials: &Credentials,
        object: &ObjectName,
        searches: &[Vec<Key>],
        fields: &[String],
    ) -> Result<Vec<RemoteObject>, ProviderError> {
        find::find(&self.session(credentials)?, self.object(object)?, object.as_str(), searches, fields).await
    }

    async fn describe(&self, credentials: &Credentials, object: &ObjectName) -> Result<ObjectSchema, ProviderError> {
        describe::read(&self.session(credentials)?, self.object(object)?).await
    }

    async fn probe(&self, credentials: &Credentials) -> Result<Probe, ProviderError> {
        let session = self.session(credentials)?;
        let probe = &self.spec().probe;
        let (answer, body) = session.read(session.call(&probe.request, &self.scope())?).await?;
        if !probe.must.iter().all(|check| check.holds(&body)) {
            let remedy = if self.spec().auth.refresh.is_some() { Remedy::Refresh } else { Remedy::Reauthorise };
            let message = "the provider does not know whose the access token is".to_owned();
            return Err(ProviderError { remedy, message });
        }
        let now = answer.clock()?;
        let account = match probe.account.find(&body) {
            Some(Value::String(text)) if !text.is_empty() => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => session.base.host().to_owned(),
        };
        Ok(Probe { now, account })
    }
}
