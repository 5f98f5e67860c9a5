//! An RTP packet between a worker and a link, free of everything that belongs to one hop alone.

use std::sync::Arc;
use std::time::Instant;

use origo_auth::NodeId;

use super::Flow;
use crate::TrackLayer;

/// An RTP packet without what its hop gave it: payload type, SSRC, mid, rid and transport numbers are restored from
/// the flow at the next hop.
#[derive(Clone, Debug, PartialEq)]
pub struct Packet {
    /// RTP sequence number of the layer as its publisher sent it, extended. The wire carries the low 16 bits.
    pub sequence: u64,
    /// RTP timestamp of the layer.
    pub timestamp: u32,
    /// Last packet of a frame (video), first after silence (audio).
    pub marker: bool,
    /// The packet begins a keyframe.
    pub key: bool,
    /// The payload is sound with redundancy (RFC 2198), not a plain frame.
    pub redundant: bool,
    /// RTP numbers that an earlier hop left out on purpose right before this one.
    pub skipped: u16,
    /// What the next hop needs of the header extensions.
    pub extensions: Extensions,
    /// Shared by all who send it on.
    pub payload: Arc<[u8]>,
    /// When this node got it.
    pub arrived: Instant,
}

/// The header extensions that mean the same at every hop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// RFC 6464: level in -dBov (0 loudest, 127 silence) and whether it is voice.
    pub audio_level: Option<(u8, bool)>,
    /// 3GPP TS 26.114 coordination of video orientation, its byte.
    pub orientation: Option<u8>,
    /// AV1 dependency descriptor, raw.
    pub dependency: Option<Arc<[u8]>>,
    /// Absolute capture time: NTP timestamp (UQ32.32).
    pub capture_time: Option<u64>,
    /// Playout delay bounds in units of 10 ms.
    pub playout_delay: Option<(u16, u16)>,
}

/// What a packet competes with on a link; lower is more urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    /// Link messages: repair requests, reports, keyframe requests.
    Link = 0,
    /// Sound.
    Audio = 1,
    /// Base layers.
    Base = 2,
    /// What improves the picture.
    Enhancement = 3,
}

/// A worker gives a packet to the link thread.
#[derive(Clone, Debug)]
pub enum Send {
    /// Forward this packet to a peer.
    Packet {
        /// The peer.
        to: NodeId,
        /// The peer's number for this layer.
        flow: Flow,
        /// How urgent.
        class: Class,
        /// What to send.
        packet: Packet,
    },
    /// Local viewers need a keyframe of a layer that a peer serves. The link merges and limits requests.
    Keyframe {
        /// Which layer of which track.
        layer: TrackLayer,
    },
    /// How the publisher's clock stands (from its sender report), for lip sync behind the link.
    SenderReport {
        /// The peer.
        to: NodeId,
        /// The peer's number for this layer.
        flow: Flow,
        /// The publisher's NTP time (UQ32.32).
        ntp: u64,
        /// The RTP timestamp that goes with it.
        rtp: u32,
    },
}

/// The link thread gives this to the worker of the room.
#[derive(Clone, Debug)]
pub enum Received {
    /// A packet of a layer that this node subscribed to. May be out of order; never twice.
    Packet {
        /// Which layer of which track.
        layer: TrackLayer,
        /// What came.
        packet: Packet,
    },
    /// A peer's viewers need a keyframe of a layer that we serve.
    Keyframe {
        /// Which layer of which track.
        layer: TrackLayer,
    },
    /// How the publisher's clock stands.
    SenderReport {
        /// Which layer of which track.
        layer: TrackLayer,
        /// The publisher's NTP time (UQ32.32).
        ntp: u64,
        /// The RTP timestamp that goes with it.
        rtp: u32,
    },
}
