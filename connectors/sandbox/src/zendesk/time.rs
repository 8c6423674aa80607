//! Times as Zendesk writes and reads them: whole seconds, in UTC.

use jiff::Timestamp;
use jiff::civil::Date;

use crate::clock::Micros;

/// `2026-05-05T10:04:12Z`.
pub(crate) fn iso(at: Micros) -> String {
    format!("{:.0}", at.floor_to_second().timestamp())
}

/// Whole seconds since 1970.
pub(crate) fn seconds(at: Micros) -> i64 {
    at.0.div_euclid(1_000_000)
}

/// Reads a moment with its zone, or a day as its midnight in UTC.
pub(crate) fn parse_moment(text: &str) -> Option<Micros> {
    let midnight = || text.parse::<Date>().ok().filter(|_| text.len() == 10).map(|day| format!("{day}T00:00:00Z"));
    let moment = text.parse::<Timestamp>().ok().or_else(|| midnight()?.parse().ok())?;
    Some(Micros::from_timestamp(moment))
}

/// Reads `YYYY-MM-DD`, whatever time of day follows it.
pub(crate) fn parse_day(text: &str) -> Option<String> {
    let (day, rest) = text.split_at_checked(10)?;
    if !(rest.is_empty() || rest.starts_with('T') || rest.starts_with(' ')) {
        return None;
    }
    day.parse::<Date>().ok().map(|day| day.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_lose_what_is_below_a_second() {
        let at = Micros::from_millis(1_778_000_000_999);
        assert_eq!(iso(at), "2026-05-05T16:53:20Z");
        assert_eq!(parse_moment("2026-05-05T18:53:20+02:00"), Some(at.floor_to_second()));
        assert_eq!(parse_moment("2026-05-05").map(iso).as_deref(), Some("2026-05-05T00:00:00Z"));
        for bad in ["", "soon", "2026-13-01", "2026-05-05x", "2026-05-05T"] {
            assert_eq!(parse_moment(bad), None, "{bad}");
        }
    }

    #[test]
    fn days_are_read_from_days_and_moments() {
        assert_eq!(parse_day("2026-05-05").as_deref(), Some("2026-05-05"));
        assert_eq!(parse_day("2026-05-05T10:00:00Z").as_deref(), Some("2026-05-05"));
        assert_eq!(parse_day("5 May"), None);
    }
}
