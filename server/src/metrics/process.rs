//! What the operating system says of this process, under the names that Prometheus knows. Where it says nothing, as outside
//! of Linux, the metric is left out.

use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    metrics::gauge::ConstGauge,
    registry::{Registry, Unit},
};

/// Adds them to a registry.
pub(super) fn register(registry: &mut Registry, begun: SystemTime) {
    if let Some(bytes) = resident_bytes() {
        let help = "Memory that the process holds";
        registry.register_with_unit("process_resident_memory", help, Unit::Bytes, ConstGauge::new(bytes));
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        let open = i64::try_from(open.count()).unwrap_or(i64::MAX);
        registry.register("process_open_fds", "File descriptors that are open", ConstGauge::new(open));
    }
    let begun = begun.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let help = "When the service started, in seconds since 1970";
    registry.register_with_unit("process_start_time", help, Unit::Seconds, ConstGauge::new(begun));
}

/// The line `VmRSS:   12345 kB`.
fn resident_bytes() -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1_024)
}
