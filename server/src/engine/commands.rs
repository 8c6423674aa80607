//! What HTTP handlers ask of the engine. The engine alone changes records; handlers read the store and send commands.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use syncline_connectors::connector::WebhookRefused;
use syncline_core::{
    identity::OperationId,
    ids::{ConnectionId, ExternalId, ModelName, RecordId, TenantId},
    time::Millis,
};

use super::intake::Rebuilt;
use crate::store::erasures::{ErasureId, Receipt};

/// The commands, all scoped to a tenant.
#[async_trait]
pub trait Commands: Send + Sync {
    /// Creates a record. `nonce` makes a repeated call (the `Idempotency-Key` header) return the same record.
    async fn create(
        &self,
        who: &Principal,
        model: &ModelName,
        fields: JsonFields,
        nonce: &str,
    ) -> Result<RecordId, CommandError>;

    /// Sets the named fields (JSON null clears one) or, with `restore`, brings back a deleted record as well.
    async fn edit(&self, who: &Principal, model: &ModelName, id: RecordId, edit: Edit) -> Result<(), CommandError>;

    /// Deletes a record; a deleted record stays readable by id.
    async fn delete(
        &self,
        who: &Principal,
        model: &ModelName,
        id: RecordId,
        if_version: Option<u64>,
    ) -> Result<(), CommandError>;

    /// Overturns or confirms a conflict: the chosen value becomes the field's value by an ordinary edit of `who`.
    async fn resolve(&self, who: &Principal, conflict: i64, choice: Choice) -> Result<(), CommandError>;

    /// Starts, pauses or resets work of a sync.
    async fn steer(
        &self,
        tenant: &TenantId,
        sync: &str,
        connection: Option<&ConnectionId>,
        verb: Steering,
    ) -> Result<(), CommandError>;

    /// Tries a parked delivery again.
    async fn replay_delivery(
        &self,
        tenant: &TenantId,
        record: RecordId,
        connection: &ConnectionId,
    ) -> Result<(), CommandError>;

    /// Makes a record's damaged document again: as it was committed where that can be proved, else, only if `from_values`, as a
    /// new history with the values that stand.
    async fn rebuild(
        &self,
        who: &Principal,
        model: &ModelName,
        id: RecordId,
        from_values: bool,
    ) -> Result<Rebuilt, CommandError>;

    /// Processes a quarantined row again.
    async fn replay_quarantined(&self, tenant: &TenantId, id: i64) -> Result<(), CommandError>;

    /// Erases a record with everything that is kept of it here: at once or, with `everywhere`, once its objects are deleted in the
    /// connected systems.
    async fn erase(
        &self,
        who: &Principal,
        model: &ModelName,
        id: RecordId,
        everywhere: bool,
    ) -> Result<(ErasureId, Receipt), CommandError>;

    /// Lets in again what an erasure keeps out.
    async fn readmit(&self, who: &Principal, erasure: ErasureId) -> Result<Receipt, CommandError>;

    /// Changes which object is which record; the operation can be taken back. `None` where it is so already.
    async fn change_identity(
        &self,
        who: &Principal,
        model: &ModelName,
        id: RecordId,
        change: IdentityChange,
    ) -> Result<Option<OperationId>, CommandError>;

    /// Takes an operation on identity back; one that was taken back before stays so.
    async fn undo(&self, who: &Principal, operation: OperationId) -> Result<(), CommandError>;

    /// Makes an object that is held in quarantine, because it could be one of several records, a record of its own.
    async fn separate(&self, who: &Principal, id: i64) -> Result<RecordId, CommandError>;

    /// Takes in a webhook: verifies it, stores its hints durably and returns; processing comes later.
    async fn webhook(&self, connection: &ConnectionId, request: IncomingWebhook) -> Result<usize, CommandError>;

    /// What came in by webhooks since the service started; `None` where the provider does not push.
    fn webhook_counts(&self, connection: &ConnectionId) -> Option<WebhookCounts>;
}

/// What came in by a connection's webhooks since the service started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookCounts {
    /// For each secret, the newest first: how many deliveries it has verified, and when the last one.
    pub verified: Vec<(u64, Option<Millis>)>,
    /// How many deliveries were refused.
    pub refused: u64,
    /// When one was refused last, and why.
    pub last_refusal: Option<(Millis, String)>,
}

impl WebhookCounts {
    /// Nothing so far, of so many secrets.
    pub fn of_secrets(number: usize) -> Self {
        Self { verified: vec![(0, None); number], ..Self::default() }
    }

    /// Counts a delivery that this secret has verified.
    pub fn verified_by(&mut self, secret: usize, now: Millis) {
        if let Some((times, last)) = self.verified.get_mut(secret) {
            *times += 1;
            *last = Some(now);
        }
    }

    /// Counts a delivery that was refused.
    pub fn refuse(&mut self, reason: WebhookRefused, now: Millis) {
        self.refused += 1;
        self.last_refusal = Some((now, reason.to_string()));
    }
}

/// Who acts: a principal inside a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The tenant whose data may be reached.
    pub tenant: TenantId,
    /// The name shown as the origin of changes, such as the API key's name.
    pub name: String,
}

/// Plain JSON fields, as the API takes them.
pub type JsonFields = BTreeMap<String, serde_json::Value>;

/// An edit of a record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Edit {
    /// The fields to set.
    pub fields: JsonFields,
    /// Only if the record still has this version.
    pub if_version: Option<u64>,
    /// Also bring the record back if it is deleted.
    pub restore: bool,
}

/// What a person decides about a record's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityChange {
    /// It is this object.
    Link {
        /// In which connection.
        connection: ConnectionId,
        /// Which object.
        object: ExternalId,
    },
    /// It is not the object that it is linked to, which lives on by itself.
    Unlink {
        /// In which connection.
        connection: ConnectionId,
    },
    /// Another record is the same, and goes into it.
    Merge {
        /// The other record.
        absorbed: RecordId,
    },
    /// The object that it is linked to is a record of its own.
    Split {
        /// In which connection.
        connection: ConnectionId,
    },
}

/// Which value of a conflict is to stand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// The value that won stays; the conflict is closed.
    Winner,
    /// The value that lost is made the field's value.
    Loser,
    /// Another value.
    Value(serde_json::Value),
}

/// What to do with a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Steering {
    /// Stop reading and writing after the current step.
    Pause,
    /// Go on.
    Resume,
    /// Read now instead of at the next interval.
    Trigger,
    /// Forget the checkpoint and read everything again; records and links stay.
    Reset,
    /// Allow the first writes of a sync whose plan waits for approval, and carry out deletes that wait for a person.
    Approve,
    /// Refuse the deletes that wait for a person: what is gone is created again, and what clients deleted comes back.
    Reject,
}

/// A webhook request.
#[derive(Clone, Debug)]
pub struct IncomingWebhook {
    /// The HTTP method.
    pub method: String,
    /// Path and query as called; the engine puts the public URL in front.
    pub path_and_query: String,
    /// The headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The raw body.
    pub body: bytes::Bytes,
}

/// Why a command failed; one variant per HTTP status family.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// There is no such thing in this tenant.
    #[error("{0}")]
    NotFound(String),
    /// Fields at fault, each with what is wrong and how to mend it.
    #[error("the request has fields that cannot be taken")]
    Invalid(Vec<FieldFault>),
    /// The record has another version by now.
    #[error("the record is at version {current}, not {expected}: read it again and repeat the edit")]
    VersionMismatch {
        /// The version asked for.
        expected: u64,
        /// The record's version.
        current: u64,
    },
    /// The command does not fit the present state, in words.
    #[error("{0}")]
    Conflict(String),
    /// The webhook was refused.
    #[error(transparent)]
    Webhook(#[from] WebhookRefused),
    /// The store cannot take writes now (locked, full, read-only, shutting down).
    #[error("{0}")]
    Unavailable(String),
}

/// One field at fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldFault {
    /// The field's name.
    pub field: String,
    /// What is wrong and how to mend it.
    pub message: String,
}
