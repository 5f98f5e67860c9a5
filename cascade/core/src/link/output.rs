//! What a link asks its driver for.

use std::time::{Duration, Instant};

use super::{Class, Datagram, Flow, Received};

/// How a peer is heard over its media connection, and hears us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hearing {
    /// Something comes at least every 150 ms.
    Well,
    /// It has been silent for longer: another way is to be kept ready.
    Suspect,
    /// It has been silent for 300 ms or its connection is closed: media has to go another way.
    Gone,
}

/// What a link asks for. Poll until `Timeout`.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send this datagram on the media connection.
    Transmit(Datagram),
    /// What QUIC's window is to allow has changed.
    Allow {
        /// Bits per second, everything included.
        bps: u64,
        /// Nothing was heard of the peer for a while: QUIC must not hold back the little that is sent meanwhile.
        silent: bool,
    },
    /// The peer is heard otherwise than before. First told when it is not heard well.
    Hearing {
        /// How it is heard now.
        hearing: Hearing,
        /// How long ago it was last heard.
        quiet: Duration,
    },
    /// For the worker that `sink` stands for.
    Received {
        /// As given with [`Input::Receive`] or [`Input::Serve`].
        sink: usize,
        /// The class of a packet; [`Class::Link`] for everything else.
        class: Class,
        /// Our number (a packet, a sender report) or the peer's (a keyframe request).
        flow: Flow,
        /// What came.
        received: Received,
    },
    /// Nothing more to do until then.
    Timeout(Instant),
}
