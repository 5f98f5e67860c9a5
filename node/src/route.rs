//! `GET /v1/route?room=`: which node a client should use, best first, and why.
//!
//! A room that is to stay in some countries has only nodes there.
//!
//! No token: a client asks before it has decided where to go. So the answer says nothing about rooms or people, and one
//! address may ask only so often.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use origo_auth::NodeId;
use origo_cascade_core::route::{Ranked, rank, refusal};
use origo_cascade_core::{Level, Node};
use serde::Serialize;

use crate::geo::{Located, Source};
use crate::http::{ClientAddress, Limit, Parameters, Problem, Surface};

/// A client asks once per join: an office behind one address may join at once, a scraper may not poll.
pub const LIMIT: Limit = Limit { burst: 60.0, per_second: 10.0 };

#[derive(Serialize)]
struct Routes {
    client: Client,
    /// Where the room stays, when there is a rule for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    countries: Vec<String>,
    nodes: Vec<Route>,
}

/// Where the caller seems to be; null when nobody knows.
#[derive(Serialize)]
struct Client {
    country: Option<String>,
    lat: Option<f64>,
    lon: Option<f64>,
    source: Source,
}

#[derive(Serialize)]
struct Route {
    id: NodeId,
    region: String,
    /// What a LiveKit SDK takes as its server URL.
    url: String,
    distance_km: Option<f64>,
    load: f64,
    /// What it does without because it is short of something.
    level: Level,
    why: String,
}

/// Ranks all living nodes for the caller.
pub async fn route(State(surface): State<Arc<Surface>>, address: ClientAddress, parameters: Parameters) -> Response {
    if let Err(wait) = surface.routes.ask(Instant::now(), address.client) {
        surface.app.dropped.count("request", "rate limit");
        let seconds = wait.as_secs() + 1;
        let problem = Problem::too_often(format!("too many requests from your address: wait {seconds} s"));
        return ([(RETRY_AFTER, seconds.to_string())], problem).into_response();
    }
    let located = surface.geo.locate(address.client);
    let countries = surface.app.config.routing.residency.countries_of_name(parameters.get("room").unwrap_or_default());
    let mut nodes = (surface.app.nodes)();
    nodes.retain(|node| refusal(countries, Some(node)).is_none());
    // A full node is still better than none, and so is one that drains.
    for has_room in [Node::takes_sessions, |node: &Node| !node.draining] {
        if nodes.iter().any(has_room) {
            nodes.retain(has_room);
        }
    }
    let ranked = rank(located.place, surface.app.node, &nodes);
    tracing::debug!(client = %address.client, place = located.name(), best = ranked.first().map(|best| &*best.why), "routed");
    let nodes = ranked.into_iter().map(|ranked| Route::new(ranked, countries)).collect();
    let routes = Routes { client: located.into(), countries: countries.to_vec(), nodes };
    ([(CACHE_CONTROL, "no-store")], Json(routes)).into_response()
}

impl From<Located> for Client {
    fn from(located: Located) -> Self {
        Self {
            country: located.country,
            lat: located.place.map(|place| place.latitude),
            lon: located.place.map(|place| place.longitude),
            source: located.source,
        }
    }
}

impl Route {
    fn new(ranked: Ranked, countries: &[String]) -> Self {
        let stays = |country: &str| format!(", in {country}, where this room may be");
        let stays = if countries.is_empty() { String::new() } else { stays(&ranked.node.country) };
        Self {
            id: ranked.node.id,
            region: ranked.node.region,
            url: ranked.node.url,
            // Nobody needs metres, and a country's centre is not that exact.
            distance_km: ranked.distance_km.map(f64::round),
            load: ranked.node.load,
            level: ranked.node.overload.level,
            why: ranked.why + &stays,
        }
    }
}
