//! Times as HubSpot writes and reads them: milliseconds since 1970 inside, ISO 8601 outside.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};

/// Milliseconds of one day.
pub(crate) const DAY_MS: i64 = 86_400_000;

/// Prints a moment the way the platform does: three decimals, and none at all on a whole second.
pub(crate) fn iso(ms: i64) -> String {
    match Timestamp::from_millisecond(ms) {
        Ok(moment) if ms % 1_000 == 0 => format!("{moment:.0}"),
        Ok(moment) => format!("{moment:.3}"),
        // Outside of years -9999 to 9999, where no calendar text exists.
        Err(_) => ms.to_string(),
    }
}

/// Prints the day of a moment in UTC, or nothing where the calendar ends.
pub(crate) fn iso_day(ms: i64) -> Option<String> {
    let moment = Timestamp::from_millisecond(ms).ok()?;
    Some(Offset::UTC.to_datetime(moment).date().to_string())
}

/// Reads a moment: epoch milliseconds, ISO 8601 with a zone, or a day (midnight UTC).
pub(crate) fn parse_moment(text: &str) -> Option<i64> {
    if let Ok(ms) = text.parse::<i64>() {
        return Timestamp::from_millisecond(ms).ok().map(|_| ms);
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment.as_millisecond());
    }
    parse_day(text)
}

/// Reads `YYYY-MM-DD` as midnight UTC.
pub(crate) fn parse_day(text: &str) -> Option<i64> {
    if text.len() != 10 {
        return None;
    }
    let day: Date = text.parse().ok()?;
    let midnight = day.to_zoned(TimeZone::UTC).ok()?;
    Some(midnight.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_print_like_the_platform() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_000, "1970-01-01T00:00:01Z"),
            (1_778_022_600_123, "2026-05-05T23:10:00.123Z"),
            (1_778_022_600_120, "2026-05-05T23:10:00.120Z"),
        ] {
            assert_eq!(iso(ms), text);
            assert_eq!(parse_moment(text), Some(ms));
        }
    }

    #[test]
    fn moments_are_read_in_every_accepted_form() {
        for (text, ms) in [
            ("1778022600123", Some(1_778_022_600_123)),
            ("2026-05-06T01:10:00.123+02:00", Some(1_778_022_600_123)),
            ("2026-05-06", Some(1_778_025_600_000)),
            ("2026-05-06T01:10:00", None),
            ("yesterday", None),
            ("", None),
            ("2026-5-6", None),
        ] {
            assert_eq!(parse_moment(text), ms, "{text}");
        }
        assert_eq!(iso_day(1_778_025_600_000).as_deref(), Some("2026-05-06"));
    }
}
