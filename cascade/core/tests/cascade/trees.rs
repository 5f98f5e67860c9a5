//! Trees: direct first, then where the origin wants it, without a gap.

use std::sync::Arc;
use std::time::Duration;

use origo_cascade_core::wire::message::Kind;
use origo_cascade_core::{Forward, LayerSet, TrackLayer};

use crate::drawn::Drawn;
use crate::world::{World, id, track};

const SECOND: Duration = Duration::from_secs(1);
const BASE: LayerSet = LayerSet(1);

/// Ada on node 0 publishes track 1; the room lives on the first `nodes` of `count`, which hang as `policy` draws them.
pub fn with_publisher(count: usize, nodes: usize, seed: u64, policy: &Drawn) -> World {
    let mut world = World::with_policy(count, seed, Arc::new(policy.clone()));
    for node in 0..nodes {
        world.enter(node);
    }
    world.join(0, "ada", &[1]);
    world.run_for(SECOND);
    world
}

/// Lets time pass in small steps, in each of which the node's viewers must get the layer.
pub fn run_without_gap(world: &mut World, span: Duration, node: usize) {
    let until = world.elapsed() + span;
    while world.elapsed() < until {
        world.run_for(Duration::from_millis(1));
        assert!(world.is_fed(node, 1, 0), "node {node} gets nothing at {:?}", world.elapsed());
    }
}

fn base() -> TrackLayer {
    TrackLayer { track: track(1), layer: 0 }
}

#[test]
fn the_first_packet_comes_straight_after_one_round_trip_and_then_the_node_moves_without_a_gap() {
    let mut world = with_publisher(3, 3, 1, &Drawn::new(&[(2, 1)]));
    world.want(1, 1, BASE);
    world.run_for(SECOND);
    world.want(2, 1, BASE);
    world.run_for(Duration::from_millis(45));
    assert_eq!((world.is_fed(2, 1, 0), world.parents(2, 1)), (true, vec![0]));
    run_without_gap(&mut world, SECOND, 2);
    assert_eq!(world.parents(2, 1), [1]);
    assert_eq!(world.served(0), [(id(1), 0)], "one copy leaves the origin");
}

#[test]
fn joins_within_200_ms_make_one_plan() {
    let mut world = with_publisher(4, 4, 2, &Drawn::default());
    for node in 1..4 {
        world.want(node, 1, BASE);
        world.run_for(Duration::from_millis(50));
    }
    world.run_for(SECOND);
    let attached: Vec<usize> =
        world.sent.iter().filter(|(_, _, kind)| *kind == Kind::Attach as u64).map(|(_, to, _)| *to).collect();
    assert_eq!(attached, [1, 2, 3]);
    let trees = world.node(0).trees();
    assert_eq!((trees.len(), trees[0].epoch, trees[0].edges.len()), (1, 1, 3));
}

#[test]
fn a_relay_that_does_not_have_the_room_passes_layers_on_without_its_workers() {
    let mut world = with_publisher(3, 2, 3, &Drawn::new(&[(1, 2)]));
    world.want(1, 1, BASE);
    world.run_for(Duration::from_millis(100));
    run_without_gap(&mut world, SECOND, 1);
    assert_eq!(world.parents(1, 1), [2]);
    let at_relay: Vec<&Forward> = world.heard[2].forwards.iter().map(|(_, forward)| forward).collect();
    assert!(
        matches!(at_relay[..], [Forward::Receive { local: false, .. }, Forward::Relay { in_stream: false, .. }]),
        "{at_relay:?}"
    );
    let branch = &world.node(1).branches()[0];
    assert_eq!(branch.path, [id(0), id(2), id(1)]);
    let relay = &world.node(2).branches()[0];
    assert_eq!((relay.watched.len(), relay.relayed[&id(1)].clone()), (0, vec![base()]));
    // Its last child takes it along.
    world.want(1, 1, LayerSet::NONE);
    world.run_for(Duration::from_secs(3));
    assert_eq!((world.media.is_empty(), world.served(0)), (true, vec![]));
}

#[test]
fn whether_viewers_here_take_a_relayed_layer_is_told_anew_to_the_same_number() {
    let mut world = with_publisher(3, 3, 4, &Drawn::new(&[(2, 1)]));
    world.want(2, 1, BASE);
    world.run_for(SECOND);
    world.want(1, 1, BASE);
    world.run_for(SECOND);
    world.want(1, 1, LayerSet::NONE);
    world.run_for(Duration::from_secs(5));
    let numbers = world.heard[1].forwards.iter().filter_map(|(_, forward)| match forward {
        Forward::Receive { flow, local, .. } => Some((flow.0, *local)),
        _ => None,
    });
    assert_eq!(numbers.collect::<Vec<_>>(), [(1, false), (1, true), (1, false)]);
    assert!(world.is_fed(2, 1, 0));
}

#[test]
fn a_rise_travels_up_three_hops_within_100_ms_and_a_fall_after_two_seconds() {
    let mut world = with_publisher(4, 4, 5, &Drawn::new(&[(3, 2), (2, 1)]));
    world.want(3, 1, BASE);
    world.run_for(Duration::from_secs(3));
    assert_eq!(world.node(3).branches()[0].path, [id(0), id(1), id(2), id(3)]);
    let top = LayerSet::only(0).with(2);
    world.want(3, 1, top);
    world.run_for(Duration::from_millis(75));
    assert_eq!(world.served(0), [(id(1), 0), (id(1), 2)], "three hops of 20 to 25 ms");
    world.run_for(Duration::from_millis(75));
    assert!(world.is_fed(3, 1, 2));
    world.want(3, 1, BASE);
    world.run_for(Duration::from_millis(1_990));
    assert_eq!(world.served(0).len(), 2);
    world.run_for(Duration::from_millis(90));
    assert_eq!(world.served(0), [(id(1), 0)]);
    assert!(world.is_fed(3, 1, 0));
}

#[test]
fn a_layer_that_flickers_is_asked_for_once() {
    let mut world = with_publisher(2, 2, 6, &Drawn::default());
    for _ in 0..20 {
        world.want(1, 1, BASE);
        world.run_for(SECOND);
        world.want(1, 1, LayerSet::NONE);
        world.run_for(SECOND);
    }
    let served = world.heard[0].forwards.iter().filter(|(_, forward)| matches!(forward, Forward::Serve { .. }));
    assert_eq!(served.count(), 1);
    world.run_for(Duration::from_secs(3));
    assert!(world.media.is_empty());
}

#[test]
fn a_silent_layer_counts_as_moved_after_a_second() {
    let mut world = with_publisher(3, 3, 7, &Drawn::new(&[(2, 1)]));
    world.media.is_silent = true;
    world.want(2, 1, BASE);
    world.run_for(SECOND);
    assert_eq!(world.parents(2, 1).len(), 2, "it waits for a packet");
    world.run_for(SECOND);
    assert_eq!(world.parents(2, 1), [1]);
}

#[test]
fn a_parent_and_a_child_can_change_places() {
    let policy = Drawn::new(&[(2, 1)]);
    let mut world = with_publisher(4, 4, 8, &policy);
    world.want(1, 1, BASE);
    world.want(2, 1, BASE);
    world.run_for(Duration::from_secs(2));
    assert_eq!((world.parents(1, 1), world.parents(2, 1)), (vec![0], vec![1]));
    policy.draw(&[(1, 2)]);
    world.want(3, 1, BASE);
    run_without_gap(&mut world, Duration::from_secs(3), 2);
    assert_eq!((world.parents(1, 1), world.parents(2, 1)), (vec![2], vec![0]));
    assert!(world.is_fed(1, 1, 0));
}

#[test]
fn a_path_that_changes_above_is_told_to_all_below() {
    let policy = Drawn::new(&[(3, 2), (2, 1)]);
    let mut world = with_publisher(5, 5, 9, &policy);
    world.want(3, 1, BASE);
    world.run_for(Duration::from_secs(2));
    policy.draw(&[(3, 2), (2, 4)]);
    world.want(4, 1, BASE);
    run_without_gap(&mut world, Duration::from_secs(2), 3);
    assert_eq!(world.node(3).branches()[0].path, [id(0), id(4), id(2), id(3)]);
    assert_eq!(world.parents(3, 1), [2], "the subtree has moved as one");
}

#[test]
fn without_its_parent_s_link_a_node_takes_from_the_backup_at_once_and_the_origin_hears_why() {
    let policy = Drawn::new(&[(3, 1), (2, 0)]);
    policy.back_up(3, 2);
    let mut world = with_publisher(4, 4, 10, &policy);
    for node in 1..4 {
        world.want(node, 1, BASE);
    }
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.parents(3, 1), [1]);
    world.disconnect(1, 3);
    assert_eq!(world.parents(3, 1), [2]);
    world.run_for(Duration::from_millis(75));
    assert!(world.is_fed(3, 1, 0), "one round trip to the backup, which has the layer");
    assert_eq!(world.node(3).branches()[0].path, [id(0), id(2), id(3)]);
}

#[test]
fn without_parent_and_backup_a_node_goes_straight_and_is_told_its_place_again() {
    let policy = Drawn::new(&[(2, 1)]);
    let mut world = with_publisher(3, 3, 11, &policy);
    world.want(2, 1, BASE);
    world.run_for(Duration::from_secs(2));
    world.disconnect(1, 2);
    world.run_for(Duration::from_millis(75));
    assert_eq!((world.parents(2, 1), world.is_fed(2, 1, 0)), (vec![0], true));
    world.connect(1, 2);
    run_without_gap(&mut world, Duration::from_secs(12), 2);
    assert_eq!(world.parents(2, 1), [1], "the origin says ATTACH again");
}

#[test]
fn once_a_node_that_moved_has_rested_its_tree_is_drawn_anew_though_nothing_else_happens() {
    let policy = Drawn::resting(Duration::from_secs(10));
    let mut world = with_publisher(4, 4, 15, &policy);
    world.want(1, 1, BASE);
    world.want(2, 1, BASE);
    world.run_for(SECOND);
    policy.draw(&[(2, 1)]);
    world.want(3, 1, BASE);
    world.run_for(SECOND);
    assert_eq!(world.parents(2, 1), [1]);
    policy.draw(&[]);
    world.run_for(Duration::from_secs(8));
    assert_eq!(world.parents(2, 1), [1], "it rests");
    run_without_gap(&mut world, Duration::from_secs(2), 2);
    assert_eq!(world.parents(2, 1), [0]);
}

#[test]
fn a_node_that_does_not_trust_the_link_to_its_planned_parent_says_so_as_often_as_it_is_told() {
    let mut world = with_publisher(3, 3, 16, &Drawn::new(&[(2, 1)]));
    world.want(2, 1, BASE);
    world.run_for(Duration::from_secs(2));
    for _ in 0..4 {
        world.disconnect(1, 2);
        world.run_for(Duration::from_millis(100));
        world.connect(1, 2);
        world.run_for(SECOND);
    }
    let said = |world: &World, (from, to): (usize, usize), kind: Kind| {
        world.sent.iter().filter(|sent| **sent == (from, to, kind as u64)).count()
    };
    let before = (said(&world, (0, 2), Kind::Attach), said(&world, (2, 0), Kind::Attached));
    run_without_gap(&mut world, Duration::from_secs(12), 2);
    let after = (said(&world, (0, 2), Kind::Attach), said(&world, (2, 0), Kind::Attached));
    assert_eq!((after.0 - before.0, after.1 - before.1), (2, 2), "every 5 s");
    assert_eq!(world.parents(2, 1), [0]);
}

#[test]
fn nobody_is_told_to_go_below_a_node_before_that_one_is_in_its_place() {
    let policy = Drawn::new(&[]);
    let mut world = with_publisher(5, 5, 18, &policy);
    world.want(1, 1, BASE);
    world.want(3, 1, BASE);
    world.run_for(Duration::from_secs(2));
    let told = |world: &World| world.sent.iter().filter(|sent| **sent == (0, 3, Kind::Attach as u64)).count();
    let before = told(&world);
    world.disconnect(1, 4);
    policy.draw(&[(1, 4), (3, 1)]);
    world.want(4, 1, BASE);
    run_without_gap(&mut world, Duration::from_secs(3), 3);
    assert_eq!((world.parents(1, 1), world.parents(3, 1), told(&world) - before), (vec![0], vec![0], 0));
    world.connect(1, 4);
    run_without_gap(&mut world, Duration::from_secs(8), 3);
    assert_eq!((world.parents(1, 1), world.parents(3, 1)), (vec![4], vec![1]));
}

#[test]
fn children_hear_of_a_new_way_when_the_first_layer_comes_over_it() {
    let policy = Drawn::new(&[(3, 2), (2, 1)]);
    let mut world = with_publisher(6, 6, 17, &policy);
    world.want(3, 1, LayerSet::only(0).with(2));
    world.want(4, 1, BASE);
    world.run_for(Duration::from_secs(2));
    policy.draw(&[(3, 2), (2, 4)]);
    world.want(5, 1, BASE);
    let until = world.elapsed() + SECOND;
    while world.node(3).branches()[0].path != [id(0), id(4), id(2), id(3)] {
        assert!(world.elapsed() < until, "it hears of the move");
        world.run_for(Duration::from_millis(1));
    }
    let other = TrackLayer { track: track(1), layer: 2 };
    assert!(world.media.parents(2, other).contains(&1), "another layer still comes the old way");
    run_without_gap(&mut world, SECOND, 3);
    assert_eq!(world.parents(2, 1), [4]);
}

#[test]
fn a_relay_that_loses_its_way_sends_its_children_elsewhere() {
    let policy = Drawn::new(&[(3, 2), (2, 1)]);
    let mut world = with_publisher(4, 4, 12, &policy);
    world.want(3, 1, BASE);
    world.run_for(Duration::from_secs(2));
    world.disconnect(0, 2);
    world.disconnect(1, 2);
    world.run_for(Duration::from_millis(75));
    assert_eq!((world.parents(3, 1), world.is_fed(3, 1, 0)), (vec![0], true));
}

#[test]
fn a_mesh_s_nodes_take_layers_that_nobody_watches() {
    let mut policy = Drawn::default();
    policy.carries_unwatched = true;
    let mut world = with_publisher(3, 3, 13, &policy);
    world.run_for(SECOND);
    assert_eq!(world.served(0).len(), 6, "three layers to two nodes");
    assert!(!world.is_fed(1, 1, 0), "but not to their workers");
    world.want(1, 1, BASE);
    assert!(world.is_fed(1, 1, 0));
}

#[test]
fn when_all_leave_nothing_stays() {
    let policy = Drawn::new(&[(3, 2), (2, 1)]);
    let mut world = with_publisher(4, 4, 14, &policy);
    for node in 1..4 {
        world.want(node, 1, LayerSet::up_to(2));
    }
    world.run_for(Duration::from_secs(2));
    for node in 1..4 {
        world.want(node, 1, LayerSet::NONE);
    }
    world.run_for(Duration::from_secs(40));
    assert!(world.media.is_empty());
    assert!((0..4).all(|node| world.node(node).is_idle()));
}
