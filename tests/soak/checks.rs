//! What must be true after a soak.

use std::path::{Path, PathBuf};

use origo_client::load::Summary;
use origo_tests::mesh::Mesh;
use serde::Serialize;

use crate::node::Look;

/// Memory with the same people there may differ by so much.
const MEMORY_PERCENT_MAX: f64 = 5.0;
/// Packets that nodes and participants count may differ by so much: some are on the way when either is asked.
const PACKETS_PERCENT_MAX: f64 = 1.0;

/// Reasons for which a packet that a media worker or a relay sent to another node does not reach a worker there.
const LINK_LOSSES: [&str; 12] = [
    "audio shed",
    "base shed",
    "came from two peers",
    "enhancement shed",
    "expired",
    "link down",
    "link thread behind",
    "lost for good",
    "media worker behind",
    "nobody watches",
    "send buffer full",
    "unknown flow",
];

/// One of them.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What must be true.
    pub what: String,
    /// What was found.
    pub found: String,
    /// Whether it is true.
    pub holds: bool,
    /// Whether the soak fails without it. What a machine without cores to spare cannot keep up does not.
    pub decides: bool,
}

/// All of them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Checks(Vec<Check>);

impl Checks {
    /// Whether everything is true.
    pub fn hold(&self) -> bool {
        self.0.iter().all(|check| check.holds || !check.decides)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Check> {
        self.0.iter()
    }

    fn note(&mut self, what: impl Into<String>, found: impl Into<String>, holds: bool) {
        self.0.push(Check { what: what.into(), found: found.into(), holds, decides: true });
    }

    fn remark(&mut self, what: &str, found: String, holds: bool) {
        self.0.push(Check { what: what.to_owned(), found, holds, decides: false });
    }

    /// Memory by node, with the same people there.
    pub fn memory(&mut self, before: &[f64], after: &[f64]) {
        let percent = |before: f64, after: f64| 100.0 * (after - before) / before.max(1.0);
        let (sum_before, sum_after): (f64, f64) = (before.iter().sum(), after.iter().sum());
        let total = percent(sum_before, sum_after);
        let each: Vec<String> = before.iter().zip(after).map(|(b, a)| format!("{b:.1} → {a:.1}")).collect();
        let found = format!("{sum_before:.1} → {sum_after:.1} MiB ({total:+.1} %); by node {}", each.join(", "));
        self.note(format!("memory grows by {MEMORY_PERCENT_MAX} % at most"), found, total <= MEMORY_PERCENT_MAX);
    }

    /// What participants and nodes counted.
    pub fn counts(&mut self, summary: &Summary, looks: &[Look]) {
        let stayed = summary.failed_joins + summary.dropped;
        let found = format!("{} joined, {} failed, {} dropped", summary.joins, summary.failed_joins, summary.dropped);
        self.note("every join works and no session is dropped", found, stayed == 0);
        let streams = format!("{} silent, {} stalled", summary.silent, summary.stalled);
        self.remark("every subscription gets its packets", streams, summary.silent + summary.stalled == 0);
        let delivered = summary.delivered_percent;
        self.remark("99.5 % of all packets arrive", format!("{delivered:.3} %"), delivered >= 99.5);
        let [from_clients, to_clients, from_links, to_links] =
            std::array::from_fn(|way| looks.iter().map(|look| look.packets[way]).sum::<f64>());
        self.near("nodes receive what publishers make", summary.sent as f64, from_clients);
        let dropped: f64 =
            looks.iter().flat_map(|look| LINK_LOSSES.iter().filter_map(|why| look.dropped.get(*why))).sum();
        let relayed: f64 = looks.iter().map(|look| look.relayed).sum();
        let passed: f64 = looks.iter().map(|look| look.passed).sum();
        let sent = to_links + relayed - dropped - passed;
        let what = "workers get what workers and relays send, less what nodes say they dropped or had for others alone";
        self.near(what, sent, from_links);
        let received = (summary.received.unique + summary.foreign) as f64;
        self.near("participants receive what nodes send", to_clients, received);
    }

    fn near(&mut self, what: &str, expected: f64, found: f64) {
        let percent = 100.0 * (found - expected) / expected.max(1.0);
        self.note(
            what,
            format!("{expected:.0} and {found:.0} ({percent:+.2} %)"),
            percent.abs() <= PACKETS_PERCENT_MAX,
        );
    }

    /// After the last has left.
    pub fn emptiness(&mut self, looks: &[Look]) {
        let left: Vec<String> = (looks.iter().enumerate())
            .flat_map(|(node, look)| look.traces.iter().map(move |(name, value)| (node, name, value)))
            .filter(|(_, _, value)| **value != 0.0)
            .map(|(node, name, value)| format!("node {node}: {name} {value}"))
            .collect();
        let found = if left.is_empty() { "nothing".to_owned() } else { left.join(", ") };
        self.note("nothing of any participant is left", found, left.is_empty());
    }

    /// Between two looks at empty nodes.
    pub fn quiet(&mut self, before: &[Look], after: &[Look]) {
        let packets = |looks: &[Look]| looks.iter().flat_map(|look| look.packets).sum::<f64>();
        let grown = packets(after) - packets(before);
        self.note("no media flows in empty rooms", format!("{grown} packets"), grown == 0.0);
    }

    /// Over the whole time: counters never fall, and nothing is below zero.
    pub fn course(&mut self, looks: &[&Vec<Look>]) {
        let mut faults = Vec::new();
        for pair in looks.windows(2) {
            for (node, (before, after)) in pair[0].iter().zip(pair[1]).enumerate() {
                let fell = before.counters.iter().filter(|(name, value)| after.counters[*name] < **value);
                faults.extend(fell.map(|(name, _)| format!("node {node}: {name} fell")));
                let negative = after.traces.iter().filter(|(_, value)| **value < 0.0);
                faults.extend(negative.map(|(name, value)| format!("node {node}: {name} {value}")));
            }
        }
        let found = if faults.is_empty() { format!("{} looks", looks.len()) } else { faults.join(", ") };
        self.note("counters never fall and gauges are never negative", found, faults.is_empty());
    }

    /// The nodes still run, and their logs tell of no panic and no error.
    pub fn processes(&mut self, mesh: &mut Mesh, scratch: &Path) {
        let alive = mesh.description.nodes.iter().filter(|node| origo_tests::process::exists(node.pid)).count();
        let nodes = mesh.description.nodes.len();
        self.note("all nodes run", format!("{alive} of {nodes}"), mesh.process.is_running() && alive == nodes);
        let mut logs = Vec::new();
        find_logs(scratch, &mut logs);
        let mut bad = Vec::new();
        for log in &logs {
            let text = String::from_utf8_lossy(&std::fs::read(log).unwrap_or_default()).into_owned();
            bad.extend(
                text.lines().filter(|line| line.contains("panicked") || line.contains("ERROR")).map(str::to_owned),
            );
        }
        let found = format!(
            "{} in {} logs{}",
            bad.len(),
            logs.len(),
            bad.first().map_or(String::new(), |line| format!(": {line}"))
        );
        self.note("no log tells of a panic or an error", found, bad.is_empty() && logs.len() == nodes);
    }
}

fn find_logs(folder: &Path, logs: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            find_logs(&path, logs);
        } else if path.extension().is_some_and(|extension| extension == "log") {
            logs.push(path);
        }
    }
}
