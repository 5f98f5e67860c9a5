//! A media worker as a value: datagrams, commands and link batches in, datagrams, events and link packets out.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use origo_cascade_core::link;

use super::{Command, Event, Stats};

/// How a worker is set up.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// Addresses that clients are told; at least one.
    pub addresses: Vec<SocketAddr>,
    /// Estimate each subscriber's bandwidth and pace.
    pub bwe: bool,
}

/// What a worker takes in. After a whole batch, give `BurstEnd` once and poll until `Timeout`.
#[derive(Debug)]
pub enum Input<'a> {
    /// A datagram from a client.
    Datagram {
        /// Who sent it.
        source: SocketAddr,
        /// Which of [`WorkerConfig::addresses`] it was sent to.
        destination: SocketAddr,
        /// What it is.
        contents: &'a [u8],
    },
    /// The rooms ask something.
    Command(Command),
    /// The link thread brings something.
    Link(Vec<link::Received>),
    /// Everything that was there has been given: route it.
    BurstEnd,
    /// The instant of the last [`Output::Timeout`] has come.
    Timeout,
    /// The node ends: close every connection.
    Shutdown,
}

/// What a worker asks for. Poll until `Timeout`.
#[derive(Debug)]
pub enum Output<'a> {
    /// Send this.
    Transmit(Transmit<'a>),
    /// Tell the rooms.
    Event(Event),
    /// Give these to the link thread.
    Link(Vec<link::Send>),
    /// Nothing more to do until then.
    Timeout(Instant),
}

/// Datagrams to one client, laid end to end.
#[derive(Clone, Copy, Debug)]
pub struct Transmit<'a> {
    /// The client.
    pub destination: SocketAddr,
    /// One datagram, or several of `segment_size` each (the last may be shorter).
    pub contents: &'a [u8],
    /// Set when there are several.
    pub segment_size: Option<usize>,
}

/// See the module.
#[derive(Debug)]
pub struct Worker {
    stats: Stats,
    now: Instant,
}

impl Worker {
    /// A worker without sessions.
    pub fn new(_config: WorkerConfig, now: Instant) -> Self {
        Self { stats: Stats::default(), now }
    }

    /// Takes one input.
    pub fn handle_input(&mut self, now: Instant, _input: Input<'_>) {
        self.now = now;
    }

    /// Gives the next thing to do.
    pub fn poll_output(&mut self) -> Output<'_> {
        Output::Timeout(self.now + Duration::from_millis(100))
    }

    /// Its counters.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Counts what the driver had to drop.
    pub fn count_dropped(&mut self, what: &'static str, reason: &'static str) {
        self.stats.count_dropped(what, reason);
    }
}
