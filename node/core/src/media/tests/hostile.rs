//! Clients that do what they should not: it is bounded and counted, and the other viewers get what they would get
//! without it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use str0m::media::{KeyframeRequestKind, Mid};

use super::EGRESS;
use super::world::World;
use crate::media::Egress;

/// How long each run takes, in milliseconds.
const LENGTH_MS: u64 = 6_000;
const PICTURE_MS: u64 = 33;
const PICTURE_PACKETS: usize = 8;
const KEYFRAME_PACKETS: usize = 40;
/// Pictures before anything happens.
const CALM: usize = 30;
/// The viewer that does what it should not.
const HOSTILE: usize = 2;

/// A publisher, who answers a wish with a keyframe, and three viewers.
struct Room {
    world: World,
    publisher: usize,
    viewers: [usize; 3],
    video: Mid,
    sequence: u64,
    /// When each picture was sent, and with how many packets.
    pictures: Vec<(Instant, usize)>,
    answered: usize,
}

/// How a viewer fares.
#[derive(Debug, PartialEq, Eq)]
struct Figures {
    /// Pictures of which every packet came.
    whole: usize,
    /// The longest time from sending a picture that was no keyframe to its last packet.
    longest: Duration,
}

impl Room {
    fn new() -> Self {
        let mut world = World::new();
        let publisher = world.join(true);
        let viewers = [(); 3].map(|()| world.join(true));
        world.run_ms(500);
        let video = world.publish(publisher, 'v', "video/VP8", &[]);
        viewers.iter().for_each(|&viewer| world.subscribe(viewer, 'v', "video/VP8", 1));
        world.run_ms(500);
        world.slowly();
        let answered = world.clients[publisher].connections[0].keyframes_asked.len();
        let mut room = Self { world, publisher, viewers, video, sequence: 0, pictures: Vec::new(), answered };
        (0..CALM).for_each(|_| room.pass(PICTURE_MS, &mut |_, _| {}));
        room
    }

    /// Sends a picture, then lets so many milliseconds pass, in each of which `deed` is done.
    fn pass(&mut self, ms: u64, deed: &mut impl FnMut(&mut Self, u64)) {
        let asked = self.world.clients[self.publisher].connections[0].keyframes_asked.len();
        let key = asked > self.answered || self.pictures.is_empty();
        self.answered = asked;
        let packets = if key { KEYFRAME_PACKETS } else { PICTURE_PACKETS };
        let picture = self.pictures.len() as u32;
        for _ in 0..packets {
            let mut payload = vec![0x90, 0x80, 0x80, picture as u8, u8::from(!key), 1, 2, 3];
            payload.resize(1_000, 5);
            self.world.send(self.publisher, self.video, None, self.sequence, picture * 3_000, &payload);
            self.sequence += 1;
        }
        self.pictures.push((self.world.now, packets));
        for at in 0..ms {
            deed(self, at);
            self.world.run_ms(1);
        }
    }

    fn figures(&self, viewer: usize) -> Figures {
        let packets = self.world.received(self.viewers[viewer], 'v');
        let (mut whole, mut longest) = (0, Duration::ZERO);
        for (picture, &(sent, all)) in self.pictures.iter().enumerate() {
            let of_it = packets.iter().filter(|packet| packet.header.timestamp == picture as u32 * 3_000);
            let came: Vec<Instant> = of_it.map(|packet| packet.timestamp).collect();
            whole += usize::from(came.len() == all);
            if let Some(&last) = came.iter().max().filter(|_| all == PICTURE_PACKETS) {
                longest = longest.max(last - sent);
            }
        }
        Figures { whole, longest }
    }

    fn ssrc(&self, viewer: usize) -> u32 {
        *self.world.received(self.viewers[viewer], 'v')[0].header.ssrc
    }
}

/// Lets a room run while `deed` is done each millisecond, and asserts that the others fare as they do without it.
fn others_fare_as_without(mut deed: impl FnMut(&mut Room, u64)) -> Room {
    let run = |deed: &mut dyn FnMut(&mut Room, u64)| {
        let mut room = Room::new();
        for _ in 0..LENGTH_MS / PICTURE_MS {
            room.pass(PICTURE_MS, &mut |room: &mut Room, at| deed(room, at));
        }
        room.world.run_ms(200);
        room
    };
    let calm = run(&mut |_, _| {});
    let troubled = run(&mut deed);
    for viewer in 0..HOSTILE {
        let figures = calm.figures(viewer);
        assert_eq!(figures.whole, calm.pictures.len(), "without any trouble everything comes");
        assert_eq!(troubled.figures(viewer), figures);
    }
    troubled
}

#[test]
fn who_asks_for_a_keyframe_a_thousand_times_a_second_gets_one_in_two_seconds() {
    let mut room = others_fare_as_without(|room, _| {
        let (viewer, ssrc) = (room.viewers[HOSTILE], room.ssrc(HOSTILE));
        let connection = room.world.clients[viewer].connections.last_mut().unwrap();
        if let Some(stream) = connection.rtc.direct_api().stream_rx(&ssrc.into()) {
            stream.request_keyframe(KeyframeRequestKind::Pli);
        }
    });
    let keyframes = room.pictures[CALM..].iter().filter(|(_, packets)| *packets == KEYFRAME_PACKETS).count();
    assert!((7..=9).contains(&keyframes), "{keyframes} in six seconds: five at once, and one in two seconds");
    let refused = room.world.worker.stats().dropped_count("keyframe request", "too many");
    assert!(refused > 1_000, "{refused}");
    // Another one's wish is heard all the same.
    let before = room.pictures.len();
    room.world.ask_keyframe(room.viewers[0], 'v');
    (0..30).for_each(|_| room.pass(PICTURE_MS, &mut |_, _| {}));
    assert!(room.pictures[before..].iter().any(|(_, packets)| *packets == KEYFRAME_PACKETS));
}

#[test]
fn who_reads_nothing_costs_the_others_nothing() {
    let mut room = others_fare_as_without(|room, _| {
        let address = room.world.receiver(room.viewers[HOSTILE]).address;
        room.world.deaf = Some(address);
    });
    assert_eq!(room.world.worker.stats().dropped_count("connection", "failed"), 0);
    room.world.deaf = None;
    (0..30).for_each(|_| room.pass(PICTURE_MS, &mut |_, _| {}));
    let newest = room.world.received(room.viewers[HOSTILE], 'v').last().unwrap().header.timestamp;
    assert!(newest + 3_000 >= (room.pictures.len() as u32 - 1) * 3_000, "it gets what comes once it listens again");
}

#[test]
fn what_is_forged_replayed_or_reordered_moves_nobody() {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    println!("seed {seed:#x}");
    let room = others_fare_as_without(|room, at| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let others = room.viewers.map(|viewer| room.world.receiver(viewer).address);
        let publisher = room.world.clients[room.publisher].connections[0].address;
        let sources: [SocketAddr; 4] = [others[0], others[1], others[2], publisher];
        let source = sources[seed as usize % 4];
        let mut forged = seed.to_le_bytes().repeat(8);
        (forged[0], forged[1]) = (0x80 | forged[0] & 0x1f, [201, 205, 206, 96][at as usize % 4]);
        room.world.datagram(source, &forged);
        let said = &room.world.control_said;
        if !said.is_empty() {
            let (source, old) = said[seed as usize % said.len()].clone();
            room.world.datagram(source, &old);
            let mut changed = old;
            let last = changed.len() - 1 - seed as usize % 8;
            changed[last] ^= 1;
            room.world.datagram(source, &changed);
        }
    });
    assert_eq!(room.world.worker.stats().dropped_count("connection", "failed"), 0);
    assert_eq!(room.world.worker.stats().dropped_count("egress", "number used"), 0);
}

#[test]
fn who_changes_its_address_within_a_burst_costs_the_others_nothing_and_goes_on_there() {
    let mut moved = false;
    let mut room = others_fare_as_without(|room, at| {
        let asked = room.pictures.len() == 60 && at == 0;
        if asked && !std::mem::replace(&mut moved, true) {
            let viewer = room.viewers[HOSTILE];
            room.world.clients[viewer].connections.last_mut().unwrap().public.set_port(31_999);
        }
    });
    if EGRESS != Egress::Own {
        // str0m's media go on to the pair that ICE agreed on until it agrees on another.
        return;
    }
    (0..200).for_each(|_| room.pass(PICTURE_MS, &mut |_, _| {}));
    let newest = room.world.received(room.viewers[HOSTILE], 'v').last().unwrap().header.timestamp;
    assert!(newest + 3_000 >= (room.pictures.len() as u32 - 1) * 3_000, "{newest} of {}", room.pictures.len() * 3_000);
}

#[test]
fn who_publishes_single_bytes_or_a_hundred_megabits_costs_the_others_nothing() {
    let mut sequence = 0;
    let mut section = None;
    let room = others_fare_as_without(|room, at| {
        let hostile = room.viewers[HOSTILE];
        let Some(section) = section else {
            if room.pictures.len() == CALM + 1 && at == 0 {
                section = Some(room.world.publish(hostile, 'x', "video/VP8", &[]));
            }
            return;
        };
        if room.pictures.len() < 60 {
            return;
        }
        for part in 0..9 {
            let length = if room.pictures.len().is_multiple_of(2) { 1 } else { 1_390 };
            room.world.send(hostile, section, None, sequence + part, sequence as u32 * 90, &vec![0x10; length]);
        }
        sequence += 9;
    });
    assert_eq!(room.world.worker.stats().dropped_count("connection", "failed"), 0);
    assert!(sequence > 9_000, "{sequence}");
}
