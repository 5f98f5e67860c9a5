//! Clusters of real chitchats in tokio's paused time, over paths with delay and loss. chitchat draws its own randomness,
//! so that no run is like another.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use origo_cascade_core::metric::LinkMetric;
use origo_cascade_core::{Level, NodeAddress, Overload};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::{Instant, sleep};

use super::*;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
/// Half of the round trip.
const DELAY: Duration = Duration::from_millis(50);
const LOSS: f64 = 0.05;

type Message = (SocketAddr, ChitchatMessage);

/// A path between any two, that delays and loses.
#[derive(Clone)]
struct Paths {
    sockets: Arc<Mutex<HashMap<SocketAddr, mpsc::Sender<Message>>>>,
    rng: Arc<Mutex<StdRng>>,
    bytes: Arc<AtomicU64>,
    largest: Arc<AtomicU64>,
}

struct End {
    address: SocketAddr,
    paths: Paths,
    inbox: mpsc::Receiver<Message>,
}

#[async_trait]
impl Transport for Paths {
    async fn open(&self, address: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        let (sender, inbox) = mpsc::channel(HEARD_MAX);
        self.sockets.lock().unwrap().insert(address, sender);
        Ok(Box::new(End { address, paths: self.clone(), inbox }))
    }
}

#[async_trait]
impl Socket for End {
    async fn send(&mut self, to: SocketAddr, message: ChitchatMessage) -> anyhow::Result<()> {
        let bytes = message.serialized_len() as u64;
        self.paths.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.paths.largest.fetch_max(bytes, Ordering::Relaxed);
        let lost = self.paths.rng.lock().unwrap().random_bool(LOSS);
        let socket = self.paths.sockets.lock().unwrap().get(&to).cloned();
        if let Some(socket) = socket.filter(|_| !lost) {
            let from = self.address;
            tokio::spawn(async move {
                sleep(DELAY).await;
                // Who is dead hears nothing.
                let _ = socket.try_send((from, message));
            });
        }
        Ok(())
    }

    async fn recv(&mut self) -> anyhow::Result<Message> {
        self.inbox.recv().await.ok_or_else(|| anyhow::anyhow!("closed"))
    }
}

struct Cluster {
    paths: Paths,
    handles: Vec<ChitchatHandle>,
}

fn node(number: usize) -> Node {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&(number as u64).to_be_bytes());
    Node {
        id: NodeId(id),
        region: format!("region-{number}"),
        country: "DE".into(),
        continent: "EU".into(),
        latitude: number as f64,
        longitude: 0.0,
        url: format!("wss://node{number}.example.com"),
        address: NodeAddress { quic: ([10, 0, (number >> 8) as u8, number as u8], 7881).into() },
        load: 0.05,
        draining: false,
        overload: Default::default(),
    }
}

/// What a node tells of 29 links.
fn links(number: usize, round: u64) -> String {
    let metric = |peer: usize| LinkMetric {
        rtt: Duration::from_micros(80_000 + 977 * (peer as u64 + round)),
        jitter: 700 * MS / 1000,
        loss: 0.001,
        free_bps: 40_000_000,
        ..LinkMetric::default()
    };
    let links: Vec<_> = (0..29).map(|peer| (node(number + peer + 1).id, metric(peer))).collect();
    metric::pack(&links)
}

impl Cluster {
    /// Nodes that start within a second, and all know the first.
    async fn start(count: usize, seed: u64) -> Self {
        let (sockets, bytes, largest) = Default::default();
        let paths = Paths { sockets, rng: Arc::new(Mutex::new(StdRng::seed_from_u64(seed))), bytes, largest };
        let mut cluster = Self { paths, handles: Vec::new() };
        for number in 0..count {
            let config = config_of(&node(number), 1, &[node(0).address.quic]);
            let info = serde_json::to_string(&node(number)).unwrap();
            let keys = vec![(INFO.to_owned(), info), (LINKS.to_owned(), links(number, 0))];
            cluster.handles.push(spawn_chitchat(config, keys, &cluster.paths).await.unwrap());
            sleep(SECOND / count as u32).await;
        }
        cluster
    }

    /// Nodes that each node takes for living, the dead one aside.
    async fn living(&self) -> Vec<usize> {
        let mut living = Vec::new();
        for handle in &self.handles {
            living.push(handle.with_chitchat(|chitchat| chitchat.live_nodes().count()).await);
        }
        living
    }

    async fn until_all_know(&self, count: usize) -> Duration {
        let begun = Instant::now();
        while self.living().await.iter().any(|living| *living != count) {
            sleep(10 * MS).await;
            assert!(begun.elapsed() < 60 * SECOND, "{:?}", self.living().await);
        }
        begun.elapsed()
    }

    /// How long a change of one node's key takes to all.
    async fn update(&self, at: usize, round: u64) -> Duration {
        let (begun, value) = (Instant::now(), links(at, round));
        self.handles[at].with_chitchat(|chitchat| chitchat.self_node_state().set(LINKS, &value)).await;
        let id = self.handles[at].chitchat_id().clone();
        for handle in &self.handles {
            let has = || handle.with_chitchat(|it| it.node_state(&id).and_then(|it| it.get(LINKS)) == Some(&*value));
            while !has().await {
                sleep(10 * MS).await;
            }
        }
        begun.elapsed()
    }

    /// Kills the last node. How long it takes until all others know.
    async fn kill_last(&mut self) -> Duration {
        let victim = self.handles.pop().expect("one is left");
        self.paths.sockets.lock().unwrap().remove(&victim.chitchat_id().gossip_advertise_addr);
        victim.abort();
        self.until_all_know(self.handles.len()).await
    }

    /// Every node rewrites its links every 5 s. Gives how often one took a living node for dead.
    async fn watch(&self, span: Duration) -> usize {
        let (begun, mut false_deaths, mut round) = (Instant::now(), 0, 1);
        while begun.elapsed() < span {
            for (number, handle) in self.handles.iter().enumerate() {
                let value = links(number, round);
                handle.with_chitchat(|chitchat| chitchat.self_node_state().set(LINKS, &value)).await;
            }
            for _ in 0..50 {
                sleep(100 * MS).await;
                let living = self.living().await;
                false_deaths += living.iter().filter(|living| **living < self.handles.len()).count();
            }
            round += 1;
        }
        false_deaths
    }
}

/// What a cluster does: worst and 99 % of updates, deaths, false deaths, bytes per second and node.
async fn measure(nodes: usize, updates: u64, deaths: usize, quiet: Duration) -> (Duration, Vec<Duration>, usize) {
    let mut cluster = Cluster::start(nodes, 1).await;
    let joined = cluster.until_all_know(nodes).await;
    sleep(10 * SECOND).await;
    let mut took = Vec::new();
    for round in 0..updates {
        took.push(cluster.update(round as usize % nodes, 1000 + round).await);
    }
    took.sort_unstable();
    let p99 = took[(took.len() * 99).div_ceil(100) - 1];
    let (begun, before) = (Instant::now(), cluster.paths.bytes.load(Ordering::Relaxed));
    let false_deaths = cluster.watch(quiet).await;
    let bytes = (cluster.paths.bytes.load(Ordering::Relaxed) - before) as f64;
    let rate = bytes / begun.elapsed().as_secs_f64() / nodes as f64;
    let mut dead = Vec::new();
    for _ in 0..deaths {
        dead.push(cluster.kill_last().await);
        sleep(5 * SECOND).await;
    }
    println!(
        "{nodes} nodes: all joined {joined:?} after the last; update p50 {:?}, p99 {p99:?}, max {:?}; {false_deaths} false \
         deaths in {quiet:?}; death known after {dead:?}; {rate:.0} bytes/s a node, largest message {} bytes",
        took[took.len() / 2],
        took[took.len() - 1],
        cluster.paths.largest.load(Ordering::Relaxed),
    );
    (p99, dead, false_deaths)
}

#[tokio::test(start_paused = true)]
async fn thirty_nodes_hear_of_a_change_within_two_seconds_and_of_a_death_within_three() {
    let (p99, dead, false_deaths) = measure(30, 20, 2, 30 * SECOND).await;
    assert!(p99 <= 2 * SECOND, "{p99:?}");
    assert!(dead.iter().all(|dead| *dead <= 3 * SECOND), "{dead:?}");
    assert_eq!(false_deaths, 0);
}

#[tokio::test(start_paused = true)]
#[ignore = "an hour of virtual time takes minutes"]
async fn in_an_hour_no_living_node_is_taken_for_dead() {
    let (p99, dead, false_deaths) = measure(30, 200, 15, 3600 * SECOND).await;
    assert!(p99 <= 2 * SECOND, "{p99:?}");
    assert!(dead.iter().all(|dead| *dead <= 3 * SECOND), "{dead:?}");
    assert_eq!(false_deaths, 0);
}

#[tokio::test(start_paused = true)]
#[ignore = "takes minutes"]
async fn a_hundred_and_fifty_nodes_still_agree() {
    let (p99, dead, false_deaths) = measure(150, 50, 5, 60 * SECOND).await;
    assert!(p99 <= 5 * SECOND, "{p99:?}");
    assert!(dead.iter().all(|dead| *dead <= 5 * SECOND), "{dead:?}");
    assert_eq!(false_deaths, 0);
}

#[test]
fn what_a_node_does_without_is_told_under_its_name_and_an_unknown_word_counts_as_the_worst() {
    for level in Level::ALL {
        let told = Node { overload: Overload { level, why: "cpu 96 %".into() }, ..node(1) };
        let json = serde_json::to_string(&told).unwrap();
        assert_eq!(json.contains(&format!("\"level\":\"{}\"", level.name())), level != Level::Calm, "{json}");
        let heard: Node = serde_json::from_str(&json).unwrap();
        assert_eq!((heard.overload.level, heard.takes_sessions()), (level, level == Level::Calm));
        assert_eq!(heard.relays(), level != Level::NotRelaying);
    }
    let newer = serde_json::to_string(&node(1)).unwrap().replacen('{', r#"{"overload":{"level":"on_fire"},"#, 1);
    assert_eq!(serde_json::from_str::<Node>(&newer).unwrap().overload.level, Level::NotRelaying);
}
