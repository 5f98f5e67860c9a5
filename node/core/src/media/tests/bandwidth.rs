//! What a viewer gets while its way to the node is narrow or loses: layers follow the estimate.

use std::time::Duration;

use super::call::Call;

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
