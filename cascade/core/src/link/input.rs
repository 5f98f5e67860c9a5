//! What a link takes in.

use std::time::Duration;

use super::{Class, Datagram, Flow, Packet};
use crate::{MediaKind, TrackLayer};

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A new media connection to the peer; hop numbers begin anew on both sides.
    Up {
        /// A first guess of the round trip.
        rtt: Duration,
        /// What the operator says that the path carries, in bits per second with everything included. Without it the
        /// link begins with what worked on this pair lately, or low.
        rate_bps: Option<u64>,
    },
    /// The media connection is gone. Flows stay.
    Down,
    /// Send a packet under the peer's flow number.
    Packet {
        /// The peer's number for the layer.
        flow: Flow,
        /// How urgent.
        class: Class,
        /// What to send.
        packet: Packet,
    },
    /// Local viewers need a keyframe of a layer that comes over this link.
    Keyframe(TrackLayer),
    /// Tell the peer how a publisher's clock stands.
    SenderReport {
        /// The peer's number for the layer.
        flow: Flow,
        /// NTP time (UQ32.32).
        ntp: u64,
        /// The RTP timestamp that goes with it.
        rtp: u32,
    },
    /// A datagram of the peer.
    Datagram(Datagram),
    /// So many bytes of what was given with [`Output::Transmit`] have not left QUIC's queue.
    Queued(usize),
    /// Packets under this number are that layer.
    Receive {
        /// Our number.
        flow: Flow,
        /// The layer.
        layer: TrackLayer,
        /// Given back with what comes: whose packets these are.
        sink: usize,
    },
    /// The number means nothing any more.
    StopReceive(Flow),
    /// The peer takes that layer under its number.
    Serve {
        /// The peer's number.
        flow: Flow,
        /// The layer.
        layer: TrackLayer,
        /// Sound or picture.
        kind: MediaKind,
        /// The track's layers lie within one stream, whose numbers count over all of them.
        in_stream: bool,
        /// Given back with keyframe requests.
        sink: usize,
    },
    /// The peer takes it no longer.
    StopServe(Flow),
    /// The instant of the last [`Output::Timeout`] has come.
    Timeout,
}
