//! Starting and stopping the emulators.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use tokio::net::TcpListener;

use crate::admin::{self, AdminBackend};
use crate::clock::SandboxClock;
use crate::faults::{FaultProfile, FaultSpec, Faults};
use crate::github::{self, GitHubState};
use crate::hubspot::{self, HubSpotState};
use crate::ledger::Ledger;
use crate::people::Population;
use crate::salesforce::{self, SalesforceState};
use crate::serve::Server;
use crate::zendesk::{self, ZendeskState};

/// A free port on loopback.
pub const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// What a sandbox is made of.
#[derive(Debug, Clone)]
pub struct SandboxConfig {
    /// Everything random follows from it: people, ids, tokens, faults.
    pub seed: u64,
    /// The contacts at the start.
    pub contacts: Population,
    /// How difficult the platforms are.
    pub faults: FaultProfile,
    /// Multiplies every lag; 1.0 is real length. Ignored where `clock` is given.
    pub time_scale: f64,
    /// Whether the ledger holds what the integration was shown.
    pub log_reads: bool,
    /// The bound of each ledger.
    pub ledger_entries_max: usize,
    /// Where the Salesforce emulator listens; absent: it is not started.
    pub salesforce: Option<SocketAddr>,
    /// Where the HubSpot emulator listens; absent: it is not started.
    pub hubspot: Option<SocketAddr>,
    /// Where the Zendesk emulator listens; absent, as in the default: it is not started.
    pub zendesk: Option<SocketAddr>,
    /// Where the GitHub emulator listens; absent, as in the default: it is not started.
    pub github: Option<SocketAddr>,
    /// Tickets, or issues, at the start.
    pub tickets: u64,
    /// The clock of all, such as a manual one; the wall if absent.
    pub clock: Option<Arc<SandboxClock>>,
    /// How far HubSpot's clock is ahead of the machine's, in seconds; negative: behind. Ignored where `clock` is given.
    pub hubspot_ahead_s: i64,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            contacts: Population::demo(),
            faults: FaultProfile::Usual,
            time_scale: 1.0,
            log_reads: false,
            ledger_entries_max: 1_000_000,
            salesforce: Some(LOOPBACK),
            hubspot: Some(LOOPBACK),
            zendesk: None,
            github: None,
            tickets: 200,
            clock: None,
            hubspot_ahead_s: 0,
        }
    }
}

/// Why a sandbox could not start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The address is taken or not ours.
    #[error("the {provider} emulator cannot listen on {addr}: {source}; choose another address or port 0")]
    Listen {
        /// Which emulator.
        provider: &'static str,
        /// The address asked for.
        addr: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// The secrets of one platform's connected app and of one of its users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Credentials {
    /// The app's OAuth client id.
    pub client_id: String,
    /// The app's OAuth client secret, which also signs webhooks.
    pub client_secret: String,
    /// The integration's refresh token at the start.
    pub refresh_token: String,
    /// An access token of the integration that is valid at the start and expires like any other.
    pub integration_token: String,
    /// A bearer token of an ordinary user that does not expire: writes through it are a user's edits.
    pub user_token: String,
    /// A secret of the integration that does not expire, where the platform has such: Zendesk's API
    /// token, GitHub's token of a machine's account.
    pub api_token: String,
    /// The private key with which an app signs JWTs, in PEM, where the platform has such: GitHub.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_key: Option<String>,
}

impl Credentials {
    fn generate(provider: &'static str, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut secret = |what: &str| format!("{provider}-{what}-{:032x}", rng.random::<u128>());
        Self {
            client_id: secret("client"),
            client_secret: secret("secret"),
            refresh_token: secret("refresh"),
            integration_token: secret("integration"),
            user_token: secret("user"),
            api_token: secret("api"),
            private_key: None,
        }
    }
}

/// What every emulator is handed at the start.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The clock that the platforms share.
    pub clock: Arc<SandboxClock>,
    /// This platform's switches.
    pub faults: Arc<Faults>,
    /// This platform's ledger.
    pub ledger: Arc<Ledger>,
    /// This platform's secrets at the start.
    pub credentials: Credentials,
    /// This platform's own address, such as `http://127.0.0.1:4000`, without a slash at the end.
    pub base_url: String,
}

/// One emulator that answers.
#[derive(Debug)]
pub struct Running {
    /// Where its public API lives, without a slash at the end.
    pub base_url: String,
    /// Where its side door lives, without a slash at the end.
    pub admin_url: String,
    /// The address it listens on.
    pub addr: SocketAddr,
    /// Its secrets at the start.
    pub credentials: Credentials,
    /// Its clock, switches and ledger, for whoever runs it in the same process.
    pub parts: Parts,
    server: Server,
}

/// The emulators, until they are dropped or shut down.
#[derive(Debug)]
pub struct Sandbox {
    /// The Salesforce emulator, if it was asked for.
    pub salesforce: Option<Running>,
    /// The HubSpot emulator, if it was asked for.
    pub hubspot: Option<Running>,
    /// The Zendesk emulator, if it was asked for.
    pub zendesk: Option<Running>,
    /// The GitHub emulator, if it was asked for.
    pub github: Option<Running>,
}

impl Sandbox {
    /// Starts the emulators that `config` asks for; they answer when this returns.
    ///
    /// # Errors
    /// When an address cannot be listened on.
    pub async fn start(config: SandboxConfig) -> Result<Self, SandboxError> {
        let clock_of = |ahead_s| {
            let wall = || Arc::new(SandboxClock::wall_ahead(config.time_scale, ahead_s));
            config.clock.clone().unwrap_or_else(wall)
        };
        let salesforce = match config.salesforce {
            Some(addr) => Some(start_salesforce(&config, &clock_of(0), addr).await?),
            None => None,
        };
        let hubspot = match config.hubspot {
            Some(addr) => Some(start_hubspot(&config, &clock_of(config.hubspot_ahead_s), addr).await?),
            None => None,
        };
        let zendesk = match config.zendesk {
            Some(addr) => Some(start_zendesk(&config, &clock_of(0), addr).await?),
            None => None,
        };
        let github = match config.github {
            Some(addr) => Some(start_github(&config, &clock_of(0), addr).await?),
            None => None,
        };
        Ok(Self { salesforce, hubspot, zendesk, github })
    }

    /// Every emulator that was asked for, with its name.
    pub fn running(&self) -> impl Iterator<Item = (&'static str, &Running)> {
        let all = [
            ("salesforce", &self.salesforce),
            ("hubspot", &self.hubspot),
            ("zendesk", &self.zendesk),
            ("github", &self.github),
        ];
        all.into_iter().filter_map(|(name, running)| Some((name, running.as_ref()?)))
    }

    /// Stops all, letting open requests finish for a few seconds.
    pub async fn shutdown(self) {
        for running in [self.salesforce, self.hubspot, self.zendesk, self.github].into_iter().flatten() {
            running.server.shutdown().await;
        }
    }
}

async fn start_salesforce(
    config: &SandboxConfig,
    clock: &Arc<SandboxClock>,
    addr: SocketAddr,
) -> Result<Running, SandboxError> {
    let opened = open("salesforce", salesforce::FAULTS, config, clock, addr).await?;
    let state = Arc::new(SalesforceState::new(opened.parts.clone(), &config.contacts, config.seed));
    opened.serve(salesforce::router(state.clone()), state)
}

async fn start_hubspot(
    config: &SandboxConfig,
    clock: &Arc<SandboxClock>,
    addr: SocketAddr,
) -> Result<Running, SandboxError> {
    let opened = open("hubspot", hubspot::FAULTS, config, clock, addr).await?;
    let state = Arc::new(HubSpotState::new(opened.parts.clone(), &config.contacts, config.seed));
    opened.serve(hubspot::router(state.clone()), state)
}

async fn start_zendesk(
    config: &SandboxConfig,
    clock: &Arc<SandboxClock>,
    addr: SocketAddr,
) -> Result<Running, SandboxError> {
    let opened = open("zendesk", zendesk::FAULTS, config, clock, addr).await?;
    let state = Arc::new(ZendeskState::new(opened.parts.clone(), &config.contacts, config.tickets, config.seed));
    opened.serve(zendesk::router(state.clone()), state)
}

async fn start_github(
    config: &SandboxConfig,
    clock: &Arc<SandboxClock>,
    addr: SocketAddr,
) -> Result<Running, SandboxError> {
    let mut opened = open("github", github::FAULTS, config, clock, addr).await?;
    let state = Arc::new(GitHubState::new(opened.parts.clone(), config.tickets, config.seed));
    opened.parts.credentials.private_key = Some(state.private_key().to_owned());
    opened.serve(github::router(state.clone()), state)
}

/// Every answer names the platform's time.
async fn date(State(clock): State<Arc<SandboxClock>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let since = Duration::from_micros(u64::try_from(clock.peek().0).unwrap_or(0));
    if let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(UNIX_EPOCH + since)) {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

/// A platform that has its address, which its own answers must name, but does not answer yet.
struct Opened {
    provider: &'static str,
    listener: TcpListener,
    addr: SocketAddr,
    parts: Parts,
}

async fn open(
    provider: &'static str,
    faults: &[FaultSpec],
    config: &SandboxConfig,
    clock: &Arc<SandboxClock>,
    addr: SocketAddr,
) -> Result<Opened, SandboxError> {
    let failed = |source| SandboxError::Listen { provider, addr, source };
    let listener = TcpListener::bind(addr).await.map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    let seed = provider.bytes().fold(config.seed, |seed, byte| seed.rotate_left(8) ^ u64::from(byte));
    let parts = Parts {
        clock: clock.clone(),
        faults: Arc::new(Faults::new(provider, seed, faults, config.faults)),
        ledger: Arc::new(Ledger::new(config.ledger_entries_max, config.log_reads)),
        credentials: Credentials::generate(provider, seed),
        base_url: format!("http://{addr}"),
    };
    Ok(Opened { provider, listener, addr, parts })
}

impl Opened {
    fn serve<B: AdminBackend>(self, public: Router, backend: Arc<B>) -> Result<Running, SandboxError> {
        let Self { provider, listener, addr, parts } = self;
        let router = public.nest("/admin", admin::router(backend)).layer(from_fn_with_state(parts.clock.clone(), date));
        let server = Server::start(listener, router, parts.ledger.clone()).map_err(|source| SandboxError::Listen {
            provider,
            addr,
            source,
        })?;
        Ok(Running {
            base_url: parts.base_url.clone(),
            admin_url: format!("{}/admin", parts.base_url),
            addr,
            credentials: parts.credentials.clone(),
            parts,
            server,
        })
    }
}
