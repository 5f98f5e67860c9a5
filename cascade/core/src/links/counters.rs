//! What the links of a node count beside what each link counts.

/// All since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets passed on from one link to another, each copy counted.
    pub relayed: u64,
    /// Packets that came for other nodes alone, or for nobody any more: no worker of this node takes their layer.
    pub passed: u64,
    /// Packets that two peers sent while a parent changed: the second of each.
    pub doubled: u64,
    /// Packets sent once more to peers that came from a parent that failed.
    pub refilled: u64,
    /// Keyframe requests for a layer that no peer sends us right now.
    pub stray_keyframe: u64,
}

impl Counters {
    /// What was dropped, as (what, reason, count).
    pub fn list(&self) -> [(&'static str, &'static str, u64); 2] {
        [("link packet", "came from two peers", self.doubled), ("keyframe request", "no source", self.stray_keyframe)]
    }
}
