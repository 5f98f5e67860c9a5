//! What a run leaves: everything that reports, asserts and comparisons are made of.
//!
//! Equal scenario, seed and version give an equal outcome, byte for byte once written; the time that the run itself took
//! is kept apart.

use std::collections::BTreeMap;

/// What one run of a scenario gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// The scenario's name: its file without the ending.
    pub scenario: String,
    /// Hash of the scenario's text.
    pub scenario_hash: String,
    /// The seed.
    pub seed: u64,
    /// Version of the simulator.
    pub version: String,
    /// Relay policy.
    pub policy: String,
    /// Seconds of virtual time, warm-up included.
    pub duration_s: f64,
    /// Events handled.
    pub events: u64,
    /// Samples by metric. Names and units are listed in `docs/simulation.md`.
    pub metrics: BTreeMap<String, Samples>,
    /// One row a second of virtual time.
    pub seconds: Vec<Second>,
    /// Nodes, in the order of the scenario.
    pub nodes: Vec<NodeOutcome>,
    /// Directed links that carried something.
    pub links: Vec<LinkOutcome>,
    /// When the first camera (`true`) and the first microphone of everybody who publishes began, ns since the start. For
    /// who repeats the run elsewhere; in no report.
    pub begun: BTreeMap<(String, bool), u64>,
    /// Trees as they stood at the end.
    pub trees: Vec<TreeOutcome>,
    /// Invariants that did not hold; a run with one has failed.
    pub violations: Vec<Violation>,
    /// Asserts of the scenario.
    pub asserts: Vec<AssertOutcome>,
}

/// The samples of one metric.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    /// All of them, sorted once the run is over.
    pub values: Vec<f64>,
}

impl Samples {
    /// The value that so many percent do not exceed (nearest rank); `None` without samples.
    pub fn percentile(&self, percent: f64) -> Option<f64> {
        let last = self.values.len().checked_sub(1)?;
        let rank = (percent / 100.0 * self.values.len() as f64).ceil() as usize;
        Some(self.values[rank.saturating_sub(1).min(last)])
    }

    /// Their mean; `None` without samples.
    pub fn mean(&self) -> Option<f64> {
        (!self.values.is_empty()).then(|| self.values.iter().sum::<f64>() / self.values.len() as f64)
    }
}

/// One second of virtual time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Second {
    /// Packets that publishers sent.
    pub published: u64,
    /// Packets that viewers' nodes delivered to viewers.
    pub delivered: u64,
    /// Packets that viewers missed for good.
    pub missed: u64,
    /// Packets that the network lost or dropped.
    pub network_lost: u64,
    /// Packets sent again on a link.
    pub repaired: u64,
    /// Bytes on all links, everything included.
    pub link_bytes: u64,
    /// Layers that cross links, summed over links.
    pub copies: u64,
    /// Packets shed by schedulers, by class: audio, base, enhancement.
    pub shed: [u64; 3],
    /// Keyframe requests that reached publishers.
    pub keyframe_requests: u64,
    /// Parents that changed.
    pub moves: u64,
    /// Median one-way delay from publisher to viewer, ms; 0 without a packet.
    pub one_way_ms: f64,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeOutcome {
    /// Its name in the scenario.
    pub name: String,
    /// Its region.
    pub region: String,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// Bytes that it sent to other nodes.
    pub bytes_out: u64,
}

/// What crossed a link in one direction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LinkOutcome {
    /// Sending node.
    pub from: String,
    /// Receiving node.
    pub to: String,
    /// Bytes on the wire, QUIC, UDP and IP included.
    pub bytes: u64,
    /// Of these after the warm-up.
    pub warm_bytes: u64,
    /// Bytes of RTP payload among them, first transmissions only.
    pub payload_bytes: u64,
    /// Packets.
    pub packets: u64,
    /// Of these lost by the network.
    pub lost: u64,
    /// Of the media packets among those, never repaired.
    pub lost_for_good: u64,
    /// Sent again.
    pub retransmissions: u64,
    /// FEC packets.
    pub fec: u64,
    /// Highest number of copies of one (track, layer) at a time, overlaps while a parent changes not counted.
    pub copies_max: u64,
    /// Round trip as the link measured it at the end, ms.
    pub rtt_ms: f64,
    /// Standing queue, 95th percentile, ms.
    pub queue_ms: f64,
}

/// One tree.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TreeOutcome {
    /// The room.
    pub room: String,
    /// Name of the origin's node.
    pub origin: String,
    /// (parent, child, layers on the edge, why).
    pub edges: Vec<(String, String, u64, String)>,
}

/// An invariant that did not hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Violation {
    /// When, seconds of virtual time.
    pub at_s: f64,
    /// Which, and what was seen instead.
    pub what: String,
}

/// One assert.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AssertOutcome {
    /// As written: `added_delay_ms p95 <= 15`.
    pub what: String,
    /// What was measured; `None` when there were no samples, which fails.
    pub measured: Option<f64>,
    /// Whether it holds.
    pub holds: bool,
}
