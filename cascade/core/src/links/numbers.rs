//! RTP numbers of one layer: 16 bits on the wire, 64 in memory, each once, whichever peer sends it first.

use crate::link::extend;

/// How far back numbers are remembered: four seconds of a layer of 10 Mb/s. Two paths never differ by as much, and the
/// repair of a packet takes a third of a second at most.
const WINDOW: u64 = 4096;
const WORD: u64 = u64::BITS as u64;
/// One more than the window fills, for it may begin within one.
const WORDS: u64 = WINDOW / WORD + 1;

/// The numbers that came lately. The first counts from the second cycle, so that what is a little older does not fall
/// below 0.
#[derive(Debug)]
pub(super) struct Numbers {
    highest: Option<u64>,
    /// A bit for each number of the word in which the highest lies: nearly all numbers that come do too.
    newest: u64,
    /// The words before it, each at its remainder.
    older: Box<[u64; WORDS as usize]>,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { highest: None, newest: 0, older: Box::new([0; WORDS as usize]) }
    }
}

impl Numbers {
    /// The full number, if it comes for the first time. One that lies far behind all others begins anew: so does its
    /// publisher.
    pub(super) fn take(&mut self, low: u16) -> Option<u64> {
        let reference = self.highest.unwrap_or((1 << 16) | u64::from(low));
        let number = extend(reference, low).unwrap_or(reference);
        if self.highest.is_none() || number + WINDOW <= reference {
            self.newest = 0;
            self.older.fill(0);
            self.highest = Some(number);
        }
        let highest = self.reach(number);
        let is_newest = number / WORD == highest / WORD;
        let word = if is_newest { &mut self.newest } else { &mut self.older[place_of(number / WORD)] };
        let bit = 1 << (number % WORD);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new.then_some(number)
    }

    /// Moves the window on to `number`, if it lies above: what lies between did not come yet. Gives the highest.
    fn reach(&mut self, number: u64) -> u64 {
        let highest = self.highest.unwrap_or(number);
        if number <= highest {
            return highest;
        }
        let (before, word) = (highest / WORD, number / WORD);
        if word != before {
            self.older[place_of(before)] = std::mem::take(&mut self.newest);
            for between in (before + 1..word).take(WORDS as usize) {
                self.older[place_of(between)] = 0;
            }
        }
        self.highest = Some(number);
        number
    }
}

fn place_of(word: u64) -> usize {
    (word % WORDS) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_number_counts_once_and_cycles_are_counted() {
        let mut numbers = Numbers::default();
        assert_eq!(numbers.take(65_534), Some(65_536 + 65_534));
        assert_eq!(numbers.take(3), Some(2 * 65_536 + 3));
        assert_eq!(numbers.take(65_535), Some(65_536 + 65_535), "late");
        assert_eq!(numbers.take(3), None);
        assert_eq!(numbers.take(65_534), None);
        assert_eq!(numbers.take(2), Some(2 * 65_536 + 2));
    }

    #[test]
    fn a_number_that_is_as_old_as_the_window_is_still_known() {
        let mut numbers = Numbers::default();
        for number in 0..=4096_u16 {
            assert!(numbers.take(number).is_some());
        }
        assert_eq!(numbers.take(1), None);
    }

    #[test]
    fn a_publisher_that_begins_anew_is_followed() {
        let mut numbers = Numbers::default();
        numbers.take(30_000);
        let anew = numbers.take(5_000).unwrap();
        assert_eq!(anew, 65_536 + 5_000);
        assert_eq!((numbers.take(5_001), numbers.take(5_000)), (Some(anew + 1), None));
    }

    proptest! {
        #[test]
        fn two_paths_of_one_stream_give_each_number_once(
            start in any::<u16>(),
            lags in prop::collection::vec(0..200_u64, 1..300),
        ) {
            let mut numbers = Numbers::default();
            let mut taken = std::collections::BTreeSet::new();
            for (step, lag) in lags.iter().enumerate() {
                let number = u64::from(start) + step as u64;
                for came in [number, number.saturating_sub(*lag).max(start.into())] {
                    if let Some(full) = numbers.take(came as u16) {
                        prop_assert_eq!(full as u16, came as u16);
                        prop_assert!(taken.insert(full), "{} twice", came);
                    }
                }
            }
            prop_assert_eq!(taken.len(), lags.len());
        }
    }
}
