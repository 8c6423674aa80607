//! New tokens: of an App's installation, for a statement that the App's key signs, or of a user, for the refresh token.

use async_trait::async_trait;
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
use serde::Deserialize;
use serde_json::json;
use syncline_core::{
    remote::{ProviderError, Remedy},
    time::Millis,
};

use super::{GitHub, errors};
use crate::{
    connector::{Credentials, Refresher},
    http::TransportError,
    registry::BuildError,
    rest::{Answer, Call, stamp},
};

/// The statement is dated back, since GitHub refuses one from its future, and ends within the ten minutes that it allows.
const DATED_BACK_S: i64 = 60;
const VALID_S: i64 = 9 * 60;

/// Whose tokens are refreshed, and with what.
pub(super) enum Client {
    /// An App that acts as itself, in its installations.
    App {
        /// Its client id.
        id: String,
        /// Its private key.
        key: Box<RsaKeyPair>,
    },
    /// An App or OAuth application that acts for users.
    User {
        /// Its client id.
        id: String,
        /// Its client secret.
        secret: Option<String>,
    },
    /// Tokens are given and never refreshed.
    Nobody,
}

impl Client {
    /// Tells the two by the secret: a private key is an App's.
    pub(super) fn new(id: Option<String>, secret: Option<String>) -> Result<Self, BuildError> {
        let Some(id) = id else { return Ok(Self::Nobody) };
        match secret {
            Some(secret) if secret.trim_start().starts_with("-----BEGIN") => Ok(Self::App { id, key: key(&secret)? }),
            secret => Ok(Self::User { id, secret }),
        }
    }

    /// Whether there is anybody whose tokens are refreshed.
    pub(super) fn refreshes(&self) -> bool {
        !matches!(self, Self::Nobody)
    }
}

/// Reads a private key, in the form in which GitHub hands it out or in that into which people turn it for other tools.
fn key(pem: &str) -> Result<Box<RsaKeyPair>, BuildError> {
    let read = match PrivateKeyDer::from_pem_slice(pem.trim().as_bytes()) {
        Ok(PrivateKeyDer::Pkcs1(der)) => RsaKeyPair::from_der(der.secret_pkcs1_der()).ok(),
        Ok(PrivateKeyDer::Pkcs8(der)) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).ok(),
        _ => None,
    };
    read.map(Box::new).ok_or_else(|| BuildError::Settings {
        provider: super::NAME.to_owned(),
        message: "`client_secret` begins like a private key and cannot be read as one: give the whole file that GitHub made for \
                  the App, with its line ends"
            .to_owned(),
    })
}

/// What an App states of itself: a JSON web token, signed with RS256.
fn signed(key: &RsaKeyPair, id: &str, now: Millis) -> Result<String, ProviderError> {
    let now = now.0.div_euclid(1_000);
    let head = json!({"alg": "RS256", "typ": "JWT"});
    let claims = json!({"iat": now - DATED_BACK_S, "exp": now + VALID_S, "iss": id});
    let encoded = |part: &serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let statement = format!("{}.{}", encoded(&head), encoded(&claims));
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), statement.as_bytes(), &mut signature)
        .map_err(|_| configure("the App's private key cannot sign: give the integration the key that GitHub made"))?;
    Ok(format!("{statement}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

#[async_trait]
impl Refresher for GitHub {
    async fn refresh(&self, credentials: &Credentials, now: Millis) -> Result<Credentials, ProviderError> {
        let retry = |error: TransportError| ProviderError { remedy: Remedy::Retry, message: error.message };
        match &self.client {
            Client::App { id, key } => {
                let statement = signed(key, id, now)?;
                let call = installation_call(&self.site.prefix, &self.settings.api_version, credentials)?;
                let answer = self.rest.send(&self.site.base, Some(&statement), &call).await.map_err(retry)?;
                read_installation(&answer, credentials)
            }
            Client::User { id, secret } => {
                let call = user_call(id, secret.as_deref(), credentials)?;
                let answer = self.rest.send(&self.site.login, None, &call).await.map_err(retry)?;
                read_user(&answer, credentials, now)
            }
            Client::Nobody => {
                Err(configure("the integration has no `client_id`, so tokens cannot be refreshed: set it"))
            }
        }
    }
}

fn configure(message: &str) -> ProviderError {
    ProviderError { remedy: Remedy::Configure, message: message.to_owned() }
}

fn reauthorise(message: impl Into<String>) -> ProviderError {
    ProviderError { remedy: Remedy::Reauthorise, message: message.into() }
}

/// An installation is named by its number, which the connection holds in the place of a refresh token.
fn installation_call(prefix: &str, api_version: &str, credentials: &Credentials) -> Result<Call, ProviderError> {
    let number: Option<u64> = credentials.refresh_token.as_deref().and_then(|text| text.trim().parse().ok());
    let Some(number) = number else {
        return Err(reauthorise(
            "the connection does not name the App's installation: install the App, and give the installation's number as \
             `refresh_token`",
        ));
    };
    Ok(Call::post(format!("{prefix}/app/installations/{number}/access_tokens"), json!({}))
        .header("accept", "application/vnd.github+json")
        .header("x-github-api-version", api_version))
}

#[derive(Deserialize)]
struct InstallationToken {
    token: String,
    expires_at: String,
}

fn read_installation(answer: &Answer, old: &Credentials) -> Result<Credentials, ProviderError> {
    if !answer.is_success() {
        let mut error = errors::classify(answer);
        match answer.status {
            404 | 410 => {
                return Err(reauthorise(format!("the App's installation is not there any more: {}", error.message)));
            }
            401 => error.remedy = Remedy::Configure,
            403 if error.remedy == Remedy::Configure => error.remedy = Remedy::Reauthorise,
            _ => {}
        }
        return Err(error);
    }
    let token: InstallationToken = unquoted(answer)?;
    Ok(Credentials {
        access_token: token.token,
        refresh_token: old.refresh_token.clone(),
        expires_at: stamp::parse(&token.expires_at),
        base_url: old.base_url.clone(),
    })
}

fn user_call(id: &str, secret: Option<&str>, credentials: &Credentials) -> Result<Call, ProviderError> {
    let refresh_token = credentials
        .refresh_token
        .clone()
        .ok_or_else(|| reauthorise("the connection has no refresh token: authorise it again"))?;
    let secret = secret
        .ok_or_else(|| configure("the integration has no `client_secret`, so tokens cannot be refreshed: set it"))?;
    let form = vec![
        ("grant_type", "refresh_token".to_owned()),
        ("client_id", id.to_owned()),
        ("client_secret", secret.to_owned()),
        ("refresh_token", refresh_token),
    ];
    Ok(Call::form("/login/oauth/access_token", form))
}

#[derive(Deserialize)]
struct UserToken {
    access_token: String,
    refresh_token: Option<String>,
    expires_in: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct UserError {
    error: String,
    error_description: String,
}

/// Failures come with a status of success and an `error`.
fn read_user(answer: &Answer, old: &Credentials, now: Millis) -> Result<Credentials, ProviderError> {
    let UserError { error, error_description } = answer.json().unwrap_or_default();
    if !error.is_empty() {
        let remedy = match error.as_str() {
            "bad_refresh_token" | "bad_verification_code" | "unverified_user_email" => Remedy::Reauthorise,
            _ => Remedy::Configure,
        };
        let message = format!("HTTP {} from the token endpoint: {error}: {error_description}", answer.status);
        return Err(ProviderError { remedy, message });
    }
    if !answer.is_success() {
        return Err(errors::classify(answer));
    }
    let token: UserToken = unquoted(answer)?;
    Ok(Credentials {
        access_token: token.access_token,
        refresh_token: token.refresh_token.or_else(|| old.refresh_token.clone()),
        expires_at: token.expires_in.map(|seconds| now.plus(seconds.saturating_mul(1_000))),
        base_url: old.base_url.clone(),
    })
}

/// The body holds tokens: one that cannot be read is not quoted.
fn unquoted<T: serde::de::DeserializeOwned>(answer: &Answer) -> Result<T, ProviderError> {
    answer.json().map_err(|_| ProviderError {
        remedy: Remedy::Retry,
        message: format!("HTTP {}: the token answer cannot be read", answer.status),
    })
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{
        encoding::AsDer,
        rsa::{KeyPair, KeySize},
        signature::KeyPair as _,
    };
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use jsonwebtoken::{Algorithm, DecodingKey, Validation};
    use serde_json::{Value, json};

    use super::*;
    use crate::rest::Body;

    /// In PKCS #8 the key as GitHub hands it out stands after this many bytes, for a key of 2,048 bits.
    const PKCS8_HEAD: usize = 26;

    fn pem(der: &[u8], label: &str) -> String {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
    }

    fn old(refresh_token: Option<&str>) -> Credentials {
        Credentials {
            access_token: "old".into(),
            refresh_token: refresh_token.map(str::to_owned),
            expires_at: None,
            base_url: Some("https://api.github.com/repos/acme/app".into()),
        }
    }

    fn answer(status: u16, body: &Value) -> Answer {
        Answer { status, body: body.to_string().into(), ..Answer::default() }
    }

    #[test]
    fn an_app_states_who_it_is() {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key");
        let der = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).expect("the key's bytes");
        let now = 1_778_000_000;
        let mut validation = Validation::new(Algorithm::RS256);
        validation.validate_exp = false;
        let verifying = DecodingKey::from_rsa_der(pair.public_key().as_ref());
        for secret in [pem(&der.as_ref()[PKCS8_HEAD..], "RSA PRIVATE KEY"), pem(der.as_ref(), "PRIVATE KEY")] {
            let client = Client::new(Some("Iv1.app".into()), Some(secret));
            let Ok(Client::App { id, key }) = client else { panic!("an App") };
            let statement = signed(&key, &id, Millis(now * 1_000 + 999)).expect("a statement");
            let stated =
                jsonwebtoken::decode::<Value>(&statement, &verifying, &validation).expect("a genuine statement");
            assert_eq!(stated.claims, json!({"iss": "Iv1.app", "iat": now - 60, "exp": now + 540}));
        }
        for secret in [pem(&[0; 3], "RSA PRIVATE KEY"), pem(der.as_ref(), "RSA PRIVATE KEY"), "-----BEGIN".to_owned()] {
            let error = Client::new(Some("Iv1.app".into()), Some(secret)).err().expect("no key");
            assert!(error.to_string().contains("private key") && !error.to_string().contains("AAAA"), "{error}");
        }
    }

    #[test]
    fn an_installation_is_named_by_its_number() {
        let call = installation_call("", "2022-11-28", &old(Some("4711"))).expect("a call");
        assert_eq!(call.target(), "/app/installations/4711/access_tokens");
        for token in [None, Some("ghr_1"), Some("1/../2")] {
            let error = installation_call("", "2022-11-28", &old(token)).expect_err("no installation");
            assert_eq!(error.remedy, Remedy::Reauthorise);
        }
        let body =
            json!({"token": "ghs_new", "expires_at": "2026-05-05T11:32:00Z", "permissions": {"issues": "write"}});
        let new = read_installation(&answer(201, &body), &old(Some("4711"))).expect("credentials");
        assert_eq!((new.access_token.as_str(), new.refresh_token.as_deref()), ("ghs_new", Some("4711")));
        assert_eq!((new.expires_at, new.base_url), (Some(Millis(1_777_980_720_000)), old(None).base_url));
    }

    #[test]
    fn failures_of_an_installation_have_remedies() {
        let message = |text: &str| json!({ "message": text });
        let cases = [
            (404, message("Not Found"), Remedy::Reauthorise),
            (403, message("This installation has been suspended"), Remedy::Reauthorise),
            (401, message("A JSON web token could not be decoded"), Remedy::Configure),
            (502, message("Server Error"), Remedy::Retry),
            (201, json!({"tokens": "hush"}), Remedy::Retry),
        ];
        for (status, body, remedy) in cases {
            let error = read_installation(&answer(status, &body), &old(Some("1"))).expect_err("a failure");
            assert_eq!(error.remedy, remedy, "{body}");
            assert!(!error.message.contains("hush"), "{error}");
        }
    }

    #[test]
    fn a_users_tokens_are_both_replaced() {
        let call = user_call("id", Some("secret"), &old(Some("ghr_1"))).expect("a call");
        assert_eq!(call.target(), "/login/oauth/access_token");
        let Body::Form(form) = call.body else { panic!("a form is expected") };
        let keys: Vec<&str> = form.iter().map(|(key, _)| key.as_ref()).collect();
        assert_eq!(keys, ["grant_type", "client_id", "client_secret", "refresh_token"]);
        let refused = |secret, token| user_call("id", secret, &old(token)).map_err(|error| error.remedy).err();
        assert_eq!(refused(None, Some("ghr_1")), Some(Remedy::Configure));
        assert_eq!(refused(Some("secret"), None), Some(Remedy::Reauthorise));

        let body =
            json!({"access_token": "ghu_2", "refresh_token": "ghr_2", "expires_in": 28_800, "token_type": "bearer"});
        let new = read_user(&answer(200, &body), &old(Some("ghr_1")), Millis(0)).expect("credentials");
        assert_eq!((new.access_token.as_str(), new.refresh_token.as_deref()), ("ghu_2", Some("ghr_2")));
        assert_eq!(new.expires_at, Some(Millis(28_800_000)));
    }

    #[test]
    fn failures_of_users_come_with_success() {
        let error = |code: &str| json!({"error": code, "error_description": "words"});
        let cases = [
            (200, error("bad_refresh_token"), Remedy::Reauthorise),
            (200, error("incorrect_client_credentials"), Remedy::Configure),
            (200, json!({"access": "hush"}), Remedy::Retry),
            (503, json!("gateway"), Remedy::Retry),
        ];
        for (status, body, remedy) in cases {
            let error = read_user(&answer(status, &body), &old(None), Millis(0)).expect_err("a failure");
            assert_eq!(error.remedy, remedy, "{body}");
            assert!(!error.message.contains("hush"), "{error}");
        }
    }
}
