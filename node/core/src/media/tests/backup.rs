//! Pictures in two codecs: each viewer gets the one that it takes, and the publisher sends the second when it is taken.

use origo_cascade_core::LayerSet;

use super::world::{World, sid};
use crate::media::{Command, Event};

const VP9_KEY: [u8; 8] = [0x88, 0x01, 0x82, 0, 0, 0, 0, 9];
const VP8_KEY: [u8; 8] = [0x90, 0x80, 0x01, 0x00, 1, 2, 3, 8];

/// A publisher, then a viewer who takes everything, then one without VP9.
fn world(single: bool) -> World {
    let mut world = World::new();
    world.join(true);
    world.join(single);
    world.takes_vp9 = false;
    world.join(single);
    world.run_ms(500);
    world
}

fn last_demand(world: &World, letter: char) -> Option<LayerSet> {
    world.events.iter().rev().find_map(|event| match event {
        Event::Demand { track, layers } if *track == sid(letter) => Some(*layers),
        _ => None,
    })
}

fn kinds(world: &World, client: usize) -> Vec<u8> {
    world.received(client, 'v').iter().filter_map(|packet| packet.payload.get(7).copied()).collect()
}

fn both_codecs_reach_their_viewers(single: bool) {
    let mut world = world(single);
    let first = world.publish(0, 'v', "video/VP9", &[]);
    world.reserve(0, 'w', "video/VP8");
    for viewer in [1, 2] {
        world.subscribe_or(viewer, 'v', "video/VP9", 1, Some(('w', "video/VP8")));
    }
    world.run_ms(1_000);
    world.send(0, first, None, 1, 0, &VP9_KEY);
    world.run_ms(50);
    assert_eq!(last_demand(&world, 'w'), Some(LayerSet::only(0)), "the publisher is asked for its second codec");
    assert_eq!((kinds(&world, 1), kinds(&world, 2)), (vec![9], vec![]));

    let second = world.publish(0, 'w', "video/VP8", &[]);
    world.run_ms(500);
    for sequence in 1..4 {
        world.send(0, first, None, 1 + sequence, sequence as u32 * 3_000, &VP9_KEY);
        world.send(0, second, None, sequence, sequence as u32 * 3_000, &VP8_KEY);
        world.run_ms(50);
    }
    assert_eq!((kinds(&world, 1), kinds(&world, 2)), (vec![9; 4], vec![8; 3]));
    let names = &world.clients[2].tracks_by_mid;
    assert!(names.values().all(|track| *track == sid('v')), "to the client it is the track that it subscribed to");
    assert_eq!(world.count(|event| matches!(event, Event::Unsupported { .. })), 0);

    world.unsubscribe(2, 'v');
    world.run_ms(100);
    assert_eq!(last_demand(&world, 'w'), Some(LayerSet::NONE));
}

#[test]
fn who_lacks_the_first_codec_gets_the_second_on_one_connection() {
    both_codecs_reach_their_viewers(true);
}

#[test]
fn who_lacks_the_first_codec_gets_the_second_on_two_connections() {
    both_codecs_reach_their_viewers(false);
}

#[test]
fn who_takes_no_codec_of_a_track_is_told_once_and_served_once_there_is_one() {
    let mut world = world(true);
    world.publish(0, 'v', "video/VP9", &[]);
    world.subscribe(2, 'v', "video/VP9", 1);
    world.run_ms(2_000);
    let session = world.clients[2].id;
    let unsupported = Event::Unsupported { session, track: sid('v') };
    assert_eq!(world.count(|event| *event == unsupported), 1);

    world.reserve(0, 'w', "video/VP8");
    world.subscribe_or(2, 'v', "video/VP9", 1, Some(('w', "video/VP8")));
    world.run_ms(500);
    let second = world.publish(0, 'w', "video/VP8", &[]);
    world.run_ms(500);
    world.send(0, second, None, 1, 0, &VP8_KEY);
    world.run_ms(50);
    assert_eq!(kinds(&world, 2), [8]);
}

#[test]
fn a_second_codec_that_ends_is_asked_for_again() {
    let mut world = world(true);
    world.publish(0, 'v', "video/VP9", &[]);
    world.reserve(0, 'w', "video/VP8");
    world.subscribe_or(2, 'v', "video/VP9", 1, Some(('w', "video/VP8")));
    world.run_ms(500);
    let second = world.publish(0, 'w', "video/VP8", &[]);
    world.run_ms(500);
    world.send(0, second, None, 1, 0, &VP8_KEY);
    world.run_ms(50);
    world.offer(0, |api| api.set_direction(second, str0m::media::Direction::Inactive));
    world.run_ms(50);
    assert!(world.events.contains(&Event::TrackEnded { session: world.clients[0].id, track: sid('w') }));

    world.events.clear();
    world.reserve(0, 'w', "video/VP8");
    world.run_ms(200);
    assert_eq!(last_demand(&world, 'w'), Some(LayerSet::only(0)));
}

#[test]
fn a_way_that_is_capped_for_a_test_carries_a_lower_layer() {
    let mut world = world(true);
    let video = world.publish(0, 'v', "video/VP8", &["q", "h", "f"]);
    world.subscribe(1, 'v', "video/VP8", 3);
    world.run_ms(500);
    let session = world.clients[1].id;
    let mut sequence = 0;
    let mut send = |world: &mut World| {
        for _ in 0..10 {
            sequence += 1;
            for (rid, mark) in [("q", 1), ("h", 2), ("f", 3)] {
                let payload = [0x90, 0x80, 0x01, 0x00, 1, 2, 3, mark];
                world.send(0, video, Some(rid), sequence, sequence as u32 * 3_000, &payload);
            }
            world.run_ms(100);
        }
        *kinds(world, 1).last().unwrap()
    };
    assert_eq!(send(&mut world), 3);
    world.command(Command::CapBandwidth { session, bps: Some(1) });
    assert_eq!(send(&mut world), 1);
    world.command(Command::CapBandwidth { session, bps: None });
    world.run_ms(5_000);
    assert_eq!(send(&mut world), 3);
}
