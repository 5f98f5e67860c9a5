//! Peers that lie about trees: refused, counted, and without harm to others.

use std::time::{Duration, Instant};

use bytes::Bytes;
use origo_cascade_core::wire::message::{Attach, Attached, Body, Kind, Path, Rival, Subscribe, SubscribeOk};
use origo_cascade_core::{Cascade, Input, LayerSet, Output};
use proptest::prelude::*;

use crate::drawn::Drawn;
use crate::trees::with_publisher;
use crate::world::{World, id, nodes_of, room, track};

const BASE: LayerSet = LayerSet(1);

fn bytes(node: usize) -> Bytes {
    Bytes::copy_from_slice(&id(node).0)
}

fn path(nodes: &[usize]) -> Vec<Bytes> {
    nodes.iter().map(|node| bytes(*node)).collect()
}

/// Node `from` sends `body` to node `to`, as if it had arrived.
fn say<B: Body>(world: &mut World, from: usize, to: usize, body: &B) {
    world.ask(to, Input::Control { from: id(from), message: body.to_body(), kind: B::KIND as u64 });
}

fn attach(epoch: u64, parent: usize, nodes: &[usize]) -> Attach {
    let room = Some((&room()).into());
    Attach { room, epoch, parent: bytes(parent), path: path(nodes), ..Attach::default() }
}

fn subscribe(origin: usize, number: usize, flow: u32) -> Subscribe {
    Subscribe {
        room: Some((&room()).into()),
        track: track(number).to_string(),
        flow,
        kind: 1,
        origin: bytes(origin),
        ..Subscribe::default()
    }
}

/// Nodes 1 to 3 take ada's base layer from node 0; 3 hangs below 2.
fn tree(seed: u64) -> World {
    let mut world = with_publisher(5, 5, seed, &Drawn::new(&[(3, 2)]));
    for node in 1..4 {
        world.want(node, 1, BASE);
    }
    world.run_for(Duration::from_secs(2));
    world
}

fn assert_unharmed(world: &mut World) {
    world.run_for(Duration::from_secs(1));
    for node in 1..4 {
        assert!(world.is_fed(node, 1, 0), "{node}");
    }
    assert_eq!((world.parents(1, 1), world.parents(2, 1), world.parents(3, 1)), (vec![0], vec![0], vec![2]));
}

#[test]
fn an_attach_to_itself_to_a_stranger_or_over_a_path_that_cannot_be_is_refused() {
    let mut world = tree(1);
    let unsound = [
        attach(9, 1, &[0, 1]),
        attach(9, 2, &[2]),
        attach(9, 2, &[0, 3]),
        attach(9, 2, &[0, 1, 2]),
        attach(9, 2, &[0, 3, 3, 2]),
        attach(9, 77, &[0, 77]),
        attach(9, 2, &[0, 10, 11, 12, 13, 14, 15, 16, 2]),
        attach(0, 2, &[0, 2]),
    ];
    for lie in &unsound {
        say(&mut world, 0, 1, lie);
    }
    assert_eq!(world.counters(1).refused_attach, unsound.len() as u64);
    assert_unharmed(&mut world);
}

#[test]
fn an_old_epoch_is_dropped_and_counted() {
    let mut world = tree(2);
    say(&mut world, 0, 1, &attach(50, 0, &[0]));
    say(&mut world, 0, 1, &attach(49, 2, &[0, 2]));
    assert_eq!(world.counters(1).old_epoch, 1);
    assert_eq!(world.node(1).branches()[0].moving_to, None);
    say(
        &mut world,
        1,
        0,
        &Attached { room: Some((&room()).into()), epoch: 99, parent: bytes(2), ..Attached::default() },
    );
    assert_eq!(world.counters(0).old_epoch, 1, "an epoch that was never given");
    assert_unharmed(&mut world);
}

#[test]
fn an_attach_of_another_node_is_about_its_own_tree_alone() {
    let mut world = tree(3);
    say(&mut world, 4, 1, &attach(9, 2, &[4, 2]));
    assert_eq!(world.parents(1, 1), [0]);
    assert_unharmed(&mut world);
}

#[test]
fn a_path_of_a_node_that_is_not_the_parent_is_refused_and_one_with_a_loop_leaves_the_parent() {
    let mut world = tree(4);
    let lie = |nodes: &[usize]| Path { room: Some((&room()).into()), origin: bytes(0), path: path(nodes) };
    say(&mut world, 4, 3, &lie(&[0, 4]));
    assert_eq!(world.counters(3).path_of_stranger, 1);
    say(&mut world, 2, 3, &lie(&[0, 4]));
    say(&mut world, 2, 3, &lie(&[4, 2]));
    assert_eq!(world.counters(3).malformed_message, 2, "it neither ends at the sender nor begins at the origin");
    assert_unharmed(&mut world);
    say(&mut world, 2, 3, &lie(&[0, 3, 2]));
    assert_eq!((world.counters(3).path_in_loop, world.parents(3, 1)), (1, vec![0]));
    world.run_for(Duration::from_millis(60));
    assert!(world.is_fed(3, 1, 0));
}

#[test]
fn an_answer_of_a_node_that_was_not_asked_is_counted() {
    let mut world = tree(5);
    say(&mut world, 4, 3, &SubscribeOk { flow: 1, path: path(&[0, 4]) });
    say(&mut world, 2, 3, &SubscribeOk { flow: 9999, path: path(&[0, 2]) });
    assert_eq!(world.counters(3).unexpected_message, 2);
    assert_unharmed(&mut world);
}

#[test]
fn attached_of_a_node_that_takes_nothing_is_refused() {
    let mut world = tree(6);
    let lie = Attached {
        room: Some((&room()).into()),
        epoch: 1,
        parent: bytes(0),
        rate_bps: u64::MAX,
        ..Attached::default()
    };
    say(&mut world, 4, 0, &lie);
    assert_eq!(world.counters(0).attached_of_stranger, 1);
    assert!(!world.node(0).trees()[0].edges.contains_key(&id(4)));
    assert_unharmed(&mut world);
}

#[test]
fn a_relay_refuses_the_origin_those_on_its_path_and_nodes_that_gossip_does_not_know() {
    let mut world = tree(7);
    say(&mut world, 0, 2, &subscribe(0, 1, 50));
    say(&mut world, 2, 3, &subscribe(0, 1, 51));
    assert_eq!((world.counters(2).subscription_in_loop, world.counters(3).subscription_in_loop), (1, 1));
    say(&mut world, 4, 2, &subscribe(77, 1, 52));
    world.gossip(2, 0..4);
    say(&mut world, 4, 2, &subscribe(0, 1, 53));
    assert_eq!(world.counters(2).subscription_of_stranger, 2);
    assert_unharmed(&mut world);
}

#[test]
fn a_relay_at_the_end_of_the_longest_path_takes_no_children() {
    let mut world = tree(8);
    let longest: Vec<usize> = [0].into_iter().chain(20..26).chain([2]).collect();
    let told = Path { room: Some((&room()).into()), origin: bytes(0), path: path(&longest) };
    say(&mut world, 2, 3, &told);
    say(&mut world, 4, 3, &subscribe(0, 1, 50));
    assert_eq!(world.counters(3).subscription_too_deep, 1);
}

#[test]
fn subscriptions_without_end_are_bounded_per_peer_and_go_with_its_link() {
    let now = Instant::now();
    let mut relay = Cascade::new(now, id(2));
    relay.handle_input(now, Input::Members(nodes_of([0, 2, 4])));
    relay.handle_input(now, Input::LinkUp(id(0)));
    relay.handle_input(now, Input::LinkUp(id(4)));
    for flow in 1..=16_500_u32 {
        let message = subscribe(0, flow as usize, flow).to_body();
        relay.handle_input(now, Input::Control { from: id(4), message, kind: Kind::Subscribe as u64 });
        while !matches!(relay.poll_output(), Output::Timeout(_)) {}
    }
    assert_eq!(relay.counters().refused_subscription, 16_500 - 16_384);
    assert_eq!(relay.branches()[0].taken.len(), 16_384);
    relay.handle_input(now, Input::LinkDown(id(4)));
    relay.handle_input(now + Duration::from_secs(2), Input::Timeout);
    assert!(relay.is_idle());
}

#[test]
fn a_room_with_countries_is_neither_served_to_nor_relayed_by_nodes_elsewhere() {
    let policy = Drawn::new(&[(1, 3)]);
    let mut world = World::with_policy(5, 10, std::sync::Arc::new(policy));
    world.countries = [(0, "DE"), (1, "DE"), (2, "US"), (3, "DE")].into();
    world.settings.countries = vec!["DE".into()];
    for node in 0..5 {
        world.gossip(node, 0..5);
    }
    for node in 0..3 {
        world.enter(node);
    }
    world.enter(4);
    world.join(0, "ada", &[1]);
    world.run_for(Duration::from_secs(1));
    for node in [1, 2, 4] {
        world.want(node, 1, BASE);
    }
    world.run_for(Duration::from_secs(2));
    assert!(world.is_fed(1, 1, 0));
    assert_eq!(world.parents(1, 1), [3]);
    for outside in [2, 4] {
        assert!(!world.is_fed(outside, 1, 0));
        assert!(world.counters(outside).subscription_refused_by_peer > 0, "it is told, and counts it");
    }
    assert!(world.counters(0).subscription_not_allowed > 0);
    // The relay does not have the room, and knows its countries from the origin.
    say(&mut world, 2, 3, &subscribe(0, 1, 50));
    assert_eq!(world.counters(3).subscription_not_allowed, 1);
}

fn kind() -> impl Strategy<Value = u64> {
    prop_oneof![Just(8_u64), Just(9), Just(10), Just(11), Just(17), Just(18), Just(19)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// What honest nodes said, said again at any time by anybody, cut or changed in one byte.
    #[test]
    fn messages_replayed_reordered_cut_and_changed_never_panic_and_the_tree_recovers(
        seed in any::<u64>(),
        lies in prop::collection::vec((kind(), 0..5_usize, 1..5_usize, any::<prop::sample::Index>(), any::<u8>(), 0..40_u64), 1..40),
    ) {
        let mut world = World::with_policy(5, seed, std::sync::Arc::new(Drawn::new(&[(3, 2), (2, 1)])));
        world.records_messages = true;
        for node in 0..5 {
            world.enter(node);
        }
        world.join(0, "ada", &[1]);
        world.run_for(Duration::from_secs(1));
        for node in 1..4 {
            world.want(node, 1, BASE);
        }
        world.run_for(Duration::from_secs(2));
        for (kind, from, to, which, change, wait_ms) in lies {
            let said: Vec<Bytes> = world.said.iter().filter(|(other, _)| *other == kind).map(|(_, body)| body.clone()).collect();
            let mut message = if said.is_empty() { vec![change] } else { which.get(&said).to_vec() };
            match (change % 3, message.len()) {
                (_, 0) | (0, _) => {}
                (1, length) => message.truncate(which.index(length)),
                (_, length) => message[which.index(length)] ^= change,
            }
            if from != to {
                world.ask(to, Input::Control { from: id(from), message: message.into(), kind });
            }
            world.run_for(Duration::from_millis(wait_ms));
        }
        // Whatever a lie has done to somebody's table, links that come anew put right.
        for a in 0..5 {
            for b in a + 1..5 {
                world.disconnect(a, b);
            }
        }
        world.run_for(Duration::from_secs(1));
        for a in 0..5 {
            for b in a + 1..5 {
                world.connect(a, b);
            }
        }
        world.run_for(Duration::from_secs(20));
        for node in 1..4 {
            prop_assert!(world.is_fed(node, 1, 0), "{node}");
        }
    }
}

#[test]
fn rivals_that_do_not_exist_raise_a_session_a_few_times_and_no_more() {
    let mut world = World::new(3, 4);
    for node in 0..3 {
        world.enter(node);
    }
    world.join(0, "ada", &[1]);
    world.run_for(Duration::from_secs(1));
    let before = world.heard[2].events.len();
    let mut incarnation = u64::MAX - 50;
    for _ in 0..100 {
        incarnation = incarnation.saturating_add(1);
        let sid = crate::world::sid_of("ada0").to_string();
        let rival = Rival { room: Some((&room()).into()), identity: "ada".into(), sid, incarnation, age_ms: u64::MAX };
        say(&mut world, 1, 0, &rival);
    }
    world.run_for(Duration::from_secs(1));
    assert!(world.heard[2].events.len() - before <= 8, "{:?}", &world.heard[2].events[before..]);
    assert!(world.seen(2).contains("ada") && world.seen(1).contains("ada"));
}
