//! A small network of cascades in virtual time: delays, jitter, links that break, nodes that die and come back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use origo_auth::{Identity, NodeId, ParticipantSid, RoomKey, RoomSid, TrackSid};
use origo_cascade_core::cascade::{Counters, RoomData};
use origo_cascade_core::link::Hearing;
use origo_cascade_core::route::{Direct, Prices, RelayPolicy};
use origo_cascade_core::{
    Cascade, Input, LayerSet, Level, MediaKind, Node, NodeAddress, Output, ParticipantRecord, RoomRecord, RoomSettings,
    TrackLayer, TrackRecord,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::heard::Heard;
use crate::media::{Crossing, Media};

/// What travels from one node to another.
enum Parcel {
    Control(u64, Bytes),
    Data(RoomData),
}

/// One thing that will happen.
enum Due {
    Deliver { from: usize, to: usize, link: u64, breaks: u64, parcel: Parcel },
    Wake(usize),
    FirstPacket(Crossing),
}

pub struct World {
    start: Instant,
    now: Instant,
    rng: StdRng,
    nodes: Vec<Option<Cascade>>,
    pub heard: Vec<Heard>,
    /// Kind of each control message sent, with from and to.
    pub sent: Vec<(usize, usize, u64)>,
    queue: BTreeMap<(Instant, u64), Due>,
    order: u64,
    links: BTreeMap<(usize, usize), u64>,
    /// By (from, to, whether data): data has a connection of its own and may overtake.
    last_arrival: BTreeMap<(usize, usize, bool), Instant>,
    /// How often the data connection between two nodes broke; what was under way before is lost.
    data_breaks: BTreeMap<(usize, usize), u64>,
    /// Pairs whose data connection is not there.
    without_data: BTreeSet<(usize, usize)>,
    muted: BTreeSet<usize>,
    delay: Duration,
    jitter: Duration,
    /// One-way delays that differ from `delay`, by pair, the smaller first.
    pub delays: BTreeMap<(usize, usize), Duration>,
    policy: Arc<dyn RelayPolicy>,
    /// Countries of nodes, for rooms that may not touch all.
    pub countries: BTreeMap<usize, &'static str>,
    pub draining: BTreeSet<usize>,
    /// What nodes do without, by node.
    pub levels: BTreeMap<usize, Level>,
    pub settings: RoomSettings,
    pub media: Media,
    /// Keeps what nodes say to each other in `said`.
    pub records_messages: bool,
    pub said: Vec<(u64, Bytes)>,
    /// Since when some layer crosses links in a circle.
    pub circle_since: Option<Duration>,
}

pub fn id(node: usize) -> NodeId {
    NodeId([node as u8 + 1; 16])
}

pub fn room() -> RoomKey {
    RoomKey::new("default", "standup")
}

pub fn sid_of(text: &str) -> ParticipantSid {
    format!("PA_{:0<12}", text.replace(|letter: char| !letter.is_ascii_alphanumeric(), "x")).parse().unwrap()
}

pub fn track(number: usize) -> TrackSid {
    format!("TR_{number:0>12}").parse().unwrap()
}

pub fn fresh(node: usize, created_ms: u64) -> RoomRecord {
    let sid: RoomSid = format!("RM_{node:0>12}").parse().unwrap();
    RoomRecord { room: room(), sid, created_ms, metadata: String::new(), version: 0, settings: RoomSettings::default() }
}

pub fn participant(identity: &str, session: &str, tracks: &[usize]) -> ParticipantRecord {
    let track = |number: &usize| TrackRecord {
        sid: track(*number),
        kind: MediaKind::Video,
        mime: "video/VP8".into(),
        layer_bitrates_bps: vec![150_000, 500_000, 1_700_000],
        layer_sizes: Vec::new(),
        backup_of: None,
        shown_as: None,
    };
    ParticipantRecord {
        room: room(),
        identity: Identity(identity.into()),
        sid: sid_of(session),
        owner: NodeId([0; 16]),
        incarnation: 1000,
        owner_epoch: 0,
        version: 0,
        info: Vec::new(),
        tracks: tracks.iter().map(track).collect(),
    }
}

/// Nodes as gossip tells of them.
pub fn nodes_of(nodes: impl IntoIterator<Item = usize>) -> Vec<Node> {
    let node = |node: usize| Node {
        id: id(node),
        region: format!("region {node}"),
        country: String::new(),
        continent: String::new(),
        latitude: 0.0,
        longitude: 0.0,
        url: String::new(),
        address: NodeAddress { quic: ([127, 0, 0, 1], node as u16).into() },
        load: 0.0,
        draining: false,
        overload: Default::default(),
    };
    nodes.into_iter().map(node).collect()
}

impl World {
    /// `count` nodes that know each other, with 20 ms (and up to 5 ms of jitter) from any to any.
    pub fn new(count: usize, seed: u64) -> Self {
        Self::with_policy(count, seed, Arc::new(Direct))
    }

    /// The same with a policy for trees.
    pub fn with_policy(count: usize, seed: u64, policy: Arc<dyn RelayPolicy>) -> Self {
        let mut world = Self::apart(count, seed);
        world.policy = policy;
        for node in 0..count {
            world.nodes[node] = Some(world.cascade(node));
        }
        for node in 0..count {
            world.gossip(node, 0..count);
        }
        for a in 0..count {
            for b in a + 1..count {
                world.connect(a, b);
            }
        }
        world
    }

    /// `count` nodes that know nobody.
    pub fn apart(count: usize, seed: u64) -> Self {
        let start = Instant::now();
        Self {
            start,
            now: start,
            rng: StdRng::seed_from_u64(seed),
            nodes: (0..count).map(|node| Some(Cascade::new(start, id(node)))).collect(),
            heard: (0..count).map(|_| Heard::default()).collect(),
            sent: Vec::new(),
            queue: BTreeMap::new(),
            order: 0,
            links: BTreeMap::new(),
            last_arrival: BTreeMap::new(),
            data_breaks: BTreeMap::new(),
            without_data: BTreeSet::new(),
            muted: BTreeSet::new(),
            delay: Duration::from_millis(20),
            jitter: Duration::from_millis(5),
            delays: BTreeMap::new(),
            policy: Arc::new(Direct),
            countries: BTreeMap::new(),
            draining: BTreeSet::new(),
            levels: BTreeMap::new(),
            settings: RoomSettings::default(),
            media: Media::default(),
            records_messages: false,
            said: Vec::new(),
            circle_since: None,
        }
    }

    fn cascade(&self, node: usize) -> Cascade {
        Cascade::with_policy(self.now, id(node), self.policy.clone(), Prices::default())
    }

    pub fn node(&self, node: usize) -> &Cascade {
        self.nodes[node].as_ref().expect("lives")
    }

    pub fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    pub fn gossip(&mut self, node: usize, alive: impl IntoIterator<Item = usize>) {
        let mut members = nodes_of(alive);
        for member in &mut members {
            let node = member.id.0[0] as usize - 1;
            member.country = self.countries.get(&node).copied().unwrap_or_default().to_owned();
            member.draining = self.draining.contains(&node);
            member.overload.level = self.levels.get(&node).copied().unwrap_or_default();
        }
        self.ask(node, Input::Members(members));
    }

    pub fn connect(&mut self, a: usize, b: usize) {
        self.order += 1;
        self.links.insert((a.min(b), a.max(b)), self.order);
        self.ask(a, Input::LinkUp(id(b)));
        self.ask(b, Input::LinkUp(id(a)));
    }

    pub fn disconnect(&mut self, a: usize, b: usize) {
        self.links.remove(&(a.min(b), a.max(b)));
        self.ask(a, Input::LinkDown(id(b)));
        self.ask(b, Input::LinkDown(id(a)));
    }

    /// The data connection between two nodes breaks; nobody is told.
    pub fn break_data(&mut self, a: usize, b: usize) {
        let pair = (a.min(b), a.max(b));
        *self.data_breaks.entry(pair).or_default() += 1;
        self.without_data.insert(pair);
    }

    /// There is a data connection again.
    pub fn mend_data(&mut self, a: usize, b: usize) {
        self.without_data.remove(&(a.min(b), a.max(b)));
    }

    pub fn is_linked(&self, a: usize, b: usize) -> bool {
        self.links.contains_key(&(a.min(b), a.max(b)))
    }

    /// What the node sends is lost from now on.
    pub fn mute(&mut self, node: usize) {
        self.muted.insert(node);
    }

    /// The node dies; the others notice at once by link and gossip.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node] = None;
        self.media.forget(node);
        let others: Vec<usize> = (0..self.nodes.len()).filter(|other| self.nodes[*other].is_some()).collect();
        for other in others.clone() {
            self.links.remove(&(node.min(other), node.max(other)));
            self.ask(other, Input::LinkDown(id(node)));
            self.gossip(other, others.clone());
        }
    }

    /// The node dies, and nobody has noticed yet.
    pub fn strike(&mut self, node: usize) {
        self.nodes[node] = None;
        self.media.forget(node);
    }

    /// The node is not heard any more, as its link's reports tell.
    pub fn miss(&mut self, node: usize) {
        for other in self.living() {
            let quiet = Duration::from_millis(300);
            self.ask(other, Input::Hearing { peer: id(node), hearing: Hearing::Gone, quiet });
        }
    }

    /// The node comes back with the same id and an empty memory.
    pub fn restart(&mut self, node: usize) {
        self.nodes[node] = Some(self.cascade(node));
        self.heard[node] = Heard::default();
        let all: Vec<usize> = (0..self.nodes.len()).filter(|other| self.nodes[*other].is_some()).collect();
        for other in &all {
            self.gossip(*other, all.clone());
        }
        for other in all.iter().filter(|other| **other != node) {
            self.connect(node, *other);
        }
    }

    pub fn ask(&mut self, node: usize, input: Input) {
        let Some(cascade) = &mut self.nodes[node] else { return };
        cascade.handle_input(self.now, input);
        self.drain(node);
        self.circle_since = crate::invariants::check(self);
    }

    fn drain(&mut self, node: usize) {
        loop {
            let Some(cascade) = &mut self.nodes[node] else { return };
            match cascade.poll_output() {
                Output::Control { to, kind, message } => {
                    let to = to.0[0] as usize - 1;
                    self.sent.push((node, to, kind));
                    if self.records_messages {
                        self.said.push((kind, message.clone()));
                    }
                    self.post(node, to, Parcel::Control(kind, message));
                }
                Output::Data { to, data } => self.post(node, to.0[0] as usize - 1, Parcel::Data(data)),
                Output::Forward(forward) => {
                    self.media.apply(node, &forward);
                    self.heard[node].forwards.push((self.now - self.start, forward));
                    self.send_first_packets();
                }
                Output::Event(event) => self.heard[node].events.push((self.now - self.start, event)),
                Output::Timeout(at) => {
                    self.order += 1;
                    self.queue.insert((at, self.order), Due::Wake(node));
                    return;
                }
            }
        }
    }

    /// Whatever flows and has not been heard of arrives after one way.
    fn send_first_packets(&mut self) {
        for crossing in self.flowing() {
            if !self.media.is_told(crossing) {
                self.order += 1;
                let at = self.now + self.delay_of(crossing.1, crossing.0);
                self.queue.insert((at, self.order), Due::FirstPacket(crossing));
            }
        }
    }

    /// What crosses links now.
    pub fn flowing(&self) -> BTreeSet<Crossing> {
        self.media.flowing(|a, b| self.is_linked(a, b))
    }

    fn delay_of(&self, from: usize, to: usize) -> Duration {
        self.delays.get(&(from.min(to), from.max(to))).copied().unwrap_or(self.delay)
    }

    fn post(&mut self, from: usize, to: usize, parcel: Parcel) {
        if self.muted.contains(&from) {
            return;
        }
        let pair = (from.min(to), from.max(to));
        let Some(link) = self.links.get(&pair).copied() else { return };
        let is_data = matches!(parcel, Parcel::Data(_));
        if is_data && self.without_data.contains(&pair) {
            return;
        }
        let jitter = self.jitter.mul_f64(self.rng.random());
        let last = self.last_arrival.get(&(from, to, is_data)).copied().unwrap_or(self.start);
        let at = (self.now + self.delay_of(from, to) + jitter).max(last);
        self.last_arrival.insert((from, to, is_data), at);
        self.order += 1;
        let breaks = self.data_breaks.get(&pair).copied().unwrap_or(0);
        self.queue.insert((at, self.order), Due::Deliver { from, to, link, breaks, parcel });
    }

    /// Lets time pass.
    pub fn run_for(&mut self, span: Duration) {
        let until = self.now + span;
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= until) {
            self.now = self.now.max(entry.key().0);
            match entry.remove() {
                Due::Wake(node) => self.wake(node),
                Due::FirstPacket(crossing) => {
                    if self.flowing().contains(&crossing) && self.media.tell(crossing) {
                        let (node, from, flow) = crossing;
                        self.ask(node, Input::Flowing { from: id(from), flow });
                    }
                }
                Due::Deliver { from, to, link, breaks, parcel } => {
                    let pair = (from.min(to), from.max(to));
                    let is_whole = matches!(parcel, Parcel::Control(..))
                        || self.data_breaks.get(&pair).copied().unwrap_or(0) == breaks;
                    if is_whole && self.links.get(&pair) == Some(&link) {
                        self.deliver(from, to, parcel);
                    }
                }
            }
        }
        self.now = until;
    }

    fn wake(&mut self, node: usize) {
        let Some(cascade) = &mut self.nodes[node] else { return };
        // A wake-up that an earlier input has overtaken has nothing to do; asking anew keeps one pending.
        if let Output::Timeout(at) = cascade.poll_output()
            && at <= self.now
        {
            self.ask(node, Input::Timeout);
        }
    }

    fn deliver(&mut self, from: usize, to: usize, parcel: Parcel) {
        let input = match parcel {
            Parcel::Control(kind, message) => Input::Control { from: id(from), message, kind },
            Parcel::Data(data) => Input::DataFrom { from: id(from), data },
        };
        self.ask(to, input);
    }

    pub fn enter(&mut self, node: usize) {
        let created_ms = 1_000_000 + self.elapsed().as_millis() as u64;
        let mut fresh = fresh(node, created_ms);
        fresh.settings = self.settings.clone();
        self.ask(node, Input::Enter { fresh });
    }

    pub fn join(&mut self, node: usize, identity: &str, tracks: &[usize]) {
        self.ask(node, Input::Publish(participant(identity, &format!("{identity}{node}"), tracks)));
    }

    pub fn want(&mut self, node: usize, number: usize, layers: LayerSet) {
        self.ask(node, Input::Want { room: room(), track: track(number), layers });
    }

    pub fn counters(&self, node: usize) -> Counters {
        self.nodes[node].as_ref().unwrap().counters()
    }

    /// Whether the viewers of `node` get a layer of track `number` now.
    pub fn is_fed(&self, node: usize, number: usize, layer: u8) -> bool {
        let layer = TrackLayer { track: track(number), layer };
        self.media.is_watched(node, layer, &self.flowing())
    }

    /// From whom `node` receives layer 0 of track `number`, or is ready to.
    pub fn parents(&self, node: usize, number: usize) -> Vec<usize> {
        self.media.parents(node, TrackLayer { track: track(number), layer: 0 })
    }

    /// Nodes that live.
    pub fn living(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|node| self.nodes[*node].is_some()).collect()
    }
}
