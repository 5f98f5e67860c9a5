//! Mints tokens for participants of tests.

use std::time::{SystemTime, UNIX_EPOCH};

use origo_auth::{Claims, Secret, VideoGrant, mint};

/// How long a test's token is good for, seconds.
const LIFETIME_SECONDS: u64 = 3600;

/// Unix seconds.
pub fn now_unix() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What a token of a participant that may do everything in a room says.
pub fn claims(api_key: &str, room: &str, identity: &str) -> Claims {
    let now = now_unix();
    Claims {
        iss: api_key.to_owned(),
        sub: identity.to_owned(),
        nbf: now.saturating_sub(5),
        exp: now + LIFETIME_SECONDS,
        name: identity.to_owned(),
        video: VideoGrant { room_join: true, room: room.to_owned(), ..Default::default() },
        ..Default::default()
    }
}

/// A token for a participant that may do everything in a room.
pub fn join(api_key: &str, api_secret: &str, room: &str, identity: &str) -> String {
    mint(&claims(api_key, room, identity), &Secret::new(api_secret))
}

/// The same for one of an audience, whom nobody is told of.
pub fn hidden(api_key: &str, api_secret: &str, room: &str, identity: &str) -> String {
    let mut claims = claims(api_key, room, identity);
    claims.video.hidden = true;
    mint(&claims, &Secret::new(api_secret))
}
