//! A rate at which something drops what goes beyond it without any queue, remembered longer each time it is met: a look of
//! a moment passes it on what it has saved up.

/// For how long it is remembered at first, and at most.
const HOLDS_US: (u64, u64) = (8_000_000, 64_000_000);
/// Met again within this much after it was forgotten, it is the same one.
const SAME_US: u64 = 10_000_000;

/// What drops.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Policer {
    /// What passes, until when that is believed, and for how long it was.
    met: Option<(u64, u64, u64)>,
}

impl Policer {
    /// Too much was lost though nothing had to wait; so many bits per second came.
    pub fn met(&mut self, now_us: u64, came_bps: u64) {
        let again = self.met.filter(|(_, until_us, _)| now_us < until_us + SAME_US);
        let holds_us = again.map_or(HOLDS_US.0, |(_, _, held_us)| (held_us * 2).min(HOLDS_US.1));
        // What came in the moment in which it was found is inflated by what had been saved up.
        let least_bps = again.map_or(came_bps, |(bps, ..)| bps.min(came_bps));
        self.met = Some((least_bps, now_us + holds_us, holds_us));
    }

    /// So many bits per second, or what passes if that is less.
    pub fn bounded(&self, now_us: u64, bps: u64) -> u64 {
        let passes = self.met.filter(|(_, until_us, _)| now_us < *until_us);
        passes.map_or(bps, |(passes_bps, ..)| bps.min(passes_bps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_met_again_is_remembered_longer() {
        let mut policer = Policer::default();
        assert_eq!(policer.bounded(0, 900), 900);
        let mut now_us = 0;
        for holds_us in [8_000_000, 16_000_000, 32_000_000, 64_000_000, 64_000_000] {
            policer.met(now_us, 500);
            assert_eq!(policer.bounded(now_us + holds_us - 1, 900), 500);
            now_us += holds_us;
            assert_eq!(policer.bounded(now_us, 900), 900);
        }
        policer.met(now_us + SAME_US, 700);
        assert_eq!(policer.bounded(now_us + SAME_US + 1, 900), 700, "another one");
    }
}
