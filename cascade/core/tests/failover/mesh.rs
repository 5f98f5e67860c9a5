//! A mesh of cascades with their links in virtual time: paths with delay, loss and faults, and packets over them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use origo_auth::{Identity, NodeId, ParticipantSid, RoomKey, RoomSid, TrackSid};
use origo_cascade_core::link::{self, Received};
use origo_cascade_core::links::{self, Links};
use origo_cascade_core::metric::LinkMetric;
use origo_cascade_core::route::{Prices, RelayPolicy, Tree};
use origo_cascade_core::{
    Cascade, Forward, Input, LayerSet, MediaKind, Node, Output, ParticipantRecord, RoomRecord, RoomSettings,
    TrackLayer, TrackRecord,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::publisher::{Publisher, Track};
use crate::regions::{self, REGIONS};
use crate::viewer::Viewer;

pub const MS: Duration = Duration::from_millis(1);
pub const SECOND: Duration = Duration::from_secs(1);
/// How fast gossip tells that a node is dead.
const GOSSIP: Duration = Duration::from_millis(2_500);
/// After so long without a word QUIC gives a control connection up.
const GIVEN_UP: Duration = Duration::from_secs(5);

/// What a node does to packets that it should pass on.
#[derive(Clone, Copy, Debug)]
pub struct Gray {
    /// This share is lost in it.
    pub loses: f64,
    /// And the rest so late.
    pub late: Duration,
    /// Only towards this node; towards all without it.
    pub towards: Option<usize>,
}

enum Due {
    Datagram { from: usize, to: usize, link: u64, datagram: Bytes },
    Control { from: usize, to: usize, link: u64, kind: u64, message: Bytes },
    Publish { node: usize, track: usize },
    Gossip,
    LinkDown { a: usize, b: usize, cut: u64 },
}

pub struct Mesher {
    pub cascade: Cascade,
    pub links: Links,
    wakes: (Instant, Instant),
    pub viewers: BTreeMap<TrackLayer, Viewer>,
    pub publisher: Publisher,
}

pub struct Mesh {
    now: Instant,
    rng: StdRng,
    pub nodes: Vec<Option<Mesher>>,
    regions: Vec<usize>,
    policy: Arc<dyn RelayPolicy>,
    due: BTreeMap<(Instant, u64), Due>,
    order: u64,
    /// Directed paths that let nothing through.
    cut: BTreeSet<(usize, usize)>,
    cuts: u64,
    pub loss: f64,
    pub gray: BTreeMap<usize, Gray>,
    /// Control messages on paths that are cut, for when they are whole again.
    held: BTreeMap<(usize, usize), VecDeque<(u64, Bytes)>>,
    last_arrival: BTreeMap<(usize, usize), Instant>,
    /// Pairs that are linked, with the number of the link.
    linked: BTreeMap<(usize, usize), u64>,
    sent: Vec<usize>,
}

pub fn id(node: usize) -> NodeId {
    NodeId([node as u8 + 1; 16])
}

fn place_of(id: NodeId) -> usize {
    usize::from(id.0[0]) - 1
}

pub fn room() -> RoomKey {
    RoomKey::new("default", "standup")
}

pub fn layer(track: usize) -> TrackLayer {
    let track: TrackSid = format!("TR_{track:0>12}").parse().unwrap();
    TrackLayer { track, layer: 0 }
}

fn pair(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}

impl Mesh {
    /// Nodes in these regions with the default policy.
    pub fn new(regions: &[usize], seed: u64) -> Self {
        Self::with_policy(regions, seed, Arc::new(Tree::default()))
    }

    pub fn with_policy(regions: &[usize], seed: u64, policy: Arc<dyn RelayPolicy>) -> Self {
        let start = Instant::now();
        let mut mesh = Self {
            now: start,
            rng: StdRng::seed_from_u64(seed),
            nodes: Vec::new(),
            policy,
            regions: regions.to_vec(),
            due: BTreeMap::new(),
            order: 0,
            cut: BTreeSet::new(),
            cuts: 0,
            loss: 0.0,
            gray: BTreeMap::new(),
            held: BTreeMap::new(),
            last_arrival: BTreeMap::new(),
            linked: BTreeMap::new(),
            sent: vec![0; regions.len()],
        };
        mesh.nodes = (0..regions.len()).map(|node| Some(mesh.mesher(node))).collect();
        mesh.gossip();
        for a in 0..regions.len() {
            for b in a + 1..regions.len() {
                mesh.connect(a, b);
            }
        }
        mesh.run_for(SECOND);
        for node in 0..regions.len() {
            mesh.ask(node, Input::Enter { fresh: fresh(node) });
        }
        mesh.run_for(SECOND);
        mesh
    }

    fn mesher(&self, node: usize) -> Mesher {
        let now = self.now;
        Mesher {
            cascade: Cascade::with_policy(now, id(node), self.policy.clone(), Prices::default()),
            links: Links::new(now),
            wakes: (now, now),
            viewers: BTreeMap::new(),
            publisher: Publisher::default(),
        }
    }

    /// A mesh in `count` regions at random.
    pub fn at_random(count: usize, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut regions: Vec<usize> = (0..REGIONS.len()).collect();
        for place in (1..regions.len()).rev() {
            regions.swap(place, rng.random_range(0..=place));
        }
        Self::new(&regions[..count], seed)
    }

    pub fn now(&self) -> Instant {
        self.now
    }

    pub fn node(&self, node: usize) -> &Mesher {
        self.nodes[node].as_ref().expect("lives")
    }

    fn node_mut(&mut self, node: usize) -> &mut Mesher {
        self.nodes[node].as_mut().expect("lives")
    }

    pub fn living(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|node| self.nodes[*node].is_some()).collect()
    }

    /// One way between two nodes.
    pub fn delay(&self, a: usize, b: usize) -> Duration {
        regions::delay(self.regions[a], self.regions[b])
    }

    /// What gossip tells all: who lives, and how far they are.
    fn gossip(&mut self) {
        let living = self.living();
        let told = |node: &usize| regions::node(*node, self.regions[*node]);
        let members: Vec<Node> = living.iter().map(told).collect();
        for node in &living {
            self.ask(*node, Input::Members(members.clone()));
            for of in &living {
                let metric = |to: usize| LinkMetric {
                    rtt: 2 * self.delay(*of, to),
                    free_bps: u64::MAX,
                    ..LinkMetric::default()
                };
                let links = living.iter().filter(|to| *to != of).map(|to| (id(*to), metric(*to))).collect();
                self.ask(*node, Input::Metrics { node: id(*of), links });
            }
        }
    }

    fn connect(&mut self, a: usize, b: usize) {
        self.order += 1;
        self.linked.insert(pair(a, b), self.order);
        for (from, to) in [(a, b), (b, a)] {
            let rtt = 2 * self.delay(a, b);
            let up = link::Input::Up { rtt, rate_bps: Some(100_000_000) };
            self.link_input(from, links::Input::Link { peer: id(to), input: up });
            self.ask(from, Input::LinkUp(id(to)));
        }
    }

    fn disconnect(&mut self, a: usize, b: usize) {
        if self.linked.remove(&pair(a, b)).is_none() {
            return;
        }
        for (from, to) in [(a, b), (b, a)] {
            self.held.remove(&(from, to));
            if self.nodes[from].is_some() {
                self.link_input(from, links::Input::Link { peer: id(to), input: link::Input::Down });
                self.ask(from, Input::LinkDown(id(to)));
            }
        }
    }

    /// Somebody on a node publishes tracks of sound or picture.
    pub fn publish(&mut self, node: usize, identity: &str, tracks: &[(usize, MediaKind)]) {
        let record = |(track, kind): &(usize, MediaKind)| TrackRecord {
            sid: layer(*track).track,
            kind: *kind,
            mime: if *kind == MediaKind::Audio { "audio/opus" } else { "video/VP8" }.into(),
            layer_bitrates_bps: vec![if *kind == MediaKind::Audio { 32_000 } else { 1_000_000 }],
            layer_sizes: Vec::new(),
            backup_of: None,
            shown_as: None,
        };
        let sid: ParticipantSid = format!("PA_{identity:x<12}").parse().unwrap();
        let record = ParticipantRecord {
            room: room(),
            identity: Identity(identity.into()),
            sid,
            owner: NodeId([0; 16]),
            incarnation: 1000,
            owner_epoch: 0,
            version: 0,
            info: Vec::new(),
            tracks: tracks.iter().map(record).collect(),
        };
        self.ask(node, Input::Publish(record));
        for (track, kind) in tracks {
            let first = self.rng.random_range(65_536..131_072);
            let publisher = &mut self.node_mut(node).publisher;
            publisher.tracks.push(Track::new(layer(*track), *kind, first));
            let track = publisher.tracks.len() - 1;
            let after = Duration::from_micros(self.rng.random_range(0..20_000));
            self.later(after, Due::Publish { node, track });
        }
    }

    /// A publisher mutes a track, or not.
    pub fn mute(&mut self, node: usize, track: usize, muted: bool) {
        let tracks = self.node_mut(node).publisher.tracks.iter_mut();
        tracks.filter(|it| it.layer == layer(track)).for_each(|it| it.is_muted = muted);
    }

    /// People on a node begin or end to watch a track.
    pub fn want(&mut self, node: usize, track: usize, wanted: bool) {
        let layers = if wanted { LayerSet(1) } else { LayerSet::NONE };
        self.ask(node, Input::Want { room: room(), track: layer(track).track, layers });
    }

    /// The node is killed: nothing comes from it any more, and nobody is told.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node] = None;
        for other in self.living() {
            self.cuts += 1;
            let (a, b) = pair(node, other);
            self.later(GIVEN_UP, Due::LinkDown { a, b, cut: u64::MAX });
        }
        self.later(GOSSIP, Due::Gossip);
    }

    /// A node that was killed comes back with an empty memory.
    pub fn restart(&mut self, node: usize) {
        for other in self.living() {
            self.disconnect(node, other);
            self.cut.retain(|(from, to)| ![*from, *to].contains(&node));
        }
        self.nodes[node] = Some(self.mesher(node));
        self.gossip();
        for other in self.living().into_iter().filter(|other| *other != node) {
            self.connect(node, other);
        }
        self.ask(node, Input::Enter { fresh: fresh(node) });
    }

    /// Nothing passes from one node to the other any more.
    pub fn cut(&mut self, from: usize, to: usize) {
        self.cuts += 1;
        self.cut.insert((from, to));
        let (a, b) = pair(from, to);
        self.later(GIVEN_UP, Due::LinkDown { a, b, cut: self.cuts });
    }

    /// Nothing passes between two nodes for a while.
    pub fn mend(&mut self, from: usize, to: usize) {
        self.cut.remove(&(from, to));
        self.cuts += 1;
        for (kind, message) in self.held.remove(&(from, to)).unwrap_or_default() {
            self.post(from, to, kind, message);
        }
        let (a, b) = pair(from, to);
        if !self.linked.contains_key(&(a, b)) && self.nodes[a].is_some() && self.nodes[b].is_some() {
            self.connect(a, b);
        }
    }

    pub fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cut.contains(&(from, to))
    }

    pub fn viewer(&self, node: usize, track: usize) -> &Viewer {
        &self.node(node).viewers[&layer(track)]
    }

    /// Who feeds a node with what an origin publishes.
    pub fn parent(&self, node: usize, origin: usize) -> Option<usize> {
        let branches = self.node(node).cascade.branches();
        branches.iter().find(|branch| branch.origin == id(origin)).map(|branch| place_of(branch.parent))
    }

    /// Nodes that take from a node what an origin publishes.
    pub fn children(&self, node: usize, origin: usize) -> Vec<usize> {
        let others = self.living().into_iter().filter(|other| *other != node);
        others.filter(|other| self.parent(*other, origin) == Some(node)).collect()
    }

    /// Control messages that a node has sent.
    pub fn sent(&self, node: usize) -> usize {
        self.sent[node]
    }

    fn later(&mut self, after: Duration, due: Due) {
        self.order += 1;
        self.due.insert((self.now + after, self.order), due);
    }

    pub fn run_for(&mut self, span: Duration) {
        let until = self.now + span;
        loop {
            let wakes = self.nodes.iter().flatten().map(|node| node.wakes.0.min(node.wakes.1));
            let due = self.due.keys().next().map(|(at, _)| *at);
            let next = wakes.chain(due).min().unwrap_or(until);
            if next > until {
                break;
            }
            self.now = self.now.max(next);
            if due.is_some_and(|at| at <= self.now) {
                let (_, due) = self.due.pop_first().unwrap();
                self.happen(due);
                continue;
            }
            for node in self.living() {
                if self.node(node).wakes.0 <= self.now {
                    self.ask(node, Input::Timeout);
                }
                if self.node(node).wakes.1 <= self.now {
                    self.link_input(node, links::Input::Timeout);
                }
            }
        }
        self.now = until;
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Datagram { from, to, link, datagram } => {
                if self.nodes[to].is_some() && self.linked.get(&pair(from, to)) == Some(&link) {
                    let input = link::Input::Datagram(datagram.into());
                    self.link_input(to, links::Input::Link { peer: id(from), input });
                }
            }
            Due::Control { from, to, link, kind, message } => {
                if self.nodes[to].is_some() && self.linked.get(&pair(from, to)) == Some(&link) {
                    self.ask(to, Input::Control { from: id(from), message, kind });
                }
            }
            Due::Publish { node, track } => {
                let now = self.now;
                let Some(publishing) = &mut self.nodes[node] else { return };
                let (sent, pace) = (publishing.publisher.send(track, now), publishing.publisher.tracks[track].pace());
                sent.into_iter().for_each(|send| self.link_input(node, links::Input::Send(send)));
                self.later(pace, Due::Publish { node, track });
            }
            Due::Gossip => self.gossip(),
            Due::LinkDown { a, b, cut } => {
                let is_dead = self.nodes[a].is_none() || self.nodes[b].is_none();
                if is_dead || cut == self.cuts && (self.is_cut(a, b) || self.is_cut(b, a)) {
                    self.disconnect(a, b);
                }
            }
        }
    }

    pub fn ask(&mut self, node: usize, input: Input) {
        let now = self.now;
        self.node_mut(node).cascade.handle_input(now, input);
        loop {
            match self.node_mut(node).cascade.poll_output() {
                Output::Control { to, kind, message } => self.post(node, place_of(to), kind, message),
                Output::Data { .. } | Output::Event(_) => {}
                Output::Forward(forward) => self.forward(node, forward),
                Output::Timeout(at) => {
                    self.node_mut(node).wakes.0 = at;
                    return;
                }
            }
        }
    }

    fn forward(&mut self, node: usize, forward: Forward) {
        self.node_mut(node).publisher.apply(&forward);
        self.link_input(node, links::Input::Forward { forward, sink: 0 });
    }

    fn link_input(&mut self, node: usize, input: links::Input) {
        let now = self.now;
        let mut told = Vec::new();
        self.node_mut(node).links.handle_input(now, input);
        loop {
            match self.node_mut(node).links.poll_output() {
                links::Output::Transmit { to, datagram } => self.transmit(node, place_of(to), datagram.to_bytes()),
                links::Output::Received { received, .. } => self.received(node, received),
                links::Output::Flowing { from, flow } => told.push(Input::Flowing { from, flow }),
                links::Output::Hearing { peer, hearing, quiet } => told.push(Input::Hearing { peer, hearing, quiet }),
                links::Output::Counts(counts) => told.push(Input::Counts(counts)),
                links::Output::Allow { .. } => {}
                links::Output::Timeout(at) => {
                    self.node_mut(node).wakes.1 = at;
                    break;
                }
            }
        }
        told.into_iter().for_each(|input| self.ask(node, input));
    }

    fn received(&mut self, node: usize, received: Received) {
        let now = self.now;
        match received {
            Received::Packet { layer, packet } => {
                let viewer = self.node_mut(node).viewers.entry(layer).or_default();
                viewer.take(now, packet.sequence, packet.key);
            }
            Received::Keyframe { layer } => self.node_mut(node).publisher.want_key(layer),
            Received::SenderReport { .. } => {}
        }
    }

    fn transmit(&mut self, from: usize, to: usize, datagram: Bytes) {
        let mut delay = self.delay(from, to);
        // Packets carry a flow number, which link messages do not.
        if let Some(gray) = self.gray.get(&from).filter(|_| datagram[0] != 0).copied()
            && gray.towards.is_none_or(|towards| towards == to)
        {
            if self.rng.random_bool(gray.loses) {
                return;
            }
            delay += gray.late;
        }
        if self.is_cut(from, to) || self.nodes[to].is_none() || self.rng.random_bool(self.loss) {
            return;
        }
        let jitter = Duration::from_micros(self.rng.random_range(0..1000));
        let Some(&link) = self.linked.get(&pair(from, to)) else { return };
        self.later(delay + jitter, Due::Datagram { from, to, link, datagram });
    }

    fn post(&mut self, from: usize, to: usize, kind: u64, message: Bytes) {
        self.sent[from] += 1;
        if self.is_cut(from, to) || self.is_cut(to, from) {
            // A stream needs both directions.
            self.held.entry((from, to)).or_default().push_back((kind, message));
            return;
        }
        let at = self.now + self.delay(from, to) + Duration::from_micros(self.rng.random_range(0..2000));
        let last = self.last_arrival.entry((from, to)).or_insert(at);
        *last = at.max(*last);
        let after = *last - self.now;
        let Some(&link) = self.linked.get(&pair(from, to)) else { return };
        self.later(after, Due::Control { from, to, link, kind, message });
    }
}

fn fresh(node: usize) -> RoomRecord {
    let sid: RoomSid = format!("RM_{node:0>12}").parse().unwrap();
    let (metadata, settings) = (String::new(), RoomSettings::default());
    RoomRecord { room: room(), sid, created_ms: 1_000_000 + node as u64, metadata, version: 0, settings }
}
