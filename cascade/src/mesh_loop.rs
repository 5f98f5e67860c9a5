//! The mesh loop: one task that runs the cascade between connections, gossip, the link thread and the node.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use origo_auth::{NodeId, RoomKey};
use origo_cascade_core::{Cascade, Forward, Input, Node, Output, Overload, metric};
use quinn::Endpoint;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, sleep_until, timeout};
use tracing::{debug, error, info, warn};

use crate::control;
use crate::data;
use crate::dialer::Dialer;
use crate::double::Double;
use crate::gossip::{Gossip, Heard, Routes};
use crate::kind::{Close, Kind};
use crate::links::{Forwarding, ForwardingSender};
use crate::measured::Told;
use crate::news::{Connected, ConnectionNumber, Greeted, News, NewsSender};
use crate::peer::{Control, Peer, Rank};
use crate::stats::Shared;
use crate::{MeshEvent, View};

/// How often missing connections are looked for.
const TICK: Duration = Duration::from_millis(50);
/// The larger node leaves it to the smaller to dial, this long.
const PATIENCE: Duration = Duration::from_millis(500);
/// An address that gossip asked for is dialled while it asks.
const WANTED_STAYS: Duration = Duration::from_secs(5);
/// Addresses that gossip asks for at a time.
const WANTED_MAX: usize = 256;
/// Longest wait for peers to hear that this node leaves.
const FAREWELL_MAX: Duration = Duration::from_millis(500);
/// Load is told in steps of this, so that gossip is not about noise.
const LOAD_STEPS: f64 = 20.0;
/// How often it is looked whether links have changed.
const MEASURE_EVERY: Duration = Duration::from_secs(1);

/// What the node asks of the loop.
pub(crate) enum Ask {
    Cascade(Input),
    Load(f64),
    Draining(bool),
    Overload(Overload),
    View(oneshot::Sender<View>),
    Shutdown(oneshot::Sender<()>),
}

/// The loop's state.
pub(crate) struct MeshLoop {
    pub(crate) node: Node,
    pub(crate) session: u64,
    pub(crate) seeds: Vec<SocketAddr>,
    pub(crate) worker_of: fn(&RoomKey, usize) -> usize,
    pub(crate) workers: usize,
    pub(crate) cascade: Cascade,
    pub(crate) endpoint: Endpoint,
    pub(crate) dialer: Dialer,
    pub(crate) forwarding: ForwardingSender,
    pub(crate) routes: Routes,
    pub(crate) heard: mpsc::Sender<Heard>,
    pub(crate) news: NewsSender,
    pub(crate) events: mpsc::Sender<MeshEvent>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) gossip: Option<Gossip>,
    pub(crate) state: State,
    /// Ends the link thread when it is dropped.
    pub(crate) _stop: oneshot::Sender<()>,
}

/// What changes while the loop runs.
#[derive(Default)]
pub(crate) struct State {
    peers: BTreeMap<NodeId, Peer>,
    /// Gossip's living nodes with their sessions.
    view: Vec<(Node, u64)>,
    /// Lives of nodes that said goodbye; gossip takes a while to agree.
    left: BTreeMap<NodeId, u64>,
    /// Who answered at an address.
    peers_by_address: BTreeMap<SocketAddr, NodeId>,
    /// Addresses that gossip would like to talk to.
    wanted: BTreeMap<SocketAddr, Instant>,
    wake_at: Option<Instant>,
    told: Told,
    measure_at: Option<Instant>,
    double: Double,
}

impl MeshLoop {
    /// Runs until the node shuts the mesh down or drops it.
    pub(crate) async fn run(mut self, mut asks: mpsc::UnboundedReceiver<Ask>, mut news: mpsc::Receiver<News>) {
        self.show_members();
        self.input(Input::Members(self.members())).await;
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let wake_at = self.state.wake_at.unwrap_or_else(|| Instant::now() + TICK);
            tokio::select! {
                ask = asks.recv() => match ask {
                    Some(Ask::Cascade(input)) => self.input(input).await,
                    Some(Ask::Load(load)) => self.set_load(load).await,
                    Some(Ask::Draining(draining)) => self.set_draining(draining).await,
                    Some(Ask::Overload(overload)) => self.set_overload(overload).await,
                    // Whoever asked may have stopped waiting.
                    Some(Ask::View(answer)) => drop(answer.send(self.view())),
                    Some(Ask::Shutdown(done)) => {
                        self.leave().await;
                        // Whoever asked may have stopped waiting.
                        let _ = done.send(());
                        return;
                    }
                    None => return self.leave().await,
                },
                Some(news) = news.recv() => self.handle(news).await,
                () = sleep_until(wake_at.into()) => self.input(Input::Timeout).await,
                _ = tick.tick() => {
                    self.dial_missing();
                    self.tell_links().await;
                }
            }
        }
    }

    async fn handle(&mut self, news: News) {
        match news {
            News::Connected(kind, connected) => self.connected(kind, connected),
            News::Dialled { kind, address, peer } => self.dialled(kind, address, peer),
            News::Greeted(greeted) => self.greeted(*greeted).await,
            News::Frame { number, peer, frame } => {
                if self.is_current(peer, number) {
                    self.input(Input::Control { from: peer, message: frame.body, kind: frame.kind }).await;
                }
            }
            News::OtherLife(peer) => self.other_life(peer),
            News::ControlDown { number, peer, leaving } => self.control_down(number, peer, leaving).await,
            News::Media { peer, up } => {
                if let Some(peer) = self.state.peers.get_mut(&peer) {
                    peer.has_media = up;
                }
            }
            News::DataDown { number, peer } => {
                if let Some(peer) = self.state.peers.get_mut(&peer) {
                    peer.data_connection_is_down(number);
                }
            }
            News::Data { peer, data } => self.input(Input::DataFrom { from: peer, data }).await,
            News::Members(view) => {
                self.state.view = view;
                self.members_changed().await;
            }
            // What this node measures it has told already.
            News::Metrics { node, .. } if node == self.node.id => {}
            News::Metrics { node, links } => self.input(Input::Metrics { node, links }).await,
            News::Hearing { peer, hearing, quiet } => {
                debug!(%peer, ?hearing, ?quiet, "a peer is heard otherwise");
                self.input(Input::Hearing { peer, hearing, quiet }).await;
            }
            News::Counts(counts) => {
                self.input(Input::Counts(counts)).await;
                self.shared.set_seconds(self.cascade.seconds());
            }
            News::Flowing { peer, flow } => self.input(Input::Flowing { from: peer, flow }).await,
            News::Wanted(address) => {
                if self.state.wanted.len() < WANTED_MAX {
                    self.state.wanted.insert(address, Instant::now());
                }
            }
        }
    }

    fn view(&self) -> View {
        let mut map = self.cascade.map().clone();
        // Gossip tells of this node's links every few seconds; here they are known as they are.
        let measured: Vec<_> = self.shared.measured().iter().map(|link| (link.peer, link.metric)).collect();
        map.set_metrics(self.node.id, &measured);
        View { map, branches: self.cascade.branches() }
    }

    /// Gives one input to the cascade and does what it asks for.
    async fn input(&mut self, input: Input) {
        self.cascade.handle_input(Instant::now(), input);
        loop {
            match self.cascade.poll_output() {
                Output::Control { to, kind, message } => {
                    if let Some(control) = self.state.peers.get(&to).and_then(|peer| peer.control.as_ref()) {
                        control.sender.send(kind, &message);
                    }
                }
                Output::Data { to, data } => {
                    if let Some(peer) = self.state.peers.get(&to) {
                        peer.data.send(data);
                    }
                }
                Output::Forward(forward) => self.forward(forward).await,
                Output::Event(event) => self.tell(MeshEvent::Rooms(event)).await,
                Output::Timeout(at) => {
                    self.state.wake_at = Some(at);
                    self.shared.set_cascade(self.cascade.counters());
                    return;
                }
            }
        }
    }

    /// The link thread hears of a change before the worker does: a worker's packets find their table.
    async fn forward(&mut self, forward: Forward) {
        debug!(?forward, "forwarding changes");
        let room = match &forward {
            Forward::Serve { room, .. } | Forward::StopServe { room, .. } | Forward::Receive { room, .. } => Some(room),
            Forward::Relay { .. }
            | Forward::StopRelay { .. }
            | Forward::StopReceive { .. }
            | Forward::Refill { .. } => None,
        };
        let sink = room.map_or(0, |room| (self.worker_of)(room, self.workers));
        let for_worker = match &forward {
            Forward::Serve { room, .. } | Forward::StopServe { room, .. } => Some(room.clone()),
            _ => None,
        };
        self.forwarding.send(Forwarding::Change { forward: forward.clone(), sink });
        if let Some(room) = for_worker {
            self.tell(MeshEvent::Forward(room, forward)).await;
        }
    }

    async fn tell(&self, event: MeshEvent) {
        // A node that has dropped its end does not want to hear.
        let _ = self.events.send(event).await;
    }

    fn peer(&mut self, id: NodeId) -> &mut Peer {
        let shared = &self.shared;
        self.state.peers.entry(id).or_insert_with(|| Peer::new(shared.clone()))
    }

    fn is_current(&self, peer: NodeId, number: ConnectionNumber) -> bool {
        let control = self.state.peers.get(&peer).and_then(|peer| peer.control.as_ref());
        control.is_some_and(|control| control.number == number)
    }

    fn connected(&mut self, kind: Kind, connected: Connected) {
        match kind {
            Kind::Control => {
                let (news, shared) = (self.news.clone(), self.shared.clone());
                let ours = control::hello_of(self.session, self.node.address.quic, connected.dial);
                tokio::spawn(control::greet(connected, ours, news, shared));
            }
            Kind::Data => {
                let me = self.node.id;
                if self.peer(connected.peer).take_data_connection(me, &connected) {
                    let (news, shared) = (self.news.clone(), self.shared.clone());
                    let Connected { number, peer, connection, .. } = connected;
                    tokio::spawn(data::read(connection, number, peer, news, shared));
                }
            }
            // The link thread keeps these.
            Kind::Media => {}
        }
    }

    async fn greeted(&mut self, greeted: Greeted) {
        let (connected, hello) = (&greeted.connected, &greeted.hello);
        let (id, number, connection) = (connected.peer, connected.number, connected.connection.clone());
        let rank = Rank {
            peer_session: hello.session,
            dialled_by_smaller: connected.dial.is_some() == (self.node.id < id),
            dial: connected.dial.unwrap_or(hello.dial),
        };
        let (session, told_address) = (hello.session, hello.address.parse().ok());
        let peer = self.peer(id);
        if let Some(control) = &peer.control {
            let why = if control.rank.peer_session == rank.peer_session { Close::Duplicate } else { Close::OtherLife };
            if control.rank >= rank {
                return why.end(&connection);
            }
            why.end(&control.connection);
        }
        let is_new_life = peer.session != 0 && peer.session != session;
        peer.session = session;
        peer.told_address = told_address;
        if is_new_life {
            peer.drop_data_connection(Close::Done);
            self.forwarding.send(Forwarding::Forget(id));
        }
        let sender = control::run(greeted, self.news.clone(), self.heard.clone(), self.shared.clone());
        let address = connection.remote_address();
        info!(peer = %id, %address, "linked");
        self.peer(id).control = Some(Control { number, rank, connection, sender });
        self.set_routes();
        self.input(Input::LinkUp(id)).await;
        if let Some(gossip) = &self.gossip {
            gossip.talk_to(address);
        }
    }

    /// A peer is linked with a newer life of this node.
    fn other_life(&mut self, peer: NodeId) {
        if self.state.double.is_certain(Instant::now()) && self.shared.set_double() {
            error!(%peer, node = %self.node.id, "another process runs with this node's identity");
        }
    }

    async fn control_down(&mut self, number: ConnectionNumber, id: NodeId, leaving: bool) {
        if !self.is_current(id, number) {
            return;
        }
        let peer = self.peer(id);
        peer.control = None;
        let session = peer.session;
        info!(peer = %id, leaving, "link is gone");
        self.set_routes();
        self.input(Input::LinkDown(id)).await;
        if leaving {
            self.state.left.insert(id, session);
            self.members_changed().await;
        }
        self.drop_gone_peers();
    }

    /// A peer without a link that gossip does not know any more is forgotten.
    fn drop_gone_peers(&mut self) {
        let alive: Vec<NodeId> = self.members().iter().map(|node| node.id).collect();
        self.state.peers.retain(|id, peer| peer.control.is_some() || alive.contains(id));
        self.state
            .left
            .retain(|id, session| self.state.view.iter().any(|(node, gossiped)| node.id == *id && gossiped == session));
    }

    fn dialled(&mut self, kind: Kind, address: SocketAddr, peer: Option<NodeId>) {
        self.dialer.ended(Instant::now(), kind, address, peer.is_some());
        if let Some(peer) = peer {
            self.state.peers_by_address.insert(address, peer);
        }
    }

    /// The living nodes: what gossip says, less those that said goodbye; this node as it knows itself.
    fn members(&self) -> Vec<Node> {
        let has_left = |(node, session): &&(Node, u64)| self.state.left.get(&node.id) == Some(session);
        let others = self.state.view.iter().filter(|entry| !has_left(entry)).map(|(node, _)| node);
        let others = others.filter(|node| node.id != self.node.id).cloned();
        let mut members: Vec<Node> = others.chain([self.node.clone()]).collect();
        members.sort_by_key(|node| node.id);
        members
    }

    fn show_members(&self) {
        self.shared.set_nodes(self.members());
    }

    async fn members_changed(&mut self) {
        self.show_members();
        self.set_routes();
        let members = self.members();
        debug!(nodes = members.len(), "the cluster changes");
        self.input(Input::Members(members)).await;
        self.drop_gone_peers();
    }

    /// Where gossip finds connections: by the address they come from, and by the one that their node tells.
    fn set_routes(&self) {
        let mut routes = BTreeMap::new();
        for (id, peer) in &self.state.peers {
            let Some(control) = &peer.control else { continue };
            routes.insert(control.connection.remote_address(), control.connection.clone());
            let gossiped = self.state.view.iter().find(|(node, _)| node.id == *id).map(|(node, _)| node.address.quic);
            for address in [peer.told_address, gossiped].into_iter().flatten() {
                routes.entry(address).or_insert_with(|| control.connection.clone());
            }
        }
        self.routes.set(routes);
    }

    fn dial_missing(&mut self) {
        let now = Instant::now();
        for address in self.seeds.clone() {
            self.dial_address(now, address, Duration::ZERO);
        }
        self.state.wanted.retain(|_, since| now - *since < WANTED_STAYS);
        let wanted: Vec<SocketAddr> = self.state.wanted.keys().copied().collect();
        for address in wanted {
            self.dial_address(now, address, PATIENCE);
        }
        let me = self.node.id;
        for node in self.members().into_iter().filter(|node| node.id != me) {
            if self.state.peers.get(&node.id).is_none_or(|peer| peer.control.is_none()) {
                let patience = if me < node.id { Duration::ZERO } else { PATIENCE };
                self.dialer.want(now, Kind::Control, node.address.quic, Some(node.id), patience);
            }
        }
        self.dial_for_media_and_data(now);
        self.dialer.tidy(now);
    }

    /// Dials an address unless whoever is there is linked already.
    fn dial_address(&mut self, now: Instant, address: SocketAddr, patience: Duration) {
        let known = self.state.peers_by_address.get(&address).copied();
        let gossiped = self.state.view.iter().find(|(node, _)| node.address.quic == address).map(|(node, _)| node.id);
        let is_linked = |id: NodeId| self.state.peers.get(&id).is_some_and(|peer| peer.control.is_some());
        let is_there = [known, gossiped].into_iter().flatten().any(|id| id == self.node.id || is_linked(id));
        if !is_there && address != self.node.address.quic {
            self.dialer.want(now, Kind::Control, address, None, patience);
        }
    }

    /// Media and data connections follow the control connection, so that the first packet finds them there.
    fn dial_for_media_and_data(&mut self, now: Instant) {
        for (id, peer) in &self.state.peers {
            let Some(control) = &peer.control else { continue };
            let address = control.connection.remote_address();
            let patience = if self.node.id < *id { Duration::ZERO } else { PATIENCE };
            if !peer.has_media {
                self.dialer.want(now, Kind::Media, address, Some(*id), patience);
            }
            if !peer.has_data() {
                self.dialer.want(now, Kind::Data, address, Some(*id), patience);
            }
        }
    }

    async fn set_load(&mut self, load: f64) {
        let load = (load.clamp(0.0, 1.0) * LOAD_STEPS).round() / LOAD_STEPS;
        if load == self.node.load || !load.is_finite() {
            return;
        }
        self.node.load = load;
        if let Some(gossip) = &mut self.gossip {
            gossip.tell(&self.node).await;
        }
        self.show_members();
    }

    /// Whatever this node's cascade draws or homes hangs on it too, so that it hears at once.
    async fn set_draining(&mut self, draining: bool) {
        if std::mem::replace(&mut self.node.draining, draining) != draining {
            self.tell_of_this_node().await;
        }
    }

    /// So does what this node relays.
    async fn set_overload(&mut self, overload: Overload) {
        if self.node.overload != overload {
            self.node.overload = overload;
            self.tell_of_this_node().await;
        }
    }

    async fn tell_of_this_node(&mut self) {
        if let Some(gossip) = &mut self.gossip {
            gossip.tell(&self.node).await;
        }
        self.members_changed().await;
    }

    /// Tells the cluster, and this node's own cascade, how its links are now.
    async fn tell_links(&mut self) {
        let now = Instant::now();
        if self.state.measure_at.is_some_and(|at| now < at) {
            return;
        }
        self.state.measure_at = Some(now + MEASURE_EVERY);
        let measured = self.shared.measured().iter().map(|link| (link.peer, link.metric)).collect();
        let Some(links) = self.state.told.next(now, measured, &self.shared.traffic()) else { return };
        if let Some(gossip) = &self.gossip {
            gossip.tell_links(&metric::pack(&links)).await;
        }
        self.input(Input::Metrics { node: self.node.id, links }).await;
    }

    /// Says goodbye and ends everything.
    async fn leave(mut self) {
        info!("leaving the mesh");
        if let Some(gossip) = self.gossip.take() {
            gossip.stop().await;
        }
        self.endpoint.close(Close::Leaving.code(), b"leaving the mesh");
        if timeout(FAREWELL_MAX, self.endpoint.wait_idle()).await.is_err() {
            warn!("not every peer has confirmed that this node leaves");
        }
    }
}
