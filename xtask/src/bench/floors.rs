//! The floors' absolute times by machine. A floor runs none of our code, so one that is slower than it was means that the
//! machine was busy or has changed, and that nothing else in the run can be believed either.

use std::{collections::BTreeMap, fs, io, path::Path};

use super::line::Line;

/// How much slower than its committed time a floor may be.
const SLOWER_MAX: f64 = 1.25;

/// Microseconds by floor, by machine.
#[derive(Debug, Default)]
pub(crate) struct Floors(BTreeMap<String, BTreeMap<String, f64>>);

impl Floors {
    /// The committed floors; none where the file cannot be read.
    pub(crate) fn load(file: &Path) -> Self {
        let text = fs::read_to_string(file).unwrap_or_default();
        Self(serde_json::from_str(&text).unwrap_or_default())
    }

    /// Holds a run's floors against the committed ones and says which are too slow. Floors that the machine has none of
    /// yet, or all if `adopt`, become its committed ones.
    pub(crate) fn judge(&mut self, machine: &str, lines: &[Line], adopt: bool) -> Vec<String> {
        let known = self.0.entry(machine.to_owned()).or_default();
        let mut broken = Vec::new();
        for line in lines {
            let Line::Floor { name, us } = line else { continue };
            let us = (us * 10.0).round() / 10.0;
            match known.get(name) {
                Some(committed) if !adopt => {
                    if us > committed * SLOWER_MAX {
                        broken.push(format!(
                            "BROKEN MEASUREMENT: the floor `{name}` took {us} µs and {committed} µs when it was committed: \
                             run again on a quiet machine, or `--adopt-floors` if the machine has changed for good"
                        ));
                    }
                }
                _ => drop(known.insert(name.clone(), us)),
            }
        }
        broken
    }

    pub(crate) fn to_json(&self) -> io::Result<String> {
        Ok(serde_json::to_string_pretty(&self.0)? + "\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_floor_may_be_faster_or_a_quarter_slower_than_committed() {
        for (now, adopt, broken, kept) in
            [(50.0, false, 0, 100.0), (125.0, false, 0, 100.0), (126.0, false, 1, 100.0), (126.0, true, 0, 126.0)]
        {
            let floor = |us| vec![Line::Floor { name: "intake".into(), us }];
            let mut floors = Floors::default();
            assert!(floors.judge("this", &floor(100.0), false).is_empty(), "a first floor is taken as it is");
            assert!(floors.judge("other", &floor(900.0), false).is_empty(), "machines are not compared");
            assert_eq!(floors.judge("this", &floor(now), adopt).len(), broken, "{now}");
            assert_eq!(floors.0["this"]["intake"], kept, "{now}");
        }
    }
}
