//! Webhooks at the door: verified, counted, stored and answered. What they ask for comes later.
//!
//! A connection's secrets can be exchanged while the service runs ([`Engine::renew_webhook_secrets`]), so that the door is never closed
//! while one is replaced.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures_util::future::try_join_all;
use syncline_connectors::connector::{Hint, VerifiedWebhook, WebhookDelivery, WebhookRefused};
use syncline_core::{ids::ConnectionId, time::Millis};

use super::{
    Engine,
    clock::Clock,
    commands::{CommandError, IncomingWebhook, WebhookCounts},
    side::RunningSide,
};
use crate::{
    config::{Config, Secret},
    failpoint::{Point, reach},
    store::StoreError,
};

/// How often a connection's webhooks are told of in the log at most, for each kind of tidings: anybody can send some.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// The doors of all connections.
#[derive(Debug)]
pub(super) struct Doors {
    doors: BTreeMap<ConnectionId, Door>,
    strangers: Mutex<Muffled>,
}

/// Where one connection's webhooks come in.
#[derive(Debug)]
struct Door {
    book: Mutex<Book>,
}

/// What may come in, and what came.
#[derive(Debug)]
struct Book {
    /// What deliveries are verified with, the newest first; shared, since a delivery is verified without the lock.
    secrets: Arc<[Secret]>,
    counts: WebhookCounts,
    refused: Muffled,
    outdated: Muffled,
}

/// Tidings that may be told only now and then.
#[derive(Debug, Default)]
struct Muffled {
    told: Option<Instant>,
    untold: u64,
}

impl Muffled {
    /// Notes that it happened once more; how often it has since it was last told, if it may be told now.
    fn note(&mut self, now: Instant) -> Option<u64> {
        self.untold += 1;
        if self.told.is_some_and(|told| now.saturating_duration_since(told) < TOLD_EVERY) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

impl Doors {
    pub(super) fn of(config: &Config) -> Self {
        let door = |id: &ConnectionId| (id.clone(), Door::of(config.webhook_secrets_of(id)));
        Self { doors: config.connections.keys().map(door).collect(), strangers: Mutex::default() }
    }

    /// Takes the secrets from a configuration that was read again; returns how many each connection has whose secrets are others
    /// now. A connection that the configuration names no more keeps its own, as it keeps all else until the next start.
    fn renew(&self, config: &Config) -> Vec<(&ConnectionId, usize)> {
        let mut renewed = Vec::new();
        for (id, door) in self.doors.iter().filter(|(id, _)| config.connections.contains_key(*id)) {
            let secrets = config.webhook_secrets_of(id);
            let number = secrets.len();
            if door.renew(secrets) {
                renewed.push((id, number));
            }
        }
        renewed
    }
}

impl Door {
    fn of(secrets: Vec<Secret>) -> Self {
        let counts = WebhookCounts::of_secrets(secrets.len());
        let book = Book { secrets: secrets.into(), counts, refused: Muffled::default(), outdated: Muffled::default() };
        Self { book: Mutex::new(book) }
    }

    fn secrets(&self) -> Arc<[Secret]> {
        self.book().secrets.clone()
    }

    /// Whether the secrets are others now. One that stays keeps what it has verified.
    fn renew(&self, secrets: Vec<Secret>) -> bool {
        let mut book = self.book();
        if *book.secrets == *secrets {
            return false;
        }
        let verified = |secret: &Secret| book.place(secret).and_then(|place| book.counts.verified.get(place).copied());
        book.counts.verified = secrets.iter().map(|secret| verified(secret).unwrap_or_default()).collect();
        book.secrets = secrets.into();
        true
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a delivery that this secret has verified. One that was ended meanwhile has no count any more.
    fn verified(&self, connection: &ConnectionId, secret: &Secret, now: Millis) {
        let mut book = self.book();
        let Some(secret) = book.place(secret) else { return };
        book.counts.verified_by(secret, now);
        if secret > 0
            && let Some(times) = book.outdated.note(Instant::now())
        {
            tracing::info!(
                %connection, secret = secret + 1, times,
                "a webhook was verified by an older secret: keep it in `webhook_secrets` until this is said no more"
            );
        }
    }

    fn refused(&self, connection: &ConnectionId, reason: WebhookRefused, now: Millis) {
        let mut book = self.book();
        book.counts.refuse(reason, now);
        if let Some(times) = book.refused.note(Instant::now()) {
            tracing::warn!(%connection, times, %reason, "webhooks were refused");
        }
    }
}

impl Book {
    fn place(&self, secret: &Secret) -> Option<usize> {
        self.secrets.iter().position(|known| known == secret)
    }
}

impl Engine {
    /// Verifies webhooks with the secrets of this configuration from now on: without a gap, since what comes in meanwhile is verified
    /// with the former ones or with these. Nothing else of the configuration is taken over.
    pub fn renew_webhook_secrets(&self, config: &Config) {
        let renewed = self.doors.renew(config);
        for (connection, secrets) in &renewed {
            tracing::info!(%connection, secrets, "webhooks are verified with other secrets from now on");
        }
        if renewed.is_empty() {
            tracing::info!("the configuration was read again: the webhook secrets are what they were");
        }
    }

    /// Says of connections that could be pushed to that nothing is known to verify their webhooks with.
    pub(super) fn warn_of_missing_secrets(&self) {
        let mut told = BTreeSet::new();
        for side in &self.sides {
            let door = self.doors.doors.get(&side.connection);
            let bare = side.session.connector.webhooks().is_some() && door.is_none_or(|door| door.secrets().is_empty());
            if bare && told.insert(&side.connection) {
                tracing::info!(
                    connection = %side.connection,
                    "webhooks are refused, and changes found by polling alone: {}", WebhookRefused::NoSecret
                );
            }
        }
    }

    pub(super) fn webhook_counts(&self, connection: &ConnectionId) -> Option<WebhookCounts> {
        let receives = self.receiver_of(connection).is_some();
        receives.then(|| self.doors.doors.get(connection).map(|door| door.book().counts.clone())).flatten()
    }

    fn receiver_of(&self, connection: &ConnectionId) -> Option<&Arc<RunningSide>> {
        let side = self.sides.iter().find(|side| side.connection == *connection)?;
        side.session.connector.webhooks().is_some().then_some(side)
    }

    /// Verifies a webhook and stores its hints durably; returns how many are new. Nothing of a refused one is kept but a count.
    pub(super) async fn take_webhook(
        &self,
        connection: &ConnectionId,
        request: IncomingWebhook,
    ) -> Result<usize, CommandError> {
        let (side, verified) = self.verify(connection, &request)?;
        let now = Clock::wall();
        let accounts = self.by_account(side, verified.hints);
        // Together, so that they share a commit.
        let stored = try_join_all(accounts.iter().map(|(receiver, hints)| async move {
            let hints = self.unbarred(receiver, hints).await?;
            reach(Point::HintsBefore);
            let stored = receiver.tenant().put_hints(&receiver.connection, &hints, now).await?;
            reach(Point::HintsAfter);
            Ok::<usize, StoreError>(stored)
        }))
        .await
        .map_err(|error| CommandError::Unavailable(error.to_string()))?;
        for (receiver, _) in &accounts {
            self.sides.iter().filter(|side| side.connection == receiver.connection).for_each(|side| side.hinted());
        }
        Ok(stored.iter().sum())
    }

    /// Hints about what was erased are not even stored.
    async fn unbarred(&self, receiver: &RunningSide, hints: &[Hint]) -> Result<Vec<Hint>, StoreError> {
        let objects: Vec<_> = hints.iter().map(|hint| (&hint.object, &hint.id)).collect();
        let barred = self.intake.barred().objects(receiver.tenant().as_ref(), &receiver.connection, &objects).await?;
        let left = hints.iter().enumerate().filter(|(place, _)| !barred.contains(place));
        Ok(left.map(|(_, hint)| hint.clone()).collect())
    }

    fn verify(
        &self,
        connection: &ConnectionId,
        request: &IncomingWebhook,
    ) -> Result<(&Arc<RunningSide>, VerifiedWebhook), CommandError> {
        let receiving = self
            .receiver_of(connection)
            .and_then(|side| Some((side, side.session.connector.webhooks()?, self.doors.doors.get(&side.connection)?)));
        // Whoever cannot sign is not told which connections there are.
        let Some((side, receiver, door)) = receiving else {
            let mut strangers = self.doors.strangers.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(times) = strangers.note(Instant::now()) {
                // The name is the sender's: anything may stand in it.
                tracing::warn!(times, "webhooks came for connections that do not exist, or receive none");
            }
            return Err(WebhookRefused::Signature.into());
        };
        let url = format!("{}{}", self.public_url, request.path_and_query);
        let now = Clock::wall();
        let delivery = WebhookDelivery {
            method: &request.method,
            url: &url,
            headers: &request.headers,
            body: &request.body,
            // Its signature names a time of the provider's clock.
            now: side.session.provider_now(),
        };
        let secrets = door.secrets();
        let exposed: Vec<&str> = secrets.iter().map(Secret::expose).collect();
        match receiver.receive(&delivery, &exposed) {
            Ok(verified) => {
                if let Some(secret) = secrets.get(verified.secret) {
                    door.verified(connection, secret, now);
                }
                Ok((side, verified))
            }
            Err(reason) => {
                door.refused(connection, reason, now);
                Err(reason.into())
            }
        }
    }

    /// Hints by the connection that they are about: a provider may push for all accounts of an app to one address. A hint
    /// about an account that no connection is known to belong to stays with the connection that was called.
    fn by_account(&self, called: &Arc<RunningSide>, hints: Vec<Hint>) -> Vec<(Arc<RunningSide>, Vec<Hint>)> {
        let mut sorted: Vec<(Arc<RunningSide>, Vec<Hint>)> = Vec::new();
        for hint in hints {
            let provider = called.session.connector.provider();
            let meant = |side: &&Arc<RunningSide>| {
                side.session.connector.provider() == provider
                    && hint.account.as_deref().is_some_and(|account| side.session.is_account(account))
            };
            let mut told = BTreeSet::new();
            let mut receivers: Vec<Arc<RunningSide>> =
                self.sides.iter().filter(meant).filter(|side| told.insert(&side.connection)).cloned().collect();
            if receivers.is_empty() {
                receivers.push(called.clone());
            }
            for receiver in receivers {
                match sorted.iter_mut().find(|(side, _)| side.connection == receiver.connection) {
                    Some((_, hints)) => hints.push(hint.clone()),
                    None => sorted.push((receiver, vec![hint.clone()])),
                }
            }
        }
        sorted
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::FixedEnvironment;

    /// A secret that stays keeps its count whatever its place; a delivery that an ended one has verified meanwhile is counted nowhere.
    #[test]
    fn exchanged_secrets_keep_their_counts() {
        let [old, new, next] = ["old", "new", "next"].map(Secret::new);
        let connection = ConnectionId::from("desk");
        let door = Door::of(vec![old.clone()]);
        let verified = || door.book().counts.verified.iter().map(|(times, _)| *times).collect::<Vec<_>>();
        door.verified(&connection, &old, Millis(1));
        assert!(door.renew(vec![new.clone(), old.clone()]), "there is another secret");
        assert!(!door.renew(vec![new.clone(), old.clone()]), "nothing is new");
        assert_eq!(verified(), [0, 1]);
        door.verified(&connection, &new, Millis(2));
        door.verified(&connection, &old, Millis(2));
        assert_eq!(verified(), [1, 2]);
        assert!(door.renew(vec![next, new]), "the old one has ended");
        door.verified(&connection, &old, Millis(3));
        assert_eq!(verified(), [0, 1]);
    }

    fn config(connection: &str) -> Config {
        let text = format!(
            "version: 1\n\
             server: {{secrets_key: {{env: KEY}}}}\n\
             integrations:\n  hubspot: {{provider: hubspot, client_secret: {{env: OLD}}}}\n\
             connections:\n  \
               one: {{tenant: acme, integration: hubspot, credentials: {{access_token: {{env: TOKEN}}}}{connection}}}\n  \
               other: {{tenant: acme, integration: hubspot, credentials: {{access_token: {{env: TOKEN}}}}}}\n"
        );
        let key = "0123456789abcdef".repeat(4);
        let environment =
            FixedEnvironment::new([("KEY", key.as_str()), ("OLD", "old"), ("NEW", "new"), ("TOKEN", "token")]);
        Config::parse(&text, Path::new("."), &environment).unwrap_or_else(|problems| panic!("{problems}"))
    }

    #[test]
    fn each_connections_secrets_are_exchanged_by_themselves() {
        let doors = Doors::of(&config(""));
        let [one, other] = ["one", "other"].map(ConnectionId::from);
        let secrets =
            |id| doors.doors[id].secrets().iter().map(|secret| secret.expose().to_owned()).collect::<Vec<_>>();
        assert_eq!(doors.renew(&config("")), []);
        assert_eq!(doors.renew(&config(", webhook_secrets: [{env: NEW}, {env: OLD}]")), [(&one, 2)]);
        assert_eq!(
            (secrets(&one), secrets(&other)),
            (vec!["new".to_owned(), "old".to_owned()], vec!["old".to_owned()])
        );
        assert_eq!(doors.renew(&config(", webhook_secrets: [{env: NEW}]")), [(&one, 1)]);
        assert_eq!((secrets(&one), secrets(&other)), (vec!["new".to_owned()], vec!["old".to_owned()]));
    }

    #[test]
    fn what_anybody_can_cause_is_told_now_and_then_and_counted_always() {
        let begun = Instant::now();
        let mut muffled = Muffled::default();
        let told: Vec<Option<u64>> =
            [0, 1, 59, 60, 61, 200].map(|seconds| muffled.note(begun + Duration::from_secs(seconds))).into();
        assert_eq!(told, [Some(1), None, None, Some(3), None, Some(2)]);
    }
}
