//! Access tokens, refresh tokens and authorisation codes.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use crate::clock::Micros;
use crate::sandbox::Credentials;

/// How long a session lives after its last use.
pub(crate) const SESSION_IDLE_MAX: Duration = Duration::from_secs(2 * 60 * 60);
/// How long an authorisation code can be exchanged.
const CODE_LIFE: Duration = Duration::from_secs(15 * 60);
/// Grants per user and app; one more revokes the oldest.
const GRANTS_MAX: usize = 5;

/// Which principal a token belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Principal {
    /// The connected app's user.
    Integration,
    /// The ordinary user of the long-lived token.
    User,
}

/// Why a grant was refused, as the `error` and `error_description` of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GrantError {
    pub(crate) error: &'static str,
    pub(crate) description: &'static str,
}

const EXPIRED: GrantError = GrantError { error: "invalid_grant", description: "expired access/refresh token" };
const BAD_CODE: GrantError = GrantError { error: "invalid_grant", description: "expired authorization code" };
const BAD_VERIFIER: GrantError = GrantError { error: "invalid_grant", description: "invalid code verifier" };

/// A fresh session.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    pub(crate) access_token: String,
    /// Present after the exchange of a code, and when tokens rotate.
    pub(crate) refresh_token: Option<String>,
}

#[derive(Debug)]
struct Session {
    family: u64,
    used_at: Micros,
}

#[derive(Debug)]
struct Family {
    id: u64,
    /// The refresh token that works.
    current: String,
    /// Those that worked before; using one revokes the family.
    retired: Vec<String>,
}

#[derive(Debug)]
struct Code {
    redirect_uri: String,
    challenge: Option<String>,
    issued_at: Micros,
}

/// Everything that lets a client in.
#[derive(Debug)]
pub(crate) struct Sessions {
    user_token: String,
    idle_max: Duration,
    families: Vec<Family>,
    sessions: HashMap<String, Session>,
    codes: HashMap<String, Code>,
    next_family: u64,
    rng: ChaCha8Rng,
}

impl Sessions {
    /// The sessions of a fresh org: one connection of the app, already authorised.
    pub(crate) fn new(credentials: &Credentials, idle_max: Duration, now: Micros, seed: u64) -> Self {
        let family = Family { id: 0, current: credentials.refresh_token.clone(), retired: Vec::new() };
        let session = Session { family: 0, used_at: now };
        Self {
            user_token: credentials.user_token.clone(),
            idle_max,
            families: vec![family],
            sessions: HashMap::from([(credentials.integration_token.clone(), session)]),
            codes: HashMap::new(),
            next_family: 1,
            rng: ChaCha8Rng::seed_from_u64(seed ^ 0x05e5_5105),
        }
    }

    /// Whose token it is, if it lives; using a session prolongs it.
    pub(crate) fn authenticate(&mut self, token: &str, now: Micros) -> Option<Principal> {
        if token == self.user_token {
            return Some(Principal::User);
        }
        let idle_max = self.idle_max;
        let session = self.sessions.get_mut(token)?;
        if now.since(session.used_at) > idle_max {
            self.sessions.remove(token);
            return None;
        }
        session.used_at = now;
        Some(Principal::Integration)
    }

    /// Ends one session.
    pub(crate) fn expire(&mut self, token: &str) {
        self.sessions.remove(token);
    }

    /// Ends every session of the app and returns how many there were; refresh tokens stay.
    pub(crate) fn expire_all(&mut self) -> usize {
        let count = self.sessions.len();
        self.sessions.clear();
        count
    }

    /// Exchanges a refresh token for a session. With `rotate` the refresh token is exchanged too.
    pub(crate) fn refresh(&mut self, refresh_token: &str, rotate: bool, now: Micros) -> Result<Grant, GrantError> {
        let place = self.families.iter().position(|family| family.current == refresh_token);
        let Some(place) = place else {
            self.revoke_reused(refresh_token);
            return Err(EXPIRED);
        };
        let rotated = rotate.then(|| self.secret("refresh"));
        let family = &mut self.families[place];
        if let Some(fresh) = &rotated {
            let retired = std::mem::replace(&mut family.current, fresh.clone());
            family.retired.push(retired);
        }
        let family = family.id;
        Ok(Grant { access_token: self.open(family, now), refresh_token: rotated })
    }

    /// A code for the browser to carry back to the app.
    pub(crate) fn issue_code(&mut self, redirect_uri: &str, challenge: Option<String>, now: Micros) -> String {
        self.codes.retain(|_, code| now.since(code.issued_at) <= CODE_LIFE);
        let code = self.secret("code");
        self.codes.insert(code.clone(), Code { redirect_uri: redirect_uri.to_owned(), challenge, issued_at: now });
        code
    }

    /// Exchanges a code for a session and a refresh token. A code works once.
    pub(crate) fn exchange(
        &mut self,
        code: &str,
        redirect_uri: &str,
        verifier: Option<&str>,
        now: Micros,
    ) -> Result<Grant, GrantError> {
        let code = self.codes.remove(code).ok_or(BAD_CODE)?;
        if now.since(code.issued_at) > CODE_LIFE || code.redirect_uri != redirect_uri {
            return Err(BAD_CODE);
        }
        let proven = code.challenge.is_none_or(|challenge| {
            verifier.is_some_and(|verifier| URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) == challenge)
        });
        if !proven {
            return Err(BAD_VERIFIER);
        }
        Ok(self.connect(now))
    }

    /// A session without a refresh token, for an app that acts as itself.
    pub(crate) fn client_credentials(&mut self, now: Micros) -> Grant {
        let grant = self.connect(now);
        Grant { refresh_token: None, ..grant }
    }

    /// Ends a session, or a connection with its sessions. Returns whether there was one.
    pub(crate) fn revoke(&mut self, token: &str) -> bool {
        if self.sessions.remove(token).is_some() {
            return true;
        }
        match self.families.iter().position(|family| family.current == token) {
            Some(place) => {
                self.drop_family(place);
                true
            }
            None => false,
        }
    }

    fn connect(&mut self, now: Micros) -> Grant {
        if self.families.len() >= GRANTS_MAX {
            self.drop_family(0);
        }
        let id = self.next_family;
        self.next_family += 1;
        let refresh_token = self.secret("refresh");
        self.families.push(Family { id, current: refresh_token.clone(), retired: Vec::new() });
        Grant { access_token: self.open(id, now), refresh_token: Some(refresh_token) }
    }

    fn revoke_reused(&mut self, refresh_token: &str) {
        let reused = |family: &Family| family.retired.iter().any(|retired| retired == refresh_token);
        if let Some(place) = self.families.iter().position(reused) {
            self.drop_family(place);
        }
    }

    fn drop_family(&mut self, place: usize) {
        let family = self.families.remove(place);
        self.sessions.retain(|_, session| session.family != family.id);
    }

    fn open(&mut self, family: u64, now: Micros) -> String {
        let idle_max = self.idle_max;
        self.sessions.retain(|_, session| now.since(session.used_at) <= idle_max);
        let token = format!("00DSb0000000001!{}", self.secret("session"));
        self.sessions.insert(token.clone(), Session { family, used_at: now });
        token
    }

    fn secret(&mut self, what: &str) -> String {
        format!("{what}.{:032x}", self.rng.random::<u128>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Micros = Micros(1_800_000_000_000_000);

    fn sessions() -> Sessions {
        let credentials = Credentials {
            client_id: "client".into(),
            client_secret: "secret".into(),
            refresh_token: "first".into(),
            integration_token: "token".into(),
            user_token: "user".into(),
            api_token: "api".into(),
            private_key: None,
        };
        Sessions::new(&credentials, SESSION_IDLE_MAX, START, 1)
    }

    #[test]
    fn a_session_lives_as_long_as_it_is_used() {
        let mut sessions = sessions();
        let hour = Duration::from_secs(3_600);
        assert_eq!(sessions.authenticate("token", START.plus(hour)), Some(Principal::Integration));
        assert_eq!(sessions.authenticate("token", START.plus(hour * 2)), Some(Principal::Integration));
        assert_eq!(sessions.authenticate("token", START.plus(hour * 5)), None);
        assert_eq!(sessions.authenticate("user", START.plus(hour * 5_000)), Some(Principal::User));
        assert_eq!(sessions.authenticate("nobody", START), None);
    }

    #[test]
    fn reuse_of_a_rotated_token_revokes_the_family() {
        let mut sessions = sessions();
        let kept = sessions.refresh("first", false, START).unwrap();
        assert_eq!(kept.refresh_token, None);
        let rotated = sessions.refresh("first", true, START).unwrap();
        let second = rotated.refresh_token.unwrap();
        assert!(sessions.authenticate(&rotated.access_token, START).is_some());
        assert_eq!(sessions.refresh("first", true, START).unwrap_err(), EXPIRED);
        assert!(sessions.authenticate(&rotated.access_token, START).is_none());
        assert_eq!(sessions.refresh(&second, true, START).unwrap_err(), EXPIRED);
    }

    #[test]
    fn a_code_needs_its_verifier_and_works_once() {
        let mut sessions = sessions();
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest("right"));
        for (verifier, fine) in [(Some("right"), true), (Some("wrong"), false), (None, false)] {
            let code = sessions.issue_code("http://app/back", Some(challenge.clone()), START);
            assert_eq!(sessions.exchange(&code, "http://app/back", verifier, START).is_ok(), fine);
            assert_eq!(sessions.exchange(&code, "http://app/back", verifier, START).unwrap_err(), BAD_CODE);
        }
    }

    #[test]
    fn the_sixth_grant_revokes_the_oldest() {
        let mut sessions = sessions();
        for _ in 0..5 {
            let code = sessions.issue_code("http://app/back", None, START);
            sessions.exchange(&code, "http://app/back", None, START).unwrap();
        }
        assert_eq!(sessions.refresh("first", false, START).unwrap_err(), EXPIRED);
    }
}
