//! A download that shares a client's line: TCP as Reno has it, a window that grows by a packet a round trip and halves at a
//! loss.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A full packet, headers and all.
pub const PACKET_BYTES: u64 = 1_500;
/// The window is never less, in packets.
const WINDOW_MIN: f64 = 2.0;

/// One flow without an end.
#[derive(Debug)]
pub struct Rival {
    window: f64,
    threshold: f64,
    /// When the sender hears of each packet, and whether it came.
    under_way: VecDeque<(Instant, bool)>,
    /// What was sent before belongs to a loss that was answered already.
    answered: Option<Instant>,
    /// Packets that came.
    pub came: u64,
}

impl Rival {
    pub fn new() -> Self {
        Self { window: 10.0, threshold: f64::MAX, under_way: VecDeque::new(), answered: None, came: 0 }
    }

    /// Hears of what came, and sends. `pass` gives when a packet is through the line, and none when it is dropped.
    pub fn run(&mut self, now: Instant, rtt: Duration, mut pass: impl FnMut(u64) -> Option<Instant>) {
        while let Some(&(_, came)) = self.under_way.front().filter(|(at, _)| *at <= now) {
            self.under_way.pop_front();
            self.hear(now, came, rtt);
        }
        while (self.under_way.len() as f64) < self.window.floor() {
            let through = pass(PACKET_BYTES);
            let newest = self.under_way.back().map_or(now, |(at, _)| *at);
            let heard = through.map_or(newest.max(now + rtt), |at| at + rtt);
            self.under_way.push_back((heard, through.is_some()));
        }
    }

    fn hear(&mut self, now: Instant, came: bool, rtt: Duration) {
        if came {
            self.came += 1;
            self.window += if self.window < self.threshold { 1.0 } else { 1.0 / self.window };
        } else if self.answered.is_none_or(|at| now > at) {
            self.threshold = (self.window / 2.0).max(WINDOW_MIN);
            self.window = self.threshold;
            self.answered = Some(now + rtt * 3);
        }
    }
}
