//! The `Connector` trait family. A capability is the presence of an implementation, so it cannot drift from a flag.
//!
//! Connectors neither sleep nor retry: every failure comes back as a [`ProviderError`] with its remedy, and the engine
//! owns time, retries, budgets and refreshes.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use syncline_core::{
    budget::BudgetFacts,
    ids::{ExternalId, ObjectName},
    remote::{
        CursorFacts, Key, ObjectSchema, Page, PageRequest, ProviderError, RemoteObject, Window, WriteRequest,
        WriteResult,
    },
    time::Millis,
};

/// One provider, configured for one integration. Cheap to share; holds no connection's secrets.
#[async_trait]
pub trait Connector: Send + Sync + std::fmt::Debug {
    /// The provider's name, such as `salesforce`.
    fn provider(&self) -> &str;

    /// Reads objects.
    fn reader(&self) -> &dyn Reader;

    /// Writes objects, where the provider lets us.
    fn writer(&self) -> Option<&dyn Writer>;

    /// Receives webhooks, where the provider pushes.
    fn webhooks(&self) -> Option<&dyn WebhookReceiver>;

    /// Creates fields, such as the unique key field, where the provider lets us.
    fn fields(&self) -> Option<&dyn FieldCreator>;

    /// Exchanges a refresh token for new credentials, where the provider issues such tokens.
    fn refresher(&self) -> Option<&dyn Refresher>;

    /// Follows the account's own log of changes, where it has one. Most providers have none: their objects are read by the time
    /// of their change instead.
    fn change_log(&self) -> Option<&dyn ChangeLog> {
        None
    }

    /// Prepares an account for syncing, where that takes more than credentials.
    fn installer(&self) -> Option<&dyn Installer> {
        None
    }

    /// The provider's rate limits.
    fn budgets(&self) -> Vec<BudgetFacts>;
}

/// What a connection is authorised with. Never logged: `Debug` shows no secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct Credentials {
    /// The bearer token of API calls.
    pub access_token: String,
    /// The refresh token, where there is one.
    pub refresh_token: Option<String>,
    /// When the access token expires, where the provider says.
    pub expires_at: Option<Millis>,
    /// The host that data calls go to, where the token response names it (Salesforce's `instance_url`).
    pub base_url: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("expires_at", &self.expires_at)
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}

/// Reads objects of a connection.
#[async_trait]
pub trait Reader: Send + Sync {
    /// How the provider's modification clock is to be read for `object`.
    fn cursor(&self, object: &ObjectName) -> CursorFacts;

    /// The most ids that one [`Reader::by_id`] call takes.
    fn by_id_max(&self) -> usize;

    /// Whether the provider keeps a history of each field's values that [`Reader::by_id`] can show.
    fn keeps_history(&self) -> bool;

    /// One page of a list (no window) or of an incremental read (a window).
    async fn page(&self, credentials: &Credentials, request: &PageRequest) -> Result<Page, ProviderError>;

    /// The objects with these ids, with their fields' history where `history` is set and the provider keeps one.
    /// An id that no longer exists comes back as a deleted object; one that was merged comes back as its survivor.
    async fn by_id(
        &self,
        credentials: &Credentials,
        object: &ObjectName,
        ids: &[ExternalId],
        fields: &[String],
        history: bool,
    ) -> Result<Vec<RemoteObject>, ProviderError>;

    /// Ids of objects deleted inside the window, and how far the answer is complete. `None` where the provider shows
    /// deletes in [`Reader::page`] with `deleted` set instead.
    async fn deleted(
        &self,
        credentials: &Credentials,
        object: &ObjectName,
        window: Window,
    ) -> Result<Option<Deleted>, ProviderError>;

    /// Live objects that match any of the searches, each a set of fields with their values in the provider's own spelling
    /// that must all hold; for linking before a create. Callers ask for up to 100 searches at once, mostly of one and the
    /// same field, so this must not cost a call for each.
    async fn find(
        &self,
        credentials: &Credentials,
        object: &ObjectName,
        searches: &[Vec<Key>],
        fields: &[String],
    ) -> Result<Vec<RemoteObject>, ProviderError>;

    /// The object's fields.
    async fn describe(&self, credentials: &Credentials, object: &ObjectName) -> Result<ObjectSchema, ProviderError>;

    /// The provider's present time, from the cheapest authorised call; also proves that the credentials work.
    async fn probe(&self, credentials: &Credentials) -> Result<Probe, ProviderError>;
}

/// Follows an account's own log of changes, in the order in which they became visible there. Where a connector has one, objects
/// are listed without a window only, and neither [`Reader::page`] nor [`Reader::deleted`] is asked what changed.
#[async_trait]
pub trait ChangeLog: Send + Sync {
    /// The log's present end. What is visible now is in the list that begins after this call; what becomes visible later is read
    /// from here on.
    async fn end(&self, credentials: &Credentials, object: &ObjectName) -> Result<String, ProviderError>;

    /// The changes that follow `after`, at most about `limit`, without waiting for any. What lies before `after` is durable with
    /// the caller and may be forgotten there. [`syncline_core::remote::Remedy::Resync`] says that the log no longer reaches back so
    /// far: then everything is listed again.
    async fn read(
        &self,
        credentials: &Credentials,
        object: &ObjectName,
        after: &str,
        limit: u32,
    ) -> Result<Changes, ProviderError>;

    /// Returns once something may follow `after`, or after `patience`. As with [`ChangeLog::read`], what lies before is durable.
    async fn wait(
        &self,
        credentials: &Credentials,
        object: &ObjectName,
        after: &str,
        patience: Duration,
    ) -> Result<(), ProviderError>;
}

/// A part of a log of changes. It says what is to be looked at, not what it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Objects that were created or changed.
    pub changed: Vec<ExternalId>,
    /// Objects that were deleted, as far as this part of the log tells.
    pub deleted: Vec<ExternalId>,
    /// Where the next part begins.
    pub next: String,
    /// Whether more is known to follow.
    pub more: bool,
}

/// Prepares an account for syncing, and takes back what it did.
#[async_trait]
pub trait Installer: Send + Sync {
    /// What has to be done there so that these objects can be synced, in its order; nothing, or advice alone, where all of it is
    /// there.
    async fn install(&self, credentials: &Credentials, objects: &[ObjectName]) -> Result<Vec<Step>, ProviderError>;

    /// What has to be done there so that nothing of it is left for these objects, in its order.
    async fn uninstall(&self, credentials: &Credentials, objects: &[ObjectName]) -> Result<Vec<Step>, ProviderError>;

    /// Does one step.
    async fn carry_out(&self, credentials: &Credentials, step: &Step) -> Result<(), ProviderError>;
}

/// One thing that is done at a provider to prepare an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What it is good for, in words.
    pub what: String,
    /// The provider's own statement of it, which an administrator may carry out instead; `None` where it is advice that only an
    /// administrator can follow.
    pub statement: Option<String>,
}

/// Deletes inside a window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Deleted {
    /// The ids.
    pub ids: Vec<ExternalId>,
    /// The answer is complete up to here: the next window begins here.
    pub covered_until: Millis,
}

/// The answer to a probe.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// The provider's clock.
    pub now: Millis,
    /// Who we are there, in the provider's words (organisation, portal, user), for people.
    pub account: String,
}

/// Writes objects of a connection.
#[async_trait]
pub trait Writer: Send + Sync {
    /// The most requests that one [`Writer::write`] call takes.
    fn batch_max(&self) -> usize;

    /// Whether an update is refused by the provider when somebody wrote after `expected` (within the stamp's precision).
    fn conditional(&self) -> bool;

    /// How many calls writing these rows will take, for budgets, when nothing goes wrong.
    fn calls(&self, requests: &[WriteRequest]) -> u32;

    /// Writes each row and says how each ended, in any order, exactly one result a row. A failure of the whole call is
    /// reported on every row, as [`syncline_core::remote::WriteOutcome::NotApplied`] only where it certainly had no effect.
    async fn write(&self, credentials: &Credentials, requests: &[WriteRequest], fields: &[String]) -> Vec<WriteResult>;
}

/// Creates fields at the provider.
#[async_trait]
pub trait FieldCreator: Send + Sync {
    /// Creates a text field with unique values, fit to hold our record id.
    async fn create_key_field(
        &self,
        credentials: &Credentials,
        object: &ObjectName,
        name: &str,
    ) -> Result<(), ProviderError>;
}

/// Exchanges refresh tokens.
#[async_trait]
pub trait Refresher: Send + Sync {
    /// New credentials. The caller stores them before it uses them, and allows one refresh at a time per connection.
    async fn refresh(&self, credentials: &Credentials, now: Millis) -> Result<Credentials, ProviderError>;
}

/// Receives a provider's webhooks. Values in them are never used: each event only says "look".
pub trait WebhookReceiver: Send + Sync {
    /// Verifies the raw request in constant time, fails closed, and splits it into hints. While a secret is being replaced,
    /// the provider may sign with the old one or with the new one: a delivery that any of `secrets` verifies is genuine.
    fn receive(&self, delivery: &WebhookDelivery<'_>, secrets: &[&str]) -> Result<VerifiedWebhook, WebhookRefused>;
}

/// A genuine webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedWebhook {
    /// What it says.
    pub hints: Vec<Hint>,
    /// Which of the secrets verified it, by its place, so that one can tell when an old one is used no more.
    pub secret: usize,
}

/// A webhook request as it came in.
#[derive(Clone, Debug)]
pub struct WebhookDelivery<'a> {
    /// The HTTP method.
    pub method: &'a str,
    /// The public URL as the provider called it.
    pub url: &'a str,
    /// The headers, names in lower case.
    pub headers: &'a BTreeMap<String, String>,
    /// The raw body.
    pub body: &'a [u8],
    /// This service's time, for the replay window.
    pub now: Millis,
}

/// "Something happened to this object": the reason for a look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    /// The provider's object name.
    pub object: ObjectName,
    /// The object.
    pub id: ExternalId,
    /// The account that the event speaks of, in the provider's words, where one address receives the events of several
    /// (HubSpot's portal id, which [`Probe::account`] names too).
    pub account: Option<String>,
    /// What makes two deliveries of one event the same.
    pub dedupe: String,
}

/// Why a webhook was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookRefused {
    /// Nothing is known that a signature could be verified with.
    #[error(
        "there is no secret to verify webhooks with: give the connection `webhook_secrets`, or its integration a `client_secret`"
    )]
    NoSecret,
    /// The signature is missing or wrong.
    #[error(
        "the webhook's signature is missing or wrong: check that the secret that it is verified with and the public URL are the provider's"
    )]
    Signature,
    /// The signed time lies outside the replay window.
    #[error("the webhook was signed more than five minutes ago: check this machine's clock; a replay is refused")]
    Stale,
    /// The body is not what the provider sends.
    #[error("the webhook's body is not a list of events")]
    Body,
}
