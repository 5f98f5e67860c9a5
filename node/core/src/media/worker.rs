//! A media worker as a value: datagrams, commands and link batches in, datagrams, events and link packets out.
//!
//! Everything of one batch is taken in first; [`Input::BurstEnd`] then routes it, so that each viewer's packets of a
//! video frame leave in one send. The work is spread over the siblings of this file: `command` (what the rooms ask),
//! `ingest` (what connections and links bring), `route` (who gets which packet), `negotiate` (offers and answers).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use origo_auth::{NodeId, ParticipantSid, TrackSid};
use origo_cascade_core::TrackLayer;
use origo_cascade_core::link::{self, Flow};

use super::clock::SenderClock;
use super::demux::Demux;
use super::egress::Outbox;
use super::peer::{Peer, Reader, Setup};
use super::route::Routing;
use super::session::Session;
use super::sibling::{Ask, Siblings};
use super::slab::Slab;
use super::stats::Via;
use super::timer::Timer;
use super::track::Track;
use super::{Command, Egress, Entries, Event, Sections, Stats, quality};
use crate::SessionId;

/// How often everything is looked over for what no packet or message sets off: layers that fell silent, keyframes
/// still awaited, answers that never came.
const SWEEP: Duration = Duration::from_millis(100);
/// What the time is taken to be where nobody said it: some day of 2026. Only differences count.
const SOME_NTP: u64 = 0xee00_0000 << 32;

/// How a worker is set up.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// Addresses that clients are told; at least one.
    pub addresses: Vec<SocketAddr>,
    /// Addresses that clients whose network has no UDP are told; may be empty.
    pub tcp_addresses: Vec<SocketAddr>,
    /// Estimate each subscriber's bandwidth and pace.
    pub bwe: bool,
    /// Which way packets leave to clients.
    pub egress: Egress,
    /// How many sounds that tell how loud they are a client gets at once, the loudest; 0 for all.
    pub loudest: usize,
    /// For how many sounds and pictures a client has sections.
    pub sections: Sections,
    /// Its number among the workers of its node, and how many there are.
    pub place: (usize, usize),
}

/// What a worker takes in. After a whole batch, give `BurstEnd` once and poll until `Timeout`.
#[derive(Debug)]
pub enum Input<'a> {
    /// A datagram from a client.
    Datagram {
        /// Who sent it.
        source: SocketAddr,
        /// How it came.
        transport: Transport,
        /// Which of [`WorkerConfig::addresses`] (or `tcp_addresses`) it was sent to.
        destination: SocketAddr,
        /// What it is.
        contents: &'a [u8],
    },
    /// The rooms ask something.
    Command(Command),
    /// The link thread brings something.
    Link(Vec<link::Received>),
    /// Another worker of this node brings something: its [`Output::Sibling`].
    Sibling(Vec<link::Received>),
    /// Everything that was there has been given: route it.
    BurstEnd,
    /// The instant of the last [`Output::Timeout`] has come.
    Timeout,
    /// The node ends: close every connection.
    Shutdown,
}

/// What a worker asks for. Poll until `Timeout`.
#[derive(Debug)]
pub enum Output<'a> {
    /// Send this.
    Transmit(Transmit<'a>),
    /// Tell the rooms.
    Event(Event),
    /// Give these to the link thread.
    Link(Vec<link::Send>),
    /// Give these to another worker of this node. A batch may be lost, the upper layers of pictures first.
    Sibling {
        /// Its number.
        to: usize,
        /// What its clients take, with the payloads shared; wishes for keyframes.
        batch: Vec<link::Received>,
    },
    /// Ask another worker of this node ([`Command::Sibling`]). None may be lost, and they stay in order.
    Ask {
        /// Its number.
        to: usize,
        /// What.
        ask: Ask,
    },
    /// Nothing more to do until then.
    Timeout(Instant),
}

/// What carries datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams as they are.
    Udp,
    /// Frames in a stream that the client opened (RFC 4571).
    Tcp,
}

/// Datagrams to one client, laid end to end.
#[derive(Clone, Copy, Debug)]
pub struct Transmit<'a> {
    /// How to send it.
    pub transport: Transport,
    /// The client.
    pub destination: SocketAddr,
    /// One datagram, or several of `segment_size` each (the last may be shorter).
    pub contents: &'a [u8],
    /// Set when there are several.
    pub segment_size: Option<usize>,
}

/// See the module.
pub struct Worker {
    pub(super) setup: Setup,
    pub(super) now: Instant,
    pub(super) sessions: BTreeMap<SessionId, Session>,
    pub(super) peers: Slab<Peer>,
    pub(super) tracks: Slab<Track>,
    pub(super) tracks_by_sid: BTreeMap<TrackSid, usize>,
    /// Peers that get each layer; kept apart from the tracks because a peer may ask before the track is here.
    pub(super) serves: BTreeMap<TrackLayer, Vec<(NodeId, Flow)>>,
    /// Clocks of publishers on other nodes.
    pub(super) clocks: BTreeMap<ParticipantSid, SenderClock>,
    /// Tracks with packets to route.
    pub(super) dirty: Vec<usize>,
    /// Tracks whose packets are being routed.
    pub(super) routes: VecDeque<usize>,
    /// The one that is under way.
    pub(super) routing: Option<Routing>,
    /// Rings that were made so far.
    pub(super) rings: u32,
    /// Sessions whose sections or layers are to be thought over.
    pub(super) touched: BTreeSet<SessionId>,
    /// Connections to be polled.
    pub(super) queue: VecDeque<usize>,
    pub(super) demux: Demux,
    /// Reads descriptions.
    pub(super) reader: Reader,
    pub(super) timer: Timer,
    /// When the next chunk of a burst leaves on each connection.
    pub(super) paces: Timer,
    pub(super) outbox: Outbox,
    /// Where RTCP is opened.
    pub(super) scratch: Vec<u8>,
    pub(super) events: VecDeque<Event>,
    pub(super) sends: Vec<link::Send>,
    pub(super) siblings: Siblings,
    pub(super) stats: Stats,
    /// Bytes of data messages that wait for clients, as of the last sweep.
    pub(super) data_waiting: usize,
    /// How much of what is above the lowest layers is shed.
    pub(super) shed: u8,
    /// Places among speakers that were given out so far.
    pub(super) speakers_told: u64,
    /// The place behind all who were named speakers last, and before all others: for those who were not named yet.
    pub(super) behind_speakers: u64,
    sweep_at: Instant,
    quality_at: Instant,
    /// What clients are told that the time was then.
    wall: (Instant, u64),
}

impl Worker {
    /// A worker without sessions.
    pub fn new(config: WorkerConfig, now: Instant) -> Self {
        Self {
            setup: Setup {
                addresses: config.addresses,
                tcp_addresses: config.tcp_addresses,
                bwe: config.bwe,
                egress: config.egress,
                loudest: config.loudest,
                sections: config.sections,
            },
            now,
            sessions: BTreeMap::new(),
            peers: Slab::default(),
            tracks: Slab::default(),
            tracks_by_sid: BTreeMap::new(),
            serves: BTreeMap::new(),
            clocks: BTreeMap::new(),
            dirty: Vec::new(),
            routes: VecDeque::new(),
            routing: None,
            rings: 0,
            touched: BTreeSet::new(),
            queue: VecDeque::new(),
            demux: Demux::new(0),
            reader: Reader::default(),
            timer: Timer::new(now),
            paces: Timer::new(now),
            outbox: Outbox::default(),
            scratch: Vec::new(),
            events: VecDeque::new(),
            sends: Vec::new(),
            siblings: Siblings::new(config.place.0, config.place.1),
            stats: Stats::default(),
            data_waiting: 0,
            shed: 0,
            // 0 is of those who never spoke.
            speakers_told: 1,
            behind_speakers: 1,
            sweep_at: now,
            quality_at: now + quality::SPACING,
            wall: (now, SOME_NTP),
        }
    }

    /// The same at that time of day (NTP, UQ32.32 seconds since 1900), by which clients are told when they are sent what.
    pub fn at_time(mut self, ntp: u64) -> Self {
        self.wall.1 = ntp;
        self
    }

    /// The same with a seed by which it finds clients, drawn by chance: nobody is to know it who may choose addresses.
    pub fn seeded(mut self, seed: u64) -> Self {
        self.demux = Demux::new(seed);
        self
    }

    /// Takes one input.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        self.now = self.now.max(now);
        // Nothing is left when the outputs were polled, as they are to be.
        while self.route_next() {}
        match input {
            Input::Datagram { source, transport, destination, contents } => {
                self.stats.datagrams_in += 1;
                self.stats.bytes_in += contents.len() as u64;
                self.take_datagram((transport, source), destination, contents);
            }
            Input::Command(command) => self.take_command(command),
            Input::Link(batch) => batch.into_iter().for_each(|received| self.take_received(received, Via::Link)),
            Input::Sibling(batch) => batch.into_iter().for_each(|received| self.take_received(received, Via::Sibling)),
            Input::BurstEnd => self.end_burst(),
            Input::Timeout => {
                while let Some(index) = self.timer.pop(self.now) {
                    self.enqueue(index);
                }
            }
            Input::Shutdown => {
                let sessions: Vec<_> = self.sessions.keys().copied().collect();
                sessions.into_iter().for_each(|session| self.close_session(session));
            }
        }
    }

    /// Gives the next thing to do.
    pub fn poll_output(&mut self) -> Output<'_> {
        loop {
            if !self.outbox.is_empty() {
                let (transmit, datagrams) = self.outbox.pop().expect("not empty");
                self.stats.datagrams_out += datagrams as u64;
                self.stats.bytes_out += transmit.contents.len() as u64;
                self.stats.sends_out += 1;
                return Output::Transmit(transmit);
            }
            if let Some(event) = self.events.pop_front() {
                return Output::Event(event);
            }
            if let Some((to, ask)) = self.siblings.asks.pop_front() {
                return Output::Ask { to, ask };
            }
            if let Some((to, batch)) = self.siblings.next_batch() {
                return Output::Sibling { to, batch };
            }
            if !self.sends.is_empty() {
                return Output::Link(std::mem::take(&mut self.sends));
            }
            if self.is_routing() {
                self.route_some();
                continue;
            }
            if self.send_paced() {
                continue;
            }
            let Some(index) = self.queue.pop_front() else {
                return Output::Timeout(self.next_timeout());
            };
            self.tick_peer(index);
        }
    }

    /// The time of day.
    pub(super) fn ntp(&self) -> u64 {
        let (since, ntp) = self.wall;
        let passed = self.now.saturating_duration_since(since);
        let fraction = (u64::from(passed.subsec_nanos()) << 32) / 1_000_000_000;
        ntp.wrapping_add(passed.as_secs() << 32).wrapping_add(fraction)
    }

    /// Its counters.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Whether a connection of this worker goes by this name.
    pub fn knows(&self, ufrag: &str) -> bool {
        self.demux.knows(ufrag)
    }

    /// Counts what the driver had to drop.
    pub fn count_dropped(&mut self, what: &'static str, reason: &'static str) {
        self.stats.count_dropped(what, reason);
    }

    /// Connection `index` has something to send, or may have.
    pub(super) fn enqueue(&mut self, index: usize) {
        if let Some(peer) = self.peers.get_mut(index)
            && !std::mem::replace(&mut peer.queued, true)
        {
            self.queue.push_back(index);
        }
    }

    fn end_burst(&mut self) {
        if self.now >= self.sweep_at {
            self.sweep_at = self.now + SWEEP;
            self.sweep();
        }
        for session in std::mem::take(&mut self.touched) {
            self.negotiate(session);
            self.start_viewers(session);
            self.allocate(session);
        }
        // After the choice of layers: the first packet of a layer is its keyframe, and who is to get it must get it.
        self.serve_dirty();
        self.stats.connections = self.peers.len() as u64;
        self.stats.entries = Entries {
            sessions: self.sessions.len(),
            tracks: self.tracks.len(),
            serves: self.serves.len(),
            siblings: self.siblings.takers.len(),
            clocks: self.clocks.len(),
            addresses: self.demux.len(),
        };
    }

    fn sweep(&mut self) {
        self.data_waiting =
            self.peers.indexes().filter_map(|index| self.peers.get(index)).map(Peer::data_waiting).sum();
        self.sweep_tracks();
        self.sweep_sessions();
        self.sweep_estimators();
        if self.now >= self.quality_at {
            self.quality_at = self.now + quality::SPACING;
            self.tell_quality();
        }
    }

    fn next_timeout(&self) -> Instant {
        if !self.dirty.is_empty() || !self.touched.is_empty() {
            return self.now;
        }
        let sweep_at = if self.sessions.is_empty() { self.now + Duration::from_secs(1) } else { self.sweep_at };
        [self.timer.next(), self.paces.next()].into_iter().flatten().fold(sweep_at, Instant::min)
    }
}
