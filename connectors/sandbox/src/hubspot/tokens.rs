//! Who a bearer token belongs to, and until when.

use std::collections::HashMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::clock::Micros;
use crate::sandbox::Credentials;

/// The life of an access token, in seconds; the platform's own, whatever the time scale.
pub(crate) const ACCESS_TOKEN_SECONDS: i64 = 1_800;

/// The life of an authorisation code, in seconds.
const CODE_SECONDS: i64 = 600;

/// Hexadecimal digits of an access token: long, because clients must not cut them.
const TOKEN_DIGITS: usize = 320;

/// Above this many access tokens the expired ones are forgotten.
const ACCESS_TOKENS_MAX: usize = 10_000;

/// Who sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Principal {
    /// The connected app.
    Integration,
    /// The ordinary user of the user token.
    User,
}

/// Why a token was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenError {
    /// Nobody issued it.
    Unknown,
    /// Its time is over, since then.
    Expired(Micros),
}

/// The tokens of one account.
#[derive(Debug)]
pub(crate) struct Tokens {
    credentials: Credentials,
    revoked: bool,
    access: HashMap<String, Micros>,
    /// Authorisation codes with their redirect URI and end.
    codes: HashMap<String, (String, Micros)>,
    rng: ChaCha8Rng,
}

impl Tokens {
    /// The tokens of a fresh account; the integration's first access token lives from `now` on.
    pub(crate) fn new(credentials: Credentials, seed: u64, now: Micros) -> Self {
        let access = HashMap::from([(credentials.integration_token.clone(), end_of_life(now))]);
        Self { credentials, revoked: false, access, codes: HashMap::new(), rng: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// Finds the owner of a bearer token.
    pub(crate) fn principal(&self, token: &str, now: Micros) -> Result<Principal, TokenError> {
        if token == self.credentials.user_token {
            return Ok(Principal::User);
        }
        match self.access.get(token) {
            None => Err(TokenError::Unknown),
            Some(end) if *end <= now => Err(TokenError::Expired(*end)),
            Some(_) => Ok(Principal::Integration),
        }
    }

    /// When an access token ends, if it is one.
    pub(crate) fn expires(&self, token: &str) -> Option<Micros> {
        self.access.get(token).copied()
    }

    /// Whether these are the app's id and secret.
    pub(crate) fn is_app(&self, client_id: &str, client_secret: &str) -> bool {
        client_id == self.credentials.client_id && client_secret == self.credentials.client_secret
    }

    /// Whether this is the app's id.
    pub(crate) fn is_client(&self, client_id: &str) -> bool {
        client_id == self.credentials.client_id
    }

    /// Whether a refresh token is alive.
    pub(crate) fn is_refresh_token(&self, token: &str) -> bool {
        !self.revoked && token == self.credentials.refresh_token
    }

    /// The refresh token, which never changes.
    pub(crate) fn refresh_token(&self) -> &str {
        &self.credentials.refresh_token
    }

    /// Kills the refresh token and every access token, as an uninstall does.
    pub(crate) fn revoke(&mut self) {
        self.revoked = true;
        self.access.clear();
    }

    /// Issues an access token.
    pub(crate) fn issue(&mut self, now: Micros) -> String {
        if self.access.len() >= ACCESS_TOKENS_MAX {
            self.access.retain(|_, end| *end > now);
        }
        let token = self.random_token();
        self.access.insert(token.clone(), end_of_life(now));
        token
    }

    /// Issues an authorisation code for a redirect URI.
    pub(crate) fn issue_code(&mut self, redirect_uri: &str, now: Micros) -> String {
        self.codes.retain(|_, (_, end)| *end > now);
        let code = format!("code-{:032x}", self.rng.random::<u128>());
        let end = Micros(now.0 + CODE_SECONDS * 1_000_000);
        self.codes.insert(code.clone(), (redirect_uri.to_owned(), end));
        code
    }

    /// Uses up an authorisation code; the account is (again) connected if it is good.
    pub(crate) fn redeem_code(&mut self, code: &str, redirect_uri: &str, now: Micros) -> bool {
        let good = self.codes.remove(code).is_some_and(|(uri, end)| uri == redirect_uri && end > now);
        self.revoked &= !good;
        good
    }

    /// Ends one access token now.
    pub(crate) fn expire(&mut self, token: &str, now: Micros) {
        if let Some(end) = self.access.get_mut(token) {
            *end = (*end).min(now);
        }
    }

    /// Ends all access tokens now, and says how many were alive.
    pub(crate) fn expire_all(&mut self, now: Micros) -> usize {
        let mut ended = 0;
        for end in self.access.values_mut().filter(|end| **end > now) {
            *end = now;
            ended += 1;
        }
        ended
    }

    fn random_token(&mut self) -> String {
        let mut token = String::with_capacity(TOKEN_DIGITS);
        while token.len() < TOKEN_DIGITS {
            token.push_str(&format!("{:032x}", self.rng.random::<u128>()));
        }
        token
    }
}

fn end_of_life(now: Micros) -> Micros {
    Micros(now.0 + ACCESS_TOKEN_SECONDS * 1_000_000)
}
