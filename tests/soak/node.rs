//! One look at a node: its memory and what its metrics say.

use std::collections::BTreeMap;

use anyhow::Result;
use origo_tests::mesh::Node;
use origo_tests::metrics::Metrics;
use origo_tests::process::{cpu_time, resident_bytes};
use serde::Serialize;

/// What must be zero when nobody is there.
const TRACES: [&str; 9] = [
    "origo_rooms",
    "origo_participants",
    "origo_tracks",
    "origo_connections",
    "origo_ice_tcp_streams",
    "origo_link_copies",
    "origo_link_receiving",
    "origo_worker_entries",
    "origo_webhooks_waiting",
];

/// What only grows.
const COUNTERS: [&str; 9] = [
    "origo_rtp_packets_total",
    "origo_rtp_bytes_total",
    "origo_link_packets_total",
    "origo_relayed_packets_total",
    "origo_passed_packets_total",
    "origo_nacks_total",
    "origo_keyframe_requests_total",
    "origo_datagrams_total",
    "origo_dropped_total",
];

/// A node at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct Look {
    /// Resident memory.
    pub resident_mib: f64,
    /// Processor time so far.
    pub cpu_seconds: f64,
    /// Values of the metrics that tell of participants, summed over their labels.
    pub traces: BTreeMap<&'static str, f64>,
    /// Values of counters, summed over their labels.
    pub counters: BTreeMap<&'static str, f64>,
    /// RTP packets from clients, to clients, from links and to links, as media workers count them.
    pub packets: [f64; 4],
    /// Packets that went from link to link.
    pub relayed: f64,
    /// Packets that no worker got: they came for other nodes alone, or for nobody any more.
    pub passed: f64,
    /// Messages that were not acted upon, by reason.
    pub dropped: BTreeMap<String, f64>,
}

impl Look {
    /// Whether nothing of any participant is left.
    pub fn is_empty(&self) -> bool {
        self.traces.values().all(|value| *value == 0.0)
    }

    /// Participants there.
    pub fn participants(&self) -> f64 {
        self.traces["origo_participants"]
    }
}

/// Looks at all nodes.
pub fn look(nodes: &[Node]) -> Result<Vec<Look>> {
    nodes.iter().map(one).collect()
}

fn one(node: &Node) -> Result<Look> {
    let metrics = Metrics::read(&node.metrics)?;
    let sums = |names: &[&'static str]| names.iter().map(|name| (*name, metrics.sum(name, &[]))).collect();
    let packets = |direction, via| metrics.sum("origo_rtp_packets_total", &[("direction", direction), ("via", via)]);
    Ok(Look {
        resident_mib: resident_bytes(node.pid)? as f64 / (1 << 20) as f64,
        cpu_seconds: cpu_time(node.pid)?.as_secs_f64(),
        traces: sums(&TRACES),
        counters: sums(&COUNTERS),
        packets: [packets("in", "client"), packets("out", "client"), packets("in", "link"), packets("out", "link")],
        relayed: metrics.sum("origo_relayed_packets_total", &[]),
        passed: metrics.sum("origo_passed_packets_total", &[]),
        dropped: metrics.by_label("origo_dropped_total", "reason"),
    })
}
