//! All links of a node: a [`Link`] per peer, and the tables that move packets from one link straight to others.
//!
//! The link thread of a node and the simulator run this same core. A packet that other nodes take too goes on at once,
//! in whatever order it came, and reaches the room's media worker only when somebody watches here.

mod counters;
mod counts;
mod kept;
mod keyframe;
mod layer;
mod machine;
mod numbers;
mod parts;
mod recent;
mod refill;
mod slab;
mod stream;
mod tables;
mod wakes;

use std::time::{Duration, Instant};

use origo_auth::NodeId;

use crate::Forward;
use crate::link::{self, Datagram, Flow, Hearing, Received, Send};
pub use counters::Counters;
pub use counts::{Count, Counts};
pub use machine::Links;

/// What the links of a node take in.
#[derive(Clone, Debug)]
pub enum Input {
    /// For one link: its connection came or went, a datagram of the peer, what QUIC has queued. What changes a table
    /// comes as [`Input::Forward`] instead, and is ignored here.
    Link {
        /// The peer.
        peer: NodeId,
        /// What happened.
        input: link::Input,
    },
    /// A table changes. `sink` stands for the room's media worker and is given back with what is received for it.
    Forward {
        /// The change.
        forward: Forward,
        /// The worker.
        sink: usize,
    },
    /// A media worker sends.
    Send(Send),
    /// The instant of the last [`Output::Timeout`] has come.
    Timeout,
}

/// What they ask for. Poll until `Timeout`.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send this datagram on the media connection to the peer.
    Transmit {
        /// The peer.
        to: NodeId,
        /// What to send.
        datagram: Datagram,
    },
    /// For the worker that `sink` stands for.
    Received {
        /// As given with [`Input::Forward`].
        sink: usize,
        /// What came.
        received: Received,
    },
    /// The first packet under this number has come: for [`crate::Input::Flowing`].
    Flowing {
        /// Who sends it.
        from: NodeId,
        /// Our number for it.
        flow: Flow,
    },
    /// What passes here, a few times a second: for [`crate::Input::Counts`].
    Counts(Counts),
    /// A peer is heard otherwise than before: for [`crate::Input::Hearing`].
    Hearing {
        /// The peer.
        peer: NodeId,
        /// How it is heard now.
        hearing: Hearing,
        /// How long ago it was last heard.
        quiet: Duration,
    },
    /// What QUIC's window on the media connection to the peer is to allow.
    Allow {
        /// The peer.
        peer: NodeId,
        /// Bits per second, everything included.
        bps: u64,
        /// The peer is not heard: QUIC must not hold back the little that is sent meanwhile.
        silent: bool,
    },
    /// Nothing more to do until then.
    Timeout(Instant),
}
