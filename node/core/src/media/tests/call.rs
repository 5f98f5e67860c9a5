//! A publisher with a camera in three layers and a microphone, and a viewer at the end of a line.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use str0m::media::Mid;

use super::world::{World, sid};
use crate::media::{Egress, Event};

const RIDS: [&str; 3] = ["q", "h", "f"];
/// Packets of one frame of each layer, and their payload: 100, 250 and 1200 kbit/s.
const FRAMES: [(usize, usize); 3] = [(1, 500), (2, 625), (6, 1_000)];
pub const FRAME_MS: u64 = 40;
const SOUND_BYTES: usize = 100;

/// A publisher with a camera in three layers and a microphone, and a viewer at the end of a line.
pub struct Call {
    pub world: World,
    publisher: usize,
    pub viewer: usize,
    video: Mid,
    audio: Mid,
    frame: u32,
    sequences: [u64; 3],
    /// When each packet of sound was sent.
    spoken: Vec<Instant>,
}

impl Call {
    pub fn new(may_pause: bool) -> Self {
        Self::on(super::EGRESS, false, may_pause)
    }

    /// The same by a way out, to a viewer with a single connection or with two.
    pub fn on(egress: Egress, single: bool, may_pause: bool) -> Self {
        let mut world = World::on(egress, true);
        let (publisher, viewer) = (world.join(true), world.join_with(single, may_pause));
        world.run_ms(500);
        let video = world.publish(publisher, 'v', "video/VP8", &RIDS);
        world.run_ms(100);
        let audio = world.publish(publisher, 'a', "audio/opus", &[]);
        world.subscribe(viewer, 'v', "video/VP8", 3);
        world.subscribe(viewer, 'a', "audio/opus", 1);
        world.run_ms(500);
        world.narrow(viewer);
        Self { world, publisher, viewer, video, audio, frame: 0, sequences: [0; 3], spoken: Vec::new() }
    }

    /// Sends for some time. Gives the layer that the viewer got with each frame's time, none where it got nothing.
    pub fn send(&mut self, time: Duration) -> Vec<Option<u8>> {
        let mut got = Vec::new();
        for _ in 0..time.as_millis() as u64 / FRAME_MS {
            let before = self.world.receiver(self.viewer).packets.len();
            self.send_frame();
            let packets = &self.world.receiver(self.viewer).packets[before..];
            got.push(packets.iter().rev().find(|p| p.payload.len() > 200).and_then(|p| p.payload.last().copied()));
        }
        got
    }

    fn send_frame(&mut self) {
        self.frame += 1;
        let asked = std::mem::take(&mut self.world.clients[self.publisher].connections[0].keyframes_asked);
        for (layer, rid) in RIDS.into_iter().enumerate() {
            let key = self.frame == 1 || asked.contains(&Some(rid.to_owned()));
            let (packets, bytes) = FRAMES[layer];
            for part in 0..if key { packets * 3 } else { packets } {
                self.sequences[layer] += 1;
                let payload = vp8(self.frame, layer, key && part == 0, bytes);
                let timestamp = self.frame * 90 * FRAME_MS as u32;
                self.world.send(self.publisher, self.video, Some(rid), self.sequences[layer], timestamp, &payload);
            }
        }
        for part in 0..2 {
            let number = self.frame * 2 + part;
            let mut sound = [7; SOUND_BYTES];
            sound[..4].copy_from_slice(&(self.spoken.len() as u32).to_be_bytes());
            self.spoken.push(self.world.now);
            self.world.send(self.publisher, self.audio, None, number.into(), number * 960, &sound);
            self.world.run_ms(FRAME_MS / 2);
        }
    }

    /// Seconds until the viewer gets nothing but the layers that are meant, within some time.
    pub fn settles(&mut self, meant: &[u8], within: Duration) -> Option<f64> {
        let got = self.send(within);
        println!("{}", told(&got));
        let is_other = |got: &Option<u8>| got.is_none_or(|layer| !meant.contains(&layer));
        let after_others = got.iter().rposition(is_other).map_or(0, |at| at + 1);
        (after_others < got.len() - 1).then(|| after_others as f64 * FRAME_MS as f64 / 1_000.0)
    }

    /// How many packets of sound were sent, and how many of them came within so much.
    pub fn heard(&self, within: Duration) -> (usize, usize) {
        let mut came = vec![false; self.spoken.len()];
        for packet in self.world.receiver(self.viewer).packets.iter().filter(|p| p.payload.len() == SOUND_BYTES) {
            let number = packet.payload.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes)) as usize;
            came[number] |= packet.timestamp.saturating_duration_since(self.spoken[number]) <= within;
        }
        (came.len(), came.into_iter().filter(|came| *came).count())
    }

    /// Bytes of pictures and sound that the viewer received, repairs once.
    pub fn media_bytes(&self) -> u64 {
        let packets = &self.world.receiver(self.viewer).packets;
        let fresh: BTreeSet<_> = packets.iter().map(|p| (*p.header.ssrc, *p.seq_no, p.payload.len())).collect();
        fresh.into_iter().map(|(.., bytes)| bytes as u64).sum()
    }

    pub fn paused(&self) -> Vec<bool> {
        let states = self.world.events.iter().filter_map(|event| match event {
            Event::StreamState { track, paused, .. } if *track == sid('v') => Some(*paused),
            _ => None,
        });
        states.collect()
    }
}

/// Runs of layers, as `2*25 1*3`.
pub fn told(got: &[Option<u8>]) -> String {
    let runs = got.chunk_by(|one, next| one == next);
    let run =
        |run: &[Option<u8>]| format!("{}*{}", run[0].map_or("-".to_owned(), |layer| layer.to_string()), run.len());
    runs.map(run).collect::<Vec<_>>().join(" ")
}

/// Milliseconds of the longest run without a packet.
pub fn longest_gap(got: &[Option<u8>]) -> u64 {
    let runs = got.chunk_by(|one, next| one.is_some() == next.is_some()).filter(|run| run[0].is_none());
    runs.map(|run| run.len() as u64 * FRAME_MS).max().unwrap_or(0)
}

fn vp8(frame: u32, layer: usize, key: bool, bytes: usize) -> Vec<u8> {
    let [width, height] = [[240_u16, 135], [480, 270], [960, 540]][layer].map(u16::to_le_bytes);
    let mut payload =
        vec![0x90, 0x80, 0x80 | (frame >> 8) as u8 & 0x7f, frame as u8, u8::from(!key), 0, 0, 0x9d, 1, 0x2a];
    payload.extend([width, height].concat());
    payload.resize(bytes, layer as u8);
    payload
}
