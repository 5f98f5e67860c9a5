//! The metrics of a run: what each is called, its unit, and what it says; and the samples of them.

use std::collections::BTreeMap;

use crate::outcome::Samples;

/// A metric that runs sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name in asserts and outputs.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// What one sample is.
    pub meaning: &'static str,
}

const fn metric(name: &'static str, unit: &'static str, meaning: &'static str) -> Metric {
    Metric { name, unit, meaning }
}

/// All metrics. `docs/simulation.md` lists the same, which a test sees to.
pub const METRICS: &[Metric] = &[
    metric("one_way_ms", "ms", "a packet from its publisher to a viewer's node on another node"),
    metric("added_delay_ms", "ms", "the same, beyond the best path that the network has at that moment"),
    metric(
        "repaired_delay_ms",
        "ms",
        "the same as added_delay_ms, of packets that came out of order after a repair alone",
    ),
    metric("join_to_first_packet_ms", "ms", "from a node's want of a remote track to its first packet"),
    metric("join_over_rtt_ms", "ms", "the same, less the round trip to the publisher's node"),
    metric("enter_to_first_packet_ms", "ms", "from a person's entry into a room to the first remote packet for it"),
    metric("join_to_picture_ms", "ms", "from a node's want of a remote video layer to the first packet of a keyframe"),
    metric(
        "video_lost_percent",
        "%",
        "packets of a video layer that a node missed for good, of those published while it took it",
    ),
    metric("audio_lost_percent", "%", "the same of sound"),
    metric("delivered_percent", "%", "packets that a node got in time, of those published while it took the layer"),
    metric("first_2s_delivered_percent", "%", "the same, of the first two seconds after it began to take the layer"),
    metric("freeze_ms", "ms", "a picture that stood, from a lost reference to the next keyframe"),
    metric("freezes_per_minute", "1/min", "freezes of a video layer at a node, per minute of taking it"),
    metric(
        "copies_per_link",
        "copies",
        "flows of one layer over one directed link, whenever one begins and once a second",
    ),
    metric("copy_ms", "layer ms", "sum over all copies of the delay of their link, once a second"),
    metric(
        "copy_ms_ratio",
        "1",
        "copy_ms over that of straight copies of the same demand, once a second; voices that come twice on purpose count \
         once, here and below",
    ),
    metric(
        "source_egress_ratio",
        "1",
        "copies that leave publishers' nodes over straight copies of the same demand, once a second",
    ),
    metric(
        "wire_overhead_percent",
        "%",
        "bytes of video on a link beyond its RTP packets sent the first time: framing, QUIC and repair, UDP and IP not",
    ),
    metric("ip_overhead_percent", "%", "the same, UDP and IP included"),
    metric("keyframe_requests_per_s", "1/s", "keyframe requests that reach a publisher, per layer and second"),
    metric("nacks_off_lossy_link", "nacks", "repair requests on links that lose nothing"),
    metric("retransmitted_percent", "%", "packets sent again on a link, of those sent"),
    metric("shed_audio", "packets", "packets of sound that a node's schedulers dropped"),
    metric("shed_base", "packets", "the same of base layers and keyframes"),
    metric("shed_enhancement", "packets", "the same of layers above"),
    metric("tree_depth", "links", "links between a node and the publisher's node, once a second"),
    metric("stretch", "1", "delay of a node's path from the publisher's node over the best path, once a second"),
    metric("demand_up_ms", "ms", "from a want that nobody else has to the publisher's layer, less the path's delay"),
    metric("demand_down_ms", "ms", "from the end of the last want of a layer to the end of its publishing"),
    metric("moves_per_minute", "1/min", "changes of a node's parent in one tree"),
    metric("overlap_ms", "ms", "how long two parents sent a layer while a node changed from one to the other"),
    metric("queue_ms", "ms", "standing queue of a link with a rate, ten times a second"),
    metric("link_loss_percent", "%", "packets that the network lost on a link, of those sent"),
    metric("gossip_ms", "ms", "how late a node's news reach another node"),
    metric("death_known_ms", "ms", "from a node's death until another node knows of it by gossip"),
    metric(
        "video_gap_ms",
        "ms",
        "longest pause of a video layer at a node around a fault that lies on its way, both ends alive",
    ),
    metric("audio_gap_ms", "ms", "the same of sound"),
    metric(
        "failover_gap_ms",
        "ms",
        "from the begin of such a fault to the end of that pause, if it was longer than 100 ms",
    ),
    metric("keyframes_at_failover", "1", "1 when such a fault cost a video layer at a node its references, else 0"),
    metric(
        "gray_avoided_ms",
        "ms",
        "from the begin of a gray node until a layer goes round it, at each node that took it over that one",
    ),
    metric(
        "drain_lost_packets",
        "packets",
        "packets of sound that a node missed because one on their way drained, or relayed no more",
    ),
    metric(
        "move_gap_ms",
        "ms",
        "from the last packet of a track to the first of the one that follows it where its publisher goes on, at a node",
    ),
    metric("heal_ms", "ms", "from the end of a partition until all nodes of a room agree on who is in it"),
    metric(
        "ghosts",
        "participants",
        "participants whom nodes of a room show and who are not there, or the other way round, 15 s after faults",
    ),
    metric("media_back_ms", "ms", "from the end of somebody's node to the first packet of others at the next one"),
    metric("seen_again_ms", "ms", "from the end of a publisher's node to its first packet at each node that takes it"),
    metric("violations", "violations", "invariants that did not hold, in the whole run"),
];

/// The metric of that name.
pub fn find(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}

/// Samples kept of one metric; beyond, every other one is let go again and again.
const KEPT_MAX: usize = 1 << 17;

/// Collects the samples of one metric. Smallest and largest are kept always.
#[derive(Clone, Debug)]
pub struct Sampler {
    values: Vec<f64>,
    /// Of so many samples one is kept, a power of two.
    stride: u64,
    count: u64,
    least: f64,
    most: f64,
}

impl Default for Sampler {
    fn default() -> Self {
        Self { values: Vec::new(), stride: 1, count: 0, least: f64::INFINITY, most: f64::NEG_INFINITY }
    }
}

impl Sampler {
    /// Takes one.
    pub fn add(&mut self, value: f64) {
        (self.least, self.most) = (self.least.min(value), self.most.max(value));
        if self.count & (self.stride - 1) == 0 {
            self.values.push(value);
            if self.values.len() >= KEPT_MAX {
                let mut place = 0;
                self.values.retain(|_| {
                    place += 1;
                    place % 2 == 1
                });
                self.stride *= 2;
            }
        }
        self.count += 1;
    }

    /// All that were kept, sorted.
    pub fn into_samples(mut self) -> Samples {
        self.values.sort_unstable_by(f64::total_cmp);
        // Letting go of samples must not hide the worst one.
        if let (Some(first), Some(last)) = (self.values.first().copied(), self.values.last().copied()) {
            if self.least < first {
                self.values.insert(0, self.least);
            }
            if self.most > last {
                self.values.push(self.most);
            }
        }
        Samples { values: self.values }
    }
}

/// Collects all metrics.
#[derive(Clone, Debug, Default)]
pub struct Measures {
    samplers: BTreeMap<&'static str, Sampler>,
    /// Of every packet: `one_way_ms` and `added_delay_ms`.
    pub one_way: Sampler,
    /// See `one_way`.
    pub added: Sampler,
}

impl Measures {
    /// Takes a sample of a metric of [`METRICS`].
    pub fn add(&mut self, metric: &'static str, value: f64) {
        debug_assert!(find(metric).is_some(), "{metric} is not listed");
        self.samplers.entry(metric).or_default().add(value);
    }

    /// All samples by metric.
    pub fn into_samples(mut self) -> BTreeMap<String, Samples> {
        self.samplers.insert("one_way_ms", self.one_way);
        self.samplers.insert("added_delay_ms", self.added);
        let samples = self.samplers.into_iter().filter(|(_, sampler)| sampler.count > 0);
        samples.map(|(name, sampler)| (name.to_owned(), sampler.into_samples())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_samples_keep_their_distribution_and_their_extremes() {
        let mut sampler = Sampler::default();
        for number in 0..1_000_000_u32 {
            sampler.add(f64::from(number.wrapping_mul(2_654_435_761) % 1_000_000));
        }
        sampler.add(-5.0);
        sampler.add(2e6);
        let samples = sampler.into_samples();
        assert!(samples.values.len() <= KEPT_MAX + 2);
        assert_eq!((samples.percentile(0.0), samples.percentile(100.0)), (Some(-5.0), Some(2e6)));
        let median = samples.percentile(50.0).unwrap();
        assert!((median - 500_000.0).abs() < 5_000.0, "{median}");
    }
}
