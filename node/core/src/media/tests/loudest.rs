//! Of many sounds a client gets the loudest few.

use std::time::Instant;

use origo_auth::TrackSid;
use origo_cascade_core::TrackLayer;
use origo_cascade_core::link::{Extensions, Packet, Received};

use super::world::{LOUDEST, World, sid};
use crate::media::{Command, Direction, Kind, TrackSettings, Via};

/// Ticks of a packet, and its milliseconds.
const TICKS: u32 = 960;
const PACKET_MS: u64 = 20;
/// -dBov.
const SPEAKS: u8 = 25;
const NOISE: u8 = 70;

/// Microphones behind a link, and those who hear them.
pub struct Hall {
    pub world: World,
    pub viewers: Vec<usize>,
    letters: Vec<char>,
    /// Packets that each of them has sent.
    steps: u32,
}

/// The packet of that number of a microphone behind a link, which tells how loud it is, in -dBov, or nothing of it.
pub(super) fn spoken(track: TrackSid, number: u32, dbov: Option<u8>, arrived: Instant) -> Received {
    let packet = Packet {
        sequence: u64::from(1_000 + number),
        timestamp: number * TICKS,
        marker: false,
        key: false,
        redundant: false,
        skipped: 0,
        extensions: Extensions { audio_level: dbov.map(|dbov| (dbov, dbov < 50)), ..Default::default() },
        payload: number.to_be_bytes().as_slice().into(),
        arrived,
    };
    Received::Packet { layer: TrackLayer { track, layer: 0 }, packet }
}

impl Hall {
    pub fn new(microphones: usize, viewers: usize) -> Self {
        Self::on(World::new(), microphones, viewers)
    }

    pub fn on(mut world: World, microphones: usize, viewers: usize) -> Self {
        let viewers: Vec<usize> = (0..viewers).map(|at| world.join(at % 2 == 1)).collect();
        world.run_ms(500);
        let letters: Vec<char> = "abcdefghijkmnopq".chars().take(microphones).collect();
        for (viewer, letter) in viewers.iter().flat_map(|viewer| letters.iter().map(move |letter| (*viewer, *letter))) {
            world.subscribe(viewer, letter, "audio/opus", 1);
        }
        world.run_ms(1_000);
        Self { world, viewers, letters, steps: 0 }
    }

    /// Everybody sends so many packets, as loud as `level` says of the microphone and the packet.
    pub fn send(&mut self, packets: u32, level: impl Fn(char, u32) -> Option<u8>) {
        for at in 0..packets {
            for &letter in &self.letters {
                let packet = spoken(sid(letter), self.steps, level(letter, at), self.world.now);
                self.world.link(packet);
            }
            self.steps += 1;
            self.world.run_ms(PACKET_MS);
        }
    }

    /// The same, where some speak and the others are silent.
    pub fn speak(&mut self, packets: u32, who: &str) {
        self.send(packets, |letter, _| Some(if who.contains(letter) { SPEAKS } else { 127 }));
    }

    /// Which packets of a microphone a viewer has got, having made sure that their numbers have no gap and that their
    /// times are its publisher's.
    fn heard(&self, viewer: usize, letter: char) -> Vec<u32> {
        let packets = self.world.received(viewer, letter);
        let steps: Vec<u32> =
            packets.iter().map(|packet| u32::from_be_bytes(packet.payload[..4].try_into().unwrap())).collect();
        for (pair, step) in packets.windows(2).zip(steps.windows(2)) {
            assert_eq!(*pair[1].seq_no, *pair[0].seq_no + 1, "{letter}: {steps:?}");
            let ticks = pair[1].header.timestamp.wrapping_sub(pair[0].header.timestamp);
            assert_eq!(ticks, (step[1] - step[0]) * TICKS, "{letter}: {steps:?}");
        }
        steps
    }

    /// How much of each microphone a viewer has got, the least first.
    fn lengths(&self, viewer: usize) -> Vec<usize> {
        let mut lengths: Vec<usize> = self.letters.iter().map(|&letter| self.heard(viewer, letter).len()).collect();
        lengths.sort_unstable();
        lengths
    }

    fn withheld(&self) -> u64 {
        self.world.worker.stats().sound_withheld
    }

    fn nacks(&self) -> u64 {
        self.world.worker.stats().nacks(Direction::In, Via::Client)
    }
}

fn all(steps: u32) -> Vec<u32> {
    (0..steps).collect()
}

#[test]
fn few_sounds_are_heard_whole_however_quiet_they_are() {
    let mut hall = Hall::new(LOUDEST, 2);
    hall.send(100, |letter, _| Some(if letter == 'a' { SPEAKS } else { 127 }));
    for viewer in hall.viewers.clone() {
        hall.letters.iter().for_each(|&letter| assert_eq!(hall.heard(viewer, letter), all(100)));
    }
    assert_eq!(hall.withheld(), 0);
}

#[test]
fn who_begins_to_speak_is_heard_with_the_first_packet_and_the_quietest_is_not() {
    let mut hall = Hall::new(LOUDEST + 2, 2);
    let level = |letter| match letter {
        'a' => SPEAKS,
        'b' => SPEAKS + 5,
        _ => NOISE,
    };
    hall.send(100, |letter, _| Some(level(letter)));
    hall.send(100, |letter, _| Some(if letter == 'e' { SPEAKS } else { level(letter) }));
    for viewer in hall.viewers.clone() {
        let [a, b, c, d, e] = ['a', 'b', 'c', 'd', 'e'].map(|letter| hall.heard(viewer, letter));
        assert_eq!((a, b), (all(200), all(200)));
        assert_eq!(c, all(100), "it had a place while nobody wanted it");
        assert_eq!(
            (&d[..], e[0], &e[1..]),
            (&[0][..], 0, &all(200)[100..]),
            "before the others have come there is room"
        );
    }
    let stats = hall.world.worker.stats();
    assert_eq!(stats.rtp(Direction::Out, Kind::Audio, Via::Client).packets, 2 * 602);
    assert_eq!((hall.withheld(), hall.nacks()), (2 * 398, 0));
}

#[test]
fn whom_a_louder_one_has_displaced_goes_on_later_without_a_gap() {
    let mut hall = Hall::new(LOUDEST + 1, 2);
    // The first speaks, and is displaced by the others for three seconds, and then for more than a minute.
    hall.speak(50, "abc");
    hall.speak(100, "bcd");
    hall.speak(75, "");
    hall.speak(50, "acd");
    hall.speak(3_300, "bcd");
    hall.speak(75, "");
    hall.speak(50, "abc");
    for viewer in hall.viewers.clone() {
        let heard = hall.heard(viewer, 'a');
        let (first, rest) = heard.split_at(heard.iter().position(|&step| step > 150).unwrap());
        let (second, third) = rest.split_at(rest.iter().position(|&step| step > 600).unwrap());
        // It keeps its place until it has been silent for as long as takes the margin off.
        assert!(first.starts_with(&all(50)) && first.len() <= 90, "{first:?}");
        assert!(second.starts_with(&all(275)[225..]) && second.len() <= 90, "{second:?}");
        assert_eq!(third, &all(3_700)[3_650..]);
        hall.letters.iter().for_each(|&letter| drop(hall.heard(viewer, letter)));
    }
    assert_eq!(hall.nacks(), 0);
}

#[test]
fn voices_of_one_loudness_do_not_take_turns_and_a_pause_between_words_costs_no_place() {
    let mut hall = Hall::new(LOUDEST + 2, 2);
    hall.send(500, |letter, at| {
        let wobbles = (u32::from(letter) * 7 + at * 5) % 6;
        // Each takes a breath of 400 ms now and then.
        let rests = (at + u32::from(letter) * 31) % 90 < 20;
        Some(if rests { 100 } else { SPEAKS + wobbles as u8 })
    });
    for viewer in hall.viewers.clone() {
        let lengths = hall.lengths(viewer);
        assert_eq!(lengths[2..], [500; LOUDEST]);
        assert!(lengths[1] <= 1, "{lengths:?}: one that was breathing when all began");
    }
}

#[test]
fn sounds_that_tell_no_level_are_heard_whole_beside_the_loudest() {
    let mut hall = Hall::new(LOUDEST + 4, 2);
    hall.send(60, |letter, _| (letter > 'b').then_some(NOISE));
    for viewer in hall.viewers.clone() {
        assert_eq!((hall.heard(viewer, 'a'), hall.heard(viewer, 'b')), (all(60), all(60)));
        assert_eq!(hall.lengths(viewer), [0, 0, 60, 60, 60, 60, 60]);
    }
}

#[test]
fn the_place_of_a_sound_that_is_gone_or_not_wanted_is_free() {
    let mut hall = Hall::new(LOUDEST + 2, 1);
    let viewer = hall.viewers[0];
    hall.send(50, |_, _| Some(NOISE));
    let (with, without): (Vec<char>, Vec<char>) =
        hall.letters.iter().partition(|&&letter| !hall.heard(viewer, letter).is_empty());
    assert_eq!((with.len(), without.len()), (LOUDEST, 2));
    hall.world.unsubscribe(viewer, with[0]);
    let session = hall.world.clients[viewer].id;
    let settings = TrackSettings { disabled: true, ..TrackSettings::default() };
    hall.world.command(Command::Settings { session, track: sid(with[1]), settings });
    hall.send(50, |_, _| Some(NOISE));
    assert_eq!((hall.heard(viewer, with[1]), hall.heard(viewer, with[2])), (all(50), all(100)));
    for letter in without {
        assert!(hall.heard(viewer, letter).len() >= 45, "within a tenth of a second");
    }
}

#[test]
fn a_sound_that_began_anew_while_it_was_not_heard_goes_on_without_a_gap() {
    let mut hall = Hall::new(LOUDEST + 1, 1);
    let viewer = hall.viewers[0];
    hall.speak(50, "abc");
    hall.speak(100, "bcd");
    hall.speak(75, "");
    // All begin anew.
    hall.steps += 700_000;
    hall.speak(50, "acd");
    let packets = hall.world.received(viewer, 'a');
    let numbers: Vec<u64> = packets.iter().map(|packet| *packet.seq_no).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    assert_eq!(packets.iter().filter(|packet| packet.payload[1] > 5).count(), 50);
}

#[test]
fn on_every_worker_of_a_node_the_same_are_heard() {
    let mut hall = Hall::on(World::of(2, 1), LOUDEST + 2, 4);
    let seats: Vec<_> =
        hall.viewers.iter().map(|&viewer| hall.world.spread.seat(hall.world.clients[viewer].id)).collect();
    assert!(seats.contains(&Some(0)) && seats.contains(&Some(1)), "{seats:?}");
    hall.send(50, |letter, _| Some(if letter == 'a' { SPEAKS } else { NOISE }));
    hall.send(50, |letter, _| Some(if letter < 'c' { SPEAKS } else { NOISE }));
    for viewer in hall.viewers.clone() {
        assert_eq!((hall.heard(viewer, 'a'), hall.heard(viewer, 'b')), (all(100), all(100)[50..].to_vec()), "{viewer}");
        let others: usize = ['c', 'd', 'e'].iter().map(|&letter| hall.heard(viewer, letter).len()).sum();
        assert!((150..=153).contains(&others), "{viewer} has {others}");
    }
}
