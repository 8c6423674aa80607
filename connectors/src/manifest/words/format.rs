//! How a provider spells times.

use serde_json::{Map, Value, json};
use syncline_core::time::Millis;

use super::{WordError, word};
use crate::rest::stamp;

/// How a provider spells times, and so how they are read and written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `2026-05-05T10:32:01Z`, with or without fractions and offsets; without an offset it is UTC.
    #[default]
    Iso8601,
    /// The same, written with milliseconds.
    Iso8601Ms,
    /// Seconds since 1970, as a number or as text.
    EpochS,
    /// Milliseconds since 1970, as a number or as text.
    EpochMs,
    /// `Tue, 05 May 2026 10:32:01 GMT`.
    Rfc1123,
    /// `2026-05-05`.
    Date,
    /// An object of numbers that says of itself what it is: `{"__class__": "datetime", "year": 2026, …}`.
    Parts(Parts),
    /// A pattern of `strftime`, such as `%Y-%m-%d %H:%M:%S`, in UTC.
    Pattern(String),
}

/// What the object of [`Format::Parts`] says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    /// `datetime`, with hours, minutes, seconds and microseconds.
    DateTime,
    /// `date`, with year, month and day alone.
    Date,
}

const WORDS: &[(&str, Format)] = &[
    ("iso8601", Format::Iso8601),
    ("iso8601_ms", Format::Iso8601Ms),
    ("epoch_s", Format::EpochS),
    ("epoch_ms", Format::EpochMs),
    ("rfc1123", Format::Rfc1123),
    ("date", Format::Date),
    ("parts", Format::Parts(Parts::DateTime)),
    ("date_parts", Format::Parts(Parts::Date)),
];

/// The key by which an object of parts says what it is.
const TAG: &str = "__class__";

impl Format {
    /// Reads the word, or a pattern with `%`.
    pub fn parse(text: &str) -> Result<Self, WordError> {
        if let Some((_, format)) = WORDS.iter().find(|(word, _)| *word == text) {
            return Ok(format.clone());
        }
        let names = || WORDS.iter().map(|(word, _)| *word);
        if text.contains('%') {
            let written = jiff::fmt::strtime::format(text, jiff::Timestamp::UNIX_EPOCH);
            return match written {
                Ok(_) if text.len() <= 100 => Ok(Self::Pattern(text.to_owned())),
                _ => Err(WordError::new(
                    format!("`{text}` is no pattern of a time"),
                    "write it as strftime would: %Y-%m-%d %H:%M:%S",
                )),
            };
        }
        Err(WordError::new(
            format!("`{text}` is no spelling of times"),
            format!("{}, or a pattern such as %Y-%m-%d %H:%M:%S", crate::located::suggest(text, names())),
        ))
    }

    /// Reads a time as the provider shows it.
    pub fn read(&self, value: &Value) -> Option<Millis> {
        match self {
            Self::Iso8601 | Self::Iso8601Ms => iso8601(value.as_str()?),
            Self::EpochS => number(value).map(|seconds| Millis((seconds * 1_000.0).round() as i64)),
            Self::EpochMs => number(value).map(|ms| Millis(ms.round() as i64)),
            Self::Rfc1123 => {
                let since = httpdate::parse_http_date(value.as_str()?).ok()?.duration_since(std::time::UNIX_EPOCH);
                i64::try_from(since.ok()?.as_millis()).ok().map(Millis)
            }
            Self::Date => iso8601(value.as_str()?),
            Self::Parts(_) => parts(value.as_object()?),
            Self::Pattern(pattern) => {
                let broken_down = jiff::fmt::strtime::parse(pattern, value.as_str()?).ok()?;
                let timestamp = broken_down.to_timestamp().ok().or_else(|| {
                    let datetime = broken_down
                        .to_datetime()
                        .or_else(|_| broken_down.to_date().map(|date| date.to_datetime(jiff::civil::Time::midnight())));
                    utc(datetime.ok()?)
                })?;
                Some(Millis(timestamp.as_millisecond()))
            }
        }
    }

    /// Writes a time as the provider wants it.
    pub fn write(&self, at: Millis) -> Value {
        let timestamp = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default();
        let text = |pattern: &str| Value::String(timestamp.strftime(pattern).to_string());
        match self {
            Self::Iso8601 => text("%Y-%m-%dT%H:%M:%SZ"),
            Self::Iso8601Ms => text("%Y-%m-%dT%H:%M:%S.%3fZ"),
            Self::EpochS => at.0.div_euclid(1_000).into(),
            Self::EpochMs => at.0.into(),
            Self::Rfc1123 => text("%a, %d %b %Y %H:%M:%S GMT"),
            Self::Date => text("%Y-%m-%d"),
            Self::Parts(kind) => as_parts(*kind, timestamp),
            Self::Pattern(pattern) => text(pattern),
        }
    }
}

/// A date-time by RFC 3339; without an offset it is UTC, and without a time midnight.
fn iso8601(text: &str) -> Option<Millis> {
    let text = text.trim();
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    stamp::parse(text).or_else(|| {
        let civil = text.parse::<jiff::civil::DateTime>().ok()?;
        utc(civil).map(|timestamp| Millis(timestamp.as_millisecond()))
    })
}

fn utc(civil: jiff::civil::DateTime) -> Option<jiff::Timestamp> {
    civil.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number: &f64| number.is_finite() && number.abs() < 1e15)
}

fn parts(object: &Map<String, Value>) -> Option<Millis> {
    let part = |name: &str, default: Option<i64>| match object.get(name) {
        Some(value) => value.as_i64(),
        None => default,
    };
    let civil = jiff::civil::DateTime::new(
        i16::try_from(part("year", None)?).ok()?,
        i8::try_from(part("month", None)?).ok()?,
        i8::try_from(part("day", None)?).ok()?,
        i8::try_from(part("hour", Some(0))?).ok()?,
        i8::try_from(part("minute", Some(0))?).ok()?,
        i8::try_from(part("second", Some(0))?).ok()?,
        i32::try_from(part("microsecond", Some(0))?.checked_mul(1_000)?).ok()?,
    );
    utc(civil.ok()?).map(|timestamp| Millis(timestamp.as_millisecond()))
}

fn as_parts(kind: Parts, timestamp: jiff::Timestamp) -> Value {
    let civil = jiff::tz::TimeZone::UTC.to_datetime(timestamp);
    let (year, month, day) = (civil.year(), civil.month(), civil.day());
    match kind {
        Parts::Date => json!({ TAG: "date", "year": year, "month": month, "day": day }),
        Parts::DateTime => json!({
            TAG: "datetime", "year": year, "month": month, "day": day, "hour": civil.hour(), "minute": civil.minute(),
            "second": civil.second(), "microsecond": civil.subsec_nanosecond() / 1_000,
        }),
    }
}

word!(
    Format,
    "times",
    "How times are spelled: `iso8601`, `iso8601_ms`, `epoch_s`, `epoch_ms`, `rfc1123`, `date`, `parts`, `date_parts`, or a pattern such as `%Y-%m-%d %H:%M:%S`."
);

#[cfg(test)]
mod tests {
    use super::*;

    const AT: i64 = 1_777_977_121_000; // 2026-05-05T10:32:01Z

    #[test]
    fn times_are_read_and_written() {
        for (word, value, expected) in [
            ("iso8601", json!("2026-05-05T10:32:01Z"), Some(AT)),
            ("iso8601", json!("2026-05-05T12:32:01+02:00"), Some(AT)),
            ("iso8601", json!("2026-05-05 10:32:01"), Some(AT)),
            ("iso8601", json!("2026-05-05"), Some(AT - 37_921_000)),
            ("iso8601", json!("1777977121"), None),
            ("iso8601", json!(1), None),
            ("iso8601_ms", json!("2026-05-05T10:32:01.250Z"), Some(AT + 250)),
            ("epoch_s", json!(1_777_977_121), Some(AT)),
            ("epoch_s", json!("1777977121.5"), Some(AT + 500)),
            ("epoch_s", json!("soon"), None),
            ("epoch_s", json!(1e300), None),
            ("epoch_ms", json!(AT), Some(AT)),
            ("rfc1123", json!("Tue, 05 May 2026 10:32:01 GMT"), Some(AT)),
            ("date", json!("2026-05-05"), Some(AT - 37_921_000)),
            ("%d.%m.%Y %H:%M:%S", json!("05.05.2026 10:32:01"), Some(AT)),
            ("%d.%m.%Y", json!("05.05.2026"), Some(AT - 37_921_000)),
            ("%d.%m.%Y", json!("2026"), None),
            (
                "parts",
                json!({"__class__": "datetime", "year": 2026, "month": 5, "day": 5, "hour": 10, "minute": 32, "second": 1, "microsecond": 0}),
                Some(AT),
            ),
            ("parts", json!({"year": 2026, "month": 13, "day": 5}), None),
            ("date_parts", json!({"__class__": "date", "year": 2026, "month": 5, "day": 5}), Some(AT - 37_921_000)),
        ] {
            let format = Format::parse(word).expect(word);
            let read = format.read(&value);
            assert_eq!(read, expected.map(Millis), "{word} {value}");
            if let Some(at) = read.filter(|at| at.0 % 1_000 == 0) {
                assert_eq!(format.read(&format.write(at)), Some(at), "{word} {value}");
            }
        }
        assert_eq!(Format::Iso8601.write(Millis(AT + 999)), json!("2026-05-05T10:32:01Z"));
        assert_eq!(Format::Rfc1123.write(Millis(AT)), json!("Tue, 05 May 2026 10:32:01 GMT"));
    }

    #[test]
    fn unknown_spellings_are_refused() {
        for (text, part) in [("iso8601ms", "`iso8601_ms`"), ("nonsense", "iso8601, "), ("100%", "strftime")] {
            let error = Format::parse(text).expect_err(text);
            assert!(error.remedy.contains(part), "{text}: {error:?}");
        }
    }
}
