//! A session: one connection's connector, credentials, budgets and clock. Connectors neither sleep nor retry; every call
//! to a provider goes through here, where remedies are applied.

use std::{
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use syncline_connectors::connector::{Connector, Credentials};
use syncline_core::{
    budget::{Budgets, Call},
    ids::{ConnectionId, TenantId},
    remote::{ProviderError, Remedy},
    replica::Observation,
    time::{Clock, ClockKind, Millis},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{clock::Clock as EngineClock, tally::Tally};
use crate::{
    failpoint::{Point, reach},
    secrets::{Place, SecretsKey},
    store::{Store, StoreError, connections::Revocation},
};

/// How often a call is tried before its failure is the caller's affair.
const ATTEMPTS_MAX: u32 = 6;
/// How often a provider's clock is looked at, where it answers slowly.
const PROBES_MAX: u32 = 3;
/// By so much a measurement of a provider's clock may be wrong: whole-second `Date` headers, and the way there and back.
pub(super) const CLOCK_BLUR_MS: u64 = 2_000;
/// The wait after the first passing fault; it doubles.
const BACKOFF_MIN: Duration = Duration::from_millis(200);
/// The longest wait between two tries of a call.
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// How long before its expiry an access token is replaced.
const REFRESH_EARLY_MS: i64 = 60_000;
/// What the stored secret of a connection is for.
const PURPOSE: &str = "credentials";

/// One connection as the engine uses it.
pub struct Session {
    /// The connection.
    pub connection: ConnectionId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its provider's connector.
    pub connector: Arc<dyn Connector>,
    store: Arc<dyn Store>,
    key: Arc<SecretsKey>,
    tally: Arc<Tally>,
    /// Names the configured credentials that the present ones come from.
    configured: String,
    credentials: tokio::sync::RwLock<Credentials>,
    refreshing: tokio::sync::Mutex<()>,
    budgets: Mutex<Budgets>,
    offset_ms: AtomicI64,
    /// The provider refuses the credentials until a person authorises the connection again; only probes are made meanwhile.
    revoked: watch::Sender<bool>,
    /// Which account of the provider this is, once a probe has told.
    account: std::sync::OnceLock<String>,
    stop: CancellationToken,
}

/// Why a session could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stored credentials cannot be opened.
    #[error("{0}")]
    Secret(#[from] crate::secrets::SecretError),
    /// The stored credentials are not what this version writes.
    #[error("the stored credentials of connection `{0}` cannot be read: authorise the connection again")]
    Format(ConnectionId),
}

/// Credentials as they are kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    configured: String,
    credentials: Credentials,
}

/// One look at a provider's clock.
struct Measured {
    /// How far it is ahead of ours, in milliseconds.
    offset_ms: i64,
    /// How long the call took: somewhere in it the provider looked.
    took_ms: u64,
}

impl Session {
    /// Opens a session with the credentials in the store or, where there are none yet, with `initial`. Kept credentials
    /// that come from others than `initial` give way to it: somebody has authorised the connection again.
    ///
    /// # Errors
    /// The stored credentials cannot be read.
    pub async fn open(
        tenant: TenantId,
        connection: ConnectionId,
        connector: Arc<dyn Connector>,
        initial: Credentials,
        store: Arc<dyn Store>,
        key: Arc<SecretsKey>,
        stop: CancellationToken,
    ) -> Result<Self, SessionError> {
        let handle = store.tenant(&tenant);
        let configured = name_of(&initial);
        let credentials = match handle.credentials(&connection).await? {
            None => initial,
            Some(sealed) => {
                let place = Place { tenant: &tenant, connection: &connection, purpose: PURPOSE };
                let bytes = key.open(&place, &sealed)?;
                let kept: Kept =
                    serde_json::from_slice(&bytes).map_err(|_| SessionError::Format(connection.clone()))?;
                if kept.configured == configured { kept.credentials } else { initial }
            }
        };
        let revocation = handle.revocation(&connection).await?;
        let revoked = revocation.as_ref().is_some_and(|revocation| revocation.configured == configured);
        if revocation.is_some() && !revoked {
            // A person has put others in their place.
            handle.put_revocation(&connection, None).await?;
        }
        let offset_ms = handle.clock_offset_ms(&connection).await?.unwrap_or(0);
        let budgets = Mutex::new(Budgets::new(connector.budgets()));
        Ok(Self {
            connection,
            tenant,
            connector,
            store,
            key,
            tally: Arc::default(),
            configured,
            credentials: tokio::sync::RwLock::new(credentials),
            refreshing: tokio::sync::Mutex::new(()),
            budgets,
            offset_ms: AtomicI64::new(offset_ms),
            revoked: watch::Sender::new(revoked),
            account: std::sync::OnceLock::new(),
            stop,
        })
    }

    /// The same, counted by this tally.
    #[must_use]
    pub fn counted(self, tally: Arc<Tally>) -> Self {
        Self { tally, ..self }
    }

    /// The provider's present time: ours, corrected by the measured offset.
    pub fn provider_now(&self) -> Millis {
        EngineClock::wall().plus(self.offset_ms.load(Ordering::Relaxed))
    }

    /// Moves the clocks of a reading from the provider's time to ours. The version keeps the provider's own stamp: it is
    /// what the provider compares.
    pub fn correct(&self, observation: &mut Observation) {
        let offset_ms = self.offset_ms.load(Ordering::Relaxed);
        if offset_ms == 0 {
            return;
        }
        let ours = |at: Millis| at.plus(-offset_ms);
        observation.clocks.values_mut().for_each(|clock| clock.at = ours(clock.at));
        observation.past.values_mut().flatten().for_each(|past| past.at = ours(past.at));
        let Some(version) = observation.version else { return };
        let clock = Clock { at: ours(version.stamp), precision_ms: version.precision_ms, kind: ClockKind::Record };
        for name in observation.fields.keys() {
            observation.clocks.entry(name.clone()).or_insert(clock);
        }
    }

    /// Measures the provider's clock and proves that the credentials work.
    ///
    /// # Errors
    /// The provider's.
    pub async fn probe(&self) -> Result<(), ProviderError> {
        let mut measured = self.measure().await?;
        for _ in 1..PROBES_MAX {
            // Somewhere in the time of the call the provider looked at its clock: of a slow one that says too little.
            if measured.took_ms <= CLOCK_BLUR_MS {
                break;
            }
            let again = self.measure().await?;
            measured = if again.took_ms < measured.took_ms { again } else { measured };
        }
        let offset_ms = measured.offset_ms;
        let offset_ms = if offset_ms.unsigned_abs() <= CLOCK_BLUR_MS { 0 } else { offset_ms };
        self.offset_ms.store(offset_ms, Ordering::Relaxed);
        reach(Point::OffsetBefore);
        if let Err(error) = self.store.tenant(&self.tenant).put_clock_offset_ms(&self.connection, offset_ms).await {
            tracing::warn!(connection = %self.connection, %error, "the provider's clock offset was not stored");
        }
        reach(Point::OffsetAfter);
        Ok(())
    }

    async fn measure(&self) -> Result<Measured, ProviderError> {
        let call = Call::live(syncline_core::budget::CallKind::Other);
        let before = EngineClock::wall();
        let probe = self
            .call_anyway(call, |credentials| async move { self.connector.reader().probe(&credentials).await })
            .await?;
        let after = EngineClock::wall();
        self.reinstate().await;
        // The account of a connection does not change; a later probe tells the same.
        let _ = self.account.set(probe.account);
        let offset_ms = probe.now.0.saturating_sub(before.0.midpoint(after.0));
        Ok(Measured { offset_ms, took_ms: before.0.abs_diff(after.0) })
    }

    /// Calls the provider: waits for its budgets, refreshes expired tokens, tries passing faults again.
    ///
    /// # Errors
    /// What is left after that: a person's affair, the reader's position, or a fault that did not pass. While the connection
    /// waits to be authorised again, no call is made.
    pub async fn call<T, F, R>(&self, call: Call, request: F) -> Result<T, ProviderError>
    where
        F: Fn(Credentials) -> R,
        R: Future<Output = Result<T, ProviderError>>,
    {
        self.require_grant()?;
        self.call_anyway(call, request).await
    }

    async fn call_anyway<T, F, R>(&self, call: Call, request: F) -> Result<T, ProviderError>
    where
        F: Fn(Credentials) -> R,
        R: Future<Output = Result<T, ProviderError>>,
    {
        let result = self.call_on(call, request).await;
        if let Err(error) = &result {
            self.heed(error).await;
        }
        result
    }

    async fn call_on<T, F, R>(&self, call: Call, request: F) -> Result<T, ProviderError>
    where
        F: Fn(Credentials) -> R,
        R: Future<Output = Result<T, ProviderError>>,
    {
        let mut attempt = 0;
        loop {
            self.admitted(call).await?;
            let credentials = self.fresh_credentials().await?;
            let token = credentials.access_token.clone();
            let begun = EngineClock::wall();
            let answer = self.heard(request(credentials)).await;
            self.count(answer.as_ref().err());
            let error = match answer {
                Ok(value) => {
                    self.passed(call, begun);
                    return Ok(value);
                }
                Err(error) => error,
            };
            attempt += 1;
            if attempt >= ATTEMPTS_MAX {
                return Err(error);
            }
            match &error.remedy {
                Remedy::Refresh => self.renew(&token).await?,
                Remedy::Wait { after_ms, budget } => self.blocked(call, budget, *after_ms),
                Remedy::Retry => self.pause(backoff(attempt)).await?,
                Remedy::Busy { after_ms } => self.pause(backoff(attempt).max(Duration::from_millis(*after_ms))).await?,
                _ => return Err(error),
            }
        }
    }

    /// Waits until the provider's budgets admit the call.
    ///
    /// # Errors
    /// The service is shutting down.
    pub async fn admitted(&self, call: Call) -> Result<(), ProviderError> {
        self.admitted_within(call, Duration::MAX).await
    }

    /// Waits until the provider's budgets admit the call, unless that is further off than `patience`.
    ///
    /// # Errors
    /// How long to wait for the budgets, or that the service is shutting down.
    pub async fn admitted_within(&self, call: Call, patience: Duration) -> Result<(), ProviderError> {
        let begun = Instant::now();
        loop {
            let now = EngineClock::wall();
            let wait = match self.budgets.lock().unwrap_or_else(PoisonError::into_inner).take(now, call) {
                Ok(()) => return Ok(()),
                Err(wait) => wait,
            };
            let after_ms = wait.until.0.saturating_sub(now.0).max(1).unsigned_abs();
            let after = Duration::from_millis(after_ms);
            if begun.elapsed().saturating_add(after) > patience {
                let message = wait.to_string();
                return Err(ProviderError {
                    remedy: Remedy::Wait { after_ms: Some(after_ms), budget: wait.budget },
                    message,
                });
            }
            self.tally.instruments.waited(&self.connection, after);
            self.pause(after).await?;
        }
    }

    /// Counts a call by what became of it.
    pub fn count(&self, failure: Option<&ProviderError>) {
        self.tally.instruments.called(&self.connection, failure);
    }

    /// Makes calls and learns what their answers tell of the provider's budgets.
    pub async fn heard<T>(&self, calls: impl Future<Output = T>) -> T {
        let (result, told) = syncline_connectors::usage::overhear(calls).await;
        if !told.is_empty() {
            let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
            told.iter().for_each(|told| budgets.learn(EngineClock::wall(), &told.budget, told.usage));
        }
        result
    }

    /// Whether a webhook that names this account is about this connection.
    pub fn is_account(&self, account: &str) -> bool {
        self.account.get().is_some_and(|known| known == account)
    }

    /// The provider said that a budget is used up.
    pub fn blocked(&self, call: Call, budget: &str, after_ms: Option<u64>) {
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        budgets.blocked(EngineClock::wall(), call.kind, budget, after_ms);
    }

    /// A call that was begun at `begun` met no limit.
    pub fn passed(&self, call: Call, begun: Millis) {
        self.budgets.lock().unwrap_or_else(PoisonError::into_inner).passed(begun, call.kind);
    }

    /// The present credentials, replaced first where they are about to expire.
    ///
    /// # Errors
    /// The refresh's.
    pub async fn fresh_credentials(&self) -> Result<Credentials, ProviderError> {
        let credentials = self.credentials.read().await.clone();
        let soon = EngineClock::wall().plus(REFRESH_EARLY_MS);
        let expires = credentials.access_token.is_empty() || credentials.expires_at.is_some_and(|at| at <= soon);
        if !expires || self.connector.refresher().is_none() || credentials.refresh_token.is_none() {
            return Ok(credentials);
        }
        self.renew(&credentials.access_token).await?;
        Ok(self.credentials.read().await.clone())
    }

    /// Whether the provider refuses the credentials until a person authorises the connection again, and each change of that.
    pub fn revoked(&self) -> watch::Receiver<bool> {
        self.revoked.subscribe()
    }

    /// Fails while the provider refuses the credentials: a revoked token does not come back by being used.
    ///
    /// # Errors
    /// That a person must authorise the connection again.
    pub fn require_grant(&self) -> Result<(), ProviderError> {
        if *self.revoked.borrow() {
            return Err(ProviderError {
                remedy: Remedy::Reauthorise,
                message: "the connection waits to be authorised again: see `syncline issues list`".into(),
            });
        }
        Ok(())
    }

    /// Takes note of a failure that only a person can mend: from then on nothing but probes is sent. Told once, however many
    /// calls were under way, and once only across restarts.
    pub async fn heed(&self, error: &ProviderError) {
        if error.remedy != Remedy::Reauthorise || self.revoked.send_replace(true) {
            return;
        }
        let (why, configured) = (error.message.clone(), self.configured.clone());
        let revocation = Revocation { at: EngineClock::wall(), why, configured };
        match self.store.tenant(&self.tenant).put_revocation(&self.connection, Some(&revocation)).await {
            Ok(true) => tracing::error!(
                event = "authorization_revoked", tenant = %self.tenant, connection = %self.connection,
                "the provider no longer takes the connection's credentials: authorise it again; what it is owed is kept"
            ),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(connection = %self.connection, %error, "the lost authorisation was not stored");
            }
        }
    }

    /// The provider takes the credentials, perhaps again.
    async fn reinstate(&self) {
        if !*self.revoked.borrow() {
            return;
        }
        match self.store.tenant(&self.tenant).put_revocation(&self.connection, None).await {
            Ok(_) => tracing::info!(
                event = "authorization_restored", tenant = %self.tenant, connection = %self.connection,
                "the provider takes the connection's credentials again"
            ),
            Err(error) => {
                tracing::warn!(connection = %self.connection, %error, "the restored authorisation was not stored");
            }
        }
        self.revoked.send_replace(false);
    }

    /// Replaces the access token `used`, unless somebody has done so already. New credentials are stored before they are used.
    ///
    /// # Errors
    /// The provider's, or that the new credentials could not be stored.
    pub async fn refresh(&self, used: &str) -> Result<(), ProviderError> {
        let result = self.renew(used).await;
        if let Err(error) = &result {
            self.heed(error).await;
        }
        result
    }

    async fn renew(&self, used: &str) -> Result<(), ProviderError> {
        let was_revoked = *self.revoked.borrow();
        let _one_at_a_time = self.refreshing.lock().await;
        let current = self.credentials.read().await.clone();
        if current.access_token != used {
            return Ok(());
        }
        if !was_revoked {
            // Somebody may have learnt meanwhile that the grant is gone; only a probe, which knew before, asks once more.
            self.require_grant()?;
        }
        let Some(refresher) = self.connector.refresher().filter(|_| current.refresh_token.is_some()) else {
            return Err(ProviderError {
                remedy: Remedy::Reauthorise,
                message: "the access token was refused and there is no refresh token: authorise the connection again"
                    .into(),
            });
        };
        let mut attempt = 0;
        reach(Point::RefreshBefore);
        let renewed = loop {
            let answer = refresher.refresh(&current, EngineClock::wall()).await;
            self.count(answer.as_ref().err());
            match answer {
                Ok(renewed) => break renewed,
                Err(error) if error.remedy == Remedy::Retry && attempt + 1 < ATTEMPTS_MAX => {
                    attempt += 1;
                    self.pause(backoff(attempt)).await?;
                }
                Err(error) => return Err(error),
            }
        };
        reach(Point::RefreshAnswered);
        self.keep(&renewed).await?;
        reach(Point::RefreshSaved);
        *self.credentials.write().await = renewed;
        Ok(())
    }

    async fn keep(&self, credentials: &Credentials) -> Result<(), ProviderError> {
        let failed = |error: String| ProviderError {
            remedy: Remedy::Retry,
            message: format!("the refreshed credentials could not be stored: {error}"),
        };
        let kept = Kept { configured: self.configured.clone(), credentials: credentials.clone() };
        let bytes = serde_json::to_vec(&kept).map_err(|error| failed(error.to_string()))?;
        let place = Place { tenant: &self.tenant, connection: &self.connection, purpose: PURPOSE };
        let sealed = self.key.seal(&place, &bytes).map_err(|error| failed(error.to_string()))?;
        let store = self.store.tenant(&self.tenant);
        store
            .put_credentials(&self.connection, &sealed, EngineClock::wall())
            .await
            .map_err(|error| failed(error.to_string()))
    }

    /// Sleeps, unless the service is shutting down.
    async fn pause(&self, time: Duration) -> Result<(), ProviderError> {
        tokio::select! {
            () = tokio::time::sleep(time) => Ok(()),
            () = self.stop.cancelled() => Err(ProviderError { remedy: Remedy::Retry, message: "the service is shutting down".into() }),
        }
    }
}

/// A name for configured credentials that tells nothing of them: a hash of their parts.
fn name_of(initial: &Credentials) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("syncline 2026 configured credentials");
    for part in [Some(&initial.access_token), initial.refresh_token.as_ref(), initial.base_url.as_ref()] {
        hasher.update(&part.map_or(u64::MAX, |part| part.len() as u64).to_le_bytes());
        hasher.update(part.map_or(&[], |part| part.as_bytes()));
    }
    hasher.finalize().to_hex().to_string()
}

fn backoff(attempt: u32) -> Duration {
    let doubled = BACKOFF_MIN.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1))).min(BACKOFF_MAX);
    doubled.mul_f64(rand::random_range(0.5..=1.0))
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("connection", &self.connection).finish_non_exhaustive()
    }
}
