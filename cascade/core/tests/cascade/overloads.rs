//! Relays that are short of something: who hangs there moves on without a gap, and nobody new comes.

use std::time::Duration;

use origo_cascade_core::{LayerSet, Level};

use crate::drawn::Drawn;
use crate::trees::{run_without_gap, with_publisher};
use crate::world::{World, id};

const SECOND: Duration = Duration::from_secs(1);
const BASE: LayerSet = LayerSet(1);

/// All nodes hear how one stands.
fn gossip(world: &mut World, node: usize, level: Level) {
    world.levels.insert(node, level);
    for listener in 0..4 {
        world.gossip(listener, 0..4);
    }
}

/// Ada on node 0 publishes track 1, which reaches node 2 over node 1.
fn relayed(policy: &Drawn, seed: u64) -> World {
    let mut world = with_publisher(4, 4, seed, policy);
    world.want(1, 1, BASE);
    world.want(2, 1, BASE);
    world.run_for(2 * SECOND);
    assert_eq!(world.parents(2, 1), [1]);
    world
}

#[test]
fn children_of_a_relay_that_relays_no_more_move_at_once_and_without_a_gap_and_come_back() {
    for seed in 0..10 {
        let policy = Drawn::new(&[(2, 1)]);
        let mut world = relayed(&policy, seed);
        for level in [Level::Full, Level::Shedding] {
            gossip(&mut world, 1, level);
            run_without_gap(&mut world, SECOND, 2);
            assert_eq!(world.parents(2, 1), [1], "seed {seed}: {level:?} is no reason to go");
        }
        policy.draw(&[]);
        gossip(&mut world, 1, Level::NotRelaying);
        run_without_gap(&mut world, SECOND, 2);
        assert_eq!(world.parents(2, 1), [0], "seed {seed}");
        policy.draw(&[(2, 1)]);
        gossip(&mut world, 1, Level::Calm);
        run_without_gap(&mut world, 3 * SECOND, 2);
        assert_eq!(world.parents(2, 1), [1], "seed {seed}");
    }
}

#[test]
fn a_relay_that_relays_no_more_keeps_the_child_that_it_has_and_refuses_others() {
    for seed in 0..10 {
        // Whoever draws the tree has not heard of it yet.
        let policy = Drawn::new(&[(2, 1), (3, 1)]);
        let mut world = relayed(&policy, seed);
        world.levels.insert(1, Level::NotRelaying);
        world.gossip(1, 0..4);
        world.want(3, 1, BASE);
        world.run_for(Duration::from_millis(100));
        run_without_gap(&mut world, 3 * SECOND, 3);
        let relayed = |world: &World| world.node(1).branches()[0].relayed.keys().copied().collect::<Vec<_>>();
        assert_eq!((world.parents(2, 1), relayed(&world)), (vec![1], vec![id(2)]), "seed {seed}");
        assert!(world.node(1).counters().subscription_not_relayed > 0);
        // The child that stays may take another layer.
        world.want(2, 1, BASE.with(2));
        world.run_for(SECOND);
        assert!(world.is_fed(2, 1, 2) && world.is_fed(2, 1, 0), "seed {seed}");
    }
}
