//! Tokens for clients that can only name a URL: signed, expiring, scoped to a tenant and to what they may do.

use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use syncline_core::ids::TenantId;

use super::{Access, Holder};
use crate::{engine::commands::Principal, store::keys::KeyHash};

/// The longest that a token may be valid.
pub const VALID_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Who made the tokens; a token of another kind of service is not taken, though it bears a good signature.
const ISSUER: &str = "syncline";

/// Whom the tokens are for.
const AUDIENCE: &str = "syncline-repo";

/// Makes tokens and reads them. JSON Web Tokens with HMAC-SHA256: the same service signs and verifies.
pub struct Tokens {
    signing: EncodingKey,
    verifying: DecodingKey,
    validation: Validation,
}

/// What a token says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    iss: String,
    aud: String,
    /// Until when it is valid, in seconds since 1970.
    pub exp: u64,
    tenant: TenantId,
    /// The principal: shown as the origin of changes.
    sub: String,
    access: Access,
    /// The hash of the API key that made the token: a token dies with its key.
    key: String,
}

/// Why a token is not taken. Nothing of it is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It has expired.
    #[error("the token has expired: get a new one")]
    Expired,
    /// It was not made by this service, or was changed.
    #[error("the token is not one of this service: get one from `POST /v1/repo/tokens`")]
    Forged,
    /// The API key that made it was revoked.
    #[error("the API key that made the token is gone: get a new token")]
    Orphaned,
}

impl Tokens {
    /// Tokens that are signed with a key derived from the service's own.
    pub fn new(secret: &[u8; 32]) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.leeway = 0;
        Self { signing: EncodingKey::from_secret(secret), verifying: DecodingKey::from_secret(secret), validation }
    }

    /// Makes a token.
    ///
    /// # Errors
    /// The claims cannot be signed.
    pub fn make(&self, holder: &Holder, key: &KeyHash, exp: u64) -> Result<String, jsonwebtoken::errors::Error> {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            exp,
            tenant: holder.principal.tenant.clone(),
            sub: holder.principal.name.clone(),
            access: holder.access.clone(),
            key: key.to_hex(),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signing)
    }

    /// Reads a token.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn read(&self, token: &str) -> Result<Claims, TokenError> {
        match jsonwebtoken::decode::<Claims>(token, &self.verifying, &self.validation) {
            Ok(read) => Ok(read.claims),
            Err(error) if *error.kind() == jsonwebtoken::errors::ErrorKind::ExpiredSignature => {
                Err(TokenError::Expired)
            }
            Err(_) => Err(TokenError::Forged),
        }
    }
}

impl Claims {
    /// Who holds the token, and what it may do.
    pub fn holder(&self) -> Holder {
        let principal = Principal { tenant: self.tenant.clone(), name: self.sub.clone() };
        Holder { principal, access: self.access.clone() }
    }

    /// The hash of the API key that made the token.
    pub fn key(&self) -> Option<KeyHash> {
        KeyHash::from_hex(&self.key)
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder() -> Holder {
        Holder {
            principal: Principal { tenant: "acme".into(), name: "backend/tab".into() },
            access: Access { models: Some([("contact".into())].into()), ..Access::all() },
        }
    }

    #[test]
    fn a_token_says_what_was_put_in_until_it_expires_and_only_where_it_was_made() {
        let tokens = Tokens::new(&[7; 32]);
        let key = KeyHash::of("secret");
        let token = tokens.make(&holder(), &key, u64::MAX / 2).unwrap();
        let claims = tokens.read(&token).unwrap();
        assert_eq!((claims.holder(), claims.key()), (holder(), Some(key)));
        let old = tokens.make(&holder(), &key, 1_000).unwrap();
        assert_eq!(tokens.read(&old).unwrap_err(), TokenError::Expired);
        assert_eq!(Tokens::new(&[8; 32]).read(&token).unwrap_err(), TokenError::Forged);
    }

    #[test]
    fn no_letter_of_a_token_can_be_changed() {
        let tokens = Tokens::new(&[7; 32]);
        let token = tokens.make(&holder(), &KeyHash::of("secret"), u64::MAX / 2).unwrap();
        for at in 0..token.len() {
            let mut bent = token.clone().into_bytes();
            bent[at] = if bent[at] == b'A' { b'B' } else { b'A' };
            if let Ok(bent) = String::from_utf8(bent)
                && bent != token
            {
                // The last letter of a part holds bits that mean nothing.
                let same = tokens.read(&bent).is_ok_and(|claims| claims.holder() == holder());
                assert!(same || tokens.read(&bent).is_err(), "letter {at}");
            }
        }
        for garbage in ["", "a.b.c", "....", "eyJhbGciOiJub25lIn0.e30."] {
            assert_eq!(tokens.read(garbage).unwrap_err(), TokenError::Forged, "{garbage}");
        }
    }
}
