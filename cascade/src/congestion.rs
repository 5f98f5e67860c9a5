//! The congestion controller of media connections: a window for a fixed rate, whatever is lost.
//!
//! Loss-based controllers starve a trunk at a loss of one in ten thousand. What may be sent is decided above QUIC (by
//! the link's estimator, once there is one); QUIC's window only has to stay out of the way.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use quinn::congestion::{Controller, ControllerFactory, Cubic, CubicConfig};
use quinn_proto::RttEstimator;

/// What one link may carry until the estimator tells better.
const RATE_BPS: u64 = 200_000_000;
/// Room in the window beside twice the rate times the round trip: acknowledgements come late and in groups.
const SLACK: Duration = Duration::from_millis(30);
/// Room for a burst on a path without delay.
const WINDOW_MIN: u64 = 48_000;

/// Builds a controller that is Cubic until the connection turns out to carry media: who accepts a connection learns
/// its kind only after the handshake.
#[derive(Debug, Default)]
pub(crate) struct Trunk;

impl ControllerFactory for Trunk {
    fn build(self: Arc<Self>, now: Instant, mtu: u16) -> Box<dyn Controller> {
        let cubic = Arc::new(CubicConfig::default()).build(now, mtu);
        let cubic = *cubic.into_any().downcast::<Cubic>().expect("Cubic's own factory builds it");
        Box::new(TrunkController { cubic, carries_media: Arc::default(), rtt: Duration::ZERO })
    }
}

/// Lets a connection's window follow the fixed rate from now on.
pub(crate) fn carry_media(connection: &quinn::Connection) {
    if let Ok(controller) = connection.congestion_state().into_any().downcast::<TrunkController>() {
        controller.carries_media.store(true, Ordering::Relaxed);
    }
}

#[derive(Clone)]
struct TrunkController {
    cubic: Cubic,
    /// Shared by the clones that QUIC makes when the path changes.
    carries_media: Arc<AtomicBool>,
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
        if !self.carries_media.load(Ordering::Relaxed) {
            return self.cubic.window();
        }
        let span = self.rtt + SLACK;
        2 * RATE_BPS / 8 * span.as_micros() as u64 / 1_000_000 + WINDOW_MIN
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
