//! A world: nodes with the real cores, paths between them, and people who use them, in virtual time.
//!
//! Everything that happens is an event in one calendar. After each event the invariants that it could have broken are
//! looked at (`copies`, `receive`), the others ten times a second (`gauges`).

mod copies;
mod drain;
mod event;
mod fault;
mod gauges;
mod join;
mod keyframe;
mod late;
mod local;
mod news;
mod node;
mod outcome;
mod publish;
mod receive;
mod said;
mod silence;
mod track;
mod tree;
mod watch;
mod wire;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use origo_auth::{RoomKey, RoomSid, TrackSid};
use origo_cascade_core::Places;

pub use self::outcome::judge;

use self::event::Event;
use self::fault::Faults;
use self::join::Person;
use self::local::Local;
use self::node::Node;
use self::silence::Silences;
use self::track::Track;
use self::tree::Trees;
use crate::calendar::Calendar;
use crate::dice::dice;
use crate::gossip::Gossip;
use crate::measures::Measures;
use crate::network::{Path, Ways};
use crate::outcome::{Outcome, Second, Violation};
use crate::scenario::{Scenario, What};

/// A mesh runs for this long before a scenario begins, so that nodes have measured their links and told of it.
const SETTLES: Duration = Duration::from_secs(3);
/// Violations that are kept; a broken invariant tends to be broken again with each packet.
const VIOLATIONS_MAX: usize = 200;

/// What somebody who looks on is told.
#[derive(Debug)]
pub enum News<'a> {
    /// Another tenth of a second is over.
    Progress {
        /// Since the scenario began.
        at: Duration,
        /// Of so much.
        of: Duration,
        /// Events so far.
        events: u64,
    },
    /// Something happened, in words.
    Told {
        /// Since the scenario began, seconds.
        at_s: f64,
        /// What.
        what: &'a str,
    },
}

/// How closely a run is followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// Progress alone.
    #[default]
    Progress,
    /// What nodes decide and people do.
    Decisions,
    /// Every packet too.
    Packets,
}

/// How a run is followed, and for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Following {
    /// How closely.
    pub detail: Detail,
    /// It ends then, before the scenario does.
    pub until: Option<Duration>,
}

/// Runs a scenario.
pub fn run(scenario: &Scenario) -> Outcome {
    follow(scenario, Following::default(), &mut |_| {})
}

/// Runs a scenario and tells what happens.
pub fn follow(scenario: &Scenario, following: Following, listener: &mut dyn FnMut(News<'_>)) -> Outcome {
    let mut world = World::new(scenario, following, listener);
    world.begin();
    world.run();
    world.into_outcome()
}

/// A room of the scenario.
#[derive(Debug)]
struct Room {
    key: RoomKey,
    sid: RoomSid,
    countries: Vec<String>,
}

struct World<'a> {
    scenario: &'a Scenario,
    start: Instant,
    now: u64,
    /// The same for the cores.
    instant: Instant,
    /// Measures begin.
    warm: u64,
    end: u64,
    calendar: Calendar<Event>,
    events: u64,
    nodes: Vec<Node>,
    places: Places,
    /// By sending node times count plus receiving node.
    paths: Vec<Path>,
    /// Control messages, by path.
    streams: Vec<event::Stream>,
    /// Paths that follow a trace.
    traced: Vec<usize>,
    ways: Ways,
    gossip: Gossip,
    faults: Faults,
    rooms: Vec<Room>,
    rooms_by_key: BTreeMap<RoomKey, usize>,
    people: Vec<Person>,
    /// Rooms on nodes.
    locals: Vec<Local>,
    /// By local: somebody there waits for a first packet. Apart, for it is looked at with each packet.
    awaits: Vec<bool>,
    locals_by_place: BTreeMap<(usize, usize), usize>,
    tracks: Vec<Track>,
    tracks_by_sid: BTreeMap<TrackSid, u32>,
    /// When the first picture and the first sound of each person began, ns since the start.
    begun: BTreeMap<(String, bool), u64>,
    trees: Trees,
    silences: Silences,
    /// Payloads of every length that was needed.
    payloads: Vec<Option<Arc<[u8]>>>,
    heard: VecDeque<(usize, origo_cascade_core::Event)>,
    /// What links tell cascades.
    told: VecDeque<(usize, origo_cascade_core::Input)>,
    measures: Measures,
    second: Second,
    seconds: Vec<Second>,
    /// One-way delays of the second.
    delays: Vec<f32>,
    /// Tallies of all paths, and repairs, when the second began.
    before: gauges::Before,
    /// What links of dead nodes counted.
    retired: gauges::Before,
    ticks: u64,
    /// Bytes of all paths at the end of the warm-up.
    cold_bytes: Vec<u64>,
    violations: Vec<Violation>,
    violation_count: u64,
    /// When somebody was last there.
    occupied_at: u64,
    following: Following,
    listener: &'a mut dyn FnMut(News<'_>),
}

impl<'a> World<'a> {
    // Instants of cores are opaque: virtual time counts from one that means nothing.
    #[allow(clippy::disallowed_methods)]
    fn new(scenario: &'a Scenario, following: Following, listener: &'a mut dyn FnMut(News<'_>)) -> Self {
        let start = Instant::now();
        let settles = SETTLES.as_nanos() as u64;
        let duration = following.until.map_or(scenario.duration, |until| until.min(scenario.duration));
        let topology = &scenario.topology;
        let nodes: Vec<Node> = topology.nodes.iter().map(|node| Node::new(start, node, &scenario.policy)).collect();
        let rooms = scenario.rooms.iter().map(|room| Room {
            key: RoomKey::new("sim", &room.name),
            sid: RoomSid::random(&mut dice(scenario.seed, &room.name)),
            countries: room.countries.clone(),
        });
        let mut world = Self {
            scenario,
            start,
            now: 0,
            instant: start,
            warm: settles + scenario.warmup.as_nanos() as u64,
            end: settles + duration.as_nanos() as u64,
            calendar: Calendar::default(),
            events: 0,
            places: nodes.iter().enumerate().map(|(place, node)| (node.id, place)).collect(),
            paths: Vec::new(),
            streams: Vec::new(),
            traced: Vec::new(),
            ways: Ways::default(),
            gossip: Gossip::new(nodes.len(), scenario.seed),
            faults: Faults::new(nodes.len(), !scenario.faults.is_empty(), scenario.seed),
            rooms: rooms.collect(),
            rooms_by_key: BTreeMap::new(),
            people: Vec::new(),
            locals: Vec::new(),
            awaits: Vec::new(),
            locals_by_place: BTreeMap::new(),
            tracks: Vec::new(),
            begun: BTreeMap::new(),
            tracks_by_sid: BTreeMap::new(),
            trees: Trees::default(),
            silences: Silences::default(),
            payloads: Vec::new(),
            heard: VecDeque::new(),
            told: VecDeque::new(),
            measures: Measures::default(),
            second: Second::default(),
            seconds: Vec::new(),
            delays: Vec::new(),
            before: gauges::Before::default(),
            retired: gauges::Before::default(),
            ticks: 0,
            cold_bytes: Vec::new(),
            violations: Vec::new(),
            violation_count: 0,
            occupied_at: 0,
            nodes,
            following,
            listener,
        };
        let keys = world.rooms.iter().enumerate().map(|(place, room)| (room.key.clone(), place));
        world.rooms_by_key = keys.collect();
        world.lay_paths();
        world
    }

    fn lay_paths(&mut self) {
        let topology = &self.scenario.topology;
        for (from, a) in topology.nodes.iter().enumerate() {
            for (to, b) in topology.nodes.iter().enumerate() {
                let line = topology.lines.get(&(from, to)).cloned().unwrap_or_default();
                if line.trace.is_some() {
                    self.traced.push(self.paths.len());
                }
                self.streams.push(event::Stream::default());
                self.paths.push(Path::new(line, self.scenario.seed, &format!("{} to {}", a.name, b.name)));
            }
        }
        self.find_ways();
    }

    fn find_ways(&mut self) {
        let count = self.nodes.len();
        self.ways = Ways::new(count, |from, to| self.paths[from * count + to].delay());
    }

    fn run(&mut self) {
        while let Some(at) = self.calendar.next_at()
            && at <= self.end
        {
            let Some((at, event)) = self.calendar.pop() else { return };
            self.now = self.now.max(at);
            self.instant = self.start + Duration::from_nanos(self.now);
            self.events += 1;
            self.handle(event);
            self.settle();
        }
        self.now = self.end;
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Arrive { path, connection, datagram } => self.arrive(path as usize, connection, datagram),
            Event::Control(parcel) => self.take_control(*parcel),
            Event::Again(parcel) => self.send_parcel(parcel),
            Event::WakeCascade(node) => self.wake_cascade(node as usize),
            Event::WakeLinks(node) => self.wake_links(node as usize),
            Event::Frame(track) => self.frame(track),
            Event::Burst { track, layer } => self.burst(track, layer),
            Event::Sound(track) => self.sound(track),
            Event::Resume { track, layer } => self.resume(track, layer),
            Event::Key { track, layer } => self.key(track, layer),
            Event::AskKey { node, track, layer } => self.ask_key_again(node as usize, track, layer),
            Event::Join(person) => self.join(person),
            Event::Leave(person) => self.leave(person),
            Event::Change(change) => self.change(change as usize),
            Event::Tell(node) => self.tell_metrics(node as usize),
            Event::Hear(news) => self.hear_metrics(*news),
            Event::Tick => self.tick(),
            Event::Fault(happening) => self.befall(happening),
        }
    }

    fn change(&mut self, change: usize) {
        match &self.scenario.changes[change].what {
            What::Links(which, patch) => {
                let count = self.nodes.len();
                for (from, to) in self.scenario.topology.which(which) {
                    self.paths[from * count + to].change(|line| patch.apply(line));
                }
                self.find_ways();
                let links = self.scenario.topology.which(which).len();
                self.tell(Detail::Decisions, || format!("{links} links change"));
            }
            What::Takes { room, node, takes } => self.change_takes(*room, node.as_deref(), *takes),
        }
    }

    fn push(&mut self, at: u64, event: Event) {
        if at <= self.end {
            self.calendar.push(at, event);
        }
    }

    fn nanos(&self, at: Instant) -> u64 {
        (at - self.start).as_nanos() as u64
    }

    /// Seconds since the scenario began.
    fn seconds_now(&self) -> f64 {
        (self.now as f64 - SETTLES.as_nanos() as f64) / 1e9
    }

    fn is_warm(&self) -> bool {
        self.now >= self.warm
    }

    fn measure(&mut self, metric: &'static str, value: f64) {
        if self.is_warm() {
            self.measures.add(metric, value);
        }
    }

    fn violate(&mut self, what: String) {
        self.violation_count += 1;
        self.tell(Detail::Decisions, || format!("BROKEN: {what}"));
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(Violation { at_s: self.seconds_now(), what });
        }
    }

    fn tell(&mut self, detail: Detail, what: impl FnOnce() -> String) {
        if detail <= self.following.detail {
            let at_s = self.seconds_now();
            (self.listener)(News::Told { at_s, what: &what() });
        }
    }

    fn name(&self, node: usize) -> &str {
        &self.scenario.topology.nodes[node].name
    }
}

fn ms(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}

#[cfg(test)]
mod tests;
