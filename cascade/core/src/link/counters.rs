//! What a link counts.

use super::Class;

/// Direction of a count: what we send.
pub(super) const OUT: usize = 0;
/// Direction of a count: what we receive.
pub(super) const IN: usize = 1;
/// The place of retransmissions, of any class, behind the four classes.
pub(super) const RTX: usize = 4;

/// Counters of one peer's link, all since the start of the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Packets and bytes (datagram bytes, before QUIC) by direction (0 out, 1 in) and class (`link`, `audio`, `base`,
    /// `enhancement`, and `rtx` for retransmissions of any).
    pub packets: [[u64; 5]; 2],
    /// As `packets`.
    pub bytes: [[u64; 5]; 2],
    /// Repair requests sent and received.
    pub nacks: [u64; 2],
    /// Keyframe requests sent and received.
    pub keyframe_requests: [u64; 2],
    /// Layers that we send to this peer right now.
    pub copies: u64,
    /// Layers that we have asked this peer for.
    pub receiving: u64,
}

impl Stats {
    pub(super) fn count(&mut self, direction: usize, place: usize, bytes: usize) {
        self.packets[direction][place] += 1;
        self.bytes[direction][place] += bytes as u64;
    }

    pub(super) fn count_packet(&mut self, direction: usize, class: Class, is_retransmission: bool, bytes: usize) {
        self.count(direction, if is_retransmission { RTX } else { class as usize }, bytes);
    }
}

/// What a link dropped, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Datagrams that cannot be read.
    pub malformed: u64,
    /// Link messages of a type that this version does not know.
    pub unknown_message: u64,
    /// Packets that came already.
    pub duplicate: u64,
    /// Packets, reports or requests for a flow that is not (or no longer) agreed on.
    pub unknown_flow: u64,
    /// Packets to send that waited too long in this node.
    pub expired: u64,
    /// Packets to send to a peer without a media connection.
    pub link_down: u64,
    /// Keyframe requests of the peer that came too soon after the last.
    pub keyframe_over_limit: u64,
    /// Packets of the peer that were lost and not repaired in time.
    pub lost: u64,
}

impl Dropped {
    /// As (what, reason, count).
    pub fn list(&self) -> [(&'static str, &'static str, u64); 8] {
        [
            ("datagram", "malformed", self.malformed),
            ("link message", "unknown type", self.unknown_message),
            ("datagram", "duplicate", self.duplicate),
            ("datagram", "unknown flow", self.unknown_flow),
            ("link packet", "expired", self.expired),
            ("link packet", "link down", self.link_down),
            ("keyframe request", "over limit", self.keyframe_over_limit),
            ("datagram", "lost for good", self.lost),
        ]
    }
}
