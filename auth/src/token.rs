//! LiveKit access tokens: minted for a participant, and verified against the API keys of this deployment.
//!
//! The time is always an argument. The algorithm is pinned to HS256: a token does not choose how it is checked.

use std::collections::BTreeMap;
use std::fmt;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, dangerous};
use serde::Deserialize;

use crate::{Claims, ProjectId};

/// How far the clocks of issuer and node may be apart, seconds.
pub const SKEW_SECONDS: u64 = 10;
/// The longest token that is looked at, bytes: room for rich metadata, still far below an HTTP request line's bound.
pub const TOKEN_BYTES_MAX: usize = 48 * 1024;
/// How much of a stranger's text an error repeats, characters.
const ECHO_CHARS: usize = 64;

/// An API key's secret. It never shows itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps what the operator configured.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself, for signing and for handing it to a child process.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What an API key stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Signs the tokens of this key.
    pub secret: Secret,
    /// Who owns the rooms that its tokens open.
    pub project: ProjectId,
}

/// The API keys of this deployment, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys(pub BTreeMap<String, ApiKey>);

impl Keys {
    /// One key alone.
    pub fn only(id: impl Into<String>, secret: impl Into<String>, project: impl Into<String>) -> Self {
        let mut keys = Self::default();
        keys.insert(id, secret, project);
        keys
    }

    /// Adds or replaces a key.
    pub fn insert(&mut self, id: impl Into<String>, secret: impl Into<String>, project: impl Into<String>) {
        let key = ApiKey { secret: Secret::new(secret), project: ProjectId(project.into()) };
        self.0.insert(id.into(), key);
    }
}

/// Why a token does not open a room. The sentences go to the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There is none.
    #[error("no access token: send it as `Authorization: Bearer …` or as `access_token=…`")]
    Missing,
    /// It is no token.
    #[error("malformed access token: {0}")]
    Malformed(&'static str),
    /// Its `iss` is no key of this deployment.
    #[error("unknown API key {0:?}")]
    UnknownKey(String),
    /// Another secret signed it.
    #[error("bad signature: the token was not signed with the secret of API key {0:?}")]
    BadSignature(String),
    /// Its `exp` has passed.
    #[error("the token expired {} s ago (exp {exp})", now.saturating_sub(*exp))]
    Expired {
        /// Its expiry, unix seconds.
        exp: u64,
        /// When it was checked, unix seconds.
        now: u64,
    },
    /// Its `nbf` has not come.
    #[error("the token is valid only in {} s (nbf {nbf})", nbf.saturating_sub(*now))]
    NotYetValid {
        /// Its beginning, unix seconds.
        nbf: u64,
        /// When it was checked, unix seconds.
        now: u64,
    },
    /// It does not say who.
    #[error("the token names no identity (claim `sub`)")]
    NoIdentity,
    /// It does not allow to join.
    #[error("the token does not grant `video.roomJoin`")]
    NoRoomJoin,
    /// It does not say where.
    #[error("the token names no room (grant `video.room`)")]
    NoRoom,
}

/// A signed token of these claims (HS256). Times are the caller's to set.
pub fn mint(claims: &Claims, secret: &Secret) -> String {
    let key = EncodingKey::from_secret(secret.expose().as_bytes());
    // Claims are plain JSON values and HS256 takes a key of any length: there is nothing that could fail.
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).expect("claims are plain JSON")
}

/// Checks that a token opens a room now, and says what it says and whose key signed it.
pub fn verify(token: &str, keys: &Keys, now_unix: u64) -> Result<(Claims, ProjectId), TokenError> {
    let (claims, project) = authenticate(token, keys, now_unix)?;
    if !claims.video.room_join {
        return Err(TokenError::NoRoomJoin);
    }
    if claims.sub.is_empty() {
        return Err(TokenError::NoIdentity);
    }
    if claims.video.room.is_empty() {
        return Err(TokenError::NoRoom);
    }
    Ok((claims, project))
}

/// Checks signature and times alone, whatever the token grants.
pub fn authenticate(token: &str, keys: &Keys, now_unix: u64) -> Result<(Claims, ProjectId), TokenError> {
    if token.is_empty() {
        return Err(TokenError::Missing);
    }
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::Malformed("it is longer than 48 KiB"));
    }
    let issuer = issuer(token)?;
    let key = keys.0.get(&issuer).ok_or_else(|| TokenError::UnknownKey(issuer.chars().take(ECHO_CHARS).collect()))?;
    let claims = open(token, &issuer, &key.secret)?;
    check_times(&claims, now_unix)?;
    Ok((claims, key.project.clone()))
}

/// Which API key a token says to be signed with. Nothing is proved yet.
fn issuer(token: &str) -> Result<String, TokenError> {
    #[derive(Deserialize)]
    struct Issuer {
        #[serde(default)]
        iss: String,
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Malformed("it is no JWT"))?;
    if header.alg != Algorithm::HS256 {
        return Err(TokenError::Malformed("its algorithm is not HS256"));
    }
    let claims: Issuer =
        dangerous::insecure_decode_claims(token).map_err(|_| TokenError::Malformed("its claims cannot be read"))?;
    if claims.iss.is_empty() {
        return Err(TokenError::Malformed("it names no API key (claim `iss`)"));
    }
    Ok(claims.iss)
}

/// Proves the signature and reads the claims.
fn open(token: &str, issuer: &str, secret: &Secret) -> Result<Claims, TokenError> {
    use jsonwebtoken::errors::ErrorKind;
    let key = DecodingKey::from_secret(secret.expose().as_bytes());
    let token = jsonwebtoken::decode::<Claims>(token, &key, &signature_alone());
    match token {
        Ok(token) => Ok(token.claims),
        Err(error) => Err(match error.kind() {
            ErrorKind::InvalidSignature | ErrorKind::Base64(_) => TokenError::BadSignature(issuer.to_owned()),
            _ => TokenError::Malformed("a claim has the wrong type"),
        }),
    }
}

/// The library reads the system clock; its time checks are off, and [`check_times`] takes the given time.
fn signature_alone() -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

fn check_times(claims: &Claims, now: u64) -> Result<(), TokenError> {
    if claims.exp == 0 {
        return Err(TokenError::Malformed("it has no expiry (claim `exp`)"));
    }
    if now > claims.exp.saturating_add(SKEW_SECONDS) {
        return Err(TokenError::Expired { exp: claims.exp, now });
    }
    if now.saturating_add(SKEW_SECONDS) < claims.nbf {
        return Err(TokenError::NotYetValid { nbf: claims.nbf, now });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::VideoGrant;

    const NOW: u64 = 1_800_000_000;

    fn keys() -> Keys {
        Keys::only("devkey", "a secret of thirty-two characters", "default")
    }

    fn claims() -> Claims {
        Claims {
            iss: "devkey".into(),
            sub: "ana".into(),
            exp: NOW + 60,
            video: VideoGrant { room_join: true, room: "demo".into(), ..VideoGrant::default() },
            ..Claims::default()
        }
    }

    fn minted(claims: &Claims) -> String {
        mint(claims, &keys().0["devkey"].secret)
    }

    fn refusal(change: impl FnOnce(&mut Claims)) -> TokenError {
        let mut claims = claims();
        change(&mut claims);
        verify(&minted(&claims), &keys(), NOW).unwrap_err()
    }

    #[test]
    fn a_minted_token_reads_back_with_the_project_of_its_key() {
        let (read, project) = verify(&minted(&claims()), &keys(), NOW).unwrap();
        assert_eq!((read, project), (claims(), ProjectId("default".into())));
    }

    #[test]
    fn each_fault_has_its_own_sentence() {
        assert_eq!(verify("", &keys(), NOW), Err(TokenError::Missing));
        assert!(matches!(verify("a.b.c", &keys(), NOW), Err(TokenError::Malformed(_))));
        assert_eq!(refusal(|claims| claims.iss = "other".into()), TokenError::UnknownKey("other".into()));
        assert_eq!(refusal(|claims| claims.sub.clear()), TokenError::NoIdentity);
        assert_eq!(refusal(|claims| claims.video.room_join = false), TokenError::NoRoomJoin);
        assert_eq!(refusal(|claims| claims.video.room.clear()), TokenError::NoRoom);
        assert!(matches!(refusal(|claims| claims.exp = 0), TokenError::Malformed(_)));
        let forged = mint(&claims(), &Secret::new("another secret"));
        assert_eq!(verify(&forged, &keys(), NOW), Err(TokenError::BadSignature("devkey".into())));
    }

    #[test]
    fn a_token_lives_from_nbf_to_exp_with_ten_seconds_of_skew() {
        let claims = Claims { nbf: NOW, exp: NOW + 60, ..claims() };
        let at = |now| verify(&minted(&claims), &keys(), now).map(|_| ());
        assert_eq!(at(NOW - 10), Ok(()));
        assert_eq!(at(NOW + 70), Ok(()));
        assert_eq!(at(NOW - 11), Err(TokenError::NotYetValid { nbf: NOW, now: NOW - 11 }));
        assert_eq!(at(NOW + 71), Err(TokenError::Expired { exp: NOW + 60, now: NOW + 71 }));
        assert_eq!(at(NOW + 71).unwrap_err().to_string(), format!("the token expired 11 s ago (exp {})", NOW + 60));
    }

    #[test]
    fn a_token_cannot_choose_another_algorithm() {
        let key = EncodingKey::from_secret(keys().0["devkey"].secret.expose().as_bytes());
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS384), &claims(), &key).unwrap();
        assert_eq!(verify(&token, &keys(), NOW), Err(TokenError::Malformed("its algorithm is not HS256")));
        // {"alg":"none","typ":"JWT"}
        let payload = minted(&claims()).split('.').nth(1).unwrap().to_owned();
        let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{payload}.");
        assert!(matches!(verify(&unsigned, &keys(), NOW), Err(TokenError::Malformed(_))));
    }

    #[test]
    fn secrets_never_show() {
        assert!(!format!("{:?}", keys()).contains("thirty-two"));
    }

    proptest! {
        #[test]
        fn no_string_makes_it_panic(text in ".{0,200}") {
            prop_assert!(verify(&text, &keys(), NOW).is_err());
        }

        #[test]
        fn no_damage_to_a_token_makes_it_panic_or_pass(at in 0usize..500, byte in 0x20u8..0x7f) {
            let mut token = minted(&claims()).into_bytes();
            let at = at % token.len();
            prop_assume!(token[at] != byte);
            token[at] = byte;
            let damaged = String::from_utf8(token).unwrap();
            prop_assert!(verify(&damaged, &keys(), NOW).is_err());
        }

        #[test]
        fn no_signed_json_makes_it_panic(text in "[-\\[\\]{}\":,a-z0-9.]{0,80}") {
            use base64::Engine;
            let encode = |part: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(part);
            let message = format!("{}.{}", encode(r#"{"alg":"HS256"}"#), encode(&text));
            let secret = keys().0["devkey"].secret.clone();
            let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.expose().as_bytes());
            let tag = aws_lc_rs::hmac::sign(&key, message.as_bytes());
            let tag = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(tag.as_ref());
            let token = format!("{message}.{tag}");
            prop_assert!(verify(&token, &keys(), NOW).is_err());
        }
    }
}
