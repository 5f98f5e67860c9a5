//! The media workers' driver: an OS thread each with its own UDP port, around the pure worker of `origo-node-core`.
//!
//! Nothing on the thread waits for anybody: commands and link batches come over bounded queues whose senders wake it,
//! and what it says goes into an unbounded channel. Events cannot pile up without bound there, because sessions are
//! bounded and each one's events answer its own commands and its own SDP, and its data counts in `reports`.

mod busy;
mod entrance;
mod framing;
mod handle;
mod inlet;
mod reports;
mod siblings;
mod socket;
mod streams;
#[cfg(test)]
mod tests;
mod thread;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use origo_cascade_core::link;
use origo_node_core::media;
use tokio::sync::mpsc;

pub use entrance::Entrance;
#[cfg(test)]
use entrance::Unwanted;
pub use framing::length as frame_length;
pub use handle::WorkerHandle;
pub use streams::Arrival;

/// How a worker is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its number among the node's workers.
    pub index: usize,
    /// How many of them there are.
    pub count: usize,
    /// UDP address of its own; port 0 takes a free one.
    pub bind: SocketAddr,
    /// IP addresses that clients are told, with the bound port; at least one.
    pub advertise: Vec<IpAddr>,
    /// TCP addresses that clients without UDP are told; may be empty.
    pub tcp: Vec<SocketAddr>,
    /// Estimate each subscriber's bandwidth and pace. Without it every subscriber gets the highest layers.
    pub bwe: bool,
    /// Which way media leave to clients.
    pub egress: media::Egress,
    /// How many sounds a client gets at once, the loudest; 0 for all.
    pub loudest: usize,
    /// For how many sounds and pictures a client has sections.
    pub sections: media::Sections,
}

/// What takes a worker's packets for other nodes; must not block.
pub type Links = Arc<dyn Fn(Vec<link::Send>) + Send + Sync>;

/// Why a worker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its UDP port is taken or its address is not ours.
    #[error("cannot listen for media on UDP {address}: {source}")]
    Bind {
        /// The address that was asked for.
        address: SocketAddr,
        /// The system's word.
        source: io::Error,
    },
    /// Clients would have no address to send to.
    #[error("media worker {index} has no address to advertise")]
    NoAddress {
        /// Which worker.
        index: usize,
    },
    /// No thread, or no way to wait for the socket.
    #[error("cannot run media worker {index}: {source}")]
    Thread {
        /// Which worker.
        index: usize,
        /// The system's word.
        source: io::Error,
    },
}

/// Makes the workers of a node known to each other, once all of them run. Until then they take nothing of each other.
pub fn join(workers: &[WorkerHandle]) {
    for worker in workers {
        worker.set_siblings(workers.iter().map(WorkerHandle::as_sibling).collect());
    }
}

/// Starts a worker. Its port is open and its thread runs when this returns. What it tells the rooms comes out of
/// `events`; packets for other nodes are dropped until [`WorkerHandle::set_links`].
pub fn start(config: Config, events: mpsc::UnboundedSender<media::Event>) -> Result<WorkerHandle, StartError> {
    if config.advertise.is_empty() {
        return Err(StartError::NoAddress { index: config.index });
    }
    let socket =
        socket::Socket::bind(config.bind).map_err(|source| StartError::Bind { address: config.bind, source })?;
    thread::spawn(config, socket, events)
}
