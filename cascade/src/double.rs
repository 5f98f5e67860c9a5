//! Another process runs with this node's identity: peers say so as they end its connections.

use std::time::{Duration, Instant};

/// For so long peers have to say so: the connections of a life that was killed, and whose clock was ahead, are forgotten
/// sooner (QUIC's idle timeout is 6 s).
const CERTAIN_AFTER: Duration = Duration::from_secs(10);
/// A word that is older says nothing any more: every second connections are tried again.
const STANDS: Duration = Duration::from_secs(5);

/// What peers have said.
#[derive(Debug, Default)]
pub(crate) struct Double {
    /// Since when, and when last.
    said: Option<(Instant, Instant)>,
}

impl Double {
    /// A peer ended a connection because a newer life of this node is linked with it. Says whether it is certain by now
    /// that there is one.
    pub(crate) fn is_certain(&mut self, now: Instant) -> bool {
        let since = self.said.filter(|(_, last)| now < *last + STANDS).map_or(now, |(since, _)| since);
        self.said = Some((since, now));
        now >= since + CERTAIN_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_certain_after_ten_seconds_without_a_pause() {
        let (mut double, start) = (Double::default(), Instant::now());
        let mut at = |second| double.is_certain(start + Duration::from_secs(second));
        assert!((0..10).all(|second| !at(second)));
        assert!(at(10));
        assert!(!at(16), "nobody had said so for 6 s");
        assert!(!at(20) && !at(24) && at(26));
    }
}
