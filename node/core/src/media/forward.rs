//! What one viewer gets of a track: one layer of it, or the lower layers of a stream that carries them all, renumbered
//! so that neither a change of layers nor what is left out shows.
//!
//! The outgoing stream has one SSRC. Numbers of a layer are shifted, so that what is missing at the source stays a gap
//! for the viewer; where something is left out, or another layer begins, the stream goes on without a gap.

use std::sync::Arc;
use std::time::{Duration, Instant};

use origo_cascade_core::link::Packet;

use super::codec::Codec;
use super::cut::{Choice, Course};
use super::numbers::{Numbers, Source, Taken};
use super::place::{Queued, TEMPORAL_LAYERS};
use super::vp8::{Vp8, Vp8Run};

/// A step in a layer's numbers beyond which its source must have begun anew (another SSRC, another encoder).
const JUMP: u64 = 3_000;
/// Ticks of a sound's packet until two in a row have told: 20 ms of Opus, as browsers send it.
const USUAL_STEP: u32 = 960;
/// No packet of Opus has more (120 ms, RFC 6716 section 2.1.4).
const STEP_MAX: u32 = 5_760;
/// The first number of an outgoing stream. Below 65536, so that the receiver's rollover counter starts right.
const FIRST_SEQUENCE: u64 = 1;

/// How a packet leaves to one viewer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rewrite {
    /// RTP number, extended.
    pub sequence: u64,
    /// RTP timestamp.
    pub timestamp: u32,
    /// Last packet of a picture, as far as this viewer gets it.
    pub marker: bool,
    /// VP8 numbers, where they differ from the packet's own.
    pub vp8: Option<Vp8>,
    /// The dependency descriptor, where it differs from the packet's own.
    pub dependency: Option<Arc<[u8]>>,
    /// Nothing but its number leaves: the viewer has taken for lost what it was never to get, and stops asking.
    pub blank: bool,
}

/// The state of one viewer's stream.
#[derive(Debug)]
pub(crate) struct Forwarder {
    codec: Codec,
    /// Layers are within one stream, and cut there; otherwise each is a stream of its own.
    layered: bool,
    /// The stream that is being sent, and which layers within it.
    current: Option<(u8, Choice)>,
    target: Option<u8>,
    /// The highest temporal layer to be sent.
    temporal: u8,
    numbers: Numbers,
    timestamp_shift: u32,
    course: Course,
    last: Option<Last>,
    /// Ticks from packet to packet of a sound.
    step: u32,
    /// Where the sound that it goes on from ended, in timestamps of what it is fed with.
    seam: Option<u32>,
    /// Another one goes on in its place: only what comes late still leaves.
    closed: bool,
    vp8: Vp8Run,
    /// The viewer's decoder does not know yet which layers are left.
    unsaid: bool,
}

/// Where the numbers of a stream end.
#[derive(Debug)]
pub(crate) struct End {
    last: Option<Last>,
    step: u32,
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
    /// A stream on which nothing was sent yet, and which nothing feeds yet. `layered` when the track's layers come
    /// within one stream.
    pub fn new(codec: Codec, layered: bool) -> Self {
        Self {
            codec,
            layered,
            current: None,
            target: None,
            temporal: TEMPORAL_LAYERS - 1,
            numbers: Numbers::new(),
            timestamp_shift: 0,
            course: Course::default(),
            last: None,
            step: USUAL_STEP,
            seam: None,
            closed: false,
            vp8: Vp8Run::default(),
            unsaid: false,
        }
    }

    /// The layer that is being sent.
    pub fn current(&self) -> Option<u8> {
        self.current.map(|(stream, choice)| if self.layered { choice.spatial } else { stream })
    }

    /// The layer that is to be sent.
    pub fn target(&self) -> Option<u8> {
        self.target
    }

    /// Where its numbers end.
    pub fn end(&self) -> End {
        End { last: self.last, step: self.step, vp8: self.vp8.clone() }
    }

    /// Another one goes on from here. What was lost or overtaken until now may still come.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// The numbers go on where those of another forwarder ended, which wrote to the same stream. With `seam`, the
    /// timestamp in what feeds this one at which the newest packet of the other was captured, it begins with the packet
    /// right after that, so that nothing of a sound leaves twice.
    pub fn go_on_from(&mut self, end: End, seam: Option<u32>) {
        (self.last, self.step, self.vp8, self.seam) = (end.last, end.step, end.vp8, seam);
    }

    /// The timestamp that the newest packet that left had when it came, and the ticks of one packet.
    pub fn newest_taken(&self) -> Option<(u32, u32)> {
        self.last.map(|last| (last.timestamp.wrapping_sub(self.timestamp_shift), self.step))
    }

    /// Whether something was sent.
    pub fn has_sent(&self) -> bool {
        self.last.is_some()
    }

    /// Whether packets of a stream may be of use.
    pub fn takes(&self, stream: u8) -> bool {
        let wanted = if self.layered { self.target.map(|_| 0) } else { self.target };
        wanted == Some(stream) || self.current.is_some_and(|(current, _)| current == stream)
    }

    /// Whether a keyframe must come before the target layer can be sent.
    pub fn waits(&self) -> bool {
        let (target, current) = (self.target, self.current());
        if self.layered { target > current } else { target.is_some() && target != current }
    }

    /// Sets the layer to be sent. The one that is sent now goes on until the new one can begin; none stops at once.
    pub fn set_target(&mut self, target: Option<u8>) {
        self.target = target;
        if target.is_none() {
            self.current = None;
        }
    }

    /// Sets the highest temporal layer to be sent.
    pub fn set_temporal(&mut self, temporal: u8) {
        self.temporal = temporal.min(TEMPORAL_LAYERS - 1);
    }

    /// How this packet of this stream leaves, if it does.
    pub fn forward(&mut self, stream: u8, queued: &Queued) -> Option<Rewrite> {
        let source = queued.packet.sequence;
        let current = self.current.filter(|(current, _)| *current == stream).map(|(_, choice)| choice);
        match current {
            None if !self.takes(stream) || !self.may_begin_with(queued) => return None,
            None => self.begin(stream, self.goal(), queued),
            Some(choice) if self.numbers.distance(source) > JUMP => self.begin(stream, choice, queued),
            Some(_) => {}
        }
        if !self.numbers.is_newest(source) {
            return self.late(queued);
        }
        if self.closed { None } else { self.newest(queued) }
    }

    /// An earlier hop has only told that the number was left out.
    fn is_void(&self, packet: &Packet) -> bool {
        packet.payload.is_empty() && self.codec != Codec::Opus
    }

    /// Whether a viewer that has nothing can begin with a packet.
    pub fn may_begin_with(&self, queued: &Queued) -> bool {
        let follows = self.seam.is_none_or(|seam| self.ticks_after(seam, queued) >= i64::from(self.step.div_ceil(2)));
        follows && (queued.packet.key || matches!(self.codec, Codec::Opus | Codec::Other))
    }

    /// How much later than another timestamp a packet was captured.
    fn ticks_after(&self, timestamp: u32, queued: &Queued) -> i64 {
        i64::from(queued.packet.timestamp.wrapping_sub(timestamp) as i32)
    }

    /// Ticks from the end of a sound to the first packet that goes on from it. Two encoders cut the same sound into packets
    /// at different moments; less than half a packet is not to be heard, and would leave a hole or be thrown away.
    fn ticks_over(&self, seam: u32, queued: &Queued) -> u32 {
        let (ticks, step) = (self.ticks_after(seam, queued).max(1) as u32, self.step);
        if ticks < step + step / 2 { step } else { ticks.min(10 * self.codec.clock_rate()) }
    }

    /// The layers to be taken within the stream.
    fn goal(&self) -> Choice {
        let spatial = if self.layered { self.target.unwrap_or(0) } else { 0 };
        Choice { spatial, temporal: self.temporal }
    }

    /// From this packet on the viewer is fed by `stream`.
    fn begin(&mut self, stream: u8, choice: Choice, queued: &Queued) {
        let packet = &queued.packet;
        let (sequence, timestamp) = match self.last {
            None => (FIRST_SEQUENCE, packet.timestamp),
            Some(last) => {
                let seam = self.seam.take().map(|seam| self.ticks_over(seam, queued));
                let ticks = seam.unwrap_or_else(|| self.ticks(last.captured, queued.captured));
                (last.sequence + 1, last.timestamp.wrapping_add(ticks))
            }
        };
        self.current = Some((stream, choice));
        self.numbers.begin(Source::of(&queued.packet), sequence, Taken { choice, picture: 0 });
        self.timestamp_shift = timestamp.wrapping_sub(packet.timestamp);
        self.course = Course::default();
        self.unsaid = true;
        if self.codec == Codec::Vp8 && self.last.is_some() {
            self.vp8.join(&packet.payload);
        }
    }

    fn newest(&mut self, queued: &Queued) -> Option<Rewrite> {
        let Queued { packet, captured, place, .. } = queued;
        let (stream, before) = self.current?;
        let choice = self.course.next(before, self.goal(), packet, place);
        self.current = Some((stream, choice));
        self.unsaid |= choice != before;
        if !choice.admits(place) || self.is_void(packet) {
            if self.codec == Codec::Vp8 {
                self.vp8.leave_out(&packet.payload);
            }
            self.numbers.leave_out(Source::of(&queued.packet), Taken { choice, picture: self.vp8.picture });
            return None;
        }
        let taken = Taken { choice, picture: self.vp8.picture };
        let sequence = self.numbers.send(Source::of(&queued.packet), taken);
        let dependency = self.describe(queued, choice);
        let rewrite = Rewrite { dependency, ..self.rewrite(queued, sequence, taken, true) };
        let in_a_row = self.last.filter(|last| last.sequence + 1 == sequence);
        if let Some(step) = in_a_row.map(|last| rewrite.timestamp.wrapping_sub(last.timestamp))
            && (1..=STEP_MAX).contains(&step)
        {
            self.step = step;
        }
        self.last = Some(Last { sequence, timestamp: rewrite.timestamp, captured: *captured });
        Some(rewrite)
    }

    /// A packet that was lost once, or was overtaken.
    fn late(&mut self, queued: &Queued) -> Option<Rewrite> {
        let (sequence, taken) = self.numbers.late(Source::of(&queued.packet))?;
        let blank = !taken.choice.admits(&queued.place) || self.is_void(&queued.packet);
        if let Some(last) = &mut self.last {
            // What came after it may all have been left out.
            last.sequence = last.sequence.max(sequence);
        }
        Some(Rewrite { blank, ..self.rewrite(queued, sequence, taken, false) })
    }

    fn rewrite(&mut self, queued: &Queued, sequence: u64, taken: Taken, newest: bool) -> Rewrite {
        let Queued { packet, place, .. } = queued;
        Rewrite {
            sequence,
            timestamp: packet.timestamp.wrapping_add(self.timestamp_shift),
            marker: if self.layered { self.course.ends(taken.choice, packet, place, newest) } else { packet.marker },
            vp8: if self.codec == Codec::Vp8 { self.vp8.go_on(&packet.payload, taken.picture, newest) } else { None },
            dependency: None,
            blank: false,
        }
    }

    /// The descriptor, where it must say that layers were cut: with a keyframe, and with the first frame after a change.
    fn describe(&mut self, queued: &Queued, choice: Choice) -> Option<Arc<[u8]>> {
        let read = queued.descriptor.as_ref()?;
        let bytes = queued.packet.extensions.dependency.as_deref()?;
        let force = self.unsaid && queued.place.starts;
        self.unsaid &= !force;
        let spatial = if self.layered { choice.spatial } else { u8::MAX };
        read.cut(bytes, spatial, choice.temporal, force)
    }

    /// Clock ticks between two captures: at least one, at most ten seconds' worth.
    fn ticks(&self, from: Instant, to: Instant) -> u32 {
        let elapsed = to.saturating_duration_since(from).min(Duration::from_secs(10));
        ((elapsed.as_micros() as u64 * u64::from(self.codec.clock_rate()) / 1_000_000) as u32).max(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::place::Reader;
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

    /// Forwards a packet of a stream that has its descriptor in each payload.
    fn sent(forwarder: &mut Forwarder, stream: u8, packet: Packet, captured: Instant) -> Option<Rewrite> {
        let (place, descriptor) = Reader::default().read(forwarder.codec, &packet, forwarder.layered);
        forwarder.forward(stream, &Queued { packet, captured, place, descriptor })
    }

    #[test]
    fn a_layer_switch_happens_only_at_a_keyframe() {
        let at = Instant::now();
        let mut forwarder = Forwarder::new(Codec::Vp8, false);
        forwarder.set_target(Some(0));
        assert_eq!(sent(&mut forwarder, 0, vp8(500, 0, 1, false, at), at), None);
        assert!(sent(&mut forwarder, 0, vp8(501, 0, 2, true, at), at).is_some());

        forwarder.set_target(Some(1));
        assert_eq!(sent(&mut forwarder, 1, vp8(9_000, 0, 70, false, at), at), None);
        assert!(sent(&mut forwarder, 0, vp8(502, 3_000, 3, false, at), at).is_some(), "the old layer goes on");
        assert!(sent(&mut forwarder, 1, vp8(9_001, 0, 71, true, at), at).is_some());
        assert_eq!(sent(&mut forwarder, 0, vp8(503, 6_000, 4, false, at), at), None);
        assert_eq!(forwarder.current(), Some(1));
    }

    #[test]
    fn numbers_go_on_over_a_switch_and_a_gap_at_the_source_stays_a_gap() {
        let start = Instant::now();
        let later = start + Duration::from_millis(100);
        let mut forwarder = Forwarder::new(Codec::Vp8, false);
        forwarder.set_target(Some(0));
        let first = sent(&mut forwarder, 0, vp8(70_000, 1_000, 5, true, start), start).unwrap();
        assert_eq!((first.sequence, first.timestamp, first.vp8), (1, 1_000, None));
        let gap = sent(&mut forwarder, 0, vp8(70_003, 4_000, 6, false, start), start).unwrap();
        assert_eq!(gap.sequence, 4);
        let repaired = sent(&mut forwarder, 0, vp8(70_001, 1_000, 5, false, start), start).unwrap();
        assert_eq!(repaired.sequence, 2);

        forwarder.set_target(Some(2));
        let switched = sent(&mut forwarder, 2, vp8(12, 77, 99, true, later), later).unwrap();
        assert_eq!((switched.sequence, switched.timestamp), (5, 4_000 + 9_000));
        assert_eq!(switched.vp8.unwrap().picture_id, Some((7, true)));
        assert_eq!(sent(&mut forwarder, 2, vp8(11, 77, 98, false, later), later), None, "older than the switch");
        let next = sent(&mut forwarder, 2, vp8(13, 3_077, 100, false, later), later).unwrap();
        assert_eq!((next.sequence, next.vp8.unwrap().tl0_index), (6, Some(8)));
    }

    #[test]
    fn a_source_that_begins_anew_does_not_break_the_stream() {
        let at = Instant::now();
        let mut forwarder = Forwarder::new(Codec::Opus, false);
        forwarder.set_target(Some(0));
        assert_eq!(sent(&mut forwarder, 0, vp8(60_000, 5, 1, true, at), at).unwrap().sequence, 1);
        assert_eq!(sent(&mut forwarder, 0, vp8(17, 9_999, 1, true, at), at).unwrap().sequence, 2);
        assert_eq!(sent(&mut forwarder, 0, vp8(18, 9_999, 1, true, at), at).unwrap().sequence, 3);
    }

    #[test]
    fn numbers_that_an_earlier_hop_left_out_leave_no_gap() {
        let at = Instant::now();
        let mut forwarder = Forwarder::new(Codec::Opus, false);
        forwarder.set_target(Some(0));
        sent(&mut forwarder, 0, vp8(100, 5, 1, true, at), at);
        let packet = Packet { skipped: 4, ..vp8(105, 5, 1, true, at) };
        assert_eq!(sent(&mut forwarder, 0, packet, at).unwrap().sequence, 2);
        assert_eq!(sent(&mut forwarder, 0, vp8(106, 5, 1, true, at), at).unwrap().sequence, 3);
    }

    /// A frame of VP9 in one packet: picture, spatial and temporal layer. Every frame of the lowest temporal layer leads
    /// up, and each picture has three spatial layers.
    fn vp9(sequence: u64, picture: u32, spatial: u8, temporal: u8, key: bool, at: Instant) -> Packet {
        let predicted = if key { 0 } else { 0x40 };
        let leads_up = if temporal == 0 { 0x10 } else { 0 };
        let payload = [0x2c | predicted, temporal << 5 | leads_up | spatial << 1, 0, 7].as_slice().into();
        let key = key && spatial == 0;
        let marker = spatial == 2;
        let extensions = Default::default();
        let (redundant, skipped) = (false, 0);
        Packet {
            sequence,
            timestamp: picture * 3_000,
            marker,
            key,
            redundant,
            skipped,
            extensions,
            payload,
            arrived: at,
        }
    }

    /// Sends pictures of three spatial layers, in temporal layers 0, 1, 0, 1. Gives (picture, spatial) of what leaves,
    /// having made sure that numbers run on and that every picture ends with a marker.
    struct Stream {
        forwarder: Forwarder,
        picture: u32,
        sequence: u64,
    }

    impl Stream {
        fn new(target: u8) -> Self {
            let mut forwarder = Forwarder::new(Codec::Vp9, true);
            forwarder.set_target(Some(target));
            Self { forwarder, picture: 0, sequence: 0 }
        }

        fn send(&mut self, pictures: u32, key_at: Option<u32>) -> Vec<(u32, u8)> {
            let at = Instant::now();
            let mut left = Vec::new();
            for _ in 0..pictures {
                let mut marked = None;
                for spatial in 0..3 {
                    let key = key_at == Some(self.picture);
                    let packet = vp9(self.sequence, self.picture, spatial, self.picture as u8 % 2, key, at);
                    self.sequence += 1;
                    let next = self.forwarder.last.map_or(FIRST_SEQUENCE, |last| last.sequence + 1);
                    if let Some(rewrite) = sent(&mut self.forwarder, 0, packet, at) {
                        assert_eq!((rewrite.sequence, rewrite.blank), (next, false));
                        assert_ne!(marked, Some(true), "nothing comes after the marker");
                        marked = Some(rewrite.marker);
                        left.push((self.picture, spatial));
                    }
                }
                assert_ne!(marked, Some(false), "picture {} has no end", self.picture);
                self.picture += 1;
            }
            left
        }
    }

    #[test]
    fn upper_layers_of_one_stream_are_cut_without_a_gap_and_each_picture_has_its_end() {
        let mut stream = Stream::new(1);
        assert!(stream.send(2, None).is_empty(), "nothing before a keyframe");
        assert_eq!(stream.send(2, Some(2)), [(2, 0), (2, 1), (3, 0), (3, 1)]);
        assert_eq!(stream.forwarder.current(), Some(1));
    }

    #[test]
    fn layers_of_one_stream_fall_with_the_next_picture_and_rise_with_a_keyframe() {
        let mut stream = Stream::new(2);
        stream.send(3, Some(0));
        stream.forwarder.set_target(Some(0));
        assert!(!stream.forwarder.waits(), "a fall needs no keyframe");
        assert_eq!(stream.send(2, None), [(3, 0), (4, 0)]);
        stream.forwarder.set_target(Some(2));
        assert!(stream.forwarder.waits());
        assert_eq!(stream.send(2, None), [(5, 0), (6, 0)]);
        assert_eq!(stream.send(2, Some(7)), [(7, 0), (7, 1), (7, 2), (8, 0), (8, 1), (8, 2)]);
        assert!(!stream.forwarder.waits());
    }

    #[test]
    fn temporal_layers_fall_with_the_next_picture_and_rise_where_a_frame_leads_up() {
        let mut stream = Stream::new(0);
        stream.send(2, Some(0));
        stream.forwarder.set_temporal(0);
        assert_eq!(stream.send(4, None), [(2, 0), (4, 0)]);
        stream.forwarder.set_temporal(7);
        stream.picture += 1;
        assert_eq!(stream.send(3, None), [(8, 0), (9, 0)], "7 is of the upper layer, 8 leads up to 9");
    }

    #[test]
    fn vp8_pictures_close_up_over_frames_that_are_left_out() {
        let at = Instant::now();
        let frame = |sequence: u64, temporal: u8, sync: bool| {
            let layer = temporal << 6 | u8::from(sync) << 5;
            let id = sequence as u8;
            let payload = [0x90, 0xe0, 0x80, id, 1, layer, u8::from(sequence > 0), 9].as_slice().into();
            Packet { payload, key: sequence == 0, ..vp8(sequence, sequence as u32 * 3_000, 0, false, at) }
        };
        let mut forwarder = Forwarder::new(Codec::Vp8, false);
        forwarder.set_target(Some(0));
        let id = |rewrite: Option<Rewrite>| rewrite.map(|it| (it.sequence, it.vp8.and_then(|vp8| vp8.picture_id)));
        assert_eq!(id(sent(&mut forwarder, 0, frame(0, 0, false), at)), Some((1, None)));
        forwarder.set_temporal(0);
        assert_eq!(id(sent(&mut forwarder, 0, frame(1, 2, true), at)), None);
        assert_eq!(id(sent(&mut forwarder, 0, frame(2, 1, true), at)), None);
        // 3 is late.
        assert_eq!(id(sent(&mut forwarder, 0, frame(4, 0, false), at)), Some((3, Some((2, true)))));
        let late = sent(&mut forwarder, 0, frame(3, 2, false), at).unwrap();
        assert_eq!((late.sequence, late.blank), (2, true), "its number alone");
        forwarder.set_temporal(7);
        assert_eq!(id(sent(&mut forwarder, 0, frame(5, 1, false), at)), None, "it refers to what was left out");
        assert_eq!(id(sent(&mut forwarder, 0, frame(6, 1, true), at)), Some((4, Some((3, true)))));
    }

    proptest! {
        /// Layers are wished for at random while a stream passes that loses and swaps packets: no number is sent twice.
        #[test]
        fn no_number_leaves_twice(
            steps in proptest::collection::vec((0..3_u8, 0..3_u8, any::<bool>(), 0..8_u8), 1..150),
        ) {
            let at = Instant::now();
            let mut forwarder = Forwarder::new(Codec::Vp9, true);
            let mut packets = Vec::new();
            for (picture, (target, temporal, key, order)) in (0..).zip(&steps) {
                for spatial in 0..3 {
                    let packet = vp9(packets.len() as u64, picture, spatial, picture as u8 % 2, *key, at);
                    packets.push((packet, *target, *temporal, u64::from(*order)));
                }
            }
            packets.sort_by_key(|(packet, _, _, order)| packet.sequence + order);
            let mut numbers = std::collections::BTreeSet::new();
            for (packet, target, temporal, order) in packets {
                if order == 7 {
                    continue;
                }
                forwarder.set_target(Some(target));
                forwarder.set_temporal(temporal);
                if let Some(rewrite) = sent(&mut forwarder, 0, packet, at) {
                    prop_assert!(numbers.insert(rewrite.sequence), "{} left twice", rewrite.sequence);
                }
            }
        }
    }
}
