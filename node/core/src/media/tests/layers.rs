//! Which layers flow: by how a client shows a track, and by whether anybody does; and what rooms are told of it.

use std::time::Duration;

use origo_auth::{NodeId, RoomKey};
use origo_cascade_core::link::{self, Flow, Packet, Received};
use origo_cascade_core::{Forward, LayerSet, TrackLayer};

use super::world::{World, sid};
use crate::media::{Command, Event, Kind, TrackSettings};

/// A VP8 packet of a layer, recognised by its last byte; a keyframe tells its size.
fn vp8(picture: u8, layer: usize, key: bool) -> Vec<u8> {
    let [width, height] = [[320_u16, 180], [640, 360], [1280, 720]][layer].map(u16::to_le_bytes);
    let mut payload = vec![0x90, 0x80, 0x80, picture, u8::from(!key), 0, 0, 0x9d, 0x01, 0x2a];
    payload.extend([width, height].concat());
    payload.resize(300, layer as u8);
    payload
}

fn settings(world: &mut World, viewer: usize, settings: TrackSettings) {
    let session = world.clients[viewer].id;
    world.command(Command::Settings { session, track: sid('v'), settings });
}

fn shown(width: u32, height: u32) -> TrackSettings {
    TrackSettings { width, height, ..TrackSettings::default() }
}

const RIDS: [&str; 3] = ["q", "h", "f"];

/// A publisher of three layers and a viewer.
struct Call {
    world: World,
    publisher: usize,
    viewer: usize,
    video: str0m::media::Mid,
    frame: u32,
    /// Layers that the publisher encodes.
    encoded: Vec<usize>,
}

impl Call {
    fn new() -> Self {
        let mut world = World::new();
        let (publisher, viewer) = (world.join(true), world.join(false));
        world.run_ms(500);
        let video = world.publish(publisher, 'v', "video/VP8", &RIDS);
        world.subscribe(viewer, 'v', "video/VP8", 3);
        world.run_ms(500);
        Self { world, publisher, viewer, video, frame: 0, encoded: vec![0, 1, 2] }
    }

    /// Sends frames; a layer answers a keyframe request with its next frame. Gives the layers that the viewer got.
    fn send(&mut self, frames: u32) -> Vec<u8> {
        let before = self.world.received(self.viewer, 'v').len();
        for _ in 0..frames {
            self.frame += 1;
            let asked = std::mem::take(&mut self.world.clients[self.publisher].connections[0].keyframes_asked);
            for &layer in &self.encoded {
                let rid = RIDS[layer];
                let key = self.frame == 1 || asked.contains(&Some(rid.to_owned()));
                let payload = vp8(self.frame as u8, layer, key);
                let (sequence, timestamp) = (u64::from(self.frame), self.frame * 3_000);
                self.world.send(self.publisher, self.video, Some(rid), sequence, timestamp, &payload);
            }
            self.world.run_ms(33);
        }
        let received = self.world.received(self.viewer, 'v');
        received[before..].iter().map(|packet| *packet.payload.last().unwrap()).collect()
    }

    fn demand(&self) -> Option<LayerSet> {
        self.world.events.iter().rev().find_map(|event| match event {
            Event::Demand { layers, .. } => Some(*layers),
            _ => None,
        })
    }
}

#[test]
fn a_smaller_tile_gets_a_smaller_layer_and_a_larger_one_a_larger() {
    let mut call = Call::new();
    call.send(30);
    assert_eq!(call.send(5), [2; 5]);
    for (tile, layer) in [(shown(200, 100), 0), (shown(640, 360), 1), (shown(1_920, 1_080), 2)] {
        settings(&mut call.world, call.viewer, tile);
        call.send(30);
        assert_eq!(call.send(5), [layer; 5], "{tile:?}");
        assert_eq!(call.demand(), Some(LayerSet::only(layer)));
    }
    let numbers: Vec<u64> = call.world.received(call.viewer, 'v').iter().map(|packet| *packet.seq_no).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "numbers run on over every switch");
}

#[test]
fn a_hidden_tile_gets_nothing_and_begins_again_with_a_keyframe() {
    let mut call = Call::new();
    call.send(30);
    settings(&mut call.world, call.viewer, TrackSettings { disabled: true, ..TrackSettings::default() });
    assert!(call.send(30).is_empty());
    assert_eq!(call.demand(), Some(LayerSet::NONE));

    settings(&mut call.world, call.viewer, TrackSettings::default());
    assert!(!call.send(30).is_empty());
    let received = call.world.received(call.viewer, 'v');
    let first = received[received.len() - 30..].iter().position(|packet| packet.payload[4] == 0);
    assert!(first.is_some(), "no keyframe");
    let paused = |event: &Event| matches!(event, Event::StreamState { .. });
    assert_eq!(call.world.count(paused), 0, "the client itself asked for it");
}

#[test]
fn a_layer_that_its_publisher_laid_to_rest_is_demanded_again_when_it_is_needed() {
    let mut call = Call::new();
    call.send(30);
    settings(&mut call.world, call.viewer, shown(200, 100));
    call.send(30);
    call.encoded = vec![0];
    call.send(120);
    settings(&mut call.world, call.viewer, shown(1_280, 720));
    assert_eq!(call.send(5), [0; 5], "the old layer goes on meanwhile");
    assert_eq!(call.demand(), Some(LayerSet::only(0).with(2)));
    call.encoded = vec![0, 2];
    call.send(30);
    assert_eq!(call.send(5), [2; 5]);
}

#[test]
fn a_hidden_track_behind_a_link_is_wanted_no_more() {
    let mut world = World::new();
    let viewer = world.join(true);
    world.run_ms(500);
    world.subscribe(viewer, 'v', "video/VP8", 3);
    world.run_ms(300);
    settings(&mut world, viewer, shown(200, 150));
    world.run_ms(50);
    assert_eq!(world.events.last(), Some(&Event::Want { track: sid('v'), layers: LayerSet::only(0) }));
    settings(&mut world, viewer, TrackSettings { disabled: true, ..TrackSettings::default() });
    world.run_ms(50);
    assert_eq!(world.events.last(), Some(&Event::Want { track: sid('v'), layers: LayerSet::NONE }));
}

/// A viewer of a track behind a link, whose publisher sends some of its layers.
struct FarCall {
    world: World,
    viewer: usize,
    frame: u32,
}

impl FarCall {
    fn new() -> Self {
        let mut world = World::new();
        let viewer = world.join(true);
        world.run_ms(500);
        world.subscribe(viewer, 'v', "video/VP8", 3);
        Self { world, viewer, frame: 0 }
    }

    /// Time passes, a frame each 33 ms: those of the sent layers that are wanted come over the link, after an interval
    /// with a keyframe each. Gives the layers that the viewer got.
    fn pass(&mut self, time: Duration, sent: &[u8]) -> Vec<u8> {
        let before = self.world.received(self.viewer, 'v').len();
        for _ in 0..time.as_millis() / 33 {
            self.frame += 1;
            let wanted = self.world.events.iter().rev().find_map(|event| match event {
                Event::Want { layers, .. } => Some(*layers),
                _ => None,
            });
            for &layer in sent.iter().filter(|&&layer| wanted.is_some_and(|wanted| wanted.contains(layer))) {
                let payload = vp8(self.frame as u8, layer.into(), self.frame.is_multiple_of(3)).into();
                let (sequence, timestamp) = (u64::from(self.frame), self.frame * 3_000);
                let (marker, key, redundant, skipped) = (true, false, false, 0);
                let (extensions, arrived) = (link::Extensions::default(), self.world.now);
                let packet =
                    Packet { sequence, timestamp, marker, key, redundant, skipped, extensions, payload, arrived };
                self.world.link(Received::Packet { layer: TrackLayer { track: sid('v'), layer }, packet });
            }
            self.world.run_ms(33);
        }
        let received = self.world.received(self.viewer, 'v');
        received[before..].iter().map(|packet| *packet.payload.last().unwrap()).collect()
    }
}

#[test]
fn who_waits_for_a_large_layer_behind_a_link_sees_the_small_one_within_a_second() {
    let mut call = FarCall::new();
    call.pass(Duration::from_millis(300), &[0]);
    let first = call.pass(Duration::from_millis(1_000), &[0]);
    assert!(first.len() > 5 && first.iter().all(|layer| *layer == 0), "{first:?}");
    let steady = call.pass(Duration::from_secs(6), &[0]);
    assert!(steady.len() > 170, "{} frames while better layers are tried", steady.len());
    call.pass(Duration::from_secs(12), &[0, 1, 2]);
    assert_eq!(call.pass(Duration::from_millis(330), &[0, 1, 2]), [2; 10]);
}

#[test]
fn a_far_layer_that_ceases_gives_way_to_another_that_flows() {
    let mut call = FarCall::new();
    call.pass(Duration::from_secs(2), &[0, 1, 2]);
    assert_eq!(call.pass(Duration::from_millis(330), &[0, 1, 2]), [2; 10]);
    call.pass(Duration::from_millis(2_500), &[0, 1]);
    let after = call.pass(Duration::from_secs(1), &[0, 1]);
    assert!(after.len() > 20, "{} frames", after.len());
}

#[test]
fn what_peers_take_counts_among_what_is_demanded() {
    let mut call = Call::new();
    settings(&mut call.world, call.viewer, shown(200, 100));
    call.send(30);
    let (layer, to, flow) = (TrackLayer { track: sid('v'), layer: 2 }, NodeId([9; 16]), Flow(3));
    let room = RoomKey::new("p", "r");
    call.world.command(Command::Forward(Forward::Serve {
        room: room.clone(),
        layer,
        to,
        flow,
        kind: Kind::Video,
        in_stream: false,
    }));
    call.world.run_ms(10);
    assert_eq!(call.demand(), Some(LayerSet::only(0).with(2)));
    call.world.command(Command::Forward(Forward::StopServe { room, layer, to, flow }));
    call.world.run_ms(10);
    assert_eq!(call.demand(), Some(LayerSet::only(0)));
}

#[test]
fn a_node_that_is_short_sheds_upper_layers_step_by_step_and_gives_them_back() {
    let mut call = Call::new();
    call.send(30);
    for (shed, layer) in [(1, 1), (2, 0), (3, 0), (2, 0), (1, 1), (0, 2)] {
        call.world.command(Command::Shed(shed));
        call.send(40);
        assert_eq!(call.send(5), [layer; 5], "{shed} parts are shed");
        assert_eq!(call.demand(), Some(LayerSet::only(layer)), "nobody need send what is shed");
    }
    let numbers: Vec<u64> = call.world.received(call.viewer, 'v').iter().map(|packet| *packet.seq_no).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "numbers run on over every step");
}

#[test]
fn with_everything_shed_other_nodes_get_the_lowest_layer_alone() {
    let mut call = Call::new();
    settings(&mut call.world, call.viewer, shown(200, 100));
    for layer in [0, 2] {
        let (to, flow) = (NodeId([9; 16]), Flow(20 + u32::from(layer)));
        let (room, layer) = (RoomKey::new("p", "r"), TrackLayer { track: sid('v'), layer });
        let (kind, in_stream) = (Kind::Video, false);
        call.world.command(Command::Forward(Forward::Serve { room, layer, to, flow, kind, in_stream }));
    }
    let flows = |call: &mut Call| {
        call.send(30);
        let before = call.world.sends.len();
        call.send(2);
        let flow = |send: &link::Send| match send {
            link::Send::Packet { flow, .. } => Some(flow.0),
            _ => None,
        };
        call.world.sends[before..].iter().filter_map(flow).collect::<Vec<_>>()
    };
    for (shed, sent) in [(0, &[20, 22, 20, 22][..]), (2, &[20, 22, 20, 22]), (3, &[20, 20]), (0, &[20, 22, 20, 22])] {
        call.world.command(Command::Shed(shed));
        assert_eq!(flows(&mut call), sent, "{shed} parts are shed");
    }
}

#[test]
fn levels_are_told_of_sound_that_came_and_of_no_other() {
    let mut world = World::new();
    let viewer = world.join(false);
    world.run_ms(500);
    world.subscribe(viewer, 'a', "audio/opus", 1);
    world.run_ms(300);
    assert_eq!(world.count(|event| matches!(event, Event::Levels(_))), 0);
    for (sequence, level) in (1..).zip([90, 30, 60]) {
        let extensions = link::Extensions { audio_level: Some((level, level == 30)), ..Default::default() };
        let packet = Packet {
            sequence,
            timestamp: sequence as u32 * 960,
            marker: false,
            key: false,
            redundant: false,
            skipped: 0,
            extensions,
            payload: vec![1; 40].into(),
            arrived: world.now,
        };
        world.link(Received::Packet { layer: TrackLayer { track: sid('a'), layer: 0 }, packet });
    }
    world.run_ms(500);
    let told = |event: &&Event| matches!(event, Event::Levels(_));
    let told: Vec<&Event> = world.events.iter().filter(told).collect();
    assert_eq!(told, [&Event::Levels(vec![(sid('a'), 30, true)])], "the loudest, once");
}

#[test]
fn every_connected_session_is_told_how_its_packets_fare() {
    let mut call = Call::new();
    call.send(400);
    call.world.run(Duration::from_secs(1));
    let publisher = call.world.clients[call.publisher].id;
    let viewer = call.world.clients[call.viewer].id;
    let last = |id| {
        call.world.events.iter().rev().find_map(|event| match event {
            Event::Quality { session, up, down } if *session == id => Some((*up, *down)),
            _ => None,
        })
    };
    let (up, _) = last(publisher).expect("told");
    let (_, down) = last(viewer).expect("told");
    assert!((150_000..400_000).contains(&up.bitrate_bps), "{up:?}: three layers of 300 bytes, 30 times a second");
    assert!((50_000..130_000).contains(&down.bitrate_bps), "{down:?}: one layer");
    assert!(down.expected_bps < down.bitrate_bps * 3 / 2, "{down:?}: nothing is missing");
}

#[test]
fn a_picture_that_began_a_moment_ago_is_not_missed_before_that() {
    let mut call = Call::new();
    call.send(600);
    let viewer = call.world.clients[call.viewer].id;
    let told = call.world.events.iter().filter_map(|event| match event {
        Event::Quality { session, down, .. } if *session == viewer => Some((down.expected_bps, down.bitrate_bps)),
        _ => None,
    });
    let told: Vec<_> = told.collect();
    assert!(told.len() >= 3 && told.iter().any(|(expected, _)| *expected > 0), "{told:?}");
    assert!(told.iter().all(|(expected, bitrate)| *expected <= bitrate * 3 / 2), "{told:?}");
}

/// A packet of a spatial layer of VP9, recognised by its last byte.
fn vp9(spatial: u8, key: bool) -> Vec<u8> {
    let mut payload = vec![if key { 0x2c } else { 0x6c }, spatial << 1, 0];
    payload.resize(300, spatial);
    payload
}

#[test]
fn layers_within_one_stream_follow_the_tile_and_go_to_peers_apart() {
    let mut world = World::new();
    let (publisher, viewer) = (world.join(true), world.join(false));
    world.run_ms(500);
    let video = world.publish_layered(publisher, 'v', "video/VP9", 3);
    world.subscribe(viewer, 'v', "video/VP9", 3);
    world.run_ms(500);
    let mut picture = 0;
    let mut send = |world: &mut World, pictures: u32| {
        let before = (world.received(viewer, 'v').len(), world.sends.len());
        for _ in 0..pictures {
            let asked = std::mem::take(&mut world.clients[publisher].connections[0].keyframes_asked);
            let key = picture == 0 || !asked.is_empty();
            for spatial in 0..3 {
                let sequence = u64::from(picture) * 3 + u64::from(spatial);
                world.send(publisher, video, None, sequence, picture * 3_000, &vp9(spatial, key));
            }
            picture += 1;
            world.run_ms(33);
        }
        let received = &world.received(viewer, 'v')[before.0..];
        let flows = world.sends[before.1..].iter().filter_map(|send| match send {
            link::Send::Packet { flow, .. } => Some(flow.0),
            _ => None,
        });
        (received.iter().map(|packet| *packet.payload.last().unwrap()).collect::<Vec<_>>(), flows.collect::<Vec<_>>())
    };
    send(&mut world, 30);
    let demand = |world: &World| {
        world.events.iter().rev().find_map(|event| match event {
            Event::Demand { layers, .. } => Some(*layers),
            _ => None,
        })
    };
    for (tile, layers) in
        [(shown(1_920, 1_080), &[0, 1, 2, 0, 1, 2][..]), (shown(200, 100), &[0, 0]), (shown(640, 360), &[0, 1, 0, 1])]
    {
        settings(&mut world, viewer, tile);
        send(&mut world, 30);
        assert_eq!(send(&mut world, 2).0, layers, "{tile:?}");
        assert_eq!(demand(&world), Some(LayerSet::up_to(*layers.last().unwrap())));
    }
    let numbers: Vec<u64> = world.received(viewer, 'v').iter().map(|packet| *packet.seq_no).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "numbers run on over every change");

    for layer in 0..2 {
        let (to, flow) = (NodeId([9; 16]), Flow(20 + u32::from(layer)));
        let (room, layer) = (RoomKey::new("p", "r"), TrackLayer { track: sid('v'), layer });
        world.command(Command::Forward(Forward::Serve { room, layer, to, flow, kind: Kind::Video, in_stream: false }));
    }
    send(&mut world, 30);
    assert_eq!(send(&mut world, 2).1, [20, 21, 20, 21]);
}

#[test]
fn of_layers_within_one_stream_behind_a_link_all_up_to_the_highest_are_wanted() {
    let mut world = World::new();
    let viewer = world.join(true);
    world.run_ms(500);
    world.subscribe(viewer, 'v', "video/AV1", 3);
    world.run_ms(300);
    for (tile, layers) in [(shown(640, 360), LayerSet::up_to(1)), (shown(200, 150), LayerSet::only(0))] {
        settings(&mut world, viewer, tile);
        world.run_ms(50);
        assert_eq!(world.events.last(), Some(&Event::Want { track: sid('v'), layers }));
    }
}
