//! What happens in a world.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use origo_auth::NodeId;
use origo_cascade_core::link::Datagram;
use origo_cascade_core::metric::LinkMetric;

/// One thing that happens at an instant.
#[derive(Debug)]
pub(super) enum Event {
    /// A datagram has crossed a path, over that connection.
    Arrive { path: u32, connection: u32, datagram: Datagram },
    /// A control message has crossed a path.
    Control(Box<Parcel>),
    /// A control message that a path lost is sent again.
    Again(Box<Parcel>),
    /// A node's cascade may have something to do.
    WakeCascade(u32),
    /// A node's links may have.
    WakeLinks(u32),
    /// A track's next frame is due.
    Frame(u32),
    /// The rest of a layer's frame goes out.
    Burst { track: u32, layer: u8 },
    /// A track's next sound is due.
    Sound(u32),
    /// A publisher has heard that a layer is to be sent.
    Resume { track: u32, layer: u8 },
    /// A merged request for a keyframe reaches the publisher.
    Key { track: u32, layer: u8 },
    /// A node that still waits for a keyframe asks again.
    AskKey { node: u32, track: u32, layer: u8 },
    /// A person comes.
    Join(u32),
    /// A person goes.
    Leave(u32),
    /// The scenario changes something.
    Change(u32),
    /// A node looks at its links, and tells the others if they changed.
    Tell(u32),
    /// A node hears what another tells.
    Hear(Box<News>),
    /// Gauges are read.
    Tick,
    /// What faults bring.
    Fault(super::fault::Happening),
}

/// A control message on its way.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) from: usize,
    pub(super) to: usize,
    /// Its place in the stream.
    pub(super) number: u64,
    /// Over which connection.
    pub(super) connection: u32,
    /// How often it was lost.
    pub(super) lost: u32,
    pub(super) kind: u64,
    pub(super) message: Bytes,
}

/// The control messages of a path, which arrive whole and in order.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// Of the next one that is sent.
    pub(super) next: u64,
    /// Of the next one that is handed over.
    pub(super) expected: u64,
    /// Those that came before their turn.
    pub(super) held: BTreeMap<u64, Parcel>,
}

/// What gossip brings.
#[derive(Debug)]
pub(super) struct News {
    pub(super) to: usize,
    pub(super) of: NodeId,
    pub(super) links: Arc<Vec<(NodeId, LinkMetric)>>,
}
