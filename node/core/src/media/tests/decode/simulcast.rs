//! VP8 in three sizes with three temporal layers, switched at random.

use std::time::{Duration, Instant};

use origo_cascade_core::link::Packet;

use super::ffmpeg::{self, Picture};
use super::viewer::{Dice, Viewer};
use crate::SessionId;
use crate::media::Kind;
use crate::media::codec::Codec;
use crate::media::track::{Origin, Track};
use crate::media::vp8::Vp8;

const SOURCE: &str = "testsrc2=size=640x360:rate=30:duration=8";
/// Temporal layers of four frames in a row, and whether a frame refers to the lowest alone.
const PATTERN: [(u8, bool); 4] = [(0, false), (2, true), (1, true), (2, false)];
const DESCRIPTOR_BYTES: usize = 6;
const PACKET_BYTES: usize = 900;
/// Any layer reaches 29; a torn picture is at 19.
const PSNR_MIN: f64 = 25.0;

/// Encodes the source in one size, a keyframe each 16 frames.
fn encode(scale: &str, bitrate: &str) -> Vec<Vec<u8>> {
    let layers = "ts_number_layers=3:ts_rate_decimator=4,2,1:ts_periodicity=4:ts_layer_id=0,2,1,2:\
                  ts_layering_mode=3:ts_target_bitrate=";
    let kbps: u32 = bitrate.parse().unwrap();
    let layers = format!("{layers}{},{},{kbps}", kbps / 2, kbps * 7 / 10);
    let (scale, bitrate) = (format!("scale={scale}"), format!("{bitrate}k"));
    let coding = ["-c:v", "libvpx", "-deadline", "good", "-cpu-used", "8", "-g", "16", "-keyint_min", "16"];
    let rate = ["-error-resilient", "1", "-b:v", &bitrate, "-ts-parameters", &layers, "-f", "ivf", "pipe:1"];
    let source = ["-f", "lavfi", "-i", SOURCE, "-vf", &scale];
    ffmpeg::read_ivf(&ffmpeg::run(&[&source[..], &coding, &rate].concat(), Vec::new()))
}

/// One layer's numbers begin anywhere.
struct Layer {
    frames: Vec<Vec<u8>>,
    sequence: u64,
    timestamp: u32,
    picture: u16,
}

impl Layer {
    fn packets(&mut self, number: usize, arrived: Instant) -> Vec<Packet> {
        let frame = &self.frames[number];
        let (temporal, sync) = PATTERN[number % 4];
        let id = self.picture.wrapping_add(number as u16) & 0x7fff;
        let timestamp = self.timestamp.wrapping_add(number as u32 * 3_000);
        let chunks: Vec<&[u8]> = frame.chunks(PACKET_BYTES).collect();
        let last = chunks.len() - 1;
        let mut packets = Vec::new();
        for (index, chunk) in chunks.into_iter().enumerate() {
            let start = if index == 0 { 0x90 } else { 0x80 };
            let layer = temporal << 6 | u8::from(sync) << 5;
            let mut payload = vec![start, 0xe0, 0x80 | (id >> 8) as u8, id as u8, (number / 4) as u8, layer];
            payload.extend(chunk);
            let key = index == 0 && chunk[0] & 1 == 0;
            packets.push(Packet {
                sequence: self.sequence,
                timestamp,
                marker: index == last,
                key,
                redundant: false,
                skipped: 0,
                extensions: Default::default(),
                payload: payload.into(),
                arrived,
            });
            self.sequence += 1;
        }
        packets
    }
}

/// Some packets that do not belong to a keyframe come a little late.
fn shuffle(dice: &mut Dice, packets: &mut [Packet]) {
    for index in 1..packets.len() {
        if dice.below(20) == 0 {
            packets.swap(index - 1, index);
        }
    }
}

/// Decodes what a viewer got; each picture is compared with the source's picture of the same number.
fn check(viewer: &Viewer, sources: &[Picture]) {
    let mut frames = Vec::new();
    let mut times = Vec::new();
    let mut last: Option<Vp8> = None;
    for (time, packets) in viewer.pictures() {
        let mut frame = Vec::new();
        for (rewrite, payload) in &packets {
            let vp8 = rewrite.vp8.or_else(|| Vp8::parse(payload)).unwrap();
            let (id, before) = (vp8.picture_id.unwrap().0, last.and_then(|last| last.picture_id));
            let expected = before.map(|(before, _)| if vp8.starts { (before + 1) & 0x7fff } else { before });
            assert_eq!(Some(id), expected.or(Some(id)), "picture ids run on");
            last = Some(vp8);
            frame.extend(&payload[DESCRIPTOR_BYTES..]);
        }
        times.push(time);
        frames.push(frame);
    }
    let decoded = ffmpeg::decode("vp8", ffmpeg::write_ivf(b"VP80", &frames));
    assert_eq!(decoded.len(), frames.len(), "every frame gives a picture");
    for (picture, time) in decoded.iter().zip(&times) {
        let number = ((time.wrapping_sub(times[0]) + 1_500) / 3_000) as usize;
        let psnr = ffmpeg::psnr(picture, &sources[number]);
        assert!(psnr > PSNR_MIN, "picture {number} is {psnr:.1} dB from its source");
    }
}

#[test]
fn a_viewer_of_vp8_who_changes_layers_at_random_sees_every_picture_whole() {
    let sources = ffmpeg::generate(SOURCE);
    let sizes = [("160:90", "150"), ("320:180", "400"), ("640:360", "1000")];
    let mut layers = sizes.map(|(scale, bitrate)| {
        let start = u64::from(scale.as_bytes()[0]) * 1_000;
        let frames = encode(scale, bitrate);
        Layer { frames, sequence: start, timestamp: start as u32 * 77, picture: start as u16 }
    });
    let origin = Origin::Local { session: SessionId(1), peer: 0 };
    let sid = "TR_abcdefghjkmn".parse().unwrap();
    let mut track = Track::new(sid, origin, Kind::Video, "video/VP8", &[150_000, 400_000, 1_000_000]);
    let mut viewers: Vec<Viewer> = (1..=4).map(|seed| Viewer::new(seed * 7_919, Codec::Vp8, false, 3)).collect();
    let mut dice = Dice(4_711);
    let begun = Instant::now();
    // All layers report the same clock, as after their first sender reports.
    for (layer, state) in layers.iter().zip(&mut track.layers) {
        state.clock.set(0, layer.timestamp, begun);
    }
    for number in 0..sources.len() {
        let now = begun + Duration::from_micros(number as u64 * 33_333);
        for (stream, layer) in (0..).zip(&mut layers) {
            let mut packets = layer.packets(number, now);
            if !packets[0].key {
                shuffle(&mut dice, &mut packets);
            }
            for packet in packets {
                track.take(stream, packet, now);
            }
        }
        for viewer in &mut viewers {
            viewer.think();
            viewer.take(&track);
        }
        track.layers.iter_mut().for_each(|layer| layer.burst.clear());
    }
    Viewer::count_changes(&viewers);
    for viewer in &viewers {
        check(viewer, &sources);
    }
}
