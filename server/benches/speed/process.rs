//! What the system says of a running process, where it is Linux; elsewhere nothing is said, and nothing is measured.

use std::{fs, path::PathBuf, time::Duration};

/// Memory that the process holds now, in megabytes of a million bytes.
pub(crate) fn resident(process: u32) -> Option<f64> {
    status(process, "VmRSS:")
}

/// The most memory that the process ever held, in megabytes.
pub(crate) fn resident_peak(process: u32) -> Option<f64> {
    status(process, "VmHWM:")
}

fn status(process: u32, name: &str) -> Option<f64> {
    let text = fs::read_to_string(folder(process).join("status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024.0 / 1e6)
}

/// Processor time of all threads that the process has now.
pub(crate) fn processor(process: u32) -> Option<Duration> {
    let threads = fs::read_dir(folder(process).join("task")).ok()?;
    let nanoseconds = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Some(Duration::from_nanos(nanoseconds.sum()))
}

fn folder(process: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{process}"))
}
