//! Nodes without viewers join a tree as relays where that saves more than one copy over an ocean.

use std::collections::{BTreeMap, BTreeSet};

use origo_auth::NodeId;

use super::Parameters;
use super::exchange::overflow;
use super::ground::{Ground, Hop, hop};
use super::growth::Growth;
use crate::Node;
use crate::route::relay::Problem;
use crate::route::residency::refusal;

/// Nodes that are looked at as relays: one a region.
const LOOKED_AT_MAX: usize = 64;
/// A relay that is in the tree stays as long as it saves this share of what it has to save to come in.
const SAVING_KEPT: f64 = 0.5;

/// The best tree that was found for the members to be reached.
pub fn grow<'a>(problem: &'a Problem<'a>, parameters: &'a Parameters, reached: &[NodeId]) -> Growth<'a> {
    let tree = |idle: &[NodeId]| Growth::of(Ground::new(problem, parameters, reached, idle), parameters);
    let mut best = tree(&[]);
    let ocean = problem.map.prices().ocean * best.ground.rate_max();
    let mut idle = Vec::new();
    if best.cost() <= ocean {
        return best;
    }
    let could = candidates(problem, parameters, reached);
    let old: Vec<NodeId> = could.iter().copied().filter(|id| problem.before.edges.contains_key(id)).collect();
    let old = &old[..old.len().min(parameters.idle_max)];
    if !old.is_empty() {
        let with_old = tree(old);
        if with_old.cost() + SAVING_KEPT * ocean < best.cost() && overflow(&with_old) <= overflow(&best) {
            (best, idle) = (with_old, old.to_vec());
        }
    }
    while idle.len() < parameters.idle_max {
        let may_pay = |id: &&NodeId| {
            let most = saving_most(&best, parameters, **id);
            debug_assert!(saving(&best, parameters, **id) <= most.max(0.0), "more may be saved than prices say");
            most > ocean
        };
        let others = could.iter().filter(|id| !idle.contains(*id));
        let promises = others.filter(may_pay).map(|id| (saving(&best, parameters, *id), *id));
        let Some((promised, node)) = promises.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1))) else { break };
        if promised <= ocean {
            break;
        }
        idle.push(node);
        let with = tree(&idle);
        if with.cost() + ocean >= best.cost() || overflow(&with) > overflow(&best) {
            break;
        }
        best = with;
    }
    best
}

/// Nodes that may relay for others, the idlest of each region where no member stands.
fn candidates(problem: &Problem<'_>, parameters: &Parameters, reached: &[NodeId]) -> Vec<NodeId> {
    let members = || reached.iter().chain([&problem.origin]);
    let taken: BTreeSet<&str> =
        members().filter_map(|id| problem.map.node(*id)).map(|node| node.region.as_str()).collect();
    let may = |node: &&Node| {
        // A full node takes nothing more, and keeps what it has.
        (node.takes_sessions() || node.relays() && problem.before.edges.contains_key(&node.id))
            && node.load < parameters.load_idle_max
            && !taken.contains(node.region.as_str())
            && refusal(problem.countries, Some(node)).is_none()
    };
    let mut of_region: BTreeMap<&str, &Node> = BTreeMap::new();
    for node in problem.map.nodes().filter(may) {
        let best = of_region.entry(&node.region).or_insert(node);
        // The one that relays already stays; else the idlest, and of two the smaller id, which comes first.
        let key = |node: &Node| (!problem.before.edges.contains_key(&node.id), node.load);
        if key(node) < key(best) {
            *best = node;
        }
    }
    of_region.into_values().take(LOOKED_AT_MAX).map(|node| node.id).collect()
}

/// The most that `saving` can give. Prices alone tell it: most relays would save too little however near they are, and
/// no measured way is looked up for them.
fn saving_most(tree: &Growth<'_>, parameters: &Parameters, relay: NodeId) -> f64 {
    let (vertices, map) = (&tree.ground.vertices, tree.ground.problem.map);
    let Some(relay) = map.node(relay) else { return 0.0 };
    let node = |vertex: usize| map.node(vertices[vertex].id);
    let may_feed = |vertex: &usize| vertices[*vertex].relays && tree.place(*vertex).depth + 2 <= parameters.hops;
    let entries = (0..vertices.len()).filter(may_feed).filter_map(node);
    let entry = entries.map(|parent| map.prices().between(parent, relay)).fold(f64::INFINITY, f64::min);
    let saved = |vertex: usize| {
        let price = node(vertex).map_or(f64::INFINITY, |node| map.prices().between(relay, node));
        ((tree.edge_price(vertex) - price) * tree.place(vertex).carried).max(0.0)
    };
    let members = (1..vertices.len()).filter(|vertex| !vertices[*vertex].idle);
    members.map(saved).sum::<f64>() - entry * tree.ground.rate_max()
}

/// What a tree would cost less with this relay in it, roughly: the real tree is grown only where this promises enough.
fn saving(tree: &Growth<'_>, parameters: &Parameters, relay: NodeId) -> f64 {
    let (ground, problem) = (&tree.ground, tree.ground.problem);
    let hop_to = |from: usize| hop(problem, parameters, ground.vertices[from].id, relay);
    let parents = (0..ground.vertices.len()).filter(|parent| tree.place(*parent).depth + 2 <= parameters.hops);
    let parents =
        parents.filter(|parent| ground.vertices[*parent].relays).filter_map(|parent| Some((parent, hop_to(parent)?)));
    let delay = |(parent, hop): &(usize, Hop)| tree.place(*parent).delay + hop.delay;
    let key = |choice: &(usize, Hop)| (choice.1.price, delay(choice));
    let Some(entry) = parents.min_by(|a, b| key(a).partial_cmp(&key(b)).unwrap_or(std::cmp::Ordering::Equal)) else {
        return 0.0;
    };
    let above: Vec<usize> = tree.up_from(entry.0).collect();
    let saved = |vertex: usize| {
        let Some(hop) = hop(problem, parameters, relay, ground.vertices[vertex].id) else { return 0.0 };
        let is_late = delay(&entry) + hop.delay > parameters.bound_ms(ground.vertices[vertex].best);
        let saved = (tree.edge_price(vertex) - hop.price) * tree.place(vertex).carried;
        if is_late { 0.0 } else { saved.max(0.0) }
    };
    let members = (1..ground.vertices.len()).filter(|vertex| !ground.vertices[*vertex].idle && !above.contains(vertex));
    members.map(saved).sum::<f64>() - entry.1.price * ground.rate_max()
}
