//! The arguments of `syncline demo`.

use clap::Args;

use super::faults::Faults;
use crate::demo::Settings;

/// The arguments of `demo`.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// Contacts in each account; six of ten are in both.
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    pub contacts: u64,
    /// Everything that is drawn follows from it.
    #[arg(long, default_value_t = 1, value_name = "S")]
    pub seed: u64,
    /// How often things go wrong.
    #[arg(long, value_enum, default_value_t = Faults::Usual)]
    pub faults: Faults,
    /// End after the verification, with exit code 0 only if it holds.
    #[arg(long)]
    pub once: bool,
}

impl DemoArgs {
    /// What a run is made of.
    pub fn settings(&self) -> Settings {
        Settings { contacts: self.contacts, seed: self.seed, faults: self.faults.into() }
    }
}
