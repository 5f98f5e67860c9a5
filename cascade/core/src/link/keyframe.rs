//! Keyframe requests: merged per layer, and never sent faster than an answer could come.

use std::time::{Duration, Instant};

/// One request per layer and this time at most, however short the path.
const UPSTREAM_MIN: Duration = Duration::from_millis(500);
/// Requests of one peer for one layer that come faster than this are dropped: an honest peer waits longer.
const DOWNSTREAM_MIN: Duration = Duration::from_millis(400);

/// Requests that we send for one layer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Upstream {
    sent: Option<Instant>,
}

impl Upstream {
    /// When a request may go out.
    pub(super) fn due_at(&self, now: Instant, rtt: Duration) -> Instant {
        self.sent.map_or(now, |sent| sent + rtt.max(UPSTREAM_MIN))
    }

    /// Whether a request may go out now; it is then taken as sent.
    pub(super) fn take_due(&mut self, now: Instant, rtt: Duration) -> bool {
        let is_due = self.due_at(now, rtt) <= now;
        if is_due {
            self.sent = Some(now);
        }
        is_due
    }
}

/// Requests that a peer sends for one layer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Downstream {
    passed: Option<Instant>,
}

impl Downstream {
    /// Whether a request may pass.
    pub(super) fn pass(&mut self, now: Instant) -> bool {
        let passes = self.passed.is_none_or(|passed| now - passed >= DOWNSTREAM_MIN);
        if passes {
            self.passed = Some(now);
        }
        passes
    }
}
