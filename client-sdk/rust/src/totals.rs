//! Sums that are cheap to take while a run lasts.

/// What one or many participants received and sent so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Packets made, all layers.
    pub sent: u64,
    /// Different packets received.
    pub received: u64,
    /// Packets that did not come.
    pub lost: u64,
    /// Packets that came because they were asked for again.
    pub repaired: u64,
    /// RTP payload bytes received.
    pub bytes: u64,
    /// Times that a picture stood still.
    pub freezes: u64,
}

impl std::ops::Add for Totals {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            sent: self.sent + other.sent,
            received: self.received + other.received,
            lost: self.lost + other.lost,
            repaired: self.repaired + other.repaired,
            bytes: self.bytes + other.bytes,
            freezes: self.freezes + other.freezes,
        }
    }
}
