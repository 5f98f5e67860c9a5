//! RTP numbers of one layer: 16 bits on the wire, 64 in memory, each once, whichever peer sends it first.

use crate::link::extend;

/// How far back numbers are remembered: four seconds of a layer of 10 Mb/s. Two paths never differ by as much, and the
/// repair of a packet takes a third of a second at most.
const WINDOW: u64 = 4096;
const WORD: u64 = u64::BITS as u64;

/// The numbers that came lately. The first counts from the second cycle, so that what is a little older does not fall
/// below 0.
#[derive(Debug)]
pub(super) struct Numbers {
    highest: Option<u64>,
    /// A bit for each number of the window, at its remainder.
    came: Box<[u64; (WINDOW / WORD) as usize]>,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { highest: None, came: Box::new([0; (WINDOW / WORD) as usize]) }
    }
}

impl Numbers {
    /// The full number, if it comes for the first time. One that lies far behind all others begins anew: so does its
    /// publisher.
    pub(super) fn take(&mut self, low: u16) -> Option<u64> {
        let reference = self.highest.unwrap_or((1 << 16) | u64::from(low));
        let number = extend(reference, low).unwrap_or(reference);
        if self.highest.is_none() || number + WINDOW <= reference {
            self.came.fill(0);
            self.highest = Some(number);
        }
        self.reach(number);
        let (word, bit) = place_of(number);
        let is_new = self.came[word] & bit == 0;
        self.came[word] |= bit;
        is_new.then_some(number)
    }

    /// Moves the window on to `number`: what lies between did not come yet.
    fn reach(&mut self, number: u64) {
        let Some(highest) = self.highest.filter(|highest| *highest < number) else { return };
        if number - highest >= WINDOW {
            self.came.fill(0);
        } else {
            for between in highest + 1..=number {
                let (word, bit) = place_of(between);
                self.came[word] &= !bit;
            }
        }
        self.highest = Some(number);
    }
}

fn place_of(number: u64) -> (usize, u64) {
    let place = number % WINDOW;
    ((place / WORD) as usize, 1 << (place % WORD))
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
