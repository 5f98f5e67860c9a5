//! What is to happen, in the order of (time, sequence): a wheel of narrow buckets, of which only the current one is
//! sorted.
//!
//! A binary heap of what is under way in a busy mesh (some ten thousand entries) costs about four times as much per
//! event.

use std::collections::BTreeMap;

/// Width of a bucket: 2^15 ns, about 33 µs, in which a busy run has some ten events.
const WIDTH_BITS: u32 = 15;
/// Buckets of the wheel: about a second, more than nearly everything that is under way.
const BUCKETS: u64 = 1 << 15;

/// A queue of things that happen at instants, in nanoseconds.
#[derive(Debug)]
pub struct Calendar<T> {
    /// What happens in the current bucket, the next last.
    current: Vec<Entry<T>>,
    /// The current bucket's number.
    number: u64,
    wheel: Vec<Vec<Entry<T>>>,
    /// Entries in the wheel.
    in_wheel: usize,
    /// Beyond the wheel, by bucket.
    far: BTreeMap<u64, Vec<Entry<T>>>,
    sequence: u64,
}

#[derive(Debug)]
struct Entry<T> {
    at: u64,
    sequence: u64,
    item: T,
}

impl<T> Entry<T> {
    fn key(&self) -> (u64, u64) {
        (self.at, self.sequence)
    }
}

impl<T> Default for Calendar<T> {
    fn default() -> Self {
        Self {
            current: Vec::new(),
            number: 0,
            wheel: (0..BUCKETS).map(|_| Vec::new()).collect(),
            in_wheel: 0,
            far: BTreeMap::new(),
            sequence: 0,
        }
    }
}

impl<T> Calendar<T> {
    /// Puts something in. What lies in the past comes next, behind all that is due as early.
    pub fn push(&mut self, at: u64, item: T) {
        self.sequence += 1;
        let entry = Entry { at, sequence: self.sequence, item };
        let number = at >> WIDTH_BITS;
        if number <= self.number {
            let place = self.current.partition_point(|other| other.key() > entry.key());
            self.current.insert(place, entry);
        } else if number - self.number < BUCKETS {
            self.in_wheel += 1;
            self.wheel[(number % BUCKETS) as usize].push(entry);
        } else {
            self.far.entry(number).or_default().push(entry);
        }
    }

    /// When the next thing happens.
    pub fn next_at(&mut self) -> Option<u64> {
        self.turn();
        self.current.last().map(|entry| entry.at)
    }

    /// Takes the next thing.
    pub fn pop(&mut self) -> Option<(u64, T)> {
        self.turn();
        self.current.pop().map(|entry| (entry.at, entry.item))
    }

    /// Turns the wheel until the current bucket has something.
    fn turn(&mut self) {
        while self.current.is_empty() {
            if self.in_wheel > 0 {
                self.number += 1;
            } else if let Some((number, _)) = self.far.first_key_value() {
                self.number = *number;
            } else {
                return;
            }
            std::mem::swap(&mut self.current, &mut self.wheel[(self.number % BUCKETS) as usize]);
            self.in_wheel -= self.current.len();
            if let Some(entry) = self.far.first_entry().filter(|entry| *entry.key() == self.number) {
                self.current.append(&mut entry.remove());
            }
            self.current.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.key()));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn things_come_in_the_order_of_time_and_then_as_they_were_put_in(
            spans in prop::collection::vec((0..3_u8, 0..4_000_000_000_u64), 1..300),
        ) {
            let (mut calendar, mut expected, mut now, mut taken) = (Calendar::default(), Vec::new(), 0, Vec::new());
            for (number, (what, span)) in spans.into_iter().enumerate() {
                // Now and then something is taken, so that later ones are put in while the wheel has turned.
                if what == 0 && let Some((at, item)) = calendar.pop() {
                    now = at;
                    taken.push((at, item));
                }
                let at = now + if what == 1 { span % 50_000 } else { span };
                calendar.push(at, number);
                expected.push((at, number));
            }
            while let Some(next) = calendar.pop() {
                taken.push(next);
            }
            expected.sort_unstable();
            prop_assert!(taken.is_sorted_by_key(|(at, _)| *at));
            taken.sort_unstable();
            prop_assert_eq!(taken, expected);
        }
    }

    #[test]
    fn what_happens_at_one_instant_keeps_its_order_near_and_far() {
        let mut calendar = Calendar::default();
        for item in 0..5 {
            calendar.push(10_000_000_000, item);
        }
        calendar.push(1, 9);
        assert_eq!(calendar.next_at(), Some(1));
        let order: Vec<i32> = std::iter::from_fn(|| calendar.pop()).map(|(_, item)| item).collect();
        assert_eq!(order, [9, 0, 1, 2, 3, 4]);
    }
}
