//! How often one address may ask: a token bucket each, in a table of bounded size.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::address::network_of;

/// Addresses that are remembered, about 1 MB. A table that is full of busy ones is forgotten as a whole: memory stays
/// bounded, and the worst that a flood from many addresses wins is one burst more each.
const ADDRESSES_MAX: usize = 16_384;

/// A bound on requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// Requests at once.
    pub burst: f64,
    /// Requests per second in the long run.
    pub per_second: f64,
}

#[derive(Clone, Copy)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

/// The buckets of all addresses under one limit.
pub struct Limiter {
    limit: Limit,
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

impl Limiter {
    /// No address has asked yet.
    pub fn new(limit: Limit) -> Self {
        Self { limit, buckets: Mutex::default() }
    }

    /// Lets a request of `address` pass, or says how long to wait before the next one.
    pub fn ask(&self, now: Instant, address: IpAddr) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let address = network_of(address);
        if buckets.len() >= ADDRESSES_MAX && !buckets.contains_key(&address) {
            self.make_room(now, &mut buckets);
        }
        let bucket = buckets.entry(address).or_insert(Bucket { tokens: self.limit.burst, filled: now });
        bucket.tokens = self.level(bucket, now);
        bucket.filled = now;
        if bucket.tokens < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - bucket.tokens) / self.limit.per_second));
        }
        bucket.tokens -= 1.0;
        Ok(())
    }

    fn level(&self, bucket: &Bucket, now: Instant) -> f64 {
        let gained = now.saturating_duration_since(bucket.filled).as_secs_f64() * self.limit.per_second;
        (bucket.tokens + gained).min(self.limit.burst)
    }

    /// A full bucket says no more than a new one. When most are busy, a sweep at each request would cost too much.
    fn make_room(&self, now: Instant, buckets: &mut HashMap<IpAddr, Bucket>) {
        buckets.retain(|_, bucket| self.level(bucket, now) < self.limit.burst);
        if buckets.len() > ADDRESSES_MAX / 2 {
            buckets.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const LIMIT: Limit = Limit { burst: 3.0, per_second: 2.0 };

    #[test]
    fn an_address_may_burst_and_then_waits_for_its_rate() {
        let limiter = Limiter::new(LIMIT);
        let start = Instant::now();
        let ask = |after_ms, last: u8| limiter.ask(start + Duration::from_millis(after_ms), [192, 0, 2, last].into());
        assert!((0..3).all(|_| ask(0, 1).is_ok()));
        assert_eq!(ask(0, 1), Err(Duration::from_millis(500)));
        assert!(ask(0, 2).is_ok(), "another address has its own bucket");
        assert!(ask(500, 1).is_ok());
        assert!(ask(500, 1).is_err());
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_share_a_bucket() {
        let limiter = Limiter::new(LIMIT);
        let now = Instant::now();
        let ask = |address: &str| limiter.ask(now, address.parse().unwrap());
        assert!(["2001:db8::1", "2001:db8::2", "2001:db8::3"].into_iter().all(|address| ask(address).is_ok()));
        assert!(ask("2001:db8::4").is_err());
        assert!(ask("2001:db8:0:1::4").is_ok());
    }

    #[test]
    fn the_table_never_outgrows_its_bound() {
        let limiter = Limiter::new(LIMIT);
        let now = Instant::now();
        for address in 0..3 * ADDRESSES_MAX as u32 {
            limiter.ask(now, Ipv4Addr::from(address).into()).unwrap();
            assert!(limiter.buckets.lock().unwrap().len() <= ADDRESSES_MAX);
        }
    }
}
