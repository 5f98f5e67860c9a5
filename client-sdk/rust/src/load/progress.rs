//! How a run stands, second by second.

use std::fmt;
use std::time::Duration;

use crate::Totals;

/// A look at a running crowd.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Since the first join was begun.
    pub since: Duration,
    /// Participants in their rooms now.
    pub present: usize,
    /// Seats.
    pub seats: usize,
    /// Joins that worked so far.
    pub joins: u64,
    /// Joins that did not.
    pub failed: u64,
    /// Sessions that the server ended.
    pub dropped: u64,
    /// Counts so far, of those who have left too.
    pub totals: Totals,
    /// Packets received in the last second.
    pub received_per_second: u64,
    /// Payload bits received in the last second.
    pub bits_per_second: u64,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Totals { received, lost, repaired, freezes, .. } = self.totals;
        let delivered = 100.0 * received as f64 / (received + lost).max(1) as f64;
        write!(f, "{:4} s  {}/{} here", self.since.as_secs(), self.present, self.seats)?;
        write!(f, "  {} packets/s  {:.1} Mbit/s", self.received_per_second, self.bits_per_second as f64 / 1e6)?;
        write!(f, "  delivered {delivered:.2} %  lost {lost}  repaired {repaired}  freezes {freezes}")?;
        if self.failed + self.dropped > 0 {
            write!(f, "  failed joins {}  dropped {}", self.failed, self.dropped)?;
        }
        Ok(())
    }
}
