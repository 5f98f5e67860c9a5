//! How many bits per second pass, over the last fractions of a second of any clock.

/// One slot of the window.
const SLOT_US: i64 = 25_000;
const SLOTS: i64 = 24;
/// Less than this says nothing of a rate.
const SPAN_MIN_US: i64 = 60_000;

/// Bytes by the time at which they passed.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter {
    slots: [u32; SLOTS as usize],
    /// Where the first byte after a break passed, and the newest.
    span: Option<(i64, i64)>,
}

impl Meter {
    /// So many bytes passed. What passed before the window is not counted any more.
    pub fn add(&mut self, at_us: i64, bytes: u32) {
        self.advance(at_us);
        let Some((_, newest)) = self.span else { return };
        let at = at_us.div_euclid(SLOT_US);
        if newest.div_euclid(SLOT_US) - at < SLOTS {
            let slot = &mut self.slots[at.rem_euclid(SLOTS) as usize];
            *slot = slot.saturating_add(bytes);
        }
    }

    /// It is that late by now.
    pub fn advance(&mut self, at_us: i64) {
        let Some((first, newest)) = self.span else {
            self.span = Some((at_us, at_us));
            return;
        };
        if at_us <= newest {
            return;
        }
        let (from, to) = (newest.div_euclid(SLOT_US), at_us.div_euclid(SLOT_US));
        if to - from >= SLOTS {
            self.slots = Default::default();
        } else {
            (from + 1..=to).for_each(|at| self.slots[at.rem_euclid(SLOTS) as usize] = 0);
        }
        self.span = Some((first, at_us));
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Bits per second over the last `window_us`, which is at most half a second; none when less is known.
    pub fn bps(&self, window_us: i64) -> Option<u64> {
        let (first, newest) = self.span?;
        let to = newest.div_euclid(SLOT_US);
        let from = (to - (window_us / SLOT_US).clamp(1, SLOTS - 2)).max(first.div_euclid(SLOT_US));
        let bytes: u64 = (from..=to).map(|at| u64::from(self.slots[at.rem_euclid(SLOTS) as usize])).sum();
        let span_us = newest - (from * SLOT_US).max(first);
        (span_us >= SPAN_MIN_US).then(|| bytes * 8 * 1_000_000 / span_us as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_is_told_over_every_window_and_a_new_one_soon() {
        let mut meter = Meter::default();
        let mut add = |from: i64, to: i64, bytes| (from..to).for_each(|ms| meter.add(ms * 1_000 - 700, bytes));
        add(0, 2_000, 125);
        assert!(meter.bps(200_000).is_some_and(|bps| bps.abs_diff(1_000_000) < 50_000));
        assert!(meter.bps(500_000).is_some_and(|bps| bps.abs_diff(1_000_000) < 50_000));
        let mut add = |from: i64, to: i64, bytes| (from..to).for_each(|ms| meter.add(ms * 1_000 - 700, bytes));
        add(2_000, 2_250, 25);
        assert!(meter.bps(200_000).is_some_and(|bps| bps.abs_diff(200_000) < 20_000));
    }

    #[test]
    fn little_is_no_rate_and_silence_is_one_of_nothing() {
        let mut meter = Meter::default();
        meter.add(5, 1_000);
        assert_eq!(meter.bps(200_000), None);
        meter.add(50_000, 1_000);
        assert_eq!(meter.bps(200_000), None);
        meter.advance(90_000_000);
        assert_eq!(meter.bps(200_000), Some(0));
        meter.add(-4_000_000, 1_000);
        assert_eq!(meter.bps(200_000), Some(0), "long past");
    }
}
