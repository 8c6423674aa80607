//! `syncline demo`: two emulated accounts and a product, kept the same while all three are edited at once; then judged.
//!
//! # Layout, in the order of a run
//!
//! * [`stage`]: everything that runs. [`host`]: the service, over its restarts. [`scenario`]: the accounts, and all that the demo knows of their platforms.
//! * [`quiet`]: waiting until nothing is left to do. [`web`]: plain HTTP.
//! * [`script`]: what the three writers do. [`players`]: the writers. [`weather`]: faults. [`audience`]: the subscriber.
//! * [`traveller`]: the client that edits offline. [`calamity`]: a user who empties a part of an account. [`collect`]: the evidence. [`verifier`]: the judge. [`report`]: what the run came to.
//! * [`trial`]: the judge for pieces that are played elsewhere.
//! * [`error`]: why a run could not come to its end.

mod audience;
mod calamity;
mod collect;
mod error;
mod host;
mod players;
mod quiet;
mod report;
mod scenario;
mod script;
mod stage;
mod traveller;
mod trial;
mod verifier;
mod weather;
mod web;

use std::time::{Duration, Instant};

use syncline_client::{Api, Change};
use syncline_sandbox::FaultProfile;
use tokio_util::sync::CancellationToken;

use self::{
    audience::Heard,
    calamity::{Calamity, Refused},
    collect::Links,
    players::Players,
    script::{Role, Script},
    stage::Stage,
    traveller::Traveller,
    web::Web,
};
pub use self::{
    error::DemoError,
    players::Acknowledged,
    quiet::Standing,
    report::{Blind, Report, Struck, Verdict},
    trial::Trial,
};

/// The longest time that linking and growing quiet may take, for each contact of an account, and at least.
const TIME_PER_CONTACT: Duration = Duration::from_millis(60);
const TIME_MIN: Duration = Duration::from_secs(60);
/// How long nothing may happen before it counts as quiet: longer than any lag of the emulators.
const CALM: Duration = Duration::from_secs(2);
/// Time between two scenes.
const PAUSE: Duration = Duration::from_millis(40);
/// Time between two scenes while faults are waited for.
const LONG_PAUSE: Duration = Duration::from_millis(150);
/// The longest that faults are waited for.
const FAULT_TIME_MAX: Duration = Duration::from_secs(45);
/// Contacts that are edited, at most.
const CAST_MAX: u64 = 120;
/// Scenes that are played at least, and for each contact of the cast.
const SCENES_MIN: u64 = 66;

/// What a run is made of.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Contacts in each account.
    pub contacts: u64,
    /// Everything that is drawn follows from it.
    pub seed: u64,
    /// How often things go wrong.
    pub faults: FaultProfile,
    /// What is wrong with the service on purpose, to show that the judge can find fault.
    pub flaw: Option<Flaw>,
}

/// Something that is wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// One account's mapping of one field brings nothing there.
    DeafField,
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

    fn patience(&self) -> Duration {
        TIME_MIN + TIME_PER_CONTACT * u32::try_from(self.contacts).unwrap_or(u32::MAX)
    }

    /// Whether the service is stopped and started again at this scene: in a storm, at a half and at two thirds of the play.
    fn restarts_at(&self, scene: u64, scenes: u64) -> bool {
        self.faults == FaultProfile::Storm && [scenes / 2, scenes / 3 * 2].contains(&scene)
    }

    fn cast(&self) -> u64 {
        (self.contacts / 4).clamp(8, CAST_MAX)
    }
}

/// A run of the demo.
#[derive(Debug)]
pub struct Demo {
    settings: Settings,
    stage: Stage,
    api: Api,
    web: Web,
    begun: Instant,
}

/// What is known once both accounts are linked.
#[derive(Debug)]
pub struct Linked {
    /// How many records there are.
    pub records: u64,
    links: Links,
    after: Duration,
}

/// What happened in the play.
struct Played {
    acknowledged: Vec<Acknowledged>,
    /// Edits that were made offline.
    offline: u64,
    faults: Vec<Struck>,
    standing: Standing,
    /// What vanished at once, in a storm.
    refused: Option<Refused>,
}

impl Demo {
    /// Starts both emulators and the service; every address answers when this returns.
    ///
    /// # Errors
    /// Why a part could not start.
    pub async fn start(settings: Settings) -> Result<Self, DemoError> {
        let begun = Instant::now();
        let web = Web::new()?;
        let stage = Stage::build(&settings, &web).await?;
        let api = Api::new(&stage.api(), &stage.key)?;
        Ok(Self { settings, stage, api, web, begun })
    }

    /// The addresses and keys that other programs need to take part, as one JSON object.
    ///
    /// # Errors
    /// A part is missing.
    pub async fn invitation(&self) -> Result<serde_json::Value, DemoError> {
        self.stage.invitation(&self.web).await
    }

    /// Waits until both accounts are read and linked and nothing is owed to either.
    ///
    /// # Errors
    /// It took too long, or the service failed.
    pub async fn link(&self, seen: impl FnMut(Standing)) -> Result<Linked, DemoError> {
        quiet::wait(&self.api, CALM, self.settings.patience(), seen).await?;
        let records = collect::records(&self.api).await?;
        let live = records.iter().filter(|record| record.meta.deleted_at.is_none()).count();
        Ok(Linked { records: live as u64, links: collect::links(&records), after: self.begun.elapsed() })
    }

    /// Lets the three writers edit at once, then lets it grow quiet and judges. `told` hears every merged change.
    ///
    /// # Errors
    /// It never grew quiet, or something did not answer. What does not hold is in the report.
    pub async fn perform(&self, linked: &Linked, mut told: impl FnMut(&Change)) -> Result<Report, DemoError> {
        let mut live = audience::seat(&self.api).await?;
        let (played, heard) = audience::listen(&mut live, self.play(), &mut told).await?;
        self.judge(linked, played, heard).await
    }

    /// Sets the faults of the run again after the verdict, and goes on telling changes until the process ends.
    ///
    /// # Errors
    /// Something did not answer.
    pub async fn stay(&self, mut told: impl FnMut(&Change)) -> Result<(), DemoError> {
        self.stage.set_faults(&self.web, self.settings.faults).await?;
        let mut live = audience::seat(&self.api).await?;
        audience::listen(&mut live, std::future::pending::<Result<(), DemoError>>(), &mut told).await.map(drop)
    }

    async fn play(&self) -> Result<Played, DemoError> {
        let Self { settings, stage, api, web, .. } = self;
        let players = Players::cast(stage, api, web, usize::try_from(settings.cast()).unwrap_or(usize::MAX)).await?;
        let country = players.country().await?;
        let mut traveller = Traveller::pack(&stage.api(), &stage.key, stage.folder(), &country).await?;
        let mut script = Script::new(settings.seed, players.cast.len());
        let scenes = SCENES_MIN.max(settings.cast());
        for scene in 0..scenes {
            if scene == scenes / 3 {
                traveller.edit_cut_off().await?;
            }
            let acts = script.scene();
            if settings.restarts_at(scene, scenes) {
                // While the service is away, the users of the platforms go on.
                let by_users = acts.into_iter().filter(|act| act.role != Role::Product).collect();
                let (restarted, played) = tokio::join!(stage.host.restart(), players.play(&by_users));
                restarted.and(played)?;
            } else {
                players.play(&acts).await?;
            }
            tokio::time::sleep(PAUSE).await;
        }
        let enough = CancellationToken::new();
        let insisting = async {
            let insisted = weather::insist(stage, web, settings.faults, FAULT_TIME_MAX).await;
            enough.cancel();
            insisted
        };
        // A scene is never cut off: an edit that was sent must be remembered.
        let (insisted, played) = tokio::join!(insisting, encore(&players, &mut script, &enough));
        insisted.and(played)?;
        let refused = match settings.faults {
            FaultProfile::Storm => Some(self.calamity(&players).await?),
            _ => None,
        };
        let mut acknowledged = players.acknowledged();
        let travelled = traveller.come_back().await?;
        let offline = travelled.len() as u64;
        acknowledged.extend(travelled);
        let faults = weather::look(stage, web).await?;
        stage.set_faults(web, FaultProfile::Off).await?;
        let standing = quiet::wait(api, CALM, settings.patience(), |_| {}).await?;
        Ok(Played { acknowledged, offline, faults, standing, refused })
    }

    /// The storm goes on while a user empties a part of an account, and the service is away while a person thinks about it.
    async fn calamity(&self, players: &Players<'_>) -> Result<Refused, DemoError> {
        let patience = self.settings.patience();
        // What the script deleted is no part of it.
        quiet::wait(&self.api, CALM, patience, |_| {}).await?;
        let calamity = Calamity::strike(players, self.settings.seed, self.settings.people()).await?;
        calamity.noticed(players, patience).await?;
        self.stage.host.restart().await?;
        calamity.refuse(players, patience).await
    }

    async fn judge(&self, linked: &Linked, played: Played, heard: Heard) -> Result<Report, DemoError> {
        let Self { settings, stage, api, web, begun } = self;
        let mut evidence = collect::evidence(stage.sandbox(), api, web, &linked.links, played.acknowledged).await?;
        let refused = played.refused.unwrap_or_default();
        let deleted = |id: &String| evidence.records.get(id).is_none_or(|record| record.deleted);
        let passed = refused.records.iter().filter(|id| deleted(id)).count() as u64;
        evidence.refused = refused.objects;
        let counts = stage.host.counts().await;
        let report = Report {
            ok: false,
            linked: linked.records,
            linked_expected: settings.people(),
            records: evidence.records.values().filter(|record| !record.deleted).count() as u64,
            merges: heard.merges,
            feed_gaps: heard.gaps,
            conflicts: evidence.conflicts.len() as u64,
            echoes: counts.echoes,
            writes: counts.writes,
            parked: played.standing.parked,
            offline: played.offline,
            epochs: counts.epochs,
            restarts: stage.host.restarts(),
            vanished: refused.records.len() as u64,
            held: refused.held,
            passed,
            verdict: verifier::verdict::judge(&evidence),
            faults: played.faults,
            linked_after_s: linked.after.as_secs_f64(),
            seconds: begun.elapsed().as_secs_f64(),
        };
        Ok(report.judged())
    }

    /// Ends everything in order.
    ///
    /// # Errors
    /// The service did not stop well.
    pub async fn stop(self) -> Result<(), DemoError> {
        self.stage.strike().await
    }
}

/// Plays on until it is enough.
async fn encore(players: &Players<'_>, script: &mut Script, enough: &CancellationToken) -> Result<(), DemoError> {
    while !enough.is_cancelled() {
        players.play(&script.scene()).await?;
        tokio::time::sleep(LONG_PAUSE).await;
    }
    Ok(())
}
