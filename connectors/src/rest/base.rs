//! Where a provider's calls go.

use url::Url;

use crate::http::is_loopback;

/// A scheme and host that tokens may be sent to: HTTPS, or plain HTTP on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(Url);

/// Why an address cannot be a base.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BaseUrlError {
    /// The text is no address.
    #[error("`{0}` is not an address: write it like https://acme.my.salesforce.com")]
    Syntax(String),
    /// The token would travel in the clear.
    #[error("`{0}` is not https: plain http is allowed only for this machine (127.0.0.1, localhost)")]
    Insecure(String),
}

impl BaseUrl {
    /// Parses the address; a path, query or trailing slash is dropped.
    pub fn parse(text: &str) -> Result<Self, BaseUrlError> {
        let mut url = Url::parse(text.trim()).map_err(|_| BaseUrlError::Syntax(text.to_owned()))?;
        if url.host().is_none() || !url.username().is_empty() || url.password().is_some() {
            return Err(BaseUrlError::Syntax(text.to_owned()));
        }
        if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback(&url)) {
            return Err(BaseUrlError::Insecure(text.to_owned()));
        }
        url.set_path("");
        url.set_query(None);
        url.set_fragment(None);
        Ok(Self(url))
    }

    /// The scheme and host, without a trailing slash.
    pub fn as_str(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    /// The host's name, for messages.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The address itself.
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// The address of `target` (a path with its query) at this host; `None` if that would be another host.
    pub fn join(&self, target: &str) -> Option<Url> {
        let url = self.0.join(target).ok()?;
        (target.starts_with('/') && url.origin() == self.0.origin()).then_some(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_safe_addresses_are_bases() {
        let cases = [
            ("https://acme.my.salesforce.com/", Ok("https://acme.my.salesforce.com")),
            ("https://acme.my.salesforce.com/path?q#f", Ok("https://acme.my.salesforce.com")),
            ("http://127.0.0.1:8080", Ok("http://127.0.0.1:8080")),
            ("http://localhost:8080/", Ok("http://localhost:8080")),
            ("http://acme.my.salesforce.com", Err(false)),
            ("ftp://127.0.0.1", Err(false)),
            ("acme.my.salesforce.com", Err(true)),
            ("https://user:password@acme.com", Err(true)),
        ];
        for (text, expected) in cases {
            let got = BaseUrl::parse(text);
            let got = got.as_ref().map(BaseUrl::as_str).map_err(|error| matches!(error, BaseUrlError::Syntax(_)));
            assert_eq!(got, expected, "{text}");
        }
    }

    #[test]
    fn no_target_leaves_the_host() {
        let base = BaseUrl::parse("https://acme.com").expect("a base");
        assert_eq!(base.join("/a?b=c").map(String::from).as_deref(), Some("https://acme.com/a?b=c"));
        for target in ["//evil.com/a", "https://evil.com/", "a", "\\\\evil.com", "/\\evil.com", ""] {
            assert_eq!(base.join(target), None, "{target}");
        }
    }
}
