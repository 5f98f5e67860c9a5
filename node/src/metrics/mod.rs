//! What the node counts, as a Prometheus page.
//!
//! Cores and drivers keep plain counters; a scrape takes a snapshot of them and renders it with a recorder of its own,
//! so that what is gone (a peer, a profile) does not linger and nothing is counted through a global.

mod dropped;
mod page;

use origo_auth::NodeId;
use origo_cascade::MeshStats;
use origo_node_core::media;

use crate::overload::State;
use crate::rooms::RoomsStats;
use crate::webhooks;

pub use dropped::Dropped;
pub use page::render;

/// Everything that is counted, at one instant.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// This node.
    pub node: NodeId,
    /// Its region.
    pub region: String,
    /// Rooms, people and tracks.
    pub rooms: RoomsStats,
    /// Each media worker's counters and busy share.
    pub workers: Vec<(media::Stats, f64)>,
    /// Webhooks, if applications are to be told.
    pub webhooks: Option<webhooks::Stats>,
    /// Whether the node is short of something.
    pub overload: State,
    /// Links to other nodes.
    pub mesh: MeshStats,
    /// Living nodes, this one among them.
    pub nodes: usize,
    /// What front-ends dropped, why, and how often.
    pub dropped: Vec<(&'static str, &'static str, u64)>,
}
