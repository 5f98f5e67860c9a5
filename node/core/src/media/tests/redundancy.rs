//! Sound with redundancy from publishers and links, to viewers who know it and to those who do not.

use std::time::Duration;

use origo_cascade_core::link::{self, Received};

use super::forwarding::{layer, link_packet, serve};
use super::world::World;
use crate::media::{Kind, Redundancy};

/// A packet with the frame before its own, as browsers send it; every frame says its number.
fn redundant(sequence: u8) -> Vec<u8> {
    let header = 960_u32 << 10 | 40;
    let mut payload = vec![0x80 | 111];
    payload.extend(&header.to_be_bytes()[1..]);
    payload.push(111);
    payload.extend([sequence - 1; 40]);
    payload.extend([sequence; 40]);
    payload
}

/// A publisher, then a viewer who knows redundancy, then one who does not.
fn world(redundancy: Redundancy) -> World {
    let mut world = World::new();
    world.redundancy = redundancy;
    world.takes_redundancy = true;
    world.join(true);
    world.join(false);
    world.takes_redundancy = false;
    world.join(true);
    world.run_ms(500);
    world
}

/// Number and first byte of what a client received.
fn received(world: &World, client: usize) -> Vec<(u64, u8)> {
    world.received(client, 'a').iter().map(|packet| (*packet.seq_no, packet.payload[0])).collect()
}

#[test]
fn redundancy_goes_to_who_knows_it_and_repairs_the_sound_of_who_does_not() {
    let mut world = world(Redundancy::Allowed);
    let audio = world.publish(0, 'a', "audio/opus", &[]);
    for viewer in [1, 2] {
        world.subscribe(viewer, 'a', "audio/opus", 1);
    }
    world.run_ms(500);
    assert!(world.clients[0].last_answer.contains("SAVPF 63 111"), "the publisher is asked for redundancy");
    for sequence in [101, 102, 104, 105_u8] {
        world.send_redundant(0, audio, sequence.into(), u32::from(sequence) * 960, &redundant(sequence));
        world.run_ms(20);
    }
    assert_eq!(received(&world, 1), [(1, 0xef), (2, 0xef), (4, 0xef), (5, 0xef)]);
    let known = world.received(1, 'a')[0];
    assert_eq!(Some(*known.header.payload_type), world.receiver(1).redundant_type());
    assert_eq!(known.payload[..], redundant(101)[..]);
    assert_eq!(received(&world, 2), [(1, 101), (2, 102), (3, 103), (4, 104), (5, 105)]);
    let times: Vec<u32> = world.received(2, 'a').iter().map(|packet| packet.header.timestamp).collect();
    assert_eq!(times, [101, 102, 103, 104, 105].map(|sequence| sequence * 960));
}

#[test]
fn a_publisher_that_does_not_want_redundancy_is_not_asked_for_it() {
    let mut world = world(Redundancy::Disabled);
    world.publish(0, 'a', "audio/opus", &[]);
    world.run_ms(200);
    assert!(world.clients[0].last_answer.contains("SAVPF 111 63"));
}

#[test]
fn an_encrypted_sound_is_neither_opened_nor_wrapped() {
    let mut world = world(Redundancy::Sealed);
    let audio = world.publish(0, 'a', "audio/opus", &[]);
    for viewer in [1, 2] {
        world.subscribe(viewer, 'a', "audio/opus", 1);
    }
    world.run_ms(500);
    assert!(world.clients[0].last_answer.contains("SAVPF 111 63"));
    world.send(0, audio, None, 100, 960, &[0x80; 50]);
    world.run_ms(20);
    world.send_redundant(0, audio, 101, 1_920, &[0x81; 50]);
    world.run_ms(20);
    assert_eq!(received(&world, 1), [(1, 0x80), (2, 0x81)], "as they came");
    assert_eq!(received(&world, 2), [(1, 0x80)], "what only an opened packet could give is not given");
}

#[test]
fn a_link_carries_what_was_sent_and_the_last_node_takes_the_redundancy_out() {
    let mut world = world(Redundancy::Allowed);
    let audio = world.publish(0, 'a', "audio/opus", &[]);
    world.command(serve('a', 0, 5, Kind::Audio));
    world.subscribe(2, 'b', "audio/opus", 1);
    world.run_ms(500);
    world.send_redundant(0, audio, 101, 101 * 960, &redundant(101));
    world.run_ms(20);
    let sent = world.sends.iter().find_map(|send| match send {
        link::Send::Packet { packet, .. } => Some(packet.clone()),
        _ => None,
    });
    let sent = sent.expect("sent once");
    assert!(sent.redundant && sent.payload[..] == redundant(101)[..]);

    for sequence in [101, 103] {
        let mut packet = link_packet(&world, sequence, redundant(sequence as u8));
        (packet.timestamp, packet.redundant) = (sequence as u32 * 960, true);
        world.link(Received::Packet { layer: layer('b', 0), packet });
        world.run_ms(20);
    }
    let frames: Vec<u8> = world.received(2, 'b').iter().map(|packet| packet.payload[0]).collect();
    assert_eq!(frames, [101, 102, 103]);
}

#[test]
fn plain_sound_gets_redundancy_on_a_way_that_loses_packets() {
    let mut world = world(Redundancy::Allowed);
    let audio = world.publish(0, 'a', "audio/opus", &[]);
    for viewer in [1, 2] {
        world.subscribe(viewer, 'a', "audio/opus", 1);
    }
    world.run_ms(500);
    let mut sequence = 0;
    let mut talk = |world: &mut World, duration: Duration| {
        for _ in 0..duration.as_millis() / 20 {
            sequence += 1;
            world.send(0, audio, None, sequence, sequence as u32 * 960, &[sequence as u8; 40]);
            world.run_ms(20);
        }
    };
    talk(&mut world, Duration::from_secs(6));
    let is_redundant = |packet: &&&str0m::rtp::RtpPacket| packet.payload.len() > 40;
    assert_eq!(world.received(1, 'a').iter().filter(is_redundant).count(), 0);
    world.lose_every = Some(10);
    talk(&mut world, Duration::from_secs(12));
    world.lose_every = None;
    assert!(world.received(1, 'a').iter().filter(is_redundant).count() > 50);
    assert_eq!(world.received(2, 'a').iter().filter(is_redundant).count(), 0, "who does not know it gets none");
}
