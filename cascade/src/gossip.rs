//! chitchat over control connections: which nodes live, where, and how busy they are.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chitchat::transport::{Socket, Transport};
use chitchat::{
    ChitchatConfig, ChitchatHandle, ChitchatId, ChitchatMessage, Deserializable, FailureDetectorConfig, NodeState,
    Serializable, spawn_chitchat,
};
use origo_auth::NodeId;
use origo_cascade_core::{Node, metric};
use quinn::Connection;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::news::{News, NewsSender};
use crate::stats::{Drops, Shared};

/// Largest gossip message: chitchat's own limit.
pub(crate) const GOSSIP_BYTES_MAX: usize = 64 << 10;
/// Messages that wait for chitchat; what does not fit is said again in the next round.
pub(crate) const HEARD_MAX: usize = 256;
/// A change reaches 30 nodes within four rounds, over paths of 100 ms that lose a message in twenty.
const INTERVAL: Duration = Duration::from_millis(300);
/// A node is taken for dead after this many of the intervals at which it is usually heard of.
const SILENT_ROUNDS: f64 = 7.0;
/// How long a dead node's state is kept, so that its return is told from old news.
const DEAD_STAY: Duration = Duration::from_secs(15 * 60);
/// The key of a node's description.
const INFO: &str = "info";
/// The key of what a node measures of its links.
const LINKS: &str = "links";
/// Longest a message may take to be handed to QUIC.
const SEND_MAX: Duration = Duration::from_secs(1);
/// All nodes of one authority are one cluster; strangers do not get past the handshake.
const CLUSTER: &str = "origo";

/// A gossip message of a peer.
pub(crate) struct Heard {
    /// The address that the peer's connection comes from: answers go there.
    pub(crate) from: SocketAddr,
    pub(crate) message: Vec<u8>,
}

/// Which connection leads to an address.
#[derive(Clone, Default)]
pub(crate) struct Routes(Arc<Mutex<BTreeMap<SocketAddr, Connection>>>);

impl Routes {
    /// Sets all routes.
    pub(crate) fn set(&self, routes: BTreeMap<SocketAddr, Connection>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = routes;
    }

    fn find(&self, to: SocketAddr) -> Option<Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&to).cloned()
    }
}

/// A running gossip.
pub(crate) struct Gossip {
    handle: ChitchatHandle,
    told: String,
}

/// What gossip needs.
pub(crate) struct Parts {
    pub(crate) node: Node,
    pub(crate) session: u64,
    pub(crate) seeds: Vec<SocketAddr>,
    pub(crate) routes: Routes,
    pub(crate) heard: mpsc::Receiver<Heard>,
    pub(crate) news: NewsSender,
    pub(crate) shared: Arc<Shared>,
}

impl Gossip {
    /// Starts gossip about `node`; living nodes come as news.
    pub(crate) async fn start(parts: Parts) -> anyhow::Result<Self> {
        let config = config_of(&parts.node, parts.session, &parts.seeds);
        let info = serde_json::to_string(&parts.node)?;
        let transport =
            LinkTransport { parts: Mutex::new(Some((parts.routes, parts.heard, parts.news.clone(), parts.shared))) };
        let handle = spawn_chitchat(config, vec![(INFO.to_owned(), info.clone())], &transport).await?;
        let mut living = handle.chitchat().lock().await.live_nodes_watcher();
        let news = parts.news;
        tokio::spawn(async move {
            let mut known = Known::default();
            while living.changed().await.is_ok() {
                let told = known.news_of(&living.borrow_and_update());
                for told in told {
                    if news.send(told).await.is_err() {
                        return;
                    }
                }
            }
        });
        Ok(Self { handle, told: info })
    }

    /// Tells the cluster how this node is now.
    pub(crate) async fn tell(&mut self, node: &Node) {
        let Ok(info) = serde_json::to_string(node) else { return };
        if info != self.told {
            self.handle.with_chitchat(|chitchat| chitchat.self_node_state().set(INFO, &info)).await;
            self.told = info;
        }
    }

    /// Tells the cluster what this node measures of its links, as [`origo_cascade_core::metric::pack`] packs it.
    pub(crate) async fn tell_links(&self, packed: &str) {
        self.handle.with_chitchat(|chitchat| chitchat.self_node_state().set(LINKS, packed)).await;
    }

    /// Talks to a node at once instead of in the next round.
    pub(crate) fn talk_to(&self, address: SocketAddr) {
        // Gossip ends only with the mesh.
        let _ = self.handle.gossip(address);
    }

    /// Ends gossip.
    pub(crate) async fn stop(self) {
        if let Err(error) = self.handle.shutdown().await {
            debug!(%error, "gossip ended badly");
        }
    }
}

/// How a node gossips.
fn config_of(node: &Node, session: u64, seeds: &[SocketAddr]) -> ChitchatConfig {
    let address = node.address.quic;
    ChitchatConfig {
        chitchat_id: ChitchatId::new(node.id.to_string(), session, address),
        cluster_id: CLUSTER.to_owned(),
        gossip_interval: INTERVAL,
        listen_addr: address,
        seed_nodes: seeds.iter().map(ToString::to_string).collect(),
        failure_detector_config: FailureDetectorConfig {
            phi_threshold: SILENT_ROUNDS,
            sampling_window_size: 100,
            max_interval: Duration::from_secs(5),
            initial_interval: INTERVAL,
            dead_node_grace_period: DEAD_STAY,
        },
        marked_for_deletion_grace_period: DEAD_STAY,
        catchup_callback: None,
        extra_liveness_predicate: None,
    }
}

/// What the mesh loop knows of gossip.
#[derive(Default)]
struct Known {
    members: Vec<(Node, u64)>,
    /// What each living node tells of its links.
    links: BTreeMap<NodeId, String>,
}

impl Known {
    /// What of the living nodes is new.
    fn news_of(&mut self, living: &BTreeMap<ChitchatId, NodeState>) -> Vec<News> {
        let mut news = Vec::new();
        let members = members_of(living);
        let links: BTreeMap<NodeId, String> = members.iter().map(|it| (it.node.id, it.links.clone())).collect();
        let members: Vec<_> = members.into_iter().map(|member| (member.node, member.session)).collect();
        if members != self.members {
            self.members.clone_from(&members);
            news.push(News::Members(members));
        }
        for (node, packed) in links.iter().filter(|(node, packed)| self.links.get(*node) != Some(packed)) {
            news.push(News::Metrics { node: *node, links: metric::unpack(packed) });
        }
        self.links = links;
        news
    }
}

/// A living node.
struct Member {
    node: Node,
    session: u64,
    links: String,
}

/// The nodes that chitchat takes for living, each with its newest session.
fn members_of(living: &BTreeMap<ChitchatId, NodeState>) -> Vec<Member> {
    let mut members: BTreeMap<NodeId, Member> = BTreeMap::new();
    for (id, state) in living {
        let Some(node) = state.get(INFO).and_then(|info| serde_json::from_str::<Node>(info).ok()) else { continue };
        if *id.node_id != *node.id.to_string() {
            warn!(node = %id.node_id, claims = %node.id, "a node gossips under another's name");
            continue;
        }
        if members.get(&node.id).is_none_or(|newest| id.generation_id >= newest.session) {
            let links = state.get(LINKS).unwrap_or_default().to_owned();
            members.insert(node.id, Member { node, session: id.generation_id, links });
        }
    }
    members.into_values().collect()
}

type TransportParts = (Routes, mpsc::Receiver<Heard>, NewsSender, Arc<Shared>);

/// Hands out the one socket there is.
struct LinkTransport {
    parts: Mutex<Option<TransportParts>>,
}

#[async_trait]
impl Transport for LinkTransport {
    async fn open(&self, _: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((routes, heard, news, shared)) = parts else { anyhow::bail!("gossip is open already") };
        Ok(Box::new(LinkSocket { routes, heard, news, shared }))
    }
}

/// chitchat's socket: a unidirectional stream per message.
struct LinkSocket {
    routes: Routes,
    heard: mpsc::Receiver<Heard>,
    news: NewsSender,
    shared: Arc<Shared>,
}

#[async_trait]
impl Socket for LinkSocket {
    async fn send(&mut self, to: SocketAddr, message: ChitchatMessage) -> anyhow::Result<()> {
        let Some(connection) = self.routes.find(to) else {
            // What is lost is said again in the next round; by then there may be a connection.
            let _ = self.news.try_send(News::Wanted(to));
            return Ok(());
        };
        tokio::spawn(timeout(SEND_MAX, send_message(connection, message.serialize_to_vec())));
        Ok(())
    }

    async fn recv(&mut self) -> anyhow::Result<(SocketAddr, ChitchatMessage)> {
        loop {
            let Heard { from, message } =
                self.heard.recv().await.ok_or_else(|| anyhow::anyhow!("the mesh has ended"))?;
            match ChitchatMessage::deserialize(&mut message.as_slice()) {
                Ok(message) => return Ok((from, message)),
                Err(error) => {
                    Drops::count(&self.shared.drops.gossip);
                    debug!(%from, %error, "a gossip message cannot be read");
                }
            }
        }
    }
}

async fn send_message(connection: Connection, message: Vec<u8>) {
    if let Ok(mut stream) = connection.open_uni().await {
        // A connection that ends is noticed by its reader.
        let _ = stream.write_all(&message).await;
    }
}

#[cfg(test)]
mod tests;
