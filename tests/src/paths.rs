//! Asks a node why a call is bad.

use anyhow::{Result, ensure};
use origo_auth::{Claims, Secret, VideoGrant, mint};

use crate::{http, token};

/// `GET /v1/rooms/{room}/paths` of the node at `authority`, with a token that may administer the room.
pub fn of_room(authority: &str, api_key: &str, api_secret: &str, room: &str) -> Result<serde_json::Value> {
    let video = VideoGrant { room_admin: true, room: room.to_owned(), ..VideoGrant::default() };
    let claims = Claims { video, ..token::claims(api_key, room, "admin") };
    let bearer = format!("Bearer {}", mint(&claims, &Secret::new(api_secret)));
    let answer = http::get(authority, &format!("/v1/rooms/{room}/paths"), &[("Authorization", &bearer)])?;
    ensure!(answer.status == 200, "{answer:?}");
    Ok(serde_json::from_str(&answer.body)?)
}
