//! The judge for pieces that are played elsewhere: suites that run the service as a process, on accounts and fields that
//! are called as in the demo's configuration.

use std::collections::BTreeMap;

use syncline_client::Api;
use syncline_sandbox::Sandbox;

use super::{
    Acknowledged, DemoError, Verdict, collect,
    verifier::{evidence::Evidence, verdict},
    web::Web,
};

/// The evidence of such a piece.
#[derive(Debug)]
pub struct Trial {
    evidence: Evidence,
}

impl Trial {
    /// Collects the evidence, once everything is quiet. `known` has the record of each object that was seen linked earlier,
    /// by the account's place (0 Salesforce, 1 HubSpot) and the object's id.
    ///
    /// # Errors
    /// A side did not answer.
    pub async fn of(
        sandbox: &Sandbox,
        api: &Api,
        known: &BTreeMap<(usize, String), String>,
        acknowledged: Vec<Acknowledged>,
    ) -> Result<Self, DemoError> {
        let evidence = collect::evidence(sandbox, api, &Web::new()?, known, acknowledged).await?;
        Ok(Self { evidence })
    }

    /// What the judge finds.
    pub fn verdict(&self) -> Verdict {
        verdict::judge(&self.evidence)
    }
}
