//! What a tree grows on: the nodes that may be in it, and what the ways between them are like.

use std::collections::BTreeMap;

use origo_auth::NodeId;

use super::{Parameters, ms};
use crate::Node;
use crate::home::hash;
use crate::route::relay::Problem;

/// The origin's index.
pub const ORIGIN: usize = 0;
/// A member that declares no bits takes at least a voice, bits per second.
const RATE_MIN_BPS: f64 = 32_000.0;

/// A node that may be in the tree.
#[derive(Clone, Debug)]
pub struct Vertex {
    pub id: NodeId,
    /// Its region's name; empty for a node that gossip does not know yet.
    pub region: String,
    /// Bits per second that it takes.
    pub rate: f64,
    /// It has no viewers, and would only relay.
    pub idle: bool,
    /// It may feed others.
    pub relays: bool,
    /// It has so much to do that it takes no new children.
    pub busy: bool,
    /// Breaks ties, differently in each room.
    pub rank: u64,
    /// Who takes from outside for its region; itself where it is alone there.
    pub ingress: usize,
    /// How many take from it for being its region's ingress.
    pub siblings: usize,
    /// Its parent in the plan in force.
    pub old: Option<usize>,
    /// Its backup there.
    pub old_backup: Option<usize>,
    /// It has not moved for long enough.
    pub rested: bool,
    /// Delay over the best way from the origin, milliseconds.
    pub best: f64,
    /// Bits per second that it has to spare for children.
    pub egress: f64,
}

/// A directed way, with all that passing it costs.
#[derive(Clone, Copy, Debug)]
pub struct Hop {
    /// Delay with the node at its end and the expected repair, milliseconds.
    pub delay: f64,
    /// Bits per second that may be added.
    pub free: f64,
    /// Price of a bit.
    pub price: f64,
    /// There is no link, or none that holds.
    pub is_cut: bool,
}

/// Vertices and hops.
#[derive(Debug)]
pub struct Ground<'a> {
    pub problem: &'a Problem<'a>,
    /// The origin first.
    pub vertices: Vec<Vertex>,
    /// By from and to.
    hops: Vec<Option<Hop>>,
}

impl<'a> Ground<'a> {
    /// Of the origin, the members to be reached, and nodes that would only relay.
    pub fn new(problem: &'a Problem<'a>, parameters: &Parameters, reached: &[NodeId], idle: &[NodeId]) -> Self {
        let ids = || std::iter::once(&problem.origin).chain(reached).chain(idle);
        let mut vertices: Vec<Vertex> = ids().map(|id| vertex(problem, parameters, *id)).collect();
        let index: BTreeMap<NodeId, usize> = ids().enumerate().map(|(index, id)| (*id, index)).collect();
        let rate_max = rate_max(&vertices);
        for (place, vertex) in vertices.iter_mut().enumerate() {
            let before = problem.before.edges.get(&vertex.id);
            vertex.old = before.and_then(|edge| index.get(&edge.parent)).copied().filter(|_| place != ORIGIN);
            vertex.old_backup = before.and_then(|edge| index.get(&edge.backup?)).copied();
            vertex.idle = place > reached.len();
            if vertex.idle {
                vertex.rate = rate_max;
            }
        }
        vertices[ORIGIN].relays = true;
        let mut ground = Self { problem, vertices, hops: Vec::new() };
        ground.measure(parameters);
        ground.choose_ingresses();
        ground.find_best(parameters);
        ground
    }

    /// From one vertex to another; `None` to and from nodes that gossip does not know.
    pub fn hop(&self, from: usize, to: usize) -> Option<Hop> {
        self.hops[from * self.vertices.len() + to]
    }

    /// The most that anybody takes, bits per second.
    pub fn rate_max(&self) -> f64 {
        rate_max(&self.vertices)
    }

    fn measure(&mut self, parameters: &Parameters) {
        let ids: Vec<NodeId> = self.vertices.iter().map(|vertex| vertex.id).collect();
        self.hops.reserve(ids.len() * ids.len());
        for (place, from) in ids.iter().enumerate() {
            let mut egress: f64 = 0.0;
            for to in &ids {
                let hop = if from == to { None } else { hop(self.problem, parameters, *from, *to) };
                egress = hop.map_or(egress, |hop| egress.max(hop.free));
                self.hops.push(hop);
            }
            self.vertices[place].egress = egress;
        }
    }

    /// One node takes for all of its region: the one that does already, else the one that the hash ranks highest.
    fn choose_ingresses(&mut self) {
        let mut ingresses: BTreeMap<&str, (bool, bool, bool, u64, usize)> = BTreeMap::new();
        for (index, vertex) in self.vertices.iter().enumerate().filter(|(_, vertex)| !vertex.region.is_empty()) {
            let parent = vertex.old.map(|old| self.vertices[old].region.as_str());
            let does_already = parent.is_some_and(|region| region != vertex.region);
            let claim = (index == ORIGIN, vertex.relays && !vertex.idle, does_already, vertex.rank, index);
            let best = ingresses.entry(&vertex.region).or_insert(claim);
            *best = claim.max(*best);
        }
        let chosen: Vec<usize> = self
            .vertices
            .iter()
            .enumerate()
            .map(|(index, vertex)| {
                ingresses.get(vertex.region.as_str()).filter(|_| !vertex.idle).map_or(index, |claim| claim.4)
            })
            .collect();
        for (index, ingress) in chosen.into_iter().enumerate() {
            self.vertices[index].ingress = ingress;
            self.vertices[ingress].siblings += usize::from(ingress != index);
        }
    }

    /// Best delays over at most so many hops (Bellman and Ford, round by round).
    fn find_best(&mut self, parameters: &Parameters) {
        let count = self.vertices.len();
        let straight = |to: usize| self.hop(ORIGIN, to).map_or(0.0, |hop| hop.delay);
        let mut best: Vec<f64> = (0..count).map(straight).collect();
        for _ in 1..parameters.hops {
            let last = best.clone();
            for via in (1..count).filter(|via| self.vertices[*via].relays && !self.vertices[*via].idle) {
                for (to, best) in best.iter_mut().enumerate().skip(1) {
                    if let Some(hop) = self.hop(via, to).filter(|hop| self.has_room(*hop, to, parameters)) {
                        *best = best.min(last[via] + hop.delay);
                    }
                }
            }
        }
        self.vertices.iter_mut().zip(best).for_each(|(vertex, best)| vertex.best = best);
    }

    /// Whether a way has room for what a vertex takes.
    pub fn has_room(&self, hop: Hop, to: usize, parameters: &Parameters) -> bool {
        hop.free * parameters.utilisation_max >= self.vertices[to].rate
    }
}

fn rate_max(vertices: &[Vertex]) -> f64 {
    vertices.iter().map(|vertex| vertex.rate).fold(RATE_MIN_BPS, f64::max)
}

fn vertex(problem: &Problem<'_>, parameters: &Parameters, id: NodeId) -> Vertex {
    let node = problem.map.node(id);
    let moved = problem.moved.get(&id);
    Vertex {
        id,
        region: node.map(|node| node.region.clone()).unwrap_or_default(),
        rate: problem.members.get(&id).map_or(0.0, |rate| (*rate as f64).max(RATE_MIN_BPS)),
        idle: false,
        relays: node.is_some_and(Node::relays),
        busy: node.is_some_and(|node| node.load >= parameters.load_max || !node.takes_sessions()),
        rank: rank(problem, id),
        ingress: ORIGIN,
        siblings: 0,
        old: None,
        old_backup: None,
        rested: moved.is_none_or(|moved| problem.now.saturating_duration_since(*moved) >= parameters.rests),
        best: 0.0,
        egress: 0.0,
    }
}

fn rank(problem: &Problem<'_>, node: NodeId) -> u64 {
    let room = problem.room.project.0.bytes().chain([0]).chain(problem.room.name.bytes()).chain([0]);
    hash(room.chain(problem.origin.0).chain(node.0))
}

/// The way between two nodes with all that it costs; `None` when one of them is not known.
pub fn hop(problem: &Problem<'_>, parameters: &Parameters, from: NodeId, to: NodeId) -> Option<Hop> {
    let way = problem.map.way(from, to)?;
    let repair = way.loss * ms(way.rtt + parameters.repair);
    let free = if way.free_bps == u64::MAX { f64::INFINITY } else { way.free_bps as f64 };
    let is_cut = problem.map.is_down(from, to) || problem.map.is_held_off(from);
    Some(Hop { delay: ms(way.delay) + ms(parameters.hop_cost) + repair, free, price: way.price, is_cut })
}
