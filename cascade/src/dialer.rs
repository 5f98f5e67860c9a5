//! When to dial which address: at once, then ever more rarely while it fails.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use origo_auth::NodeId;
use tokio::sync::mpsc;

use crate::endpoint::Dial;
use crate::kind::Kind;

/// Pause after the first failure; it doubles with each further one.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// Longest pause: a seed that comes back is found within this.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// After a success the connection needs a moment to show up as one.
const SETTLES: Duration = Duration::from_secs(1);
/// An address that nobody has wanted for this long is forgotten.
const FORGETS: Duration = Duration::from_secs(30);

/// Decides when to dial.
pub(crate) struct Dialer {
    dials: mpsc::UnboundedSender<Dial>,
    attempts: BTreeMap<(Kind, SocketAddr), Attempt>,
    count: u64,
}

struct Attempt {
    is_running: bool,
    failures: u32,
    next_at: Instant,
    wanted_at: Instant,
}

impl Dialer {
    /// A dialer whose dials go to the endpoint.
    pub(crate) fn new(dials: mpsc::UnboundedSender<Dial>) -> Self {
        Self { dials, attempts: BTreeMap::new(), count: 0 }
    }

    /// A connection is missing. To be said again and again while it is; the first dial waits for `patience`, in which
    /// the other side may dial.
    pub(crate) fn want(
        &mut self,
        now: Instant,
        kind: Kind,
        address: SocketAddr,
        peer: Option<NodeId>,
        patience: Duration,
    ) {
        let attempt = self.attempts.entry((kind, address)).or_insert(Attempt {
            is_running: false,
            failures: 0,
            next_at: now + patience,
            wanted_at: now,
        });
        attempt.wanted_at = now;
        if attempt.is_running || attempt.next_at > now {
            return;
        }
        attempt.is_running = true;
        self.count += 1;
        // Every other attempt is made with small packets, in case the path does not carry the usual ones.
        let small = attempt.failures % 2 == 1;
        // The endpoint ends only with the mesh.
        let _ = self.dials.send(Dial { kind, address, peer, number: self.count, small });
    }

    /// A dial has ended.
    pub(crate) fn ended(&mut self, now: Instant, kind: Kind, address: SocketAddr, success: bool) {
        let Some(attempt) = self.attempts.get_mut(&(kind, address)) else { return };
        attempt.is_running = false;
        if success {
            attempt.failures = 0;
            attempt.next_at = now + SETTLES;
        } else {
            attempt.next_at = now + BACKOFF_MAX.min(BACKOFF_MIN * 2_u32.pow(attempt.failures.min(10)));
            attempt.failures += 1;
        }
    }

    /// Forgets what is no longer wanted.
    pub(crate) fn tidy(&mut self, now: Instant) {
        self.attempts.retain(|_, attempt| attempt.is_running || now - attempt.wanted_at < FORGETS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_dialled_at_once_and_then_ever_more_rarely() {
        let (dials, mut dialled) = mpsc::unbounded_channel();
        let (mut dialer, start) = (Dialer::new(dials), Instant::now());
        let address: SocketAddr = ([127, 0, 0, 1], 1).into();
        let mut at = Vec::new();
        for ms in 0..2000 {
            let now = start + Duration::from_millis(ms);
            dialer.want(now, Kind::Control, address, None, Duration::ZERO);
            while let Ok(dial) = dialled.try_recv() {
                at.push((ms, dial.small));
                dialer.ended(now, Kind::Control, address, false);
            }
        }
        assert_eq!(at, [(0, false), (100, true), (300, false), (700, true), (1500, false)]);
    }

    #[test]
    fn the_larger_node_waits_for_the_smaller_to_dial() {
        let (dials, mut dialled) = mpsc::unbounded_channel();
        let (mut dialer, start) = (Dialer::new(dials), Instant::now());
        let address: SocketAddr = ([127, 0, 0, 1], 1).into();
        let patience = Duration::from_millis(500);
        dialer.want(start, Kind::Media, address, None, patience);
        assert!(dialled.try_recv().is_err());
        dialer.want(start + patience, Kind::Media, address, None, patience);
        assert!(dialled.try_recv().is_ok());
    }
}
