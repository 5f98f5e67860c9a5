//! The receiving side of one class: which hop numbers came, which are missing, and when to ask for them again.

use std::collections::VecDeque;
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
/// Restored packets whose late originals are still told from packets that came twice.
const RESTORED_MAX: usize = 64;

/// How a packet came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// As it was first sent.
    First,
    /// Sent again.
    Again,
    /// Out of a parity.
    Restored,
}

/// Hop numbers of one class.
#[derive(Debug, Default)]
pub(super) struct Receiver {
    next: u64,
    /// Ascending.
    missing: VecDeque<Missing>,
    /// How many of them still wait for later packets.
    waiting: usize,
    /// No later than the first that is due; `None` while nothing is missing.
    due_at: Option<Instant>,
    restored: VecDeque<u64>,
    received: u32,
    lost: u32,
    missed: u32,
}

#[derive(Debug)]
struct Missing {
    number: u64,
    since: Instant,
    later: u8,
    asks: u8,
    ask_at: Instant,
}

impl Receiver {
    /// Takes note of a number. False when it came already or is too old to tell. While the peer sends parities one is
    /// waited for that long, instead of a few later packets.
    pub(super) fn accept(&mut self, now: Instant, number: u16, how: How, parity_wait: Option<Duration>) -> bool {
        let Some(number) = extend(self.next, number) else { return false };
        if number < self.next {
            return self.accept_late(number, how);
        }
        if self.waiting > 0 && parity_wait.is_none() {
            self.count_later(now);
        }
        self.note_gap(now, number, parity_wait.unwrap_or(REORDER_WAIT));
        self.next = number + 1;
        self.received = self.received.wrapping_add(1);
        if how == How::Restored {
            self.restore(number);
            self.missed = self.missed.wrapping_add(1);
        }
        true
    }

    fn accept_late(&mut self, number: u64, how: How) -> bool {
        let Some(place) = self.place(number) else {
            // Restored and then come after all: late, not lost.
            if how == How::First
                && let Some(place) = self.restored.iter().position(|other| *other == number)
            {
                self.restored.remove(place);
                self.missed = self.missed.wrapping_sub(1);
            }
            return false;
        };
        let missing = self.missing.remove(place);
        self.waiting -= usize::from(missing.is_some_and(|missing| missing.is_waiting()));
        if self.missing.is_empty() {
            self.due_at = None;
        }
        self.received = self.received.wrapping_add(1);
        match how {
            How::First => self.missed = self.missed.wrapping_sub(1),
            How::Again => {}
            How::Restored => self.restore(number),
        }
        true
    }

    fn restore(&mut self, number: u64) {
        if self.restored.len() >= RESTORED_MAX {
            self.restored.pop_front();
        }
        self.restored.push_back(number);
    }

    fn place(&self, number: u64) -> Option<usize> {
        self.missing.binary_search_by_key(&number, |missing| missing.number).ok()
    }

    /// What was missing before has one more packet behind it.
    fn count_later(&mut self, now: Instant) {
        for missing in self.missing.iter_mut().filter(|missing| missing.is_waiting()) {
            missing.later += 1;
            if missing.later >= LATER_PACKETS {
                missing.ask_at = missing.ask_at.min(now);
                self.waiting -= 1;
                self.due_at = self.due_at.map(|due| due.min(now));
            }
        }
    }

    /// Everything from `next` to `number` is missing.
    fn note_gap(&mut self, now: Instant, number: u64, wait: Duration) {
        if number == self.next {
            return;
        }
        self.missed = self.missed.wrapping_add((number - self.next) as u32);
        let tracked_from = number.saturating_sub(MISSING_MAX).max(self.next);
        self.lost = self.lost.wrapping_add((tracked_from - self.next) as u32);
        let ask_at = now + wait;
        for number in tracked_from..number {
            self.missing.push_back(Missing { number, since: now, later: 1, asks: 0, ask_at });
            self.waiting += 1;
        }
        self.due_at = Some(self.due_at.map_or(ask_at, |due| due.min(ask_at)));
        while self.missing.len() as u64 > MISSING_MAX {
            let given_up = self.missing.pop_front();
            self.waiting -= usize::from(given_up.is_some_and(|missing| missing.is_waiting()));
            self.lost = self.lost.wrapping_add(1);
        }
    }

    /// The parity for these numbers is there and does not help (or will not come): whatever of them, or before them, is
    /// missing is asked for, unless it is only late.
    pub(super) fn expect_no_parity(&mut self, now: Instant, first: u16, count: u8) {
        let Some(first) = extend(self.next, first) else { return };
        let (end, ask_at) = (first + u64::from(count), now + REORDER_WAIT);
        for missing in self.missing.iter_mut().take_while(|missing| missing.number < end) {
            if missing.asks == 0 {
                missing.ask_at = missing.ask_at.min(ask_at);
                self.due_at = self.due_at.map(|due| due.min(ask_at));
            }
        }
    }

    /// Whether a packet with that number has not come and would still be taken.
    pub(super) fn wants(&self, number: u16) -> bool {
        extend(self.next, number).is_some_and(|number| number >= self.next || self.place(number).is_some())
    }

    /// When something is to be asked for or given up; no later than that.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.due_at
    }

    /// Takes the numbers that are to be asked for now; gives up those whose time is over. Says how many it gave up. What
    /// could not be repaired in time is not asked for, and may still come by itself until then.
    pub(super) fn take_due(&mut self, now: Instant, rtt: Duration, deadline: Duration) -> (Vec<u64>, u64) {
        let (mut due, mut given_up) = (Vec::new(), 0);
        if self.due_at.is_none_or(|at| at > now) {
            return (due, given_up);
        }
        let again_at = now + rtt.mul_f64(1.2) + REORDER_WAIT;
        self.due_at = None;
        self.missing.retain_mut(|missing| {
            if missing.ask_at <= now {
                let until = missing.since + deadline;
                if now >= until {
                    given_up += 1;
                    return false;
                }
                if missing.asks >= ASKS_MAX || now + rtt > until {
                    (missing.asks, missing.ask_at) = (ASKS_MAX, until);
                } else {
                    (missing.asks, missing.ask_at) = (missing.asks + 1, again_at);
                    due.push(missing.number);
                }
            }
            self.due_at = Some(self.due_at.map_or(missing.ask_at, |at| at.min(missing.ask_at)));
            true
        });
        self.waiting = self.missing.iter().filter(|missing| missing.is_waiting()).count();
        self.lost = self.lost.wrapping_add(given_up as u32);
        (due, given_up)
    }

    /// For the next report.
    pub(super) fn report(&self) -> ClassReport {
        ClassReport { next: self.next as u16, received: self.received, lost: self.lost }
    }

    /// Packets that the path lost, repaired or not; wraps.
    pub(super) fn missed(&self) -> u32 {
        self.missed
    }

    /// Counts a number of a space that is never asked for (retransmissions).
    pub(super) fn count(&mut self, number: u16) {
        if let Some(number) = extend(self.next, number) {
            if number >= self.next {
                self.missed = self.missed.wrapping_add((number - self.next) as u32);
                self.next = number + 1;
            } else {
                self.missed = self.missed.wrapping_sub(1);
            }
        }
        self.received = self.received.wrapping_add(1);
    }
}

impl Missing {
    fn is_waiting(&self) -> bool {
        self.asks == 0 && self.later < LATER_PACKETS
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
        assert!(
            receiver.accept(now, 0, How::First, None)
                && receiver.accept(now, 2, How::First, None)
                && receiver.accept(now, 3, How::First, None)
        );
        assert_eq!(receiver.take_due(now, RTT, DEADLINE).0, Vec::<u64>::new());
        assert!(receiver.accept(now, 4, How::First, None));
        assert_eq!(receiver.take_due(now, RTT, DEADLINE).0, [1]);
        assert_eq!(receiver.take_due(now, RTT, DEADLINE).0, Vec::<u64>::new(), "asked already");
    }

    #[test]
    fn a_lost_packet_of_a_sparse_class_is_asked_for_after_four_milliseconds() {
        let (now, mut receiver) = (Instant::now(), Receiver::default());
        receiver.accept(now, 1, How::First, None);
        let at = receiver.next_timeout().unwrap();
        assert_eq!(at - now, Duration::from_millis(4));
        assert_eq!(receiver.take_due(at, RTT, DEADLINE).0, [0]);
        assert_eq!(receiver.next_timeout().unwrap() - at, Duration::from_millis(64));
    }

    #[test]
    fn a_packet_is_asked_for_three_times_and_then_given_up() {
        let (mut now, mut receiver) = (Instant::now(), Receiver::default());
        receiver.accept(now, 1, How::First, None);
        let mut asks = 0;
        while let Some(at) = receiver.next_timeout() {
            now = at;
            asks += receiver.take_due(now, Duration::from_millis(10), DEADLINE).0.len();
        }
        assert_eq!((asks, receiver.report().lost), (3, 1));
        assert!(!receiver.accept(now, 0, How::First, None), "too late, and told as such");
    }

    #[test]
    fn a_packet_that_could_not_be_repaired_in_time_is_not_asked_for_but_taken_if_it_was_only_late() {
        let (now, mut receiver) = (Instant::now(), Receiver::default());
        let (rtt, deadline) = (Duration::from_millis(200), Duration::from_millis(120));
        receiver.accept(now, 2, How::First, None);
        assert_eq!(receiver.take_due(now + REORDER_WAIT, rtt, deadline), (vec![], 0));
        assert!(receiver.accept(now + Duration::from_millis(20), 0, How::First, None));
        assert_eq!(receiver.take_due(now + deadline, rtt, deadline), (vec![], 1));
        assert!(!receiver.accept(now + deadline, 1, How::First, None));
    }

    #[test]
    fn a_repaired_packet_is_taken_once() {
        let (now, mut receiver) = (Instant::now(), Receiver::default());
        receiver.accept(now, 0, How::First, None);
        receiver.accept(now, 2, How::First, None);
        assert!(receiver.accept(now, 1, How::Again, None));
        assert!(!receiver.accept(now, 1, How::First, None) && !receiver.accept(now, 0, How::First, None));
        assert_eq!(receiver.next_timeout(), None);
    }

    #[test]
    fn an_outage_leaves_a_bounded_memory() {
        let (now, mut receiver) = (Instant::now(), Receiver::default());
        receiver.accept(now, 30_000, How::First, None);
        assert_eq!((receiver.missing.len(), receiver.lost), (512, 30_000 - 512));
        assert_eq!(receiver.missed(), 30_000);
    }

    #[test]
    fn what_comes_late_was_not_lost_and_what_is_repaired_was() {
        let (now, mut receiver) = (Instant::now(), Receiver::default());
        receiver.accept(now, 4, How::First, None);
        assert_eq!(receiver.missed(), 4);
        receiver.accept(now, 0, How::First, None);
        receiver.accept(now, 1, How::Again, None);
        receiver.accept(now, 2, How::Restored, None);
        assert_eq!(receiver.missed(), 3);
        assert!(!receiver.accept(now, 2, How::First, None), "a parity was faster");
        assert_eq!(receiver.missed(), 2);
        assert!(receiver.accept(now, 5, How::Restored, None));
        assert_eq!(receiver.missed(), 3, "lost, though no gap was seen");
    }

    #[test]
    fn while_a_parity_is_waited_for_later_packets_do_not_ask() {
        let (now, mut receiver) = (Instant::now(), Receiver::default());
        let wait = Some(Duration::from_millis(20));
        for number in [0, 2, 3, 4, 5, 6] {
            receiver.accept(now, number, How::First, wait);
        }
        let at = now + REORDER_WAIT;
        assert_eq!(receiver.take_due(at, RTT, DEADLINE).0, Vec::<u64>::new());
        receiver.expect_no_parity(now, 0, 5);
        assert_eq!(receiver.take_due(at, RTT, DEADLINE).0, [1]);
        receiver.accept(at, 8, How::First, wait);
        assert_eq!(receiver.take_due(at + Duration::from_millis(20), RTT, DEADLINE).0, [7], "no parity came");
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
                if receiver.accept(now, number, How::First, None) {
                    prop_assert!(taken.insert(before));
                }
                prop_assert!(receiver.missing.len() as u64 <= MISSING_MAX);
            }
        }
    }
}
