//! What a viewer gets while its way to the node narrows, widens and loses: layers follow the estimate.

use std::time::Duration;

use str0m::media::Mid;

use super::world::{World, sid};
use crate::media::Event;

const RIDS: [&str; 3] = ["q", "h", "f"];
/// Packets of one frame of each layer, and their payload: 100, 250 and 1200 kbit/s.
const FRAMES: [(usize, usize); 3] = [(1, 500), (2, 625), (6, 1_000)];
const FRAME_MS: u64 = 40;

/// A publisher with a camera in three layers and a microphone, and a viewer at the end of a line.
struct Call {
    world: World,
    publisher: usize,
    viewer: usize,
    video: Mid,
    audio: Mid,
    frame: u32,
    sequences: [u64; 3],
}

impl Call {
    fn new(may_pause: bool) -> Self {
        let mut world = World::with(true);
        let (publisher, viewer) = (world.join(true), world.join_with(false, may_pause));
        world.run_ms(500);
        let video = world.publish(publisher, 'v', "video/VP8", &RIDS);
        world.run_ms(100);
        let audio = world.publish(publisher, 'a', "audio/opus", &[]);
        world.subscribe(viewer, 'v', "video/VP8", 3);
        world.subscribe(viewer, 'a', "audio/opus", 1);
        world.run_ms(500);
        world.narrow(viewer);
        Self { world, publisher, viewer, video, audio, frame: 0, sequences: [0; 3] }
    }

    /// Sends for some time. Gives the layer that the viewer got with each frame's time, none where it got nothing.
    fn send(&mut self, time: Duration) -> Vec<Option<u8>> {
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
            self.world.send(self.publisher, self.audio, None, number.into(), number * 960, &[7; 100]);
            self.world.run_ms(FRAME_MS / 2);
        }
    }

    /// Seconds until the viewer gets nothing but the layers that are meant, within some time.
    fn settles(&mut self, meant: &[u8], within: Duration) -> Option<f64> {
        let got = self.send(within);
        println!("{}", told(&got));
        let is_other = |got: &Option<u8>| got.is_none_or(|layer| !meant.contains(&layer));
        let after_others = got.iter().rposition(is_other).map_or(0, |at| at + 1);
        (after_others < got.len() - 1).then(|| after_others as f64 * FRAME_MS as f64 / 1_000.0)
    }

    fn paused(&self) -> Vec<bool> {
        let states = self.world.events.iter().filter_map(|event| match event {
            Event::StreamState { track, paused, .. } if *track == sid('v') => Some(*paused),
            _ => None,
        });
        states.collect()
    }
}

/// Runs of layers, as `2*25 1*3`.
fn told(got: &[Option<u8>]) -> String {
    let runs = got.chunk_by(|one, next| one == next);
    let run =
        |run: &[Option<u8>]| format!("{}*{}", run[0].map_or("-".to_owned(), |layer| layer.to_string()), run.len());
    runs.map(run).collect::<Vec<_>>().join(" ")
}

/// Milliseconds of the longest run without a packet.
fn longest_gap(got: &[Option<u8>]) -> u64 {
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

#[test]
fn the_picture_follows_a_way_that_narrows_within_3_s_and_one_that_widens_within_10_s() {
    for may_pause in [false, true] {
        let mut call = Call::new(may_pause);
        call.world.line().rate_bps = 3_000_000;
        let begins = call.settles(&[2], Duration::from_secs(10));
        call.world.line().rate_bps = 500_000;
        let down = call.settles(&[0, 1], Duration::from_secs(5));
        let narrow = call.send(Duration::from_secs(15));
        println!("{}", told(&narrow));
        call.world.line().rate_bps = 3_000_000;
        let up = call.settles(&[2], Duration::from_secs(20));
        println!("may pause {may_pause}: begins {begins:?}, down {down:?}, up {up:?}");
        assert!(begins.is_some_and(|s| s < 5.0), "{begins:?} s until the whole picture");
        assert!(down.is_some_and(|s| s <= 3.0), "{down:?} s down");
        assert!(up.is_some_and(|s| s <= 10.0), "{up:?} s up");
        assert!(narrow.iter().all(|layer| *layer < Some(2)), "what does not fit is not tried");
        assert!(longest_gap(&narrow) < 1_000, "no picture for {} ms", longest_gap(&narrow));
        assert!(call.paused().is_empty());
    }
}

#[test]
fn the_lowest_layer_flows_through_any_line_unless_the_client_lets_it_be_paused() {
    let mut call = Call::new(false);
    call.world.line().rate_bps = 120_000;
    call.send(Duration::from_secs(10));
    let got = call.send(Duration::from_secs(10));
    let frames = got.iter().flatten().count();
    assert!(frames > got.len() / 2, "{frames} of {} frames", got.len());
    assert!(call.paused().is_empty());
}

#[test]
fn a_paused_picture_is_told_and_comes_back_when_its_way_is_wide_again() {
    let mut call = Call::new(true);
    call.send(Duration::from_secs(5));
    call.world.line().rate_bps = 90_000;
    call.send(Duration::from_secs(10));
    assert_eq!(call.paused().last(), Some(&true));
    call.world.line().rate_bps = 3_000_000;
    let back = call.settles(&[0, 1, 2], Duration::from_secs(20));
    assert!(back.is_some_and(|s| s <= 10.0), "{back:?} s until it is back");
    assert_eq!(call.settles(&[2], Duration::from_secs(1)), Some(0.0), "it is whole again");
    assert_eq!(call.paused().last(), Some(&false));
}

#[test]
fn a_line_that_loses_one_packet_in_twenty_costs_no_layer() {
    let mut call = Call::new(true);
    call.world.line().loses_every = 20;
    call.send(Duration::from_secs(5));
    let got = call.send(Duration::from_secs(20));
    let whole = got.iter().filter(|layer| **layer == Some(2)).count();
    assert!(whole > got.len() * 9 / 10, "{whole} of {} frames in the whole layer", got.len());
}
