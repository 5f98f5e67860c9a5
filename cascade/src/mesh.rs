//! The mesh as the node holds it.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use origo_auth::NodeIdentity;
use origo_cascade_core::{Cascade, Input, Node, Overload};
use tokio::sync::{mpsc, oneshot};
use tracing::error;

use crate::dialer::Dialer;
use crate::gossip::{self, Gossip, HEARD_MAX, Routes};
use crate::links::{ForwardingSender, thread};
use crate::mesh_loop::{Ask, MeshLoop, State};
use crate::news::NEWS_MAX;
use crate::stats::Shared;
use crate::tls::Tls;
use crate::{LinkSender, Measured, MeshConfig, MeshEvent, MeshStats, View};

/// Events that wait for the node; when it is full the mesh loop waits for the node to read.
const EVENTS_MAX: usize = 4096;
/// Wanted size of the socket's buffers: some tens of milliseconds of a busy link. The system may give less.
const SOCKET_BUFFER: usize = 4 << 20;

/// Why a mesh cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The UDP port is taken or the address is not ours.
    #[error("cannot open the mesh's UDP address {address}: {source}")]
    Bind {
        /// What was to be opened.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The identity is not fit for TLS.
    #[error("the node's mesh identity cannot be used: {0}")]
    Identity(String),
    /// The link thread could not be started.
    #[error("cannot start the link thread: {0}")]
    Thread(io::Error),
}

/// A running mesh. Dropped, it leaves the mesh; [`Mesh::shutdown`] also waits until the peers know.
pub struct Mesh {
    asks: mpsc::UnboundedSender<Ask>,
    links: LinkSender,
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl Mesh {
    /// Opens the endpoint and starts the mesh loop, gossip and the link thread. Must be called within a tokio runtime.
    pub fn start(config: MeshConfig, identity: NodeIdentity) -> Result<(Self, mpsc::Receiver<MeshEvent>), StartError> {
        let bind_error = |source| StartError::Bind { address: config.bind, source };
        let socket = UdpSocket::bind(config.bind).map_err(bind_error)?;
        let address = socket.local_addr().map_err(bind_error)?;
        enlarge_buffers(&socket);
        let node = node_of(&config, &identity, address);
        let shared = Arc::new(Shared::default());
        shared.set_nodes(vec![node.clone()]);
        let (links, batches) = LinkSender::new();
        let (news, news_queue) = mpsc::channel(NEWS_MAX);
        let (forwarding, changes, changed) = ForwardingSender::new();
        let (dials, dial_queue) = mpsc::unbounded_channel();
        let (stop, is_stopped) = oneshot::channel();
        let workers = config.inboxes.len();
        let endpoint = thread::start(thread::Parts {
            me: node.id,
            socket,
            rates_bps: config.rates_bps,
            tls: Tls::new(&identity)?,
            inboxes: config.inboxes,
            batches,
            changes,
            changed,
            dials: dial_queue,
            news: news.clone(),
            shared: shared.clone(),
            stop: is_stopped,
        })?;
        let (heard, heard_queue) = mpsc::channel(HEARD_MAX);
        let (asks, ask_queue) = mpsc::unbounded_channel();
        let (events, event_queue) = mpsc::channel(EVENTS_MAX);
        let routes = Routes::default();
        let session = session_now();
        let gossip = gossip::Parts {
            node: node.clone(),
            session,
            seeds: config.seeds.clone(),
            routes: routes.clone(),
            heard: heard_queue,
            news: news.clone(),
            shared: shared.clone(),
        };
        let mesh_loop = MeshLoop {
            session,
            seeds: config.seeds,
            worker_of: config.worker_of,
            workers,
            cascade: Cascade::with_policy(Instant::now(), node.id, config.policy, config.prices),
            node,
            endpoint,
            dialer: Dialer::new(dials),
            forwarding,
            routes,
            heard,
            news,
            events,
            shared: shared.clone(),
            gossip: None,
            state: State::default(),
            _stop: stop,
        };
        tokio::spawn(async move {
            let gossip = Gossip::start(gossip).await.inspect_err(|error| error!(%error, "gossip cannot start")).ok();
            MeshLoop { gossip, ..mesh_loop }.run(ask_queue, news_queue).await;
        });
        Ok((Self { asks, links, shared, address }, event_queue))
    }

    /// Asks something of the cascade on behalf of the node's rooms. Never blocks.
    pub fn ask(&self, input: Input) {
        // The loop ends only with the mesh; what is asked after that has nobody to hear it.
        let _ = self.asks.send(Ask::Cascade(input));
    }

    /// How media workers send packets to peers.
    pub fn links(&self) -> LinkSender {
        self.links.clone()
    }

    /// The living nodes, this one among them.
    pub fn nodes(&self) -> Vec<Node> {
        self.shared.nodes()
    }

    /// Waits until it is certain that another process runs with this node's identity.
    pub fn double(&self) -> impl Future<Output = ()> + use<> {
        let mut double = self.shared.double();
        async move {
            if double.wait_for(|is_there| *is_there).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The UDP address that was opened.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Tells the cluster how much this node uses of what it is shortest of, 0 to 1.
    pub fn set_load(&self, load: f64) {
        let _ = self.asks.send(Ask::Load(load));
    }

    /// Tells the cluster whether this node drains: others send nobody there, take no relay there and keep no room there.
    pub fn set_draining(&self, draining: bool) {
        let _ = self.asks.send(Ask::Draining(draining));
    }

    /// Tells the cluster what this node does without because it is short of something: others send nobody there, and take
    /// no relay there.
    pub fn set_overload(&self, overload: Overload) {
        let _ = self.asks.send(Ask::Overload(overload));
    }

    /// Counters since the start. Those of links are at most 100 ms old.
    pub fn stats(&self) -> MeshStats {
        let mut stats = self.shared.stats();
        stats.dropped.push(("link packet", "link thread behind", self.links.dropped()));
        stats
    }

    /// The links as measured from here, at most 100 ms old.
    pub fn metrics(&self) -> Vec<Measured> {
        self.shared.measured()
    }

    /// The mesh as this node knows it now, and its places in others' trees. None when the mesh has ended.
    pub async fn view(&self) -> Option<View> {
        let (answer, answered) = oneshot::channel();
        self.asks.send(Ask::View(answer)).ok()?;
        answered.await.ok()
    }

    /// Tells the peers that this node leaves, and ends everything.
    pub async fn shutdown(self) {
        let (done, is_done) = oneshot::channel();
        if self.asks.send(Ask::Shutdown(done)).is_ok() {
            // An error means that the loop has ended already.
            let _ = is_done.await;
        }
    }
}

/// The node as others see it: its id is proven by its key, and port 0 stands for the bound one.
fn node_of(config: &MeshConfig, identity: &NodeIdentity, bound: SocketAddr) -> Node {
    let mut node = config.node.clone();
    node.id = identity.id;
    if node.address.quic.port() == 0 {
        node.address.quic.set_port(bound.port());
    }
    node
}

/// Which life of the node this is.
fn session_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_millis() as u64)
}

fn enlarge_buffers(socket: &UdpSocket) {
    let socket = socket2::SockRef::from(socket);
    // What the system gives instead is enough to run on.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
}
