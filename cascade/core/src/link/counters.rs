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
    /// Parities of forward error correction sent and received; they count as link messages too.
    pub parities: [u64; 2],
    /// Packets of the peer that the path lost and a parity brought back.
    pub recovered: u64,
    /// Packets of the peer that the path lost, repaired or not.
    pub missed: u64,
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
    /// Keyframe requests of the peer that came too soon after the last, or for what is shed.
    pub keyframe_over_limit: u64,
    /// Packets of the peer that were lost and not repaired in time.
    pub lost: u64,
    /// Packets not sent because the link had no room for them: audio, base, enhancement.
    pub shed: [u64; 3],
    /// Repairs that the peer asked for and that would have been too many, or for what is shed.
    pub repair_refused: u64,
    /// Reports of the peer that came after a newer one.
    pub report_stale: u64,
    /// Reports of the peer that cannot be true.
    pub report_absurd: u64,
    /// Parities that do not fit the packets that they are said to cover.
    pub parity_wrong: u64,
}

impl Dropped {
    /// As (what, reason, count).
    pub fn list(&self) -> [(&'static str, &'static str, u64); 15] {
        [
            ("datagram", "malformed", self.malformed),
            ("link message", "unknown type", self.unknown_message),
            ("datagram", "duplicate", self.duplicate),
            ("datagram", "unknown flow", self.unknown_flow),
            ("link packet", "expired", self.expired),
            ("link packet", "link down", self.link_down),
            ("keyframe request", "over limit", self.keyframe_over_limit),
            ("datagram", "lost for good", self.lost),
            ("link packet", "audio shed", self.shed[0]),
            ("link packet", "base shed", self.shed[1]),
            ("link packet", "enhancement shed", self.shed[2]),
            ("repair", "refused", self.repair_refused),
            ("report", "stale", self.report_stale),
            ("report", "absurd", self.report_absurd),
            ("parity", "wrong", self.parity_wrong),
        ]
    }
}
