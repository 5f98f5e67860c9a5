//! A path as a fluid: what is sent beyond its rate stands in its queue.

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

const MS: Duration = Duration::from_millis(1);

/// A bottleneck that is told of every 50 ms.
struct Path {
    now: Instant,
    estimator: Estimator,
    rtt: Duration,
    rate: f64,
    queue_max: f64,
    loss: f64,
    queue: f64,
    demand: f64,
    /// What somebody else keeps in the queue, whatever we do.
    foreign: f64,
    /// What the next layer that is left out asks for.
    next: f64,
}

impl Path {
    fn new(rtt: u32, rate: f64, start: f64) -> Self {
        let now = Instant::now();
        let estimator = Estimator::new(now, start);
        let (queue_max, demand) = (0.05, 42e6);
        Self { now, estimator, rtt: rtt * MS, rate, queue_max, loss: 0.0, queue: 0.0, demand, foreign: 0.0, next: 0.0 }
    }

    fn run(&mut self, seconds: f64) {
        for _ in 0..(seconds * 20.0) as u32 {
            self.now += 50 * MS;
            let sent = self.estimator.allowed_bps().min(self.demand) * 0.05;
            let queued = self.queue + (sent / self.rate - 0.05);
            let dropped = (queued - self.queue_max).max(0.0) * self.rate;
            self.queue = queued.clamp(0.0, self.queue_max);
            let got = (sent - dropped).max(0.0) * (1.0 - self.loss);
            let packets = (got / 8.0 / 1200.0) as u64;
            let delay = ((self.queue.max(self.foreign) + 0.04) * 1e6) as u32;
            let missed = ((sent - got) / 8.0 / 1200.0) as i64;
            let sample = Sample { bytes: (got / 8.0) as u64, packets, missed, delay, delays: 10 };
            let goes = sent / 0.05;
            let demand = Demand { mean: self.demand, sent: goes, next: self.next };
            self.estimator.take(self.now, &sample, self.rtt, || demand);
        }
    }
}

impl Path {
    /// One report: what came, how long it took, and what goes.
    fn report(&mut self, bytes: u64, delay_ms: u32, sent: f64) {
        self.now += 50 * MS;
        let sample = Sample { bytes, packets: bytes / 800, missed: 0, delay: delay_ms * 1000, delays: 10 };
        self.estimator.take(self.now, &sample, self.rtt, || Demand { mean: sent, sent, next: 0.0 });
    }
}

#[test]
fn a_connection_begins_as_configured_or_below_what_worked_or_low() {
    assert_eq!(start_bps(80 * MS, Some(40_000_000), Some(20e6)), 40e6);
    assert_eq!(start_bps(80 * MS, None, Some(20e6)), 15e6);
    assert_eq!(start_bps(80 * MS, None, None), 10e6);
    assert_eq!(start_bps(MS, None, None), 50e6);
    assert_eq!(start_bps(80 * MS, Some(0), None), FLOOR_BPS);
}

#[test]
fn an_unknown_path_that_is_wide_carries_forty_megabits_within_four_seconds() {
    for rtt in [5, 80, 200, 300] {
        let mut path = Path::new(rtt, 1e9, 10e6);
        path.run(4.0);
        assert!(path.estimator.allowed_bps() >= 42e6, "{rtt} ms: {}", path.estimator.allowed_bps());
        assert!(!path.estimator.is_bounded());
    }
}

#[test]
fn growth_stops_at_half_more_than_is_asked_for_and_a_quiet_link_keeps_its_rate() {
    let mut path = Path::new(80, 1e9, 10e6);
    path.run(10.0);
    assert!(path.estimator.allowed_bps() <= 1.5 * 42e6);
    let before = path.estimator.allowed_bps();
    path.demand = 1e6;
    path.run(10.0);
    assert_eq!(path.estimator.allowed_bps(), before);
}

#[test]
fn a_bottleneck_is_found_and_its_queue_kept_short() {
    for (rtt, start) in [(20, 42e6), (80, 42e6), (200, 42e6), (80, 10e6)] {
        let mut path = Path::new(rtt, 30e6, start);
        path.run(10.0);
        let (mut sum, mut queue_most) = (0.0, 0.0_f64);
        for _ in 0..400 {
            path.run(0.05);
            sum += path.estimator.allowed_bps() / 400.0;
            queue_most = queue_most.max(path.queue);
        }
        assert!((25e6..31.5e6).contains(&sum), "{rtt} ms: {sum}");
        assert!(queue_most < 0.05, "{rtt} ms: {queue_most}");
        assert!(path.estimator.is_bounded());
    }
}

#[test]
fn loss_that_is_the_paths_own_is_borne() {
    for loss in [0.01, 0.04] {
        let mut path = Path::new(80, 1e9, 42e6);
        path.loss = loss;
        path.run(15.0);
        assert!(path.estimator.allowed_bps() > 41e6, "{loss}: {}", path.estimator.allowed_bps());
    }
}

#[test]
fn loss_without_a_queue_that_falls_when_less_is_sent_is_answered() {
    let mut path = Path::new(80, 30e6, 42e6);
    path.queue_max = 0.002;
    path.run(10.0);
    assert!(path.estimator.allowed_bps() < 33e6, "{}", path.estimator.allowed_bps());
}

#[test]
fn heavy_loss_is_answered_though_less_is_sent_than_is_allowed() {
    // 4 Mb/s into a policer of 3 Mb/s, with 10 Mb/s allowed: giving way means sending less, not allowing less.
    let mut path = Path::new(20, 3e6, 10e6);
    (path.queue_max, path.demand) = (0.005, 4e6);
    path.run(10.0);
    assert!(path.estimator.allowed_bps() < 3.3e6, "{}", path.estimator.allowed_bps());
}

#[test]
fn what_is_lost_at_random_is_asked_about_once_in_half_an_hour_at_most() {
    let mut asked = 0;
    // A hundred minutes of a quiet link.
    for (seed, loss) in (0..50).flat_map(|seed| [(seed, 0.01), (seed, 0.015)]) {
        let mut path = Path::new(80, 1e9, 200e6);
        let (mut dice, mut gives_way) = (StdRng::seed_from_u64(seed), false);
        for _ in 0..1200 {
            path.now += 50 * MS;
            let missed = (0..20).filter(|_| dice.random_bool(loss)).count() as i64;
            let sample = Sample { bytes: 24_000, packets: 20, missed, delay: 40_000, delays: 10 };
            let demand = Demand { mean: 4e6, sent: 4e6, next: 0.0 };
            path.estimator.take(path.now, &sample, path.rtt, || demand);
            let has_given_way = path.estimator.allowed_bps() < 200e6;
            asked += u32::from(has_given_way && !gives_way);
            gives_way = has_given_way;
        }
    }
    assert!(asked <= 3, "{asked} times");
}

#[test]
fn a_link_that_leaves_a_layer_out_grows_until_the_layer_can_try() {
    let mut path = Path::new(80, 1e9, 3e6);
    (path.demand, path.next) = (1e6, 6e6);
    path.run(10.0);
    assert!((5.9e6..6.1e6).contains(&path.estimator.allowed_bps()), "{}", path.estimator.allowed_bps());
}

#[test]
fn a_queue_that_does_not_move_when_we_give_way_is_not_ours() {
    let mut path = Path::new(80, 1e9, 42e6);
    path.run(2.0);
    path.foreign = 0.03;
    let mut least = f64::MAX;
    for _ in 0..200 {
        path.run(0.05);
        least = least.min(path.estimator.allowed_bps());
    }
    assert!(least > 15e6, "{least}");
    assert!(path.estimator.allowed_bps() > 35e6, "{}", path.estimator.allowed_bps());
}

#[test]
fn jitter_of_a_quiet_link_does_not_lower_its_rate() {
    let mut path = Path::new(80, 1e9, 42e6);
    path.run(2.0);
    let before = path.estimator.allowed_bps();
    (path.demand, path.foreign) = (0.1e6, 0.02);
    path.run(2.0);
    assert_eq!(path.estimator.allowed_bps(), before);
}

#[test]
fn jitter_right_after_a_keyframe_does_not_lower_the_rate_of_a_quiet_link() {
    let mut path = Path::new(80, 1e9, 50e6);
    // 1.3 Mb/s; three keyframes of 12 kB each raise what goes to 1.9 Mb/s for half a second, and come at once.
    for second in 0..20 {
        for at in 0..20 {
            let is_raised = second == 10 && at < 10;
            let came = if is_raised && at == 1 { 8_000 + 36_000 } else { 8_000 };
            let delay = if is_raised { 52 } else { 40 };
            path.report(came, delay, if is_raised { 1.9e6 } else { 1.3e6 });
        }
    }
    assert_eq!(path.estimator.allowed_bps(), 50e6);
}

#[test]
fn a_path_that_narrows_below_what_goes_is_answered_though_much_more_was_allowed() {
    let mut path = Path::new(80, 1e9, 50e6);
    (0..100).for_each(|_| path.report(62_500, 40, 10e6));
    assert_eq!(path.estimator.allowed_bps(), 50e6);
    (1..=12).for_each(|at| path.report(31_250, 40 + at * 50, 10e6));
    assert!(path.estimator.allowed_bps() <= 5e6, "{}", path.estimator.allowed_bps());
}

#[test]
fn an_outage_leaves_the_rate_as_it_was() {
    let mut path = Path::new(80, 1e9, 42e6);
    path.run(2.0);
    let before = path.estimator.allowed_bps();
    path.now += Duration::from_secs(1);
    let sample = Sample { bytes: 0, packets: 1, missed: 5000, delay: 400_000, delays: 1 };
    path.estimator.take(path.now, &sample, path.rtt, Demand::default);
    assert_eq!(path.estimator.allowed_bps(), before);
    path.run(0.5);
    assert!(path.estimator.allowed_bps() >= before);
}

proptest! {
    #[test]
    fn absurd_reports_keep_the_rate_within_its_bounds(
        reports in prop::collection::vec(
            (any::<u32>(), any::<u32>(), any::<i32>(), any::<u32>(), any::<u16>(), 0..2000_u64),
            0..200,
        ),
    ) {
        let mut now = Instant::now();
        let mut estimator = Estimator::new(now, 10e6);
        for (bytes, packets, missed, delay, delays, after) in reports {
            now += Duration::from_millis(after);
            let sample = Sample {
                bytes: bytes.into(),
                packets: packets.into(),
                missed: missed.into(),
                delay,
                delays: delays.into(),
            };
            estimator.take(now, &sample, Duration::from_millis(after), || Demand { mean: 5e6, sent: 4e6, next: 9e6 });
            prop_assert!((FLOOR_BPS..=10e6).contains(&estimator.allowed_bps()));
            prop_assert!(estimator.queue() <= Duration::from_secs(10));
        }
    }
}
