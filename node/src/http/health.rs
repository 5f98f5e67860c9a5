//! `GET /health`: whether the node takes sessions, for load balancers and people.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Surface;
use crate::overload::Told;

/// How long the rooms may take to count themselves; a node whose rooms do not answer is not healthy.
const ROOMS_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    /// Takes sessions.
    Ok,
    /// Has not joined the mesh yet.
    Starting,
    /// Takes no new sessions, because it is short of something.
    Full,
    /// Takes no new sessions.
    Draining,
    /// The rooms do not answer.
    Stalled,
}

#[derive(Serialize)]
struct Health {
    status: Status,
    id: String,
    region: String,
    version: &'static str,
    /// Living nodes of the mesh, this one among them.
    nodes: usize,
    rooms: u64,
    participants: u64,
    tracks: u64,
    /// Open signaling sockets.
    sockets: u32,
    /// What it does without, for want of what, and what is in use.
    overload: Told,
}

/// Answers 200 when the node takes sessions, else 503.
pub(super) async fn health(State(surface): State<Arc<Surface>>) -> Response {
    let app = &surface.app;
    let nodes = (app.nodes)();
    let rooms = tokio::time::timeout(ROOMS_TIMEOUT, app.rooms.stats()).await;
    let status = match nodes.iter().find(|node| node.id == app.node) {
        _ if rooms.is_err() => Status::Stalled,
        None => Status::Starting,
        Some(node) if node.draining => Status::Draining,
        Some(_) if app.overload.is_full() => Status::Full,
        Some(_) => Status::Ok,
    };
    let rooms = rooms.unwrap_or_default();
    let health = Health {
        status,
        id: app.node.to_string(),
        region: app.config.region.clone(),
        version: env!("CARGO_PKG_VERSION"),
        nodes: nodes.len(),
        rooms: rooms.rooms,
        participants: rooms.participants,
        tracks: rooms.audio_tracks + rooms.video_tracks,
        sockets: surface.sockets.all(),
        overload: app.overload.get().told(),
    };
    let code = if status == Status::Ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(health)).into_response()
}
