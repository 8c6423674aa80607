//! `syncline demo`: two emulated accounts and a product, kept the same while all three are edited at once; then judged.
//!
//! # Layout
//!
//! * [`stage`]: everything that runs. [`scenario`]: the accounts, and all that the demo knows of their platforms.
//! * [`quiet`]: waiting until nothing is left to do. [`web`]: plain HTTP.
//! * [`error`]: why a run could not come to its end.

mod error;
mod quiet;
mod scenario;
mod stage;
mod web;

use std::time::Duration;

use syncline_client::{Api, At, RecordQuery};
use syncline_sandbox::FaultProfile;

pub use self::{error::DemoError, quiet::Standing};
use self::{scenario::MODEL, stage::Stage, web::Web};

/// The longest time that linking may take, for each contact of an account, and at least.
const LINK_TIME_PER_CONTACT: Duration = Duration::from_millis(40);
const LINK_TIME_MIN: Duration = Duration::from_secs(60);
/// How long nothing may happen before it counts as quiet: longer than any lag of the emulators.
const CALM: Duration = Duration::from_secs(2);

/// What a run is made of.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Contacts in each account.
    pub contacts: u64,
    /// Everything that is drawn follows from it.
    pub seed: u64,
    /// How often things go wrong.
    pub faults: FaultProfile,
}

impl Settings {
    /// People that are in both accounts: six of ten.
    pub const fn shared(&self) -> u64 {
        self.contacts / 10 * 6 + self.contacts % 10 * 6 / 10
    }

    /// Records that the accounts make together.
    pub const fn people(&self) -> u64 {
        self.contacts * 2 - self.shared()
    }
}

/// A run of the demo.
#[derive(Debug)]
pub struct Demo {
    settings: Settings,
    stage: Stage,
    api: Api,
    web: Web,
}

impl Demo {
    /// Starts both emulators and the service; every address answers when this returns.
    ///
    /// # Errors
    /// Why a part could not start.
    pub async fn start(settings: Settings) -> Result<Self, DemoError> {
        let web = Web::new()?;
        let stage = Stage::build(&settings, &web).await?;
        let api = Api::new(&stage.api(), &stage.key)?;
        Ok(Self { settings, stage, api, web })
    }

    /// The addresses and keys that other programs need to take part, as one JSON object.
    ///
    /// # Errors
    /// A part is missing.
    pub fn invitation(&self) -> Result<serde_json::Value, DemoError> {
        self.stage.invitation()
    }

    /// Waits until both accounts are read and linked and nothing is owed to either; how many records there are then.
    ///
    /// # Errors
    /// It took too long, or the service failed.
    pub async fn link(&self, seen: impl FnMut(Standing)) -> Result<u64, DemoError> {
        let contacts = u32::try_from(self.settings.contacts).unwrap_or(u32::MAX);
        let patience = LINK_TIME_MIN + LINK_TIME_PER_CONTACT * contacts;
        quiet::wait(&self.api, CALM, patience, seen).await?;
        self.count().await
    }

    /// How many records there are.
    async fn count(&self) -> Result<u64, DemoError> {
        let (mut count, mut at) = (0, At::default().limit(1_000));
        loop {
            let page = self.api.list_records(MODEL, &RecordQuery::default(), &at).await?;
            count += page.items.len() as u64;
            match page.next_cursor {
                Some(next) => at = At::after(next).limit(1_000),
                None => return Ok(count),
            }
        }
    }

    /// Ends everything in order.
    ///
    /// # Errors
    /// The service did not stop well.
    pub async fn stop(self) -> Result<(), DemoError> {
        let _ = &self.web;
        self.stage.strike().await
    }
}
