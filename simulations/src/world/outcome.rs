//! What a run leaves.

use super::{World, ms};
use crate::network::{IP_BYTES, QUIC_BYTES};
use crate::outcome::{AssertOutcome, LinkOutcome, NodeOutcome, Outcome, Samples, TreeOutcome};
use crate::scenario::{Assertion, Statistic};

/// Links with fewer packets of pictures say nothing of overhead.
const VIDEO_PACKETS_LEAST: u64 = 500;

impl World<'_> {
    pub(super) fn into_outcome(mut self) -> Outcome {
        self.end_watches();
        self.check_left_over();
        self.measure_trees();
        self.measure_links();
        let (links, trees, nodes) = (self.link_outcomes(), self.tree_outcomes(), self.node_outcomes());
        let violations = self.violation_count;
        self.measures.add("violations", violations as f64);
        let metrics = self.measures.into_samples();
        let assertion = |assertion| judge(assertion, metrics.get(&assertion.metric));
        Outcome {
            scenario: self.scenario.name.clone(),
            scenario_hash: self.scenario.hash.clone(),
            seed: self.scenario.seed,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            policy: self.scenario.policy.relay.to_owned(),
            duration_s: (self.end as f64 - super::SETTLES.as_nanos() as f64) / 1e9,
            events: self.events,
            asserts: self.scenario.asserts.iter().map(assertion).collect(),
            metrics,
            seconds: self.seconds,
            begun: self.begun,
            nodes,
            links,
            trees,
            violations: self.violations,
        }
    }

    fn end_watches(&mut self) {
        self.end_pauses();
        for track in 0..self.tracks.len() {
            for layer in 0..self.tracks[track].layers.len() {
                let nodes: Vec<usize> = self.tracks[track].layers[layer].watches.nodes().collect();
                nodes.into_iter().for_each(|node| self.end_watch(track, layer as u8, node));
            }
        }
    }

    fn measure_trees(&mut self) {
        let now = self.now;
        let places = self.trees.trees.values().flat_map(|tree| tree.nodes.values());
        let moves = places.map(|place| place.moves as f64 / ((now - place.since) as f64 / 60e9).max(1.0 / 6.0));
        let moves: Vec<f64> = moves.collect();
        moves.into_iter().for_each(|moves| self.measure("moves_per_minute", moves));
    }

    fn measure_links(&mut self) {
        let lossless = |path: &crate::network::Path| path.tally.lost + path.tally.dropped == 0;
        for from in 0..self.nodes.len() {
            for to in 0..self.nodes.len() {
                let path = &self.paths[from * self.nodes.len() + to];
                let sent = &self.nodes[from].sent[to];
                if sent.rtp_bytes == 0 {
                    continue;
                }
                let lost = (path.tally.lost + path.tally.dropped) as f64 / path.tally.packets.max(1) as f64 * 100.0;
                let id = self.nodes[from].id;
                let nacks = self.nodes[to].links.stats(id).map_or(0, |stats| stats.nacks[0]);
                let again = self.nodes[from].links.stats(self.nodes[to].id).map_or(0, |stats| stats.packets[0][4]);
                let again = again as f64 / sent.datagrams.max(1) as f64 * 100.0;
                let (video, clean) = (sent.video_datagrams, lossless(path));
                let framed = (sent.video_datagram_bytes + video * QUIC_BYTES as u64) as f64;
                let (rtp, ip) = (sent.video_rtp_bytes as f64, (video * IP_BYTES as u64) as f64);
                self.measure("link_loss_percent", lost);
                self.measure("retransmitted_percent", again);
                if clean {
                    self.measure("nacks_off_lossy_link", nacks as f64);
                }
                if video >= VIDEO_PACKETS_LEAST {
                    self.measure("wire_overhead_percent", (framed / rtp - 1.0) * 100.0);
                    self.measure("ip_overhead_percent", ((framed + ip) / rtp - 1.0) * 100.0);
                }
            }
        }
    }

    fn node_outcomes(&self) -> Vec<NodeOutcome> {
        let count = self.nodes.len();
        let nodes = self.scenario.topology.nodes.iter().enumerate().map(|(place, node)| NodeOutcome {
            name: node.name.clone(),
            region: node.region.name.clone(),
            latitude: node.region.latitude,
            longitude: node.region.longitude,
            bytes_out: self.paths[place * count..(place + 1) * count].iter().map(|path| path.tally.bytes).sum(),
        });
        nodes.collect()
    }

    fn link_outcomes(&mut self) -> Vec<LinkOutcome> {
        let count = self.nodes.len();
        let mut links = Vec::new();
        for place in 0..count * count {
            let (from, to) = (place / count, place % count);
            if from == to || self.paths[place].tally.bytes == 0 {
                continue;
            }
            let (a, b) = (self.nodes[from].id, self.nodes[to].id);
            let sent = std::mem::take(&mut self.nodes[from].sent[to]);
            let stats = self.nodes[from].links.stats(b);
            let tally = self.paths[place].tally;
            links.push(LinkOutcome {
                from: self.name(from).to_owned(),
                to: self.name(to).to_owned(),
                bytes: tally.bytes,
                warm_bytes: tally.bytes - self.cold_bytes.get(place).copied().unwrap_or(0),
                payload_bytes: sent.payload_bytes,
                packets: tally.packets,
                lost: tally.lost + tally.dropped,
                lost_for_good: self.nodes[to].links.dropped(a).map_or(0, |dropped| dropped.lost),
                retransmissions: stats.map_or(0, |stats| stats.packets[0][4]),
                fec: stats.map_or(0, |stats| stats.parities[0]),
                copies_max: sent.copies_max,
                rtt_ms: self.nodes[from].links.metric(b).map_or(0.0, |metric| ms(metric.rtt.as_nanos() as u64)),
                queue_ms: sent.queue.into_samples().percentile(95.0).unwrap_or(0.0),
            });
        }
        links
    }

    fn tree_outcomes(&self) -> Vec<TreeOutcome> {
        let mut trees = Vec::new();
        for ((room, origin), tree) in self.trees.trees.iter().filter(|(_, tree)| !tree.nodes.is_empty()) {
            let edges = tree.nodes.iter().flat_map(|(node, place)| {
                let edge = move |(parent, layers): (&usize, &u64)| {
                    let why = if parent == origin { "straight" } else { "relayed" };
                    (self.name(*parent).to_owned(), self.name(*node).to_owned(), *layers, why.to_owned())
                };
                place.parents.iter().map(edge)
            });
            trees.push(TreeOutcome {
                room: self.rooms[*room].key.name.clone(),
                origin: self.name(*origin).to_owned(),
                edges: edges.collect(),
            });
        }
        trees
    }
}

/// Whether samples are as a scenario asserts.
pub fn judge(assertion: &Assertion, samples: Option<&Samples>) -> AssertOutcome {
    let empty = Samples::default();
    let samples = samples.unwrap_or(&empty);
    let measured = match assertion.statistic {
        Statistic::Min => samples.values.first().copied(),
        Statistic::Max => samples.values.last().copied(),
        Statistic::Mean => samples.mean(),
        Statistic::P50 => samples.percentile(50.0),
        Statistic::P95 => samples.percentile(95.0),
        Statistic::P99 => samples.percentile(99.0),
        Statistic::Count => Some(samples.values.len() as f64),
    };
    let (statistic, sign) = (assertion.statistic.name(), assertion.comparison.sign());
    AssertOutcome {
        what: format!("{} {statistic} {sign} {}", assertion.metric, assertion.bound),
        measured,
        holds: measured.is_some_and(|measured| assertion.comparison.holds(measured, assertion.bound)),
    }
}
