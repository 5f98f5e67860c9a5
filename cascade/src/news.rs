//! What connections tell the mesh loop.

use std::net::SocketAddr;
use std::time::Duration;

use origo_auth::NodeId;
use origo_cascade_core::Node;
use origo_cascade_core::cascade::RoomData;
use origo_cascade_core::link::{Flow, Hearing};
use origo_cascade_core::links::Counts;
use origo_cascade_core::metric::LinkMetric;
use origo_cascade_core::wire::Frame;
use origo_cascade_core::wire::message::Hello;
use quinn::{Connection, RecvStream, SendStream};
use tokio::sync::mpsc;

use crate::kind::Kind;

/// News that wait for the loop: then connections wait, and QUIC makes their peers wait.
pub(crate) const NEWS_MAX: usize = 1024;

/// Where news go.
pub(crate) type NewsSender = mpsc::Sender<News>;

/// A connection's number in this process, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConnectionNumber(pub(crate) u64);

/// A connection whose handshake is done.
pub(crate) struct Connected {
    pub(crate) number: ConnectionNumber,
    pub(crate) peer: NodeId,
    pub(crate) connection: Connection,
    /// Our count of dials, if we dialled.
    pub(crate) dial: Option<u64>,
}

/// A control connection after both HELLOs.
pub(crate) struct Greeted {
    pub(crate) connected: Connected,
    pub(crate) hello: Hello,
    pub(crate) send: SendStream,
    pub(crate) recv: RecvStream,
}

/// What connections tell the mesh loop.
pub(crate) enum News {
    /// A control or data connection is up.
    Connected(Kind, Connected),
    /// A dial came to nothing, or ended with a node.
    Dialled { kind: Kind, address: SocketAddr, peer: Option<NodeId> },
    /// A control connection is ready.
    Greeted(Box<Greeted>),
    /// A control frame.
    Frame { number: ConnectionNumber, peer: NodeId, frame: Frame },
    /// A control connection is gone.
    ControlDown { number: ConnectionNumber, peer: NodeId, leaving: bool },
    /// A peer ended a control connection because a newer life of this node is linked with it.
    OtherLife(NodeId),
    /// The media connection to a peer is up or gone.
    Media { peer: NodeId, up: bool },
    /// The first packet under our number has come.
    Flowing { peer: NodeId, flow: Flow },
    /// A peer is heard over the media connection otherwise than before.
    Hearing { peer: NodeId, hearing: Hearing, quiet: Duration },
    /// What passes the links.
    Counts(Counts),
    /// A data connection is gone.
    DataDown { number: ConnectionNumber, peer: NodeId },
    /// A data packet.
    Data { peer: NodeId, data: RoomData },
    /// Gossip's view of the living nodes, each with the session it tells of.
    Members(Vec<(Node, u64)>),
    /// What a node tells of its links, whole.
    Metrics { node: NodeId, links: Vec<(NodeId, LinkMetric)> },
    /// Gossip would like to talk to the node at that address.
    Wanted(SocketAddr),
}
