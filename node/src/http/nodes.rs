//! `GET /v1/nodes` on the metrics listener: every living node as gossip tells it, for operators.

use axum::Json;
use axum::extract::State;
use origo_auth::NodeId;
use origo_cascade_core::Level;
use serde::Serialize;

use crate::state::AppState;

#[derive(Serialize)]
pub struct Nodes {
    nodes: Vec<Told>,
}

#[derive(Serialize)]
struct Told {
    id: NodeId,
    region: String,
    country: String,
    url: String,
    load: f64,
    draining: bool,
    /// What it does without, and for want of what.
    level: Level,
    why: String,
}

/// All living nodes, this one among them.
pub async fn nodes(State(app): State<AppState>) -> Json<Nodes> {
    let told = |node: origo_cascade_core::Node| Told {
        id: node.id,
        region: node.region,
        country: node.country,
        url: node.url,
        load: node.load,
        draining: node.draining,
        level: node.overload.level,
        why: node.overload.why,
    };
    Json(Nodes { nodes: (app.nodes)().into_iter().map(told).collect() })
}
