//! The token of a request: `Authorization: Bearer` from native SDKs, `access_token` from browsers.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use origo_auth::{Claims, ProjectId, TokenError};

use super::{Parameters, Surface};

/// Checks the request's token, and says what it says and whose rooms it opens.
pub fn authorize(
    surface: &Surface,
    headers: &HeaderMap,
    parameters: &Parameters,
) -> Result<(Claims, ProjectId), TokenError> {
    let token = bearer(headers).or_else(|| parameters.get("access_token")).ok_or(TokenError::Missing)?;
    origo_auth::token::verify(token, &surface.app.keys.current(), unix_now())
}

/// Checks who signed the request's token, whatever it grants, and says what it says and whose rooms it is about.
pub fn authenticate(surface: &Surface, headers: &HeaderMap) -> Result<(Claims, ProjectId), TokenError> {
    let token = bearer(headers).ok_or(TokenError::Missing)?;
    origo_auth::token::authenticate(token, &surface.app.keys.current(), unix_now())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Now, unix seconds.
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
