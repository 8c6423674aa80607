//! Named, seeded switches for everything in which a platform is difficult.
//!
//! A *behaviour* is what the real product always does (trimming, lower-casing, caps): it is on in every profile, and can
//! be switched off to see what difference it makes. A *fault* is what happens now and then (a late commit, a 429, a cut
//! connection): its probability comes from the profile and can be changed while the sandbox runs.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// How difficult a sandbox is to work with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FaultProfile {
    /// Only behaviours, no faults.
    Off,
    /// What a busy account sees on a normal day.
    #[default]
    Usual,
    /// A bad day: every fault, often.
    Storm,
}

/// Whether a switch is the product's rule or a mishap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SwitchKind {
    /// What the real product always does; on in every profile.
    Behaviour,
    /// What happens now and then.
    Fault,
}

/// The declaration of one switch, in a provider's static table.
#[derive(Debug, Clone, Copy)]
pub struct FaultSpec {
    /// The name under which code rolls and the admin interface sets it, in snake case.
    pub name: &'static str,
    /// Rule or mishap.
    pub kind: SwitchKind,
    /// One sentence: what a client sees when it fires.
    pub doc: &'static str,
    /// Its probability in [`FaultProfile::Usual`].
    pub usual: f64,
    /// Its probability in [`FaultProfile::Storm`].
    pub storm: f64,
}

impl FaultSpec {
    /// A rule of the product, always on unless switched off by hand.
    #[must_use]
    pub const fn behaviour(name: &'static str, doc: &'static str) -> Self {
        Self { name, kind: SwitchKind::Behaviour, doc, usual: 1.0, storm: 1.0 }
    }

    /// A mishap with its probability per opportunity in the two profiles that have mishaps.
    #[must_use]
    pub const fn fault(name: &'static str, usual: f64, storm: f64, doc: &'static str) -> Self {
        Self { name, kind: SwitchKind::Fault, doc, usual, storm }
    }

    fn probability(&self, profile: FaultProfile) -> f64 {
        match (self.kind, profile) {
            (SwitchKind::Behaviour, _) => 1.0,
            (SwitchKind::Fault, FaultProfile::Off) => 0.0,
            (SwitchKind::Fault, FaultProfile::Usual) => self.usual,
            (SwitchKind::Fault, FaultProfile::Storm) => self.storm,
        }
    }
}

/// One switch as the admin interface shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FaultReport {
    /// Its name.
    pub name: &'static str,
    /// Which emulator it belongs to.
    pub provider: &'static str,
    /// Rule or mishap.
    pub kind: SwitchKind,
    /// What a client sees when it fires.
    pub doc: &'static str,
    /// Whether it can fire at all.
    pub enabled: bool,
    /// Its probability per opportunity, 0 to 1.
    pub probability: f64,
    /// How often it has fired.
    pub fired: u64,
    /// How often it could have: a fault that is on fires at least once in `1 / probability` opportunities.
    pub opportunities: u64,
}

/// A change to one switch; what is absent stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultChange {
    /// Whether it can fire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Its probability per opportunity, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
}

/// Why a change to a switch was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FaultError {
    /// The provider has no switch of that name.
    #[error("there is no fault named `{name}` in {provider}; GET /admin/faults lists them")]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The emulator that was asked.
        provider: &'static str,
    },
    /// The probability is not one.
    #[error("the probability of `{name}` must lie between 0 and 1, got {probability}")]
    NotAProbability {
        /// The switch.
        name: String,
        /// What was given.
        probability: f64,
    },
}

/// The switches of one emulator.
#[derive(Debug)]
pub struct Faults {
    provider: &'static str,
    switches: Mutex<BTreeMap<&'static str, Switch>>,
}

#[derive(Debug)]
struct Switch {
    spec: FaultSpec,
    enabled: bool,
    probability: f64,
    fired: u64,
    opportunities: u64,
    /// Where in the first `1 / probability` opportunities it fires at the latest for the first time (0 to 1), so that a
    /// run of some length meets every fault that is on.
    first: f64,
    /// Each switch draws from a stream of its own, so that one switch's use does not move another's.
    rng: ChaCha8Rng,
}

impl Faults {
    /// The switches of `specs`, set by `profile`, drawing from `seed`.
    #[must_use]
    pub fn new(provider: &'static str, seed: u64, specs: &[FaultSpec], profile: FaultProfile) -> Self {
        let switches = specs
            .iter()
            .zip(1u64..)
            .map(|(spec, stream)| {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                rng.set_stream(stream);
                let probability = spec.probability(profile);
                let first = rng.random();
                let enabled = probability > 0.0;
                let switch = Switch { spec: *spec, enabled, probability, fired: 0, opportunities: 0, first, rng };
                (spec.name, switch)
            })
            .collect();
        Self { provider, switches: Mutex::new(switches) }
    }

    /// Decides whether `name` strikes at this opportunity, and counts it if so. A name that the provider did not
    /// declare never strikes (and is a bug that debug builds stop at).
    pub fn roll(&self, name: &str) -> bool {
        let mut switches = self.switches.lock();
        let Some(switch) = switches.get_mut(name) else {
            debug_assert!(false, "the fault `{name}` is not declared in {}", self.provider);
            return false;
        };
        switch.enabled && switch.strike()
    }

    /// Whether a switch is on, without counting. For behaviours that are consulted everywhere but matter seldom: ask
    /// here, and call [`Faults::count`] when it made a difference.
    #[must_use]
    pub fn is_on(&self, name: &str) -> bool {
        self.switches.lock().get(name).is_some_and(|switch| switch.enabled && switch.probability > 0.0)
    }

    /// Counts one firing of a switch that was asked by [`Faults::is_on`].
    pub fn count(&self, name: &str) {
        if let Some(switch) = self.switches.lock().get_mut(name) {
            switch.fired += 1;
        }
    }

    /// A number from 0 (inclusive) to 1 (exclusive) out of the switch's own stream, for the size of what it does.
    pub fn draw(&self, name: &str) -> f64 {
        self.switches.lock().get_mut(name).map_or(0.0, |switch| switch.rng.random::<f64>())
    }

    /// Changes several switches, or none if one of them is refused. A probability without `enabled` also switches on
    /// (above zero) or off (zero).
    ///
    /// # Errors
    /// When a name is unknown or a probability lies outside 0 to 1.
    pub fn change(&self, changes: &BTreeMap<String, FaultChange>) -> Result<(), FaultError> {
        let mut switches = self.switches.lock();
        for (name, change) in changes {
            if !switches.contains_key(name.as_str()) {
                return Err(FaultError::Unknown { name: name.clone(), provider: self.provider });
            }
            if let Some(probability) = change.probability.filter(|p| !(0.0..=1.0).contains(p)) {
                return Err(FaultError::NotAProbability { name: name.clone(), probability });
            }
        }
        for (name, change) in changes {
            if let Some(switch) = switches.get_mut(name.as_str()) {
                switch.apply(*change);
            }
        }
        Ok(())
    }

    /// Changes one switch.
    ///
    /// # Errors
    /// As [`Faults::change`].
    pub fn set(&self, name: &str, change: FaultChange) -> Result<(), FaultError> {
        self.change(&BTreeMap::from([(name.to_owned(), change)]))
    }

    /// Sets every switch to its probability in `profile`; the counts stay.
    pub fn set_profile(&self, profile: FaultProfile) {
        for switch in self.switches.lock().values_mut() {
            switch.probability = switch.spec.probability(profile);
            switch.enabled = switch.probability > 0.0;
        }
    }

    /// Every switch with its setting and count, by name.
    #[must_use]
    pub fn report(&self) -> Vec<FaultReport> {
        self.switches.lock().values().map(|switch| switch.report(self.provider)).collect()
    }

    /// How often each switch has fired.
    #[must_use]
    pub fn fired(&self) -> BTreeMap<&'static str, u64> {
        self.switches.lock().iter().map(|(name, switch)| (*name, switch.fired)).collect()
    }
}

impl Switch {
    fn strike(&mut self) -> bool {
        let by_chance = self.rng.random_bool(self.probability);
        self.opportunities += 1;
        // Counts of opportunities are far below the point where a float loses whole numbers.
        let is_due = self.fired == 0 && self.opportunities as f64 * self.probability >= self.first;
        let strikes = self.probability > 0.0 && (by_chance || is_due);
        self.fired += u64::from(strikes);
        strikes
    }

    fn apply(&mut self, change: FaultChange) {
        if let Some(probability) = change.probability {
            self.probability = probability;
            self.enabled = probability > 0.0;
        }
        if let Some(enabled) = change.enabled {
            self.enabled = enabled;
            if enabled && self.probability == 0.0 && change.probability.is_none() {
                // A fault that no profile has is certain once somebody asks for it.
                let declared = [self.spec.usual, self.spec.storm].into_iter().find(|p| *p > 0.0);
                self.probability = declared.unwrap_or(1.0);
            }
        }
    }

    fn report(&self, provider: &'static str) -> FaultReport {
        FaultReport {
            name: self.spec.name,
            provider,
            kind: self.spec.kind,
            doc: self.spec.doc,
            enabled: self.enabled,
            probability: self.probability,
            fired: self.fired,
            opportunities: self.opportunities,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPECS: &[FaultSpec] = &[
        FaultSpec::behaviour("trim", "Text is trimmed."),
        FaultSpec::fault("late", 0.25, 0.5, "Late."),
        FaultSpec::fault("lost", 0.25, 0.5, "Lost."),
    ];

    fn rolls(faults: &Faults, name: &str) -> Vec<bool> {
        (0..200).map(|_| faults.roll(name)).collect()
    }

    #[test]
    fn a_seed_repeats_and_streams_are_independent() {
        let one = Faults::new("x", 7, SPECS, FaultProfile::Usual);
        let two = Faults::new("x", 7, SPECS, FaultProfile::Usual);
        let other = Faults::new("x", 8, SPECS, FaultProfile::Usual);
        let lost = rolls(&one, "lost");
        rolls(&two, "late");
        assert_eq!(lost, rolls(&two, "lost"));
        assert_ne!(lost, rolls(&other, "lost"));
        assert_ne!(lost, rolls(&one, "late"));
        assert_eq!(one.fired()["lost"], lost.iter().filter(|fired| **fired).count() as u64);
    }

    #[test]
    fn profiles_silence_faults_but_not_behaviours() {
        let faults = Faults::new("x", 7, SPECS, FaultProfile::Off);
        assert!(faults.roll("trim") && faults.is_on("trim"));
        assert!(!rolls(&faults, "late").contains(&true));
        faults.set_profile(FaultProfile::Storm);
        assert!(rolls(&faults, "late").contains(&true));
        assert_eq!(faults.report()[0].probability, 0.5);
    }

    #[test]
    fn a_rare_fault_strikes_once_in_time() {
        const RARE: &[FaultSpec] = &[FaultSpec::fault("rare", 0.01, 0.01, "Rare.")];
        let firsts: Vec<_> = (0..50)
            .map(|seed| {
                let faults = Faults::new("x", seed, RARE, FaultProfile::Usual);
                let first = (1..=100).find(|_| faults.roll("rare"));
                assert_eq!(faults.report()[0].opportunities, first.unwrap());
                first.unwrap()
            })
            .collect();
        assert!(firsts.iter().any(|first| *first > 50) && firsts.iter().any(|first| *first < 20));
    }

    #[test]
    fn a_change_is_all_or_nothing() {
        let faults = Faults::new("x", 7, SPECS, FaultProfile::Off);
        let change = |probability| FaultChange { enabled: None, probability: Some(probability) };
        let refused = BTreeMap::from([("late".into(), change(1.0)), ("nope".into(), change(1.0))]);
        assert!(matches!(faults.change(&refused), Err(FaultError::Unknown { .. })));
        assert!(!faults.is_on("late"));
        assert!(matches!(faults.set("late", change(1.5)), Err(FaultError::NotAProbability { .. })));
        faults.set("late", change(1.0)).unwrap();
        assert!(faults.roll("late"));
        faults.set("lost", FaultChange { enabled: Some(true), probability: None }).unwrap();
        assert_eq!(faults.report()[1].probability, 0.25);
    }
}
