//! `GET /v1/rooms/{room}/paths`: each participant of a room, the way of what it takes, and which link hurts.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use origo_auth::{NodeId, RoomKey};
use origo_cascade_core::route::Map;
use serde::Serialize;

use super::{Problem, Surface, authenticate};
use crate::paths::{Figures, Subscriber};

#[derive(Serialize)]
pub(super) struct Answer {
    room: String,
    /// Countries that its media may touch; empty for all.
    countries: Vec<String>,
    subscribers: Vec<Reading>,
}

#[derive(Serialize)]
struct Reading {
    identity: String,
    node: NodeId,
    region: Option<String>,
    origins: Vec<Origin>,
}

#[derive(Serialize)]
struct Origin {
    node: NodeId,
    region: Option<String>,
    #[serde(flatten)]
    path: Figures,
}

/// Answers whoever may administer the room.
pub(super) async fn room_paths(
    State(surface): State<Arc<Surface>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Answer>, Problem> {
    let (claims, project) =
        authenticate(&surface, &headers).map_err(|error| Problem::unauthorized(error.to_string()))?;
    if !claims.video.room_admin {
        return Err(Problem::forbidden("the token does not grant roomAdmin, which paths of a room need"));
    }
    if claims.video.room != name {
        return Err(Problem::forbidden("the token is for another room"));
    }
    let room = RoomKey { project, name };
    let paths = surface.app.paths.of_room(&room).await;
    let paths = paths.ok_or_else(|| Problem::not_found("nobody is in this room"))?;
    let subscribers = paths.subscribers.into_iter().map(|one| reading(one, &paths.map)).collect();
    Ok(Json(Answer { room: room.name, countries: paths.countries, subscribers }))
}

fn reading(subscriber: Subscriber, map: &Map) -> Reading {
    let region = |node: NodeId| map.node(node).map(|node| node.region.clone());
    let origin = |path: &Vec<NodeId>| {
        let node = *path.first()?;
        Some(Origin { node, region: region(node), path: Figures::of(path, map) })
    };
    Reading {
        identity: subscriber.identity,
        node: subscriber.node,
        region: region(subscriber.node),
        origins: subscriber.paths.iter().filter_map(origin).collect(),
    }
}
