//! What is to happen, in the order of (time, sequence): a wheel of narrow buckets, of which only the current one is
//! sorted.
//!
//! A binary heap of what is under way in a busy mesh (some ten thousand entries) costs about four times as much per
//! event.

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Width of a bucket: 2^17 ns, about 131 µs, in which a busy run has some fifteen events: enough for their memory to be
/// fetched together.
const WIDTH_BITS: u32 = 17;
/// Buckets of the wheel: about a second, more than nearly everything that is under way.
const BUCKETS: u64 = 1 << 13;

/// A queue of things that happen at instants, in nanoseconds.
#[derive(Debug)]
pub struct Calendar<T> {
    /// What happens in the current bucket, the next last.
    current: Vec<Due>,
    /// The current bucket's number.
    number: u64,
    /// The buckets after it, each by its remainder, as things were put in.
    wheel: Vec<Vec<Due>>,
    /// Entries in the wheel.
    in_wheel: usize,
    /// Buckets beyond the wheel.
    far: BTreeMap<u64, Vec<Due>>,
    /// Apart from when they happen, which is so little that the processor's cache holds all of it.
    items: Vec<Item<T>>,
    /// Places that are free; the last used last.
    free: Vec<u32>,
    /// The current bucket was opened and nobody has asked for what is in it.
    opened: bool,
}

/// When the thing at a place happens.
#[derive(Clone, Copy, Debug)]
struct Due {
    at: u64,
    place: u32,
}

/// A thing, which does not reach into one more line of the processor's cache than it needs.
#[derive(Debug)]
#[repr(align(64))]
struct Item<T>(Option<T>);

impl<T> Default for Calendar<T> {
    fn default() -> Self {
        Self {
            current: Vec::new(),
            number: 0,
            wheel: vec![Vec::new(); BUCKETS as usize],
            in_wheel: 0,
            far: BTreeMap::new(),
            items: Vec::new(),
            free: Vec::new(),
            opened: false,
        }
    }
}

impl<T> Calendar<T> {
    /// Puts something in. What lies in the past comes next, behind all that is due as early.
    pub fn push(&mut self, at: u64, item: T) {
        let (number, due) = (at >> WIDTH_BITS, Due { at, place: self.keep(item) });
        if number <= self.number {
            let before = self.current.partition_point(|other| other.at > at);
            self.current.insert(before, due);
        } else if number - self.number < BUCKETS {
            self.in_wheel += 1;
            self.wheel[(number % BUCKETS) as usize].push(due);
        } else {
            self.far.entry(number).or_default().push(due);
        }
    }

    fn keep(&mut self, item: T) -> u32 {
        match self.free.pop() {
            Some(place) => {
                self.items[place as usize] = Item(Some(item));
                place
            }
            None => {
                self.items.push(Item(Some(item)));
                self.items.len() as u32 - 1
            }
        }
    }

    /// When the next thing happens.
    pub fn next_at(&mut self) -> Option<u64> {
        self.turn();
        self.current.last().map(|due| due.at)
    }

    /// Takes the next thing.
    pub fn pop(&mut self) -> Option<(u64, T)> {
        self.turn();
        let Due { at, place } = self.current.pop()?;
        self.free.push(place);
        self.items[place as usize].0.take().map(|item| (at, item))
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
            let bucket = &mut self.wheel[(self.number % BUCKETS) as usize];
            self.in_wheel -= bucket.len();
            std::mem::swap(&mut self.current, bucket);
            // All of it was put in before what is in the wheel, for then the bucket was far.
            if let Some(far) = self.far.first_entry().filter(|entry| *entry.key() == self.number) {
                drop(self.current.splice(0..0, far.remove()));
            }
            // What is due at one instant keeps its order: put in last, taken last.
            self.current.reverse();
            self.current.sort_by_key(|due| Reverse(due.at));
            self.opened = true;
        }
    }

    /// Whether [`Self::coming`] has others than when this was last asked.
    pub fn has_opened(&mut self) -> bool {
        std::mem::take(&mut self.opened)
    }

    /// What comes next, as far as it is sorted already; the next first. Memory that the processor's cache does not hold is
    /// best fetched for all of it together, not one by one as it is taken.
    pub fn coming(&self) -> impl Iterator<Item = (u64, &T)> {
        let item = |due: &Due| self.items[due.place as usize].0.as_ref().map(|item| (due.at, item));
        self.current.iter().rev().filter_map(item)
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
    fn what_comes_next_is_told_when_a_bucket_opens() {
        let mut calendar = Calendar::default();
        [(30, 'b'), (10, 'a'), (1 << 40, 'd')].into_iter().for_each(|(at, item)| calendar.push((1 << 20) + at, item));
        assert!(!calendar.has_opened());
        assert_eq!(calendar.next_at(), Some((1 << 20) + 10));
        assert!(calendar.has_opened() && !calendar.has_opened());
        assert_eq!(calendar.coming().map(|(_, item)| *item).collect::<String>(), "ab");
        assert_eq!((0..2).filter_map(|_| calendar.pop()).count(), 2);
        assert_eq!((calendar.next_at(), calendar.has_opened()), (Some((1 << 20) + (1 << 40)), true));
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
