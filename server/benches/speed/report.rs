//! What is printed: one JSON object per line on standard output, and the same for people on standard error.

use std::time::Duration;

use serde_json::json;

/// A number that may have a bound to keep.
pub(crate) fn measure(name: &str, value: f64, unit: &str, at_most: Option<f64>) {
    println!("{}", json!({"kind": "measure", "name": name, "value": value, "unit": unit, "at_most": at_most}));
    eprintln!("{name}: {value:.3} {unit}");
}

/// The absolute time of a floor: it tells whether the machine was itself during the run.
pub(crate) fn floor(name: &str, time: Duration) {
    println!("{}", json!({"kind": "floor", "name": name, "us": micros(time)}));
    eprintln!("floor {name}: {:.1} µs", micros(time));
}

/// Points of a curve.
pub(crate) fn series(name: &str, points: &[(f64, f64)]) {
    println!("{}", json!({"kind": "series", "name": name, "points": points}));
}

/// A time in microseconds.
pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// The value below which `share` of the values are; 0 without any.
pub(crate) fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
}
