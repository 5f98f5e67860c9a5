//! When each connection wants to be looked at again: only those whose time has come are touched.
//!
//! A wheel with a slot for each step of the grid: to set, to clear and to find the next wake-up cost the same however
//! many connections wait. Whoever waits for longer than a turn of the wheel stands in its last slot, and is put where it
//! belongs when the wheel gets there.

use std::time::{Duration, Instant};

/// Wake-ups are rounded up to this grid. str0m asks for some that are a microsecond ahead; a grid joins them, and those
/// of many connections.
pub(crate) const GRID: Duration = Duration::from_millis(1);

/// A turn of the wheel: four seconds, which is longer than nearly everything that anybody waits for.
const SLOTS: u64 = 4_096;
const WORDS: usize = SLOTS as usize / 64;
/// No connection.
const NOBODY: u32 = u32::MAX;

/// Next wake-ups by connection.
#[derive(Debug)]
pub(crate) struct Timer {
    start: Instant,
    /// The step of the grid before which nobody waits any more. The wheel holds the steps from here on.
    from: u64,
    /// By step, modulo [`SLOTS`]: who waits, and with whom.
    first: Box<[u32]>,
    /// A bit for each slot in which somebody waits, and one for each of these words that is not 0.
    used: [u64; WORDS],
    words: u64,
    /// By connection.
    entries: Vec<Entry>,
}

/// One connection's wake-up, in the list of those in its slot.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The step; none while it does not wait.
    due: Option<u64>,
    slot: u32,
    before: u32,
    after: u32,
}

const IDLE: Entry = Entry { due: None, slot: 0, before: NOBODY, after: NOBODY };

impl Timer {
    /// Nobody waits. The grid begins at `start`.
    pub fn new(start: Instant) -> Self {
        let first = vec![NOBODY; SLOTS as usize].into();
        Self { start, from: 0, first, used: [0; WORDS], words: 0, entries: Vec::new() }
    }

    /// Connection `index` is to be looked at at `at`, or shortly after, instead of whenever it was before.
    pub fn set(&mut self, now: Instant, index: usize, at: Instant) {
        let due = self.step_after(at.max(now + GRID / 2));
        if index >= self.entries.len() {
            self.entries.resize(index + 1, IDLE);
        }
        if self.entries[index].due == Some(due) {
            return;
        }
        self.clear(index);
        self.entries[index].due = Some(due);
        self.link(index, due);
    }

    /// Connection `index` is to be looked at by then, if it is not before.
    pub fn hurry(&mut self, now: Instant, index: usize, at: Instant) {
        let due = self.entries.get(index).and_then(|entry| entry.due);
        if due.is_none_or(|due| self.step_after(at) < due) {
            self.set(now, index, at);
        }
    }

    /// Connection `index` is gone.
    pub fn clear(&mut self, index: usize) {
        let Some(entry) = self.entries.get_mut(index).filter(|entry| entry.due.is_some()) else { return };
        let Entry { slot, before, after, .. } = std::mem::replace(entry, IDLE);
        match before {
            NOBODY => self.set_first(slot, after),
            before => self.entries[before as usize].after = after,
        }
        if after != NOBODY {
            self.entries[after as usize].before = before;
        }
    }

    /// The next connection whose time has come.
    pub fn pop(&mut self, now: Instant) -> Option<usize> {
        let last = (now.saturating_duration_since(self.start).as_nanos() / GRID.as_nanos()) as u64;
        loop {
            let Some(step) = self.next_step().filter(|step| *step <= last) else {
                self.from = self.from.max(last + 1);
                return None;
            };
            self.from = step;
            let index = self.first[slot_of(step) as usize] as usize;
            let due = self.entries[index].due;
            self.clear(index);
            let Some(later) = due.filter(|due| *due > step) else { return Some(index) };
            self.entries[index].due = due;
            self.link(index, later);
        }
    }

    /// When the next one is due; earlier if that is more than a turn of the wheel away.
    pub fn next(&self) -> Option<Instant> {
        self.next_step().map(|step| self.start + Duration::from_millis(step))
    }

    fn link(&mut self, index: usize, due: u64) {
        let slot = slot_of(due.clamp(self.from, self.from + SLOTS - 1));
        let after = self.first[slot as usize];
        let entry = &mut self.entries[index];
        (entry.slot, entry.before, entry.after) = (slot, NOBODY, after);
        if after != NOBODY {
            self.entries[after as usize].before = index as u32;
        }
        self.set_first(slot, index as u32);
    }

    fn set_first(&mut self, slot: u32, first: u32) {
        self.first[slot as usize] = first;
        let (word, bit) = (slot as usize / 64, 1 << (slot % 64));
        self.used[word] = if first == NOBODY { self.used[word] & !bit } else { self.used[word] | bit };
        let bit = 1 << word;
        self.words = if self.used[word] == 0 { self.words & !bit } else { self.words | bit };
    }

    /// The first step from `from` on in whose slot somebody waits.
    fn next_step(&self) -> Option<u64> {
        let slot = slot_of(self.from);
        let (word, bit) = (slot as usize / 64, slot % 64);
        let here = self.used[word] >> bit;
        if here != 0 {
            return Some(self.from + u64::from(here.trailing_zeros()));
        }
        // From the next word on, around the wheel, to the part of this one that lies before.
        let turned = self.words.rotate_right((word as u32 + 1) % 64);
        let found = (word + 1 + turned.trailing_zeros() as usize) % WORDS;
        let found = (turned != 0).then(|| found as u64 * 64 + u64::from(self.used[found].trailing_zeros()))?;
        Some(self.from + (found + SLOTS - u64::from(slot)) % SLOTS)
    }

    fn step_after(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.start).as_nanos().div_ceil(GRID.as_nanos()) as u64
    }
}

fn slot_of(step: u64) -> u32 {
    (step % SLOTS) as u32
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

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
    fn who_is_hurried_is_looked_at_no_later_than_before() {
        let start = Instant::now();
        let ms = |ms| start + Duration::from_millis(ms);
        let mut timer = Timer::new(start);
        timer.set(start, 0, ms(20));
        timer.hurry(start, 0, ms(30));
        timer.hurry(start, 0, ms(10));
        timer.hurry(start, 1, ms(15));
        assert_eq!([timer.pop(ms(9)), timer.pop(ms(10)), timer.pop(ms(15))], [None, Some(0), Some(1)]);
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

    #[test]
    fn who_waits_for_years_costs_nothing_and_disturbs_nobody() {
        let start = Instant::now();
        let mut timer = Timer::new(start);
        timer.set(start, 0, start + Duration::from_secs(20 * 365 * 86_400));
        let later = start + Duration::from_secs(60 * 86_400);
        timer.set(later, 1, later);
        assert_eq!(timer.pop(later), None);
        assert_eq!(timer.pop(later + GRID), Some(1));
        assert_eq!(timer.pop(later + GRID * 100), None);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Set(usize, u64),
        Clear(usize),
        Pass(u64),
    }

    fn steps() -> impl Strategy<Value = Step> {
        let micros = || prop_oneof![4 => 0..30_000_u64, 2 => 0..3_000_000_u64, 1 => 0..30_000_000_u64];
        prop_oneof![
            4 => (0..40_usize, micros()).prop_map(|(index, micros)| Step::Set(index, micros)),
            1 => (0..40_usize).prop_map(Step::Clear),
            3 => micros().prop_map(Step::Pass),
        ]
    }

    /// Each connection's next wake-up by itself, looked through from end to end.
    #[derive(Default)]
    struct List(BTreeMap<usize, Instant>);

    impl List {
        fn take_due(&mut self, now: Instant) -> Vec<(Instant, usize)> {
            let mut due: Vec<_> =
                self.0.iter().filter(|(_, at)| **at <= now).map(|(&index, &at)| (at, index)).collect();
            self.0.retain(|_, at| *at > now);
            due.sort_unstable();
            due
        }
    }

    proptest! {
        /// It wakes the same connections at the same time and in the same order as a list that is looked through.
        #[test]
        fn everybody_is_woken_in_time_and_nobody_too_early(steps in prop::collection::vec(steps(), 1..300)) {
            let start = Instant::now();
            let (mut now, mut timer, mut list) = (start, Timer::new(start), List::default());
            let turn = GRID * (SLOTS as u32 - 1);
            let mut far = false;
            for step in steps {
                match step {
                    Step::Set(index, micros) => {
                        let at = now + Duration::from_micros(micros);
                        far |= at + GRID >= now + turn;
                        timer.set(now, index, at);
                        let grid = at.max(now + GRID / 2).duration_since(start).as_micros().div_ceil(1_000) as u64;
                        list.0.insert(index, start + Duration::from_millis(grid));
                    }
                    Step::Clear(index) => {
                        timer.clear(index);
                        list.0.remove(&index);
                    }
                    Step::Pass(micros) => now += Duration::from_micros(micros),
                }
                let due = list.take_due(now);
                let mut woken: Vec<usize> = std::iter::from_fn(|| timer.pop(now)).collect();
                prop_assert_eq!(woken.len(), due.len());
                let times: BTreeMap<usize, Instant> = due.iter().map(|&(at, index)| (index, at)).collect();
                prop_assert!(woken.is_sorted_by_key(|index| times.get(index)), "the earliest first");
                woken.sort_unstable();
                prop_assert_eq!(woken, times.into_keys().collect::<Vec<_>>());
                let next = list.0.values().min().copied();
                prop_assert_eq!(timer.next().is_some(), next.is_some());
                if let Some((told, next)) = timer.next().zip(next) {
                    prop_assert!(told > now && told <= next, "it is not slept through, and there is time to sleep");
                    prop_assert!(told == next || far, "{:?}", next - told);
                }
            }
        }
    }
}
