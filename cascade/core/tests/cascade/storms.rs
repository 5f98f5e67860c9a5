//! Random joins, leaves, broken links, dying nodes and plans: nothing runs in circles, and all who can be fed are.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use origo_auth::NodeId;
use origo_cascade_core::metric::LinkMetric;
use origo_cascade_core::route::{Edge, Plan, Problem, RelayPolicy, Tree};
use origo_cascade_core::{Input, LayerSet};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::world::{World, id};

const NODES: usize = 6;
/// Nodes 0 and 1 publish a track each.
const TRACKS: usize = 2;
/// A node that has a link to the origin is fed within this, whatever else has happened.
const FED_WITHIN: Duration = Duration::from_secs(6);

#[derive(Clone, Debug)]
enum Op {
    Want(usize, usize, u8),
    Break(usize, usize),
    Mend(usize, usize),
    Restart(usize),
    Measure(usize, u64),
    Drain(usize),
    Run(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..NODES, 0..TRACKS, 0..8_u8).prop_map(|(node, track, layers)| Op::Want(node, track, layers)),
        2 => (0..NODES, 0..NODES).prop_map(|(a, b)| Op::Break(a, b)),
        2 => (0..NODES, 0..NODES).prop_map(|(a, b)| Op::Mend(a, b)),
        1 => (TRACKS..NODES).prop_map(Op::Restart),
        1 => (0..NODES, 1..300_u64).prop_map(|(node, rtt_ms)| Op::Measure(node, rtt_ms)),
        1 => (0..NODES).prop_map(Op::Drain),
        6 => (1..3_000_u64).prop_map(Op::Run),
    ]
}

/// A policy that draws another tree at random each time it is asked, over members and one relay.
#[derive(Debug)]
struct Shuffled(Mutex<StdRng>);

impl RelayPolicy for Shuffled {
    fn name(&self) -> &'static str {
        "shuffled"
    }

    fn plan(&self, problem: &Problem<'_>) -> Plan {
        let mut rng = self.0.lock().unwrap();
        let mut nodes: Vec<NodeId> = problem.members.keys().copied().collect();
        let others = problem.map.nodes().map(|node| node.id);
        let others: Vec<NodeId> = others.filter(|node| *node != problem.origin && !nodes.contains(node)).collect();
        if !others.is_empty() && rng.random_bool(0.3) {
            nodes.push(others[rng.random_range(0..others.len())]);
        }
        for place in (1..nodes.len()).rev() {
            nodes.swap(place, rng.random_range(0..=place));
        }
        let mut paths = vec![vec![problem.origin]];
        let mut plan = Plan::default();
        for node in nodes {
            let path = paths[rng.random_range(0..paths.len())].clone();
            let backup = problem.members.keys().find(|other| **other != node && !path.contains(other)).copied();
            let parent = *path.last().expect("begins at the origin");
            if path.len() < 4 {
                paths.push(path.iter().copied().chain([node]).collect());
            }
            plan.edges.insert(node, Edge { parent, backup, path, delay: Duration::ZERO, why: "at random".to_owned() });
        }
        plan
    }
}

struct Storm {
    world: World,
    wants: BTreeMap<(usize, usize), LayerSet>,
    /// Since when a node lacks what it wants of a track though it could have it.
    hungry: BTreeMap<(usize, usize), Duration>,
}

impl Storm {
    fn new(seed: u64, policy: Arc<dyn RelayPolicy>) -> Self {
        let mut world = World::with_policy(NODES, seed, policy);
        for node in 0..NODES {
            world.enter(node);
        }
        for publisher in 0..TRACKS {
            world.join(publisher, &format!("publisher{publisher}"), &[publisher]);
        }
        world.run_for(Duration::from_secs(1));
        Self { world, wants: BTreeMap::new(), hungry: BTreeMap::new() }
    }

    fn apply(&mut self, op: &Op) {
        let world = &mut self.world;
        match *op {
            Op::Want(node, track, layers) if node != track => {
                world.want(node, track, LayerSet(layers));
                self.wants.insert((node, track), LayerSet(layers));
            }
            Op::Break(a, b) if a != b && world.is_linked(a, b) => world.disconnect(a, b),
            Op::Mend(a, b) if a != b && !world.is_linked(a, b) => world.connect(a, b),
            Op::Restart(node) => {
                world.kill(node);
                world.restart(node);
                world.enter(node);
                self.wants.retain(|(other, _), _| *other != node);
            }
            Op::Measure(node, rtt_ms) => {
                let metric = LinkMetric { rtt: Duration::from_millis(rtt_ms), ..LinkMetric::default() };
                let links: Vec<_> = (0..NODES).filter(|peer| *peer != node).map(|peer| (id(peer), metric)).collect();
                for listener in 0..NODES {
                    world.ask(listener, Input::Metrics { node: id(node), links: links.clone() });
                }
            }
            Op::Drain(node) => {
                world.draining.insert(node);
                for listener in 0..NODES {
                    world.gossip(listener, 0..NODES);
                }
            }
            Op::Run(ms) => self.run_for(Duration::from_millis(ms)),
            _ => {}
        }
    }

    fn run_for(&mut self, span: Duration) {
        let until = self.world.elapsed() + span;
        while self.world.elapsed() < until {
            self.world.run_for(Duration::from_millis(50).min(until - self.world.elapsed()));
            self.feel_hunger();
        }
    }

    fn feel_hunger(&mut self) {
        let now = self.world.elapsed();
        for ((node, track), layers) in &self.wants {
            let lacks = layers.iter().any(|layer| !self.world.is_fed(*node, *track, layer));
            if !lacks || !self.world.is_linked(*node, *track) {
                self.hungry.remove(&(*node, *track));
                continue;
            }
            let since = *self.hungry.entry((*node, *track)).or_insert(now);
            assert!(now - since < FED_WITHIN, "{node} has not had track {track} since {since:?}");
        }
    }

    fn end(&mut self) {
        for a in 0..NODES {
            for b in a + 1..NODES {
                if !self.world.is_linked(a, b) {
                    self.world.connect(a, b);
                }
            }
        }
        self.run_for(Duration::from_secs(30));
        for ((node, track), _) in std::mem::take(&mut self.wants) {
            self.world.want(node, track, LayerSet::NONE);
        }
        self.world.run_for(Duration::from_secs(60));
        assert!(self.world.media.is_empty(), "nothing crosses links");
        for node in 0..NODES {
            assert!(self.world.node(node).is_idle(), "{node} keeps something: {:?}", self.world.node(node));
        }
        let counters = self.world.counters(0);
        assert_eq!(counters.malformed_message, 0, "honest nodes understand each other");
    }
}

fn storm(seed: u64, policy: Arc<dyn RelayPolicy>, ops: &[Op]) {
    let mut storm = Storm::new(seed, policy);
    for op in ops {
        storm.apply(op);
    }
    storm.end();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_storm_with_trees_at_random_ends_with_all_fed_and_leaves_nothing(
        seed in any::<u64>(),
        ops in prop::collection::vec(op(), 1..60),
    ) {
        storm(seed, Arc::new(Shuffled(Mutex::new(StdRng::seed_from_u64(seed)))), &ops);
    }

    #[test]
    fn a_storm_with_the_default_policy_ends_with_all_fed_and_leaves_nothing(
        seed in any::<u64>(),
        ops in prop::collection::vec(op(), 1..60),
    ) {
        storm(seed, Arc::new(Tree::default()), &ops);
    }
}
