//! `POST /v1/demo/token`: a token for whoever asks. Only in the demo, and only on the machine itself.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use origo_auth::token::mint;
use origo_auth::{Claims, VideoGrant};
use serde::{Deserialize, Serialize};

use super::{ClientAddress, Problem, Surface, unix_now};

/// How long a demo token opens its room.
const LIFETIME_SECONDS: u64 = 6 * 3600;
/// The longest room, identity or name, bytes.
const NAME_BYTES_MAX: usize = 256;

#[derive(Deserialize)]
pub(super) struct Wish {
    room: String,
    identity: String,
    #[serde(default)]
    name: String,
}

#[derive(Serialize)]
pub(super) struct Token {
    token: String,
}

/// Signs with the node's first key.
pub(super) async fn demo_token(
    State(surface): State<Arc<Surface>>,
    address: ClientAddress,
    wish: Result<Json<Wish>, JsonRejection>,
) -> Result<Json<Token>, Problem> {
    let is_local = address.direct && address.client.is_loopback();
    if !surface.app.config.demo || !is_local {
        return Err(Problem::not_found("tokens are handed out only by a node in demo mode, to its own machine"));
    }
    let Json(wish) = wish.map_err(|error| Problem::bad_request(error.body_text()))?;
    for (name, value) in [("room", &wish.room), ("identity", &wish.identity)] {
        if value.is_empty() || value.len() > NAME_BYTES_MAX {
            return Err(Problem::bad_request(format!("`{name}` must have 1 to {NAME_BYTES_MAX} bytes")));
        }
    }
    if wish.name.len() > NAME_BYTES_MAX {
        return Err(Problem::bad_request(format!("`name` must have {NAME_BYTES_MAX} bytes at most")));
    }
    let keys = surface.app.keys.current();
    let (id, key) = keys.0.iter().next().ok_or_else(|| Problem::not_found("this node has no API key"))?;
    Ok(Json(Token { token: mint(&claims(id, wish), &key.secret) }))
}

fn claims(key: &str, wish: Wish) -> Claims {
    let now = unix_now();
    Claims {
        iss: key.to_owned(),
        sub: wish.identity,
        name: wish.name,
        nbf: now,
        exp: now + LIFETIME_SECONDS,
        video: VideoGrant {
            room_join: true,
            room: wish.room,
            can_update_own_metadata: Some(true),
            ..VideoGrant::default()
        },
        ..Claims::default()
    }
}
