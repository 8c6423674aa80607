//! Issues: everything that waits for a person or for a provider to come right, in one list. An issue is no row of its own:
//! it is read off what the store holds (replicas' marks, quarantine, the states of syncs and connections), so that it is there
//! exactly as long as its cause is.
//!
//! # Layout
//!
//! * [`kind`]: what can be wrong. `id`: the stable name of one issue.
//! * `words`: cause, remedy and command of each kind, in words that quote no value.
//! * [`list`]: pages of issues, and one by its name. [`count`]: their numbers.

pub mod count;
mod id;
pub mod kind;
pub mod list;
mod words;

use std::collections::BTreeMap;

use syncline_core::{
    ids::{ConnectionId, ExternalId, ModelName, ObjectName, RecordId, TenantId},
    time::Millis,
};

pub use self::{
    id::IssueId,
    kind::IssueKind,
    words::{code_of, is_code},
};

/// One thing that somebody should know of.
#[derive(Clone, Debug, PartialEq)]
pub struct Issue {
    /// Its name, the same for as long as the issue lasts.
    pub id: IssueId,
    /// What is wrong.
    pub kind: IssueKind,
    /// Whose data it is about.
    pub tenant: TenantId,
    /// The sync, where it is about one.
    pub sync: Option<String>,
    /// The model.
    pub model: Option<ModelName>,
    /// The record.
    pub record: Option<RecordId>,
    /// The connected account; `None` where it is about the record itself, or about what the product's clients did.
    pub connection: Option<ConnectionId>,
    /// The provider's object name.
    pub object: Option<ObjectName>,
    /// The provider's id of the object.
    pub external_id: Option<ExternalId>,
    /// The field: the model's, or the provider's where the provider's is what is missing.
    pub field: Option<String>,
    /// Since when; `None` where an earlier version did not write it down.
    pub since: Option<Millis>,
    /// How often it was tried.
    pub attempts: Option<u64>,
    /// How many deletes are held back, where it is about those.
    pub deletes: Option<u64>,
    /// The words in which it was reported. They may quote values, so they are shown only to whoever asks for them.
    pub error: Option<String>,
}

/// What issues have to know of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// Whose issues are asked for.
    pub tenant: &'a TenantId,
    /// The tenant's connections.
    pub connections: &'a [ConnectionId],
    /// The tenant's syncs.
    pub syncs: &'a BTreeMap<String, ScopeSync>,
}

/// One sync, as issues see it.
#[derive(Clone, Debug)]
pub struct ScopeSync {
    /// Its model.
    pub model: ModelName,
    /// The object on each side.
    pub sides: BTreeMap<ConnectionId, ObjectName>,
}

/// A tenant's part of the configuration.
#[derive(Clone, Debug, Default)]
pub struct OwnScope {
    /// The tenant's connections, by name.
    pub connections: Vec<ConnectionId>,
    /// The tenant's syncs.
    pub syncs: BTreeMap<String, ScopeSync>,
}

impl OwnScope {
    /// The same, lent to whoever lists or counts issues.
    pub fn scope<'a>(&'a self, tenant: &'a TenantId) -> Scope<'a> {
        Scope { tenant, connections: &self.connections, syncs: &self.syncs }
    }
}

impl Scope<'_> {
    /// The sync that keeps this model's records the same in this connection.
    fn sync_of(&self, connection: &ConnectionId, model: &ModelName) -> Option<&str> {
        let mut syncs = self.syncs.iter();
        let found = syncs.find(|(_, sync)| sync.model == *model && sync.sides.contains_key(connection));
        found.map(|(name, _)| name.as_str())
    }
}
