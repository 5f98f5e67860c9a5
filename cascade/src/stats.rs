//! Counters of the mesh, as the node's metrics read them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use origo_auth::NodeId;
use origo_cascade_core::cascade::{Counters, Rescues};
use origo_cascade_core::metric::LinkMetric;
use origo_cascade_core::{Node, link, links};
use tokio::sync::watch;

pub use origo_cascade_core::link::Stats as LinkStats;

/// Counters of the whole mesh.
#[derive(Clone, Debug, Default)]
pub struct MeshStats {
    /// By peer.
    pub links: Vec<(NodeId, LinkStats)>,
    /// The links that have a connection, as measured from here.
    pub measured: Vec<Measured>,
    /// Parents of trees that were left.
    pub rescues: Rescues,
    /// Track layers that each peer is asked for though another one sends them too.
    pub seconds: BTreeMap<NodeId, usize>,
    /// Packets that the link thread sent by itself: passed on from one link to another, and sent to a peer that lacks
    /// what its failed parent did not send.
    pub relayed: [(&'static str, u64); 2],
    /// Packets of layers that no worker of this node takes.
    pub passed: u64,
    /// What was dropped and why, such as (`datagram`, `unknown flow`).
    pub dropped: Vec<(&'static str, &'static str, u64)>,
}

/// What is known of the link to one peer.
#[derive(Clone, Debug, Default)]
pub(crate) struct LinkFigures {
    pub(crate) stats: link::Stats,
    pub(crate) dropped: link::Dropped,
    /// While there is a connection.
    pub(crate) metric: Option<LinkMetric>,
    /// While the peer is heard.
    pub(crate) allowed_bps: Option<u64>,
}

/// A link as measured from this node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// The other end.
    pub peer: NodeId,
    /// The figures.
    pub metric: LinkMetric,
    /// Bits per second that the link's estimator lets go; `None` while it does not bound them.
    pub allowed_bps: Option<u64>,
}

/// What the driver itself drops; each grows where its thing happens.
#[derive(Debug, Default)]
pub(crate) struct Drops {
    /// Connections whose handshake failed mutual authentication.
    pub(crate) unauthenticated: AtomicU64,
    /// Connections that ended in the handshake for another reason.
    pub(crate) handshake: AtomicU64,
    /// Control connections that began with something else than a fitting HELLO.
    pub(crate) hello: AtomicU64,
    /// Control connections that ended because of a frame that cannot be read.
    pub(crate) frame: AtomicU64,
    /// Gossip messages that cannot be read or came too fast.
    pub(crate) gossip: AtomicU64,
    /// Data packets or streams that cannot be read.
    pub(crate) data_malformed: AtomicU64,
    /// Data packets to a peer that takes them too slowly or has no connection.
    pub(crate) data_unsent: AtomicU64,
    /// Packets to a peer whose send buffer is full.
    pub(crate) send_buffer: AtomicU64,
    /// Packets for a media worker that is behind.
    pub(crate) inbox: AtomicU64,
}

impl Drops {
    /// Counts one.
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn list(&self) -> [(&'static str, &'static str, u64); 9] {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("connection", "not of this mesh", read(&self.unauthenticated)),
            ("connection", "handshake failed", read(&self.handshake)),
            ("connection", "hello", read(&self.hello)),
            ("connection", "malformed frame", read(&self.frame)),
            ("gossip message", "malformed or too many", read(&self.gossip)),
            ("data packet", "malformed", read(&self.data_malformed)),
            ("data packet", "peer too slow", read(&self.data_unsent)),
            ("link packet", "send buffer full", read(&self.send_buffer)),
            ("link packet", "media worker behind", read(&self.inbox)),
        ]
    }
}

/// What the mesh's tasks and threads share with the node.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// The living nodes.
    nodes: RwLock<Vec<Node>>,
    by_peer: Mutex<BTreeMap<NodeId, LinkFigures>>,
    links: Mutex<links::Counters>,
    cascade: Mutex<Counters>,
    seconds: Mutex<BTreeMap<NodeId, usize>>,
    double: watch::Sender<bool>,
    pub(crate) drops: Drops,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Counters stay meaningful even if a thread died while it held them.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn nodes(&self) -> Vec<Node> {
        self.nodes.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_nodes(&self, nodes: Vec<Node>) {
        *self.nodes.write().unwrap_or_else(PoisonError::into_inner) = nodes;
    }

    /// Another process runs with this node's identity. Says whether that is news.
    pub(crate) fn set_double(&self) -> bool {
        !self.double.send_replace(true)
    }

    /// Follows whether one does.
    pub(crate) fn double(&self) -> watch::Receiver<bool> {
        self.double.subscribe()
    }

    pub(crate) fn set_link(&self, peer: NodeId, figures: LinkFigures) {
        lock(&self.by_peer).insert(peer, figures);
    }

    pub(crate) fn set_links(&self, counters: links::Counters) {
        *lock(&self.links) = counters;
    }

    /// The links with a connection, by peer.
    pub(crate) fn measured(&self) -> Vec<Measured> {
        let measured = |(peer, figures): (&NodeId, &LinkFigures)| {
            Some(Measured { peer: *peer, metric: figures.metric?, allowed_bps: figures.allowed_bps })
        };
        lock(&self.by_peer).iter().filter_map(measured).collect()
    }

    /// Bytes to and from a peer so far.
    pub(crate) fn traffic(&self) -> BTreeMap<NodeId, u64> {
        let bytes = |figures: &LinkFigures| figures.stats.bytes.iter().flatten().sum();
        lock(&self.by_peer).iter().map(|(peer, figures)| (*peer, bytes(figures))).collect()
    }

    pub(crate) fn set_seconds(&self, seconds: BTreeMap<NodeId, usize>) {
        *lock(&self.seconds) = seconds;
    }

    pub(crate) fn set_cascade(&self, counters: Counters) {
        *lock(&self.cascade) = counters;
    }

    pub(crate) fn stats(&self) -> MeshStats {
        let by_peer = lock(&self.by_peer).clone();
        let mut dropped: BTreeMap<(&'static str, &'static str), u64> = BTreeMap::new();
        for (what, why, count) in by_peer.values().flat_map(|figures| figures.dropped.list()) {
            *dropped.entry((what, why)).or_default() += count;
        }
        let (cascade, links) = (lock(&self.cascade).list(), *lock(&self.links));
        for (what, why, count) in cascade.into_iter().chain(links.list()).chain(self.drops.list()) {
            *dropped.entry((what, why)).or_default() += count;
        }
        MeshStats {
            links: by_peer.into_iter().map(|(peer, figures)| (peer, figures.stats)).collect(),
            measured: self.measured(),
            rescues: lock(&self.cascade).rescues,
            seconds: lock(&self.seconds).clone(),
            relayed: [("relay", links.relayed), ("refill", links.refilled)],
            passed: links.passed,
            dropped: dropped.into_iter().map(|((what, why), count)| (what, why, count)).collect(),
        }
    }
}
