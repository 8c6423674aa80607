//! How often things go wrong in a sandbox, as the command line spells it.

use clap::ValueEnum;
use syncline_sandbox::FaultProfile;

/// How often things go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Faults {
    /// Only what the products always do.
    Off,
    /// What a busy account sees on a normal day.
    Usual,
    /// A bad day.
    Storm,
}

impl From<Faults> for FaultProfile {
    fn from(faults: Faults) -> Self {
        match faults {
            Faults::Off => Self::Off,
            Faults::Usual => Self::Usual,
            Faults::Storm => Self::Storm,
        }
    }
}
