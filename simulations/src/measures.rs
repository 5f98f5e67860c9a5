//! The metrics of a run: what each is called, its unit, and what it says.

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
    metric("copies_per_link", "copies", "flows of one layer over one directed link, whenever one begins"),
    metric("copy_ms", "layer ms", "sum over all copies of the delay of their link, once a second"),
    metric("copy_ms_ratio", "1", "copy_ms over that of straight copies of the same demand, once a second"),
    metric(
        "source_egress_ratio",
        "1",
        "copies that leave publishers' nodes over straight copies of the same demand, once a second",
    ),
    metric(
        "wire_overhead_percent",
        "%",
        "bytes on a link beyond RTP packets sent the first time, QUIC included, UDP and IP not",
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
    metric("violations", "violations", "invariants that did not hold, in the whole run"),
];

/// The metric of that name.
pub fn find(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}
