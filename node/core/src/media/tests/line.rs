//! A client's way to the node, which delays, loses and narrows what the node sends.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// One way, there and back alike.
const DELAY: Duration = Duration::from_millis(20);
/// What waits longer than this before the narrowest place is dropped.
const QUEUE: Duration = Duration::from_millis(200);

/// The way to one client.
#[derive(Debug, Default)]
pub struct Line {
    /// Bits per second that pass; 0 for all.
    pub rate_bps: u64,
    /// Every so many packets one is lost; 0 for none.
    pub loses_every: u64,
    /// Bytes that passed.
    pub passed: u64,
    taken: u64,
    free_at: Option<Instant>,
    under_way: VecDeque<(Instant, Vec<u8>)>,
}

impl Line {
    /// The node sends a datagram.
    pub fn take(&mut self, now: Instant, datagram: &[u8]) {
        self.taken += 1;
        if self.loses_every > 0 && self.taken.is_multiple_of(self.loses_every) {
            return;
        }
        let begins = self.free_at.map_or(now, |free| free.max(now));
        if begins - now > QUEUE {
            return;
        }
        // 28 bytes of IP and UDP.
        let bits = (datagram.len() as u64 + 28) * 8;
        let takes = (bits * 1_000_000).checked_div(self.rate_bps).map_or(Duration::ZERO, Duration::from_micros);
        self.free_at = Some(begins + takes);
        self.under_way.push_back((begins + takes + DELAY, datagram.to_vec()));
    }

    /// What has arrived by now.
    pub fn arrived(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.under_way.front().filter(|(due, _)| *due <= now)?;
        let (_, datagram) = self.under_way.pop_front()?;
        self.passed += datagram.len() as u64;
        Some(datagram)
    }
}
