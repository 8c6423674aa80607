//! Which machine this is: absolute times mean something on the same one only.

use std::{fs, thread};

/// The machine in one line: processor, how many of them, memory, system.
pub(crate) fn describe() -> String {
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let count = thread::available_parallelism().map_or(1, |count| count.get());
    let memory = field("/proc/meminfo", "MemTotal")
        .and_then(|text| text.strip_suffix(" kB")?.parse::<u64>().ok())
        .map(|kibibytes| format!(", {} GiB", kibibytes.div_ceil(1 << 20)));
    format!("{processor}, {count} processors{}, {}", memory.unwrap_or_default(), std::env::consts::OS)
}

/// How many threads wanted a processor in the last minute: above the number of processors, times are those of waiting.
pub(crate) fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

/// A value of a file with lines such as `name : value`.
fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
