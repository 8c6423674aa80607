//! What the measuring program prints: one JSON object per line.

use serde::Deserialize;

/// One line.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Line {
    /// A number.
    Measure {
        name: String,
        value: f64,
        unit: String,
        /// The target.
        at_most: Option<f64>,
    },
    /// The absolute time of a floor.
    Floor {
        name: String,
        /// In microseconds.
        us: f64,
    },
    /// A curve.
    Series { name: String, points: Vec<(f64, f64)> },
}
