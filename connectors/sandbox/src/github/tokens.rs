//! Who a token belongs to: JWTs of the app, installation tokens of an hour, static tokens.

use std::collections::HashMap;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use super::caller::{APP_ID, Principal};
use crate::clock::Micros;
use crate::sandbox::Credentials;

/// The life of an installation token, in seconds.
pub(crate) const INSTALLATION_SECONDS: i64 = 3_600;
/// The longest life of a JWT, in seconds.
const JWT_SECONDS_MAX: i64 = 600;
/// How far a JWT's time of issue may lie ahead, in seconds.
const JWT_AHEAD_MAX: i64 = 60;
/// The most installation tokens that are kept; beyond it ended ones are forgotten.
const TOKENS_MAX: usize = 10_000;

/// The tokens of the site.
#[derive(Debug)]
pub(crate) struct Tokens {
    credentials: Credentials,
    public_key: Vec<u8>,
    installation: HashMap<String, Micros>,
    rng: ChaCha8Rng,
}

/// A fresh private key of the app, as PKCS #8 in PEM, and its public half.
pub(crate) fn app_key() -> Option<(String, Vec<u8>)> {
    let pair = KeyPair::generate(KeySize::Rsa2048).ok()?;
    let private = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).ok()?;
    let text = STANDARD.encode(private.as_ref());
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
    Some((pem, pair.public_key().as_ref().to_vec()))
}

impl Tokens {
    /// The tokens of a fresh site; the integration's first installation token lives from `now` on.
    pub(crate) fn new(credentials: Credentials, public_key: Vec<u8>, seed: u64, now: Micros) -> Self {
        let first = (credentials.integration_token.clone(), hour_after(now));
        let installation = HashMap::from([first]);
        Self { credentials, public_key, installation, rng: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// Finds the owner of a token.
    pub(crate) fn principal(&self, token: &str, now: Micros) -> Option<Principal> {
        if token == self.credentials.user_token {
            return Some(Principal::User);
        }
        if token == self.credentials.api_token {
            return Some(Principal::Machine);
        }
        self.installation.get(token).filter(|end| **end > now).map(|_| Principal::Installation)
    }

    /// Checks a JWT of the app: signature, issuer and times.
    pub(crate) fn check_jwt(&self, jwt: &str, now: Micros) -> Result<(), &'static str> {
        let undecodable = "A JSON web token could not be decoded";
        let (signed, signature) = jwt.rsplit_once('.').ok_or(undecodable)?;
        let (head, claims) = signed.split_once('.').ok_or(undecodable)?;
        let read = |part: &str| -> Option<Value> { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok() };
        let (head, claims) = (read(head).ok_or(undecodable)?, read(claims).ok_or(undecodable)?);
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| undecodable)?;
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.public_key);
        if head["alg"] != "RS256" || key.verify(signed.as_bytes(), &signature).is_err() {
            return Err(undecodable);
        }
        let issuer = claims["iss"].as_str().map_or_else(|| claims["iss"].to_string(), str::to_owned);
        if issuer != APP_ID.to_string() && issuer != self.credentials.client_id {
            return Err("'Issuer' claim ('iss') must be an Integer or the client id of the app");
        }
        let now_s = now.0.div_euclid(1_000_000);
        let issued = claims["iat"].as_i64().ok_or("'Issued at' claim ('iat') must be an Integer")?;
        let expires = claims["exp"].as_i64().ok_or("'Expiration time' claim ('exp') must be a numeric value")?;
        if issued > now_s + JWT_AHEAD_MAX {
            return Err(
                "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
            );
        }
        if expires <= now_s {
            return Err(
                "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires",
            );
        }
        if expires - issued > JWT_SECONDS_MAX || expires > now_s + JWT_SECONDS_MAX {
            return Err("'Expiration time' claim ('exp') is too far in the future");
        }
        Ok(())
    }

    /// Issues an installation token, and says when it ends.
    pub(crate) fn issue(&mut self, now: Micros) -> (String, Micros) {
        if self.installation.len() >= TOKENS_MAX {
            self.installation.retain(|_, end| *end > now);
        }
        // Their length is not fixed, and longer ones are to come.
        let token = format!("ghs_{:032x}{:032x}", self.rng.random::<u128>(), self.rng.random::<u128>());
        let end = hour_after(now);
        self.installation.insert(token.clone(), end);
        (token, end)
    }

    /// A secret that nobody else has.
    pub(crate) fn secret(&mut self) -> String {
        format!("{:032x}", self.rng.random::<u128>())
    }

    /// Ends one installation token now.
    pub(crate) fn expire(&mut self, token: &str, now: Micros) {
        if let Some(end) = self.installation.get_mut(token) {
            *end = (*end).min(now);
        }
    }

    /// Ends all installation tokens now, and says how many were alive.
    pub(crate) fn expire_all(&mut self, now: Micros) -> usize {
        let alive = self.installation.values_mut().filter(|end| **end > now);
        alive.map(|end| *end = now).count()
    }
}

fn hour_after(now: Micros) -> Micros {
    Micros(now.0 + INSTALLATION_SECONDS * 1_000_000)
}
