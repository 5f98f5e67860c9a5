//! One copy of each layer per link.

use std::time::Duration;

use origo_auth::Identity;
use origo_cascade_core::wire::message::{Body, Kind, Subscribe, SubscribeErr};
use origo_cascade_core::{Forward, Input, LayerSet, LeaveReason};

use crate::world::{World, id, participant, room, sid_of, track};

const SECOND: Duration = Duration::from_secs(1);

/// Ada on node 0 publishes track 1; the room lives on all three nodes.
fn with_publisher(seed: u64) -> World {
    let mut world = World::new(3, seed);
    for node in 0..3 {
        world.enter(node);
    }
    world.join(0, "ada", &[1]);
    world.run_for(SECOND);
    world
}

fn subscribes(world: &World) -> usize {
    world.sent.iter().filter(|(_, _, kind)| *kind == Kind::Subscribe as u64).count()
}

#[test]
fn twenty_viewers_behind_one_node_make_one_subscription() {
    let mut world = with_publisher(1);
    for _ in 0..20 {
        world.want(1, 1, LayerSet::only(2));
    }
    world.run_for(SECOND);
    assert_eq!(subscribes(&world), 1);
    assert_eq!(world.served(0), [(id(1), 2)]);
}

#[test]
fn the_receiving_table_is_there_before_the_origin_is_asked_and_the_origin_serves_after_one_way() {
    let mut world = with_publisher(2);
    let asked = world.elapsed();
    world.want(1, 1, LayerSet::only(0).with(1));
    let received = &world.heard[1].forwards;
    assert_eq!(received.len(), 2);
    assert!(received.iter().all(|(at, forward)| *at == asked && matches!(forward, Forward::Receive { .. })));
    world.run_for(Duration::from_millis(26));
    assert_eq!(world.served(0), [(id(1), 0), (id(1), 1)]);
}

#[test]
fn who_sees_one_layer_of_a_stream_gets_the_others_as_long_as_they_come() {
    let mut world = with_publisher(12);
    let mut vp9 = participant("bea", "bea0", &[2]);
    vp9.tracks[0].mime = "video/VP9".into();
    world.ask(0, Input::Publish(vp9));
    world.run_for(SECOND);
    for number in [1, 2] {
        world.want(1, number, LayerSet::up_to(2));
    }
    world.run_for(SECOND);
    for number in [1, 2] {
        world.heard[1].forwards.clear();
        world.want(1, number, LayerSet::only(0));
        let is_kept = |forward: &Forward| matches!(forward, Forward::Receive { local, .. } if *local);
        let is_taken = |forward: &Forward| matches!(forward, Forward::Receive { local, .. } if !*local);
        let forwards: Vec<&Forward> = world.heard[1].forwards.iter().map(|(_, forward)| forward).collect();
        // The numbers of a stream count over all of its layers; streams of their own have numbers of their own.
        assert_eq!(forwards.iter().any(|forward| is_taken(forward)), number == 1, "track {number}: {forwards:?}");
        assert!(!forwards.iter().any(|forward| is_kept(forward)));
    }
    world.run_for(3 * SECOND);
    assert_eq!(world.served(0), [(id(1), 0), (id(1), 0)], "and then they end");
}

#[test]
fn layers_that_nobody_wants_any_more_are_not_served() {
    let mut world = with_publisher(3);
    world.want(1, 1, LayerSet::only(0).with(2));
    world.run_for(SECOND);
    world.want(1, 1, LayerSet::only(0));
    world.run_for(Duration::from_millis(1_990));
    assert_eq!(world.served(0), [(id(1), 0), (id(1), 2)], "a layer that flickers does not flap");
    world.run_for(Duration::from_millis(40));
    assert_eq!(world.served(0), [(id(1), 0)]);
    world.want(1, 1, LayerSet::NONE);
    world.run_for(Duration::from_millis(2_030));
    assert_eq!(world.served(0), []);
}

#[test]
fn a_flow_number_means_nothing_else_for_ten_seconds() {
    let mut world = with_publisher(4);
    let flow_of_last = |world: &World| match world.heard[1].forwards.last().unwrap().1 {
        Forward::Receive { flow, .. } | Forward::StopReceive { flow, .. } => flow,
        _ => panic!("node 1 only receives"),
    };
    world.want(1, 1, LayerSet::only(0));
    let first = flow_of_last(&world);
    world.want(1, 1, LayerSet::NONE);
    world.run_for(Duration::from_millis(11_900));
    world.want(1, 1, LayerSet::only(0));
    assert_ne!(flow_of_last(&world), first);
    world.run_for(SECOND);
    world.want(1, 1, LayerSet::only(0).with(1));
    assert_eq!(flow_of_last(&world), first, "it has rested");
}

#[test]
fn what_is_wanted_before_the_link_is_up_is_asked_for_when_it_is() {
    let mut world = with_publisher(5);
    world.disconnect(0, 1);
    world.want(1, 1, LayerSet::only(1));
    world.run_for(SECOND);
    assert_eq!(world.served(0), []);
    world.connect(0, 1);
    world.run_for(SECOND);
    assert_eq!(world.served(0), [(id(1), 1)]);
}

#[test]
fn a_broken_link_ends_what_it_served_and_healing_brings_it_back_under_the_same_number() {
    let mut world = with_publisher(6);
    world.want(1, 1, LayerSet::only(0));
    world.want(2, 1, LayerSet::only(0));
    world.run_for(SECOND);
    world.disconnect(0, 1);
    assert_eq!(world.served(0), [(id(2), 0)]);
    world.connect(0, 1);
    world.run_for(SECOND);
    assert_eq!(world.served(0), [(id(2), 0), (id(1), 0)]);
    assert_eq!(world.heard[1].forwards.len(), 1, "the receiving table has not changed");
}

#[test]
fn a_track_that_ends_is_neither_served_nor_received() {
    let mut world = with_publisher(7);
    world.want(1, 1, LayerSet::only(0));
    world.run_for(SECOND);
    world.ask(0, Input::Publish(participant("ada", "ada0", &[])));
    world.run_for(SECOND);
    assert_eq!(world.served(0), []);
    assert!(matches!(world.heard[1].forwards.last().unwrap().1, Forward::StopReceive { .. }));
}

#[test]
fn a_publisher_that_leaves_takes_its_tracks_along() {
    let mut world = with_publisher(8);
    world.want(1, 1, LayerSet::only(0));
    world.run_for(SECOND);
    let (identity, sid) = (Identity("ada".into()), sid_of("ada0"));
    world.ask(0, Input::Withdraw { room: room(), identity, sid, reason: LeaveReason::Left(1) });
    world.run_for(SECOND);
    assert_eq!(world.served(0), []);
    assert!(matches!(world.heard[1].forwards.last().unwrap().1, Forward::StopReceive { .. }));
}

#[test]
fn a_want_for_a_track_that_is_not_known_yet_is_kept_until_it_is() {
    let mut world = with_publisher(9);
    world.want(1, 2, LayerSet::only(0));
    world.run_for(SECOND);
    assert_eq!(subscribes(&world), 0);
    world.join(2, "bob", &[2]);
    world.run_for(SECOND);
    assert_eq!(world.served(2), [(id(1), 0)]);
}

#[test]
fn a_refused_subscription_is_asked_for_again_while_it_is_wanted() {
    let mut world = with_publisher(10);
    world.want(1, 1, LayerSet::only(0));
    world.run_for(SECOND);
    let Forward::Receive { flow, .. } = world.heard[1].forwards[0].1 else { panic!("received first") };
    let refusal = SubscribeErr { flow: flow.0, retry_ms: 0, why: String::new() };
    let message = refusal.to_body();
    world.ask(1, Input::Control { from: id(0), message, kind: Kind::SubscribeErr as u64 });
    world.run_for(Duration::from_millis(99));
    assert_eq!(subscribes(&world), 1);
    world.run_for(Duration::from_millis(2));
    assert_eq!(subscribes(&world), 2);
}

#[test]
fn a_stranger_asking_for_what_is_not_here_is_refused_and_counted() {
    let mut world = with_publisher(11);
    let ask = |track: String, layer, flow| Subscribe {
        room: Some((&room()).into()),
        track,
        layer,
        flow,
        kind: 1,
        ..Subscribe::default()
    };
    let control = |body: &Subscribe| Input::Control { from: id(1), message: body.to_body(), kind: 8 };
    world.ask(0, control(&ask(track(9).to_string(), 0, 1)));
    assert_eq!(world.counters(0).refused_subscription, 1);
    world.ask(0, control(&ask(track(1).to_string(), 3, 1)));
    world.ask(0, control(&ask(track(1).to_string(), 0, 0)));
    world.ask(0, control(&ask("TR_".into(), 0, 1)));
    assert_eq!(world.counters(0).malformed_message, 3);
    assert_eq!(world.served(0), []);
}
