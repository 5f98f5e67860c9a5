//! What every HTTP and signaling handler of the node shares.

use std::sync::Arc;

use origo_auth::NodeId;
use origo_cascade_core::Node;

use crate::config::{Config, LiveKeys};
use crate::metrics::Dropped;
use crate::overload::Shown;
use crate::paths::Paths;
use crate::rooms::RoomsHandle;
use crate::webhooks::Inlet;
use crate::worker::Entrance;

/// Shared by all handlers; cheap to clone. `http::router(AppState)` makes the router.
#[derive(Clone)]
pub struct AppState {
    /// How the node is configured. API keys are not read from here but from `keys`.
    pub config: Arc<Config>,
    /// This node.
    pub node: NodeId,
    /// The node's rooms.
    pub rooms: RoomsHandle,
    /// Which way media takes, and what links do to it.
    pub paths: Paths,
    /// Where applications hear of what happens, if they are to.
    pub webhooks: Option<Inlet>,
    /// The way to the media workers for clients without UDP.
    pub entrance: Entrance,
    /// The API keys that count right now.
    pub keys: LiveKeys,
    /// The living nodes as gossip tells it, this one among them. `/health` shows how many.
    pub nodes: Arc<dyn Fn() -> Vec<Node> + Send + Sync>,
    /// Whether the node is short of something.
    pub overload: Shown,
    /// Counts what handlers drop, close or refuse; shown as `origo_dropped_total{what,reason}`.
    pub dropped: Dropped,
}
