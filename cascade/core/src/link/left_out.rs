//! Which RTP numbers of a stream a peer does not get on purpose, so that it can tell them from lost ones.

use super::{Extensions, Packet};

/// Numbers that were left out towards one peer.
#[derive(Debug, Default)]
pub struct LeftOut {
    /// Above all numbers so far.
    next: u64,
    /// How many right below `next`.
    run: u16,
    /// Each number below `next`, the nearest lowest.
    recent: u128,
}

impl LeftOut {
    /// Above all numbers so far.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// A number is left out, or is not; `skipped` right before it an earlier hop has left out. Gives how many right
    /// below it were, for [`Packet::skipped`].
    pub fn note(&mut self, number: u64, is_left_out: bool, skipped: u16) -> u16 {
        let bit = u128::from(is_left_out);
        if number >= self.next {
            let gap = number - self.next;
            let below = if gap == u64::from(skipped) { self.run.saturating_add(skipped) } else { skipped };
            self.recent = self.recent.checked_shl(u32::try_from(gap + 1).unwrap_or(u32::MAX)).unwrap_or(0) | bit;
            self.run = if is_left_out { below.saturating_add(1) } else { 0 };
            self.next = number + 1;
            return below;
        }
        let back = self.next - 1 - number;
        if back >= u64::from(u128::BITS) {
            return 0;
        }
        let below = u128::MAX.checked_shr(u128::BITS - u32::from(skipped).min(u128::BITS)).unwrap_or(0);
        self.recent |= (below << back << 1) | (bit << back);
        self.run = self.run.max(self.recent.trailing_ones() as u16);
        (self.recent >> back >> 1).trailing_ones() as u16
    }

    /// When numbers are missing between what was left out last and `packet`, no later packet can tell of the former:
    /// a packet without payload does.
    pub fn before_gap(&self, packet: &Packet) -> Option<Packet> {
        let gap = packet.sequence.checked_sub(self.next).is_some_and(|gap| gap > u64::from(packet.skipped));
        (gap && self.run > 0).then(|| void(packet, self.next - 1, self.run - 1))
    }
}

/// A packet without payload, in the picture of `packet`: it says of its own number, and of some before it, that they
/// were left out.
pub fn void(packet: &Packet, sequence: u64, skipped: u16) -> Packet {
    let (extensions, payload) = (Extensions::default(), [0_u8; 0].into());
    Packet { sequence, skipped, marker: false, key: false, extensions, payload, ..*packet }
}
