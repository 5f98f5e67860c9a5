//! What a client sends, in virtual time, against a client that seals with its own keys.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::*;
use crate::media::own::feedback::{self, Feedback};
use crate::media::srtp::{Keying, Numbers, Profile, Sealer};

const VIDEO: u32 = 7;
const REPAIR: u32 = 8;
const TERMS: Incoming = Incoming {
    ssrc: VIDEO,
    repair: Some(REPAIR),
    clock_rate: 90_000,
    repairable: true,
    ids: Ids {
        mid: None,
        send_time: Some(2),
        transport: Some(3),
        level: None,
        orientation: None,
        descriptor: None,
        capture: None,
        delay: None,
    },
};

/// A client, and our end.
struct Line {
    now: Instant,
    start: Instant,
    sealer: Sealer,
    numbers: HashMap<u32, Numbers>,
    transport: u16,
    intake: Intake,
    space: Vec<u8>,
}

fn keying(active: bool) -> Keying {
    let material: Vec<u8> = (0..88).collect();
    Keying::new(Profile::Aes256Gcm, &material, active).unwrap()
}

impl Line {
    fn new() -> Self {
        let now = Instant::now();
        let (sealer, ..) = keying(true).split().unwrap();
        let (_, _, opener, _) = keying(false).split().unwrap();
        let mut intake = Intake::new(opener);
        intake.agree(TERMS.ids, vec![(97, 96)]);
        intake.expect(TERMS);
        Self { now, start: now, sealer, numbers: HashMap::new(), transport: 0, intake, space: Vec::new() }
    }

    /// A datagram of the client's; `first` is what its first byte says beyond the version.
    fn sealed(&mut self, (ssrc, payload_type): (u32, u8), number: u64, payload: &[u8], first: u8) -> Vec<u8> {
        let sealer = &mut self.sealer;
        let numbers = self.numbers.entry(ssrc).or_insert_with(|| sealer.numbers(ssrc).unwrap());
        let sealed = numbers.take(number).unwrap();
        self.transport += 1;
        let sent = (self.now - self.start).as_micros() as u64 * SENT_PARTS / 1_000_000;
        let [_, _, _, _, _, a, b, c] = sent.to_be_bytes();
        let [high, low] = self.transport.to_be_bytes();
        let mut packet = vec![0x90 | first, payload_type];
        packet.extend((number as u16).to_be_bytes());
        packet.extend([0, 0, 0, 5]);
        packet.extend(ssrc.to_be_bytes());
        packet.extend([0xbe, 0xde, 0, 2, 2 << 4 | 2, a, b, c, 3 << 4 | 1, high, low, 0]);
        let header = packet.len();
        packet.extend(payload);
        let length = packet.len();
        packet.resize(length + 16, 0);
        assert_eq!(self.sealer.seal(sealed, &mut packet, header, length), Some(length + 16));
        packet
    }

    fn take(&mut self, datagram: &[u8]) -> Taken {
        let at_us = (self.now - self.start).as_micros() as u64;
        self.intake.take(self.now, at_us, datagram, &mut self.space)
    }

    fn video(&mut self, number: u64) -> Vec<u8> {
        self.sealed((VIDEO, 96), number, &[number as u8; 20], 0)
    }

    /// What is said now: numbers asked for, and how many packets came by it.
    fn say(&mut self) -> (Vec<u16>, usize) {
        let (mut asked, mut came) = (Vec::new(), 0);
        let mut compound = Vec::new();
        while self.intake.say(self.now, 1, &mut compound).is_some() {}
        feedback::read(&compound, |said| match said {
            Feedback::Nack(ssrc, numbers) => {
                assert_eq!(ssrc, VIDEO);
                asked.extend(numbers);
            }
            Feedback::Transport(report) => came += report.flatten().count(),
            other => panic!("{other:?}"),
        });
        (asked, came)
    }

    fn pass(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }
}

/// Number and first byte of a packet of the stream.
fn packet(taken: Taken) -> (u64, u8) {
    let Taken::Packet(arrival) = taken else { panic!("{taken:?}") };
    assert_eq!((arrival.ssrc, arrival.payload_type, arrival.packet.timestamp), (VIDEO, 96, 5));
    (arrival.packet.sequence, arrival.packet.payload[0])
}

#[test]
fn what_is_lost_is_asked_for_and_its_repetition_takes_its_place() {
    let mut line = Line::new();
    for number in [65_534, 65_535, 65_537] {
        let datagram = line.video(number);
        assert_eq!(packet(line.take(&datagram)), (number, number as u8));
    }
    assert_eq!(line.intake.due(line.now), Some(line.now));
    assert_eq!(line.say(), (vec![], 3));
    let asks_at = line.intake.due(line.now).unwrap();
    line.now = asks_at;
    assert_eq!(line.say(), (vec![0], 0));

    let repetition = line.sealed((REPAIR, 97), 1, &[0, 0, 42, 43], 0);
    let Taken::Packet(arrival) = line.take(&repetition) else { panic!() };
    assert_eq!((arrival.packet.sequence, &arrival.packet.payload[..]), (65_536, &[42, 43][..]));
    let late = line.video(65_536);
    assert!(matches!(line.take(&late), Taken::Refused("came before")), "it was repeated");
    let again = line.sealed((REPAIR, 97), 2, &[0, 0, 42, 43], 0);
    assert!(matches!(line.take(&again), Taken::Nothing));
    line.pass(500);
    assert_eq!(line.say(), (vec![], 2), "acknowledged, and nothing is missing");
    assert_eq!(line.intake.due(line.now), None);
}

#[test]
fn forged_and_replayed_packets_are_refused_and_leave_no_trace() {
    let mut line = Line::new();
    let datagram = line.video(1);
    let mut forged = line.video(900);
    *forged.last_mut().unwrap() ^= 1;
    assert!(matches!(line.take(&forged), Taken::Refused("forged")));
    assert_eq!(packet(line.take(&datagram)).0, 1);
    assert!(matches!(line.take(&datagram), Taken::Refused("came before")));
    assert!(matches!(line.take(&datagram[..20]), Taken::Refused("malformed")));
    line.pass(100);
    assert_eq!(line.say(), (vec![], 1), "nobody asks for what lies before a forged number");
}

#[test]
fn padding_is_acknowledged_and_goes_no_further() {
    const PADDED: u8 = 0x20;
    let mut line = Line::new();
    let probe = line.sealed((REPAIR, 97), 1, &[0, 0, 3], PADDED);
    assert!(matches!(line.take(&probe), Taken::Nothing));
    let padded = line.sealed((VIDEO, 96), 1, &[1, 2, 0, 2], PADDED);
    let Taken::Packet(arrival) = line.take(&padded) else { panic!() };
    assert_eq!(arrival.packet.payload[..], [1, 2]);
    let wrong = line.sealed((VIDEO, 96), 2, &[1, 2, 0, 9], PADDED);
    assert!(matches!(line.take(&wrong), Taken::Refused("malformed")));
    let stray = line.sealed((PROBES, 96), 1, &[0, 2], PADDED);
    assert!(matches!(line.take(&stray), Taken::Nothing));
    assert_eq!(line.say().1, 4);
}

#[test]
fn a_stream_is_taken_once_it_is_known() {
    let mut line = Line::new();
    let datagram = line.sealed((20, 96), 3, &[9], 0);
    assert!(matches!(line.take(&datagram), Taken::Unknown(20, 96)));
    line.intake.expect(Incoming { ssrc: 20, repair: None, ..TERMS });
    let Taken::Packet(arrival) = line.take(&datagram) else { panic!() };
    assert_eq!((arrival.ssrc, arrival.packet.sequence), (20, 3));
    assert_eq!(line.say().1, 1, "acknowledged once");

    let repetition = line.sealed((21, 97), 1, &[0, 4, 9], 0);
    assert!(matches!(line.take(&repetition), Taken::Unknown(21, 97)));
    line.intake.expect_repair(20, 21);
    let Taken::Packet(arrival) = line.take(&repetition) else { panic!() };
    assert_eq!((arrival.ssrc, arrival.packet.sequence), (20, 4));
}

#[test]
fn nothing_is_asked_for_of_a_stream_that_is_spared_or_cannot_be_repaired() {
    let mut line = Line::new();
    line.intake.spare(VIDEO, true);
    line.intake.expect(Incoming { ssrc: 20, repairable: false, ..TERMS });
    for number in [1, 3] {
        let datagrams = [line.video(number), line.sealed((20, 96), number, &[0], 0)];
        assert!(datagrams.iter().all(|datagram| matches!(line.take(datagram), Taken::Packet(_))));
    }
    line.say();
    line.pass(100);
    assert_eq!((line.intake.due(line.now), line.say()), (None, (vec![], 0)));
    line.intake.spare(VIDEO, false);
    assert_eq!(line.say().0, [2]);
}

#[test]
fn send_times_go_on_where_they_begin_anew() {
    let mut line = Line::new();
    let mut sent = Vec::new();
    for number in 1..=100 {
        let datagram = line.video(number);
        let Taken::Packet(arrival) = line.take(&datagram) else { panic!() };
        sent.push(arrival.sent.unwrap());
        line.pass(1_500);
    }
    let whole = *sent.last().unwrap() - sent[0];
    assert!(whole.abs_diff(Duration::from_millis(99 * 1_500)) < Duration::from_millis(1), "{whole:?}");
}

#[test]
fn an_answered_time_tells_the_round_trip() {
    let mut line = Line::new();
    line.intake.tell_time(77, line.now);
    line.pass(150);
    let now = line.now;
    line.intake.answered(now, 78, 0);
    assert_eq!(line.intake.rtt(), None, "another time than ours");
    line.intake.answered(now, 77, 65_536 / 10);
    let rtt = line.intake.rtt().unwrap();
    assert!(rtt.abs_diff(Duration::from_millis(50)) < Duration::from_millis(1), "{rtt:?}");
    line.intake.answered(now, 77, u32::MAX);
    assert_eq!(line.intake.rtt(), Some(rtt), "longer ago than it was told");
}

#[test]
fn what_came_is_reported_by_stream() {
    let mut line = Line::new();
    assert_eq!(line.intake.received(VIDEO), None);
    for number in [1, 2, 4] {
        let datagram = line.video(number);
        line.take(&datagram);
    }
    let told = Received { lost: 64, lost_in_all: 1, newest: 4, jitter: 0 };
    assert_eq!(line.intake.received(VIDEO), Some(told));
    assert_eq!(line.intake.received(99), None);
    assert_eq!(line.intake.totals(), Totals { bytes: 60, loss: Some(0.0), jitter_ms: 0.0 });
}

#[test]
fn no_client_makes_us_remember_streams_without_bound() {
    let mut line = Line::new();
    for ssrc in 100..100 + 2 * FLOWS_MAX as u32 {
        line.intake.expect(Incoming { ssrc, repair: None, ..TERMS });
    }
    assert_eq!(line.intake.known().count(), FLOWS_MAX);
}
