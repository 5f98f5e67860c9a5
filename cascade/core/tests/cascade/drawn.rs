//! A relay policy for tests: parents are what the test says, and the origin for everybody else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use origo_auth::NodeId;
use origo_cascade_core::route::{Edge, Plan, Problem, RelayPolicy};

use crate::world::id;

/// A parent, and a backup.
type Place = (NodeId, Option<NodeId>);

/// By child; shared with the test, which changes it.
#[derive(Clone, Debug, Default)]
pub struct Drawn {
    parents: Arc<Mutex<BTreeMap<NodeId, Place>>>,
    pub carries_unwatched: bool,
    rests: Duration,
}

impl Drawn {
    pub fn new(edges: &[(usize, usize)]) -> Self {
        let drawn = Self::default();
        drawn.draw(edges);
        drawn
    }

    /// One that says that nodes which moved rest for a while.
    pub fn resting(rests: Duration) -> Self {
        Self { rests, ..Self::default() }
    }

    /// Draws (child, parent) anew.
    pub fn draw(&self, edges: &[(usize, usize)]) {
        *self.parents.lock().unwrap() = edges.iter().map(|(child, parent)| (id(*child), (id(*parent), None))).collect();
    }

    pub fn back_up(&self, child: usize, backup: usize) {
        let mut parents = self.parents.lock().unwrap();
        parents.get_mut(&id(child)).expect("drawn").1 = Some(id(backup));
    }
}

impl RelayPolicy for Drawn {
    fn name(&self) -> &'static str {
        "drawn"
    }

    fn plan(&self, problem: &Problem<'_>) -> Plan {
        let parents = self.parents.lock().unwrap();
        let of = |node: NodeId| parents.get(&node).copied().unwrap_or((problem.origin, None));
        let mut plan = Plan::default();
        let mut missing: Vec<NodeId> = problem.members.keys().copied().collect();
        while let Some(node) = missing.pop() {
            let (parent, backup) = of(node);
            let mut path = vec![parent];
            while path[0] != problem.origin {
                path.insert(0, of(path[0]).0);
            }
            if parent != problem.origin && !plan.edges.contains_key(&parent) {
                missing.push(parent);
            }
            let edge = Edge { parent, backup, path, delay: Duration::ZERO, why: "drawn by the test".to_owned() };
            plan.edges.insert(node, edge);
        }
        plan
    }

    fn rests(&self) -> Duration {
        self.rests
    }

    fn carries_unwatched(&self) -> bool {
        self.carries_unwatched
    }
}
