//! A node for tests: a mesh on a loopback port with one media worker's inbox.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use origo_auth::{Identity, MeshAuthority, NodeId, NodeKey, RoomKey, RoomSid, TrackSid};
use origo_cascade::{Inbox, Mesh, MeshConfig, MeshEvent, StartError};
use origo_cascade_core::link::{Extensions, Packet, Received};
use origo_cascade_core::route::{Prices, RelayPolicy, Tree};
use origo_cascade_core::{
    Event, Input, MediaKind, Node, NodeAddress, ParticipantRecord, RoomRecord, RoomSettings, TrackRecord,
};
use tokio::sync::mpsc;
use tokio::time::timeout;

pub const SECRET: &[u8] = b"the secret of the test mesh";
const PATIENCE: Duration = Duration::from_secs(10);

pub struct TestNode {
    pub mesh: Mesh,
    pub number: usize,
    pub id: NodeId,
    events: mpsc::Receiver<MeshEvent>,
    packets: crossbeam_channel::Receiver<Vec<Received>>,
    at_hand: Vec<Received>,
}

pub fn room() -> RoomKey {
    RoomKey::new("default", "standup")
}

pub fn track(number: usize) -> TrackSid {
    format!("TR_{number:0>12}").parse().unwrap()
}

pub fn fresh(number: usize) -> RoomRecord {
    let sid: RoomSid = format!("RM_{number:0>12}").parse().unwrap();
    RoomRecord {
        room: room(),
        sid,
        created_ms: 1000 + number as u64,
        metadata: String::new(),
        version: 0,
        settings: RoomSettings::default(),
    }
}

pub fn participant(identity: &str, tracks: &[usize]) -> ParticipantRecord {
    let track = |number: &usize| TrackRecord {
        sid: track(*number),
        kind: MediaKind::Video,
        mime: "video/VP8".into(),
        layer_bitrates_bps: vec![500_000],
        layer_sizes: Vec::new(),
        backup_of: None,
        shown_as: None,
    };
    ParticipantRecord {
        room: room(),
        identity: Identity(identity.into()),
        sid: format!("PA_{identity:0<12}").parse().unwrap(),
        owner: NodeId([0; 16]),
        incarnation: 1000,
        owner_epoch: 0,
        version: 0,
        info: vec![1, 2, 3],
        tracks: tracks.iter().map(track).collect(),
    }
}

pub fn packet(sequence: u64) -> Packet {
    Packet {
        sequence,
        timestamp: 3000 * sequence as u32,
        marker: true,
        key: false,
        redundant: false,
        skipped: 0,
        extensions: Extensions::default(),
        payload: vec![sequence as u8; 1000].into(),
        arrived: Instant::now(),
    }
}

/// Three nodes that know each other; node 0 is the seed of the others.
pub async fn three() -> Vec<TestNode> {
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    let mut nodes = vec![TestNode::try_start(0, any, &[], SECRET).unwrap()];
    let seeds = [nodes[0].mesh.address()];
    for number in 1..3 {
        nodes.push(TestNode::try_start(number, any, &seeds, SECRET).unwrap());
    }
    for node in &nodes {
        node.until_nodes(3).await;
        node.until_links(2).await;
    }
    nodes
}

impl TestNode {
    pub fn try_start(number: usize, bind: SocketAddr, seeds: &[SocketAddr], secret: &[u8]) -> Result<Self, StartError> {
        Self::start_with(number, bind, seeds, secret, Arc::new(Tree::default()))
    }

    /// The same with a policy for the trees of its tracks.
    pub fn start_with(
        number: usize,
        bind: SocketAddr,
        seeds: &[SocketAddr],
        secret: &[u8],
        policy: Arc<dyn RelayPolicy>,
    ) -> Result<Self, StartError> {
        let key = NodeKey::generate(&mut rand::rng());
        let identity = MeshAuthority::from_secret(secret).unwrap().issue(&key).unwrap();
        let node = Node {
            id: identity.id,
            region: format!("region {number}"),
            country: String::new(),
            continent: String::new(),
            latitude: number as f64,
            longitude: 0.0,
            url: format!("ws://node{number}"),
            address: NodeAddress { quic: bind },
            load: 0.0,
            draining: false,
            overload: Default::default(),
        };
        let (batches, packets) = crossbeam_channel::bounded(8192);
        let inbox = Inbox { batches, wake: Arc::new(|| {}) };
        let worker_of = |_: &RoomKey, _| 0;
        let config = MeshConfig {
            node,
            bind,
            seeds: seeds.to_vec(),
            rates_bps: BTreeMap::new(),
            policy,
            prices: Prices::default(),
            inboxes: vec![inbox],
            worker_of,
        };
        let id = identity.id;
        let (mesh, events) = Mesh::start(config, identity)?;
        Ok(Self { mesh, number, id, events, packets, at_hand: Vec::new() })
    }

    /// Layers that it sends to a peer.
    pub fn copies_to(&self, peer: NodeId) -> u64 {
        let stats = self.mesh.stats();
        stats.links.iter().find(|(other, _)| *other == peer).map_or(0, |(_, link)| link.copies)
    }

    /// Events that have come.
    pub fn events_at_hand(&mut self) -> Vec<MeshEvent> {
        std::iter::from_fn(|| self.events.try_recv().ok()).collect()
    }

    /// All that the media worker's inbox holds.
    pub fn received_at_hand(&mut self) -> Vec<Received> {
        let at_hand = std::mem::take(&mut self.at_hand);
        at_hand.into_iter().chain(self.packets.try_iter().flatten()).collect()
    }

    /// Waits until the node knows so many living nodes.
    pub async fn until_nodes(&self, count: usize) {
        let reached = async {
            while self.mesh.nodes().len() != count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, reached).await.unwrap_or_else(|_| {
            panic!("node {} knows {} nodes, not {count}", self.number, self.mesh.nodes().len());
        });
    }

    /// Waits until the node has media connections to so many peers.
    pub async fn until_links(&self, count: usize) {
        let heard = |mesh: &Mesh| mesh.stats().links.iter().filter(|(_, link)| link.packets[1][0] > 0).count();
        let reached = async {
            while heard(&self.mesh) < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("node {} has no {count} links", self.number));
    }

    /// Waits for an event.
    pub async fn until<T>(&mut self, wanted: impl Fn(&MeshEvent) -> Option<T>) -> T {
        let found = async {
            loop {
                let event = self.events.recv().await.expect("the mesh runs");
                if let Some(found) = wanted(&event) {
                    return found;
                }
            }
        };
        timeout(PATIENCE, found).await.expect("in time")
    }

    /// Enters the room.
    pub async fn enter(&mut self) {
        self.mesh.ask(Input::Enter { fresh: fresh(self.number) });
        self.until(|event| matches!(event, MeshEvent::Rooms(Event::Entered { .. })).then_some(())).await;
    }

    /// The next entry in the media worker's inbox.
    pub async fn received(&mut self) -> Received {
        let begun = Instant::now();
        loop {
            if !self.at_hand.is_empty() {
                return self.at_hand.remove(0);
            }
            match self.packets.try_recv() {
                Ok(batch) => self.at_hand = batch,
                Err(_) => {
                    assert!(begun.elapsed() < PATIENCE, "nothing more is received");
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        }
    }
}
