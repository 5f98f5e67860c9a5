//! When SDKs that lost their server try again: `DefaultReconnectPolicy.ts` of `livekit-client` 2.23.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// `DEFAULT_RETRY_DELAYS_IN_MS`. Whoever has tried all of them gives up.
const DELAYS_MS: [u64; 10] = [0, 300, 1200, 2700, 4800, 7000, 7000, 7000, 7000, 7000];
/// `maxFirstRetryJitterInMs`: the first try is as soon as this.
const FIRST_MS: u64 = 500;

/// See the module.
#[derive(Debug)]
pub(super) struct Backoff {
    dice: SmallRng,
    tries: usize,
}

impl Backoff {
    pub(super) fn new(seed: u64) -> Self {
        Self { dice: SmallRng::seed_from_u64(seed), tries: 0 }
    }

    /// It worked.
    pub(super) fn reset(&mut self) {
        self.tries = 0;
    }

    /// How long to wait before the next try; `None` when it is given up.
    pub(super) fn next(&mut self) -> Option<Duration> {
        let delay = *DELAYS_MS.get(self.tries)?;
        self.tries += 1;
        let drawn = match delay {
            0 => self.dice.random_range(0..FIRST_MS),
            // Between half of it and half as much again.
            delay => self.dice.random_range(delay / 2..delay + delay / 2),
        };
        Some(Duration::from_millis(drawn))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_those_of_the_sdk() {
        let bounds = [(0, 500), (150, 450), (600, 1800), (1350, 4050), (2400, 7200), (3500, 10_500)];
        for seed in 0..100 {
            let mut backoff = Backoff::new(seed);
            for (least, most) in bounds {
                let drawn = backoff.next().unwrap().as_millis();
                assert!((least..most).contains(&drawn), "seed {seed}: {drawn} ms of {least} to {most}");
            }
            assert_eq!(std::iter::from_fn(|| backoff.next()).count(), 4, "then it gives up");
            backoff.reset();
            assert!(backoff.next().unwrap() < Duration::from_millis(500));
        }
    }
}
