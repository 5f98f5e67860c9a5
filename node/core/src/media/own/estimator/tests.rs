//! The estimator with feedback that is true, and with feedback that lies.

use proptest::prelude::*;

use super::rate::{FIRST_BPS, LEAST_BPS};
use super::*;

const MS: u64 = 1_000;

/// A sender of packets of 1,000 bytes whose client tells of them each 50 ms.
struct Flow {
    estimator: Estimator,
    now_us: u64,
    number: u64,
    untold: Vec<Told>,
    free_us: u64,
    line_bps: u64,
}

impl Flow {
    fn new(line_bps: u64) -> Self {
        let mut estimator = Estimator::new();
        estimator.wish(3_000_000, true);
        Self { estimator, now_us: 0, number: 0, untold: Vec::new(), free_us: 0, line_bps }
    }

    /// Sends at a rate for some time, over a line with a queue of 200 ms. Gives the estimate.
    fn run(&mut self, ms: u64, sent_bps: impl Fn(&Estimator) -> u64) -> u64 {
        let mut owed = 0.0;
        for _ in 0..ms {
            self.now_us += MS;
            owed += sent_bps(&self.estimator) as f64 / 8_000_000.0;
            while owed >= 1.0 {
                owed -= 1.0;
                self.send();
            }
            self.estimator.tick(self.now_us);
            while self.estimator.wants_padding(self.now_us) {
                self.send();
            }
            if self.now_us.is_multiple_of(50 * MS) {
                self.report();
            }
        }
        self.estimator.rate.bps()
    }

    fn send(&mut self) {
        self.estimator.sent(self.now_us, 1_000, Some(self.number));
        let begins_us = self.free_us.max(self.now_us);
        let is_lost = begins_us - self.now_us > 200 * MS;
        if !is_lost {
            self.free_us = begins_us + 8_000_000_000 / self.line_bps;
        }
        let came_us = (!is_lost).then_some(self.free_us as i64 + 77_000_000);
        self.untold.push(Told { number: self.number, sent_us: self.now_us, bytes: 1_000, came_us, found: false });
        self.number += 1;
    }

    /// What came by now is told.
    fn report(&mut self) {
        let now_us = self.now_us as i64 + 77_000_000 - 20_000;
        let known = self.untold.iter().rposition(|told| told.came_us.is_some_and(|came_us| came_us <= now_us));
        for told in self.untold.drain(..known.map_or(0, |at| at + 1)) {
            self.estimator.told(&told);
        }
        self.estimator.judge(self.now_us, Some(60 * MS));
    }
}

#[test]
fn a_full_line_is_filled_without_a_standing_queue() {
    let mut flow = Flow::new(1_000_000);
    flow.run(5_000, |estimator| estimator.rate.bps());
    let (mut sum, mut worst_us) = (0, 0);
    for _ in 0..200 {
        sum += flow.run(100, |estimator| estimator.rate.bps());
        worst_us = worst_us.max(flow.free_us.saturating_sub(flow.now_us));
    }
    assert!((800_000..=1_050_000).contains(&(sum / 200)), "{} bit/s", sum / 200);
    assert!(worst_us < 150 * MS, "{worst_us} us");
}

#[test]
fn who_sends_little_is_taken_to_carry_no_more_than_was_looked_for_and_no_less_than_before() {
    let mut flow = Flow::new(50_000_000);
    flow.estimator.wish(1_000_000, false);
    assert_eq!(flow.run(20_000, |_| 100_000), FIRST_BPS, "nothing is missing, and nothing is known");
    flow.estimator.wish(3_000_000, true);
    let found_bps = flow.run(2_000, |_| 100_000);
    assert!((2_700_000..=3_750_000).contains(&found_bps), "{found_bps}");
}

#[test]
fn a_line_that_narrows_is_followed_at_once_and_one_that_widens_soon() {
    let mut flow = Flow::new(5_000_000);
    flow.run(5_000, |_| 1_200_000);
    flow.line_bps = 500_000;
    let narrow_bps = flow.run(500, |_| 1_200_000);
    assert!(narrow_bps < 550_000, "{narrow_bps}");
    let still_bps = flow.run(6_000, |_| 300_000);
    assert!((350_000..520_000).contains(&still_bps), "{still_bps}");
    flow.line_bps = 5_000_000;
    let wide_bps = flow.run(4_500, |_| 300_000);
    assert!(wide_bps > 1_500_000, "{wide_bps}");
}

#[test]
fn a_client_that_falls_silent_gets_less() {
    let mut flow = Flow::new(5_000_000);
    let before_bps = flow.run(3_000, |_| 1_000_000);
    for _ in 0..5_000 {
        flow.now_us += MS;
        flow.estimator.sent(flow.now_us, 125, Some(flow.number));
        flow.number += 1;
        flow.estimator.tick(flow.now_us);
    }
    assert!(flow.estimator.rate.bps() < before_bps / 4);
    assert!(flow.estimator.rate.bps() >= LEAST_BPS);
}

#[test]
fn a_clock_that_leaps_or_wraps_changes_nothing() {
    let mut flow = Flow::new(5_000_000);
    flow.run(3_000, |_| 1_000_000);
    let before_bps = flow.estimator.rate.bps();
    for leap_us in [64_000_000_i64, -90_000_000, 1 << 40] {
        for told in &mut flow.untold {
            told.came_us = told.came_us.map(|came_us| came_us + leap_us);
        }
        flow.run(1_000, |_| 1_000_000);
        assert!(flow.estimator.rate.bps() >= before_bps, "{leap_us}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Send(u16, bool),
    Tell { back: u64, came_us: Option<i64>, found: bool },
    Judge(u64),
    Report(u8),
    Bound(u64),
    Wish(u64, bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_u64..300_000).prop_map(Step::Pass),
        (any::<u16>(), any::<bool>()).prop_map(|(bytes, numbered)| Step::Send(bytes % 1_500, numbered)),
        (0_u64..50, prop::option::of(-1_100_000_000_000_i64..1_100_000_000_000), any::<bool>())
            .prop_map(|(back, came_us, found)| Step::Tell { back, came_us, found }),
        (0_u64..50, prop::option::of(0_i64..3_000_000), any::<bool>()).prop_map(|(back, came_us, found)| Step::Tell {
            back,
            came_us,
            found
        }),
        (0_u64..5_000_000).prop_map(Step::Judge),
        any::<u8>().prop_map(Step::Report),
        any::<u64>().prop_map(Step::Bound),
        (0_u64..20_000_000, any::<bool>()).prop_map(|(bps, missing)| Step::Wish(bps, missing)),
    ]
}

proptest! {
    /// However the client lies: nothing panics, and what is believed is no more than what was shown by sending it, half as
    /// much again, or what was to be looked for.
    #[test]
    fn whatever_a_client_says_the_estimate_stays_in_bounds(steps in prop::collection::vec(step(), 1..400)) {
        let (mut estimator, mut now_us, mut number) = (Estimator::new(), 0, 0_u64);
        let (mut most_bps, mut wish_most_bps) = (0, 0);
        for step in steps {
            match step {
                Step::Pass(us) => now_us += us,
                Step::Send(bytes, numbered) => {
                    estimator.sent(now_us, bytes.into(), numbered.then_some(number));
                    number += u64::from(numbered);
                }
                Step::Tell { back, came_us, found } if back < number => {
                    let number = number - 1 - back;
                    estimator.told(&Told { number, sent_us: now_us.saturating_sub(back * 5_000), bytes: 1_500, came_us, found });
                }
                Step::Tell { .. } => {}
                Step::Judge(rtt_us) => estimator.judge(now_us, Some(rtt_us)),
                Step::Report(lost) => estimator.report(now_us, lost),
                Step::Bound(bps) => estimator.bound(now_us, bps),
                Step::Wish(bps, missing) => {
                    wish_most_bps = wish_most_bps.max(bps);
                    estimator.wish(bps, missing);
                }
            }
            estimator.tick(now_us);
            most_bps = most_bps.max(estimator.rates.peak_bps()).max(estimator.rates.sent_bps());
            let bound_bps = FIRST_BPS.max(wish_most_bps * 5 / 4).max(most_bps * 2);
            prop_assert!((LEAST_BPS..=bound_bps).contains(&estimator.rate.bps()), "{} of {bound_bps}", estimator.rate.bps());
            prop_assert!(estimator.poll(now_us).is_none_or(|bps| (LEAST_BPS..=bound_bps).contains(&bps)));
        }
    }
}
