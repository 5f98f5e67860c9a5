//! `GET /v1/path?room=&track=`: the nodes that a track's media passes on its way to this one, and what each link does.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use origo_auth::{NodeId, RoomKey, TrackSid};
use origo_cascade_core::route::Map;
use serde::Serialize;

use super::{Parameters, Problem, Surface, authorize};
use crate::paths::{Figures, Hurts, Link};

#[derive(Serialize)]
pub(super) struct Path {
    /// From the node where the track is published to this one.
    hops: Vec<Place>,
    /// Countries that the room's media may touch; empty for all.
    countries: Vec<String>,
    /// Between them.
    links: Vec<Link>,
    delay_ms: Option<f64>,
    hurts: Option<Hurts>,
}

#[derive(Serialize)]
struct Place {
    node: NodeId,
    /// None when the node is gone meanwhile.
    region: Option<String>,
    country: Option<String>,
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
    let path = surface.app.paths.of_track(&room, track).await.ok_or_else(unknown)?;
    let Figures { hops: links, delay_ms, hurts } = Figures::of(&path.nodes, &path.map);
    let hops = path.nodes.into_iter().map(|node| place(node, &path.map)).collect();
    Ok(Json(Path { hops, countries: path.countries, links, delay_ms, hurts }))
}

fn place(id: NodeId, map: &Map) -> Place {
    let node = map.node(id);
    let country = node.map(|node| node.country.clone()).filter(|country| !country.is_empty());
    Place { node: id, region: node.map(|node| node.region.clone()), country }
}
