//! Counters of the mesh, as the node's metrics read them.

use origo_auth::NodeId;

/// Counters of one peer's link, all since the start of the process.
#[derive(Clone, Debug, Default)]
pub struct LinkStats {
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
}

/// Counters of the whole mesh.
#[derive(Clone, Debug, Default)]
pub struct MeshStats {
    /// By peer.
    pub links: Vec<(NodeId, LinkStats)>,
    /// What was dropped and why, such as (`datagram`, `unknown flow`).
    pub dropped: Vec<(&'static str, &'static str, u64)>,
}
