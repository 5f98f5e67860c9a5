//! Layers within one stream on a link that has no room for all of them.

use std::collections::BTreeSet;
use std::time::Duration;

use origo_cascade_core::link::{Class, Flow, Packet, Received};

use super::pair::{Conditions, Pair, layer, packet};

const MS: Duration = Duration::from_millis(1);
/// Packets of 1,000 bytes of a picture, by layer: 0.5, 0.8 and 2 Mb/s at 30 pictures a second.
const PICTURE: [u64; 3] = [2, 3, 8];

/// A camera's stream, each layer under a flow of its own.
struct Camera {
    next: u64,
    /// Each number's layer.
    layers: Vec<usize>,
}

impl Camera {
    fn new(pair: &mut Pair) -> Self {
        for of in 0..3 {
            pair.carry_as(Flow(10 + u32::from(of)), origo_cascade_core::TrackLayer { layer: of, ..layer() }, true);
        }
        Self { next: 0, layers: Vec::new() }
    }

    /// Sends pictures; one that was asked for is a keyframe.
    fn run(&mut self, pair: &mut Pair, pictures: u64) {
        for picture in 0..pictures {
            let key = picture == 0 || !std::mem::take(&mut pair.keyframe_layers).is_empty();
            for (of, packets) in PICTURE.into_iter().enumerate() {
                for place in 0..packets {
                    let class = if of == 0 { Class::Base } else { Class::Enhancement };
                    let key = key && of == 0 && place == 0;
                    let packet = Packet { key, ..packet(pair.now(), self.next, 1000) };
                    pair.send_on(Flow(10 + of as u32), class, packet);
                    self.layers.push(of);
                    self.next += 1;
                }
            }
            pair.run_for(33 * MS);
        }
    }
}

/// Numbers that came with a payload, and those that were told to be left out.
fn heard(pair: &Pair) -> (BTreeSet<u64>, BTreeSet<u64>) {
    let (mut came, mut told) = (BTreeSet::new(), BTreeSet::new());
    for received in &pair.received {
        let Received::Packet { packet, .. } = received else { continue };
        let number = packet.sequence - 65_536;
        if packet.payload.is_empty() {
            told.insert(number)
        } else {
            came.insert(number)
        };
        told.extend(number - u64::from(packet.skipped)..number);
    }
    (came, told)
}

/// Six hundred pictures over 1.5 Mb/s, and the numbers of which nothing was heard.
fn over_a_narrow_path(conditions: Conditions, seed: u64) -> (Pair, Camera, Vec<u64>) {
    let conditions = Conditions { delay: 20 * MS, rate_bps: Some(1.5e6), ..conditions };
    let mut pair = Pair::over(conditions, None, seed);
    let mut camera = Camera::new(&mut pair);
    camera.run(&mut pair, 600);
    pair.run_for(500 * MS);
    let (came, told) = heard(&pair);
    let of_layer = |of: usize, numbers: &BTreeSet<u64>| {
        numbers.iter().filter(|number| camera.layers[**number as usize] == of).count() as u64
    };
    assert!(of_layer(0, &came) >= 595 * PICTURE[0], "seed {seed}: {} of the lowest layer", of_layer(0, &came));
    assert_eq!(of_layer(0, &told), 0, "seed {seed}: the lowest layer is not shed");
    assert!(of_layer(2, &told) > 500 * PICTURE[2], "seed {seed}: {} told", of_layer(2, &told));
    let last = *came.last().unwrap();
    let silent = (0..last).filter(|number| !came.contains(number) && !told.contains(number)).collect();
    (pair, camera, silent)
}

#[test]
fn whoever_watches_the_lowest_layer_hears_of_each_number_that_a_full_link_sheds() {
    let (pair, _, silent) = over_a_narrow_path(Conditions { queue: 2000 * MS, ..Conditions::default() }, 1);
    assert_eq!((pair.overflowed, silent), (0, Vec::new()));
    let (came, told) = heard(&pair);
    assert!(came.is_disjoint(&told));
    let packets = pair.sender.stats().packets[0].iter().sum::<u64>();
    assert!(packets < 4_000, "a number costs no packet of its own as a rule: {packets}");
}

#[test]
fn what_the_path_itself_loses_of_layers_that_are_shed_is_told_as_far_as_it_is_not_repaired() {
    for seed in 0..8 {
        let (_, camera, silent) =
            over_a_narrow_path(Conditions { queue: 60 * MS, loss: 0.005, ..Conditions::default() }, seed);
        assert!(silent.len() as f64 <= 0.01 * camera.next as f64, "seed {seed}: nothing of {silent:?}");
    }
}

#[test]
fn a_layer_that_comes_back_begins_with_the_keyframe_of_its_stream() {
    let conditions = Conditions { delay: 20 * MS, rate_bps: Some(1.5e6), queue: 60 * MS, ..Conditions::default() };
    let mut pair = Pair::over(conditions, None, 1);
    let mut camera = Camera::new(&mut pair);
    camera.run(&mut pair, 150);
    pair.conditions.rate_bps = None;
    let (narrow, begun) = (camera.next, pair.received.len());
    camera.run(&mut pair, 300);
    let mut key = None;
    for received in &pair.received[begun..] {
        let Received::Packet { layer, packet } = received else { continue };
        let number = packet.sequence - 65_536;
        key = key.max(packet.key.then_some(number));
        if layer.layer == 2 && number > narrow && !packet.payload.is_empty() {
            let since = number - key.expect("a keyframe before it");
            assert_eq!(since, PICTURE[0] + PICTURE[1], "the layer's first packet in the keyframe's picture");
            return;
        }
    }
    panic!("the layer did not come back");
}
