//! `GET /v1/path?room=&track=`: the nodes that a track's media passes on its way to this one.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use origo_auth::{NodeId, RoomKey, TrackSid};
use origo_cascade_core::Node;
use serde::Serialize;

use super::{Parameters, Problem, Surface, authorize};

#[derive(Serialize)]
pub(super) struct Path {
    /// From the node where the track is published to this one.
    hops: Vec<Hop>,
}

#[derive(Serialize)]
struct Hop {
    node: NodeId,
    /// None when the node is gone meanwhile.
    region: Option<String>,
}

/// Answers whoever holds a token of the room.
pub(super) async fn path(
    State(surface): State<Arc<Surface>>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Json<Path>, Problem> {
    let (claims, project) =
        authorize(&surface, &headers, &parameters).map_err(|error| Problem::unauthorized(error.to_string()))?;
    let room = parameters.get("room").ok_or_else(|| Problem::bad_request("the parameter `room` is missing"))?;
    if room != claims.video.room {
        return Err(Problem::forbidden("the token is for another room"));
    }
    let track = parameters.get("track").ok_or_else(|| Problem::bad_request("the parameter `track` is missing"))?;
    let unknown = || Problem::not_found("the room has no such track");
    let track = track.parse::<TrackSid>().map_err(|_| unknown())?;
    let room = RoomKey { project, name: claims.video.room };
    let hops = surface.app.rooms.path(room, track).await.ok_or_else(unknown)?;
    let nodes = (surface.app.nodes)();
    Ok(Json(Path { hops: hops.into_iter().map(|node| hop(node, &nodes)).collect() }))
}

fn hop(id: NodeId, nodes: &[Node]) -> Hop {
    Hop { node: id, region: nodes.iter().find(|node| node.id == id).map(|node| node.region.clone()) }
}
