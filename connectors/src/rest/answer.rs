//! What came back from a call.

use bytes::Bytes;
use http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use syncline_core::{
    remote::{ProviderError, Remedy},
    time::Millis,
};

/// The longest piece of an unknown body that a message quotes.
const QUOTE_CHARS_MAX: usize = 200;

/// An answer of any status.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON. The depth is bounded by serde_json's own limit, the size by the HTTP client's.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ProviderError> {
        serde_json::from_slice(&self.body).map_err(|error| ProviderError {
            remedy: Remedy::Retry,
            message: format!("HTTP {}: the answer cannot be read: {error}", self.status),
        })
    }

    /// The provider's present time, from the `Date` header.
    pub fn date(&self) -> Option<Millis> {
        let date = httpdate::parse_http_date(self.header(header::DATE.as_str())?).ok()?;
        let since_epoch = date.duration_since(std::time::UNIX_EPOCH).ok()?;
        i64::try_from(since_epoch.as_millis()).ok().map(Millis)
    }

    /// The provider's present time, which a probe cannot do without.
    pub fn clock(&self) -> Result<Millis, ProviderError> {
        self.date().ok_or_else(|| ProviderError {
            remedy: Remedy::Retry,
            message: "the answer carries no date, so the provider's clock is unknown".to_owned(),
        })
    }

    /// How long the provider asks us to wait, where `Retry-After` says so in seconds or as a date beside its own `Date`.
    pub fn retry_after_ms(&self) -> Option<u64> {
        let text = self.header(header::RETRY_AFTER.as_str())?.trim();
        if let Ok(seconds) = text.parse::<f64>() {
            return (seconds.is_finite() && seconds >= 0.0).then_some((seconds * 1000.0) as u64);
        }
        let until = httpdate::parse_http_date(text).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        let now = self.date()?.0;
        u64::try_from(i64::try_from(until.as_millis()).ok()?.saturating_sub(now)).ok()
    }

    /// The beginning of a body that is not the provider's JSON, such as a gateway's page, for messages.
    pub fn excerpt(&self) -> String {
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(4 * QUOTE_CHARS_MAX)]);
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        line.chars().take(QUOTE_CHARS_MAX).collect()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn answer(headers: &[(&'static str, &'static str)]) -> Answer {
        let headers = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        Answer { status: 429, headers, body: Bytes::new() }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(answer(&[date]).date(), Some(Millis(784_111_777_000)));
        assert_eq!(answer(&[("retry-after", "2")]).retry_after_ms(), Some(2_000));
        assert_eq!(answer(&[date, ("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT")]).retry_after_ms(), Some(60_000));
        assert_eq!(answer(&[date, ("retry-after", "Sun, 06 Nov 1994 08:48:37 GMT")]).retry_after_ms(), None);
        assert_eq!(answer(&[("retry-after", "soon")]).retry_after_ms(), None);
        assert_eq!(answer(&[]).retry_after_ms(), None);
    }

    #[test]
    fn excerpts_are_short_and_on_one_line() {
        let body = Bytes::from("<html>\n  Bad   gateway ".repeat(100));
        let excerpt = Answer { status: 502, body, ..Answer::default() }.excerpt();
        assert!(excerpt.starts_with("<html> Bad gateway <html>"));
        assert_eq!(excerpt.chars().count(), QUOTE_CHARS_MAX);
    }
}
