//! A length of time.

use super::{WordError, word};

/// A length of time, such as `500ms`, `15s`, `5m`, `24h` or `7d`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(u64);

/// Longer spans are slips.
const MS_MAX: u64 = 400 * 86_400_000;

impl Span {
    /// A span of milliseconds.
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// Its milliseconds.
    pub const fn ms(self) -> u64 {
        self.0
    }

    /// Reads a whole number with its unit; at most 400 days.
    pub fn parse(text: &str) -> Result<Self, WordError> {
        let wrong = || {
            WordError::new(
                format!("`{text}` is no span of time"),
                "write a whole number and a unit: 500ms, 15s, 5m, 24h, 7d",
            )
        };
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
        let unit = match &text[digits..] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        match number.checked_mul(unit) {
            Some(ms) if ms <= MS_MAX => Ok(Self(ms)),
            _ => Err(WordError::new(format!("`{text}` is too long"), "use at most 400d")),
        }
    }
}

word!(Span, "span", "A length of time: a whole number and `ms`, `s`, `m`, `h` or `d`.");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_need_a_number_and_a_unit() {
        for (text, expected) in [
            ("0s", Some(0)),
            ("500ms", Some(500)),
            ("5m", Some(300_000)),
            ("400d", Some(MS_MAX)),
            ("401d", None),
            ("99999999999999999999d", None),
            ("5", None),
            ("s", None),
            ("", None),
            ("1.5h", None),
            ("5 m", None),
        ] {
            assert_eq!(Span::parse(text).ok().map(Span::ms), expected, "{text}");
        }
    }
}
