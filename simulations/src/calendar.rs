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

/// A bucket without a row.
const NONE: u32 = u32::MAX;

/// A queue of things that happen at instants, in nanoseconds.
#[derive(Debug)]
pub struct Calendar<T> {
    /// The row of the current bucket.
    current: Row<T>,
    /// What is left of it: when, and where in the row; the next last.
    order: Vec<(u64, u32)>,
    /// The current bucket's number.
    number: u64,
    /// Which row each bucket has.
    wheel: Vec<u32>,
    /// Buckets of the wheel that have a row.
    in_wheel: usize,
    /// Rows of buckets beyond the wheel.
    far: BTreeMap<u64, Row<T>>,
    rows: Vec<Row<T>>,
    /// Rows that no bucket has; the one that was used last, which the processor's cache still holds, is given first.
    free: Vec<u32>,
}

/// What happens in a bucket, side by side, as it was put in.
type Row<T> = Vec<Entry<T>>;

/// A line of the processor's cache, if the thing is no larger than that leaves room for.
#[derive(Debug)]
#[repr(align(64))]
struct Entry<T> {
    at: u64,
    item: Option<T>,
}

impl<T> Default for Calendar<T> {
    fn default() -> Self {
        Self {
            current: Vec::new(),
            order: Vec::new(),
            number: 0,
            wheel: vec![NONE; BUCKETS as usize],
            in_wheel: 0,
            far: BTreeMap::new(),
            rows: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Calendar<T> {
    /// Puts something in. What lies in the past comes next, behind all that is due as early.
    pub fn push(&mut self, at: u64, item: T) {
        let number = at >> WIDTH_BITS;
        let entry = Entry { at, item: Some(item) };
        if number <= self.number {
            let before = self.order.partition_point(|(other, _)| *other > at);
            self.order.insert(before, (at, self.current.len() as u32));
            self.current.push(entry);
        } else if number - self.number < BUCKETS {
            self.row((number % BUCKETS) as usize).push(entry);
        } else {
            self.far.entry(number).or_default().push(entry);
        }
    }

    /// The row of a bucket of the wheel.
    fn row(&mut self, bucket: usize) -> &mut Row<T> {
        let row = &mut self.wheel[bucket];
        if *row == NONE {
            self.in_wheel += 1;
            *row = self.free.pop().unwrap_or_else(|| {
                self.rows.push(Vec::new());
                self.rows.len() as u32 - 1
            });
        }
        &mut self.rows[*row as usize]
    }

    /// When the next thing happens.
    pub fn next_at(&mut self) -> Option<u64> {
        self.turn();
        self.order.last().map(|(at, _)| *at)
    }

    /// Takes the next thing.
    pub fn pop(&mut self) -> Option<(u64, T)> {
        self.turn();
        let (at, place) = self.order.pop()?;
        self.current[place as usize].item.take().map(|item| (at, item))
    }

    /// Turns the wheel until the current bucket has something.
    fn turn(&mut self) {
        while self.order.is_empty() {
            self.current.clear();
            if self.in_wheel > 0 {
                self.number += 1;
            } else if let Some((number, _)) = self.far.first_key_value() {
                self.number = *number;
            } else {
                return;
            }
            self.open();
        }
    }

    /// Makes the bucket with the current number the current one.
    fn open(&mut self) {
        // All of it was put in before what is in the wheel, for then the bucket was far.
        if let Some(entry) = self.far.first_entry().filter(|entry| *entry.key() == self.number) {
            self.current = entry.remove();
        }
        let row = std::mem::replace(&mut self.wheel[(self.number % BUCKETS) as usize], NONE);
        if let Some(near) = self.rows.get_mut(row as usize) {
            self.in_wheel -= 1;
            self.free.push(row);
            if self.current.is_empty() {
                std::mem::swap(&mut self.current, near);
            } else {
                self.current.append(near);
            }
        }
        self.order.extend(self.current.iter().zip(0..).map(|(entry, place)| (entry.at, place)));
        // What is due at one instant keeps its order: put in last, taken last.
        self.order.sort_unstable_by(|a, b| b.cmp(a));
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
