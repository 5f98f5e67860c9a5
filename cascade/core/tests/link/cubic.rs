//! A download under Cubic (RFC 9438) through somebody's bottleneck: window, loss after a round trip, nothing else.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::pair::Bottleneck;

const PACKET: usize = 1228;

pub struct Cubic {
    bottleneck: Rc<RefCell<Bottleneck>>,
    rate_bps: f64,
    queue: Duration,
    rtt: Duration,
    window: f64,
    window_most: f64,
    reduced_at: Instant,
    slow_start: bool,
    /// When it is known what became of each packet, and whether it came.
    flying: VecDeque<(Instant, bool)>,
    pub delivered: u64,
}

impl Cubic {
    pub fn new(
        now: Instant,
        bottleneck: Rc<RefCell<Bottleneck>>,
        rate_bps: f64,
        queue: Duration,
        rtt: Duration,
    ) -> Self {
        let flying = VecDeque::new();
        let (window, window_most, slow_start, delivered) = (10.0, 0.0, true, 0);
        Self { bottleneck, rate_bps, queue, rtt, window, window_most, reduced_at: now, slow_start, flying, delivered }
    }

    /// Runs until `now`; called every millisecond.
    pub fn run(&mut self, now: Instant) {
        while let Some((at, came)) = self.flying.front().copied().filter(|(at, _)| *at <= now) {
            self.flying.pop_front();
            if came { self.acked(at) } else { self.lost(at) }
        }
        // At most what a millisecond of the bottleneck carries at once: TCP is clocked by its acknowledgements.
        let burst = (self.rate_bps * 0.002 / 8.0 / PACKET as f64) as usize + 1;
        for _ in 0..burst {
            if self.flying.len() as f64 >= self.window {
                break;
            }
            let passed = self.bottleneck.borrow_mut().pass(now, PACKET, self.rate_bps, self.queue);
            self.flying.push_back((passed.unwrap_or(now + self.queue) + self.rtt, passed.is_some()));
        }
    }

    fn acked(&mut self, now: Instant) {
        self.delivered += PACKET as u64;
        if self.slow_start {
            self.window += 1.0;
            return;
        }
        let (cubed, scale) = ((self.window_most * 0.3 / 0.4).cbrt(), 0.4);
        let since = (now - self.reduced_at).as_secs_f64();
        let target = scale * (since - cubed).powi(3) + self.window_most;
        self.window += ((target - self.window) / self.window).clamp(0.01 / self.window, 0.5);
    }

    fn lost(&mut self, now: Instant) {
        if now - self.reduced_at < self.rtt {
            return;
        }
        (self.window_most, self.reduced_at, self.slow_start) = (self.window, now, false);
        self.window = (self.window * 0.7).max(2.0);
    }
}
