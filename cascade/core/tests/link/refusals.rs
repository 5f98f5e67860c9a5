//! What a peer may send and what becomes of it: absurd reports, repairs for everything, replays, wrong parities.

use std::time::Duration;

use bytes::Bytes;
use origo_cascade_core::link::{Class, Flow, Input, Output};
use proptest::prelude::*;

use super::crowd::Crowd;
use super::pair::{Conditions, Pair, packet};

const MS: Duration = Duration::from_millis(1);

fn datagram(kind: u8, fields: &[u8]) -> Bytes {
    // A length of two bytes (RFC 9000, section 16).
    let length = 0x4000 | fields.len() as u16;
    [&[0, kind], &length.to_be_bytes()[..], fields].concat().into()
}

fn nack(first: u16) -> Bytes {
    let [high, low] = first.to_be_bytes();
    datagram(1, &[&[2, high, low][..], &[0xff; 64]].concat())
}

/// A report of nothing but its clock and what it says of the path: datagrams, bytes, missed, delay.
fn report(sent: u32, path: [u32; 4]) -> Bytes {
    let mut fields = [0; 70];
    fields[..4].copy_from_slice(&sent.to_be_bytes());
    for (index, field) in path.iter().enumerate() {
        fields[52 + 4 * index..56 + 4 * index].copy_from_slice(&field.to_be_bytes());
    }
    fields[69] = 9;
    datagram(2, &fields)
}

#[test]
fn a_peer_that_asks_for_everything_again_gets_fifteen_percent_of_the_rate_and_the_rest_is_counted() {
    let mut pair = Pair::over(Conditions { delay: 20 * MS, ..Conditions::default() }, Some(20_000_000), 1);
    let mut crowd = Crowd::new(&mut pair, 4, 3e6, 0.1e6);
    for _ in 0..300 {
        crowd.run(&mut pair, 0.01);
        let last = pair.sender.stats().packets[0][2] as u16;
        for back in 1..5 {
            pair.input(false, Input::Datagram(nack(last.wrapping_sub(back * 100)).into()));
        }
    }
    let again = pair.sender.stats().bytes[0][4] as f64 * 8.0 / 3.0;
    assert!(again > 1e6 && again <= 0.16 * 1.5 * 20e6, "{again} bit/s");
    assert!(pair.sender.dropped().repair_refused > 0);
    assert_eq!(pair.sender.dropped().shed[..2], [0, 0], "others are served");
}

#[test]
fn a_layer_that_has_no_room_costs_its_publisher_no_keyframes_however_often_a_peer_asks() {
    let narrow = Conditions { delay: 20 * MS, rate_bps: Some(1e6), queue: 50 * MS, ..Conditions::default() };
    let mut pair = Pair::over(narrow, Some(1_000_000), 1);
    let mut crowd = Crowd::new(&mut pair, 1, 0.3e6, 3e6);
    let layers = crowd.layers(Class::Enhancement);
    for _ in 0..20 {
        crowd.run(&mut pair, 0.5);
        pair.input(true, Input::Keyframe(layers[0]));
    }
    let (asked, refused) = (pair.keyframes_asked, pair.sender.dropped().keyframe_over_limit);
    assert!(asked <= 4 && refused >= 16, "{asked} times, {refused} refused");
}

#[test]
fn replayed_and_reordered_reports_are_counted_and_change_nothing() {
    let mut pair = Pair::over(Conditions::default(), Some(20_000_000), 1);
    for sent in [1000, 51_000, 101_000, 51_000, 1000, 101_000] {
        pair.input(false, Input::Datagram(report(sent, [10, 1000, 0, 5]).into()));
    }
    // The peer's own first report came before, with an earlier clock.
    assert_eq!(pair.sender.dropped().report_stale, 3);
    pair.input(false, Input::Datagram(report(151_000, [4_000_000_000, 0, 0, 5]).into()));
    pair.input(false, Input::Datagram(report(201_000, [4_000_000_000, 0, 2_000_000_000, 5]).into()));
    assert_eq!(pair.sender.dropped().report_absurd, 2);
    assert_eq!(pair.allowed.0, 20_000_000);
}

#[test]
fn a_replayed_datagram_is_counted_and_not_handed_on_again() {
    let mut pair = Pair::new(MS, 0.0, 1);
    let now = pair.now();
    pair.sender.handle_input(now, Input::Packet { flow: Flow(1), class: Class::Base, packet: packet(now, 5, 100) });
    let mut sent = Vec::new();
    loop {
        match pair.sender.poll_output() {
            Output::Transmit(datagram) => sent.push(datagram.to_bytes()),
            Output::Timeout(_) => break,
            _ => {}
        }
    }
    for _ in 0..100 {
        pair.input(true, Input::Datagram(sent[0].clone().into()));
    }
    assert_eq!((pair.arrivals.len(), pair.receiver.dropped().duplicate), (1, 99));
}

#[test]
fn a_parity_that_makes_nonsense_is_counted_and_nothing_is_handed_on() {
    let mut pair = Pair::new(MS, 0.0, 1);
    // FEC is heard of, then a parity over one packet that never came: its bytes are no packet of that number.
    for _ in 0..2 {
        let fields = [&[0, 0, 0, 0, 9, 1, 0, 0, 0, 0, 14][..], &[5; 14]].concat();
        pair.input(true, Input::Datagram(datagram(5, &fields).into()));
    }
    assert_eq!((pair.arrivals.len(), pair.receiver.dropped().parity_wrong), (0, 2));
    let too_many = [&[0, 0, 33, 0, 0, 0, 0, 0, 0, 0, 14][..], &[5; 14]].concat();
    pair.input(true, Input::Datagram(datagram(5, &too_many).into()));
    assert_eq!(pair.receiver.dropped().malformed, 1);
}

proptest! {
    // Each case runs a link for seconds.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn arbitrary_messages_leave_the_link_working(
        messages in prop::collection::vec((1..6_u8, prop::collection::vec(any::<u8>(), 0..90), 0..80_u64), 0..60),
    ) {
        let mut pair = Pair::over(Conditions { delay: 5 * MS, ..Conditions::default() }, Some(20_000_000), 1);
        let mut crowd = Crowd::new(&mut pair, 1, 0.5e6, 0.5e6);
        for (kind, fields, after) in messages {
            crowd.run(&mut pair, after as f64 / 1000.0);
            pair.input(false, Input::Datagram(datagram(kind, &fields).into()));
            pair.input(true, Input::Datagram(datagram(kind, &fields).into()));
            prop_assert!((500_000..=20_000_000).contains(&pair.allowed.0));
        }
        let before = pair.arrivals.len();
        crowd.run(&mut pair, 0.5);
        prop_assert!(pair.arrivals.len() > before);
    }
}
