//! What befalls the mesh: faults of the scenario as they begin and end, and all that nodes notice of them by themselves.
//!
//! Without a fault in the scenario none of this happens: connections stay, everybody knows everybody.

mod backlog;
mod connection;
mod draining;
mod gray;
mod life;
mod lines;
mod members;
mod overload;
mod pause;
mod people;
mod rest;
mod succession;

use std::collections::{BTreeMap, BTreeSet};

use origo_cascade_core::Level;
use rand::rngs::SmallRng;

use self::backlog::Backlog;
use self::connection::End;
use self::draining::Drain;
use self::lines::Lines;
pub(super) use self::pause::Pause;
pub(super) use self::succession::Beside;
use super::{Detail, SETTLES, World};
use crate::dice::dice;
use crate::membership::{Beat, Standing, View};
use crate::scenario::{DRAIN_DEADLINE, Gray, Trouble};

/// A process needs this long from its start to its first word, ns.
const BOOTS: u64 = 300_000_000;
/// A fault is over for good after this, ns: death is known, connections stand again, and moves are done.
const RESTS: u64 = 15_000_000_000;

/// What happens because of faults.
#[derive(Debug)]
pub(super) enum Happening {
    /// A fault of the scenario begins.
    Begin(u32),
    /// It is over.
    End(u32),
    /// Lines that flap carry something again, or nothing.
    Flap(u32),
    /// A node is started.
    Start(u32),
    /// A node's next round of gossip.
    Round { node: u32, life: u32 },
    /// Gossip comes from a node.
    Told(Box<Told>),
    /// A connection is tried.
    Dial { pair: (u32, u32), serial: u32, attempt: u32 },
    /// The other side has answered.
    Greet { pair: (u32, u32), serial: u32 },
    /// A node takes the next input of those that wait.
    Work(u32),
    /// Somebody whose node is gone joins another.
    Rejoin(u32),
    /// Somebody's node has stood still for long.
    Despair { person: u32, since: u64 },
    /// A node that drains sends its people on.
    SendOn(Drain),
    /// It ends, whoever is left.
    Deadline(Drain),
    /// A node has said that it ends its connection.
    Closed { node: u32, peer: u32, number: u32 },
    /// Somebody is told to go on elsewhere.
    MoveOn(u32),
    /// Somebody who goes on at this node has all its tracks here.
    TakeOver(u32),
    /// Whoever goes on elsewhere looks whether everything flows there.
    LetGo { person: u32, since: u64, whole_at: Option<u64> },
}

/// What a gossip message carries.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) asks: bool,
    pub(super) beats: Vec<Beat>,
}

/// The state of all faults.
#[derive(Debug)]
pub(super) struct Faults {
    /// Whether the scenario has any.
    pub(super) any: bool,
    pub(super) nodes: Vec<State>,
    /// By node times count plus peer: the node's end of their connection.
    ends: Vec<End>,
    /// Connections that are tried, by pair: which try it is.
    dials: BTreeMap<(u32, u32), u32>,
    serial: u32,
    lines: Lines,
    /// Shares of gossip that are lost, by fault.
    gossip_losses: BTreeMap<u32, f64>,
    /// Faults that have begun and are not over.
    lasting: BTreeSet<u32>,
    /// When one last began or ended.
    changed_at: Option<u64>,
    /// The same of those that are more than a shortage.
    others_changed_at: Option<u64>,
    /// At the last look.
    was_calm: bool,
    /// When lines that were cut last came back, and rooms that have not become one since.
    healed_at: Option<u64>,
    healing: BTreeSet<usize>,
    dice: SmallRng,
}

/// What has befallen a node.
#[derive(Debug)]
pub(super) struct State {
    /// Grows with each start.
    pub(super) life: u32,
    pub(super) dead: bool,
    died_at: u64,
    view: View,
    /// What it told its cascade last of who lives and how they stand.
    told: Vec<(usize, Standing)>,
    /// As in [`Beat`].
    pub(super) drains: u32,
    /// Faults that hold it.
    held: u32,
    held_at: u64,
    /// Since when it is short of something, and whether it was looked who knows of it.
    short_since: Option<u64>,
    shortage_looked_at: bool,
    /// It takes so many times as long, by fault.
    slow: BTreeMap<u32, f64>,
    /// By fault.
    skews: BTreeMap<u32, f64>,
    /// By fault.
    grays: BTreeMap<u32, Gray>,
    backlog: Backlog,
    /// Takes inputs as they come.
    is_free: bool,
}

impl State {
    pub(super) fn is_draining(&self) -> bool {
        self.drains % 2 == 1
    }
}

impl Faults {
    pub(super) fn new(nodes: usize, any: bool, seed: u64) -> Self {
        let state = |node| State {
            life: 1,
            dead: false,
            died_at: 0,
            view: View::settled(node, if any { nodes } else { node + 1 }, 0),
            told: (0..nodes).map(|node| (node, Standing::default())).collect(),
            drains: 0,
            held: 0,
            held_at: 0,
            short_since: None,
            shortage_looked_at: false,
            slow: BTreeMap::new(),
            skews: BTreeMap::new(),
            grays: BTreeMap::new(),
            backlog: Backlog::default(),
            is_free: true,
        };
        Self {
            any,
            nodes: (0..nodes).map(state).collect(),
            ends: vec![End::default(); if any { nodes * nodes } else { 0 }],
            dials: BTreeMap::new(),
            serial: 0,
            lines: Lines::default(),
            gossip_losses: BTreeMap::new(),
            lasting: BTreeSet::new(),
            changed_at: None,
            others_changed_at: None,
            was_calm: true,
            healed_at: None,
            healing: BTreeSet::new(),
            dice: dice(seed, "faults"),
        }
    }

    /// Whether a node is there and goes on with its work.
    pub(super) fn runs(&self, node: usize) -> bool {
        !self.nodes[node].dead && self.nodes[node].held == 0
    }

    /// How wrong a node's clock is, ms.
    fn skew_ms(&self, node: usize) -> i64 {
        (self.nodes[node].skews.values().sum::<f64>() * 1000.0) as i64
    }

    /// What a node's clock shows, ms, when a right one shows that.
    pub(super) fn clock_ms(&self, node: usize, right_ms: u64) -> u64 {
        right_ms.saturating_add_signed(self.skew_ms(node))
    }

    /// Whether nothing has befallen anything for so long that all must be well again.
    pub(super) fn is_calm(&self, now: u64) -> bool {
        self.lasting.is_empty() && self.changed_at.is_none_or(|at| now >= at + RESTS)
    }

    /// Something has befallen the mesh, which is more than a shortage or not.
    fn change(&mut self, now: u64, is_shortage: bool) {
        self.changed_at = Some(now);
        if !is_shortage {
            self.others_changed_at = Some(now);
        }
    }

    /// Since when it is calm, at the earliest.
    pub(super) fn calm_since(&self) -> u64 {
        self.changed_at.map_or(0, |at| at + RESTS)
    }
}

impl World<'_> {
    /// All faults get their time.
    pub(super) fn begin_faults(&mut self) {
        if !self.faults.any {
            return;
        }
        let settles = SETTLES.as_nanos() as u64;
        for (number, fault) in self.scenario.faults.iter().enumerate() {
            self.befalls(settles + fault.at.as_nanos() as u64, Happening::Begin(number as u32));
            if let Some(until) = fault.until {
                self.befalls(settles + until.as_nanos() as u64, Happening::End(number as u32));
            }
        }
        for node in 0..self.nodes.len() {
            self.begin_rounds(node);
        }
    }

    fn befalls(&mut self, at: u64, happening: Happening) {
        self.push(at, super::event::Event::Fault(happening));
    }

    /// Something happens because of faults.
    pub(super) fn befall(&mut self, happening: Happening) {
        match happening {
            Happening::Begin(fault) => self.begin_fault(fault),
            Happening::End(fault) => self.end_fault(fault),
            Happening::Flap(fault) => self.flap(fault),
            Happening::Start(node) => self.start_node(node as usize),
            Happening::Round { node, life } => self.round(node as usize, life),
            Happening::Told(told) => self.hear_gossip(*told),
            Happening::Dial { pair, serial, attempt } => self.dial(pair, serial, attempt),
            Happening::Greet { pair, serial } => self.greet(pair, serial),
            Happening::Work(node) => self.work(node as usize),
            Happening::Rejoin(person) => self.rejoin(person),
            Happening::Despair { person, since } => self.despair(person, since),
            Happening::SendOn(drain) => self.send_on(drain),
            Happening::Deadline(drain) => self.deadline(drain),
            Happening::Closed { node, peer, number } => self.closed(node as usize, peer as usize, number),
            Happening::MoveOn(person) => self.move_on(person),
            Happening::TakeOver(person) => self.take_over(person),
            Happening::LetGo { person, since, whole_at } => self.let_go(person, since, whole_at),
        }
    }

    fn begin_fault(&mut self, number: u32) {
        let fault = &self.scenario.faults[number as usize];
        self.tell(Detail::Decisions, || format!("fault {}: {:?}", number + 1, fault.what));
        self.faults.change(self.now, matches!(fault.what, Trouble::Overload { .. }));
        self.begin_pauses(number);
        if fault.until.is_some() || lasts(&fault.what) {
            self.faults.lasting.insert(number);
        }
        match &fault.what {
            Trouble::Kill(nodes) => nodes.iter().for_each(|node| self.kill(*node)),
            Trouble::Restart(nodes) => {
                for node in nodes {
                    self.kill(*node);
                    self.befalls(self.now + BOOTS, Happening::Start(*node as u32));
                }
            }
            Trouble::Drain { nodes, deadline } => nodes.iter().for_each(|node| self.drain(*node, *deadline)),
            Trouble::Undrain(nodes) => nodes.iter().for_each(|node| self.set_draining(*node, false)),
            Trouble::Overload { nodes, level } => nodes.iter().for_each(|node| self.set_level(*node, *level)),
            Trouble::Partition(groups) => self.partition(number, groups),
            Trouble::Heal => {
                self.heal();
                self.begin_healing();
            }
            Trouble::Degrade(which, patch) => self.degrade(number, which, patch),
            Trouble::Flap { which, .. } => self.begin_flap(number, which),
            Trouble::Gray { nodes, how } => nodes.iter().for_each(|node| {
                self.faults.nodes[*node].grays.insert(number, how.clone());
            }),
            Trouble::Hold(nodes) => nodes.iter().for_each(|node| self.hold(*node, true)),
            Trouble::Skew { nodes, seconds } => nodes.iter().for_each(|node| {
                self.faults.nodes[*node].skews.insert(number, *seconds);
            }),
            Trouble::Slow { nodes, factor } => nodes.iter().for_each(|node| self.slow(*node, number, Some(*factor))),
            Trouble::GossipLoss(share) => {
                self.faults.gossip_losses.insert(number, *share);
            }
        }
    }

    fn end_fault(&mut self, number: u32) {
        let fault = &self.scenario.faults[number as usize];
        self.tell(Detail::Decisions, || format!("fault {} is over", number + 1));
        self.faults.change(self.now, matches!(fault.what, Trouble::Overload { .. }));
        self.faults.lasting.remove(&number);
        if matches!(fault.what, Trouble::Partition(_)) {
            self.begin_healing();
        }
        match &fault.what {
            Trouble::Kill(nodes) => nodes.iter().for_each(|node| {
                self.befalls(self.now + BOOTS, Happening::Start(*node as u32));
            }),
            Trouble::Drain { nodes, .. } => nodes.iter().for_each(|node| self.undrain(*node)),
            Trouble::Undrain(nodes) => nodes.iter().for_each(|node| self.drain(*node, DRAIN_DEADLINE)),
            Trouble::Overload { nodes, .. } => nodes.iter().for_each(|node| self.set_level(*node, Level::Calm)),
            Trouble::Partition(_) | Trouble::Degrade(..) | Trouble::Flap { .. } => self.mend_lines(number),
            Trouble::Gray { nodes, .. } => nodes.iter().for_each(|node| {
                self.faults.nodes[*node].grays.remove(&number);
            }),
            Trouble::Hold(nodes) => nodes.iter().for_each(|node| self.hold(*node, false)),
            Trouble::Skew { nodes, .. } => nodes.iter().for_each(|node| {
                self.faults.nodes[*node].skews.remove(&number);
            }),
            Trouble::Slow { nodes, .. } => nodes.iter().for_each(|node| self.slow(*node, number, None)),
            Trouble::GossipLoss(_) => {
                self.faults.gossip_losses.remove(&number);
            }
            Trouble::Restart(_) | Trouble::Heal => {}
        }
    }
}

/// Whether a fault goes on until something ends it.
fn lasts(what: &Trouble) -> bool {
    matches!(
        what,
        Trouble::Partition(_)
            | Trouble::Flap { .. }
            | Trouble::Gray { .. }
            | Trouble::Hold(_)
            | Trouble::Slow { .. }
            | Trouble::GossipLoss(_)
    )
}
