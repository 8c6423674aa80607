//! `syncline demo`: two emulated accounts and a product, kept the same.

use clap::Args;

use super::{
    failure::Failure,
    faults::Faults,
    output::{Output, Tone},
    progress::Progress,
    signals,
};
use crate::demo::{Demo, DemoError, Settings};

/// The arguments of `demo`.
#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Contacts in each account; six of ten are in both.
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    contacts: u64,
    /// Everything that is drawn follows from it.
    #[arg(long, default_value_t = 1, value_name = "S")]
    seed: u64,
    /// How often things go wrong.
    #[arg(long, value_enum, default_value_t = Faults::Usual)]
    faults: Faults,
    /// End when the run is over instead of staying up until Ctrl-C.
    #[arg(long)]
    once: bool,
}

impl DemoArgs {
    /// Runs the demo.
    pub(crate) async fn run(self, output: Output) -> Result<(), Failure> {
        let settings = Settings { contacts: self.contacts, seed: self.seed, faults: self.faults.into() };
        let demo = Demo::start(settings).await?;
        let ran = self.on(&demo, output).await;
        demo.stop().await?;
        ran
    }

    async fn on(&self, demo: &Demo, output: Output) -> Result<(), Failure> {
        let invitation = demo.invitation()?;
        output.show(&invitation, |output, facts| {
            let facts = facts.as_object().into_iter().flatten();
            facts.into_iter().try_for_each(|(name, value)| {
                output.line(format!("{} {}", Tone::Dim.paint(name), super::output::plain(value)))
            })
        })?;
        let mut progress = Progress::new(output);
        let linked =
            demo.link(|standing| progress.show("reading both accounts", standing.read, Some(standing.expected))).await;
        progress.finish();
        let records = linked?;
        if !output.is_json() {
            output.line(format!("{records} records"))?;
        }
        if !self.once {
            signals::ended().await?;
        }
        Ok(())
    }
}

impl From<DemoError> for Failure {
    fn from(error: DemoError) -> Self {
        Self::said(error.to_string())
    }
}
