//! Counters of the mesh, as the node's metrics read them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use origo_auth::NodeId;
use origo_cascade_core::cascade::Counters;
use origo_cascade_core::{Node, link};

pub use origo_cascade_core::link::Stats as LinkStats;

/// Counters of the whole mesh.
#[derive(Clone, Debug, Default)]
pub struct MeshStats {
    /// By peer.
    pub links: Vec<(NodeId, LinkStats)>,
    /// What was dropped and why, such as (`datagram`, `unknown flow`).
    pub dropped: Vec<(&'static str, &'static str, u64)>,
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
    links: Mutex<BTreeMap<NodeId, (link::Stats, link::Dropped)>>,
    cascade: Mutex<Counters>,
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

    pub(crate) fn set_link(&self, peer: NodeId, stats: &link::Stats, dropped: &link::Dropped) {
        lock(&self.links).insert(peer, (stats.clone(), *dropped));
    }

    pub(crate) fn set_cascade(&self, counters: Counters) {
        *lock(&self.cascade) = counters;
    }

    pub(crate) fn stats(&self) -> MeshStats {
        let links = lock(&self.links).clone();
        let mut dropped: BTreeMap<(&'static str, &'static str), u64> = BTreeMap::new();
        for (what, why, count) in links.values().flat_map(|(_, dropped)| dropped.list()) {
            *dropped.entry((what, why)).or_default() += count;
        }
        for (what, why, count) in lock(&self.cascade).list().into_iter().chain(self.drops.list()) {
            *dropped.entry((what, why)).or_default() += count;
        }
        MeshStats {
            links: links.into_iter().map(|(peer, (stats, _))| (peer, stats)).collect(),
            dropped: dropped.into_iter().map(|((what, why), count)| (what, why, count)).collect(),
        }
    }
}
