//! How fast somebody may go on: some at once, and then one each interval. What comes faster waits.

use std::time::{Duration, Instant};

/// A bound on a rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    /// How many may come at once.
    pub burst: u32,
    /// How often one may come after that.
    pub interval: Duration,
}

/// Where somebody stands against a [`Limit`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    /// When everything that came is paid for, at an interval each.
    paid_at: Option<Instant>,
}

impl Pace {
    /// Takes one if it may come now; else says when it may.
    pub fn take(&mut self, now: Instant, limit: Limit) -> Result<(), Instant> {
        let paid_at = self.paid_at.map_or(now, |at| at.max(now)) + limit.interval;
        let credit = limit.interval * limit.burst;
        if paid_at > now + credit {
            return Err(now + (paid_at - now).saturating_sub(credit));
        }
        self.paid_at = Some(paid_at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_comes_at_once_and_then_one_each_interval() {
        let limit = Limit { burst: 3, interval: Duration::from_millis(100) };
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        assert_eq!((0..9).filter(|_| pace.take(now, limit).is_ok()).count(), 3);
        let next = pace.take(now, limit).unwrap_err();
        assert_eq!(next - now, limit.interval);
        now = next;
        assert_eq!((0..9).filter(|_| pace.take(now, limit).is_ok()).count(), 1);
        now += Duration::from_secs(60);
        assert_eq!((0..9).filter(|_| pace.take(now, limit).is_ok()).count(), 3, "rest saves no more than a burst");
    }
}
