//! A link on long, lossy and narrow paths: what it carries, what it sheds, and how it comes back.

use std::time::Duration;

use origo_cascade_core::link::{Class, Link};

use super::crowd::{Crowd, Fate};
use super::pair::{Conditions, Pair};

const MS: Duration = Duration::from_millis(1);

/// 40 Mb/s: ten publishers with 0.8 Mb/s in base layers and 3.2 Mb/s in enhancement layers each, and their sound.
fn forty_megabits(pair: &mut Pair) -> Crowd {
    Crowd::new(pair, 10, 0.8e6, 3.2e6)
}

fn long(loss: f64) -> Conditions {
    Conditions { delay: 100 * MS, loss, ..Conditions::default() }
}

fn all(crowd: &Crowd, pair: &Pair, from: f64, to: f64) -> Fate {
    let mut all = Fate::default();
    for class in [Class::Audio, Class::Base, Class::Enhancement] {
        let fate = crowd.fate(pair, class, from, to);
        all.sent += fate.sent;
        all.came += fate.came;
        all.added_ms.extend(fate.added_ms);
    }
    all.added_ms.sort_by(f64::total_cmp);
    all
}

fn shed(link: &Link) -> [u64; 3] {
    link.dropped().shed
}

#[test]
fn a_configured_trunk_carries_forty_megabits_at_200_ms_and_a_thousandth_lost_from_the_first_second_on() {
    for seed in 0..3 {
        let mut pair = Pair::over(long(0.001), Some(50_000_000), seed);
        let mut crowd = forty_megabits(&mut pair);
        crowd.run(&mut pair, 8.0);
        pair.run_for(800 * MS);
        let (first, rest) = (all(&crowd, &pair, 0.0, 2.0), all(&crowd, &pair, 0.0, 8.0));
        assert!(first.share() >= 0.995, "seed {seed}: {} of the first two seconds", first.share());
        assert!(rest.share() >= 0.9999, "seed {seed}: {}", rest.share());
        assert_eq!(shed(&pair.sender), [0; 3], "seed {seed}");
        assert!(rest.percentile(95) <= 2.0, "seed {seed}: {} ms", rest.percentile(95));
    }
}

#[test]
fn an_unknown_trunk_carries_forty_megabits_within_four_seconds_and_sheds_enhancement_only() {
    for seed in 0..3 {
        let mut pair = Pair::over(long(0.001), None, seed);
        let mut crowd = forty_megabits(&mut pair);
        crowd.run(&mut pair, 9.0);
        pair.run_for(800 * MS);
        let later = all(&crowd, &pair, 4.0, 9.0);
        assert!(later.share() >= 0.995, "seed {seed}: {}", later.share());
        let [audio, base, enhancement] = shed(&pair.sender);
        assert_eq!((audio, base), (0, 0), "seed {seed}");
        assert!(enhancement > 0, "seed {seed}: nothing shed, so nothing tried");
        // Sound that is lost cannot be sent again in time over 200 ms, and the loss is at the edge of where FEC begins.
        for (class, least) in [(Class::Audio, 0.998), (Class::Base, 0.9995)] {
            let fate = crowd.fate(&pair, class, 0.0, 9.0);
            assert!(fate.share() >= least, "seed {seed}: {class:?} {}", fate.share());
        }
    }
}
