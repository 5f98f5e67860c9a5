//! How long participants stay and how long they are away, drawn from a seed.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// No time is drawn that is longer than so many of its mean: a run of minutes shall see everybody move.
const MEANS_MAX: f64 = 4.0;
/// Nobody moves sooner than after that share of the mean.
const MEANS_MIN: f64 = 0.05;

/// How participants come and go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Churn {
    /// Mean time in the room.
    pub stay: Duration,
    /// Mean time away.
    pub away: Duration,
    /// The same seed gives the same times, participant by participant.
    pub seed: u64,
}

/// One participant's times, exponentially distributed: whoever has stayed long is as likely to go as anybody.
#[derive(Debug)]
pub(super) struct Times {
    churn: Churn,
    random: StdRng,
}

impl Churn {
    /// The times of one participant.
    pub(super) fn times(&self, seat: usize) -> Times {
        let seed = self.seed ^ (seat as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Times { churn: *self, random: StdRng::seed_from_u64(seed) }
    }
}

impl Times {
    /// How long to stay this time.
    pub(super) fn stay(&mut self) -> Duration {
        let means = self.means();
        self.churn.stay.mul_f64(means)
    }

    /// How long to be away.
    pub(super) fn away(&mut self) -> Duration {
        let means = self.means();
        self.churn.away.mul_f64(means)
    }

    fn means(&mut self) -> f64 {
        let uniform: f64 = self.random.random_range(f64::EPSILON..1.0);
        (-uniform.ln()).clamp(MEANS_MIN, MEANS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHURN: Churn = Churn { stay: Duration::from_secs(20), away: Duration::from_secs(4), seed: 7 };

    #[test]
    fn a_seed_gives_the_same_times_again_and_each_seat_its_own() {
        let draw = |churn: Churn, seat| {
            let mut times = churn.times(seat);
            [times.stay(), times.away(), times.stay()]
        };
        assert_eq!(draw(CHURN, 3), draw(CHURN, 3));
        assert_ne!(draw(CHURN, 3), draw(CHURN, 4));
        assert_ne!(draw(CHURN, 3), draw(Churn { seed: 8, ..CHURN }, 3));
    }

    #[test]
    fn times_lie_about_their_mean() {
        let mut times = CHURN.times(0);
        let mean = (0..4000).map(|_| times.stay().as_secs_f64()).sum::<f64>() / 4000.0;
        assert!((17.0..22.0).contains(&mean), "{mean}");
    }
}
