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

/// Nothing follows in a chain.
const END: u32 = u32::MAX;

/// A queue of things that happen at instants, in nanoseconds.
#[derive(Debug)]
pub struct Calendar<T> {
    /// What happens in the current bucket, the next last.
    current: Vec<Due>,
    /// The current bucket's number.
    number: u64,
    /// Where the chain of each bucket begins.
    wheel: Vec<u32>,
    /// Entries in the wheel.
    in_wheel: usize,
    /// Chains beyond the wheel, by bucket.
    far: BTreeMap<u64, u32>,
    /// All entries in one place, which keeps them together in the processor's cache.
    entries: Vec<Entry<T>>,
    /// The chain of entries that are free; the last used first.
    free: u32,
    sequence: u64,
}

#[derive(Debug)]
struct Entry<T> {
    at: u64,
    sequence: u64,
    next: u32,
    item: Option<T>,
}

/// An entry of the current bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: u64,
    sequence: u64,
    place: u32,
}

impl<T> Default for Calendar<T> {
    fn default() -> Self {
        Self {
            current: Vec::new(),
            number: 0,
            wheel: vec![END; BUCKETS as usize],
            in_wheel: 0,
            far: BTreeMap::new(),
            entries: Vec::new(),
            free: END,
            sequence: 0,
        }
    }
}

impl<T> Calendar<T> {
    /// Puts something in. What lies in the past comes next, behind all that is due as early.
    pub fn push(&mut self, at: u64, item: T) {
        self.sequence += 1;
        let sequence = self.sequence;
        let number = at >> WIDTH_BITS;
        if number <= self.number {
            let place = self.keep(Entry { at, sequence, next: END, item: Some(item) });
            let due = Due { at, sequence, place };
            let before = self.current.partition_point(|other| *other > due);
            self.current.insert(before, due);
            return;
        }
        let is_near = number - self.number < BUCKETS;
        let first = if is_near { self.wheel[(number % BUCKETS) as usize] } else { self.far_chain(number) };
        let place = self.keep(Entry { at, sequence, next: first, item: Some(item) });
        if is_near {
            self.in_wheel += 1;
            self.wheel[(number % BUCKETS) as usize] = place;
        } else {
            self.far.insert(number, place);
        }
    }

    fn far_chain(&self, number: u64) -> u32 {
        self.far.get(&number).copied().unwrap_or(END)
    }

    fn keep(&mut self, entry: Entry<T>) -> u32 {
        let place = self.free;
        let Some(free) = self.entries.get_mut(place as usize) else {
            self.entries.push(entry);
            return (self.entries.len() - 1) as u32;
        };
        self.free = free.next;
        *free = entry;
        place
    }

    /// When the next thing happens.
    pub fn next_at(&mut self) -> Option<u64> {
        self.turn();
        self.current.last().map(|due| due.at)
    }

    /// Takes the next thing.
    pub fn pop(&mut self) -> Option<(u64, T)> {
        self.turn();
        let Due { at, place, .. } = self.current.pop()?;
        let entry = &mut self.entries[place as usize];
        entry.next = std::mem::replace(&mut self.free, place);
        entry.item.take().map(|item| (at, item))
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
            let chain = std::mem::replace(&mut self.wheel[(self.number % BUCKETS) as usize], END);
            self.in_wheel -= self.open(chain);
            if let Some(entry) = self.far.first_entry().filter(|entry| *entry.key() == self.number) {
                let chain = entry.remove();
                self.open(chain);
            }
            self.current.sort_unstable_by_key(|due| std::cmp::Reverse(*due));
        }
    }

    /// Lays a chain into the current bucket; says how many entries it had.
    fn open(&mut self, mut chain: u32) -> usize {
        let before = self.current.len();
        while let Some(&Entry { at, sequence, next, .. }) = self.entries.get(chain as usize) {
            self.current.push(Due { at, sequence, place: chain });
            chain = next;
        }
        self.current.len() - before
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
