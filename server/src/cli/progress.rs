//! Progress bars of first reads, with rate and time left.

use std::{collections::BTreeMap, io::IsTerminal as _};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::Output;

/// A bar where the end is known.
const BOUNDED: &str = "{prefix} {bar:30} {human_pos}/{human_len} rows  {per_sec}  {eta} left";
/// A spinner where it is not.
const UNBOUNDED: &str = "{prefix} {spinner} {human_pos} rows  {per_sec}";

/// Bars by name, on standard error: nothing is drawn where that is no terminal, or where programs read the output.
pub(crate) struct Progress {
    drawing: MultiProgress,
    bars: BTreeMap<String, ProgressBar>,
}

impl Progress {
    /// No bars yet.
    pub(crate) fn new(output: Output) -> Self {
        let seen = !output.is_json() && std::io::stderr().is_terminal();
        let target = if seen { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { drawing: MultiProgress::with_draw_target(target), bars: BTreeMap::new() }
    }

    /// Moves a bar, which is added where there is none of that name.
    pub(crate) fn show(&mut self, name: &str, done: u64, expected: Option<u64>) {
        let Self { drawing, bars } = self;
        let bar = bars.entry(name.to_owned()).or_insert_with(|| {
            let bar = drawing.add(ProgressBar::no_length());
            bar.set_prefix(name.to_owned());
            bar
        });
        if bar.length() != expected || bar.position() == 0 {
            // Both templates are constants that the tests parse.
            if let Ok(style) = ProgressStyle::with_template(if expected.is_some() { BOUNDED } else { UNBOUNDED }) {
                bar.set_style(style);
            }
            match expected {
                Some(expected) => bar.set_length(expected),
                None => bar.unset_length(),
            }
        }
        bar.set_position(done);
    }

    /// Takes the bars away.
    pub(crate) fn finish(self) {
        // A terminal that cannot be cleared keeps the bars, which does no harm.
        let _ = self.drawing.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_valid() {
        for template in [BOUNDED, UNBOUNDED] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
