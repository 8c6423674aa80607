//! The databases that connections lead to: where each is, and a bounded pool of connections to it, which is closed when the
//! credentials change or when nobody has asked for it for long.

use std::{
    collections::HashMap,
    fmt,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use lru::LruCache;
use sha2::{Digest, Sha256};
use sqlx::{
    ConnectOptions as _, Executor as _,
    postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions, PgSslMode},
};
use syncline_core::{
    ids::ObjectName,
    remote::{ProviderError, Remedy},
};
use url::Url;

use super::{
    Postgres, errors,
    table::{Capture, Table},
};
use crate::{connector::Credentials, http::is_loopback};

/// So many databases have a pool at once; beyond it the one that was not used for longest is closed.
const DATABASES_MAX: NonZeroUsize = NonZeroUsize::new(1_000).expect("a thousand is not zero");

/// How long a call waits for a connection, also where a server that starts refuses one.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection rests before it is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// What every connection begins with. The limits keep a row's lock, and a transaction whose client is gone, from staying; the
/// spellings are those in which values are read.
const BEGIN: &str = "SET lock_timeout = '5s'; SET statement_timeout = '60s'; \
                     SET idle_in_transaction_session_timeout = '20s'; SET intervalstyle = 'iso_8601'; \
                     SET bytea_output = 'hex'";

/// Where a database is: `postgres://user@host:port/database?sslmode=…`, without a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    url: Url,
    tls: Tls,
}

/// How much of the server's identity is proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tls {
    Disable,
    Require,
    VerifyCa,
    VerifyFull,
}

/// Why an address of a database is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AddressError {
    /// It is no URL of PostgreSQL with user and database.
    #[error("write it as postgres://user@host:5432/database: {0}")]
    Form(String),
    /// It holds a password.
    #[error("the address holds a password: give it as the connection's `access_token`")]
    Password,
    /// A parameter is unknown.
    #[error("`{0}` is not understood: only `sslmode` and `sslrootcert` may follow the database")]
    Parameter(String),
    /// The kind of TLS is unknown, or none where there must be some.
    #[error("`sslmode` must be verify-full, verify-ca or require; only on this machine itself it may be disable")]
    Tls,
}

impl Address {
    /// Reads an address. Other machines are spoken to over TLS only, and where nothing else is said, only once they have
    /// proved who they are.
    pub(super) fn parse(text: &str) -> Result<Self, AddressError> {
        let url = Url::parse(text).map_err(|error| AddressError::Form(error.to_string()))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(AddressError::Form(format!("its scheme is `{}`", url.scheme())));
        }
        if url.password().is_some() {
            return Err(AddressError::Password);
        }
        if url.host_str().is_none_or(str::is_empty) || url.username().is_empty() || url.path().len() < 2 {
            return Err(AddressError::Form("host, user and database must be named".to_owned()));
        }
        let mut tls = if is_near(&url) { Tls::Disable } else { Tls::VerifyFull };
        for (key, value) in url.query_pairs() {
            match (&*key, &*value) {
                ("sslmode", "verify-full") => tls = Tls::VerifyFull,
                ("sslmode", "verify-ca") => tls = Tls::VerifyCa,
                ("sslmode", "require") => tls = Tls::Require,
                ("sslmode", "disable") if is_near(&url) => tls = Tls::Disable,
                ("sslmode", _) => return Err(AddressError::Tls),
                ("sslrootcert", _) => {}
                (other, _) => return Err(AddressError::Parameter(other.to_owned())),
            }
        }
        Ok(Self { url, tls })
    }

    fn options(&self, password: &str) -> Result<PgConnectOptions, sqlx::Error> {
        let mut url = self.url.clone();
        if url.port().is_none() {
            // A scheme of no standard port takes any.
            let _ = url.set_port(Some(5432));
        }
        let _ = url.set_password(Some(password));
        let options: PgConnectOptions = url.as_str().parse()?;
        let mode = match self.tls {
            Tls::Disable => PgSslMode::Disable,
            Tls::Require => PgSslMode::Require,
            Tls::VerifyCa => PgSslMode::VerifyCa,
            Tls::VerifyFull => PgSslMode::VerifyFull,
        };
        Ok(options.ssl_mode(mode).application_name("syncline").disable_statement_logging())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str())
    }
}

/// Whether the database is on this machine. URLs of unknown schemes keep hosts as text.
fn is_near(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    Url::parse(&format!("http://{host}/")).is_ok_and(|url| is_loopback(&url))
}

/// One database with the connections to it, and what was learnt of its tables.
pub(super) struct Database {
    pub(super) pool: PgPool,
    options: PgConnectOptions,
    tables: Mutex<HashMap<ObjectName, Arc<Table>>>,
    /// Connections that wait for changes, each to be taken out and put back.
    listeners: Mutex<HashMap<String, PgListener>>,
    /// When the log of each table was last shortened.
    shortened: Mutex<HashMap<i64, Instant>>,
}

/// The databases that were used lately, by their address.
#[derive(Default)]
pub(super) struct Databases(Mutex<Option<LruCache<String, Known>>>);

struct Known {
    /// Of the password that the pool was opened with.
    digest: [u8; 32],
    database: Arc<Database>,
}

impl Postgres {
    /// The database of a connection. Where the password has changed, the connections that were made with the old one are
    /// closed as soon as the calls that use them end.
    pub(super) fn database(&self, credentials: &Credentials) -> Result<Arc<Database>, ProviderError> {
        let configure = |message: String| ProviderError { remedy: Remedy::Configure, message };
        let address = match (&credentials.base_url, &self.base) {
            (Some(text), _) => Address::parse(text).map_err(|error| configure(format!("base_url: {error}")))?,
            (None, Some(base)) => base.clone(),
            (None, None) => {
                let message = "the connection names no database: set `base_url` to postgres://user@host:5432/database";
                return Err(configure(message.to_owned()));
            }
        };
        let digest: [u8; 32] = Sha256::digest(credentials.access_token.as_bytes()).into();
        let mut known = self.databases.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get_or_insert_with(|| LruCache::new(DATABASES_MAX));
        let name = address.to_string();
        if let Some(known) = known.get(&name).filter(|known| known.digest == digest) {
            return Ok(known.database.clone());
        }
        let options = address.options(&credentials.access_token).map_err(|error| errors::classify(&error))?;
        let database = Arc::new(Database::new(options, self.settings.connections_max));
        known.put(name, Known { digest, database: database.clone() });
        Ok(database)
    }
}

impl Database {
    fn new(options: PgConnectOptions, connections_max: u32) -> Self {
        Self {
            pool: pool(&options, connections_max),
            options,
            tables: Mutex::default(),
            listeners: Mutex::default(),
            shortened: Mutex::default(),
        }
    }

    /// What is known of a table, looked up where that is nothing, or where something may have been installed for it since.
    pub(super) async fn table(&self, object: &ObjectName) -> Result<Arc<Table>, ProviderError> {
        let known = self.tables().get(object).cloned();
        match known.filter(|table| table.capture != Capture::None) {
            Some(table) => Ok(table),
            None => self.look_at_table(object).await,
        }
    }

    /// Looks a table up, whatever was known of it.
    pub(super) async fn look_at_table(&self, object: &ObjectName) -> Result<Arc<Table>, ProviderError> {
        self.tables().remove(object);
        let table = Arc::new(Table::read(&self.pool, object).await?);
        self.tables().insert(object.clone(), table.clone());
        Ok(table)
    }

    /// What an error means. One that may come of a table's change makes it be looked up again.
    pub(super) fn failed(&self, object: &ObjectName, error: &sqlx::Error) -> ProviderError {
        if errors::may_tell_of_change(error) {
            self.forget(object);
        }
        errors::classify(error)
    }

    /// The table is not what it was: it is looked up before it is used next.
    pub(super) fn forget(&self, object: &ObjectName) {
        self.tables().remove(object);
    }

    /// A connection that hears of this channel: the one that was put back, or a new one.
    pub(super) async fn listener(&self, channel: &str) -> Result<PgListener, sqlx::Error> {
        let waiting = self.listeners.lock().unwrap_or_else(PoisonError::into_inner).remove(channel);
        if let Some(listener) = waiting {
            return Ok(listener);
        }
        // A pool of its own, so that those who wait take no connection from those who work.
        let mut listener = PgListener::connect_with(&pool(&self.options, 1)).await?;
        listener.listen(channel).await?;
        Ok(listener)
    }

    /// Puts a listener back for the next wait.
    pub(super) fn keep(&self, channel: &str, listener: PgListener) {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).insert(channel.to_owned(), listener);
    }

    /// Whether a table's log is to be shortened now: once in so long.
    pub(super) fn may_shorten(&self, table: i64, every: Duration) -> bool {
        let mut shortened = self.shortened.lock().unwrap_or_else(PoisonError::into_inner);
        let due = shortened.get(&table).is_none_or(|last| last.elapsed() >= every);
        if due {
            shortened.insert(table, Instant::now());
        }
        due
    }

    fn tables(&self) -> MutexGuard<'_, HashMap<ObjectName, Arc<Table>>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pool(options: &PgConnectOptions, connections_max: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections_max)
        .min_connections(0)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(IDLE_TIMEOUT)
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection.execute(BEGIN).await?;
                Ok(())
            })
        })
        .connect_lazy_with(options.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_user_host_and_database_and_no_secret() {
        let form = || Err(AddressError::Form(String::new()));
        let cases = [
            ("postgres://app@127.0.0.1:5432/shop", Ok(Tls::Disable)),
            ("postgresql://app@localhost/shop", Ok(Tls::Disable)),
            ("postgres://app@[::1]/shop?sslmode=require", Ok(Tls::Require)),
            ("postgres://app@db.acme.com/shop", Ok(Tls::VerifyFull)),
            ("postgres://app@db.acme.com/shop?sslmode=verify-ca&sslrootcert=/ca.pem", Ok(Tls::VerifyCa)),
            ("postgres://app@db.acme.com/shop?sslmode=disable", Err(AddressError::Tls)),
            ("postgres://app@db.acme.com/shop?sslmode=prefer", Err(AddressError::Tls)),
            ("postgres://app:hush@db.acme.com/shop", Err(AddressError::Password)),
            ("postgres://app@db.acme.com/shop?host=evil", Err(AddressError::Parameter("host".into()))),
            ("postgres://db.acme.com/shop", form()),
            ("postgres://app@db.acme.com/", form()),
            ("https://app@db.acme.com/shop", form()),
            ("db.acme.com", form()),
        ];
        for (text, expected) in cases {
            let got = Address::parse(text).map(|address| address.tls);
            match (&got, &expected) {
                (Err(AddressError::Form(_)), Err(AddressError::Form(_))) => {}
                _ => assert_eq!(got, expected, "{text}"),
            }
        }
    }
}
