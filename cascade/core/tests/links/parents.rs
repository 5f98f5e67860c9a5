//! A node takes a layer from another parent than before, and nobody behind it notices.

use std::collections::BTreeSet;
use std::time::Duration;

use origo_cascade_core::link::{Class, Flow};

use crate::net::{MS, Net, node, packet};

/// The origin 0 sends to 1 and 2; 3 takes from 1, and can take from 2; 4 takes from 3.
fn diamond(by_one: Duration, by_two: Duration, seed: u64) -> Net {
    let mut net = Net::new(5, seed);
    net.join(0, 1, by_one, 0.0);
    net.join(0, 2, by_two, 0.0);
    net.join(1, 3, by_one, 0.0);
    net.join(2, 3, by_two, 0.0);
    net.join(3, 4, 5 * MS, 0.0);
    for relay in [1, 2] {
        net.receive(relay, 0, 0, 1, false);
        net.serve(0, relay, 0, 1);
    }
    net.receive(3, 1, 0, 1, true);
    net.relay(1, 3, 0, 1, false);
    net.receive(4, 3, 0, 1, true);
    net.relay(3, 4, 0, 1, false);
    net
}

/// A packet to both relays each ms for `count` ms.
fn send(net: &mut Net, from: u64, count: u64) {
    for number in from..from + count {
        for relay in [1, 2] {
            net.send(0, relay, 1, Class::Base, packet(net.now(), number));
        }
        net.run_for(MS);
    }
}

fn change_parent(by_one: Duration, by_two: Duration, loss: f64, seed: u64) -> Net {
    let mut net = diamond(by_one, by_two, seed);
    net.set_loss(1, 3, loss);
    send(&mut net, 65_000, 1_000);
    net.take_flowing(3);
    net.receive(3, 2, 0, 2, true);
    net.relay(2, 3, 0, 2, false);
    let mut number = 66_000;
    while net.take_flowing(3).is_empty() {
        send(&mut net, number, 1);
        number += 1;
    }
    net.stop_receive(3, 1, 1);
    // The old parent hears of it a little later.
    let delay = by_one.as_millis() as u64;
    send(&mut net, number, delay);
    net.stop_relay(1, 3, 0, 1);
    send(&mut net, number + delay, 2_000);
    net.run_for(Duration::from_secs(1));
    net
}

/// All numbers from 65,000 to the last, which is given.
fn check_each_came_once(numbers: &[u64], what: &str) -> u64 {
    let last = *numbers.iter().max().unwrap();
    let came: BTreeSet<u64> = numbers.iter().copied().collect();
    let missing: Vec<u64> = (65_000..=last).filter(|number| !came.contains(number)).collect();
    assert!(missing.is_empty(), "{what}: {missing:?} of {last}");
    assert_eq!(came.len(), numbers.len(), "{what}: some came twice");
    last
}

#[test]
fn no_packet_is_lost_or_doubled_when_the_new_parent_is_nearer_or_farther() {
    for (by_one, by_two) in [(60 * MS, 10 * MS), (10 * MS, 60 * MS), (20 * MS, 20 * MS)] {
        let mut net = change_parent(by_one, by_two, 0.0, 1);
        for at in [3, 4] {
            let numbers = net.take_numbers(at);
            let last = check_each_came_once(&numbers, &format!("at {at}, {by_one:?} to {by_two:?}"));
            assert!(last > 68_000, "the cycle goes on over the change: {last}");
        }
        assert!(net.links(3).counters().doubled > 0, "both sent for a while");
        assert_eq!(net.stats(1, 3).copies, 0);
        assert_eq!(net.stats(4, 3).nacks[0], 0);
    }
}

#[test]
fn what_the_old_parents_link_lost_is_still_repaired() {
    for seed in 0..5 {
        let mut net = change_parent(20 * MS, 10 * MS, 0.02, seed);
        check_each_came_once(&net.take_numbers(4), &format!("seed {seed}"));
    }
}

#[test]
fn a_flow_is_told_once_when_its_first_packet_comes() {
    let mut net = diamond(10 * MS, 30 * MS, 1);
    assert!(net.take_flowing(3).is_empty());
    send(&mut net, 0, 100);
    assert_eq!(net.take_flowing(3), [(node(1), Flow(1))]);
    net.receive(3, 2, 0, 9, true);
    net.relay(2, 3, 0, 9, false);
    send(&mut net, 100, 100);
    assert_eq!(net.take_flowing(3), [(node(2), Flow(9))], "though all it brings came already");
}

#[test]
fn keyframes_are_asked_of_the_parent_that_flows() {
    let mut net = diamond(10 * MS, 10 * MS, 1);
    send(&mut net, 0, 100);
    net.receive(3, 2, 0, 2, true);
    net.ask_keyframe(3, 0);
    net.run_for(50 * MS);
    assert_eq!((net.stats(3, 1).keyframe_requests[0], net.stats(3, 2).keyframe_requests[0]), (1, 0));
    net.relay(2, 3, 0, 2, false);
    send(&mut net, 100, 100);
    net.ask_keyframe(3, 0);
    net.run_for(50 * MS);
    assert_eq!((net.stats(3, 1).keyframe_requests[0], net.stats(3, 2).keyframe_requests[0]), (1, 1));
}

#[test]
fn a_parent_that_fails_leaves_a_gap_but_no_jump() {
    let mut net = diamond(10 * MS, 10 * MS, 1);
    send(&mut net, 65_500, 100);
    net.run_for(50 * MS);
    net.stop_receive(3, 1, 1);
    net.stop_relay(1, 3, 0, 1);
    net.run_for(Duration::from_secs(2));
    net.receive(3, 2, 0, 2, true);
    net.relay(2, 3, 0, 2, false);
    send(&mut net, 65_700, 100);
    net.run_for(50 * MS);
    for at in [3, 4] {
        let numbers = net.take_numbers(at);
        assert_eq!((numbers[0], numbers[99], numbers[100]), (65_500, 65_599, 65_700), "at {at}");
    }
}
