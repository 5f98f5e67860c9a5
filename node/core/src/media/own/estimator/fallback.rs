//! Clients that do not tell of single packets: what their receiver reports and wishes say.

/// Loss, in 256ths, below which more may be sent, and above which less is (draft-ietf-rmcat-gcc-02 6).
const CALM: u8 = 5;
const HIGH: u8 = 26;
/// Growth from report to report, in percent: reports are about a second apart.
const GROWTH_PERCENT: u64 = 108;
/// It does not grow beyond so much of what is sent, in percent.
const BEYOND_PERCENT: u64 = 150;
/// Reports of several streams within this much are one.
const ROUND_US: u64 = 500_000;
/// A wish is repeated while it counts.
const WISH_US: u64 = 10_000_000;

/// What such a client said.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fallback {
    bound: Option<(u64, u64)>,
    judged_us: Option<u64>,
    /// The most that a report told of since.
    lost: u8,
}

impl Fallback {
    /// Whether such a client has said anything.
    pub fn has_heard(&self) -> bool {
        self.bound.is_some() || self.judged_us.is_some()
    }

    /// The client would have no more than this (draft-alvestrand-rmcat-remb-03).
    pub fn bound(&mut self, now_us: u64, bps: u64) {
        self.bound = Some((bps, now_us));
    }

    /// The estimate, no more than the client would have.
    pub fn bounded(&self, now_us: u64, bps: u64) -> u64 {
        let bound = self.bound.filter(|(_, at_us)| now_us.saturating_sub(*at_us) < WISH_US);
        bound.map_or(bps, |(bound_bps, _)| bps.min(bound_bps))
    }

    /// The estimate after a report of so much loss, in 256ths.
    pub fn report(&mut self, now_us: u64, lost: u8, sent_bps: u64, estimate_bps: u64) -> u64 {
        self.lost = self.lost.max(lost);
        let judged_us = *self.judged_us.get_or_insert(now_us);
        if now_us.saturating_sub(judged_us) < ROUND_US {
            return estimate_bps;
        }
        self.judged_us = Some(now_us);
        let lost = std::mem::take(&mut self.lost);
        let limit_bps = sent_bps * BEYOND_PERCENT / 100;
        match lost {
            ..=CALM if estimate_bps < limit_bps => (estimate_bps * GROWTH_PERCENT / 100).min(limit_bps),
            // Half of what is lost is given up, of what is sent if that is less.
            HIGH.. => estimate_bps.min(sent_bps.max(1)) * (512 - u64::from(lost)) / 512,
            _ => estimate_bps,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reports of two streams each second.
    fn run(seconds: u64, lost: u8, sent_bps: u64, mut estimate_bps: u64) -> u64 {
        let mut fallback = Fallback::default();
        for at in 0..=seconds {
            for lost in [0, lost] {
                estimate_bps = fallback.report(at * 1_000_000, lost, sent_bps, estimate_bps);
            }
        }
        estimate_bps
    }

    #[test]
    fn loss_lowers_the_estimate_and_its_absence_raises_it_to_what_shows() {
        assert_eq!(run(60, 0, 1_000_000, 900_000), 1_500_000);
        assert_eq!(run(60, 0, 1_000_000, 4_000_000), 4_000_000, "what is not used is kept");
        assert_eq!(run(60, 15, 1_000_000, 900_000), 900_000);
        let after_one = run(2, 64, 1_000_000, 4_000_000);
        assert!((700_000..900_000).contains(&after_one), "{after_one}");
    }

    #[test]
    fn what_the_client_would_have_bounds_while_it_says_so() {
        let mut fallback = Fallback::default();
        fallback.bound(5, 300_000);
        assert_eq!(fallback.bounded(1_000_000, 900_000), 300_000);
        assert_eq!(fallback.bounded(1_000_000, 200_000), 200_000);
        assert_eq!(fallback.bounded(20_000_000, 900_000), 900_000);
    }
}
