//! Four nodes of which one relays for two others without anybody on it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use origo_client::{Event, Fleet, Options, Participant, VideoOptions};
use origo_tests::distance::Distance;
use origo_tests::metrics::Metrics;
use origo_tests::node::{Node, free_block};
use origo_tests::process::{origo, until};

const WAIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);
const ROOM: &str = "relayed";
/// The relay lies between the origin and the two that watch.
const RELAY: usize = 0;
const ORIGIN: usize = 1;
const VIEWERS: [usize; 2] = [2, 3];
const REGIONS: [&str; 4] = ["dubai", "frankfurt", "singapore", "sydney"];
/// One way between the origin and the two: beside it, what a busy machine adds to each link is little.
const FAR: Duration = Duration::from_millis(100);
/// From (sender, receiver): straight ways cost more than those over the relay together.
const PRICES: &str = r#"
prices.links = [
    { from = "frankfurt", to = "dubai", price = 1.0 },
    { from = "dubai", to = "singapore", price = 1.0 },
    { from = "dubai", to = "sydney", price = 1.0 },
    { from = "frankfurt", to = "singapore", price = 20.0 },
    { from = "frankfurt", to = "sydney", price = 20.0 },
    { from = "singapore", to = "sydney", price = 20.0 },
    { from = "sydney", to = "singapore", price = 20.0 },
]
"#;
/// Layers that each node sends to each other one.
const COPIES: [[f64; 4]; 4] = [[0.0, 0.0, 1.0, 1.0], [1.0, 0.0, 0.0, 0.0], [0.0; 4], [0.0; 4]];

struct Mesh {
    nodes: Vec<Node>,
    /// Their ids.
    ids: Vec<String>,
    _distances: Vec<Distance>,
}

impl Mesh {
    /// Each node at an address of its own. All but the relay are reached by a door behind which some are far.
    fn start(config: &str) -> Self {
        let address = |node: usize, is_door: bool| Ipv4Addr::new(127, 0, 0, 20 + 2 * node as u8 + u8::from(is_door));
        let (mut nodes, mut distances): (Vec<Node>, Vec<Distance>) = (Vec::new(), Vec::new());
        for (number, region) in REGIONS.into_iter().enumerate() {
            let (bind, port) = (address(number, false), free_block().unwrap());
            let far = match number {
                RELAY => &[][..],
                ORIGIN => &VIEWERS[..],
                _ => &[ORIGIN][..],
            };
            let advertise = if far.is_empty() { bind } else { address(number, true) };
            let [inside, outside] = [bind, advertise].map(|ip| SocketAddr::from((ip, port + 1)));
            if inside != outside {
                let far: Vec<_> = far.iter().map(|node| address(*node, false).into()).collect();
                distances.push(Distance::start(outside, inside, &far, FAR).unwrap());
            }
            let (bind, advertise) = (bind.to_string(), format!("{advertise},{bind}"));
            let mut flags = vec!["--region", region, "--workers", "1", "--config", config, "--advertise", &advertise];
            let seed = nodes.first().map(|relay| format!("{}:{}", address(RELAY, false), relay.port + 1));
            flags.extend(seed.iter().flat_map(|seed| ["--seeds", seed]));
            nodes.push(Node::start_at(&origo().unwrap(), &bind, port, &flags).unwrap());
        }
        let linked = || nodes.iter().all(|node| read(node).by_label("origo_link_rtt_seconds", "peer").len() == 3);
        until(WAIT, || linked().then_some(())).expect("all nodes are linked");
        let id = |node| read(node).by_label("origo_build_info", "node").into_keys().next().expect("its id");
        Self { ids: nodes.iter().map(id).collect(), nodes, _distances: distances }
    }

    /// A figure of all links, by the node that tells it and its peer.
    fn links(&self, metric: &str, labels: &[(&str, &str)]) -> [[f64; 4]; 4] {
        let pages: Vec<Metrics> = self.nodes.iter().map(read).collect();
        let of = |node: usize, peer: usize| {
            pages[node].sum(metric, &[labels, &[("peer", self.ids[peer].as_str())]].concat())
        };
        std::array::from_fn(|node| std::array::from_fn(|peer| of(node, peer)))
    }

    /// Packets of video that crossed links, without repairs.
    fn crossed(&self, direction: &str) -> [[f64; 4]; 4] {
        let of_class = |class| self.links("origo_link_packets_total", &[("direction", direction), ("class", class)]);
        let (base, enhancement) = (of_class("base"), of_class("enhancement"));
        std::array::from_fn(|node| std::array::from_fn(|peer| base[node][peer] + enhancement[node][peer]))
    }

    /// What has crossed, by who sent it and who received it, once nothing has for a while.
    async fn settled(&self) -> [[[f64; 4]; 4]; 2] {
        let read = || ["out", "in"].map(|direction| self.crossed(direction));
        let (mut values, mut since, begun) = (read(), Instant::now(), Instant::now());
        while since.elapsed() < Duration::from_millis(700) && begun.elapsed() < WAIT {
            tokio::time::sleep(POLL).await;
            let now = read();
            if now != values {
                (values, since) = (now, Instant::now());
            }
        }
        values
    }

    /// Between two rests every packet that was made is one that was watched: as many cross each link as copies should.
    async fn assert_copies(&self, publisher: &Participant) -> f64 {
        publisher.pause();
        let (before, made_before) = (self.settled().await, made(publisher).await);
        publisher.resume();
        while made(publisher).await < made_before + 500.0 {
            tokio::time::sleep(POLL).await;
        }
        publisher.pause();
        let (after, made) = (self.settled().await, made(publisher).await - made_before);
        for (node, copies) in COPIES.into_iter().enumerate() {
            for (peer, copies) in copies.into_iter().enumerate() {
                let sent = after[0][node][peer] - before[0][node][peer];
                let received = after[1][peer][node] - before[1][peer][node];
                let link = format!("{} - {}: {sent} sent, {received} received", REGIONS[node], REGIONS[peer]);
                for packets in [sent, received] {
                    assert!((packets - copies * made).abs() <= 0.01 * made, "{link}, {copies} of {made} should be");
                }
            }
        }
        made
    }
}

fn read(node: &Node) -> Metrics {
    Metrics::read(&format!("127.0.0.1:{}", node.port + 2)).expect("the metrics page")
}

async fn join(fleet: &Fleet, node: &Node, identity: &str) -> Participant {
    fleet.connect(&node.url(), &node.token(ROOM, identity), Options::v1()).await.unwrap()
}

async fn made(publisher: &Participant) -> f64 {
    f64::from(publisher.report().await.sent["camera"][0])
}

/// The regions that media of the publisher passes on its way to a participant, as a node tells it.
fn way(told: &serde_json::Value, identity: &str) -> Vec<String> {
    let subscriber = told["subscribers"].as_array().unwrap().iter().find(|one| one["identity"] == identity);
    let hops = subscriber.unwrap_or_else(|| panic!("{identity} in {told}"))["origins"][0]["hops"].as_array().unwrap();
    let regions = hops.iter().map(|hop| &hop["from_region"]).chain(hops.last().map(|hop| &hop["to_region"]));
    regions.map(|region| region.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_node_without_anybody_relays_one_copy_to_each_and_its_workers_get_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("prices.toml");
    std::fs::write(&config, PRICES).unwrap();
    let mesh = Mesh::start(config.to_str().unwrap());
    let relay = &mesh.nodes[RELAY];
    let fleet = Fleet::start().unwrap();
    let mut publisher = join(&fleet, &mesh.nodes[ORIGIN], "publisher").await;
    publisher.publish_video("camera", VideoOptions::single(60, 4, 1000));
    let flows = |event: &Event| matches!(event, Event::TrackFlows { .. }).then_some(());
    publisher.wait_for(WAIT, flows).await.expect("the track is negotiated");
    let mut viewers = Vec::new();
    for number in VIEWERS {
        let mut viewer = join(&fleet, &mesh.nodes[number], REGIONS[number]).await;
        let first = |event: &Event| matches!(event, Event::FirstPacket { .. }).then_some(());
        viewer.wait_for(WAIT, first).await.expect("a first packet");
        viewers.push(viewer);
    }

    let begun = Instant::now();
    while mesh.links("origo_link_copies", &[]) != COPIES {
        assert!(begun.elapsed() < WAIT, "layers on links: {:?}", mesh.links("origo_link_copies", &[]));
        tokio::time::sleep(POLL).await;
    }
    let told = relay.paths(ROOM).unwrap();
    for number in VIEWERS {
        assert_eq!(way(&told, REGIONS[number]), [REGIONS[ORIGIN], REGIONS[RELAY], REGIONS[number]], "{told}");
    }
    let page = read(relay);
    assert_eq!((page.sum("origo_rooms", &[]), page.sum("origo_participants", &[])), (0.0, 0.0));
    assert_eq!(page.by_label("origo_link_receiving", "peer"), [(mesh.ids[ORIGIN].clone(), 1.0)].into());

    let made = mesh.assert_copies(&publisher).await;
    for viewer in &viewers {
        let total = viewer.report().await.tracks[0].total();
        assert!(total.unique as f64 >= made, "{} of {made}", total.unique);
        assert_eq!(total.duplicates, 0);
    }
    assert_eq!(read(relay).sum("origo_rtp_packets_total", &[]), 0.0, "the relay's workers");
}
