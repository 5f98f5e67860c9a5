//! VP9 and AV1 with three spatial and three temporal layers in one stream, as Chromium sends them, cut at random.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use origo_auth::NodeId;
use origo_cascade_core::link::{Extensions, Flow, Packet, Send};

use super::ffmpeg::{self, Picture};
use super::viewer::{Dice, Packets, Viewer};
use crate::SessionId;
use crate::media::Kind;
use crate::media::codec::Codec;
use crate::media::serve::serve_links;
use crate::media::sibling::Siblings;
use crate::media::stats::Stats;
use crate::media::track::{Origin, Track};

/// The least that the lowest layer reaches next to the whole picture is 37; a torn one is far below.
const PSNR_MIN: f64 = 30.0;

/// RTP packets as a node got them from Chromium: number, time, marker, dependency descriptor, payload.
fn recorded(mut bytes: &[u8]) -> Vec<Packet> {
    let arrived = Instant::now();
    let mut packets = Vec::new();
    let mut take = |length: usize| {
        let (head, rest) = bytes.split_at(length.min(bytes.len()));
        bytes = rest;
        head
    };
    loop {
        let head = take(10);
        let Ok(head) = <&[u8; 10]>::try_from(head) else { return packets };
        let number = |at: usize| u32::from_be_bytes(head[at..at + 4].try_into().unwrap());
        let dependency = Some(take(head[9].into()).into());
        let length = u16::from_be_bytes(take(2).try_into().unwrap());
        packets.push(Packet {
            sequence: number(0).into(),
            timestamp: number(4),
            marker: head[8] != 0,
            key: false,
            redundant: false,
            skipped: 0,
            extensions: Extensions { dependency, ..Default::default() },
            payload: take(length.into()).into(),
            arrived,
        });
    }
}

/// Bytes of a VP9 payload descriptor (RFC 9628, section 4.2).
fn vp9_descriptor_bytes(payload: &[u8]) -> usize {
    let flags = payload[0];
    let mut at = 1;
    if flags & 0x80 != 0 {
        at += 1 + usize::from(payload[at] >> 7);
    }
    if flags & 0x20 != 0 {
        at += 1 + usize::from(flags & 0x10 == 0);
    }
    if flags & 0x50 == 0x50 {
        while payload[at] & 1 != 0 {
            at += 1;
        }
        at += 1;
    }
    if flags & 0x02 != 0 {
        let head = payload[at];
        at += 1 + if head & 0x10 != 0 { 4 * (usize::from(head >> 5) + 1) } else { 0 };
        if head & 0x08 != 0 {
            let frames = payload[at];
            at += 1;
            for _ in 0..frames {
                at += 1 + usize::from(payload[at] >> 2 & 3);
            }
        }
    }
    at
}

fn leb128(bytes: &mut &[u8]) -> usize {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

/// The OBUs of an AV1 picture (AV1 RTP 4.4), each with its size, behind a temporal delimiter.
fn av1_unit<'a>(payloads: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut obus: Vec<Vec<u8>> = Vec::new();
    for payload in payloads {
        let (head, mut rest) = (payload[0], &payload[1..]);
        let count = usize::from(head >> 4 & 3);
        let mut index = 0;
        while !rest.is_empty() {
            index += 1;
            let length = if index == count { rest.len() } else { leb128(&mut rest) };
            let (element, after) = rest.split_at(length);
            rest = after;
            match obus.last_mut() {
                Some(last) if index == 1 && head & 0x80 != 0 => last.extend(element),
                _ => obus.push(element.to_vec()),
            }
        }
    }
    let mut unit = vec![0x12, 0];
    for obu in obus {
        let header = 1 + usize::from(obu[0] >> 2 & 1);
        assert_eq!(obu[0] & 2, 0, "OBUs come without sizes");
        unit.push(obu[0] | 2);
        unit.extend(&obu[1..header]);
        let mut size = obu.len() - header;
        while size >= 0x80 {
            unit.push(size as u8 | 0x80);
            size >>= 7;
        }
        unit.push(size as u8);
        unit.extend(&obu[header..]);
    }
    unit
}

/// Decodes pictures that are made of these payloads, by their time.
fn decode(codec: Codec, pictures: &[(u32, Vec<Vec<u8>>)]) -> BTreeMap<u32, Picture> {
    let frame = |(_, payloads): &(u32, Vec<Vec<u8>>)| -> Vec<u8> {
        match codec {
            Codec::Av1 => av1_unit(payloads.iter().map(Vec::as_slice)),
            _ => payloads.iter().flat_map(|payload| &payload[vp9_descriptor_bytes(payload)..]).copied().collect(),
        }
    };
    let frames: Vec<Vec<u8>> = pictures.iter().map(frame).collect();
    let (decoder, fourcc) = if codec == Codec::Av1 { ("libdav1d", b"AV01") } else { ("libvpx-vp9", b"VP90") };
    let decoded = ffmpeg::decode(decoder, ffmpeg::write_ivf(fourcc, &frames));
    assert_eq!(decoded.len(), frames.len(), "every picture that is sent can be shown");
    pictures.iter().map(|(time, _)| *time).zip(decoded).collect()
}

fn whole(packets: &[Packet]) -> Vec<(u32, Vec<Vec<u8>>)> {
    let mut pictures: Vec<(u32, Vec<Vec<u8>>)> = Vec::new();
    for packet in packets {
        match pictures.last_mut() {
            Some((time, payloads)) if *time == packet.timestamp => payloads.push(packet.payload.to_vec()),
            _ => pictures.push((packet.timestamp, vec![packet.payload.to_vec()])),
        }
    }
    pictures
}

/// The order in which packets come: some a little late, but for those with which keyframes begin.
fn arrivals(codec: Codec, packets: Vec<Packet>) -> Vec<Packet> {
    let mut dice = Dice(1_234_567);
    let last = packets.len() as u64;
    let mut order: Vec<(u64, Packet)> = Vec::new();
    for (index, packet) in (0..).zip(packets) {
        let begins = codec.begins_keyframe(&packet.payload, packet.extensions.dependency.as_deref());
        let is_late = !begins && index + 10 < last && dice.below(40) == 0;
        order.push((2 * (index + if is_late { 1 + dice.below(4) } else { 0 }) + u64::from(is_late), packet));
    }
    order.sort_by_key(|(at, _)| *at);
    order.into_iter().map(|(_, packet)| packet).collect()
}

fn track(codec: Codec, origin: Origin) -> Track {
    let sid = "TR_abcdefghjkmn".parse().unwrap();
    let track = Track::new(sid, origin, Kind::Video, codec.mime(), &[50_000, 100_000, 250_000]);
    assert!(track.is_layered());
    track
}

const HERE: Origin = Origin::Local { session: SessionId(1), peer: 0 };

/// Lets viewers watch a recorded stream, each with another mind, and decodes what they get. `described` when the
/// stream comes with dependency descriptors.
fn watch(codec: Codec, recording: &[u8], described: bool) {
    let packets = recorded(recording);
    let sources = decode(codec, &whole(&packets));
    let mut track = track(codec, HERE);
    let mut viewers: Vec<Viewer> = (1..=4).map(|seed| Viewer::new(seed * 104_729, codec, true, 3)).collect();
    let mut now = Instant::now();
    let mut time = 0;
    for mut packet in arrivals(codec, packets) {
        packet.extensions.dependency.take_if(|_| !described);
        let another = std::mem::replace(&mut time, packet.timestamp) != packet.timestamp;
        track.take(0, packet, now);
        for viewer in &mut viewers {
            if another {
                viewer.think();
            }
            viewer.take(&track);
        }
        track.layers[0].burst.clear();
        now += Duration::from_millis(5);
    }
    Viewer::count_changes(&viewers);
    viewers.iter().for_each(|viewer| check(codec, viewer, &sources));
}

/// The same for viewers on another node, each behind a link of its own, which carries what that viewer takes.
fn watch_over_links(codec: Codec, recording: &[u8]) {
    let packets = recorded(recording);
    let sources = decode(codec, &whole(&packets));
    let mut origin = track(codec, HERE);
    let there = Origin::Link { publisher: "PA_abcdefghjkmn".parse().unwrap(), sibling: None };
    let mut far: Vec<(NodeId, Track, Viewer)> = (1..=4)
        .map(|id| (NodeId([id; 16]), track(codec, there), Viewer::new(u64::from(id) * 15_485_863, codec, true, 3)))
        .collect();
    let mut now = Instant::now();
    let (mut time, mut left_out) = (0, 0);
    let mut highest = BTreeMap::new();
    for packet in arrivals(codec, packets) {
        let another = std::mem::replace(&mut time, packet.timestamp) != packet.timestamp;
        origin.layers.iter_mut().for_each(|layer| layer.serves.clear());
        for (node, _, viewer) in &mut far {
            if another {
                viewer.think();
            }
            // A peer hears of a fall a little later.
            let heard = highest.entry(*node).or_insert_with(VecDeque::new);
            heard.push_back(viewer.highest());
            heard.drain(..heard.len().saturating_sub(12));
            for layer in 0..=heard.iter().copied().max().unwrap_or(0) {
                origin.layers[usize::from(layer)].serves.push((*node, Flow(1 + u32::from(layer))));
            }
        }
        origin.follow_serves();
        origin.take(0, packet, now);
        let mut sends = Vec::new();
        serve_links(&mut origin, &mut sends, &mut Siblings::default(), &mut Stats::default());
        origin.layers[0].burst.clear();
        let is_whole = |send: &&Send| matches!(send, Send::Packet { packet, .. } if !packet.payload.is_empty());
        left_out += far.len() - sends.iter().filter(is_whole).count();
        for send in sends {
            let Send::Packet { to, flow, mut packet, .. } = send else { continue };
            let (_, track, viewer) = far.iter_mut().find(|(node, ..)| *node == to).unwrap();
            // The wire carries 16 bits, and each flow counts cycles by itself.
            packet.sequence = 1 << 16 | packet.sequence & 0xffff;
            track.take_carried(flow.0 as u8 - 1, packet, now);
            viewer.take(track);
            track.layers[0].burst.clear();
        }
        now += Duration::from_millis(5);
    }
    assert!(left_out > 100, "links carry everything");
    let viewers: Vec<Viewer> = far.into_iter().map(|(_, _, viewer)| viewer).collect();
    Viewer::count_changes(&viewers);
    viewers.iter().for_each(|viewer| check(codec, viewer, &sources));
}

/// Decodes what a viewer got; each picture is compared with the whole one.
fn check(codec: Codec, viewer: &Viewer, sources: &BTreeMap<u32, Picture>) {
    let payloads = |(time, packets): (u32, Packets)| (time, packets.into_iter().map(|(_, payload)| payload).collect());
    let pictures: Vec<(u32, Vec<Vec<u8>>)> = viewer.pictures().into_iter().map(payloads).collect();
    for (time, picture) in decode(codec, &pictures) {
        let psnr = ffmpeg::psnr(&picture, &sources[&time]);
        assert!(psnr > PSNR_MIN, "the picture at {time} is {psnr:.1} dB from the whole one");
    }
}

#[test]
fn a_viewer_of_vp9_who_changes_layers_at_random_sees_every_picture_whole() {
    watch(Codec::Vp9, include_bytes!("vp9-l3t3-key.rtp"), true);
}

#[test]
fn each_layer_of_vp9_may_refer_to_those_below_at_any_time() {
    watch(Codec::Vp9, include_bytes!("vp9-l3t3.rtp"), true);
}

#[test]
fn layers_of_vp9_are_cut_as_well_by_its_own_descriptor() {
    watch(Codec::Vp9, include_bytes!("vp9-l3t3.rtp"), false);
    watch(Codec::Vp9, include_bytes!("vp9-l3t3-key.rtp"), false);
}

#[test]
fn a_viewer_of_av1_who_changes_layers_at_random_sees_every_picture_whole() {
    watch(Codec::Av1, include_bytes!("av1-l3t3-key.rtp"), true);
}

#[test]
fn viewers_behind_links_that_carry_only_what_they_take_see_every_picture_whole() {
    watch_over_links(Codec::Vp9, include_bytes!("vp9-l3t3-key.rtp"));
    watch_over_links(Codec::Av1, include_bytes!("av1-l3t3-key.rtp"));
}
