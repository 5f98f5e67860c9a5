//! Two ends of a link in virtual time: repair, duplicates, keyframe requests, garbage.

// Virtual time begins at some instant.
#![allow(clippy::disallowed_methods)]

mod cost;
mod crowd;
mod cubic;
mod pair;
mod refusals;
mod shared;
mod streams;
mod trunk;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use origo_cascade_core::link::{Class, Flow, Input, Link, Output, Received};
use pair::{Pair, audio, layer, packet};
use proptest::prelude::*;

const MS: Duration = Duration::from_millis(1);

#[test]
fn packets_cross_once_and_untouched() {
    let mut pair = Pair::new(Duration::from_millis(20), 0.0, 1);
    let sent = packet(pair.now(), 70_000, 1100);
    pair.send(Class::Base, sent.clone());
    pair.run_for(100 * MS);
    let [Received::Packet { layer: at, packet: got }] = &pair.received[..] else { panic!("{:?}", pair.received) };
    assert_eq!((*at, got.sequence as u16, &got.payload), (layer(), sent.sequence as u16, &sent.payload));
    assert_eq!((got.timestamp, got.marker, got.key), (sent.timestamp, sent.marker, sent.key));
    assert_eq!(pair.sender.stats().packets[0][Class::Base as usize], 1);
    assert_eq!(pair.receiver.stats().packets[1][Class::Base as usize], 1);
}

#[test]
fn the_wire_costs_ten_bytes_more_than_the_payload_and_four_more_for_a_time_every_five_milliseconds() {
    let mut pair = Pair::new(20 * MS, 0.0, 1);
    for number in 0..5 {
        pair.send(Class::Base, packet(pair.now(), number, 1100));
        pair.run_for(2 * MS);
    }
    assert_eq!(pair.sender.stats().bytes[0][Class::Base as usize], 5 * 1110 + 2 * 4);
}

#[test]
fn at_one_percent_loss_all_but_a_few_packets_arrive_and_each_once() {
    for seed in 0..5 {
        let mut pair = Pair::new(20 * MS, 0.01, seed);
        for number in 0..20_000 {
            pair.send(Class::Base, packet(pair.now(), number, 1000));
            pair.run_for(MS);
        }
        pair.run_for(500 * MS);
        let numbers: Vec<u64> = pair.numbers();
        let unique: BTreeSet<u64> = numbers.iter().copied().collect();
        assert_eq!(unique.len(), numbers.len(), "seed {seed}");
        assert!(unique.len() >= 19_990, "seed {seed}: {}", unique.len());
        let again = pair.sender.stats().packets[0][4];
        assert!((100..500).contains(&again), "seed {seed}: {again} sent again");
        assert_eq!(pair.sender.stats().packets[0][Class::Base as usize], 20_000, "counted apart");
    }
}

#[test]
fn a_packet_is_handed_on_at_once_though_one_before_it_is_missing() {
    let mut pair = Pair::new(20 * MS, 0.0, 1);
    pair.lose_next = 1;
    pair.send(Class::Audio, audio(pair.now(), 1));
    pair.send(Class::Audio, audio(pair.now(), 2));
    pair.run_for(20 * MS);
    assert_eq!(pair.numbers(), [2]);
    pair.run_for(45 * MS);
    assert_eq!(pair.numbers(), [2, 1], "asked for after 4 ms, repaired one round trip later");
}

#[test]
fn a_sequence_number_that_wraps_goes_on_growing() {
    let mut pair = Pair::new(MS, 0.0, 1);
    for number in 65_500..65_600 {
        pair.send(Class::Base, packet(pair.now(), number, 100));
        pair.run_for(MS);
    }
    pair.run_for(10 * MS);
    let numbers = pair.numbers();
    assert_eq!(numbers.len(), 100);
    assert!(numbers.windows(2).all(|two| two[1] == two[0] + 1));
}

#[test]
fn many_requests_for_a_keyframe_become_one_and_another_only_after_half_a_second() {
    let mut pair = Pair::new(20 * MS, 0.0, 1);
    for _ in 0..10 {
        pair.ask_keyframe();
        pair.run_for(10 * MS);
    }
    assert_eq!(pair.keyframes_asked, 1);
    pair.run_for(450 * MS);
    assert_eq!(pair.keyframes_asked, 2);
    pair.run_for(2000 * MS);
    assert_eq!(pair.keyframes_asked, 2, "nobody asked again");
}

#[test]
fn a_keyframe_that_comes_answers_whoever_waits() {
    let mut pair = Pair::new(20 * MS, 0.0, 1);
    pair.ask_keyframe();
    pair.run_for(50 * MS);
    pair.ask_keyframe();
    let mut key = packet(pair.now(), 1, 1000);
    key.key = true;
    pair.send(Class::Base, key);
    pair.run_for(1000 * MS);
    assert_eq!(pair.keyframes_asked, 1);
}

#[test]
fn both_ends_learn_the_round_trip_from_reports() {
    let mut pair = Pair::new(35 * MS, 0.0, 1);
    pair.run_for(500 * MS);
    for link in [&pair.sender, &pair.receiver] {
        let rtt = link.rtt().unwrap();
        assert!(rtt.abs_diff(70 * MS) < MS, "{rtt:?}");
    }
}

#[test]
fn a_packet_of_an_unknown_flow_is_counted_and_makes_no_gap() {
    let mut pair = Pair::new(MS, 0.0, 1);
    let now = pair.now();
    pair.receiver.handle_input(now, Input::StopReceive(Flow(1)));
    for number in 0..10 {
        pair.send(Class::Base, packet(pair.now(), number, 100));
    }
    pair.run_for(100 * MS);
    assert_eq!(pair.receiver.dropped().unknown_flow, 10);
    assert_eq!(pair.receiver.stats().nacks, [0, 0]);
}

#[test]
fn a_packet_that_waited_too_long_or_has_no_link_is_dropped_and_counted() {
    let mut pair = Pair::new(MS, 0.0, 1);
    let old = packet(pair.now(), 1, 100);
    pair.run_for(251 * MS);
    pair.send(Class::Base, old.clone());
    assert_eq!(pair.sender.dropped().expired, 1);
    let now = pair.now();
    pair.sender.handle_input(now, Input::Down);
    pair.send(Class::Base, old);
    assert_eq!(pair.sender.dropped().link_down, 1);
}

proptest! {
    #[test]
    fn arbitrary_datagrams_never_panic_and_what_is_malformed_is_counted(
        datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..50),
    ) {
        let mut pair = Pair::new(MS, 0.0, 1);
        pair.run_for(60 * MS);
        let now = pair.now();
        let before = pair.receiver.dropped().malformed;
        for datagram in &datagrams {
            pair.receiver.handle_input(now, Input::Datagram(Bytes::copy_from_slice(datagram).into()));
        }
        let empty = datagrams.iter().filter(|datagram| datagram.is_empty()).count() as u64;
        prop_assert!(pair.receiver.dropped().malformed - before >= empty);
        drain(&mut pair.receiver);
    }
}

fn drain(link: &mut Link) {
    while !matches!(link.poll_output(), Output::Timeout(_)) {}
}
