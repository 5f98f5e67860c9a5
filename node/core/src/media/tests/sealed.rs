//! What clients see of who seals: every number once, every report right, and lost packets again.

use std::collections::BTreeSet;

use str0m::media::Mid;

use super::EGRESS;
use super::world::World;
use crate::media::Egress;

fn vp8(picture: u8, key: bool) -> Vec<u8> {
    let mut payload = vec![0x90, 0x80, 0x80, picture, u8::from(!key), 1, 2, 3];
    payload.resize(600, picture);
    payload
}

/// A publisher with a camera, and a viewer of each protocol version.
struct Call {
    publisher: usize,
    viewers: [usize; 2],
    video: Mid,
    frame: u32,
}

impl Call {
    fn new(world: &mut World) -> Self {
        let publisher = world.join(true);
        let viewers = [world.join(true), world.join(false)];
        world.run_ms(500);
        let video = world.publish(publisher, 'v', "video/VP8", &[]);
        viewers.iter().for_each(|&viewer| world.subscribe(viewer, 'v', "video/VP8", 1));
        world.run_ms(500);
        Self { publisher, viewers, video, frame: 0 }
    }

    fn send(&mut self, world: &mut World, frames: u32) {
        for _ in 0..frames {
            for part in 0..4 {
                let (sequence, payload) = (u64::from(self.frame * 4 + part), vp8(self.frame as u8, self.frame == 0));
                world.send(self.publisher, self.video, None, sequence, self.frame * 3_000, &payload);
            }
            self.frame += 1;
            world.run_ms(33);
        }
    }

    fn got_all(&self, world: &World, viewer: usize) {
        let packets = world.received(viewer, 'v');
        let numbers: BTreeSet<u64> = packets.iter().map(|packet| *packet.seq_no).collect();
        assert_eq!(numbers, (1..=u64::from(self.frame) * 4).collect(), "viewer {viewer}");
        assert!(packets.iter().all(|packet| packet.payload.len() == 600));
    }
}

/// The same, for so many frames.
fn call(world: &mut World, frames: u32) -> [usize; 2] {
    let mut call = Call::new(world);
    call.send(world, frames);
    world.run_ms(1_000);
    call.viewers
}

#[test]
fn what_is_lost_on_the_way_comes_again() {
    let mut world = World::new();
    let mut call = Call::new(&mut world);
    call.send(&mut world, 3);
    world.lose_every = Some(13);
    call.send(&mut world, 100);
    world.lose_every = None;
    world.run_ms(1_000);
    call.viewers.iter().for_each(|&viewer| call.got_all(&world, viewer));
    assert_eq!(world.worker.stats().dropped_count("egress", "number used"), 0);
    assert_eq!(world.worker.stats().dropped_count("egress", "not ours"), 0);
}

#[test]
fn a_burst_that_is_more_than_one_turn_of_sending_leaves_whole() {
    let mut world = World::new();
    let mut call = Call::new(&mut world);
    call.send(&mut world, 3);
    for part in 12..212 {
        world.send(call.publisher, call.video, None, part, 9_000, &vp8(3, false));
    }
    call.frame += 50;
    world.run_ms(100);
    call.viewers.iter().for_each(|&viewer| call.got_all(&world, viewer));
}

#[test]
fn what_a_long_line_loses_comes_again() {
    let mut world = World::new();
    let mut call = Call::new(&mut world);
    call.send(&mut world, 3);
    world.narrow(call.viewers[1]);
    world.line().loses_every = 20;
    call.send(&mut world, 100);
    world.line().loses_every = 0;
    world.run_ms(1_000);
    call.got_all(&world, call.viewers[1]);
}

#[test]
fn sender_reports_tell_what_was_sent() {
    let mut world = World::new();
    for viewer in call(&mut world, 150) {
        let reports = &world.receiver(viewer).sender_reports;
        let last = reports.last().expect("one a second");
        assert_eq!(last.sender_packet_count, 600, "viewer {viewer}");
        assert_eq!(last.sender_octet_count, 600 * 600);
        let ssrc = world.received(viewer, 'v')[0].header.ssrc;
        assert!(reports.iter().all(|report| report.ssrc == ssrc), "none tells of a stream that sent nothing");
        let since = last.rtp_time.numer() as u32 - 149 * 3_000;
        assert!(since < 100_000, "{since} ticks after the newest frame");
    }
}

#[test]
fn no_two_rtcp_packets_to_a_client_have_one_index() {
    let mut world = World::new();
    let mut call = Call::new(&mut world);
    call.send(&mut world, 3);
    world.lose_every = Some(11);
    call.send(&mut world, 200);
    assert!(world.control_indexes.len() >= 3, "every client hears reports");
    for (client, indexes) in &world.control_indexes {
        assert!(indexes.len() > 4, "{client}");
        assert!(indexes.windows(2).all(|pair| pair[0] < pair[1]), "{client}: {indexes:?}");
    }
}

#[test]
fn feedback_that_comes_twice_or_is_changed_is_dropped_and_counted() {
    if EGRESS != Egress::Own {
        // str0m refuses it too, and does not tell.
        return;
    }
    let mut world = World::new();
    let viewers = call(&mut world, 50);
    let address = world.receiver(viewers[1]).address;
    let (source, said) = world.control_said.iter().rev().find(|(source, _)| *source == address).unwrap().clone();
    world.datagram(source, &said);
    let mut changed = said.clone();
    changed[12] ^= 1;
    world.datagram(source, &changed);
    assert_eq!(world.worker.stats().dropped_count("rtcp", "forged or replayed"), 2);
}
