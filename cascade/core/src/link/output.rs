//! What a link asks its driver for.

use std::time::Instant;

use bytes::Bytes;

use super::{Class, Flow, Received};

/// What a link asks for. Poll until `Timeout`.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send this datagram on the media connection.
    Transmit(Bytes),
    /// What QUIC's window is to allow has changed.
    Allow {
        /// Bits per second, everything included.
        bps: u64,
        /// Nothing was heard of the peer for a while: QUIC must not hold back the little that is sent meanwhile.
        silent: bool,
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
