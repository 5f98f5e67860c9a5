//! Packets of a client's stream that are missing, and when to ask for each (RFC 4585 6.2.1).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What comes so much later than what was sent behind it was overtaken, not lost.
const OVERTAKEN: Duration = Duration::from_millis(15);
/// How often a packet is asked for.
const ASKS_MAX: u8 = 5;
/// How far behind the newest a packet is worth asking for.
const BEHIND_MAX: u64 = 100;
/// A round trip, until one is known, and what is waited beyond it before a packet is asked for again.
const ROUND_TRIP: Duration = Duration::from_millis(100);
const MARGIN: Duration = Duration::from_millis(5);

/// The missing packets of one stream.
#[derive(Debug, Default)]
pub(super) struct Missing {
    /// Ascending.
    waiting: VecDeque<Waiting>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    number: u64,
    /// When it is to be asked for; it was asked for so often.
    ask_at: Instant,
    asked: u8,
}

impl Missing {
    /// A packet came; `newest` is the newest one before it.
    pub fn note(&mut self, number: u64, newest: Option<u64>, now: Instant) {
        let Some(newest) = newest else { return };
        if number <= newest {
            self.waiting.retain(|waiting| waiting.number != number);
            return;
        }
        let from = (newest + 1).max(number.saturating_sub(BEHIND_MAX));
        while self.waiting.front().is_some_and(|oldest| oldest.number + BEHIND_MAX < number) {
            self.waiting.pop_front();
        }
        let fresh = |number| Waiting { number, ask_at: now + OVERTAKEN, asked: 0 };
        self.waiting.extend((from..number).map(fresh));
    }

    /// When to [`Self::ask`].
    pub fn due(&self) -> Option<Instant> {
        self.waiting.iter().map(|waiting| waiting.ask_at).min()
    }

    /// What is to be asked for now, as entries of a NACK: the number, and which of the 16 after it.
    pub fn ask(&mut self, now: Instant, rtt: Option<Duration>) -> Vec<(u16, u16)> {
        let again_at = now + rtt.unwrap_or(ROUND_TRIP) + MARGIN;
        let mut entries: Vec<(u16, u16)> = Vec::new();
        let mut first = 0;
        for waiting in self.waiting.iter_mut().filter(|waiting| waiting.ask_at <= now) {
            waiting.asked += 1;
            waiting.ask_at = again_at;
            match (waiting.number - first, entries.last_mut()) {
                (behind @ 1..=16, Some((_, mask))) => *mask |= 1 << (behind - 1),
                _ => {
                    first = waiting.number;
                    entries.push((first as u16, 0));
                }
            }
        }
        // Who was asked five times will not answer the sixth.
        self.waiting.retain(|waiting| waiting.asked < ASKS_MAX);
        entries
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What came, in order, all at one time.
    fn came(numbers: &[u64], now: Instant) -> Missing {
        let (mut missing, mut newest) = (Missing::default(), None);
        for &number in numbers {
            missing.note(number, newest, now);
            newest = newest.max(Some(number));
        }
        missing
    }

    #[test]
    fn what_is_lost_is_asked_for_in_one_word_and_what_was_overtaken_is_not() {
        let now = Instant::now();
        let mut missing = came(&[10, 12, 15, 40, 11], now);
        assert_eq!(missing.due(), Some(now + OVERTAKEN));
        assert!(missing.ask(now + OVERTAKEN - MARGIN, None).is_empty(), "too soon");
        // 13, 14 and 16 to 39, each entry with 16 after its own.
        assert_eq!(missing.ask(now + OVERTAKEN, None), [(13, 0b1111_1111_1111_1101), (30, 0b1_1111_1111)]);
    }

    #[test]
    fn each_is_asked_for_once_in_a_round_trip_and_five_times_in_all() {
        let mut now = Instant::now();
        let mut missing = came(&[1, 3], now);
        let rtt = Duration::from_millis(40);
        now += OVERTAKEN;
        for time in 1..=5 {
            assert_eq!(missing.ask(now, Some(rtt)), [(2, 0)], "{time}");
            assert!(missing.ask(now, Some(rtt)).is_empty());
            now += rtt + MARGIN;
        }
        assert_eq!((missing.due(), missing.ask(now, Some(rtt))), (None, Vec::new()));
    }

    #[test]
    fn what_is_far_behind_is_given_up() {
        let now = Instant::now();
        let missing = came(&[1, 3, 4, 103], now);
        assert_eq!(missing.waiting.front().map(|waiting| waiting.number), Some(5), "2 is more than 100 behind");
        let missing = came(&[1, 100_000], now);
        assert_eq!(missing.waiting.len(), 100);
    }

    proptest! {
        #[test]
        fn what_is_asked_for_is_what_did_not_come(steps in proptest::collection::vec((1_u64..4, any::<bool>()), 1..60)) {
            let now = Instant::now();
            let (mut number, mut numbers, mut lost) = (65_500, vec![65_500], Vec::new());
            for (step, late) in steps {
                let held: Vec<u64> = (number + 1..number + step).collect();
                number += step;
                numbers.push(number);
                match late {
                    true => numbers.extend(held),
                    false => lost.extend(held),
                }
            }
            let mut missing = came(&numbers, now);
            let asked = missing.ask(now + OVERTAKEN, None).into_iter();
            let asked: Vec<u16> = asked
                .flat_map(|(first, mask)| {
                    let others = (0..16).filter(move |bit| mask & 1 << bit != 0);
                    std::iter::once(first).chain(others.map(move |bit| first.wrapping_add(bit + 1)))
                })
                .collect();
            let lost: Vec<u16> = lost.into_iter().filter(|lost| lost + BEHIND_MAX >= number).map(|lost| lost as u16).collect();
            prop_assert_eq!(asked, lost);
        }
    }
}
