//! Pairs of nodes whose link failed lately: trees do without it for a while, and for longer the more often it fails.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use origo_auth::NodeId;

/// How long trees do without a link that failed once and is back. Each failure doubles it...
const LEAST: Duration = Duration::from_secs(2);
/// ...up to this.
const MOST: Duration = Duration::from_secs(60);
/// A link that has held for this long since it came back may carry what an origin wants to come over it: the origin has a
/// patience of its own, and asks for it where others have no place or are worse.
const PROVED_AFTER: Duration = Duration::from_secs(12);
/// A link that holds for this long after that is as good as one that never failed.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);
/// Doublings that reach `MOST`.
const DOUBLINGS_MAX: u32 = 5;
/// Failures that one counts as that was hard to see.
const HARD: u32 = 4;
/// Pairs that are remembered: beyond any mesh of 90 nodes in which every link fails within two minutes.
const PAIRS_MAX: usize = 4096;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Patience {
    holds: BTreeMap<(NodeId, NodeId), Hold>,
}

#[derive(Clone, Copy, Debug)]
struct Hold {
    failures: u32,
    until: Instant,
}

impl Patience {
    /// The link failed; says until when it is held down if it comes back at once.
    pub(super) fn fail(&mut self, now: Instant, a: NodeId, b: NodeId) -> Instant {
        self.holds.retain(|_, hold| now < hold.until + FORGIVEN_AFTER);
        if self.holds.len() >= PAIRS_MAX && !self.holds.contains_key(&pair(a, b)) {
            return now + LEAST;
        }
        let hold = self.holds.entry(pair(a, b)).or_insert(Hold { failures: 0, until: now });
        hold.failures += 1;
        hold.until = now + span(hold.failures);
        hold.until
    }

    /// The same of a link that seemed to work, which counts as four failures: it takes seconds to find out.
    pub(super) fn fail_hard(&mut self, now: Instant, a: NodeId, b: NodeId) -> Instant {
        (1..HARD).fold(self.fail(now, a, b), |_, _| self.fail(now, a, b))
    }

    /// The link is back: its time counts from now. `None` when it never failed lately.
    pub(super) fn come_back(&mut self, now: Instant, a: NodeId, b: NodeId) -> Option<Instant> {
        let hold = self.holds.get_mut(&pair(a, b)).filter(|hold| now < hold.until + FORGIVEN_AFTER)?;
        hold.until = now + span(hold.failures);
        Some(hold.until)
    }

    /// Whether trees do without the link.
    pub(super) fn is_held(&self, now: Instant, a: NodeId, b: NodeId) -> bool {
        self.holds.get(&pair(a, b)).is_some_and(|hold| now < hold.until)
    }

    /// Whether the link has not failed lately, or has held for long enough since.
    pub(super) fn has_proved(&self, now: Instant, a: NodeId, b: NodeId) -> bool {
        let back_at = |hold: &Hold| hold.until.checked_sub(span(hold.failures)).unwrap_or(hold.until);
        self.holds.get(&pair(a, b)).is_none_or(|hold| now >= hold.until.min(back_at(hold) + PROVED_AFTER))
    }

    /// Forgets a node that is gone for good.
    pub(super) fn forget(&mut self, node: NodeId) {
        self.holds.retain(|(a, b), _| *a != node && *b != node);
    }
}

fn pair(a: NodeId, b: NodeId) -> (NodeId, NodeId) {
    (a.min(b), a.max(b))
}

fn span(failures: u32) -> Duration {
    (LEAST * 2_u32.pow(failures.saturating_sub(1).min(DOUBLINGS_MAX))).min(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId([1; 16]);
    const B: NodeId = NodeId([2; 16]);

    #[test]
    fn each_failure_doubles_the_patience_up_to_a_minute_and_a_quiet_minute_forgives_all() {
        let (mut now, mut patience) = (Instant::now(), Patience::default());
        for seconds in [2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(patience.fail(now, A, B) - now, Duration::from_secs(seconds));
            now += Duration::from_secs(30);
            assert_eq!(patience.come_back(now, B, A).unwrap() - now, Duration::from_secs(seconds));
            now += Duration::from_secs(seconds);
            assert!(!patience.is_held(now, A, B) && patience.is_held(now - Duration::from_millis(1), B, A));
        }
        now += FORGIVEN_AFTER;
        assert_eq!(patience.come_back(now, A, B), None);
        assert_eq!(patience.fail(now, A, B) - now, LEAST);
    }

    #[test]
    fn a_link_that_has_failed_often_is_good_enough_once_it_has_held_for_twelve_seconds() {
        let (mut now, mut patience) = (Instant::now(), Patience::default());
        assert!(patience.has_proved(now, A, B));
        patience.fail(now, A, B);
        assert!(!patience.has_proved(now, A, B) && patience.has_proved(now + LEAST, B, A));
        for _ in 0..5 {
            patience.fail(now, A, B);
        }
        now += Duration::from_secs(11);
        assert!(!patience.has_proved(now, A, B));
        patience.come_back(now, A, B);
        now += Duration::from_secs(12);
        assert!(patience.has_proved(now, A, B) && patience.is_held(now, A, B));
        assert!(!patience.has_proved(now - Duration::from_millis(1), A, B));
    }

    #[test]
    fn however_many_links_fail_memory_is_bounded() {
        let (now, mut patience) = (Instant::now(), Patience::default());
        for number in 0..10_000_u16 {
            let mut id = [9; 16];
            id[..2].copy_from_slice(&number.to_be_bytes());
            patience.fail(now, A, NodeId(id));
        }
        assert_eq!(patience.holds.len(), PAIRS_MAX);
    }
}
