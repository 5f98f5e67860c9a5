//! Changes of the forwarding tables, from the mesh loop to the link thread.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, unbounded};
use origo_auth::NodeId;
use origo_cascade_core::Forward;
use tokio::sync::Notify;

/// A change for the link thread.
#[derive(Clone, Debug)]
pub(crate) enum Forwarding {
    /// A table changes; `sink` is the room's media worker.
    Change { forward: Forward, sink: usize },
    /// The peer began a new life: its media connection is dead.
    Forget(NodeId),
}

/// Sends changes. Not bounded: each comes from a decision of this node's cascade, which bounds them.
#[derive(Clone)]
pub(crate) struct ForwardingSender {
    changes: Sender<Forwarding>,
    changed: Arc<Notify>,
}

impl ForwardingSender {
    /// A sender, the end that the link thread reads, and what wakes it.
    pub(crate) fn new() -> (Self, Receiver<Forwarding>, Arc<Notify>) {
        let (changes, receiver) = unbounded();
        let changed = Arc::new(Notify::new());
        (Self { changes, changed: changed.clone() }, receiver, changed)
    }

    /// The link thread applies a change before it handles any packet that comes after it.
    pub(crate) fn send(&self, change: Forwarding) {
        // The thread ends only with the mesh.
        let _ = self.changes.send(change);
        self.changed.notify_one();
    }
}
