//! A published track: which layers are sent, with which numbers, and what became of each packet.

use std::collections::BTreeMap;
use std::sync::Arc;

use origo_auth::{NodeId, TrackSid};
use origo_cascade_core::link::Flow;
use origo_cascade_core::{MediaKind, TrackLayer};
use rand::rngs::SmallRng;

use super::watch::Watches;
use crate::scenario::Media;

/// Largest payload of an RTP packet, bytes.
pub(super) const PAYLOAD_MAX: usize = 1150;
/// How far back packets are remembered: every repair has come by then, ns.
const REMEMBERED: f64 = 3.0;

/// See the module. What each packet needs comes first: a line of the processor's cache.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Track {
    /// One, or one per layer when they are streams of their own.
    pub(super) streams: Vec<Stream>,
    pub(super) layers: Vec<Layer>,
    /// Node of the publisher.
    pub(super) node: usize,
    pub(super) alive: bool,
    pub(super) kind: MediaKind,
    /// Its layers lie within one stream.
    pub(super) in_stream: bool,
    pub(super) sid: TrackSid,
    /// The id by which people know it: of the first one, of tracks that follow each other.
    pub(super) name: TrackSid,
    pub(super) media: Arc<Media>,
    /// Room of the publisher.
    pub(super) room: usize,
    pub(super) began_at: u64,
    /// When the publisher lost another node, if it has come back with this.
    pub(super) lost_at: Option<u64>,
    /// Numbers left out before the next packet to a peer, of layers within one stream.
    pub(super) left_out: BTreeMap<NodeId, u16>,
    pub(super) dice: SmallRng,
    /// From its begin to its first frame, ns.
    pub(super) phase: u64,
    /// RTP timestamp.
    pub(super) clock: u32,
    /// Until when somebody talks, or is silent.
    pub(super) spurt: (bool, u64),
}

/// Packets that are numbered together.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) next: u64,
    /// Of the first packet that was sent.
    first: u64,
    /// How many packets are remembered, a power of two.
    length: u64,
    /// When each was sent, ns, and its layer in the lowest byte, by number modulo the length. Empty until the first is:
    /// of most layers none ever is.
    ring: Vec<u64>,
}

/// A packet that a publisher sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) at: u64,
    pub(super) layer: u8,
}

/// One layer. What each packet needs comes first.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub(super) struct Layer {
    /// Nodes that take it for their people.
    pub(super) watches: Watches,
    /// To which peers it goes straight, under which number.
    pub(super) serves: Vec<(NodeId, Flow)>,
    /// Bytes of a mean frame.
    pub(super) frame_bytes: f64,
    /// People on the publisher's own node who take it.
    pub(super) local: u32,
    /// The publisher sends it.
    pub(super) active: bool,
    /// The publisher has been told to.
    pub(super) resuming: bool,
    pub(super) burst: Burst,
    /// All copies.
    pub(super) copies: Vec<Copy>,
    /// A keyframe is due from then on.
    pub(super) key_at: Option<u64>,
    pub(super) last_key: u64,
    pub(super) last_request: Option<u64>,
    pub(super) request_waits: bool,
    /// Requests that reached the publisher within the current second.
    pub(super) requests: u32,
    /// When the first node asked for a layer that nobody took, and its straight delay.
    pub(super) asked_at: Option<(u64, u64)>,
    /// When the last node that took it for its people ended that.
    pub(super) unwatched_at: Option<u64>,
}

/// A flow of a layer over a link.
#[derive(Clone, Debug)]
pub(super) struct Copy {
    pub(super) from: usize,
    pub(super) to: usize,
    /// The taker's number for it.
    pub(super) flow: Flow,
    pub(super) since: u64,
    /// Another node sends it too, on purpose.
    pub(super) second: bool,
}

/// What is left of a frame.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Burst {
    pub(super) left: u32,
    pub(super) bytes: usize,
    pub(super) key: bool,
    pub(super) clock: u32,
}

impl Stream {
    pub(super) fn new(packets_per_s: f64, first: u64) -> Self {
        let length = ((packets_per_s * REMEMBERED) as u64).next_power_of_two().clamp(256, 1 << 15);
        Self { next: first, first, length, ring: Vec::new() }
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Notes a packet and gives its number.
    pub(super) fn note(&mut self, at: u64, layer: u8) -> u64 {
        let number = self.next;
        if self.ring.is_empty() {
            self.ring = vec![0; self.length as usize];
        }
        let place = self.place(number);
        self.ring[place] = (at << 8) | u64::from(layer);
        self.next += 1;
        number
    }

    fn place(&self, number: u64) -> usize {
        (number & (self.length - 1)) as usize
    }

    /// A packet that is remembered.
    pub(super) fn sent(&self, number: u64) -> Option<Sent> {
        let is_kept = (self.first..self.next).contains(&number) && self.next - number <= self.length;
        let sent = self.ring.get(self.place(number)).filter(|_| is_kept)?;
        Some(Sent { at: sent >> 8, layer: *sent as u8 })
    }

    /// The newest number with these low bits.
    pub(super) fn extend(&self, low: u16) -> u64 {
        let newest = self.next - 1;
        newest - u64::from((newest as u16).wrapping_sub(low))
    }
}

impl Track {
    pub(super) fn in_stream(&self) -> bool {
        self.in_stream
    }

    /// Which stream numbers a layer.
    pub(super) fn stream_of(&self, layer: u8) -> usize {
        if self.in_stream() { 0 } else { usize::from(layer) }
    }

    pub(super) fn id(&self, layer: u8) -> TrackLayer {
        TrackLayer { track: self.sid, layer }
    }
}

impl Layer {
    pub(super) fn is_wanted(&self) -> bool {
        self.local > 0 || !self.serves.is_empty()
    }
}
