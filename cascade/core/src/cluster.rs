//! The nodes that live, as gossip tells it.

use std::net::SocketAddr;

use origo_auth::NodeId;
use serde::{Deserialize, Serialize};

/// Where a peer can be dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeAddress {
    /// The QUIC port, for control, media and data connections.
    pub quic: SocketAddr,
}

/// One living node. This is what gossip carries about it: place, address and load, never rooms or people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Hash of its public key.
    pub id: NodeId,
    /// Its region's name, such as `frankfurt`.
    pub region: String,
    /// Its country (ISO 3166-1 alpha-2), such as `DE`; empty when nobody said.
    #[serde(default)]
    pub country: String,
    /// Its continent (`AF`, `AN`, `AS`, `EU`, `NA`, `OC`, `SA`); empty when nobody said. Price classes hang on it.
    #[serde(default)]
    pub continent: String,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// What a LiveKit SDK takes as its server URL, such as `ws://127.0.0.1:7880`.
    pub url: String,
    /// Where its mesh port is.
    pub address: NodeAddress,
    /// Busy share of its media workers, 0 to 1, rounded to 0.05.
    pub load: f64,
    /// It takes no new sessions.
    pub draining: bool,
}
