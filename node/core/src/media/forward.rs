//! What one viewer gets of a track: one layer at a time, renumbered so that the change of layers does not show.
//!
//! The outgoing stream has one SSRC. Numbers of a layer are shifted by a constant, so that what is missing at the
//! source stays a gap for the viewer; at a switch the shift changes and the stream goes on without a gap.

use std::time::{Duration, Instant};

use origo_cascade_core::link::Packet;

use super::codec::{Codec, Vp8};

/// A step in a layer's numbers beyond which its source must have begun anew (another SSRC, another encoder).
const JUMP: u64 = 3_000;
/// The first number of an outgoing stream. Below 65536, so that the receiver's rollover counter starts right.
const FIRST_SEQUENCE: u64 = 1;

/// How a packet leaves to one viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rewrite {
    /// RTP number, extended.
    pub sequence: u64,
    /// RTP timestamp.
    pub timestamp: u32,
    /// VP8 numbers, where they differ from the packet's own.
    pub vp8: Option<Vp8>,
}

/// The state of one viewer's stream.
#[derive(Debug)]
pub(crate) struct Forwarder {
    codec: Codec,
    current: Option<u8>,
    target: Option<u8>,
    /// Lowest number of the current layer that belongs to this stream: what is before the switch is not sent.
    floor: u64,
    highest: u64,
    /// Added to the layer's numbers, wrapping.
    shift: u64,
    timestamp_shift: u32,
    last: Option<Last>,
    vp8: Vp8Run,
}

/// The newest packet that left.
#[derive(Clone, Copy, Debug)]
struct Last {
    sequence: u64,
    timestamp: u32,
    captured: Instant,
}

impl Forwarder {
    /// A stream on which nothing was sent yet, and which nothing feeds yet.
    pub fn new(codec: Codec) -> Self {
        Self {
            codec,
            current: None,
            target: None,
            floor: 0,
            highest: 0,
            shift: 0,
            timestamp_shift: 0,
            last: None,
            vp8: Vp8Run::default(),
        }
    }

    /// The layer that is being sent.
    pub fn current(&self) -> Option<u8> {
        self.current
    }

    /// The layer that is to be sent.
    pub fn target(&self) -> Option<u8> {
        self.target
    }

    /// Whether a keyframe of the target layer must come first.
    pub fn waits(&self) -> bool {
        self.target.is_some() && self.target != self.current
    }

    /// Sets the layer to be sent. The one that is sent now goes on until the new one has a keyframe; none stops at
    /// once.
    pub fn set_target(&mut self, target: Option<u8>) {
        self.target = target;
        if target.is_none() {
            self.current = None;
        }
    }

    /// How this packet of this layer leaves, if it does. `captured` says when it was captured, on a clock that all
    /// layers of the track share.
    pub fn forward(&mut self, layer: u8, packet: &Packet, captured: Instant) -> Option<Rewrite> {
        if self.current != Some(layer) {
            if self.target != Some(layer) || !self.may_begin_with(packet) {
                return None;
            }
            self.begin(layer, packet, captured);
        } else if packet.sequence.abs_diff(self.highest) > JUMP {
            self.begin(layer, packet, captured);
        }
        if packet.sequence < self.floor {
            return None;
        }
        let newest = packet.sequence >= self.highest;
        if newest {
            if packet.sequence > self.highest {
                self.shift = self.shift.wrapping_sub(u64::from(packet.skipped));
            }
            self.highest = packet.sequence;
        }
        let rewrite = Rewrite {
            sequence: packet.sequence.wrapping_add(self.shift),
            timestamp: packet.timestamp.wrapping_add(self.timestamp_shift),
            vp8: if self.codec == Codec::Vp8 { self.vp8.go_on(&packet.payload, newest) } else { None },
        };
        if newest {
            self.last = Some(Last { sequence: rewrite.sequence, timestamp: rewrite.timestamp, captured });
        }
        Some(rewrite)
    }

    fn may_begin_with(&self, packet: &Packet) -> bool {
        packet.key || matches!(self.codec, Codec::Opus | Codec::Other)
    }

    /// From this packet on the stream is fed by `layer`.
    fn begin(&mut self, layer: u8, packet: &Packet, captured: Instant) {
        let (sequence, timestamp) = match self.last {
            None => (FIRST_SEQUENCE, packet.timestamp),
            Some(last) => (last.sequence + 1, last.timestamp.wrapping_add(self.ticks(last.captured, captured))),
        };
        self.current = Some(layer);
        self.floor = packet.sequence;
        self.highest = packet.sequence;
        self.shift = sequence.wrapping_sub(packet.sequence);
        self.timestamp_shift = timestamp.wrapping_sub(packet.timestamp);
        if self.codec == Codec::Vp8 && self.last.is_some() {
            self.vp8.join(&packet.payload);
        }
    }

    /// Clock ticks between two captures: at least one, at most ten seconds' worth.
    fn ticks(&self, from: Instant, to: Instant) -> u32 {
        let elapsed = to.saturating_duration_since(from).min(Duration::from_secs(10));
        ((elapsed.as_micros() as u64 * u64::from(self.codec.clock_rate()) / 1_000_000) as u32).max(1)
    }
}

/// The running numbers of VP8, which must not jump at a switch.
#[derive(Debug, Default)]
struct Vp8Run {
    last: Vp8,
    shifted: bool,
    picture: u16,
    tl0: u8,
    key: u8,
}

impl Vp8Run {
    /// The next packet continues right after the last one.
    fn join(&mut self, payload: &[u8]) {
        let Some(next) = Vp8::parse(payload) else { return };
        if let (Some((last, _)), Some((id, _))) = (self.last.picture_id, next.picture_id) {
            self.picture = last.wrapping_add(1).wrapping_sub(id);
        }
        if let (Some(last), Some(index)) = (self.last.tl0_index, next.tl0_index) {
            self.tl0 = last.wrapping_add(1).wrapping_sub(index);
        }
        if let (Some(last), Some(index)) = (self.last.key_index, next.key_index) {
            self.key = last.wrapping_add(1).wrapping_sub(index);
        }
        self.shifted = self.picture != 0 || self.tl0 != 0 || self.key != 0;
    }

    /// The numbers with which a packet leaves; none when they are its own.
    fn go_on(&mut self, payload: &[u8], newest: bool) -> Option<Vp8> {
        let mut numbers = Vp8::parse(payload)?;
        if self.shifted {
            numbers.picture_id = numbers
                .picture_id
                .map(|(id, long)| (id.wrapping_add(self.picture) & if long { 0x7fff } else { 0x7f }, long));
            numbers.tl0_index = numbers.tl0_index.map(|index| index.wrapping_add(self.tl0));
            numbers.key_index = numbers.key_index.map(|index| index.wrapping_add(self.key) & 0x1f);
        }
        if newest {
            self.last = numbers;
        }
        self.shifted.then_some(numbers)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn vp8(sequence: u64, timestamp: u32, picture: u8, key: bool, at: Instant) -> Packet {
        let payload: Arc<[u8]> = [0x90, 0xe0, 0x80, picture, picture, 0x00, u8::from(!key), 9].into();
        Packet {
            sequence,
            timestamp,
            marker: true,
            key: Codec::Vp8.begins_keyframe(&payload, None),
            redundant: false,
            skipped: 0,
            extensions: Default::default(),
            payload,
            arrived: at,
        }
    }

    #[test]
    fn a_layer_switch_happens_only_at_a_keyframe() {
        let at = Instant::now();
        let mut forwarder = Forwarder::new(Codec::Vp8);
        forwarder.set_target(Some(0));
        assert_eq!(forwarder.forward(0, &vp8(500, 0, 1, false, at), at), None);
        assert!(forwarder.forward(0, &vp8(501, 0, 2, true, at), at).is_some());

        forwarder.set_target(Some(1));
        assert_eq!(forwarder.forward(1, &vp8(9_000, 0, 70, false, at), at), None);
        assert!(forwarder.forward(0, &vp8(502, 3_000, 3, false, at), at).is_some(), "the old layer goes on");
        assert!(forwarder.forward(1, &vp8(9_001, 0, 71, true, at), at).is_some());
        assert_eq!(forwarder.forward(0, &vp8(503, 6_000, 4, false, at), at), None);
        assert_eq!(forwarder.current(), Some(1));
    }

    #[test]
    fn numbers_go_on_over_a_switch_and_a_gap_at_the_source_stays_a_gap() {
        let start = Instant::now();
        let later = start + Duration::from_millis(100);
        let mut forwarder = Forwarder::new(Codec::Vp8);
        forwarder.set_target(Some(0));
        let first = forwarder.forward(0, &vp8(70_000, 1_000, 5, true, start), start).unwrap();
        assert_eq!((first.sequence, first.timestamp, first.vp8), (1, 1_000, None));
        let gap = forwarder.forward(0, &vp8(70_003, 4_000, 6, false, start), start).unwrap();
        assert_eq!(gap.sequence, 4);
        let repaired = forwarder.forward(0, &vp8(70_001, 1_000, 5, false, start), start).unwrap();
        assert_eq!(repaired.sequence, 2);

        forwarder.set_target(Some(2));
        let switched = forwarder.forward(2, &vp8(12, 77, 99, true, later), later).unwrap();
        assert_eq!((switched.sequence, switched.timestamp), (5, 4_000 + 9_000));
        assert_eq!(switched.vp8.unwrap().picture_id, Some((7, true)));
        assert_eq!(forwarder.forward(2, &vp8(11, 77, 98, false, later), later), None, "older than the switch");
        let next = forwarder.forward(2, &vp8(13, 3_077, 100, false, later), later).unwrap();
        assert_eq!((next.sequence, next.vp8.unwrap().tl0_index), (6, Some(8)));
    }

    #[test]
    fn a_source_that_begins_anew_does_not_break_the_stream() {
        let at = Instant::now();
        let mut forwarder = Forwarder::new(Codec::Opus);
        forwarder.set_target(Some(0));
        assert_eq!(forwarder.forward(0, &vp8(60_000, 5, 1, true, at), at).unwrap().sequence, 1);
        assert_eq!(forwarder.forward(0, &vp8(17, 9_999, 1, true, at), at).unwrap().sequence, 2);
        assert_eq!(forwarder.forward(0, &vp8(18, 9_999, 1, true, at), at).unwrap().sequence, 3);
    }

    #[test]
    fn numbers_that_an_earlier_hop_left_out_leave_no_gap() {
        let at = Instant::now();
        let mut forwarder = Forwarder::new(Codec::Opus);
        forwarder.set_target(Some(0));
        forwarder.forward(0, &vp8(100, 5, 1, true, at), at);
        let packet = Packet { skipped: 4, ..vp8(105, 5, 1, true, at) };
        assert_eq!(forwarder.forward(0, &packet, at).unwrap().sequence, 2);
        assert_eq!(forwarder.forward(0, &vp8(106, 5, 1, true, at), at).unwrap().sequence, 3);
    }
}
