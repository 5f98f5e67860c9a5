//! The cascade's driver: one QUIC endpoint with mutual TLS, gossip over it, and the link thread that moves media.
//!
//! [`Mesh::start`] opens everything; the node asks with [`Mesh::ask`], hears [`MeshEvent`]s, and its media workers put
//! packets into a [`LinkSender`] and take packets from their [`Inbox`].

mod congestion;
mod control;
mod data;
mod dialer;
mod double;
mod endpoint;
mod gossip;
mod kind;
mod links;
mod measured;
mod mesh;
mod mesh_loop;
mod news;
mod peer;
mod stats;
mod tls;
mod transport;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

pub use links::LinkSender;
pub use mesh::{Mesh, StartError};
use origo_auth::RoomKey;
use origo_cascade_core::cascade::BranchReport;
use origo_cascade_core::route::{Map, Prices, RelayPolicy};
use origo_cascade_core::{Event, Forward, Node, link};
pub use stats::{LinkStats, Measured, MeshStats};

/// Where the link thread puts what it received for the rooms of one media worker.
#[derive(Clone)]
pub struct Inbox {
    /// Bounded; when it is full the batch is dropped and counted.
    pub batches: crossbeam_channel::Sender<Vec<link::Received>>,
    /// Wakes the worker if it sleeps.
    pub wake: Arc<dyn Fn() + Send + Sync>,
}

/// What a node tells its mesh at the start.
#[derive(Clone)]
pub struct MeshConfig {
    /// This node as others will see it. Its address may be a different one than `bind` behind NAT; port 0 there stands
    /// for the port that was bound.
    pub node: Node,
    /// UDP address of the QUIC endpoint.
    pub bind: SocketAddr,
    /// QUIC addresses of nodes to begin with; one that answers is enough.
    pub seeds: Vec<SocketAddr>,
    /// What the paths to others carry, in bits per second, by the id of the node at the other end or by its region, as
    /// far as the operator knows: a link begins with it. Both ends should be told.
    pub rates_bps: BTreeMap<String, u64>,
    /// How the trees of this node's publishers are drawn.
    pub policy: Arc<dyn RelayPolicy>,
    /// What links cost: one of the things a policy weighs.
    pub prices: Prices,
    /// One per media worker.
    pub inboxes: Vec<Inbox>,
    /// Which worker has a room.
    pub worker_of: fn(&RoomKey, usize) -> usize,
}

/// The mesh as a node knows it at one moment.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Who lives, and what links are like: its own as measured now, others' as gossip tells.
    pub map: Map,
    /// Its places in the trees of other nodes.
    pub branches: Vec<BranchReport>,
}

/// What the mesh tells the node.
#[derive(Debug)]
pub enum MeshEvent {
    /// News for the node's rooms.
    Rooms(Event),
    /// A change of forwarding for the media worker of that room.
    Forward(RoomKey, Forward),
}
