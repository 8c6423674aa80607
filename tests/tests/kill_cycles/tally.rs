//! How often the process was ended, and where.

use std::{collections::BTreeMap, fmt};

use syncline_server::failpoint::Point;

/// Counts of kills.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    points: BTreeMap<Point, u64>,
    knives: u64,
}

impl Tally {
    /// The process ended at a fail point.
    pub(crate) fn died_at(&mut self, point: Point) {
        *self.points.entry(point).or_default() += 1;
    }

    /// The process was ended by SIGKILL, wherever it was.
    pub(crate) fn knifed(&mut self) {
        self.knives += 1;
    }

    /// All of them.
    pub(crate) fn kills(&self) -> u64 {
        self.points.values().sum::<u64>() + self.knives
    }

    /// The points at which the process never ended.
    pub(crate) fn missing(&self) -> Vec<Point> {
        Point::ALL.iter().filter(|point| !self.points.contains_key(point)).copied().collect()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} kills", self.kills())?;
        for point in Point::ALL {
            writeln!(f, "{:>18} {}", point.name(), self.points.get(point).copied().unwrap_or_default())?;
        }
        write!(f, "{:>18} {}", "SIGKILL at any time", self.knives)
    }
}
