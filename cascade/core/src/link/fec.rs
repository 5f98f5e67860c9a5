//! Forward error correction of one hop: the XOR of about twenty datagrams of all classes, which restores one of them.
//!
//! On a trunk a block fills within milliseconds, where a repair request takes a round trip.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::message::{FEC_BYTES_MAX, Parity};
use super::outgoing::Datagram;

/// Packets in one block: 5 % more bytes, and two lost packets in one block are rare around 1 % loss...
const BLOCK_PACKETS: u8 = 20;
/// ...while above this they are not, and 10 % more bytes are little beside what is lost.
const LOSS_HIGH: f64 = 0.02;
const BLOCK_PACKETS_HIGH: u8 = 10;
/// A block that fills slowly is closed after this.
const BLOCK_SPAN: Duration = Duration::from_millis(40);
/// FEC is worth its bytes above this round trip: below it a repair comes soon...
pub(super) const RTT_MIN: Duration = Duration::from_millis(80);
/// ...above this loss...
const LOSS_ON: f64 = 0.001;
/// ...and until it has fallen below this.
const LOSS_OFF: f64 = 0.0005;
/// Packets kept in a class: those that a parity covers and those that overtake it.
const KEPT: usize = 256;
/// Parities that wait for packets that are late.
const PENDING_MAX: usize = 8;
/// The peer sends parities while one came within this time.
const LATELY: Duration = Duration::from_millis(500);
/// A parity is not waited for longer than this.
const WAIT_MAX: Duration = Duration::from_millis(45);

/// The sending side.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    on: bool,
    block_packets: u8,
    block: Parity,
    packets: u8,
    due_at: Option<Instant>,
}

impl Encoder {
    /// Whether the path calls for it.
    pub(super) fn decide(&mut self, rtt: Duration, loss: f64) {
        self.on = rtt > RTT_MIN && loss > if self.on { LOSS_OFF } else { LOSS_ON };
        self.block_packets = if loss > LOSS_HIGH { BLOCK_PACKETS_HIGH } else { BLOCK_PACKETS };
    }

    /// Takes a datagram that was sent for the first time.
    pub(super) fn add(&mut self, now: Instant, place: usize, number: u16, datagram: &Datagram) {
        if !self.on || datagram.len() > FEC_BYTES_MAX {
            return;
        }
        let block = &mut self.block;
        let (first, count) = &mut block.ranges[place];
        if *count == 0 {
            *first = number;
        }
        if first.wrapping_add(u16::from(*count)) != number {
            // One was too long to be covered, or FEC was off: what stands is worth less than a new block.
            self.clear();
            return self.add(now, place, number, datagram);
        }
        *count += 1;
        self.packets += 1;
        block.length ^= datagram.len() as u16;
        xor_datagram(&mut block.bytes, datagram);
        self.due_at.get_or_insert(now + BLOCK_SPAN);
    }

    /// Whether a datagram more changes nothing.
    pub(super) fn is_idle(&self) -> bool {
        !self.on && self.due_at.is_none()
    }

    /// When a block that does not fill is to be closed.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.due_at
    }

    /// The parity of a block that is full or old enough.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Parity> {
        let is_full = self.packets > 0 && self.packets >= self.block_packets;
        let is_due = is_full || self.due_at.is_some_and(|at| at <= now);
        is_due.then(|| self.clear())
    }

    fn clear(&mut self) -> Parity {
        (self.packets, self.due_at) = (0, None);
        std::mem::take(&mut self.block)
    }
}

/// The receiving side.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    heard: Option<Instant>,
    /// Smoothed time between parities.
    period: Duration,
    kept: [Vec<Option<(u16, Datagram)>>; 3],
    pending: VecDeque<Parity>,
}

/// A datagram out of a parity.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Restored {
    pub(super) place: usize,
    pub(super) number: u16,
    pub(super) datagram: Bytes,
}

/// What a parity gives.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Gives {
    /// All packets are there.
    Nothing,
    /// The one that is not.
    Packet(Restored),
    /// More than one is missing.
    TooMany,
    /// It cannot belong to the packets that it names.
    Wrong,
}

impl Decoder {
    /// How long a missing packet's parity is worth waiting for; `None` while the peer sends none.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        self.heard.filter(|at| now - *at < LATELY)?;
        Some((self.period * 3 / 2 + Duration::from_millis(4)).min(WAIT_MAX))
    }

    /// Whether a packet more changes nothing: the peer sends no parities, and none waits.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        self.pending.is_empty() && self.wait(now).is_none()
    }

    /// Keeps a datagram as it was first sent.
    pub(super) fn keep(&mut self, now: Instant, place: usize, number: u16, datagram: &Datagram) {
        if self.wait(now).is_none() {
            return;
        }
        let kept = &mut self.kept[place];
        if kept.is_empty() {
            kept.resize(KEPT, None);
        }
        kept[usize::from(number) % KEPT] = Some((number, datagram.clone()));
    }

    /// Takes a parity.
    pub(super) fn take(&mut self, now: Instant, parity: Parity) -> Gives {
        if let Some(before) = self.heard.replace(now) {
            self.period = (self.period * 7 + (now - before).min(WAIT_MAX)) / 8;
        }
        let gives = self.solve(&parity);
        if gives == Gives::TooMany {
            if self.pending.len() >= PENDING_MAX {
                self.pending.pop_front();
            }
            self.pending.push_back(parity);
        }
        gives
    }

    /// Whether a late packet makes a parity that waited useful.
    pub(super) fn take_late(&mut self, place: usize, number: u16) -> Option<Restored> {
        let covers = |parity: &Parity| {
            let (first, count) = parity.ranges[place];
            number.wrapping_sub(first) < u16::from(count)
        };
        let index = self.pending.iter().position(covers)?;
        match self.solve(&self.pending[index]) {
            Gives::TooMany => None,
            gives => {
                self.pending.remove(index);
                if let Gives::Packet(restored) = gives { Some(restored) } else { None }
            }
        }
    }

    fn kept(&self, place: usize, number: u16) -> Option<&Datagram> {
        let (kept, datagram) = self.kept[place].get(usize::from(number) % KEPT)?.as_ref()?;
        (*kept == number).then_some(datagram)
    }

    fn solve(&self, parity: &Parity) -> Gives {
        let mut absent = None;
        for (place, number) in numbers_of(parity) {
            if self.kept(place, number).is_none() && absent.replace((place, number)).is_some() {
                return Gives::TooMany;
            }
        }
        let Some((place, number)) = absent else { return Gives::Nothing };
        let (mut bytes, mut length) = (parity.bytes.clone(), parity.length);
        for (place, number) in numbers_of(parity) {
            if let Some(datagram) = self.kept(place, number) {
                length ^= datagram.len() as u16;
                xor_datagram(&mut bytes, datagram);
            }
        }
        // What the XOR is longer than must be zeros, and no packet can be longer than it.
        if bytes.len() > parity.bytes.len() || usize::from(length) > bytes.len() {
            return Gives::Wrong;
        }
        if bytes.drain(usize::from(length)..).any(|byte| byte != 0) {
            return Gives::Wrong;
        }
        Gives::Packet(Restored { place, number, datagram: bytes.into() })
    }
}

/// The packets that a parity covers.
fn numbers_of(parity: &Parity) -> impl Iterator<Item = (usize, u16)> {
    let ranges = parity.ranges.into_iter().enumerate();
    ranges.flat_map(|(place, (first, count))| (0..count).map(move |step| (place, first.wrapping_add(step.into()))))
}

fn xor_datagram(sum: &mut Vec<u8>, datagram: &Datagram) {
    xor_into(sum, 0, datagram.head());
    xor_into(sum, datagram.head().len(), datagram.payload());
}

fn xor_into(sum: &mut Vec<u8>, from: usize, bytes: &[u8]) {
    let end = from + bytes.len();
    if sum.len() < end {
        sum.resize(end, 0);
    }
    for (sum, byte) in sum[from..].iter_mut().zip(bytes) {
        *sum ^= byte;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LOSSY: (Duration, f64) = (Duration::from_millis(200), 0.01);

    fn lossy() -> Encoder {
        let mut encoder = Encoder::default();
        encoder.decide(LOSSY.0, LOSSY.1);
        encoder
    }

    /// A datagram whose payload begins somewhere.
    fn of(bytes: &[u8]) -> Datagram {
        let (head, payload) = bytes.split_at(bytes.len() / 3);
        Datagram::new(head, payload.into())
    }

    /// A decoder that has heard of FEC.
    fn listening(now: Instant) -> Decoder {
        Decoder { heard: Some(now), ..Decoder::default() }
    }

    #[test]
    fn only_a_long_and_lossy_path_gets_parities() {
        let now = Instant::now();
        let is_on = |encoder: &mut Encoder, rtt, loss| {
            encoder.decide(Duration::from_millis(rtt), loss);
            encoder.add(now, 1, 0, &of(&[1]));
            encoder.take_due(now + BLOCK_SPAN).is_some()
        };
        let mut encoder = Encoder::default();
        assert!(!is_on(&mut encoder, 80, 0.01));
        assert!(!is_on(&mut encoder, 200, 0.001));
        assert!(is_on(&mut encoder, 200, 0.0011));
        assert!(is_on(&mut encoder, 200, 0.0006), "still");
        assert!(!is_on(&mut encoder, 200, 0.0005));
    }

    #[test]
    fn a_block_is_closed_after_twenty_packets_or_ten_of_a_bad_path_or_forty_milliseconds() {
        let (now, mut encoder) = (Instant::now(), lossy());
        for number in 0..20 {
            assert_eq!(encoder.take_due(now), None);
            encoder.add(now, usize::from(number % 3), number / 3, &of(&[number as u8; 100]));
        }
        assert_eq!(encoder.take_due(now).unwrap().ranges, [(0, 7), (0, 7), (0, 6)]);
        encoder.add(now, 0, 7, &of(&[1]));
        assert_eq!(encoder.next_timeout(), Some(now + BLOCK_SPAN));
        assert_eq!(encoder.take_due(now + BLOCK_SPAN).unwrap().ranges, [(7, 1), (0, 0), (0, 0)]);
        assert_eq!(encoder.next_timeout(), None);
        encoder.decide(LOSSY.0, 0.03);
        (0..10).for_each(|number| encoder.add(now, 2, number, &of(&[1])));
        assert_eq!(encoder.take_due(now).unwrap().ranges[2], (0, 10));
    }

    #[test]
    fn two_lost_packets_are_too_many_until_one_of_them_comes_late() {
        let (now, mut encoder, mut decoder) = (Instant::now(), lossy(), listening(Instant::now()));
        let datagrams: Vec<Bytes> =
            (0..20).map(|number| Bytes::from(vec![number + 1; 50 + usize::from(number)])).collect();
        for (number, datagram) in (65_530..=65_535_u16).chain(0..14).zip(&datagrams) {
            encoder.add(now, 2, number, &of(datagram));
            if ![65_533, 2].contains(&number) {
                decoder.keep(now, 2, number, &datagram.clone().into());
            }
        }
        let parity = encoder.take_due(now).unwrap();
        assert_eq!(decoder.take(now, parity), Gives::TooMany);
        decoder.keep(now, 2, 2, &datagrams[8].clone().into());
        let restored = decoder.take_late(2, 2).unwrap();
        assert_eq!((restored.number, restored.datagram), (65_533, datagrams[3].clone()));
    }

    #[test]
    fn a_parity_of_something_else_is_noticed() {
        let (now, mut decoder) = (Instant::now(), listening(Instant::now()));
        decoder.keep(now, 1, 5, &Bytes::from_static(&[1; 40]).into());
        let parity = |length, bytes| Parity { ranges: [(0, 0), (5, 2), (0, 0)], length, bytes };
        assert_eq!(decoder.take(now, parity(0, vec![1; 30])), Gives::Wrong, "shorter than a packet that it covers");
        assert_eq!(decoder.take(now, parity(40 ^ 41, vec![1; 40])), Gives::Wrong, "a packet longer than itself");
        assert_eq!(decoder.take(now, parity(40 ^ 10, vec![7; 40])), Gives::Wrong, "something behind the packet");
    }

    proptest! {
        #[test]
        fn any_one_packet_of_a_block_is_restored(
            sizes in prop::collection::vec((0..3_usize, 1..1400_usize), 2..20),
            lost in any::<prop::sample::Index>(),
            first in any::<u16>(),
        ) {
            let (now, mut encoder, mut decoder) = (Instant::now(), lossy(), listening(Instant::now()));
            let (lost, mut next) = (lost.index(sizes.len()), [first; 3]);
            let mut expected = None;
            for (index, (place, size)) in sizes.iter().enumerate() {
                let number = next[*place];
                next[*place] = number.wrapping_add(1);
                let datagram = Bytes::from((0..*size).map(|byte| (byte * 7 + index) as u8).collect::<Vec<_>>());
                encoder.add(now, *place, number, &of(&datagram));
                if index == lost {
                    expected = Some(Restored { place: *place, number, datagram });
                } else {
                    decoder.keep(now, *place, number, &of(&datagram));
                }
            }
            let parity = encoder.take_due(now + BLOCK_SPAN).unwrap();
            prop_assert_eq!(decoder.take(now, parity), Gives::Packet(expected.unwrap()));
        }

        #[test]
        fn arbitrary_parities_never_panic_and_memory_stays_bounded(
            parities in prop::collection::vec(
                (any::<[(u16, u8); 3]>(), any::<u16>(), prop::collection::vec(any::<u8>(), 0..50)),
                0..40,
            ),
        ) {
            let (now, mut decoder) = (Instant::now(), listening(Instant::now()));
            for number in 0..600 {
                decoder.keep(now, 1, number, &Bytes::from_static(&[3; 20]).into());
            }
            for (ranges, length, bytes) in parities {
                decoder.take(now, Parity { ranges, length, bytes });
                decoder.take_late(1, length);
                prop_assert!(decoder.pending.len() <= PENDING_MAX);
            }
        }
    }
}
