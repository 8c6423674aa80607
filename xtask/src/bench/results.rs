//! The results that are kept: the last of each measure on this machine, with its date.

use std::{collections::BTreeMap, fs, io, path::Path};

use serde::{Deserialize, Serialize};

use super::line::Line;

/// Everything measured on one machine.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: String,
    /// How busy the machine was when the last run began.
    #[serde(default)]
    pub(crate) load: Option<f64>,
    pub(crate) measures: BTreeMap<String, Measure>,
    pub(crate) floors: BTreeMap<String, f64>,
    pub(crate) series: BTreeMap<String, Vec<(f64, f64)>>,
}

/// A number, when it was measured, and its target.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Measure {
    pub(crate) value: f64,
    pub(crate) unit: String,
    pub(crate) at_most: Option<f64>,
    pub(crate) date: String,
}

impl Measure {
    /// Whether the target is met; a measure without one always is.
    pub(crate) fn kept(&self) -> bool {
        self.at_most.is_none_or(|bound| self.value <= bound)
    }

    /// The value with as many digits as mean something.
    pub(crate) fn shown(&self) -> String {
        match self.value {
            value if value >= 1_000.0 => format!("{value:.0}"),
            value if value >= 10.0 => format!("{value:.1}"),
            value => format!("{value:.2}"),
        }
    }
}

impl Results {
    /// The kept results of this machine; none where others were kept.
    pub(crate) fn load(file: &Path, machine: &str) -> Self {
        let text = fs::read_to_string(file).unwrap_or_default();
        let kept: Self = serde_json::from_str(&text).unwrap_or_default();
        if kept.machine == machine { kept } else { Self { machine: machine.to_owned(), ..Self::default() } }
    }

    /// Takes a run's results over and says which targets it missed.
    pub(crate) fn take(&mut self, lines: &[Line], today: &str) -> Vec<String> {
        let mut missed = Vec::new();
        for line in lines.iter().cloned() {
            match line {
                Line::Measure { name, value, unit, at_most } => {
                    let measure = Measure { value, unit, at_most, date: today.to_owned() };
                    if let (false, Some(bound)) = (measure.kept(), at_most) {
                        missed.push(format!("MISSED: {name} is {} {}, target {bound}", measure.shown(), measure.unit));
                    }
                    self.measures.insert(name, measure);
                }
                Line::Floor { name, us } => drop(self.floors.insert(name, us)),
                Line::Series { name, points } => drop(self.series.insert(name, points)),
            }
        }
        missed
    }

    /// For the terminal.
    pub(crate) fn table(&self) -> String {
        let rows = self.measures.iter().map(|(name, measure)| {
            let bound = measure.at_most.map(|bound| format!("  (target ≤ {bound})")).unwrap_or_default();
            format!("{name:<20} {:>10} {}{bound}", measure.shown(), measure.unit)
        });
        rows.collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn to_json(&self) -> io::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(value: f64, at_most: Option<f64>) -> Line {
        Line::Measure { name: "a/ratio".into(), value, unit: "×".into(), at_most }
    }

    #[test]
    fn a_target_is_met_up_to_its_bound() {
        for (value, at_most, missed) in [(2.5, Some(2.5), 0), (2.6, Some(2.5), 1), (9.0, None, 0)] {
            let mut results = Results::default();
            assert_eq!(results.take(&[measure(value, at_most)], "2026-01-02").len(), missed, "{value}");
            assert_eq!(results.measures["a/ratio"].value, value);
        }
    }
}
