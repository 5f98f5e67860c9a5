//! What a node is told at its start: settings from flags, environment, file and defaults, checked once and together.
//!
//! The rest of the program sees [`Config`] alone; nothing in it can be wrong any more, save what only the machine can
//! tell (a port in use, a file that changed).

mod check;
mod cidr;
mod fault;
mod key;
mod keys;
mod limits;
mod live_keys;
mod raw;
mod reader;
pub mod region;
mod reload;
mod routing;
mod source;
pub mod time;
mod webhooks;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use origo_auth::{Keys, Secret};

pub use cidr::Cidr;
pub use fault::Faults;
pub use key::{KEYS, Key};
pub use limits::Limits;
pub use live_keys::LiveKeys;
pub use reload::follow as follow_keys;
pub use routing::Routing;
pub use source::Sources;
#[cfg(test)]
pub use webhooks::Receiver;
pub use webhooks::Webhooks;

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The region's name, such as `frankfurt`.
    pub region: String,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// Country (ISO 3166-1 alpha-2); empty when nobody said.
    pub country: String,
    /// Continent (`AF`, `AN`, `AS`, `EU`, `NA`, `OC`, `SA`); empty when nobody said.
    pub continent: String,
    /// Where media may go, and over which nodes.
    pub routing: Routing,
    /// HTTP and WebSocket, TCP.
    pub http: SocketAddr,
    /// What a LiveKit SDK takes as this node's server URL.
    pub url: String,
    /// Links to other nodes, UDP.
    pub quic: SocketAddr,
    /// The metrics page, TCP.
    pub metrics: SocketAddr,
    /// Media, UDP: one address per worker.
    pub media: Vec<SocketAddr>,
    /// IP addresses that clients are told for media over UDP; never empty.
    pub media_advertise: Vec<IpAddr>,
    /// IP addresses under which clients and nodes reach this one; never empty.
    pub advertise: Vec<IpAddr>,
    /// Nodes to begin with, `host:port`.
    pub seeds: Vec<String>,
    /// What the paths to other nodes carry, in bits per second, by the node's id or its region.
    pub link_rates_bps: BTreeMap<String, u64>,
    /// How much of everything the node may use.
    pub limits: Limits,
    /// How long SIGTERM leaves to move people elsewhere; zero ends at once.
    pub drain_deadline: Duration,
    /// What makes a node one of ours.
    pub mesh_secret: Secret,
    /// Where the node keeps its key.
    pub data_dir: PathBuf,
    /// Who may sign tokens.
    pub keys: Keys,
    /// Whom to tell what happens in rooms.
    pub webhooks: Option<Webhooks>,
    /// A location database in MaxMind's format, instead of the embedded one.
    pub geoip: Option<PathBuf>,
    /// Proxies whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<Cidr>,
    /// Hands out tokens to everybody; on loopback alone.
    pub demo: bool,
    /// Tracks sent to clients from which on a worker has no room for newcomers while another one has.
    pub media_spread_at: usize,
    /// Takes media over TCP, on the port of HTTP, from clients without UDP.
    pub ice_tcp: bool,
    /// Estimates each subscriber's bandwidth.
    pub bwe: bool,
    /// Which way media leave to clients.
    pub egress: origo_node_core::media::Egress,
    /// Signaling sockets that one address may have open.
    pub sockets_per_address: u32,
    /// How many sounds a client gets at once, the loudest; 0 for all.
    pub audio_loudest: usize,
    /// For how many sounds a client has sections, those that were loud last; 0 for all.
    pub audio_sections: usize,
    /// For how many pictures a client has sections, besides those that it wishes for; 0 for all.
    pub video_sections: usize,
    /// How to log.
    pub log: crate::log::LogConfig,
}

#[cfg(test)]
mod tests;
