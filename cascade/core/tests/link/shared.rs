//! One bottleneck for several: two trunks, and a download beside one.

use std::rc::Rc;
use std::time::Duration;

use origo_cascade_core::link::Class;

use super::crowd::Crowd;
use super::cubic::Cubic;
use super::pair::{Conditions, Pair};

const MS: Duration = Duration::from_millis(1);

fn narrow(rate_bps: f64) -> Conditions {
    Conditions { delay: 40 * MS, rate_bps: Some(rate_bps), queue: 50 * MS, ..Conditions::default() }
}

#[test]
fn two_trunks_share_a_bottleneck_without_losing_sound_and_neither_starves() {
    for seed in [3] {
        let mut one = Pair::over(narrow(30e6), None, seed);
        let mut other = Pair::begin(one.now(), narrow(30e6), None, 100 + seed);
        other.bottleneck = Rc::clone(&one.bottleneck);
        let mut crowds = [Crowd::new(&mut one, 10, 0.5e6, 2.5e6), Crowd::new(&mut other, 10, 0.5e6, 2.5e6)];
        for _ in 0..15_000 {
            crowds[0].run(&mut one, 0.001);
            crowds[1].run(&mut other, 0.001);
        }
        let mut shares = Vec::new();
        for (crowd, pair) in crowds.iter().zip([&one, &other]) {
            let audio = crowd.fate(pair, Class::Audio, 5.0, 14.0);
            assert!(audio.share() >= 0.985, "seed {seed}: audio {}", audio.share());
            assert_eq!(pair.sender.dropped().shed[0], 0, "seed {seed}");
            shares.push(crowd.bits(pair, 7.0, 14.0) / 7.0 / 1e6);
        }
        let sum: f64 = shares.iter().sum();
        assert!(sum > 20.0 && sum < 30.0, "seed {seed}: {shares:?} Mb/s");
        assert!(shares.iter().all(|share| *share > 6.0), "seed {seed}: {shares:?} Mb/s");
    }
}

#[test]
fn beside_a_download_that_fills_the_queue_a_trunk_keeps_its_sound_and_base_layers() {
    let mut pair = Pair::over(narrow(50e6), Some(25_000_000), 1);
    let mut crowd = Crowd::new(&mut pair, 10, 0.5e6, 1.5e6);
    let mut cubic = Cubic::new(pair.now(), Rc::clone(&pair.bottleneck), 50e6, 50 * MS, 80 * MS);
    for _ in 0..15_000 {
        crowd.run(&mut pair, 0.001);
        cubic.run(pair.now());
    }
    for class in [Class::Audio, Class::Base] {
        let fate = crowd.fate(&pair, class, 5.0, 14.0);
        assert!(fate.share() >= 0.98, "{class:?} {}", fate.share());
    }
    let got = crowd.bits(&pair, 5.0, 14.0) / 9.0 / 1e6;
    assert!(got >= 10.0, "{got} of 20 Mb/s");
    assert!(cubic.delivered > 0);
}
