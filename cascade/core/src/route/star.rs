//! One node of the room feeds all others: what conference servers with a top node do, and what trees are compared with.

use std::time::Duration;

use origo_auth::NodeId;

use super::direct::{edge, straight};
use super::relay::{Edge, Plan, Problem, RelayPolicy};
use super::residency::refused;
use crate::Node;

/// Draws a star around the room's node that is nearest to all others; the hub takes from the origin.
#[derive(Clone, Copy, Debug, Default)]
pub struct Star;

impl RelayPolicy for Star {
    fn name(&self) -> &'static str {
        "star"
    }

    fn plan(&self, problem: &Problem<'_>) -> Plan {
        let mut plan = straight(problem);
        let Some(hub) = hub(problem).filter(|hub| *hub != problem.origin) else { return plan };
        if plan.edges.keys().all(|node| *node == hub) {
            return plan;
        }
        let to_hub = plan.edges.entry(hub).or_insert_with(|| edge(problem, hub));
        "the room's hub".clone_into(&mut to_hub.why);
        let delay = to_hub.delay;
        for (node, edge) in plan.edges.iter_mut().filter(|(node, _)| **node != hub) {
            *edge = through(problem, hub, *node, delay);
        }
        plan
    }
}

fn through(problem: &Problem<'_>, hub: NodeId, node: NodeId, to_hub: Duration) -> Edge {
    Edge {
        parent: hub,
        backup: Some(problem.origin),
        path: vec![problem.origin, hub],
        delay: to_hub + problem.map.way(hub, node).map_or(Duration::ZERO, |way| way.delay),
        why: "through the room's hub".to_owned(),
    }
}

/// The node with the smallest sum of delays to the room's nodes; the smaller id where two are equal.
fn hub(problem: &Problem<'_>) -> Option<NodeId> {
    let may = |node: &NodeId| problem.map.node(*node).is_some_and(Node::relays) && refused(problem, *node).is_none();
    let sum = |hub: NodeId| -> Duration {
        let ways = problem.room_nodes.iter().filter_map(|node| problem.map.way(hub, *node).filter(|_| *node != hub));
        ways.map(|way| way.delay).sum()
    };
    problem.room_nodes.iter().filter(|node| may(node)).map(|node| (sum(*node), *node)).min().map(|(_, hub)| hub)
}
