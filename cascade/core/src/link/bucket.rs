//! A token bucket over time that is given: bytes that may go now.

/// Tokens accrue with the rate up to a depth; the last packet may overdraw them.
#[derive(Debug)]
pub(super) struct Bucket {
    tokens: f64,
}

impl Bucket {
    /// A bucket with so many bytes.
    pub(super) fn new(tokens: f64) -> Self {
        Self { tokens }
    }

    /// Adds what has accrued in so many seconds at so many bits per second; no more than `depth` bytes stand in it.
    pub(super) fn fill(&mut self, seconds: f64, bps: f64, depth: f64) {
        self.tokens = (self.tokens + bps / 8.0 * seconds).min(depth);
    }

    /// Whether a packet may go.
    pub(super) fn has_tokens(&self) -> bool {
        self.tokens > 0.0
    }

    /// Takes a packet's bytes. What must go whatever the bucket says is owed, down to `-debt`.
    pub(super) fn take(&mut self, bytes: usize, debt: f64) {
        self.tokens = (self.tokens - bytes as f64).max(-debt);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_rate_and_after_a_pause_its_depth() {
        let mut bucket = Bucket::new(0.0);
        let mut given = 0;
        for _ in 0..1000 {
            bucket.fill(0.001, 8e6, 3000.0);
            while bucket.has_tokens() {
                bucket.take(1200, 3000.0);
                given += 1200;
            }
        }
        assert!((1_000_000..1_001_300).contains(&given), "{given}");
        bucket.fill(1.0, 8e6, 3000.0);
        let mut burst = 0;
        while bucket.has_tokens() {
            bucket.take(1200, 3000.0);
            burst += 1;
        }
        assert_eq!(burst, 3);
        bucket.take(1_000_000, 3000.0);
        bucket.fill(0.004, 8e6, 3000.0);
        assert!(bucket.has_tokens(), "a debt is bounded");
    }
}
