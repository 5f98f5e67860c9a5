//! When each connection wants to be looked at again: only those whose time has come are touched.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// Wake-ups are rounded up to this grid. str0m asks for some that are a microsecond ahead; a grid joins them, and those
/// of many connections.
pub(crate) const GRID: Duration = Duration::from_millis(1);

/// Next wake-ups by connection.
#[derive(Debug)]
pub(crate) struct Timer {
    start: Instant,
    heap: BinaryHeap<Reverse<(Instant, usize)>>,
    /// By connection: the wake-up that counts. Heap entries that differ are stale.
    due: Vec<Option<Instant>>,
}

impl Timer {
    /// Nobody waits. The grid begins at `start`.
    pub fn new(start: Instant) -> Self {
        Self { start, heap: BinaryHeap::new(), due: Vec::new() }
    }

    /// Connection `index` is to be looked at at `at`, or shortly after, instead of whenever it was before.
    pub fn set(&mut self, now: Instant, index: usize, at: Instant) {
        let at = self.rounded(at.max(now + GRID / 2));
        if index >= self.due.len() {
            self.due.resize(index + 1, None);
        }
        if self.due[index] == Some(at) {
            return;
        }
        self.due[index] = Some(at);
        self.heap.push(Reverse((at, index)));
    }

    /// Connection `index` is gone.
    pub fn clear(&mut self, index: usize) {
        if let Some(due) = self.due.get_mut(index) {
            *due = None;
        }
    }

    /// The next connection whose time has come.
    pub fn pop(&mut self, now: Instant) -> Option<usize> {
        while let Some(&Reverse((at, index))) = self.heap.peek() {
            let stale = self.due[index] != Some(at);
            if at > now && !stale {
                return None;
            }
            self.heap.pop();
            if !stale {
                self.due[index] = None;
                return Some(index);
            }
        }
        None
    }

    /// When the next one is due.
    pub fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|&Reverse((at, _))| at)
    }

    fn rounded(&self, at: Instant) -> Instant {
        let steps = at.saturating_duration_since(self.start).as_nanos().div_ceil(GRID.as_nanos());
        // Beyond a year nobody waits: str0m says "never" by an instant far away.
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        self.start + GRID * steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_word_of_a_connection_counts() {
        let start = Instant::now();
        let ms = |ms| start + Duration::from_millis(ms);
        let mut timer = Timer::new(start);
        timer.set(start, 0, ms(5));
        timer.set(start, 0, ms(20));
        timer.set(start, 1, ms(10));
        assert_eq!(timer.pop(ms(10)), Some(1));
        assert_eq!(timer.pop(ms(19)), None);
        assert_eq!(timer.pop(ms(20)), Some(0));
        assert_eq!(timer.pop(ms(90)), None);
    }

    #[test]
    fn a_wish_for_right_now_is_put_off_to_the_grid() {
        let start = Instant::now();
        let mut timer = Timer::new(start);
        timer.set(start, 3, start);
        assert_eq!(timer.pop(start), None);
        assert_eq!(timer.next(), Some(start + GRID));
    }
}
