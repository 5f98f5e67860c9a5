//! Numbers, timestamps and pictures as one viewer gets them.

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
    forwarder.forward(stream, &Queued { packet, captured, place, descriptor, even: 0 })
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
    Packet { sequence, timestamp: picture * 3_000, marker, key, redundant, skipped, extensions, payload, arrived: at }
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
