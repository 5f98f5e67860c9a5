//! Which node a caller should use, and which nodes a track's media passes: policies that are pure, and say why.
//!
//! A [`Policy`] ranks nodes for a caller and never leaves one out, so that a client always has somewhere else to try. A
//! [`RelayPolicy`] draws the tree over which the layers of one origin reach the other nodes of a room.

mod direct;
mod hop;
mod map;
mod mesh;
mod nearest;
mod relay;
mod residency;
mod star;
mod tree;

use std::sync::Arc;

pub use direct::Direct;
pub use hop::{Hop, hurts};
pub use map::{Map, Prices, Way};
pub use mesh::Mesh;
pub use nearest::Nearest;
use origo_auth::NodeId;
pub use relay::{Edge, Plan, Problem, RELAY_POLICIES, RelayPolicy};
pub use residency::{Residency, ResidencyRule, refusal};
pub use star::Star;
pub use tree::{Parameters, Tree};

use crate::Node;

/// A place on earth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// Degrees north, -90 to 90.
    pub latitude: f64,
    /// Degrees east, -180 to 180.
    pub longitude: f64,
}

/// Mean radius of the earth (IUGG R1), kilometres.
const EARTH_RADIUS_KM: f64 = 6371.009;

impl Place {
    /// Great-circle distance (haversine), kilometres.
    pub fn distance_km(self, other: Self) -> f64 {
        let (lat, other_lat) = (self.latitude.to_radians(), other.latitude.to_radians());
        let half_lat = ((other_lat - lat) / 2.0).sin();
        let half_lon = ((other.longitude - self.longitude).to_radians() / 2.0).sin();
        let h = half_lat * half_lat + lat.cos() * other_lat.cos() * half_lon * half_lon;
        2.0 * EARTH_RADIUS_KM * h.sqrt().min(1.0).asin()
    }
}

/// A node as a policy ranks it.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    /// The node.
    pub node: Node,
    /// From the caller, when its place is known.
    pub distance_km: Option<f64>,
    /// A sentence for people, such as `312 km away, the nearest`.
    pub why: String,
}

/// A way to rank nodes for a caller.
pub trait Policy {
    /// All of `nodes`, best first. `answering` is the node that was asked; `caller` is `None` when its address has no
    /// known place.
    fn rank(&self, caller: Option<Place>, answering: NodeId, nodes: &[Node]) -> Vec<Ranked>;
}

/// Ranks with the default policy, [`Nearest`].
pub fn rank(caller: Option<Place>, answering: NodeId, nodes: &[Node]) -> Vec<Ranked> {
    Nearest::default().rank(caller, answering, nodes)
}

/// The relay policy of this name with its defaults; see [`RELAY_POLICIES`].
pub fn relay_policy(name: &str) -> Option<Arc<dyn RelayPolicy>> {
    match name {
        "tree" => Some(Arc::new(Tree::default())),
        "direct" => Some(Arc::new(Direct)),
        "star" => Some(Arc::new(Star)),
        "mesh" => Some(Arc::new(Mesh)),
        _ => None,
    }
}
