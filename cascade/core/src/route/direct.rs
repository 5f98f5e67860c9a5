//! Each node takes what it watches straight from the origin: what a mesh without relays does.

use std::time::Duration;

use origo_auth::NodeId;

use super::relay::{Edge, Plan, Problem, RelayPolicy};
use super::residency::refused;

/// Draws a star around the origin.
#[derive(Clone, Copy, Debug, Default)]
pub struct Direct;

impl RelayPolicy for Direct {
    fn name(&self) -> &'static str {
        "direct"
    }

    fn plan(&self, problem: &Problem<'_>) -> Plan {
        straight(problem)
    }
}

/// The plan in which everybody takes from the origin.
pub(super) fn straight(problem: &Problem<'_>) -> Plan {
    let mut plan = Plan::default();
    for node in problem.members.keys().filter(|node| **node != problem.origin) {
        match refused(problem, *node) {
            Some(why) => drop(plan.refused.insert(*node, why)),
            None => drop(plan.edges.insert(*node, edge(problem, *node))),
        }
    }
    plan
}

/// From the origin to a node, without anybody between.
pub(super) fn edge(problem: &Problem<'_>, node: NodeId) -> Edge {
    Edge {
        parent: problem.origin,
        backup: None,
        path: vec![problem.origin],
        delay: problem.map.way(problem.origin, node).map_or(Duration::ZERO, |way| way.delay),
        why: "straight from the publisher's node".to_owned(),
    }
}
