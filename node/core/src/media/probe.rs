//! When a subscriber that gets less than it has use for looks whether its way has become wider.
//!
//! An estimate cannot rise much above what is sent, so that a layer whose rate is twice the last one's would never be
//! seen to fit. str0m's estimator looks beyond what is sent when it is told of a higher wish than before; so the wish
//! dips for a moment, again and again while something is missing. The wish also bounds how much a look costs: one that
//! is far above the estimate would have the estimator flood a narrow way.

use std::time::{Duration, Instant};

/// How long something is missing before it is looked for: much of what is missing comes by itself.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often it is looked for: a viewer is to see within 10 s that its way has become wider, though each look finds
/// twice the last rate at most.
const SPACING: Duration = Duration::from_secs(3);
/// How long the wish dips: long enough for the estimator to notice.
const DIP: Duration = Duration::from_millis(100);
/// How far it dips, and how far above the estimate it is otherwise.
const DIP_PERCENT: u64 = 70;
const ABOVE_PERCENT: u64 = 120;
/// An estimate up to this is kept up even when less is needed: a camera's highest layer fits.
const KEPT_BPS_MAX: u64 = 3_000_000;
/// A look fills a queue for a moment, and the estimator takes that for a narrower way. For so long its word counts only
/// when it is good.
const ECHO: Duration = Duration::from_secs(2);

/// One subscriber's.
#[derive(Debug, Default)]
pub(crate) struct Prober {
    /// What is next, and when: none while nothing is missing.
    next: Option<(Step, Instant)>,
    /// What the estimator was last told.
    told_bps: u64,
    /// The last look: when, and what was believed then.
    looked: Option<(Instant, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Dip,
    Rise,
}

impl Prober {
    /// Whether [`Prober::wish`] has something new to say.
    pub fn is_due(&self, now: Instant) -> bool {
        self.next.is_some_and(|(_, at)| at <= now)
    }

    /// What to believe of an estimate.
    pub fn believed_bps(&self, now: Instant, estimate_bps: u64) -> u64 {
        match self.looked {
            Some((at, before_bps)) if now.saturating_duration_since(at) < ECHO => estimate_bps.max(before_bps),
            _ => estimate_bps,
        }
    }

    /// What the estimator is to be told of a wish, in bits per second. `missing` when the subscriber gets less.
    pub fn wish(&mut self, now: Instant, missing: bool, wish_bps: u64, estimate_bps: Option<u64>) -> u64 {
        let Some(estimate_bps) = estimate_bps.filter(|_| missing) else {
            // The estimator looks with twice the wish now and then, and believes what it finds, so that a small wish
            // would have it forget what it knows.
            self.next = None;
            self.told_bps = wish_bps.max(estimate_bps.unwrap_or(0).min(KEPT_BPS_MAX) / 2);
            return self.told_bps;
        };
        let near_bps = wish_bps.min(estimate_bps * ABOVE_PERCENT / 100);
        match self.next {
            None => {
                self.next = Some((Step::Dip, now + PATIENCE));
                self.told_bps = near_bps;
            }
            Some((Step::Dip, at)) if at <= now => {
                self.next = Some((Step::Rise, now + DIP));
                self.told_bps = near_bps * DIP_PERCENT / 100;
            }
            Some((Step::Rise, at)) if at <= now => {
                self.next = Some((Step::Dip, now + SPACING));
                self.told_bps = near_bps;
                self.looked = Some((now, estimate_bps));
            }
            // A look has found much more than was believed: the next one follows at once.
            Some((Step::Dip, _)) if estimate_bps >= self.told_bps && near_bps > self.told_bps => {
                self.next = Some((Step::Dip, now + SPACING));
                self.told_bps = near_bps;
                self.looked = Some((now, estimate_bps));
            }
            Some(_) => {}
        }
        self.told_bps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_something_is_missing_the_wish_rises_again_and_again() {
        let start = Instant::now();
        let mut prober = Prober::default();
        let mut rises = Vec::new();
        let mut last = 1_000_000;
        for ms in (0..10_000).step_by(100) {
            let wish = prober.wish(start + Duration::from_millis(ms), true, 1_000_000, Some(400_000));
            if wish > last {
                rises.push((ms, wish));
            }
            last = wish;
        }
        assert_eq!(rises, [(600, 480_000), (3_700, 480_000), (6_800, 480_000), (9_900, 480_000)]);
        let later = start + Duration::from_secs(10);
        assert_eq!(prober.wish(later, false, 1_000_000, Some(400_000)), 1_000_000);
        assert_eq!(prober.wish(later, false, 200_000, Some(900_000)), 450_000, "what is known is kept");
        assert!(!prober.is_due(start + Duration::from_secs(60)));
    }

    #[test]
    fn what_a_look_finds_is_looked_beyond_at_once_and_what_it_stirs_up_is_not_believed() {
        let start = Instant::now();
        let ms = |ms| start + Duration::from_millis(ms);
        let mut prober = Prober::default();
        for at in [500, 1_000, 1_100] {
            prober.wish(ms(at), true, 3_000_000, Some(400_000));
        }
        assert_eq!(prober.believed_bps(ms(1_300), 210_000), 400_000);
        assert_eq!(prober.believed_bps(ms(3_100), 210_000), 210_000);
        assert_eq!(prober.wish(ms(1_300), true, 3_000_000, Some(440_000)), 480_000, "the look goes on");
        assert_eq!(prober.wish(ms(1_400), true, 3_000_000, Some(800_000)), 960_000);
        assert_eq!(prober.believed_bps(ms(1_500), 900_000), 900_000);
    }
}
