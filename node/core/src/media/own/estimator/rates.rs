//! How much leaves and how much of it comes, each by the clock of the end where it does.

use super::meter::Meter;

/// Over how long it is measured: the way's rate while it is full, and otherwise.
pub(super) const SHORT_US: i64 = 200_000;
pub(super) const LONG_US: i64 = 500_000;
/// What comes cannot be more than what was sent, but for what the two clocks differ by in short windows.
const CAME_PERCENT_MAX: u64 = 125;
/// Half of the most that was sent is forgotten within this.
const FORGOTTEN_US: u64 = 2_000_000;

/// Both rates.
#[derive(Clone, Debug, Default)]
pub(super) struct Rates {
    came: Meter,
    sent: Meter,
    /// The most that was sent of late, and when that was last looked at.
    peak_bps: u64,
    peak_us: u64,
}

impl Rates {
    /// So many bytes left.
    pub fn sent(&mut self, now_us: u64, bytes: usize) {
        self.sent.add(now_us as i64, bytes as u32);
    }

    /// So many came.
    pub fn came(&mut self, came_us: i64, bytes: u16) {
        self.came.add(came_us, bytes.into());
    }

    /// It is that late by now.
    pub fn advance(&mut self, now_us: u64) {
        self.sent.advance(now_us as i64);
        let passed_us = now_us.saturating_sub(self.peak_us).min(FORGOTTEN_US);
        let left = u128::from(FORGOTTEN_US * 2 - passed_us);
        let kept_bps = (u128::from(self.peak_bps) * left / u128::from(FORGOTTEN_US * 2)) as u64;
        (self.peak_bps, self.peak_us) = (kept_bps.max(self.sent.bps(SHORT_US).unwrap_or(0)), now_us);
    }

    /// The client's clock was set.
    pub fn forget_came(&mut self) {
        self.came.clear();
    }

    /// What leaves, in bits per second.
    pub fn sent_bps(&self) -> u64 {
        self.sent.bps(LONG_US).unwrap_or(0)
    }

    /// What comes; none while too little came. A client whose clock runs slow or lies makes it no more than what was sent.
    pub fn came_bps(&self, window_us: i64) -> Option<u64> {
        Some(self.came.bps(window_us)?.min(self.peak_bps * CAME_PERCENT_MAX / 100))
    }

    /// The most that was sent of late.
    #[cfg(test)]
    pub fn peak_bps(&self) -> u64 {
        self.peak_bps
    }
}
