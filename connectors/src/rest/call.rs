//! A request as a provider describes it: pure data, comparable in tests.

use std::borrow::Cow;

use bytes::Bytes;
use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but RFC 3986's unreserved characters: `+`, `/` and `:` are encoded as well, since servers read them differently.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// `text` as one segment of a path.
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// One call of an API, without host and token.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// The path, and possibly a query that the provider made, percent-encoded.
    pub path: String,
    /// Parameters to append to the path, not yet encoded.
    pub query: Vec<(Cow<'static, str>, String)>,
    /// Headers beyond those that every call has.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// The body.
    pub body: Body,
}

/// The body of a call.
#[derive(Clone, PartialEq)]
pub enum Body {
    /// None.
    Empty,
    /// JSON.
    Json(serde_json::Value),
    /// A form, as OAuth's token endpoints want it.
    Form(Vec<(Cow<'static, str>, String)>),
}

impl std::fmt::Debug for Body {
    /// Forms hold secrets: only their keys are shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Json(value) => write!(f, "Json({value})"),
            Self::Form(pairs) => f.debug_list().entries(pairs.iter().map(|(key, _)| key)).finish(),
        }
    }
}

impl Call {
    /// A call without a body.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), query: Vec::new(), headers: Vec::new(), body: Body::Empty }
    }

    /// A GET.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    /// A POST of JSON.
    pub fn post(path: impl Into<String>, body: impl Into<serde_json::Value>) -> Self {
        Self { body: Body::Json(body.into()), ..Self::new(Method::POST, path) }
    }

    /// A PUT of JSON.
    pub fn put(path: impl Into<String>, body: impl Into<serde_json::Value>) -> Self {
        Self { body: Body::Json(body.into()), ..Self::new(Method::PUT, path) }
    }

    /// A PATCH of JSON.
    pub fn patch(path: impl Into<String>, body: impl Into<serde_json::Value>) -> Self {
        Self { body: Body::Json(body.into()), ..Self::new(Method::PATCH, path) }
    }

    /// A DELETE.
    pub fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// A POST of a form.
    pub fn form(path: impl Into<String>, pairs: Vec<(&'static str, String)>) -> Self {
        let pairs = pairs.into_iter().map(|(name, value)| (Cow::Borrowed(name), value)).collect();
        Self { body: Body::Form(pairs), ..Self::new(Method::POST, path) }
    }

    /// With a query parameter.
    #[must_use]
    pub fn query(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The path with its encoded query, as it goes on the request line.
    pub fn target(&self) -> String {
        let mut target = self.path.clone();
        for (name, value) in &self.query {
            target.push(if target.contains('?') { '&' } else { '?' });
            target.push_str(name);
            target.push('=');
            target.extend(utf8_percent_encode(value, ENCODED));
        }
        target
    }

    /// How many bytes the body has.
    pub fn body_len(&self) -> usize {
        self.payload().map_or(0, |(bytes, _)| bytes.len())
    }

    /// The body's bytes and media type.
    pub(super) fn payload(&self) -> Option<(Bytes, &'static str)> {
        match &self.body {
            Body::Empty => None,
            Body::Json(value) => Some((Bytes::from(value.to_string()), "application/json")),
            Body::Form(pairs) => {
                let encoded = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
                Some((Bytes::from(encoded), "application/x-www-form-urlencoded"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_encoded_strictly() {
        let call = Call::get("/query").query("q", "a = 'ü+1' AND b:c").query("z", "");
        assert_eq!(call.target(), "/query?q=a%20%3D%20%27%C3%BC%2B1%27%20AND%20b%3Ac&z=");
        assert_eq!(Call::get("/next?x=1").query("y", "2").target(), "/next?x=1&y=2");
    }

    #[test]
    fn a_segment_holds_any_text() {
        assert_eq!(segment("a/b?c#d e%"), "a%2Fb%3Fc%23d%20e%25");
    }

    #[test]
    fn forms_show_no_values() {
        let call = Call::form("/token", vec![("client_secret", "hush".to_owned())]);
        assert!(!format!("{call:?}").contains("hush"));
        let (bytes, media) = call.payload().expect("a body");
        assert_eq!((&bytes[..], media), (&b"client_secret=hush"[..], "application/x-www-form-urlencoded"));
    }
}
