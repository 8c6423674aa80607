//! What happened in a run: a digest always, and lines for people where they are asked for.

use syncline_core::time::Millis;

/// The record of a run.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    hasher: blake3::Hasher,
    lines: Option<Vec<String>>,
    began: Millis,
}

impl Trace {
    /// A trace; with `lines` where a person will read it.
    pub(crate) fn new(began: Millis, lines: bool) -> Self {
        Self { hasher: blake3::Hasher::new(), lines: lines.then(Vec::new), began }
    }

    /// Whether lines are kept.
    pub(crate) fn tells(&self) -> bool {
        self.lines.is_some()
    }

    /// Notes a line. It is only made where lines are kept.
    pub(crate) fn note(&mut self, now: Millis, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            let ms = now.0 - self.began.0;
            lines.push(format!("{:>7}.{:03} {}", ms / 1_000, ms % 1_000, line()));
        }
    }

    /// Takes a step into the digest.
    pub(crate) fn step(&mut self, now: Millis, kind: u8, what: u64) {
        let mut bytes = [kind; 17];
        bytes[1..9].copy_from_slice(&now.0.to_le_bytes());
        bytes[9..].copy_from_slice(&what.to_le_bytes());
        self.hasher.update(&bytes);
    }

    /// The digest of all steps, and of the lines where they are kept.
    pub(crate) fn digest(&self) -> String {
        let mut hasher = self.hasher.clone();
        self.lines().iter().for_each(|line| {
            hasher.update(line.as_bytes());
        });
        hasher.finalize().to_hex()[..16].to_owned()
    }

    pub(crate) fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }
}
