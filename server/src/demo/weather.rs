//! The weather: which faults are on, and seeing to it that each strikes at least once in a run.
//!
//! A profile's probability holds for each opportunity. A small account gives a rare fault few opportunities, so towards
//! the end of a run those that have not struck yet become certain until they have.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Map, Value as Json, json};
use syncline_sandbox::FaultProfile;

use super::{DemoError, scenario::ACCOUNTS, stage::Stage, web::Web};

/// Time between two looks at the switches.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// One fault that was on, and how often it struck.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Struck {
    /// The platform.
    pub provider: String,
    /// The fault.
    pub fault: String,
    /// How often it struck.
    pub fired: u64,
}

/// The faults that are on, as the platforms report them.
pub(super) async fn look(stage: &Stage, web: &Web) -> Result<Vec<Struck>, DemoError> {
    let mut struck = Vec::new();
    for account in ACCOUNTS {
        let report = web.get(&format!("{}/faults", stage.running(account)?.admin_url)).await?;
        for switch in report["faults"].as_array().into_iter().flatten() {
            if switch["kind"] == "fault" && switch["enabled"] == true {
                struck.push(Struck {
                    provider: account.provider.to_owned(),
                    fault: switch["name"].as_str().unwrap_or_default().to_owned(),
                    fired: switch["fired"].as_u64().unwrap_or_default(),
                });
            }
        }
    }
    Ok(struck)
}

/// Makes every fault that has not struck yet certain, until it has or `patience` ends; then the profile holds again.
pub(super) async fn insist(
    stage: &Stage,
    web: &Web,
    profile: FaultProfile,
    patience: Duration,
) -> Result<(), DemoError> {
    let begun = Instant::now();
    let mut urged = Vec::new();
    while begun.elapsed() < patience {
        let waiting: Vec<Struck> = look(stage, web).await?.into_iter().filter(|struck| struck.fired == 0).collect();
        if waiting != urged {
            stage.set_faults(web, profile).await?;
            urge(stage, web, &waiting).await?;
            urged = waiting;
        }
        if urged.is_empty() {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    stage.set_faults(web, profile).await
}

async fn urge(stage: &Stage, web: &Web, waiting: &[Struck]) -> Result<(), DemoError> {
    for account in ACCOUNTS {
        let mut changes = Map::new();
        for struck in waiting.iter().filter(|struck| struck.provider == account.provider) {
            changes.insert(struck.fault.clone(), json!({"probability": 1.0}));
            let company = account.company.iter().filter(|(fault, _)| *fault == struck.fault);
            changes.extend(company.map(|(_, other)| ((*other).to_owned(), json!({"probability": 1.0}))));
        }
        if !changes.is_empty() {
            let url = format!("{}/faults", stage.running(account)?.admin_url);
            web.ask(reqwest::Method::PUT, &url, None, Some(&Json::Object(changes))).await?;
        }
    }
    Ok(())
}
