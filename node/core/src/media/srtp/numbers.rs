//! Which numbers of a stream were sealed: each is given out once.

/// How far behind the newest a number may still be given out.
const WINDOW: u64 = 4_096;
const WORDS: usize = WINDOW as usize / 64;

/// A number of one stream that nothing was sealed under; sealing uses it up.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Number {
    ssrc: u32,
    value: u64,
}

impl Number {
    /// The stream.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// The RTP number, extended by the rollover counter.
    pub fn value(&self) -> u64 {
        self.value
    }
}

/// The numbers of one stream under one key.
#[derive(Debug)]
pub(crate) struct Numbers {
    ssrc: u32,
    /// The newest that was given out; 0 before the first, which is never given out itself.
    newest: u64,
    /// By number, modulo [`WINDOW`]: given out.
    given: [u64; WORDS],
}

impl Numbers {
    /// Only the sealer makes them, once for each stream.
    pub(super) fn new(ssrc: u32) -> Self {
        Self { ssrc, newest: 0, given: [0; WORDS] }
    }

    /// Gives out a number; none when it was given out before, may have been, or is beyond what SRTP can count.
    pub fn take(&mut self, value: u64) -> Option<Number> {
        if value == 0 || value >= 1 << 48 || value + WINDOW <= self.newest {
            return None;
        }
        if value > self.newest {
            let passed = value - self.newest;
            if passed >= WINDOW {
                self.given = [0; WORDS];
            } else {
                (self.newest + 1..value).for_each(|number| self.clear(number));
            }
            self.newest = value;
        } else if self.is_given(value) {
            return None;
        }
        let (word, bit) = place(value);
        self.given[word] |= bit;
        Some(Number { ssrc: self.ssrc, value })
    }

    /// Gives out the next number.
    pub fn next(&mut self) -> Option<Number> {
        self.take(self.newest + 1)
    }

    fn is_given(&self, value: u64) -> bool {
        let (word, bit) = place(value);
        self.given[word] & bit != 0
    }

    fn clear(&mut self, value: u64) {
        let (word, bit) = place(value);
        self.given[word] &= !bit;
    }
}

fn place(value: u64) -> (usize, u64) {
    let at = value % WINDOW;
    ((at / 64) as usize, 1 << (at % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_is_given_out_once_and_what_is_forgotten_never() {
        let mut numbers = Numbers::new(7);
        assert_eq!(numbers.take(5).map(|number| (number.ssrc(), number.value())), Some((7, 5)));
        assert_eq!(numbers.take(5), None);
        assert!(numbers.take(3).is_some(), "it comes late");
        assert_eq!(numbers.take(3), None);
        assert!(numbers.take(5 + WINDOW).is_some());
        assert_eq!(numbers.take(5), None, "nobody remembers it");
        assert!(numbers.take(6).is_some());
        assert_eq!(numbers.next().map(|number| number.value()), Some(6 + WINDOW));
        assert_eq!(numbers.take(0), None);
        assert_eq!(numbers.take(1 << 48), None);
    }

    proptest! {
        /// Whatever is asked for, in whatever order, over whatever jumps.
        #[test]
        fn no_number_is_given_out_twice(steps in proptest::collection::vec((-9_000_i64..9_000, 0..4_u8), 1..400)) {
            let mut numbers = Numbers::new(1);
            let (mut at, mut given) = (20_000_u64, BTreeSet::new());
            for (step, small) in steps {
                at = at.saturating_add_signed(if small > 0 { step % 40 } else { step });
                if let Some(number) = numbers.take(at) {
                    prop_assert!(given.insert(number.value()), "{} twice", number.value());
                }
            }
        }
    }
}
