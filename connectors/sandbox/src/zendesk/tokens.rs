//! Who a token belongs to, and until when. A refresh kills the pair that it replaces, at once.

use std::collections::HashMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::caller::{INTEGRATION_EMAIL, Principal};
use crate::clock::Micros;
use crate::sandbox::Credentials;

/// The life of an access token where the client asks for none, in seconds.
pub(crate) const ACCESS_SECONDS: i64 = 1_800;
/// The life of a refresh token where the client asks for none, in seconds.
pub(crate) const REFRESH_SECONDS: i64 = 2_592_000;
/// What a client may ask for, in seconds.
pub(crate) const ACCESS_RANGE: std::ops::RangeInclusive<i64> = 300..=172_800;
/// What a client may ask for, in seconds.
pub(crate) const REFRESH_RANGE: std::ops::RangeInclusive<i64> = 604_800..=7_776_000;
/// The life of an authorisation code, in seconds.
const CODE_SECONDS: i64 = 120;
/// The most pairs that are kept; beyond it dead ones are forgotten.
const PAIRS_MAX: usize = 10_000;

/// A pair of tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    /// Opens the API.
    pub(crate) access: String,
    /// Gets the next pair, once.
    pub(crate) refresh: String,
    /// The life of the first, in seconds.
    pub(crate) access_s: i64,
    /// The life of the second, in seconds.
    pub(crate) refresh_s: i64,
}

/// The lives that a client asks for, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lives {
    /// Of the access token.
    pub(crate) access_s: i64,
    /// Of the refresh token.
    pub(crate) refresh_s: i64,
}

impl Default for Lives {
    fn default() -> Self {
        Self { access_s: ACCESS_SECONDS, refresh_s: REFRESH_SECONDS }
    }
}

/// The tokens of the account.
#[derive(Debug)]
pub(crate) struct Tokens {
    credentials: Credentials,
    /// Access tokens with their ends.
    access: HashMap<String, Micros>,
    /// Refresh tokens with their ends and the access token that they came with.
    refresh: HashMap<String, (Micros, String)>,
    codes: HashMap<String, (String, Micros)>,
    rng: ChaCha8Rng,
}

impl Tokens {
    /// The tokens of a fresh account; the integration's first pair lives from `now` on.
    pub(crate) fn new(credentials: Credentials, seed: u64, now: Micros) -> Self {
        let access = HashMap::from([(credentials.integration_token.clone(), after(now, ACCESS_SECONDS))]);
        let first = (after(now, REFRESH_SECONDS), credentials.integration_token.clone());
        let refresh = HashMap::from([(credentials.refresh_token.clone(), first)]);
        Self { credentials, access, refresh, codes: HashMap::new(), rng: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// Finds the owner of a bearer token.
    pub(crate) fn bearer(&self, token: &str, now: Micros) -> Option<Principal> {
        if token == self.credentials.user_token {
            return Some(Principal::Agent);
        }
        self.access.get(token).filter(|end| **end > now).map(|_| Principal::Integration)
    }

    /// Finds the owner of basic credentials: `{email}/token` and an API token.
    pub(crate) fn basic(&self, user: &str, password: &str) -> Option<Principal> {
        let known = user.eq_ignore_ascii_case(&format!("{INTEGRATION_EMAIL}/token"));
        (known && password == self.credentials.api_token).then_some(Principal::Integration)
    }

    /// Whether these are the client's id and secret.
    pub(crate) fn is_client(&self, id: &str, secret: &str) -> bool {
        id == self.credentials.client_id && secret == self.credentials.client_secret
    }

    /// Whether this is the client's id.
    pub(crate) fn is_client_id(&self, id: &str) -> bool {
        id == self.credentials.client_id
    }

    /// Issues a pair.
    pub(crate) fn issue(&mut self, lives: Lives, now: Micros) -> Pair {
        if self.access.len() >= PAIRS_MAX {
            self.access.retain(|_, end| *end > now);
            self.refresh.retain(|_, (end, _)| *end > now);
        }
        let (access, refresh) = (self.secret(), self.secret());
        self.access.insert(access.clone(), after(now, lives.access_s));
        self.refresh.insert(refresh.clone(), (after(now, lives.refresh_s), access.clone()));
        Pair { access, refresh, access_s: lives.access_s, refresh_s: lives.refresh_s }
    }

    /// Exchanges a refresh token for a pair; both tokens of the old pair are dead afterwards.
    pub(crate) fn rotate(&mut self, refresh: &str, lives: Lives, now: Micros) -> Option<Pair> {
        let (end, access) = self.refresh.remove(refresh)?;
        self.access.remove(&access);
        (end > now).then(|| self.issue(lives, now))
    }

    /// Issues an authorisation code for a redirect URI.
    pub(crate) fn issue_code(&mut self, redirect_uri: &str, now: Micros) -> String {
        self.codes.retain(|_, (_, end)| *end > now);
        let code = self.secret();
        self.codes.insert(code.clone(), (redirect_uri.to_owned(), after(now, CODE_SECONDS)));
        code
    }

    /// Uses up an authorisation code.
    pub(crate) fn redeem_code(&mut self, code: &str, redirect_uri: &str, now: Micros) -> bool {
        self.codes.remove(code).is_some_and(|(uri, end)| uri == redirect_uri && end > now)
    }

    /// Ends one access token now.
    pub(crate) fn expire(&mut self, token: &str, now: Micros) {
        if let Some(end) = self.access.get_mut(token) {
            *end = (*end).min(now);
        }
    }

    /// Ends all access tokens now, and says how many were alive.
    pub(crate) fn expire_all(&mut self, now: Micros) -> usize {
        let alive = self.access.values_mut().filter(|end| **end > now);
        alive.map(|end| *end = now).count()
    }

    /// The access token that is in use as this one: its life in seconds, if it has one left.
    pub(crate) fn seconds_left(&self, token: &str, now: Micros) -> Option<u64> {
        self.access.get(token).filter(|end| **end > now).map(|end| end.since(now).as_secs())
    }

    /// A secret that was not given out before.
    pub(crate) fn secret(&mut self) -> String {
        format!("{:032x}{:032x}", self.rng.random::<u128>(), self.rng.random::<u128>())
    }
}

fn after(now: Micros, seconds: i64) -> Micros {
    Micros(now.0 + seconds * 1_000_000)
}
