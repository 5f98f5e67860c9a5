//! Trunks over one bottleneck in virtual time: real QUIC at both ends, links above it, timers as coarse as tokio's.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use quinn_proto::EcnCodepoint;

use super::path::{Conditions, Path};
use super::trunk::{Setup, Trunk};

/// Timers fire at whole milliseconds, as tokio's do.
const GRAIN: u64 = 1_000_000;

/// The clock of a run.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    base: Instant,
}

impl Clock {
    /// So many ns since the start.
    pub fn at(self, nanos: u64) -> Instant {
        self.base + Duration::from_nanos(nanos)
    }

    /// The same of a timer, on the next grain.
    pub fn timer(self, at: Instant) -> u64 {
        let nanos = at.saturating_duration_since(self.base).as_nanos();
        u64::try_from(nanos).unwrap_or(u64::MAX / 2).div_ceil(GRAIN) * GRAIN
    }
}

/// A UDP payload under way: when it arrives, its order among equals, trunk, side, whether it is marked, and itself.
type Flight = Reverse<(u64, u64, usize, usize, bool, Vec<u8>)>;

/// Both directions of a bottleneck, and what is under way.
#[derive(Debug)]
pub struct Net {
    /// There and back.
    pub paths: [Path; 2],
    flights: BinaryHeap<Flight>,
    order: u64,
}

impl Net {
    /// Sends a UDP payload from a side of a trunk to the other.
    pub fn send(&mut self, now: u64, trunk: usize, from: usize, bytes: &[u8], ecn: Option<EcnCodepoint>) {
        if let Some((at, marked)) = self.paths[from].send(now, bytes.len(), ecn.is_some()) {
            self.order += 1;
            self.flights.push(Reverse((at, self.order, trunk, 1 - from, marked, bytes.to_vec())));
        }
    }
}

/// See the module.
pub struct World {
    /// What joins the ends.
    pub net: Net,
    /// All that send over it.
    pub trunks: Vec<Trunk>,
    /// ns since the start.
    pub now: u64,
    /// Events handled: arrivals, timers, packets of publishers.
    pub events: u64,
}

impl World {
    /// Trunks over a path; the way back has the same delay, loss and outages, and no bottleneck.
    pub fn new(there: &Conditions, setups: &[Setup], seed: u64) -> anyhow::Result<Self> {
        // Virtual time begins at some instant; nothing depends on which.
        #[allow(clippy::disallowed_methods)]
        let clock = Clock { base: Instant::now() };
        let back = Conditions { rate_mbps: None, later_mbps: None, marks: false, ..there.clone() };
        let paths = [Path::new(there.clone(), seed, "there"), Path::new(back, seed, "back")];
        let net = Net { paths, flights: BinaryHeap::new(), order: 0 };
        let rtt = Duration::from_secs_f64(there.delay_ms * 2e-3);
        let trunks: anyhow::Result<Vec<Trunk>> =
            setups.iter().enumerate().map(|(number, setup)| Trunk::new(clock, number, *setup, rtt, seed)).collect();
        Ok(Self { net, trunks: trunks?, now: 0, events: 0 })
    }

    /// Runs until a time, ns since the start.
    pub fn run_until(&mut self, until: u64) {
        loop {
            for trunk in &mut self.trunks {
                trunk.drive(self.now, &mut self.net);
            }
            let flight = self.net.flights.peek().map_or(u64::MAX, |Reverse((at, ..))| *at);
            let timer = self.trunks.iter_mut().map(|trunk| trunk.next_at(self.now)).min().unwrap_or(u64::MAX);
            let next = flight.min(timer);
            if next >= until {
                self.now = until;
                return;
            }
            self.now = next.max(self.now);
            self.arrive();
            for trunk in &mut self.trunks {
                self.events += trunk.wake(self.now);
            }
        }
    }

    fn arrive(&mut self) {
        while let Some(Reverse((at, ..))) = self.net.flights.peek()
            && *at <= self.now
            && let Some(Reverse((_, _, trunk, side, marked, bytes))) = self.net.flights.pop()
        {
            self.events += 1;
            let ecn = if marked { EcnCodepoint::Ce } else { EcnCodepoint::Ect0 };
            self.trunks[trunk].arrive(self.now, side, ecn, BytesMut::from(&bytes[..]), &mut self.net);
        }
    }
}
