//! What was erased does not come back by accident: a later reading of the same object, the same document from a client that
//! was offline, the same call made again. A person may let it in again, see [`super::erasure`].

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

use syncline_core::{
    ids::{ConnectionId, ExternalId, ObjectName, RecordId, TenantId},
    plan::SyncPlan,
    repo::DocumentId,
};

use super::intake::Arrival;
use crate::{
    secrets::SecretsKey,
    store::{ExternalRef, StoreError, TenantStore, erasures::ErasedMark, quarantine::Quarantined},
};

/// What the key is derived for.
const PURPOSE: &str = "syncline 2026 marks of erased records";

/// Knows what was erased, by marks that say nothing without the key.
#[derive(Default)]
pub(super) struct Barred {
    key: [u8; 32],
    /// Whether the tenant has ever erased anything; nothing is looked up where it has not.
    any: Mutex<HashMap<TenantId, bool>>,
}

impl Barred {
    pub(super) fn new(key: &SecretsKey) -> Self {
        Self { key: key.derived(PURPOSE), any: Mutex::default() }
    }

    /// The mark of an object.
    pub(super) fn object(
        &self,
        tenant: &TenantId,
        connection: &ConnectionId,
        object: &ObjectName,
        id: &ExternalId,
    ) -> ErasedMark {
        self.mark(&["object", tenant.as_str(), connection.as_str(), object.as_str(), id.as_str()])
    }

    /// The mark of a document.
    pub(super) fn document(&self, tenant: &TenantId, document: DocumentId) -> ErasedMark {
        self.mark(&["document", tenant.as_str(), &document.to_string()])
    }

    /// The mark of a record.
    pub(super) fn record(&self, tenant: &TenantId, record: RecordId) -> ErasedMark {
        self.mark(&["record", tenant.as_str(), &record.to_string()])
    }

    /// Every mark that a record leaves.
    pub(super) fn all(
        &self,
        tenant: &TenantId,
        record: RecordId,
        objects: &[ExternalRef],
        documents: &[DocumentId],
    ) -> Vec<ErasedMark> {
        let objects = objects.iter().map(|of| self.object(tenant, &of.connection, &of.object, &of.id));
        let documents = documents.iter().map(|document| self.document(tenant, *document));
        objects.chain(documents).chain([self.record(tenant, record)]).collect()
    }

    /// The places of the arrivals that show or bring what was erased.
    pub(super) async fn among(
        &self,
        plan: &SyncPlan,
        tenant: &dyn TenantStore,
        arrivals: &[Arrival],
    ) -> Result<BTreeSet<usize>, StoreError> {
        if !self.any(tenant).await? {
            return Ok(BTreeSet::new());
        }
        let marks: Vec<(usize, ErasedMark)> = arrivals
            .iter()
            .enumerate()
            .flat_map(|(place, arrival)| self.of_arrival(plan, arrival).into_iter().map(move |mark| (place, mark)))
            .collect();
        self.places(tenant, marks).await
    }

    /// The places of the rows for quarantine that are of objects that were erased.
    pub(super) async fn among_rows(
        &self,
        tenant: &dyn TenantStore,
        rows: &[Quarantined],
    ) -> Result<BTreeSet<usize>, StoreError> {
        if rows.is_empty() || !self.any(tenant).await? {
            return Ok(BTreeSet::new());
        }
        let marks = rows.iter().enumerate().filter_map(|(place, row)| {
            Some((place, self.object(tenant.tenant(), &row.connection, &row.object, row.external_id.as_ref()?)))
        });
        self.places(tenant, marks.collect()).await
    }

    /// Those of the objects that were erased.
    pub(super) async fn objects(
        &self,
        tenant: &dyn TenantStore,
        connection: &ConnectionId,
        objects: &[(&ObjectName, &ExternalId)],
    ) -> Result<BTreeSet<usize>, StoreError> {
        if !self.any(tenant).await? {
            return Ok(BTreeSet::new());
        }
        let marks = objects.iter().enumerate();
        let marks = marks.map(|(place, (object, id))| (place, self.object(tenant.tenant(), connection, object, id)));
        self.places(tenant, marks.collect()).await
    }

    /// Whether the document was erased.
    pub(super) async fn bars(&self, tenant: &dyn TenantStore, document: DocumentId) -> Result<bool, StoreError> {
        if !self.any(tenant).await? {
            return Ok(false);
        }
        Ok(!tenant.find_erased(&[self.document(tenant.tenant(), document)]).await?.is_empty())
    }

    /// Something of the tenant was erased.
    pub(super) fn erased(&self, tenant: &TenantId) {
        self.any.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant.clone(), true);
    }

    async fn places(
        &self,
        tenant: &dyn TenantStore,
        marks: Vec<(usize, ErasedMark)>,
    ) -> Result<BTreeSet<usize>, StoreError> {
        let mut by_mark: BTreeMap<ErasedMark, Vec<usize>> = BTreeMap::new();
        for (place, mark) in marks {
            by_mark.entry(mark).or_default().push(place);
        }
        let wanted: Vec<ErasedMark> = by_mark.keys().copied().collect();
        let found = tenant.find_erased(&wanted).await?;
        Ok(found.iter().filter_map(|mark| by_mark.get(mark)).flatten().copied().collect())
    }

    async fn any(&self, tenant: &dyn TenantStore) -> Result<bool, StoreError> {
        let known = self.any.lock().unwrap_or_else(PoisonError::into_inner).get(tenant.tenant()).copied();
        if let Some(any) = known {
            return Ok(any);
        }
        let any = tenant.has_erased().await?;
        let mut known = self.any.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(*known.entry(tenant.tenant().clone()).or_insert(any))
    }

    fn of_arrival(&self, plan: &SyncPlan, arrival: &Arrival) -> Vec<ErasedMark> {
        let tenant = &plan.tenant;
        match arrival {
            Arrival::Observed { connection, observation, .. } => {
                let Some(side) = plan.sides.get(connection) else { return Vec::new() };
                vec![self.object(tenant, connection, &side.object, &observation.id)]
            }
            Arrival::Decided { decision, .. } => {
                let named = decision.object().and_then(|(connection, id)| {
                    let side = plan.sides.get(connection)?;
                    Some(self.object(tenant, connection, &side.object, id))
                });
                named.into_iter().collect()
            }
            Arrival::Created { record, .. } => vec![self.record(tenant, *record)],
            Arrival::Begun { document, .. } => vec![self.document(tenant, *document)],
            Arrival::Known { .. } | Arrival::Received { .. } => Vec::new(),
        }
    }

    /// A keyed hash over the parts with their lengths, so that no two ids share a text.
    fn mark(&self, parts: &[&str]) -> ErasedMark {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        ErasedMark(*hasher.finalize().as_bytes())
    }
}

impl std::fmt::Debug for Barred {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Barred").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_depend_on_the_key_and_on_every_part() {
        let key = |n: u8| SecretsKey::parse(&format!("{n:02x}").repeat(32)).unwrap();
        let (one, other) = (Barred::new(&key(1)), Barred::new(&key(2)));
        let mark = |barred: &Barred, tenant: &str, connection: &str, object: &str, id: &str| {
            barred.object(&tenant.into(), &connection.into(), &object.into(), &id.into())
        };
        let whole = mark(&one, "acme", "crm", "contacts", "17");
        assert_eq!(mark(&one, "acme", "crm", "contacts", "17"), whole);
        for different in [
            mark(&other, "acme", "crm", "contacts", "17"),
            mark(&one, "acm", "ecrm", "contacts", "17"),
            mark(&one, "acme", "crm", "contact", "s17"),
            mark(&one, "acme", "crm", "contacts", "18"),
        ] {
            assert_ne!(different, whole);
        }
    }
}
