//! A room on a map, asked of a policy.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use origo_auth::{NodeId, RoomKey};
use origo_cascade_core::route::{Map, Plan, Problem, RelayPolicy};

/// All that a [`Problem`] borrows.
#[derive(Clone, Debug)]
pub struct World {
    pub room: RoomKey,
    pub origin: NodeId,
    pub members: BTreeMap<NodeId, u64>,
    pub map: Map,
    pub countries: Vec<String>,
    pub before: Plan,
    pub moved: BTreeMap<NodeId, Instant>,
    pub now: Instant,
}

impl World {
    /// A room in which all take 2 Mb/s of what is published at `origin`.
    pub fn new(map: Map, origin: NodeId, members: impl IntoIterator<Item = NodeId>) -> Self {
        Self {
            room: RoomKey::new("default", "standup"),
            origin,
            members: members.into_iter().filter(|node| *node != origin).map(|node| (node, 2_000_000)).collect(),
            map,
            countries: Vec::new(),
            before: Plan::default(),
            moved: BTreeMap::new(),
            now: Instant::now(),
        }
    }

    pub fn plan(&self, policy: &dyn RelayPolicy) -> Plan {
        let room_nodes: BTreeSet<NodeId> = self.members.keys().copied().chain([self.origin]).collect();
        policy.plan(&Problem {
            room: &self.room,
            origin: self.origin,
            members: &self.members,
            room_nodes: &room_nodes,
            map: &self.map,
            countries: &self.countries,
            before: &self.before,
            moved: &self.moved,
            now: self.now,
        })
    }

    /// Puts a plan into force; says who moved.
    pub fn take(&mut self, plan: Plan) -> Vec<NodeId> {
        let parent = |plan: &Plan, node| plan.edges.get(node).map(|edge| edge.parent);
        let moved: Vec<NodeId> = plan
            .edges
            .keys()
            .filter(|node| parent(&self.before, node).is_some_and(|old| Some(old) != parent(&plan, node)))
            .copied()
            .collect();
        self.moved.extend(moved.iter().map(|node| (*node, self.now)));
        self.before = plan;
        moved
    }
}
