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
    /// How much of what it is shortest of is in use, 0 to 1, rounded to 0.05: its busiest media worker, the machine's
    /// processors and memory, its bandwidth, its file handles.
    pub load: f64,
    /// It takes no new sessions.
    pub draining: bool,
    /// What it does without because it is short of something.
    #[serde(default, skip_serializing_if = "Overload::is_none")]
    pub overload: Overload,
}

impl Node {
    /// Whether newcomers may be sent there.
    pub fn takes_sessions(&self) -> bool {
        !self.draining && self.overload.is_none()
    }

    /// Whether it feeds other nodes with what it has from others.
    pub fn relays(&self) -> bool {
        !self.draining && self.overload.level < Level::NotRelaying
    }
}

/// How a node that is short of something stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overload {
    /// What it does without.
    pub level: Level,
    /// For want of what, for people: `cpu 96 %`. Empty when nothing is short.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

impl Overload {
    /// Whether nothing is short.
    pub fn is_none(&self) -> bool {
        self.level == Level::Calm
    }
}

/// What a node that is short of something does without; each level with all before it. Sound, and what nodes say to each
/// other, are never among it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Nothing.
    #[default]
    Calm,
    /// New sessions.
    Full,
    /// The upper layers of pictures.
    Shedding,
    /// Relaying for other nodes. What a newer version calls otherwise is at least this.
    #[serde(other)]
    NotRelaying,
}

impl Level {
    /// All levels, in their order.
    pub const ALL: [Self; 4] = [Self::Calm, Self::Full, Self::Shedding, Self::NotRelaying];

    /// Its name, as in gossip and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Full => "full",
            Self::Shedding => "shedding",
            Self::NotRelaying => "not_relaying",
        }
    }
}
