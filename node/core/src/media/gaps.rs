//! Packets of a video layer that are missing, and when it is time to stop waiting for them.
//!
//! A decoder without a packet stands still until the packet or a keyframe comes; left to itself, a browser waits three
//! seconds before it asks for one. The node sees that a repair failed, so it asks for the keyframe itself.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use origo_cascade_core::link::Packet;

/// How long a packet is waited for: a repair over the longest usual way to a client (300 ms there and back) is in by
/// then.
const PATIENCE: Duration = Duration::from_millis(400);
/// Where so many are missing, in so many holes and for so long, and more than twice as many as came since, a queue on the way
/// is full and drops the most of what is sent. One hole alone is a stall of the air, after which repairs come.
const HOPELESS: (usize, u32, Duration) = (8, 2, Duration::from_millis(100));
/// Missing packets that are remembered. More at once are an outage, after which only a keyframe helps.
const MISSING_MAX: usize = 128;
/// A step in the numbers beyond which the source must have begun anew.
const JUMP: u64 = 3_000;

/// The missing packets of one layer.
#[derive(Debug, Default)]
pub(crate) struct Gaps {
    highest: Option<u64>,
    /// Ascending, with when each was found missing.
    missing: VecDeque<(u64, Instant)>,
    overflowed: bool,
    /// Holes in the numbers, and packets that came, since the first of those that are missing.
    holes: u32,
    came: usize,
}

impl Gaps {
    /// A packet came.
    pub fn note(&mut self, packet: &Packet, now: Instant) {
        let sequence = packet.sequence;
        let Some(highest) = self.highest.filter(|highest| highest.abs_diff(sequence) <= JUMP) else {
            *self = Self { highest: Some(sequence), ..Self::default() };
            return;
        };
        let skipped_from = sequence.saturating_sub(packet.skipped.into());
        if sequence > highest {
            self.highest = Some(sequence);
            self.holes += u32::from(highest + 1 < skipped_from);
            self.miss(highest + 1, skipped_from, now);
        } else if !self.missing.is_empty() {
            self.missing.retain(|(missing, _)| !(skipped_from..=sequence).contains(missing));
        }
        if packet.key {
            // What came before a keyframe is needed no more.
            self.overflowed = false;
            self.missing.retain(|(missing, _)| *missing > sequence);
        }
        self.came += 1;
        if self.missing.is_empty() {
            (self.holes, self.came) = (0, 0);
        }
    }

    fn miss(&mut self, from: u64, to: u64, now: Instant) {
        for number in from..to {
            if self.missing.len() == MISSING_MAX {
                self.overflowed = true;
                return;
            }
            self.missing.push_back((number, now));
        }
    }

    /// Whether a packet was waited for long enough. True once for all that are missing by now.
    pub fn give_up(&mut self, now: Instant) -> bool {
        let late = self.missing.front().is_some_and(|(_, since)| now.saturating_duration_since(*since) >= PATIENCE);
        let given_up = late || self.overflowed;
        if given_up {
            self.forget();
        }
        given_up
    }

    /// Whether most of what was sent is missing, so that no repair helps. True once for all that are missing by now.
    pub fn is_hopeless(&mut self, now: Instant) -> bool {
        let (missing, holes, lasts) = HOPELESS;
        let since = self.missing.front().map(|(_, since)| now.saturating_duration_since(*since));
        let most = self.missing.len() >= missing && self.missing.len() > 2 * self.came && self.holes >= holes;
        let is_hopeless = most && since.is_some_and(|since| since >= lasts);
        if is_hopeless {
            self.forget();
        }
        is_hopeless
    }

    fn forget(&mut self) {
        *self = Self { highest: self.highest, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(sequence: u64, skipped: u16, key: bool, now: Instant) -> Packet {
        Packet {
            sequence,
            timestamp: 0,
            marker: false,
            key,
            redundant: false,
            skipped,
            extensions: Default::default(),
            payload: [0u8; 4].into(),
            arrived: now,
        }
    }

    /// Takes packets given as (number, left out before it, keyframe) at one moment.
    fn taken(packets: &[(u64, u16, bool)]) -> (Gaps, Instant) {
        let now = Instant::now();
        let mut gaps = Gaps::default();
        for &(sequence, skipped, key) in packets {
            gaps.note(&packet(sequence, skipped, key, now), now);
        }
        (gaps, now)
    }

    fn gives_up(packets: &[(u64, u16, bool)]) -> bool {
        let (mut gaps, now) = taken(packets);
        assert!(gaps.overflowed || !gaps.give_up(now), "a repair gets its time");
        gaps.give_up(now + PATIENCE)
    }

    #[test]
    fn a_packet_that_never_comes_is_given_up_once() {
        let (mut gaps, now) = taken(&[(10, 0, true), (11, 0, false), (13, 0, false)]);
        assert!(!gaps.give_up(now + PATIENCE - Duration::from_millis(1)));
        assert!(gaps.give_up(now + PATIENCE));
        assert!(!gaps.give_up(now + 2 * PATIENCE));
    }

    #[test]
    fn what_a_full_queue_drops_is_hopeless_and_what_the_air_lost_is_not() {
        // One of four comes; then one hole of twelve; then every second is lost.
        let full: Vec<_> = (10..40).step_by(4).map(|number| (number, 0, false)).collect();
        let air = [(10, 0, false), (23, 0, false), (24, 0, false)];
        let random: Vec<_> = (10..60).filter(|number| number % 2 != 0).map(|number| (number, 0, false)).collect();
        let is_hopeless = |packets: &[(u64, u16, bool)], passed: u64| {
            let (mut gaps, now) = taken(packets);
            let now = now + Duration::from_millis(passed);
            (gaps.is_hopeless(now), gaps.is_hopeless(now))
        };
        assert_eq!(is_hopeless(&full, 99), (false, false), "repairs get a moment");
        assert_eq!(is_hopeless(&full, 100), (true, false), "once");
        assert_eq!(is_hopeless(&air, 200), (false, false));
        assert_eq!(is_hopeless(&random, 200), (false, false));
    }

    #[test]
    fn a_repair_in_time_and_a_later_keyframe_leave_nothing_to_wait_for() {
        assert!(!gives_up(&[(10, 0, true), (12, 0, false), (11, 0, false)]));
        assert!(!gives_up(&[(10, 0, true), (12, 0, false), (13, 0, true)]));
        assert!(gives_up(&[(10, 0, true), (12, 0, true), (14, 0, false)]), "the gap is in the keyframe itself");
    }

    #[test]
    fn numbers_that_an_earlier_hop_left_out_are_not_missing() {
        assert!(!gives_up(&[(10, 0, true), (15, 4, false)]));
        assert!(gives_up(&[(10, 0, true), (15, 3, false)]));
        assert!(!gives_up(&[(10, 0, true), (16, 0, false), (15, 4, false)]), "told by the packet that came late");
    }

    #[test]
    fn a_source_that_begins_anew_leaves_no_gap_and_an_outage_asks_at_once() {
        assert!(!gives_up(&[(60_000, 0, true), (5, 0, false)]));
        let (mut gaps, now) = taken(&[(10, 0, true), (500, 0, false)]);
        assert!(gaps.give_up(now), "no repair brings that many");
        assert!(!gaps.give_up(now));
    }

    proptest! {
        #[test]
        fn no_sequence_of_packets_grows_without_bound(
            packets in prop::collection::vec((any::<u64>(), any::<u16>(), any::<bool>()), 0..200),
            near in prop::collection::vec((0u64..5_000, 0u16..5, any::<bool>()), 0..200),
        ) {
            for packets in [packets, near] {
                let (gaps, _) = taken(&packets);
                prop_assert!(gaps.missing.len() <= MISSING_MAX);
                prop_assert!(gaps.missing.iter().is_sorted());
            }
        }
    }
}
