//! The estimate itself: how it falls and grows, and what it remembers of its bounds.

/// Where it begins: enough for a first picture at once, little enough for a mobile network.
pub(super) const FIRST_BPS: u64 = 1_500_000;
/// Where it ends: less than sound, and more than any picture.
pub(super) const LEAST_BPS: u64 = 30_000;
const MOST_BPS: u64 = 1_000_000_000;
/// Growth in a second, in thousandths, while the way shows no bound.
const GROWTH: u64 = 80;
/// The same near what was too much.
const CAREFUL_GROWTH: u64 = 20;
/// What counts as near, in percent of that.
const NEAR_PERCENT: (u64, u64) = (80, 110);
/// For how long it is remembered.
const REMEMBERED_US: u64 = 30_000_000;

/// The estimate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    bps: u64,
    /// What was too much, and when.
    too_much: Option<(u64, u64)>,
    fell_us: u64,
    grew_us: u64,
}

impl Rate {
    /// Nothing is known.
    pub fn new() -> Self {
        Self { bps: FIRST_BPS, too_much: None, fell_us: 0, grew_us: 0 }
    }

    /// Bits per second.
    pub fn bps(&self) -> u64 {
        self.bps
    }

    /// It is this, within what can be.
    pub fn set(&mut self, bps: u64) {
        self.bps = bps.clamp(LEAST_BPS, MOST_BPS);
    }

    /// It is this at least.
    pub fn raise(&mut self, bps: u64) {
        self.set(self.bps.max(bps));
    }

    /// So much came out of a full way.
    pub fn was_full(&mut self, now_us: u64, bps: u64) {
        self.too_much = Some((bps, now_us));
    }

    /// Neither grows nor falls for now.
    pub fn hold(&mut self, now_us: u64) {
        self.grew_us = now_us;
    }

    /// Falls to `kept_percent` of what came; once within `response_us`, unless it is far off.
    pub fn fall(&mut self, now_us: u64, came_bps: u64, kept_percent: u64, response_us: u64) {
        self.hold(now_us);
        let kept_bps = came_bps * kept_percent / 100;
        let is_soon = now_us.saturating_sub(self.fell_us) < response_us;
        if kept_bps >= self.bps || is_soon && came_bps * 2 > self.bps {
            return;
        }
        self.was_full(now_us, came_bps);
        self.fell_us = now_us;
        self.set(kept_bps);
    }

    /// Grows since the last time, up to `limit_bps`; what is more already stays.
    pub fn grow(&mut self, now_us: u64, limit_bps: u64) {
        let passed_us = now_us.saturating_sub(std::mem::replace(&mut self.grew_us, now_us)).min(1_000_000);
        if self.bps >= limit_bps {
            return;
        }
        self.too_much = self.too_much.filter(|(bps, at_us)| {
            now_us.saturating_sub(*at_us) < REMEMBERED_US && self.bps * 100 < bps * NEAR_PERCENT.1
        });
        let is_near = self.too_much.is_some_and(|(bps, _)| self.bps * 100 > bps * NEAR_PERCENT.0);
        let growth = if is_near { CAREFUL_GROWTH } else { GROWTH };
        let more_bps = self.bps * growth * passed_us / 1_000_000_000;
        self.set((self.bps + more_bps.max(1)).min(limit_bps));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000;

    /// After so many seconds of growth.
    fn grown(mut rate: Rate, from_us: u64, seconds: u64) -> u64 {
        rate.hold(from_us);
        (1..=seconds * 10).for_each(|step| rate.grow(from_us + step * S / 10, 8_000_000));
        rate.bps()
    }

    #[test]
    fn it_grows_slowly_near_what_was_too_much_and_faster_elsewhere() {
        let mut rate = Rate::new();
        let free_bps = grown(rate, 0, 5);
        assert!((2_150_000..2_250_000).contains(&free_bps), "{free_bps}");
        rate.fall(S, 1_000_000, 85, 0);
        assert_eq!(rate.bps(), 850_000);
        let near_bps = grown(rate, S, 5);
        assert!((930_000..950_000).contains(&near_bps), "{near_bps}");
        let later_bps = grown(rate, 40 * S, 5);
        assert!(later_bps > 1_200_000, "{later_bps}");
    }

    #[test]
    fn it_falls_once_in_a_round_trip_unless_it_is_far_off() {
        let mut rate = Rate::new();
        rate.fall(S, 1_400_000, 85, 100_000);
        rate.fall(S + 50_000, 1_300_000, 85, 100_000);
        assert_eq!(rate.bps(), 1_190_000);
        rate.fall(S + 60_000, 500_000, 85, 100_000);
        assert_eq!(rate.bps(), 425_000);
        rate.fall(2 * S, 900_000, 85, 100_000);
        assert_eq!(rate.bps(), 425_000, "a fall never raises");
    }
}
