//! One connection's repository and token, for the length of a call.

use http::{HeaderValue, header};
use syncline_core::remote::{ProviderError, Remedy};

use super::{
    GitHub,
    books::Books,
    errors,
    etags::{Etags, Kept, Name},
    names::Names,
    settings::{Settings, Site},
};
use crate::{
    connector::Credentials,
    http::TransportError,
    registry::scaled,
    rest::{Answer, Call, Rest},
};

/// A renamed repository leads to its new name in one step; more are followed, within reason.
const REDIRECTS_MAX: usize = 3;

/// Where and as whom calls are made.
pub(super) struct Session<'a> {
    pub(super) settings: &'a Settings,
    pub(super) site: &'a Site,
    /// The repository's path, such as `/repos/acme/app`, as the connection gives it.
    pub(super) given: String,
    /// Its path under its present name, as far as that is known.
    pub(super) repository: String,
    pub(super) names: &'a Names,
    pub(super) books: &'a Books,
    etags: &'a Etags,
    rest: &'a Rest,
    token: &'a str,
}

impl GitHub {
    /// The session of a connection. Without an access token there is nothing to call with yet: a refresh brings one.
    pub(super) fn session<'a>(&'a self, credentials: &'a Credentials) -> Result<Session<'a>, ProviderError> {
        if credentials.access_token.is_empty() {
            return Err(ProviderError {
                remedy: Remedy::Refresh,
                message: "the connection holds no access token yet".to_owned(),
            });
        }
        let given = self.site.repository(credentials.base_url.as_deref())?;
        Ok(Session {
            settings: &self.settings,
            site: &self.site,
            repository: self.names.present(&given),
            given,
            names: &self.names,
            books: &self.books,
            etags: &self.etags,
            rest: &self.rest,
            token: &credentials.access_token,
        })
    }
}

impl Session<'_> {
    /// A path inside the repository.
    pub(super) fn path(&self, rest: &str) -> String {
        format!("{}{rest}", self.repository)
    }

    /// Sends a call and hands back its answer, whatever its status.
    pub(super) async fn send(&self, call: Call) -> Result<Answer, TransportError> {
        self.rest.send(&self.site.base, Some(self.token), &self.versioned(call)).await
    }

    /// Sends a read and hands back its successful answer, from wherever a renamed repository leads.
    pub(super) async fn get(&self, mut call: Call) -> Result<Answer, ProviderError> {
        for _ in 0..=REDIRECTS_MAX {
            let answer = self.send(call).await.map_err(retry)?;
            match self.redirect(&answer)? {
                Some(path) => call = Call::get(path),
                None => return self.success(answer),
            }
        }
        Err(astray("the redirects do not end"))
    }

    /// The same, of an answer that is asked for again and again: GitHub is only asked whether it still holds.
    pub(super) async fn get_again(&self, mut call: Call) -> Result<Answer, ProviderError> {
        for _ in 0..=REDIRECTS_MAX {
            let answer = self.revalidated(call).await?;
            match self.redirect(&answer)? {
                Some(path) => call = Call::get(path),
                None => return self.success(answer),
            }
        }
        Err(astray("the redirects do not end"))
    }

    /// The answer to a read, whatever its status; one that still holds comes as if it had been sent anew.
    pub(super) async fn revalidated(&self, call: Call) -> Result<Answer, ProviderError> {
        let name = Name::of(self.token, &call.target());
        let kept = self.etags.get(&name);
        let call = match &kept {
            Some(kept) => call.header("if-none-match", kept.etag.clone()),
            None => call,
        };
        let mut answer = self.send(call).await.map_err(retry)?;
        match (answer.status, kept) {
            (304, Some(kept)) => {
                answer.status = 200;
                answer.body = kept.body;
                if let Some(link) = kept.link {
                    answer.headers.insert(header::LINK, link);
                }
            }
            (200, _) => {
                if let Some(etag) = answer.header("etag") {
                    let link: Option<HeaderValue> = answer.headers.get(header::LINK).cloned();
                    let kept = Kept { etag: etag.to_owned(), link, body: answer.body.clone() };
                    self.etags.put(name, kept);
                }
            }
            _ => {}
        }
        Ok(answer)
    }

    /// Where an answer sends us, as a path of the same host; `None` where it sends us nowhere.
    ///
    /// # Errors
    /// It sends us to another host, which must not see the token.
    pub(super) fn redirect(&self, answer: &Answer) -> Result<Option<String>, ProviderError> {
        if !matches!(answer.status, 301 | 302 | 307 | 308) {
            return Ok(None);
        }
        let location = answer.header(header::LOCATION.as_str()).unwrap_or_default();
        self.local(location).map(Some).ok_or_else(|| astray("a redirect leads to another host"))
    }

    /// An address that an answer names, as a path with its query at our host; `None` if it is at another.
    pub(super) fn local(&self, address: &str) -> Option<String> {
        let base = self.site.base.url();
        let url = base.join(address).ok().filter(|url| !address.is_empty() && url.origin() == base.origin())?;
        Some(match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        })
    }

    fn success(&self, answer: Answer) -> Result<Answer, ProviderError> {
        if answer.is_success() { Ok(answer) } else { Err(self.classified(&answer)) }
    }

    /// What a failed answer means.
    pub(super) fn classified(&self, answer: &Answer) -> ProviderError {
        self.scaled(answer, errors::classify(answer))
    }

    /// The windows of limits are scaled with the sandbox, and so is a wait for their end that the answer leaves to us.
    pub(super) fn scaled(&self, answer: &Answer, mut error: ProviderError) -> ProviderError {
        if let Remedy::Wait { after_ms: Some(after_ms), .. } = &mut error.remedy
            && !errors::says_how_long(answer)
        {
            *after_ms = scaled(*after_ms, self.settings.time_scale);
        }
        error
    }

    fn versioned(&self, call: Call) -> Call {
        call.header("accept", "application/vnd.github+json")
            .header("x-github-api-version", self.settings.api_version.clone())
    }
}

/// A read that got no answer.
fn retry(error: TransportError) -> ProviderError {
    ProviderError { remedy: Remedy::Retry, message: error.message }
}

/// Answers lead where we do not follow.
pub(super) fn astray(what: &str) -> ProviderError {
    ProviderError {
        remedy: Remedy::Configure,
        message: format!("{what}: check that the integration's `base_url` is the address that GitHub gives itself"),
    }
}
