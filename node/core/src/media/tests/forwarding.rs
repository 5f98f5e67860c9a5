//! Packets from publishers and links to viewers and links.

use std::sync::Arc;
use std::time::Duration;

use origo_auth::{NodeId, RoomKey};
use origo_cascade_core::link::{self, Class, Flow, Packet, Received};
use origo_cascade_core::{Forward, LayerSet, TrackLayer};

use super::world::{World, sid};
use crate::media::{Command, Direction, Event, Kind, Target, Via};

/// A VP8 packet: descriptor with a 15-bit picture id, then a frame header.
fn vp8(picture: u8, key: bool) -> Vec<u8> {
    let mut payload = vec![0x90, 0x80, 0x80, picture, u8::from(!key), 1, 2, 3];
    payload.resize(600, picture);
    payload
}

pub(super) fn layer(letter: char, layer: u8) -> TrackLayer {
    TrackLayer { track: sid(letter), layer }
}

pub(super) fn serve(letter: char, number: u8, flow: u32, kind: Kind) -> Command {
    Command::Forward(Forward::Serve {
        room: RoomKey::new("p", "r"),
        layer: layer(letter, number),
        to: NodeId([9; 16]),
        flow: Flow(flow),
        kind,
        in_stream: false,
    })
}

pub(super) fn link_packet(world: &World, sequence: u64, payload: Vec<u8>) -> Packet {
    Packet {
        sequence,
        timestamp: sequence as u32 * 3_000,
        marker: true,
        key: false,
        redundant: false,
        skipped: 0,
        extensions: link::Extensions::default(),
        payload: payload.into(),
        arrived: world.now,
    }
}

#[test]
fn a_packet_published_reaches_every_subscriber_in_order() {
    let mut world = World::new();
    let publisher = world.join(true);
    let viewers = [world.join(true), world.join(false), world.join(false)];
    world.run_ms(500);
    for target in [Target::Publisher, Target::Subscriber] {
        assert!(target == Target::Publisher || world.is_connected(viewers[1], target));
    }
    let video = world.publish(publisher, 'v', "video/VP8", &[]);
    world.run_ms(100);
    let audio = world.publish(publisher, 'a', "audio/opus", &[]);
    world.run_ms(100);
    for viewer in viewers {
        world.subscribe(viewer, 'v', "video/VP8", 1);
        world.subscribe(viewer, 'a', "audio/opus", 1);
    }
    world.run_ms(500);
    for frame in 0..50_u32 {
        for part in 0..2 {
            let payload = vp8(frame as u8, frame == 0);
            world.send(publisher, video, None, u64::from(frame * 2 + part), frame * 3_000, &payload);
        }
        world.send(publisher, audio, None, u64::from(frame), frame * 960, &[7; 80]);
        world.run_ms(20);
    }
    for viewer in viewers {
        let video = world.received(viewer, 'v');
        let sequences: Vec<u64> = video.iter().map(|packet| *packet.seq_no).collect();
        assert_eq!(sequences, (1..=100).collect::<Vec<_>>(), "viewer {viewer}");
        assert_eq!(video[99].payload[3], 49);
        assert_eq!(world.received(viewer, 'a').len(), 50);
    }
    let started = |event: &Event| matches!(event, Event::TrackStarted { mime, .. } if mime == "video/VP8");
    assert_eq!(world.count(started), 1);
    let stats = world.worker.stats();
    assert_eq!(stats.rtp(Direction::In, Kind::Video, Via::Client).packets, 100);
    assert_eq!(stats.rtp(Direction::Out, Kind::Video, Via::Client).packets, 300);
    assert!(stats.sends_out < stats.datagrams_out, "bursts leave together");
}

#[test]
fn with_the_estimator_on_everything_still_arrives() {
    for may_pause in [false, true] {
        everything_arrives(may_pause);
    }
}

fn everything_arrives(may_pause: bool) {
    let mut world = World::with(true);
    let (publisher, viewer) = (world.join(true), world.join_with(false, may_pause));
    world.run_ms(500);
    let video = world.publish(publisher, 'v', "video/VP8", &[]);
    world.subscribe(viewer, 'v', "video/VP8", 1);
    world.run_ms(500);
    for frame in 0..200_u32 {
        for part in 0..4 {
            let sequence = u64::from(frame * 4 + part);
            world.send(publisher, video, None, sequence, frame * 3_000, &vp8(frame as u8, frame == 0));
        }
        world.run_ms(33);
    }
    assert_eq!(world.received(viewer, 'v').len(), 800, "may be paused: {may_pause}");
}

#[test]
fn a_viewer_takes_the_best_layer_that_flows_and_switches_at_its_keyframe() {
    let mut world = World::new();
    let (publisher, viewer) = (world.join(true), world.join(false));
    world.run_ms(500);
    let video = world.publish(publisher, 'v', "video/VP8", &["q", "h"]);
    world.subscribe(viewer, 'v', "video/VP8", 2);
    world.run_ms(500);
    let mut sequence = 100;
    for frame in 0..30_u8 {
        sequence += 1;
        world.send(publisher, video, Some("q"), sequence, u32::from(frame) * 3_000, &vp8(frame, frame == 0));
        if frame >= 10 {
            let payload = vp8(frame + 100, frame == 20);
            world.send(publisher, video, Some("h"), sequence, u32::from(frame) * 3_000, &payload);
        }
        world.run_ms(33);
    }
    let layers: Vec<u8> = world.received(viewer, 'v').iter().map(|packet| *packet.payload.last().unwrap()).collect();
    assert_eq!(layers[..21], (0..21).collect::<Vec<u8>>());
    assert_eq!(layers[21..], (120..130).collect::<Vec<u8>>());
    let pictures: Vec<u8> = world.received(viewer, 'v').iter().map(|packet| packet.payload[3]).collect();
    assert_eq!(pictures, (0..31).collect::<Vec<u8>>(), "picture ids run on over the switch");
    let asked = &world.clients[publisher].connections[0].keyframes_asked;
    assert!(asked.contains(&Some("h".to_owned())), "{asked:?}");
}

#[test]
fn keyframe_requests_of_many_viewers_reach_the_publisher_once() {
    let mut world = World::new();
    let publisher = world.join(true);
    let viewers: Vec<usize> = (0..4).map(|_| world.join(false)).collect();
    world.run_ms(500);
    let video = world.publish(publisher, 'v', "video/VP8", &[]);
    viewers.iter().for_each(|&viewer| world.subscribe(viewer, 'v', "video/VP8", 1));
    world.run_ms(500);
    world.send(publisher, video, None, 1, 0, &vp8(1, true));
    world.run_ms(1_000);
    let before = world.clients[publisher].connections[0].keyframes_asked.len();
    viewers.iter().for_each(|&viewer| world.ask_keyframe(viewer, 'v'));
    world.run_ms(200);
    assert_eq!(world.clients[publisher].connections[0].keyframes_asked.len(), before + 1);
    assert_eq!(world.worker.stats().keyframe_requests(Direction::In, Via::Client), 4);
}

#[test]
fn each_packet_goes_once_to_a_peer_however_many_watch_behind_it() {
    let mut world = World::new();
    let publisher = world.join(true);
    world.run_ms(500);
    world.command(serve('v', 0, 5, Kind::Video));
    let video = world.publish(publisher, 'v', "video/VP8", &["q", "h"]);
    world.run_ms(100);
    world.command(serve('v', 1, 6, Kind::Video));
    for frame in 0..10_u8 {
        for rid in ["q", "h"] {
            world.send(publisher, video, Some(rid), u64::from(frame) + 60_000, 5, &vp8(frame, frame == 0));
        }
        world.run_ms(33);
    }
    let sent = |flow: u32, class: Class| {
        let is = |send: &&link::Send| matches!(send, link::Send::Packet { flow: f, class: c, .. } if (*f, *c) == (Flow(flow), class));
        world.sends.iter().filter(is).count()
    };
    assert_eq!((sent(5, Class::Base), sent(6, Class::Base), sent(6, Class::Enhancement)), (10, 1, 9));
    world.run_ms(500);
    let before = world.clients[publisher].connections[0].keyframes_asked.len();
    world.command(serve('v', 1, 7, Kind::Video));
    world.run_ms(50);
    let asked = &world.clients[publisher].connections[0].keyframes_asked;
    assert_eq!(asked[before..], [Some("h".to_owned())], "a new peer needs a keyframe");
}

#[test]
fn a_track_behind_a_link_is_wanted_and_forwarded_while_someone_watches() {
    let mut world = World::new();
    let viewer = world.join(true);
    world.run_ms(500);
    world.subscribe(viewer, 'v', "video/VP8", 3);
    world.run_ms(300);
    assert!(world.events.contains(&Event::Want { track: sid('v'), layers: LayerSet::only(2) }));
    let keyframe = |send: &link::Send| matches!(send, link::Send::Keyframe { layer: l } if *l == layer('v', 2));
    assert!(world.sends.iter().any(keyframe));

    let packet = link_packet(&world, 1_000_000, vp8(1, true));
    world.link(Received::Packet { layer: layer('v', 2), packet });
    world.link(Received::SenderReport { layer: layer('v', 2), ntp: 1 << 60, rtp: 5 });
    world.run_ms(50);
    assert_eq!(world.received(viewer, 'v').len(), 1);

    world.unsubscribe(viewer, 'v');
    world.run_ms(50);
    let end = Event::Want { track: sid('v'), layers: LayerSet::NONE };
    assert!(world.events.contains(&end));
    let packet = link_packet(&world, 1_000_001, vp8(2, false));
    world.link(Received::Packet { layer: layer('v', 2), packet });
    assert_eq!(world.worker.stats().dropped_count("link packet", "nobody watches"), 1);
}

#[test]
fn the_next_track_of_a_section_is_forwarded_like_the_first() {
    for single in [true, false] {
        let mut world = World::new();
        let viewer = world.join(single);
        world.run_ms(500);
        for (picture, letter) in (1..).zip(['a', 'b', 'c']) {
            world.subscribe(viewer, letter, "video/VP8", 1);
            world.run_ms(300);
            let packet = link_packet(&world, 1_000, vp8(picture, true));
            world.link(Received::Packet { layer: layer(letter, 0), packet });
            world.run_ms(50);
            let came = world.received(viewer, letter).iter().any(|packet| packet.payload.last() == Some(&picture));
            assert!(came, "track {letter}, single connection: {single}");
            world.unsubscribe(viewer, letter);
            world.run_ms(300);
        }
    }
}

#[test]
fn a_wanted_layer_from_which_nothing_comes_gives_way_to_the_next() {
    let mut world = World::new();
    let viewer = world.join(false);
    world.run_ms(500);
    world.subscribe(viewer, 'v', "video/VP8", 3);
    world.run(Duration::from_secs(2));
    let both = LayerSet::only(1).with(2);
    assert_eq!(world.events.last(), Some(&Event::Want { track: sid('v'), layers: both }), "it may come yet");
}

#[test]
fn what_a_link_loses_stays_a_gap_for_the_viewer() {
    let mut world = World::new();
    let viewer = world.join(false);
    world.run_ms(500);
    world.subscribe(viewer, 'a', "audio/opus", 1);
    world.run_ms(300);
    for sequence in [500, 501, 504, 503] {
        let packet = link_packet(&world, sequence, vec![sequence as u8; 50]);
        world.link(Received::Packet { layer: layer('a', 0), packet });
        world.run_ms(20);
    }
    let sequences: Vec<u64> = world.received(viewer, 'a').iter().map(|packet| *packet.seq_no).collect();
    assert_eq!(sequences, [1, 2, 5, 4]);
}

#[test]
fn an_oversized_packet_of_a_link_is_dropped() {
    let mut world = World::new();
    let viewer = world.join(false);
    world.run_ms(500);
    world.subscribe(viewer, 'a', "audio/opus", 1);
    world.run_ms(300);
    let packet = Packet { payload: Arc::from(vec![0; 4_000]), ..link_packet(&world, 1, vec![]) };
    world.link(Received::Packet { layer: layer('a', 0), packet });
    let packet = link_packet(&world, 2, vec![0; 1_400]);
    world.link(Received::Packet { layer: layer('a', 9), packet });
    world.run_ms(50);
    assert_eq!(world.worker.stats().dropped_count("link packet", "oversized"), 1);
    assert!(world.received(viewer, 'a').is_empty());
}
