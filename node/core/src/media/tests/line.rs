//! A client's way to the node, which delays, loses and narrows what the node sends.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::rival::Rival;

/// One way, there and back alike.
pub const DELAY: Duration = Duration::from_millis(20);
/// What waits longer than this before the narrowest place is dropped.
const QUEUE: Duration = Duration::from_millis(200);

/// The way to one client.
#[derive(Debug, Default)]
pub struct Line {
    /// Bits per second that pass; 0 for all.
    pub rate_bps: u64,
    /// Every so many packets one is lost; 0 for none.
    pub loses_every: u64,
    /// One packet in so many is lost at random.
    pub loses_one_in: Option<u32>,
    /// What does not pass at once is dropped, beyond so many bytes.
    pub policed_bytes: Option<u64>,
    /// Somebody else has the air now and then.
    pub shares_air: bool,
    /// A download beside it.
    pub rival: Option<Rival>,
    /// Bytes that passed.
    pub passed: u64,
    /// Packets that were lost.
    pub lost: u64,
    /// How long each packet that passed waited.
    pub waits: Vec<Duration>,
    taken: u64,
    free_at: Option<Instant>,
    busy_at: Option<Instant>,
    chance: Option<SmallRng>,
    under_way: VecDeque<(Instant, Vec<u8>)>,
}

impl Line {
    /// The same line by another seed.
    pub fn seeded(seed: u64) -> Self {
        Self { chance: Some(SmallRng::seed_from_u64(seed)), ..Self::default() }
    }

    /// The node sends a datagram.
    pub fn take(&mut self, now: Instant, datagram: &[u8]) {
        self.taken += 1;
        // 28 bytes of IP and UDP.
        let through = match self.is_lost() {
            true => None,
            false => self.pass(now, datagram.len() as u64 + 28),
        };
        let Some(through) = through else {
            self.lost += 1;
            return;
        };
        self.waits.push(through - now);
        self.under_way.push_back((through + DELAY, datagram.to_vec()));
    }

    fn is_lost(&mut self) -> bool {
        let by_turns = self.loses_every > 0 && self.taken.is_multiple_of(self.loses_every);
        let one_in = self.loses_one_in;
        by_turns || one_in.is_some_and(|one_in| self.chance().random_ratio(1, one_in))
    }

    fn chance(&mut self) -> &mut SmallRng {
        self.chance.get_or_insert_with(|| SmallRng::seed_from_u64(1))
    }

    /// When so many bytes are through the narrowest place; none when they are dropped.
    fn pass(&mut self, now: Instant, bytes: u64) -> Option<Instant> {
        if self.shares_air {
            self.wait_for_air(now);
        }
        let takes =
            |bytes: u64| (bytes * 8_000_000).checked_div(self.rate_bps).map_or(Duration::ZERO, Duration::from_micros);
        let begins = self.free_at.map_or(now, |free| free.max(now));
        if let Some(bucket) = self.policed_bytes {
            // The bucket is as full as the line is busy.
            let is_over = begins + takes(bytes) > now + takes(bucket);
            self.free_at = Some(if is_over { begins } else { begins + takes(bytes) });
            return (!is_over).then_some(now);
        }
        if begins - now > QUEUE {
            return None;
        }
        let through = begins + takes(bytes);
        self.free_at = Some(through);
        Some(through)
    }

    /// Wi-Fi: each 10 to 120 ms somebody else sends for 1 to 25 ms.
    fn wait_for_air(&mut self, now: Instant) {
        let mut busy_at = *self.busy_at.get_or_insert(now);
        while busy_at <= now {
            let busy = Duration::from_micros(self.chance().random_range(1_000..25_000));
            self.free_at = Some(self.free_at.map_or(busy_at, |free| free.max(busy_at)) + busy);
            busy_at += Duration::from_micros(self.chance().random_range(10_000..120_000));
        }
        self.busy_at = Some(busy_at);
    }

    /// What has arrived by now.
    pub fn arrived(&mut self, now: Instant) -> Option<Vec<u8>> {
        if let Some(mut rival) = self.rival.take() {
            rival.run(now, DELAY * 2, |bytes| self.pass(now, bytes));
            self.rival = Some(rival);
        }
        self.under_way.front().filter(|(due, _)| *due <= now)?;
        let (_, datagram) = self.under_way.pop_front()?;
        self.passed += datagram.len() as u64;
        Some(datagram)
    }
}
