//! Each node takes what it watches straight from the origin: what a mesh without relays does.

use std::time::Duration;

use super::relay::{Edge, Plan, Problem, RelayPolicy};

/// Draws a star around the origin.
#[derive(Clone, Copy, Debug, Default)]
pub struct Direct;

impl RelayPolicy for Direct {
    fn name(&self) -> &'static str {
        "direct"
    }

    fn plan(&self, problem: &Problem<'_>) -> Plan {
        let straight = |node: &origo_auth::NodeId| Edge {
            parent: problem.origin,
            backup: None,
            path: vec![problem.origin],
            delay: problem.map.way(problem.origin, *node).map_or(Duration::ZERO, |way| way.delay),
            why: "straight from the publisher's node".to_owned(),
        };
        Plan { edges: problem.members.keys().map(|node| (*node, straight(node))).collect(), ..Plan::default() }
    }
}
