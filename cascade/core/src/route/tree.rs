//! Trees: each node takes from whoever adds the least cost without adding much delay, and has a second way that shares
//! no relay with the first.
//!
//! A greedy tree, grown from the origin outwards (`growth`), over what gossip knows (`ground`); nodes without viewers
//! join as relays where that pays (`idle`); where the origin would feed too many, others move on (`exchange`). Loops
//! cannot arise: a node is only hung below one that hangs already, and moves below nobody who hangs below it.

mod backup;
mod exchange;
mod ground;
mod growth;
mod idle;
mod why;

use std::collections::BTreeMap;
use std::time::Duration;

use ground::ORIGIN;
use growth::Growth;
use origo_auth::NodeId;

use super::relay::{Edge, Plan, Problem, RelayPolicy};
use super::residency::refused;

/// What the shape of a tree hangs on; the defaults are those of `docs/performance.md`, section "Trees".
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters {
    /// How many times the best delay a node may be reached late, in exchange for a saved copy.
    pub alpha: f64,
    /// The same where the best delay is `far` or more: people notice there.
    pub alpha_far: f64,
    /// From which best delay on `alpha_far` holds.
    pub far: Duration,
    /// How much later than `alpha` allows a node may be reached.
    pub beta: Duration,
    /// Most children of a node, those of the origin included.
    pub degree: usize,
    /// Most links from the origin to a node.
    pub hops: usize,
    /// What a node on the way adds.
    pub hop_cost: Duration,
    /// What noticing a loss takes, beyond the round trip of its repair.
    pub repair: Duration,
    /// Share of a link's room that a new edge may take.
    pub utilisation_max: f64,
    /// Load from which a node without viewers is no relay, 0 to 1.
    pub load_idle_max: f64,
    /// Load from which a node takes no more children, 0 to 1.
    pub load_max: f64,
    /// Most relays without viewers in one tree.
    pub idle_max: usize,
    /// An old edge stays unless a new one costs less than this share of it,
    pub keep_cost: f64,
    /// or is faster by this,
    pub keep_delay: Duration,
    /// and by this share of the delay that the node may have: jitter of 5 % on 150 ms is more than `keep_delay`.
    pub keep_share: f64,
    /// How long a node stays where it is after it moved.
    pub rests: Duration,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            alpha: 1.1,
            alpha_far: 1.05,
            far: Duration::from_millis(150),
            beta: Duration::from_millis(3),
            degree: 8,
            hops: 3,
            hop_cost: Duration::from_millis(1),
            repair: Duration::from_millis(5),
            utilisation_max: 0.85,
            load_idle_max: 0.6,
            load_max: 0.85,
            idle_max: 2,
            keep_cost: 0.9,
            keep_delay: Duration::from_millis(5),
            keep_share: 0.1,
            rests: Duration::from_secs(10),
        }
    }
}

impl Parameters {
    /// How late a node may be reached that could be reached after `best`, milliseconds.
    fn bound_ms(&self, best: f64) -> f64 {
        let alpha = if best > ms(self.far) { self.alpha_far } else { self.alpha };
        alpha * best + ms(self.beta)
    }

    /// What a move has to gain where `bound` is allowed, milliseconds.
    fn gain_ms(&self, bound: f64) -> f64 {
        ms(self.keep_delay).max(self.keep_share * bound)
    }
}

/// Draws trees.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tree {
    parameters: Parameters,
}

impl Tree {
    /// With parameters other than the default ones.
    pub fn new(parameters: Parameters) -> Self {
        Self { parameters }
    }
}

impl RelayPolicy for Tree {
    fn name(&self) -> &'static str {
        "tree"
    }

    fn rests(&self) -> Duration {
        self.parameters.rests
    }

    fn plan(&self, problem: &Problem<'_>) -> Plan {
        let mut reached: Vec<NodeId> = Vec::with_capacity(problem.members.len());
        let mut plan = Plan::default();
        for node in problem.members.keys().filter(|node| **node != problem.origin) {
            match refused(problem, *node) {
                Some(why) => drop(plan.refused.insert(*node, why)),
                None => reached.push(*node),
            }
        }
        plan.edges = edges(&idle::grow(problem, &self.parameters, &reached), &self.parameters);
        plan
    }
}

fn edges(tree: &Growth<'_>, parameters: &Parameters) -> BTreeMap<NodeId, Edge> {
    let backups = backup::find(tree, parameters);
    let vertices = &tree.ground.vertices;
    let id = |vertex: usize| vertices[vertex].id;
    let used = (1..vertices.len()).filter(|vertex| !tree.is_unused(*vertex));
    let edge = |vertex: usize| {
        let place = tree.place(vertex);
        let mut path: Vec<NodeId> = tree.up_from(place.parent).map(id).collect();
        path.push(id(ORIGIN));
        path.reverse();
        Edge {
            parent: id(place.parent),
            backup: backups[vertex].map(id),
            path,
            delay: Duration::from_secs_f64(place.delay / 1e3),
            why: why::sentence(tree, vertex),
        }
    };
    used.map(|vertex| (id(vertex), edge(vertex))).collect()
}

fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}
