//! A link on long, lossy and narrow paths: what it carries, what it sheds, and how it comes back.

use std::collections::BTreeSet;
use std::time::Duration;

use origo_cascade_core::link::{Class, Input, Link};

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
    for seed in 0..2 {
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
    for seed in 0..2 {
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

#[test]
fn at_one_percent_loss_video_is_whole_within_300_ms_and_each_loss_is_asked_for_on_this_link_alone() {
    for (delay, bursts) in [(10, false), (40, false), (40, true), (100, false)] {
        let conditions = Conditions { delay: delay * MS, loss: 0.01, bursts, ..Conditions::default() };
        let mut pair = Pair::over(conditions, Some(50_000_000), 7);
        let mut crowd = forty_megabits(&mut pair);
        crowd.run(&mut pair, 12.0);
        pair.run_for(800 * MS);
        let (base, more) =
            (crowd.fate(&pair, Class::Base, 0.0, 12.0), crowd.fate(&pair, Class::Enhancement, 0.0, 12.0));
        let lost = 1.0 - (base.came + more.came) as f64 / (base.sent + more.sent) as f64;
        // Over 200 ms there is time for one repair only, and both it and its request may be lost.
        let most = if bursts { 0.002 } else { 0.0005 };
        assert!(lost <= most, "{delay} ms, bursts {bursts}: {lost}");
        assert_eq!(shed(&pair.sender), [0; 3], "{delay} ms");
        let stats = pair.receiver.stats();
        assert!(stats.missed > 300, "{delay} ms: {}", stats.missed);
        assert!(stats.nacks[0] <= stats.missed * 3 / 2, "{delay} ms: {} for {}", stats.nacks[0], stats.missed);
    }
}

#[test]
fn on_a_long_lossy_trunk_parities_bring_most_losses_back_within_ten_milliseconds_and_cost_five_percent() {
    let mut pair = Pair::over(long(0.01), Some(50_000_000), 3);
    let mut crowd = forty_megabits(&mut pair);
    crowd.run(&mut pair, 12.0);
    pair.run_for(800 * MS);
    let (sent, got) = (pair.sender.stats(), pair.receiver.stats());
    assert!(got.recovered as f64 >= 0.7 * got.missed as f64, "{} of {}", got.recovered, got.missed);
    let packets: u64 = sent.packets[0][1..4].iter().sum();
    assert!((0.04..0.06).contains(&(sent.parities[0] as f64 / packets as f64)), "{} parities", sent.parities[0]);
    let fate = all(&crowd, &pair, 2.0, 12.0);
    let quick = fate.added_ms.iter().filter(|added| **added <= 10.0).count();
    assert!(quick as f64 / fate.sent as f64 >= 0.997, "{quick} of {}", fate.sent);
    let audio = crowd.fate(&pair, Class::Audio, 2.0, 12.0);
    assert!(audio.share() >= 0.997, "{}: sound has no time for a repair here", audio.share());
    assert!(got.nacks[0] < got.missed / 2, "what a parity brings is not asked for: {} of {}", got.nacks[0], got.missed);
}

#[test]
fn without_loss_or_over_a_short_path_there_are_no_parities() {
    for (delay, loss) in [(100, 0.0), (20, 0.02)] {
        let mut pair = Pair::over(Conditions { delay: delay * MS, loss, ..Conditions::default() }, Some(50_000_000), 3);
        forty_megabits(&mut pair).run(&mut pair, 3.0);
        assert_eq!(pair.sender.stats().parities[0], 0);
    }
}

#[test]
fn too_much_for_the_path_sheds_enhancement_only_and_what_stays_is_on_time() {
    for (delay, queue) in [(40, 50), (100, 50), (40, 2), (40, 200)] {
        let conditions = Conditions {
            delay: delay * MS,
            rate_bps: Some(30e6),
            queue: queue * MS,
            loss: 0.001,
            ..Conditions::default()
        };
        let mut pair = Pair::over(conditions, None, 5);
        let mut crowd = forty_megabits(&mut pair);
        crowd.run(&mut pair, 14.0);
        pair.run_for(800 * MS);
        let case = format!("{delay} ms, queue {queue} ms");
        let [audio, base, enhancement] = shed(&pair.sender);
        assert_eq!((audio, base), (0, 0), "{case}");
        assert!(enhancement > 10_000, "{case}: {enhancement}");
        assert!(crowd.fate(&pair, Class::Audio, 2.0, 14.0).share() >= 0.99, "{case}");
        assert!(crowd.fate(&pair, Class::Base, 2.0, 14.0).share() >= 0.995, "{case}");
        let carried = crowd.bits(&pair, 5.0, 14.0) / 9.0 / 1e6;
        assert!((20.0..30.0).contains(&carried), "{case}: {carried} Mb/s");
        let base = crowd.fate(&pair, Class::Base, 5.0, 14.0);
        assert!(
            base.percentile(50) <= 12.0 && base.percentile(95) <= 60.0,
            "{case}: {} {}",
            base.percentile(50),
            base.percentile(95)
        );
    }
}

#[test]
fn after_an_outage_of_a_second_the_trunk_is_back_within_300_ms() {
    for delay in [40, 100] {
        let outage = Some((3000 * MS, 4000 * MS));
        let conditions = Conditions { delay: delay * MS, loss: 0.001, outage, ..Conditions::default() };
        let mut pair = Pair::over(conditions, Some(50_000_000), 2);
        let mut crowd = forty_megabits(&mut pair);
        crowd.run(&mut pair, 3.6);
        assert!(pair.allowed.1, "{delay} ms: the peer is silent");
        crowd.run(&mut pair, 4.4);
        assert!(!pair.allowed.1);
        pair.run_for(800 * MS);
        let first = crowd.first_arrival_since(&pair, 4.0);
        assert!(first <= 0.001 * f64::from(delay) + 0.06, "{delay} ms: first after {first} s");
        // Of what was sent 300 ms after the path healed, and what it takes to get there.
        let again = all(&crowd, &pair, 4.3, 8.0);
        assert!(again.share() >= 0.999, "{delay} ms: {}", again.share());
        assert!(again.percentile(99) <= 30.0, "{delay} ms: {} ms", again.percentile(99));
        let early = crowd.bits(&pair, 4.3, 4.6) / 0.3;
        assert!(early >= 0.9 * 40e6, "{delay} ms: {early} bit/s");
    }
}

#[test]
fn jitter_that_puts_packets_out_of_order_is_no_congestion_and_costs_few_repairs() {
    for delay in [40, 100] {
        let conditions =
            Conditions { delay: delay * MS, jitter: 20 * MS, reorders: true, loss: 0.001, ..Conditions::default() };
        let mut pair = Pair::over(conditions, Some(50_000_000), 4);
        let mut crowd = forty_megabits(&mut pair);
        crowd.run(&mut pair, 6.0);
        pair.run_for(800 * MS);
        let fate = all(&crowd, &pair, 0.0, 6.0);
        assert!(fate.share() >= 0.999, "{delay} ms: {}", fate.share());
        // Nothing of sound is taken for lost for good only because it is late and could not be sent again in time.
        let audio = crowd.fate(&pair, Class::Audio, 0.0, 6.0);
        assert!(audio.share() >= 0.997, "{delay} ms: {}", audio.share());
        assert_eq!(shed(&pair.sender), [0; 3], "{delay} ms");
        let numbers: BTreeSet<_> = pair.arrivals.iter().map(|arrival| (arrival.flow, arrival.number)).collect();
        assert_eq!(numbers.len(), pair.arrivals.len(), "nothing twice");
    }
}

#[test]
fn a_sender_that_stood_still_does_not_flood_a_shallow_queue() {
    let conditions = Conditions { delay: 40 * MS, rate_bps: Some(60e6), queue: 6 * MS, ..Conditions::default() };
    let mut pair = Pair::over(conditions, Some(50_000_000), 4);
    let mut crowd = forty_megabits(&mut pair);
    for _ in 0..50 {
        crowd.run(&mut pair, 0.08);
        // 20 ms without a tick; what workers give meanwhile comes in at once.
        pair.stalled_until = pair.now() + 20 * MS;
        crowd.run(&mut pair, 0.02);
    }
    pair.run_for(800 * MS);
    let sent: u64 = pair.sender.stats().packets[0].iter().sum();
    assert!((pair.overflowed as f64) < 0.001 * sent as f64, "{} of {sent}", pair.overflowed);
    assert_eq!(shed(&pair.sender)[..2], [0; 2]);
}

#[test]
fn the_hop_costs_four_percent_of_video_at_most() {
    let mut pair = Pair::over(long(0.0), Some(50_000_000), 1);
    let mut crowd = forty_megabits(&mut pair);
    crowd.run(&mut pair, 5.0);
    pair.run_for(800 * MS);
    let stats = pair.sender.stats();
    // QUIC adds 30 bytes to a datagram: header 11, tag 16, frame 3.
    let packets: u64 = stats.packets[0][2..4].iter().sum::<u64>() + stats.packets[0][0];
    let bytes: u64 = stats.bytes[0][2..4].iter().sum::<u64>() + stats.bytes[0][0] + 30 * packets;
    let payload = 1150 * stats.packets[0][2..4].iter().sum::<u64>();
    let overhead = bytes as f64 / payload as f64 - 1.0;
    assert!(overhead <= 0.04, "{overhead}");
}

#[test]
fn a_rate_that_worked_lately_is_where_the_next_connection_begins() {
    let conditions = Conditions { delay: 40 * MS, rate_bps: Some(30e6), queue: 50 * MS, ..Conditions::default() };
    let mut pair = Pair::over(conditions, None, 1);
    let mut crowd = forty_megabits(&mut pair);
    crowd.run(&mut pair, 10.0);
    let worked = pair.allowed.0 as f64;
    let again = |pair: &mut Pair, after: Duration| {
        pair.input(false, Input::Down);
        pair.run_for(after);
        pair.input(false, Input::Up { rtt: 80 * MS, rate_bps: None });
        pair.allowed.0 as f64
    };
    let soon = again(&mut pair, Duration::from_secs(60));
    assert!((0.7 * worked..0.8 * worked).contains(&soon), "{soon} after {worked}");
    assert_eq!(again(&mut pair, Duration::from_secs(601)), 10e6);
}

#[test]
fn a_link_tells_its_round_trip_jitter_loss_queue_and_room() {
    let conditions = Conditions { loss: 0.02, jitter: 4 * MS, rate_bps: Some(30e6), queue: 50 * MS, ..long(0.0) };
    let mut pair = Pair::over(conditions, None, 6);
    assert_eq!(Link::new(pair.now()).metric(), None);
    let mut crowd = Crowd::new(&mut pair, 10, 0.5e6, 1.0e6);
    crowd.run(&mut pair, 10.0);
    let (here, there) = (pair.sender.metric().unwrap(), pair.receiver.metric().unwrap());
    assert!(here.rtt.abs_diff(204 * MS) < 15 * MS, "{here:?}");
    assert!((0.012..0.03).contains(&there.loss), "{there:?}");
    assert!(there.lost < 0.004 && there.lost < there.loss, "{there:?}");
    assert!(there.jitter > MS / 2 && there.jitter < 5 * MS, "{there:?}");
    assert!(here.free_bps == u64::MAX || here.free_bps < 30_000_000, "{here:?}");
}
