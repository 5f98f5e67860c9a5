//! A relay between an origin and nodes that take fewer layers of one stream than the relay gets.

use origo_cascade_core::link::{Class, Packet, Received};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use crate::net::{MS, Net, layer, packet};

/// Packets of pictures of three layers, `per_layer` packets each, in VP9's clear header; the first is a keyframe.
fn pictures(net: &Net, count: u64, per_layer: u64) -> Vec<(u8, Packet)> {
    let mut packets = Vec::new();
    for number in 0..count * 3 * per_layer {
        let (picture, within) = (number / (3 * per_layer), number % (3 * per_layer));
        let (of, place) = ((within / per_layer) as u8, within % per_layer);
        let starts = if place == 0 { 0x08 } else { 0 };
        let ends = if place + 1 == per_layer { 0x04 } else { 0 };
        let predicted = if picture > 0 { 0x40 } else { 0 };
        packets.push((
            of,
            Packet {
                timestamp: picture as u32 * 3000,
                marker: within + 1 == 3 * per_layer,
                key: number == 0,
                payload: [0x20 | predicted | starts | ends, of << 1, number as u8].as_slice().into(),
                ..packet(net.now(), number)
            },
        ));
    }
    packets
}

/// The origin 0 sends all layers to the relay 1, and 2 takes the lower ones from there, under flows 21, 22 and 23.
fn with_child(layers: u8) -> Net {
    let mut net = Net::new(3, 1);
    net.join(0, 1, 5 * MS, 0.0);
    net.join(1, 2, 5 * MS, 0.0);
    for of in 0..3 {
        net.receive(1, 0, of, 11 + u32::from(of), false);
        net.serve(0, 1, of, 11 + u32::from(of));
    }
    for of in 0..layers {
        take(&mut net, of);
    }
    net.run_for(20 * MS);
    net
}

fn take(net: &mut Net, of: u8) {
    net.receive(2, 1, of, 21 + u32::from(of), true);
    net.relay(1, 2, of, 21 + u32::from(of), true);
}

fn send(net: &mut Net, packets: impl IntoIterator<Item = (u8, Packet)>) {
    for (of, packet) in packets {
        let class = if of == 0 { Class::Base } else { Class::Enhancement };
        let packet = Packet { arrived: net.now(), ..packet };
        net.send(0, 1, 11 + u32::from(of), class, packet);
        net.run_for(MS);
    }
    net.run_for(20 * MS);
}

/// What came at 2: layer, number, numbers left out before it, marker.
fn came(net: &mut Net) -> Vec<(u8, u16, u16, bool)> {
    let of = |received| match received {
        Received::Packet { layer, packet } => {
            Some((layer.layer, packet.sequence as u16, packet.skipped, packet.marker))
        }
        _ => None,
    };
    net.take_received(2).into_iter().filter_map(of).collect()
}

#[test]
fn a_child_gets_its_layers_with_their_marker_and_hears_what_was_left_out() {
    let mut net = with_child(2);
    let packets = pictures(&net, 3, 1);
    send(&mut net, packets);
    assert_eq!(
        came(&mut net),
        [(0, 0, 0, false), (1, 1, 0, true), (0, 3, 1, false), (1, 4, 0, true), (0, 6, 1, false), (1, 7, 0, true)]
    );
}

#[test]
fn a_child_that_takes_all_layers_gets_the_stream_as_it_is() {
    let mut net = with_child(3);
    let packets = pictures(&net, 2, 2);
    send(&mut net, packets);
    let came = came(&mut net);
    assert_eq!(came.iter().map(|(_, number, ..)| *number).collect::<Vec<_>>(), (0..12).collect::<Vec<_>>());
    assert_eq!(came.iter().filter(|(_, _, skipped, marker)| *marker || *skipped > 0).count(), 2);
}

#[test]
fn what_was_missing_and_is_left_out_goes_as_its_number_alone() {
    let mut net = with_child(1);
    let mut packets = pictures(&net, 3, 1);
    // 4 comes after 6, which hears of 5 alone.
    let late = packets.remove(4);
    packets.insert(6, late);
    send(&mut net, packets);
    assert_eq!(came(&mut net), [(0, 0, 0, true), (0, 3, 2, true), (0, 6, 1, true), (0, 4, 0, false)]);
}

#[test]
fn a_child_begins_with_a_picture_goes_up_with_a_keyframe_and_down_with_a_picture() {
    let mut net = with_child(1);
    let mut packets = pictures(&net, 10, 1);
    packets[18].1.key = true;
    let mut packets = packets.into_iter().skip(4);
    send(&mut net, packets.by_ref().take(5));
    assert_eq!(came(&mut net), [(0, 6, 0, true)], "it may have had what was before from another parent");
    take(&mut net, 1);
    send(&mut net, packets.by_ref().take(9));
    assert_eq!(came(&mut net), [(0, 9, 2, true), (0, 12, 2, true), (0, 15, 2, true)]);
    send(&mut net, packets.by_ref().take(4));
    assert_eq!(came(&mut net), [(0, 18, 2, false), (1, 19, 0, true), (0, 21, 1, false)]);
    net.stop_relay(1, 2, 1, 22);
    send(&mut net, packets.by_ref().take(5));
    assert_eq!(came(&mut net), [(0, 24, 2, true)]);
    net.stop_relay(1, 2, 0, 21);
    send(&mut net, packets);
    assert!(came(&mut net).is_empty());
}

#[test]
fn every_number_comes_or_is_told_in_whatever_order_the_relay_gets_them() {
    for seed in 0..40 {
        let mut rng = StdRng::seed_from_u64(seed);
        let layers = rng.random_range(1..=3_u8);
        let mut net = with_child(layers);
        let mut packets = pictures(&net, 30, rng.random_range(1..4));
        let (head, rest) = packets.split_at_mut(4);
        assert!(head[0].1.key);
        rest.chunks_mut(rng.random_range(2..12)).for_each(|chunk| chunk.shuffle(&mut rng));
        let count = packets.len() as u16;
        // The last picture is whole, so that nothing is missing at the end.
        send(&mut net, packets);
        let came = came(&mut net);
        let mut told = vec![0_u8; count.into()];
        for (of, number, skipped, _) in &came {
            assert!(*of < layers, "seed {seed}");
            told[usize::from(*number)] += 1;
            (number - skipped..*number).for_each(|number| told[usize::from(number)] |= 0x80);
        }
        let last = came.iter().map(|(_, number, ..)| *number).max().unwrap();
        let silent: Vec<_> = (0..last).filter(|number| told[usize::from(*number)] == 0).collect();
        assert!(silent.is_empty(), "seed {seed}, {layers} layers: nothing of {silent:?}");
        assert!(told.iter().all(|told| told & 0x7f <= 1), "seed {seed}: twice");
        let of_layers = came.iter().filter(|(of, ..)| *of < layers).count();
        assert!(of_layers >= usize::from(count) * usize::from(layers) / 3, "seed {seed}: {of_layers}");
    }
}

#[test]
fn keyframes_of_a_stream_are_asked_for_upstream() {
    let mut net = with_child(2);
    net.ask_keyframe(2, 1);
    net.run_for(20 * MS);
    let asked = net.take_received(0);
    assert!(matches!(asked[..], [Received::Keyframe { layer: at }] if at == layer(1)), "{asked:?}");
}
