//! Names, meanings and labels of all metrics.

use metrics::{counter, describe_counter, describe_gauge, gauge, with_local_recorder};
use metrics_exporter_prometheus::PrometheusBuilder;
use origo_cascade::{LinkStats, Measured, MeshStats};
use origo_cascade_core::MediaKind;
use origo_node_core::media::{self, Direction, Via};
use origo_node_core::overload::Resource;

use super::Snapshot;
use crate::overload::State;
use crate::rooms::RoomsStats;
use crate::webhooks;

/// Labels of the directions, in the order of [`LinkStats`].
const DIRECTIONS: [&str; 2] = ["out", "in"];
/// Labels of the classes, in the order of [`LinkStats`].
const CLASSES: [&str; 5] = ["link", "audio", "base", "enhancement", "rtx"];

/// The page in Prometheus' text format.
pub fn render(snapshot: &Snapshot) -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    with_local_recorder(&recorder, || {
        describe();
        build(snapshot);
        rooms(&snapshot.rooms);
        workers(&snapshot.workers);
        overload(&snapshot.overload);
        mesh(&snapshot.mesh);
        if let Some(stats) = &snapshot.webhooks {
            webhooks(stats);
        }
        let front_ends = snapshot.dropped.iter().copied();
        let rooms = snapshot.rooms.dropped.iter().map(|(&(what, reason), &count)| (what, reason, count));
        let workers = snapshot.workers.iter().flat_map(|(stats, _)| stats.dropped());
        let mesh = snapshot.mesh.dropped.iter().copied();
        for (what, reason, count) in front_ends.chain(rooms).chain(workers).chain(mesh) {
            counter!("origo_dropped_total", "what" => what, "reason" => reason).increment(count);
        }
    });
    recorder.handle().render()
}

fn describe() {
    describe_gauge!("origo_build_info", "Always 1; its labels say which node this is and what it runs");
    describe_gauge!("origo_nodes", "Living nodes as gossip tells it, this one among them");
    describe_gauge!("origo_rooms", "Rooms with at least one participant on this node");
    describe_gauge!("origo_rooms_spread", "Rooms that sit on several media workers of this node");
    describe_gauge!("origo_participants", "Participants on this node");
    describe_gauge!("origo_tracks", "Tracks published on this node, by kind");
    describe_gauge!("origo_worker_load", "Busy share of each media worker's thread, 0 to 1");
    describe_gauge!("origo_worker_entries", "Entries of the media workers' tables, which empty rooms leave empty");
    describe_gauge!("origo_connections", "WebRTC connections right now");
    describe_gauge!("origo_ice_tcp_streams", "TCP connections of clients that speak ICE, right now");
    describe_counter!(
        "origo_rtp_packets_total",
        "RTP packets by direction, kind and the other end; no retransmissions"
    );
    describe_counter!("origo_rtp_bytes_total", "Payload bytes of origo_rtp_packets_total");
    describe_counter!("origo_link_packets_total", "Datagrams of links by peer, direction and class; rtx are repairs");
    describe_counter!("origo_relayed_packets_total", "Packets that went from link to link without a media worker");
    describe_counter!("origo_passed_packets_total", "Packets from links whose layer no media worker here takes");
    describe_counter!("origo_link_bytes_total", "Bytes of origo_link_packets_total, before QUIC");
    describe_gauge!("origo_link_rtt_seconds", "Smoothed round trip to the peer");
    describe_gauge!("origo_link_jitter_seconds", "Smoothed deviation of the one-way delay from the peer");
    describe_gauge!("origo_link_queue_seconds", "What stands in queues towards the peer, here and on the path");
    describe_gauge!("origo_link_loss_ratio", "Share of the peer's packets lost lately, before and after repair");
    describe_gauge!("origo_link_allowed_bits_per_second", "What the link's estimator lets go to the peer");
    describe_gauge!("origo_link_copies", "Track layers that this node sends to the peer right now");
    describe_gauge!("origo_link_second_copies", "Track layers asked of the peer though another one sends them too");
    describe_counter!("origo_failovers_total", "Parents of trees that this node left against the plan, by reason");
    describe_counter!("origo_failover_gaps_total", "Times without a layer until another parent sent it, by length");
    describe_gauge!("origo_failover_gap_seconds", "All of these times together");
    describe_gauge!("origo_link_receiving", "Track layers that this node has asked the peer for");
    describe_counter!("origo_nacks_total", "Packets asked for again; out: asked by this node");
    describe_counter!("origo_keyframe_requests_total", "Keyframes asked for; out: asked by this node");
    describe_counter!("origo_sound_withheld_total", "Packets of sounds that a client did not get: others were louder");
    describe_gauge!("origo_overload_level", "What the node does without: 1 newcomers, 2 upper layers, 3 relaying too");
    describe_gauge!("origo_overload_shed_parts", "How many of three parts of the upper layers are shed");
    describe_gauge!(
        "origo_overload_usage_ratio",
        "Share of each resource that is in use; those without a limit are absent"
    );
    describe_counter!("origo_webhooks_total", "Attempts to deliver a webhook, by what came of them");
    describe_gauge!("origo_webhooks_waiting", "Webhooks in the queue on disk");
    describe_counter!("origo_dropped_total", "What came and was not acted upon, and why");
    describe_counter!("origo_srtp_sessions", "WebRTC connections whose SRTP came up, by protection profile");
    describe_counter!("origo_datagrams_total", "Datagrams to clients, retransmissions and RTCP among them");
    describe_counter!("origo_sends_total", "System calls that carried origo_datagrams_total");
}

/// The size of one of a worker's tables.
type TableSize = fn(&media::Entries) -> usize;

/// Tables of media workers by the name of their label.
const WORKER_TABLES: [(&str, TableSize); 6] = [
    ("sessions", |entries| entries.sessions),
    ("tracks", |entries| entries.tracks),
    ("serves", |entries| entries.serves),
    ("siblings", |entries| entries.siblings),
    ("clocks", |entries| entries.clocks),
    ("addresses", |entries| entries.addresses),
];

fn build(snapshot: &Snapshot) {
    let node = snapshot.node.to_string();
    let version = env!("CARGO_PKG_VERSION");
    gauge!("origo_build_info", "version" => version, "node" => node, "region" => snapshot.region.clone()).set(1.0);
    gauge!("origo_nodes").set(snapshot.nodes as f64);
}

fn rooms(stats: &RoomsStats) {
    gauge!("origo_rooms").set(stats.rooms as f64);
    gauge!("origo_rooms_spread").set(stats.rooms_spread as f64);
    gauge!("origo_participants").set(stats.participants as f64);
    gauge!("origo_tracks", "kind" => "audio").set(stats.audio_tracks as f64);
    gauge!("origo_tracks", "kind" => "video").set(stats.video_tracks as f64);
}

fn overload(state: &State) {
    gauge!("origo_overload_level").set(f64::from(state.step.level() as u8));
    gauge!("origo_overload_shed_parts").set(f64::from(state.step.shed()));
    for resource in Resource::ALL {
        if let Some(share) = state.usage.get(resource) {
            gauge!("origo_overload_usage_ratio", "resource" => resource.name()).set(share);
        }
    }
}

fn webhooks(stats: &webhooks::Stats) {
    for (result, count) in stats.results {
        counter!("origo_webhooks_total", "result" => result).absolute(count);
    }
    gauge!("origo_webhooks_waiting").set(stats.waiting as f64);
}

fn workers(workers: &[(media::Stats, f64)]) {
    let all = || workers.iter().map(|(stats, _)| stats);
    for (index, (_, load)) in workers.iter().enumerate() {
        gauge!("origo_worker_load", "worker" => index.to_string()).set(*load);
    }
    gauge!("origo_connections").set(all().map(|stats| stats.connections).sum::<u64>() as f64);
    gauge!("origo_ice_tcp_streams").set(all().map(|stats| stats.tcp_streams).sum::<u64>() as f64);
    for (table, of) in WORKER_TABLES {
        gauge!("origo_worker_entries", "table" => table)
            .set(all().map(|stats| of(&stats.entries)).sum::<usize>() as f64);
    }
    counter!("origo_datagrams_total", "direction" => "out").absolute(all().map(|stats| stats.datagrams_out).sum());
    counter!("origo_sends_total").absolute(all().map(|stats| stats.sends_out).sum());
    counter!("origo_sound_withheld_total").absolute(all().map(|stats| stats.sound_withheld).sum());
    for (direction, way) in [(Direction::Out, "out"), (Direction::In, "in")] {
        for (via, end) in [(Via::Client, "client"), (Via::Link, "link"), (Via::Sibling, "sibling")] {
            for kind in [MediaKind::Audio, MediaKind::Video] {
                rtp(all(), (direction, way), kind, (via, end));
            }
        }
        // What links ask of each other is counted by the links, see `mesh`.
        let nacks = all().map(|stats| stats.nacks(direction, Via::Client)).sum();
        counter!("origo_nacks_total", "direction" => way, "via" => "client").absolute(nacks);
        for (via, end) in [(Via::Client, "client"), (Via::Sibling, "sibling")] {
            let keyframes = all().map(|stats| stats.keyframe_requests(direction, via)).sum();
            counter!("origo_keyframe_requests_total", "direction" => way, "via" => end).absolute(keyframes);
        }
    }
    for (profile, sessions) in all().flat_map(|stats| &stats.srtp_sessions) {
        counter!("origo_srtp_sessions", "profile" => *profile).increment(*sessions);
    }
}

fn rtp<'a>(
    workers: impl Iterator<Item = &'a media::Stats>,
    (direction, way): (Direction, &'static str),
    kind: MediaKind,
    (via, end): (Via, &'static str),
) {
    let word = if kind == MediaKind::Audio { "audio" } else { "video" };
    let (mut packets, mut bytes) = (0, 0);
    for traffic in workers.map(|stats| stats.rtp(direction, kind, via)) {
        packets += traffic.packets;
        bytes += traffic.bytes;
    }
    counter!("origo_rtp_packets_total", "direction" => way, "kind" => word, "via" => end).absolute(packets);
    counter!("origo_rtp_bytes_total", "direction" => way, "kind" => word, "via" => end).absolute(bytes);
}

fn mesh(stats: &MeshStats) {
    let sum = |of: fn(&LinkStats) -> [u64; 2], way| stats.links.iter().map(|(_, link)| of(link)[way]).sum();
    for (way, direction) in DIRECTIONS.into_iter().enumerate() {
        let nacks = sum(|link| link.nacks, way);
        counter!("origo_nacks_total", "direction" => direction, "via" => "link").absolute(nacks);
        let keyframes = sum(|link| link.keyframe_requests, way);
        counter!("origo_keyframe_requests_total", "direction" => direction, "via" => "link").absolute(keyframes);
    }
    for (why, count) in stats.rescues.left() {
        counter!("origo_failovers_total", "why" => why).absolute(count);
    }
    for (at_most, count) in stats.rescues.gaps() {
        counter!("origo_failover_gaps_total", "at_most" => at_most).absolute(count);
    }
    for (why, packets) in stats.relayed {
        counter!("origo_relayed_packets_total", "why" => why).absolute(packets);
    }
    counter!("origo_passed_packets_total").absolute(stats.passed);
    gauge!("origo_failover_gap_seconds").set(stats.rescues.gap_sum().as_secs_f64());
    for (peer, seconds) in &stats.seconds {
        gauge!("origo_link_second_copies", "peer" => peer.to_string()).set(*seconds as f64);
    }
    stats.measured.iter().for_each(measured);
    for (peer, link) in &stats.links {
        let peer = peer.to_string();
        gauge!("origo_link_copies", "peer" => peer.clone()).set(link.copies as f64);
        gauge!("origo_link_receiving", "peer" => peer.clone()).set(link.receiving as f64);
        for (way, direction) in DIRECTIONS.into_iter().enumerate() {
            for (index, class) in CLASSES.into_iter().enumerate() {
                let labels = [("peer", peer.clone()), ("direction", direction.to_owned()), ("class", class.to_owned())];
                counter!("origo_link_packets_total", &labels).absolute(link.packets[way][index]);
                counter!("origo_link_bytes_total", &labels).absolute(link.bytes[way][index]);
            }
        }
    }
}

/// A link as this node measures it.
fn measured(link: &Measured) {
    let (peer, metric) = (link.peer.to_string(), &link.metric);
    gauge!("origo_link_rtt_seconds", "peer" => peer.clone()).set(metric.rtt.as_secs_f64());
    gauge!("origo_link_jitter_seconds", "peer" => peer.clone()).set(metric.jitter.as_secs_f64());
    gauge!("origo_link_queue_seconds", "peer" => peer.clone()).set(metric.queue.as_secs_f64());
    for (stage, share) in [("before_repair", metric.loss), ("after_repair", metric.lost)] {
        gauge!("origo_link_loss_ratio", "peer" => peer.clone(), "stage" => stage).set(f64::from(share));
    }
    if let Some(bps) = link.allowed_bps {
        gauge!("origo_link_allowed_bits_per_second", "peer" => peer).set(bps as f64);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use origo_auth::NodeId;
    use origo_cascade_core::metric::LinkMetric;
    use origo_node_core::overload::{Step, Usage};

    use super::*;

    fn snapshot() -> Snapshot {
        let mut link = LinkStats { copies: 2, ..LinkStats::default() };
        link.packets[0][2] = 7;
        let metric = LinkMetric { rtt: Duration::from_millis(80), loss: 0.5, ..LinkMetric::default() };
        let measured = Measured { peer: NodeId([2; 16]), metric, allowed_bps: Some(40_000_000) };
        let mut worker = media::Stats::default();
        worker.count_dropped("datagram", "unknown ufrag");
        worker.srtp_sessions.insert("aes-256-gcm", 3);
        let mut usage = Usage::default();
        usage.set(Resource::Egress, Some(1.5));
        Snapshot {
            node: NodeId([1; 16]),
            region: "frankfurt".to_owned(),
            rooms: RoomsStats { participants: 4, video_tracks: 5, ..RoomsStats::default() },
            workers: vec![(worker.clone(), 0.25), (worker, 0.0)],
            webhooks: Some(webhooks::Stats::default()),
            overload: State { step: Step::FULL.up(), usage, ..State::default() },
            mesh: MeshStats {
                links: vec![(NodeId([2; 16]), link)],
                measured: vec![measured],
                seconds: [(NodeId([2; 16]), 3)].into(),
                dropped: vec![("datagram", "unknown flow", 6)],
                ..MeshStats::default()
            },
            nodes: 2,
            dropped: vec![("socket", "idle", 1)],
        }
    }

    #[test]
    fn the_page_holds_what_was_counted_under_the_agreed_names() {
        let page = render(&snapshot());
        let peer = NodeId([2; 16]);
        for line in [
            "origo_participants 4".to_owned(),
            "origo_overload_level 2".to_owned(),
            "origo_overload_shed_parts 1".to_owned(),
            "origo_overload_usage_ratio{resource=\"egress\"} 1.5".to_owned(),
            "origo_tracks{kind=\"video\"} 5".to_owned(),
            "origo_rtp_packets_total{direction=\"in\",kind=\"audio\",via=\"client\"} 0".to_owned(),
            format!("origo_link_packets_total{{peer=\"{peer}\",direction=\"out\",class=\"base\"}} 7"),
            format!("origo_link_copies{{peer=\"{peer}\"}} 2"),
            format!("origo_link_second_copies{{peer=\"{peer}\"}} 3"),
            "origo_failovers_total{why=\"gray\"} 0".to_owned(),
            "origo_failover_gaps_total{at_most=\"0.45\"} 0".to_owned(),
            format!("origo_link_rtt_seconds{{peer=\"{peer}\"}} 0.08"),
            format!("origo_link_loss_ratio{{peer=\"{peer}\",stage=\"before_repair\"}} 0.5"),
            format!("origo_link_allowed_bits_per_second{{peer=\"{peer}\"}} 40000000"),
            "origo_nacks_total{direction=\"out\",via=\"link\"} 0".to_owned(),
            "origo_dropped_total{what=\"datagram\",reason=\"unknown ufrag\"} 2".to_owned(),
            "origo_dropped_total{what=\"datagram\",reason=\"unknown flow\"} 6".to_owned(),
            "origo_dropped_total{what=\"socket\",reason=\"idle\"} 1".to_owned(),
            "origo_srtp_sessions{profile=\"aes-256-gcm\"} 6".to_owned(),
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\nis not in\n{page}");
        }
    }

    #[test]
    fn each_metric_has_its_sentence() {
        let page = render(&snapshot());
        for line in page.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let name = line.split(['{', ' ']).next().unwrap_or_default();
            assert!(page.contains(&format!("# HELP {name} ")), "{name} has no HELP");
        }
    }
}
