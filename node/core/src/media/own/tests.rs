//! One connection's own way out against a client that keeps its own keys, in virtual time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use origo_cascade_core::link::{Extensions, Packet};

use super::control::FIRST_REPORT;
use super::feedback::packets;
use super::share::AGAIN_BYTES_MAX;
use super::{Heard, Ids, Own, Padding, Refused, Terms};
use crate::media::Transport;
use crate::media::egress::{Kept, Outbox, Outgoing, Stream};
use crate::media::forward::Rewrite;
use crate::media::srtp::{ControlSealer, Keying, Profile};

const STREAM: Stream = Stream { ssrc: 7, payload_type: 96, redundant_type: None, resendable: true, described: false };
const HERE: (Transport, SocketAddr) = (Transport::Udp, SocketAddr::new(std::net::IpAddr::V4(LOCAL), 5));
const LOCAL: std::net::Ipv4Addr = std::net::Ipv4Addr::LOCALHOST;

/// Our end of a connection, and what the client seals its RTCP with.
struct Pair {
    now: Instant,
    own: Own,
    client: ControlSealer,
    outbox: Outbox,
}

fn keying(profile: Profile, active: bool) -> Keying {
    let material: Vec<u8> = (0..88).collect();
    Keying::new(profile, &material, active).unwrap()
}

impl Pair {
    fn new(profile: Profile) -> Self {
        let now = Instant::now();
        let mut own = Own::new(keying(profile, false), now, true).unwrap();
        let (_, client, _, _) = keying(profile, true).split().unwrap();
        own.set_destination(HERE);
        let ids = Ids { transport: Some(3), descriptor: Some(8), ..Ids::default() };
        assert!(own.declare(Terms { ssrc: 7, repair: Some((8, 97)), clock_rate: 90_000, ids }, "0", "ann"));
        Self { now, own, client, outbox: Outbox::default() }
    }

    fn packet(&self) -> Packet {
        Packet {
            sequence: 1,
            timestamp: 0,
            marker: false,
            key: false,
            redundant: false,
            skipped: 0,
            extensions: Extensions::default(),
            payload: Arc::from([5; 1_000]),
            arrived: self.now,
        }
    }

    fn write(&mut self, sequence: u64) -> Result<usize, Refused> {
        self.write_on(STREAM, sequence)
    }

    fn write_on(&mut self, stream: Stream, sequence: u64) -> Result<usize, Refused> {
        self.write_of(stream, sequence, 900, false)
    }

    fn write_of(&mut self, stream: Stream, sequence: u64, timestamp: u32, key: bool) -> Result<usize, Refused> {
        let packet = Packet { key, ..self.packet() };
        let rewrite = Rewrite { sequence, timestamp, marker: true, vp8: None, dependency: None, blank: false };
        let kept = Some(Kept { track: 0, ring: 1, slot: sequence as u32 });
        let outgoing = Outgoing { stream, packet: &packet, rewrite: &rewrite, captured: self.now, kept, even: None };
        self.own.send(self.now, &mut self.outbox, &outgoing)
    }

    fn says(&mut self, mut compound: Vec<u8>) -> Heard {
        assert!(self.client.seal(&mut compound));
        self.own.hear(self.now, HERE, &compound, &mut Vec::new()).unwrap()
    }

    /// Datagrams that left since the last time.
    fn left(&mut self) -> usize {
        let mut left = 0;
        while let Some((_, datagrams)) = self.outbox.pop() {
            left += datagrams;
        }
        left
    }
}

fn nack(first: u16, bits: u16) -> Vec<u8> {
    let mut packet = vec![0x81, 205, 0, 3, 0, 0, 0, 9, 0, 0, 0, 7];
    packet.extend([first.to_be_bytes(), bits.to_be_bytes()].concat());
    packet
}

/// A report that so many packets came, a millisecond apart.
pub(super) fn all_came(base: u16, count: u8) -> Vec<u8> {
    let mut packet = vec![0x8f, 205, 0, 0, 0, 0, 0, 9, 0, 0, 0, 7];
    packet.extend(base.to_be_bytes());
    packet.extend([0, count, 0, 0, 1, 0, 0x20, count]);
    packet.extend(vec![4; count.into()]);
    packet.resize(packet.len().next_multiple_of(4), 0);
    packet[3] = (packet.len() / 4 - 1) as u8;
    packet
}

#[test]
fn nothing_leaves_twice_under_one_number() {
    for profile in [Profile::Aes128Gcm, Profile::Aes256Gcm] {
        let mut pair = Pair::new(profile);
        assert_eq!(pair.write(5), Ok(1_000));
        assert_eq!(pair.write(5), Err(Refused::NumberUsed));
        assert_eq!(pair.write(3), Ok(1_000));
        assert_eq!(pair.left(), 2);
        pair.own.forget(7);
        let terms = Terms { ssrc: 7, repair: None, clock_rate: 90_000, ids: Ids::default() };
        assert!(!pair.own.declare(terms, "0", "ann"), "its numbers are not given out again");
    }
}

#[test]
fn what_is_lost_is_sent_again_once_in_a_round_trip() {
    let mut pair = Pair::new(Profile::Aes256Gcm);
    assert!((1..=20).all(|sequence| pair.write(sequence).is_ok()));
    let heard = pair.says(nack(4, 0b101));
    let slots: Vec<u32> = heard.again.iter().map(|again| again.kept.slot).collect();
    assert_eq!((slots, heard.nacks, heard.more), (vec![4, 5, 7], 1, false));
    assert!(pair.says(nack(4, 0)).again.is_empty(), "it is on its way");
    pair.now += Duration::from_millis(20);
    assert_eq!(pair.says(nack(4, 0)).again.len(), 1);
    assert!(pair.says(nack(21, 0)).again.is_empty(), "it was never sent");
    let (packet, left) = (pair.packet(), pair.left());
    let again = &heard.again[0];
    assert_eq!(pair.own.repeat(pair.now, &mut pair.outbox, again, &packet), Ok(1_000));
    assert_eq!((left, pair.left()), (20, 1));
}

#[test]
fn while_a_queue_stands_what_is_older_than_a_keyframe_waits_and_the_rest_is_sent_again_bit_by_bit() {
    let mut pair = Pair::new(Profile::Aes256Gcm);
    let start = pair.now;
    // Pictures of 20 packets, the last of them a keyframe: when they leave, and when they come in 64ths of a second.
    for (picture, (left_ms, came)) in (0..).zip([(0, 1), (1_000, 18), (1_064, 19)]) {
        pair.now = start + Duration::from_millis(left_ms);
        for at in 1..=20 {
            pair.write_of(STREAM, picture * 20 + at, picture as u32 * 3_600, picture == 2).unwrap();
        }
        let mut report = all_came(picture as u16 * 20, 20);
        report[18] = came;
        if picture == 2 {
            assert_eq!(pair.says(nack(5, 0b11)).again.len(), 3, "no queue is known of");
        }
        pair.says(report);
    }
    pair.now += Duration::from_secs(1);
    assert!(pair.says(nack(5, 0b11)).again.is_empty());
    let (again, packet) = (pair.says(nack(41, 0xffff)).again, pair.packet());
    let mut repeat = |again| pair.own.repeat(pair.now, &mut pair.outbox, again, &packet);
    let repeated = again.iter().take_while(|again| repeat(again) != Err(Refused::TooMuch));
    assert_eq!((repeated.count(), again.len()), (6, 17));
}

#[test]
fn a_descriptor_goes_along_again_only_where_it_went_along_before() {
    for described in [false, true] {
        let mut pair = Pair::new(Profile::Aes256Gcm);
        assert!((1..=2).all(|sequence| pair.write_on(Stream { described, ..STREAM }, sequence).is_ok()));
        let again = pair.says(nack(1, 0b1)).again;
        pair.left();
        let plain = pair.packet();
        let dependency = Some(Arc::from([3; 40]));
        let with = Packet { extensions: Extensions { dependency, ..Extensions::default() }, ..pair.packet() };
        let [short, long] = [(&again[0], &plain), (&again[1], &with)].map(|(again, packet)| {
            pair.own.repeat(pair.now, &mut pair.outbox, again, packet).unwrap();
            pair.outbox.pop().unwrap().0.contents.len()
        });
        assert_eq!(long >= short + 40, described, "{short} and {long} bytes");
        assert_eq!(long == short, !described, "{short} and {long} bytes");
    }
}

#[test]
fn who_asks_for_everything_gets_its_share_alone() {
    let mut pair = Pair::new(Profile::Aes128Gcm);
    let (mut sent, mut repeated) = (0, 0);
    for round in 0..200_u64 {
        for at in 1..=5 {
            sent += pair.write(round * 5 + at).unwrap();
        }
        pair.now += Duration::from_secs(1);
        for back in 0..8_u16 {
            let first = ((round * 5 + 5) as u16).wrapping_sub(back * 17);
            let heard = pair.says(nack(first, 0xffff));
            let packet = pair.packet();
            for again in &heard.again {
                repeated += pair.own.repeat(pair.now, &mut pair.outbox, again, &packet).unwrap_or(0);
            }
        }
        pair.left();
    }
    assert!(repeated <= sent / 4 + AGAIN_BYTES_MAX, "{repeated} again of {sent}");
    assert!(repeated > sent / 5, "{repeated} again of {sent}");
}

#[test]
fn feedback_that_lies_is_counted_and_believed_in_nothing() {
    let mut pair = Pair::new(Profile::Aes256Gcm);
    assert!((1..=4).all(|sequence| pair.write(sequence).is_ok()));
    let report = |base: u16, count: u8| {
        let mut packet = vec![0x8f, 205, 0, 6, 0, 0, 0, 9, 0, 0, 0, 7];
        packet.extend(base.to_be_bytes());
        packet.extend([0, count, 0, 0, 1, 0, 0x20, count, 4, 4, 4, 4, 4, 0]);
        packet
    };
    assert_eq!(pair.says(report(2, 5)).idle, 3, "three were never sent");
    assert_eq!(pair.own.loss(), Some(0.0));
    assert_eq!(pair.says(report(2, 5)).idle, 5, "two were told of before");
    assert_eq!(pair.says(report(40_000, 5)).idle, 5);
    assert_eq!(pair.own.loss(), Some(0.0));
    assert_eq!(pair.own.rtt(), Some(Duration::ZERO));
}

#[test]
fn while_its_width_is_looked_for_a_way_is_filled_with_what_left_before_or_with_nothing() {
    let mut pair = Pair::new(Profile::Aes128Gcm);
    pair.own.wish(3_000_000, true);
    assert!((1..=20).all(|sequence| pair.write(sequence).is_ok()));
    assert!(!pair.own.tick(pair.now), "the client has said nothing");
    pair.now += Duration::from_millis(50);
    pair.says(all_came(0, 20));
    let (packet, before, mut bytes, mut packets) = (pair.packet(), pair.left(), 0, 0);
    let mut looks = 0;
    for ms in 0..200 {
        looks += u32::from(pair.own.tick(pair.now));
        while let Some(padding) = pair.own.padding(pair.now) {
            let filled = match padding {
                Padding::Again(again) if ms % 2 == 0 => pair.own.fill(pair.now, &mut pair.outbox, &again, &packet),
                _ => pair.own.pad(pair.now, &mut pair.outbox),
            };
            bytes += filled.unwrap();
            packets += 1;
        }
        pair.now += Duration::from_millis(1);
    }
    assert_eq!((before, pair.left(), looks), (20, packets, 50));
    assert!((13_782..=14_781).contains(&bytes), "{bytes} bytes are 50 ms of half as much again as is believed");
}

#[test]
fn a_client_that_takes_no_retransmissions_is_sent_nothing_but_media() {
    let mut pair = Pair::new(Profile::Aes128Gcm);
    pair.own.wish(3_000_000, true);
    let ids = Ids { transport: Some(3), ..Ids::default() };
    assert!(pair.own.declare(Terms { ssrc: 7, repair: None, clock_rate: 90_000, ids }, "0", "ann"));
    assert!((1..=20).all(|sequence| pair.write(sequence).is_ok()));
    pair.says(all_came(0, 20));
    for _ in 0..100 {
        pair.own.tick(pair.now);
        assert!(pair.own.padding(pair.now).is_none());
        pair.now += Duration::from_millis(1);
    }
}

#[test]
fn only_the_clients_own_packets_move_it_to_another_address() {
    let mut pair = Pair::new(Profile::Aes128Gcm);
    let there = (Transport::Udp, SocketAddr::from(([127, 0, 0, 1], 6)));
    let mut said = nack(1, 0);
    let hear = |pair: &mut Pair, source, said: &[u8]| pair.own.hear(pair.now, source, said, &mut Vec::new()).is_some();
    assert!(!hear(&mut pair, there, &said), "forged");
    assert!(pair.client.seal(&mut said));
    assert!(hear(&mut pair, HERE, &said));
    assert!(!hear(&mut pair, there, &said), "replayed");
    pair.write(1).unwrap();
    assert_eq!(pair.outbox.pop().unwrap().0.destination, HERE.1);
    let mut said = nack(2, 0);
    assert!(pair.client.seal(&mut said));
    assert!(hear(&mut pair, there, &said));
    pair.write(2).unwrap();
    assert_eq!(pair.outbox.pop().unwrap().0.destination, there.1);
}

#[test]
fn a_report_tells_loss_jitter_and_a_round_trip_where_nothing_tells_of_every_packet() {
    let mut pair = Pair::new(Profile::Aes256Gcm);
    assert!((1..=4).all(|sequence| pair.write(sequence).is_ok()));
    let (_, mut theirs, _, _) = keying(Profile::Aes256Gcm, false).split().unwrap();
    let mut report = vec![0x80, 200, 0, 6, 0, 0, 0, 7, 0, 0, 0x12, 0x34, 0x56, 0x78, 0, 0];
    report.resize(28, 0);
    assert!(theirs.seal(&mut report));
    assert!(pair.own.say(pair.now, &report).is_some());
    assert_eq!((pair.own.loss(), pair.own.rtt(), pair.own.jitter_ms()), (None, None, 0.0));
    pair.now += Duration::from_millis(300);
    let answer = |last: [u8; 4]| {
        let mut packet = vec![0x81, 201, 0, 7, 0, 0, 0, 9, 0, 0, 0, 7, 64, 0, 0, 1, 0, 0, 0, 4];
        packet.extend([0, 0, 0x03, 0x84]);
        packet.extend(last);
        // The client held it for a quarter of a second.
        packet.extend([0, 0, 0x40, 0]);
        packet
    };
    let heard = pair.says(answer([0x12, 0x34, 0x56, 0x79]));
    assert_eq!((pair.own.rtt(), heard.more), (None, false), "that was another report, and nobody else need see it");
    pair.says(answer([0x12, 0x34, 0x56, 0x78]));
    assert_eq!(pair.own.rtt(), Some(Duration::from_millis(50)));
    assert_eq!((pair.own.loss(), pair.own.jitter_ms()), (Some(0.25), 10.0));
}

#[test]
fn streams_on_which_something_was_sent_are_reported_on_each_second_in_one_packet() {
    let mut pair = Pair::new(Profile::Aes128Gcm);
    let terms = |ssrc| Terms { ssrc, repair: None, clock_rate: 90_000, ids: Ids::default() };
    assert!(pair.own.declare(terms(20), "1", "ann"), "and nothing is sent on it");
    let begun = pair.now;
    let first = pair.own.report_at(begun).unwrap();
    assert!(first > begun && first <= begun + FIRST_REPORT);
    pair.write(5).unwrap();
    pair.left();
    let mut reader = keying(Profile::Aes128Gcm, true).split().unwrap().3;
    let mut reports = |pair: &mut Pair, at: Instant| {
        pair.own.report(at, 0x0102_0304_0506_0708, &mut pair.outbox, &mut Vec::new());
        let mut told = Vec::new();
        while let Some((transmit, _)) = pair.outbox.pop() {
            told.push(reader.open(transmit.contents, &mut Vec::new()).unwrap().to_vec());
        }
        told
    };
    assert!(reports(&mut pair, begun).is_empty(), "it is too early");
    let told = reports(&mut pair, first);
    let report = [0x80, 200, 0, 6, 0, 0, 0, 7, 1, 2, 3, 4, 5, 6, 7, 8];
    assert_eq!(told[0][..16], report);
    let ticks = (first - begun).as_millis() as u32 * 90;
    assert_eq!(told[0][16..28], [(900 + ticks).to_be_bytes(), 1_u32.to_be_bytes(), 1_000_u32.to_be_bytes()].concat());
    assert_eq!(told[0][28..], *b"\x81\xca\x00\x03\x00\x00\x00\x07\x01\x03ann\0\0\0");
    assert_eq!(told.len(), 1);
    assert_eq!(pair.own.report_at(first), Some(first + Duration::from_secs(1)));

    pair.own.forget(7);
    assert!(reports(&mut pair, first + Duration::from_secs(1)).is_empty());
    pair.own.forget(20);
    assert_eq!(pair.own.report_at(first), None, "nobody is woken for nothing");
}

#[test]
fn reports_on_many_streams_fit_datagrams() {
    let mut pair = Pair::new(Profile::Aes128Gcm);
    for ssrc in 100..160 {
        let terms = Terms { ssrc, repair: None, clock_rate: 90_000, ids: Ids::default() };
        assert!(pair.own.declare(terms, "1", &"n".repeat(ssrc as usize % 90)));
        pair.write_on(Stream { ssrc, ..STREAM }, 5).unwrap();
    }
    pair.left();
    let at = pair.own.report_at(pair.now).unwrap();
    pair.own.report(at, 1 << 40, &mut pair.outbox, &mut Vec::new());
    let mut reader = keying(Profile::Aes128Gcm, true).split().unwrap().3;
    let mut told = Vec::new();
    while let Some((transmit, _)) = pair.outbox.pop() {
        for sealed in transmit.contents.chunks(transmit.segment_size.unwrap_or(transmit.contents.len())) {
            assert!(sealed.len() < 1_200);
            let mut space = Vec::new();
            let compound = reader.open(sealed, &mut space).unwrap();
            let reports: Vec<_> = packets(compound).filter(|packet| packet[1] == 200).map(|packet| packet[7]).collect();
            let names = packets(compound).find(|packet| packet[1] == 202).unwrap();
            assert_eq!(usize::from(names[0] & 0x1f), reports.len());
            told.extend(reports);
        }
    }
    assert_eq!(told, (100..160).collect::<Vec<u8>>());
}
