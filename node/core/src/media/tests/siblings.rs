//! A room on two workers of one node: each takes the other's tracks as it would take them of a node.

use std::collections::BTreeSet;

use origo_cascade_core::LayerSet;
use origo_cascade_core::link::{self, Flow, Received};
use str0m::media::Mid;

use super::forwarding::{layer, link_packet, serve};
use super::world::{World, sid};
use crate::media::{Command, Direction, Entries, Event, Kind, TrackSettings, Via};

const RIDS: [&str; 3] = ["q", "h", "f"];

/// A VP8 packet of a layer, recognised by its last byte; a keyframe tells its size.
fn vp8(picture: u8, layer: usize, key: bool) -> Vec<u8> {
    let [width, height] = [[320_u16, 180], [640, 360], [1280, 720]][layer].map(u16::to_le_bytes);
    let mut payload = vec![0x90, 0x80, 0x80, picture, u8::from(!key), 0, 0, 0x9d, 0x01, 0x2a];
    payload.extend([width, height].concat());
    payload.resize(300, layer as u8);
    payload
}

/// Four clients, by turns on the first worker and on the second; those of even number are on the first.
fn four(world: &mut World) -> [usize; 4] {
    let clients = [true, false, false, true].map(|single| world.join(single));
    world.run_ms(500);
    let seats = clients.map(|client| world.spread.seat(world.clients[client].id));
    assert_eq!(seats, [Some(0), Some(1), Some(0), Some(1)]);
    clients
}

/// Somebody publishes pictures of one layer or of three.
struct Camera {
    publisher: usize,
    letter: char,
    mid: Mid,
    rids: &'static [&'static str],
    frame: u32,
}

impl Camera {
    fn new(world: &mut World, publisher: usize, letter: char, rids: &'static [&'static str]) -> Self {
        let mid = world.publish(publisher, letter, "video/VP8", rids);
        Self { publisher, letter, mid, rids, frame: 0 }
    }

    /// Sends frames; a layer answers a keyframe request with its next frame.
    fn send(&mut self, world: &mut World, frames: u32) {
        for _ in 0..frames {
            self.frame += 1;
            let asked = std::mem::take(&mut world.clients[self.publisher].connections[0].keyframes_asked);
            for number in 0..self.rids.len().max(1) {
                let rid = self.rids.get(number).copied();
                let key = self.frame == 1 || asked.contains(&rid.map(str::to_owned));
                let (payload, sequence) = (vp8(self.frame as u8, number, key), u64::from(self.frame));
                world.send(self.publisher, self.mid, rid, sequence, self.frame * 3_000, &payload);
            }
            world.run_ms(33);
        }
    }

    /// The numbers that a viewer got.
    fn numbers(&self, world: &World, viewer: usize) -> Vec<u64> {
        world.received(viewer, self.letter).iter().map(|packet| *packet.seq_no).collect()
    }
}

fn entries(world: &mut World) -> [Entries; 2] {
    world.run_ms(10);
    [0, 1].map(|worker| world.at(worker).stats().entries)
}

#[test]
fn viewers_on_both_workers_see_publishers_on_either_and_each_packet_crosses_once() {
    let mut world = World::of(2, 1);
    let clients = four(&mut world);
    let mut cameras = [Camera::new(&mut world, 0, 'v', &[]), Camera::new(&mut world, 1, 'w', &[])];
    world.run_ms(100);
    let sound = world.publish(0, 'a', "audio/opus", &[]);
    world.run_ms(100);
    for viewer in clients {
        for (letter, mime, publisher) in [('v', "video/VP8", 0), ('w', "video/VP8", 1), ('a', "audio/opus", 0)] {
            if viewer != publisher {
                world.subscribe(viewer, letter, mime, 1);
            }
        }
    }
    world.run_ms(500);
    for frame in 0..50_u32 {
        cameras.iter_mut().for_each(|camera| camera.send(&mut world, 1));
        world.send(0, sound, None, frame.into(), frame * 960, &[7; 80]);
        world.run_ms(5);
    }
    for viewer in clients {
        for camera in cameras.iter().filter(|camera| camera.publisher != viewer) {
            assert_eq!(camera.numbers(&world, viewer), (1..=50).collect::<Vec<_>>(), "{viewer} of {}", camera.letter);
        }
        assert_eq!(world.received(viewer, 'a').len(), if viewer == 0 { 0 } else { 50 }, "{viewer}");
    }
    assert_eq!(world.handed.0, 150, "50 of each track");
    let crossed = |world: &mut World, worker, kind| {
        let stats = world.at(worker).stats();
        [Direction::Out, Direction::In].map(|way| stats.rtp(way, kind, Via::Sibling).packets)
    };
    assert_eq!(crossed(&mut world, 0, Kind::Video), [50, 50]);
    assert_eq!(crossed(&mut world, 1, Kind::Audio), [0, 50]);
}

#[test]
fn how_loud_a_sound_is_tells_the_worker_that_has_it_alone() {
    let mut world = World::of(2, 1);
    let clients = four(&mut world);
    clients.iter().for_each(|&viewer| world.subscribe(viewer, 'a', "audio/opus", 1));
    world.run_ms(500);
    let mut packet = link_packet(&world, 1, vec![7; 80]);
    packet.extensions.audio_level = Some((20, true));
    world.link(Received::Packet { layer: layer('a', 0), packet });
    world.run_ms(300);
    assert!(clients.iter().all(|&viewer| world.received(viewer, 'a').len() == 1));
    assert_eq!(world.count(|event| matches!(event, Event::Levels(_))), 1);
}

#[test]
fn a_layer_crosses_while_somebody_there_takes_it() {
    let mut world = World::of(2, 1);
    let [_, far, near, other] = four(&mut world);
    let mut camera = Camera::new(&mut world, 0, 'v', &RIDS);
    for viewer in [far, near, other] {
        world.subscribe(viewer, 'v', "video/VP8", 3);
    }
    let show = |world: &mut World, viewer: usize, (width, height): (u32, u32)| {
        let session = world.clients[viewer].id;
        let settings = TrackSettings { width, height, disabled: width == 0, ..TrackSettings::default() };
        world.command(Command::Settings { session, track: sid('v'), settings });
    };
    let mut crossed = |world: &mut World| {
        camera.send(world, 40);
        let before = world.handed.0;
        camera.send(world, 10);
        world.handed.0 - before
    };
    world.run_ms(500);
    assert_eq!(crossed(&mut world), 10, "the highest alone");
    show(&mut world, far, (320, 180));
    assert_eq!(crossed(&mut world), 20, "one takes the lowest, the other one the highest");
    show(&mut world, other, (320, 180));
    assert_eq!(crossed(&mut world), 10, "the lowest alone, though near the highest is watched");
    show(&mut world, far, (0, 0));
    show(&mut world, other, (0, 0));
    assert_eq!(crossed(&mut world), 0, "nobody looks");
    show(&mut world, other, (1280, 720));
    assert_eq!(crossed(&mut world), 10);
    let demand = world.events.iter().rev().find_map(|event| match event {
        Event::Demand { layers, .. } => Some(*layers),
        _ => None,
    });
    assert_eq!(demand, Some(LayerSet::only(2)), "its publisher hears of all that is taken");
    let newest = *world.received(other, 'v').last().unwrap().payload.last().unwrap();
    assert_eq!(newest, 2);
}

#[test]
fn a_wish_is_at_the_publisher_at_once() {
    let mut world = World::of(2, 1);
    let [_, far, ..] = four(&mut world);
    let mut camera = Camera::new(&mut world, 0, 'v', &RIDS);
    world.subscribe(far, 'v', "video/VP8", 3);
    world.run_ms(500);
    camera.send(&mut world, 40);
    let session = world.clients[far].id;
    let settings = TrackSettings { width: 640, height: 360, ..TrackSettings::default() };
    let (before, events) = (world.now, world.events.len());
    world.command(Command::Settings { session, track: sid('v'), settings });
    let wanted = Event::Demand { track: sid('v'), layers: LayerSet::only(1).with(2) };
    while !world.events[events..].contains(&wanted) {
        world.run_ms(5);
        assert!((world.now - before).as_millis() <= 100);
    }
}

#[test]
fn keyframe_requests_of_both_workers_reach_the_publisher_once() {
    let mut world = World::of(2, 1);
    let [_, far, near, other] = four(&mut world);
    let mut camera = Camera::new(&mut world, 0, 'v', &[]);
    [far, near, other].iter().for_each(|&viewer| world.subscribe(viewer, 'v', "video/VP8", 1));
    world.run_ms(500);
    camera.send(&mut world, 40);
    world.run_ms(1_000);
    let before = world.clients[0].connections[0].keyframes_asked.len();
    [far, near, other].iter().for_each(|&viewer| world.ask_keyframe(viewer, 'v'));
    world.run_ms(200);
    assert_eq!(world.clients[0].connections[0].keyframes_asked.len(), before + 1);
}

#[test]
fn what_is_lost_on_the_way_to_a_client_its_own_worker_sends_again() {
    let mut world = World::of(2, 1);
    let [_, far, near, other] = four(&mut world);
    let mut camera = Camera::new(&mut world, 0, 'v', &[]);
    [far, near, other].iter().for_each(|&viewer| world.subscribe(viewer, 'v', "video/VP8", 1));
    world.run_ms(500);
    camera.send(&mut world, 5);
    let crossed = world.handed.0;
    world.lose_every = Some(13);
    camera.send(&mut world, 150);
    world.lose_every = None;
    world.run_ms(1_000);
    for viewer in [far, near, other] {
        let numbers: BTreeSet<u64> = camera.numbers(&world, viewer).into_iter().collect();
        assert_eq!(numbers, (1..=155).collect(), "viewer {viewer}");
    }
    assert_eq!(world.handed.0 - crossed, 150, "nothing crosses again");
    assert!(world.at(1).stats().nacks(Direction::In, Via::Client) > 0, "something was lost");
}

#[test]
fn a_track_behind_a_link_comes_to_the_worker_where_its_room_begins_and_crosses_from_there() {
    let mut world = World::of(2, 1);
    let [_, far, near, other] = four(&mut world);
    world.subscribe(far, 'v', "video/VP8", 3);
    world.run_ms(300);
    let wants = |world: &World| -> Vec<LayerSet> {
        let want = |event: &Event| match event {
            Event::Want { track, layers } if *track == sid('v') => Some(*layers),
            _ => None,
        };
        world.events.iter().filter_map(want).collect()
    };
    assert_eq!(wants(&world), [LayerSet::only(2)], "told once, by the first worker");
    let is_keyframe = |send: &&link::Send| matches!(send, link::Send::Keyframe { layer: l } if *l == layer('v', 2));
    assert!(world.sends.iter().any(|send| is_keyframe(&send)));
    let mut sequence = 1_000;
    let mut bring = |world: &mut World, frames: u64| {
        for _ in 0..frames {
            let payload = vp8(sequence as u8, 2, sequence == 1_000);
            let packet = link_packet(world, sequence, payload);
            world.link(Received::Packet { layer: layer('v', 2), packet });
            sequence += 1;
            world.run_ms(33);
        }
    };
    bring(&mut world, 10);
    assert_eq!(world.received(far, 'v').len(), 10);
    assert_eq!(wants(&world).last(), Some(&LayerSet::only(2)));
    for viewer in [near, other] {
        world.subscribe(viewer, 'v', "video/VP8", 3);
    }
    world.run_ms(300);
    bring(&mut world, 10);
    assert_eq!(world.received(far, 'v').len(), 20);
    assert_eq!(world.handed.0, 20);
    for viewer in [far, near, other] {
        world.unsubscribe(viewer, 'v');
        world.run_ms(50);
    }
    assert_eq!(wants(&world).last(), Some(&LayerSet::NONE));
    assert_eq!(entries(&mut world).map(|entries| (entries.tracks, entries.siblings)), [(0, 0); 2]);
}

#[test]
fn other_nodes_are_served_by_the_worker_where_a_track_is_published() {
    let mut world = World::of(2, 1);
    four(&mut world);
    world.command(serve('w', 0, 5, Kind::Video));
    let mut camera = Camera::new(&mut world, 1, 'w', &[]);
    world.run_ms(300);
    camera.send(&mut world, 30);
    let is_it = |send: &&link::Send| matches!(send, link::Send::Packet { flow: Flow(5), .. });
    assert_eq!(world.sends.iter().filter(is_it).count(), 30);
    assert_eq!(world.handed.0, 0, "not by way of the first worker");
    world.run_ms(1_000);
    let before = world.clients[1].connections[0].keyframes_asked.len();
    world.link(Received::Keyframe { layer: layer('w', 0) });
    world.run_ms(50);
    assert_eq!(world.clients[1].connections[0].keyframes_asked.len(), before + 1);
}

/// VP9: a packet of a spatial layer.
fn vp9(spatial: u8, key: bool) -> Vec<u8> {
    let flags = if key { 0x2c } else { 0x6c };
    vec![flags, spatial << 1, 0, spatial]
}

#[test]
fn of_layers_within_one_stream_those_cross_that_somebody_takes() {
    let mut world = World::of(2, 1);
    let [_, far, ..] = four(&mut world);
    let mid = world.publish_layered(0, 'v', "video/VP9", 3);
    world.subscribe(far, 'v', "video/VP9", 3);
    world.run_ms(500);
    let (mut sequence, mut picture) = (0, 0);
    let mut send = |world: &mut World| {
        for _ in 0..30 {
            let asked = std::mem::take(&mut world.clients[0].connections[0].keyframes_asked);
            let key = picture == 0 || !asked.is_empty();
            for spatial in 0..3 {
                sequence += 1;
                world.send(0, mid, None, sequence, picture * 3_000, &vp9(spatial, key));
            }
            picture += 1;
            world.run_ms(33);
        }
    };
    send(&mut world);
    assert_eq!(world.handed.0, 90);
    let session = world.clients[far].id;
    let settings = TrackSettings { width: 320, height: 180, ..TrackSettings::default() };
    world.command(Command::Settings { session, track: sid('v'), settings });
    send(&mut world);
    let before = (world.handed.0, world.received(far, 'v').len());
    send(&mut world);
    assert_eq!((world.handed.0 - before.0, world.received(far, 'v').len() - before.1), (30, 30));
    let numbers: Vec<u64> = world.received(far, 'v').iter().map(|packet| *packet.seq_no).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "numbers run on over the change");
}

#[test]
fn when_everybody_has_gone_neither_worker_knows_of_anybody() {
    let mut world = World::of(2, 1);
    let clients = four(&mut world);
    let mut cameras = [Camera::new(&mut world, 0, 'v', &RIDS), Camera::new(&mut world, 1, 'w', &[])];
    for viewer in clients {
        for (letter, publisher, layers) in [('v', 0, 3), ('w', 1, 1)] {
            if viewer != publisher {
                world.subscribe(viewer, letter, "video/VP8", layers);
            }
        }
    }
    world.run_ms(500);
    cameras.iter_mut().for_each(|camera| camera.send(&mut world, 20));
    assert!(entries(&mut world).iter().all(|entries| entries.siblings == 1 && entries.tracks == 2));
    // The publisher leaves first, as rooms tell it: its own session, then who watched.
    world.command(Command::Close(world.clients[0].id));
    for viewer in [1, 2, 3] {
        world.unsubscribe(viewer, 'v');
    }
    cameras[1].send(&mut world, 5);
    assert_eq!(cameras[1].numbers(&world, 2), (1..=25).collect::<Vec<_>>(), "the other one goes on");
    for client in [1, 2, 3] {
        world.command(Command::Close(world.clients[client].id));
    }
    assert_eq!(entries(&mut world), [Entries::default(); 2]);
    assert_eq!(world.spread.entries(), 0);
}
