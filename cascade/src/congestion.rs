//! The congestion controller of media connections: a window for the rate that the link allows, whatever is lost.
//!
//! Loss-based controllers starve a trunk at a loss of one in ten thousand. What may be sent is decided above QUIC, by
//! the link's estimator; QUIC's window only has to stay out of the way, and to cap a mistake.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quinn::congestion::{Controller, ControllerFactory, Cubic, CubicConfig};
use quinn_proto::RttEstimator;

/// Room in the window beside twice the rate times the round trip: acknowledgements come late and in groups.
const SLACK: Duration = Duration::from_millis(30);
/// Room for a burst on a path without delay.
const WINDOW_MIN: u64 = 48_000;
/// As wide as a window may be without switching QUIC's pacing off.
const WINDOW_OPEN: u64 = u32::MAX as u64;
/// In place of a rate: what kind of connection this is is not known yet, so that Cubic decides.
const CUBIC: u64 = u64::MAX;
/// In place of a rate: the window is open.
const OPEN: u64 = u64::MAX - 1;

/// What the link allows a media connection, read by its controller.
#[derive(Clone, Debug)]
pub(crate) struct Allowed(Arc<AtomicU64>);

impl Allowed {
    /// Lets so many bits per second pass; as much as there is when the peer is `silent`: the link sends little then, and
    /// must not wait for QUIC's probes to find that the peer is back.
    pub(crate) fn set(&self, bps: u64, silent: bool) {
        self.0.store(if silent { OPEN } else { bps.min(OPEN) }, Ordering::Relaxed);
    }

    /// Bits per second; `None` while the window is open.
    pub(crate) fn bps(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|bps| *bps < OPEN)
    }

    fn window(&self, rtt: Duration) -> Option<u64> {
        match self.0.load(Ordering::Relaxed) {
            CUBIC => None,
            OPEN => Some(WINDOW_OPEN),
            bps => Some(window(bps, rtt)),
        }
    }
}

/// Twice what the rate puts on the path, for at the 1 ms tick that makes QUIC's pacer invisible.
fn window(bps: u64, rtt: Duration) -> u64 {
    let micros = u64::try_from((rtt + SLACK).as_micros()).unwrap_or(u64::MAX);
    (2 * (bps / 8))
        .saturating_mul(micros)
        .checked_div(1_000_000)
        .unwrap_or(0)
        .saturating_add(WINDOW_MIN)
        .min(WINDOW_OPEN)
}

/// Builds a controller that is Cubic until the connection turns out to carry media: who accepts a connection learns
/// its kind only after the handshake.
#[derive(Debug, Default)]
pub(crate) struct Trunk;

impl ControllerFactory for Trunk {
    fn build(self: Arc<Self>, now: Instant, mtu: u16) -> Box<dyn Controller> {
        let cubic = Arc::new(CubicConfig::default()).build(now, mtu);
        let cubic = *cubic.into_any().downcast::<Cubic>().expect("Cubic's own factory builds it");
        let allowed = Allowed(Arc::new(AtomicU64::new(CUBIC)));
        Box::new(TrunkController { cubic, allowed, rtt: Duration::ZERO })
    }
}

/// Lets a connection's window follow what the link allows from now on; it is open until the link says.
pub(crate) fn carry_media(connection: &quinn::Connection) -> Allowed {
    let controller = connection.congestion_state().into_any().downcast::<TrunkController>();
    let allowed = controller.map_or_else(|_| Allowed(Arc::default()), |controller| controller.allowed.clone());
    allowed.set(0, true);
    allowed
}

#[derive(Clone)]
struct TrunkController {
    cubic: Cubic,
    /// Shared by the clones that QUIC makes when the path changes.
    allowed: Allowed,
    rtt: Duration,
}

impl Controller for TrunkController {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.cubic.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, app_limited: bool, rtt: &RttEstimator) {
        self.rtt = rtt.get();
        self.cubic.on_ack(now, sent, bytes, app_limited, rtt);
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool, largest: Option<u64>) {
        self.cubic.on_end_acks(now, in_flight, app_limited, largest);
    }

    fn on_congestion_event(&mut self, now: Instant, sent: Instant, is_persistent: bool, lost_bytes: u64) {
        self.cubic.on_congestion_event(now, sent, is_persistent, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.cubic.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        self.allowed.window(self.rtt).unwrap_or_else(|| self.cubic.window())
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        self.cubic.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_follows_the_rate_and_is_open_while_the_peer_is_silent() {
        let (allowed, rtt) = (Allowed(Arc::new(AtomicU64::new(CUBIC))), Duration::from_millis(170));
        assert_eq!(allowed.window(rtt), None, "Cubic's");
        allowed.set(40_000_000, false);
        assert_eq!(allowed.window(rtt), Some(2 * 5_000_000 / 5 + 48_000));
        assert_eq!(allowed.clone().bps(), Some(40_000_000));
        allowed.set(40_000_000, true);
        assert_eq!((allowed.window(rtt), allowed.bps()), (Some(u64::from(u32::MAX)), None));
        allowed.set(u64::MAX, false);
        assert_eq!(allowed.window(rtt), Some(u64::from(u32::MAX)), "and never Cubic's again");
    }
}
