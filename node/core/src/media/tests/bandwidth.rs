//! What a viewer gets while its way to the node is narrow or loses: layers follow the estimate.

use std::time::Duration;

use super::EGRESS;
use super::call::Call;
use super::world::World;
use crate::media::{Egress, Target};

#[test]
fn the_lowest_layer_flows_through_any_line_unless_the_client_lets_it_be_paused() {
    let mut call = Call::new(false);
    call.world.line().rate_bps = 120_000;
    call.send(Duration::from_secs(10));
    let got = call.send(Duration::from_secs(10));
    let frames = got.iter().flatten().count();
    assert!(frames > got.len() / 2, "{frames} of {} frames", got.len());
    assert!(call.paused().is_empty());
}

#[test]
fn a_paused_picture_is_told_and_comes_back_when_its_way_is_wide_again() {
    let mut call = Call::new(true);
    call.send(Duration::from_secs(5));
    call.world.line().rate_bps = 90_000;
    call.send(Duration::from_secs(10));
    assert_eq!(call.paused().last(), Some(&true));
    call.world.line().rate_bps = 3_000_000;
    let back = call.settles(&[0, 1, 2], Duration::from_secs(20));
    assert!(back.is_some_and(|s| s <= 10.0), "{back:?} s until it is back");
    assert_eq!(call.settles(&[2], Duration::from_secs(1)), Some(0.0), "it is whole again");
    assert_eq!(call.paused().last(), Some(&false));
}

#[test]
fn a_line_that_loses_one_packet_in_twenty_costs_no_layer() {
    let mut call = Call::new(true);
    call.world.line().loses_every = 20;
    call.send(Duration::from_secs(5));
    let got = call.send(Duration::from_secs(20));
    let whole = got.iter().filter(|layer| **layer == Some(2)).count();
    assert!(whole > got.len() * 9 / 10, "{whole} of {} frames in the whole layer", got.len());
}

#[test]
fn nothing_is_sealed_that_is_not_to_leave() {
    let mut call = Call::new(true);
    call.send(Duration::from_secs(8));
    assert_eq!(call.world.worker.stats().dropped_count("egress", "not ours"), 0);
}

#[test]
fn who_is_sent_nothing_is_looked_after_a_few_times_a_second() {
    if EGRESS != Egress::Own {
        // str0m's estimator wants to be told the time each 25 ms.
        return;
    }
    let mut world = World::with(true);
    let viewers = [(); 3].map(|()| world.join(false));
    world.run_ms(4_000);
    assert!(viewers.iter().all(|&viewer| world.is_connected(viewer, Target::Subscriber)));
    let wakes = (0..1_000).filter(|_| {
        let is_due = world.worker.timer.next().is_some_and(|at| at <= world.now + Duration::from_millis(1));
        world.run_ms(1);
        is_due
    });
    let wakes = wakes.count();
    assert!((1..=40).contains(&wakes), "{wakes} in a second");
}
