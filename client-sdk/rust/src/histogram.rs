//! Delays in microseconds, kept in buckets of an eighth of an octave, so that 500 viewers cost little and add up.

use serde::{Deserialize, Serialize};

/// Buckets in an octave.
const STEPS: u32 = 8;
/// Octaves: up to 2^30 µs, about 18 minutes.
const OCTAVES: u32 = 30;

/// How often each delay came.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Histogram {
    counts: Vec<u32>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; (STEPS * OCTAVES) as usize], total: 0 }
    }
}

impl Histogram {
    /// Counts one delay.
    pub fn add(&mut self, delay_us: u64) {
        self.counts[bucket(delay_us)] += 1;
        self.total += 1;
    }

    /// Adds all of another's delays.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
    }

    /// The delay that a share (0 to 1) of all stay at or below, in microseconds; 0 when nothing was counted.
    pub fn quantile_us(&self, share: f64) -> u64 {
        let rank = (share * self.total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, &count) in self.counts.iter().enumerate() {
            seen += u64::from(count);
            if seen >= rank {
                return upper_edge_us(index);
            }
        }
        0
    }
}

fn bucket(delay_us: u64) -> usize {
    let value = delay_us.max(u64::from(STEPS));
    let octave = value.ilog2();
    let step = (value >> (octave - STEPS.ilog2())) as u32 - STEPS;
    let index = (octave - STEPS.ilog2()) * STEPS + step;
    index.min(STEPS * OCTAVES - 1) as usize
}

fn upper_edge_us(index: usize) -> u64 {
    let (octave, step) = (index as u32 / STEPS, index as u32 % STEPS);
    (u64::from(STEPS + step + 1) << octave) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_right_within_an_eighth() {
        let mut histogram = Histogram::default();
        for delay in 1..=1000 {
            histogram.add(delay);
        }
        let median = histogram.quantile_us(0.5);
        assert!((500..=563).contains(&median), "{median}");
        assert!(histogram.quantile_us(1.0) >= 1000);
        assert_eq!(Histogram::default().quantile_us(0.5), 0);
    }

    #[test]
    fn the_largest_delay_has_a_bucket() {
        let mut histogram = Histogram::default();
        histogram.add(u64::MAX);
        assert!(histogram.quantile_us(0.5) > 1 << 30);
    }
}
