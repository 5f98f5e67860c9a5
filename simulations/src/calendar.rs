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
    /// What chains are made of, apart from the things: so little that the processor's cache holds all of it.
    links: Vec<Link>,
    /// By the place of their link.
    items: Vec<Option<T>>,
    /// The chain of places that are free; the last used first.
    free: u32,
}

/// A link of a chain. What was put in last comes first.
#[derive(Clone, Copy, Debug)]
struct Link {
    at: u64,
    next: u32,
}

/// An entry of the current bucket.
#[derive(Clone, Copy, Debug)]
struct Due {
    at: u64,
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
            links: Vec::new(),
            items: Vec::new(),
            free: END,
        }
    }
}

impl<T> Calendar<T> {
    /// Puts something in. What lies in the past comes next, behind all that is due as early.
    pub fn push(&mut self, at: u64, item: T) {
        let number = at >> WIDTH_BITS;
        if number <= self.number {
            let place = self.keep(at, END, item);
            let before = self.current.partition_point(|other| other.at > at);
            self.current.insert(before, Due { at, place });
        } else if number - self.number < BUCKETS {
            let bucket = (number % BUCKETS) as usize;
            self.in_wheel += 1;
            self.wheel[bucket] = self.keep(at, self.wheel[bucket], item);
        } else {
            let first = self.far.get(&number).copied().unwrap_or(END);
            let place = self.keep(at, first, item);
            self.far.insert(number, place);
        }
    }

    fn keep(&mut self, at: u64, next: u32, item: T) -> u32 {
        let place = self.free;
        match self.links.get_mut(place as usize) {
            Some(link) => {
                self.free = link.next;
                *link = Link { at, next };
                self.items[place as usize] = Some(item);
                place
            }
            None => {
                self.links.push(Link { at, next });
                self.items.push(Some(item));
                self.links.len() as u32 - 1
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
        self.links[place as usize].next = std::mem::replace(&mut self.free, place);
        self.items[place as usize].take().map(|item| (at, item))
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
            // All of it was put in before what is in the wheel, for then the bucket was far.
            if let Some(entry) = self.far.first_entry().filter(|entry| *entry.key() == self.number) {
                let chain = entry.remove();
                self.open(chain);
            }
            // What is due at one instant keeps its order: put in last, taken last.
            self.current.sort_by_key(|due| std::cmp::Reverse(due.at));
            self.fetch();
        }
    }

    /// Looks at all that comes next at once: memory that the processor's cache does not hold is fetched together, not one
    /// by one as it is taken.
    fn fetch(&self) {
        let is_there = |due: &&Due| self.items[due.place as usize].is_some();
        std::hint::black_box(self.current.iter().filter(is_there).count());
    }

    /// Lays a chain into the current bucket; says how many entries it had.
    fn open(&mut self, mut chain: u32) -> usize {
        let before = self.current.len();
        while let Some(&Link { at, next }) = self.links.get(chain as usize) {
            self.current.push(Due { at, place: chain });
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
