//! How busy a worker's thread is: the share of time that it did not wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Over how long the share is taken.
const WINDOW: Duration = Duration::from_millis(500);

/// The published share, readable from any thread.
#[derive(Default)]
pub(super) struct Load(AtomicU64);

impl Load {
    /// Busy share, 0 to 1.
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

/// Measures the share on the thread itself.
pub(super) struct Busy {
    window: Instant,
    waited: Duration,
    share: f64,
}

impl Busy {
    pub fn new(now: Instant) -> Self {
        Self { window: now, waited: Duration::ZERO, share: 0.0 }
    }

    /// The thread waited from `from` to `to`. Publishes at the end of each window, half old and half new.
    pub fn waited(&mut self, from: Instant, to: Instant, load: &Load) {
        self.waited += to - from;
        let length = to - self.window;
        if length < WINDOW {
            return;
        }
        let busy = 1.0 - (self.waited.as_secs_f64() / length.as_secs_f64()).clamp(0.0, 1.0);
        self.share = (self.share + busy) / 2.0;
        load.0.store(self.share.to_bits(), Ordering::Relaxed);
        self.window = to;
        self.waited = Duration::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_only_waits_has_no_load_and_one_that_never_waits_comes_near_one() {
        let load = Load::default();
        let start = Instant::now();
        let mut busy = Busy::new(start);
        let mut at = start;
        for _ in 0..10 {
            at += WINDOW;
            busy.waited(at, at, &load);
        }
        assert!(load.get() > 0.99);
        for _ in 0..10 {
            busy.waited(at, at + WINDOW, &load);
            at += WINDOW;
        }
        assert!(load.get() < 0.01);
    }
}
