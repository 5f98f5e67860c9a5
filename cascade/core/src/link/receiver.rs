//! The receiving side of one class: which hop numbers came, which are missing, and when to ask for them again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::message::{ClassReport, Message, NACK_BITMAP_BYTES_MAX};
use super::sequence::extend;

/// A packet is asked for after this many later packets of its class...
const LATER_PACKETS: u8 = 3;
/// ...or this time: a sparse class (one voice) has no later packets soon.
const REORDER_WAIT: Duration = Duration::from_millis(4);
/// Asked once, and twice more.
const ASKS_MAX: u8 = 3;
/// Missing numbers tracked in one class. A longer gap is an outage: what lies before is past repair.
const MISSING_MAX: u64 = 512;

/// Hop numbers of one class.
#[derive(Debug, Default)]
pub(super) struct Receiver {
    next: u64,
    missing: BTreeMap<u64, Missing>,
    received: u32,
    lost: u32,
}

#[derive(Debug)]
struct Missing {
    since: Instant,
    later: u8,
    asks: u8,
    ask_at: Instant,
}

impl Receiver {
    /// Takes note of a number. False when it came already or is too old to tell.
    pub(super) fn accept(&mut self, now: Instant, number: u16) -> bool {
        let Some(number) = extend(self.next, number) else { return false };
        if number < self.next {
            if self.missing.remove(&number).is_none() {
                return false;
            }
            self.received = self.received.wrapping_add(1);
            return true;
        }
        self.note_gap(now, number);
        self.next = number + 1;
        self.received = self.received.wrapping_add(1);
        true
    }

    /// Everything from `next` to `number` is missing; what was missing before has one more packet behind it.
    fn note_gap(&mut self, now: Instant, number: u64) {
        for missing in self.missing.values_mut().filter(|missing| missing.asks == 0) {
            missing.later += 1;
            if missing.later >= LATER_PACKETS {
                missing.ask_at = now;
            }
        }
        let tracked_from = number.saturating_sub(MISSING_MAX).max(self.next);
        self.lost = self.lost.wrapping_add((tracked_from - self.next) as u32);
        for gap in tracked_from..number {
            self.missing.insert(gap, Missing { since: now, later: 1, asks: 0, ask_at: now + REORDER_WAIT });
        }
        while self.missing.len() as u64 > MISSING_MAX {
            self.missing.pop_first();
            self.lost = self.lost.wrapping_add(1);
        }
    }

    /// When something is to be asked for or given up.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.missing.values().map(|missing| missing.ask_at).min()
    }

    /// Takes the numbers that are to be asked for now; gives up those that could not come in time. Says how many it
    /// gave up.
    pub(super) fn take_due(&mut self, now: Instant, rtt: Duration, deadline: Duration) -> (Vec<u64>, u64) {
        let (mut due, mut given_up) = (Vec::new(), 0);
        self.missing.retain(|number, missing| {
            if missing.ask_at > now {
                return true;
            }
            if missing.asks >= ASKS_MAX || now + rtt > missing.since + deadline {
                given_up += 1;
                return false;
            }
            missing.asks += 1;
            missing.ask_at = now + rtt.mul_f64(1.2) + REORDER_WAIT;
            due.push(*number);
            true
        });
        self.lost = self.lost.wrapping_add(given_up as u32);
        (due, given_up)
    }

    /// For the next report.
    pub(super) fn report(&self) -> ClassReport {
        ClassReport { next: self.next as u16, received: self.received, lost: self.lost }
    }

    /// Counts a number of a space that is never asked for (retransmissions).
    pub(super) fn count(&mut self, number: u16) {
        if let Some(number) = extend(self.next, number) {
            self.next = self.next.max(number + 1);
        }
        self.received = self.received.wrapping_add(1);
    }
}

/// Repair requests for `numbers`, which ascend.
pub(super) fn nacks_of(class: u8, numbers: &[u64]) -> Vec<Message> {
    let mut nacks = Vec::new();
    let mut rest = numbers;
    while let Some((first, others)) = rest.split_first() {
        let reach = first + 8 * NACK_BITMAP_BYTES_MAX as u64;
        let (covered, further) = others.split_at(others.partition_point(|number| *number <= reach));
        let mut bitmap = Vec::new();
        for number in covered {
            let bit = (number - first - 1) as usize;
            bitmap.resize(bitmap.len().max(bit / 8 + 1), 0);
            bitmap[bit / 8] |= 1 << (bit % 8);
        }
        nacks.push(Message::Nack { class, first: *first as u16, bitmap });
        rest = further;
    }
    nacks
}

/// The numbers that a repair request names.
pub(super) fn numbers_of(first: u16, bitmap: &[u8]) -> impl Iterator<Item = u16> {
    let bits = (0..bitmap.len() * 8).filter(|bit| bitmap[bit / 8] & 1 << (bit % 8) != 0);
    std::iter::once(first).chain(bits.map(move |bit| first.wrapping_add(bit as u16 + 1)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RTT: Duration = Duration::from_millis(50);
    const DEADLINE: Duration = Duration::from_millis(300);

    #[test]
    fn a_lost_packet_is_asked_for_after_three_later_packets() {
        let (now, mut receiver) = (Instant::now(), Receiver::default());
        assert!(receiver.accept(now, 0) && receiver.accept(now, 2) && receiver.accept(now, 3));
        assert_eq!(receiver.take_due(now, RTT, DEADLINE).0, Vec::<u64>::new());
        assert!(receiver.accept(now, 4));
        assert_eq!(receiver.take_due(now, RTT, DEADLINE).0, [1]);
        assert_eq!(receiver.take_due(now, RTT, DEADLINE).0, Vec::<u64>::new(), "asked already");
    }

    #[test]
    fn a_lost_packet_of_a_sparse_class_is_asked_for_after_four_milliseconds() {
        let (now, mut receiver) = (Instant::now(), Receiver::default());
        receiver.accept(now, 1);
        let at = receiver.next_timeout().unwrap();
        assert_eq!(at - now, Duration::from_millis(4));
        assert_eq!(receiver.take_due(at, RTT, DEADLINE).0, [0]);
        assert_eq!(receiver.next_timeout().unwrap() - at, Duration::from_millis(64));
    }

    #[test]
    fn a_packet_is_asked_for_three_times_and_then_given_up() {
        let (mut now, mut receiver) = (Instant::now(), Receiver::default());
        receiver.accept(now, 1);
        let mut asks = 0;
        while let Some(at) = receiver.next_timeout() {
            now = at;
            asks += receiver.take_due(now, Duration::from_millis(10), DEADLINE).0.len();
        }
        assert_eq!((asks, receiver.report().lost), (3, 1));
        assert!(!receiver.accept(now, 0), "too late, and told as such");
    }

    #[test]
    fn a_packet_that_could_not_come_in_time_is_not_asked_for() {
        let (now, mut receiver) = (Instant::now(), Receiver::default());
        receiver.accept(now, 1);
        let due = receiver.take_due(now + REORDER_WAIT, Duration::from_millis(200), Duration::from_millis(120));
        assert_eq!(due, (vec![], 1));
    }

    #[test]
    fn a_repaired_packet_is_taken_once() {
        let (now, mut receiver) = (Instant::now(), Receiver::default());
        receiver.accept(now, 0);
        receiver.accept(now, 2);
        assert!(receiver.accept(now, 1));
        assert!(!receiver.accept(now, 1) && !receiver.accept(now, 0));
        assert_eq!(receiver.next_timeout(), None);
    }

    #[test]
    fn an_outage_leaves_a_bounded_memory() {
        let (now, mut receiver) = (Instant::now(), Receiver::default());
        receiver.accept(now, 30_000);
        assert_eq!((receiver.missing.len(), receiver.lost), (512, 30_000 - 512));
    }

    proptest! {
        #[test]
        fn requests_name_exactly_the_numbers_that_are_missing(
            numbers in prop::collection::btree_set(0..3000_u64, 0..100),
        ) {
            let numbers: Vec<u64> = numbers.into_iter().collect();
            let mut named = Vec::new();
            for nack in nacks_of(2, &numbers) {
                let Message::Nack { first, bitmap, .. } = nack else { panic!("a nack") };
                named.extend(numbers_of(first, &bitmap).map(u64::from));
            }
            prop_assert_eq!(named, numbers);
        }

        #[test]
        fn no_number_is_taken_twice(numbers in prop::collection::vec(any::<u16>(), 0..200)) {
            let (now, mut receiver) = (Instant::now(), Receiver::default());
            let mut taken = std::collections::BTreeSet::new();
            for number in numbers {
                let before = extend(receiver.next, number);
                if receiver.accept(now, number) {
                    prop_assert!(taken.insert(before));
                }
                prop_assert!(receiver.missing.len() as u64 <= MISSING_MAX);
            }
        }
    }
}
