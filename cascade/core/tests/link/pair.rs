//! Two links joined by a path with delay, loss, rate, queue, jitter and outages.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use origo_cascade_core::link::{Class, Extensions, Flow, Hearing, Input, Link, Output, Packet, Received};
use origo_cascade_core::{MediaKind, TrackLayer};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

pub fn layer() -> TrackLayer {
    TrackLayer { track: "TR_23456789ABCD".parse().unwrap(), layer: 0 }
}

pub fn packet(now: Instant, sequence: u64, bytes: usize) -> Packet {
    Packet {
        sequence,
        timestamp: sequence as u32 * 3000,
        marker: sequence.is_multiple_of(3),
        key: false,
        redundant: false,
        skipped: 0,
        extensions: Extensions::default(),
        payload: Arc::from(vec![sequence as u8; bytes]),
        arrived: now,
    }
}

pub fn audio(now: Instant, sequence: u64) -> Packet {
    let extensions = Extensions { audio_level: Some((20, true)), ..Extensions::default() };
    Packet { extensions, ..packet(now, sequence, 80) }
}

/// What the path from the sender to the receiver does; the way back only delays and loses.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    /// One way.
    pub delay: Duration,
    pub loss: f64,
    /// Losses come in bursts of five packets on average.
    pub bursts: bool,
    /// Bits per second with IP and UDP; none is unlimited.
    pub rate_bps: Option<f64>,
    /// Longest wait for the rate.
    pub queue: Duration,
    pub jitter: Duration,
    /// Whether jitter puts packets out of order.
    pub reorders: bool,
    /// From when to when, since the pair was made, nothing comes through either way.
    pub outage: Option<(Duration, Duration)>,
}

/// A queue with a rate behind it; what finds it full is dropped.
#[derive(Debug)]
pub struct Bottleneck {
    free_at: Instant,
}

impl Bottleneck {
    /// When a packet has passed.
    pub fn pass(&mut self, now: Instant, bytes: usize, rate_bps: f64, queue: Duration) -> Option<Instant> {
        let begins = now.max(self.free_at);
        if begins - now > queue {
            return None;
        }
        self.free_at = begins + Duration::from_secs_f64(bytes as f64 * 8.0 / rate_bps);
        Some(self.free_at)
    }
}

/// A packet that the receiver handed on.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    pub at: Instant,
    pub flow: Flow,
    /// RTP number, with the cycle that the receiver adds taken off.
    pub number: u64,
}

pub struct Pair {
    pub sender: Link,
    pub receiver: Link,
    pub received: Vec<Received>,
    pub arrivals: Vec<Arrival>,
    /// When, which end (whether the receiver) and how it hears the other.
    pub hearings: Vec<(Instant, bool, Hearing)>,
    pub keyframes_asked: usize,
    /// Layers that keyframes were asked of since this was last looked at.
    pub keyframe_layers: Vec<TrackLayer>,
    /// So many datagrams from the sender are lost next.
    pub lose_next: usize,
    pub conditions: Conditions,
    /// Datagrams of the sender that the path dropped because its queue was full.
    pub overflowed: u64,
    /// The sender is not woken before that: its thread stands still.
    pub stalled_until: Instant,
    /// Bytes that the path carried to the receiver, IP and UDP included.
    pub carried: u64,
    /// (bps, silent) that the sender last told QUIC.
    pub allowed: (u64, bool),
    start: Instant,
    now: Instant,
    rng: StdRng,
    in_burst: bool,
    /// Shared by all who send over the same bottleneck.
    pub bottleneck: Rc<RefCell<Bottleneck>>,
    last_arrival: Instant,
    order: u64,
    /// To the receiver if true.
    flying: BTreeMap<(Instant, u64), (bool, Bytes)>,
    wake: [Instant; 2],
}

impl Pair {
    /// A pair over which flow 1 carries [`layer`]; loss is the same both ways.
    pub fn new(delay: Duration, loss: f64, seed: u64) -> Self {
        let mut pair = Self::over(Conditions { delay, loss, ..Conditions::default() }, None, seed);
        pair.carry(Flow(1), layer());
        // The first reports are on their way.
        pair.run_for(2 * delay);
        pair
    }

    /// A pair without flows.
    pub fn over(conditions: Conditions, rate_bps: Option<u64>, seed: u64) -> Self {
        Self::begin(Instant::now(), conditions, rate_bps, seed)
    }

    /// The same from some time on.
    pub fn begin(now: Instant, conditions: Conditions, rate_bps: Option<u64>, seed: u64) -> Self {
        let rtt = 2 * conditions.delay;
        let mut pair = Self {
            sender: Link::new(now),
            receiver: Link::new(now),
            received: Vec::new(),
            arrivals: Vec::new(),
            hearings: Vec::new(),
            keyframes_asked: 0,
            keyframe_layers: Vec::new(),
            lose_next: 0,
            conditions,
            overflowed: 0,
            stalled_until: now,
            carried: 0,
            allowed: (0, false),
            start: now,
            now,
            rng: StdRng::seed_from_u64(seed),
            in_burst: false,
            bottleneck: Rc::new(RefCell::new(Bottleneck { free_at: now })),
            last_arrival: now,
            order: 0,
            flying: BTreeMap::new(),
            wake: [now; 2],
        };
        pair.input(false, Input::Up { rtt, rate_bps });
        pair.input(true, Input::Up { rtt, rate_bps });
        pair
    }

    /// Lets a flow carry a layer.
    pub fn carry(&mut self, flow: Flow, layer: TrackLayer) {
        self.carry_as(flow, layer, false);
    }

    /// The same, as one layer of a stream or not.
    pub fn carry_as(&mut self, flow: Flow, layer: TrackLayer, in_stream: bool) {
        self.input(false, Input::Serve { flow, layer, kind: MediaKind::Video, in_stream, sink: 0 });
        self.input(true, Input::Receive { flow, layer, sink: 0 });
    }

    pub fn now(&self) -> Instant {
        self.now
    }

    pub fn send(&mut self, class: Class, packet: Packet) {
        self.send_on(Flow(1), class, packet);
    }

    pub fn send_on(&mut self, flow: Flow, class: Class, packet: Packet) {
        self.input(false, Input::Packet { flow, class, packet });
    }

    pub fn ask_keyframe(&mut self) {
        self.input(true, Input::Keyframe(layer()));
    }

    /// RTP numbers received, in their order.
    pub fn numbers(&self) -> Vec<u64> {
        self.arrivals.iter().map(|arrival| arrival.number).collect()
    }

    pub fn input(&mut self, to_receiver: bool, input: Input) {
        let link = if to_receiver { &mut self.receiver } else { &mut self.sender };
        link.handle_input(self.now, input);
        loop {
            let link = if to_receiver { &mut self.receiver } else { &mut self.sender };
            match link.poll_output() {
                Output::Transmit(datagram) => self.fly(!to_receiver, datagram.to_bytes()),
                Output::Received { received: Received::Keyframe { layer }, .. } => {
                    self.keyframes_asked += 1;
                    self.keyframe_layers.push(layer);
                }
                Output::Received { received, flow, .. } => self.take(flow, received),
                Output::Allow { bps, silent } if !to_receiver => self.allowed = (bps, silent),
                Output::Allow { .. } => {}
                Output::Hearing { hearing, .. } => self.hearings.push((self.now, to_receiver, hearing)),
                Output::Timeout(at) => {
                    self.wake[usize::from(to_receiver)] = at;
                    return;
                }
            }
        }
    }

    fn take(&mut self, flow: Flow, received: Received) {
        if let Received::Packet { packet, .. } = &received {
            self.arrivals.push(Arrival { at: self.now, flow, number: packet.sequence - 65_536 });
        }
        self.received.push(received);
    }

    fn fly(&mut self, to_receiver: bool, datagram: Bytes) {
        if to_receiver && self.lose_next > 0 {
            self.lose_next -= 1;
            return;
        }
        if self.is_out() || self.is_lost() {
            return;
        }
        let Some(at) = self.arrives_at(to_receiver, datagram.len() + 58) else { return };
        self.order += 1;
        self.flying.insert((at, self.order), (to_receiver, datagram));
    }

    fn is_out(&self) -> bool {
        let at = self.now - self.start;
        self.conditions.outage.is_some_and(|(from, until)| (from..until).contains(&at))
    }

    /// Bursts are two states (Gilbert and Elliott): in the bad one everything is lost, and one in five packets ends it.
    fn is_lost(&mut self) -> bool {
        let loss = self.conditions.loss;
        if !self.conditions.bursts {
            return self.rng.random_bool(loss);
        }
        let change = if self.in_burst { 0.2 } else { 0.2 * loss / (1.0 - loss) };
        if self.rng.random_bool(change) {
            self.in_burst = !self.in_burst;
        }
        self.in_burst
    }

    fn arrives_at(&mut self, to_receiver: bool, bytes: usize) -> Option<Instant> {
        let mut at = self.now;
        if to_receiver {
            if let Some(rate) = self.conditions.rate_bps {
                let passed = self.bottleneck.borrow_mut().pass(self.now, bytes, rate, self.conditions.queue);
                let Some(passed) = passed else {
                    self.overflowed += 1;
                    return None;
                };
                at = passed;
            }
            self.carried += bytes as u64;
        }
        at += self.conditions.delay;
        if to_receiver && !self.conditions.jitter.is_zero() {
            at += self.conditions.jitter.mul_f64(self.rng.random_range(0.0..1.0));
            if !self.conditions.reorders {
                at = at.max(self.last_arrival);
                self.last_arrival = at;
            }
        }
        Some(at)
    }

    pub fn run_for(&mut self, span: Duration) {
        let until = self.now + span;
        loop {
            let arrival = self.flying.keys().next().map_or(until, |(at, _)| *at);
            let wake_sender = self.wake[0].max(self.stalled_until);
            let next = arrival.min(wake_sender).min(self.wake[1]);
            if next > until || (next == until && arrival != until) || self.flying.is_empty() && next >= until {
                break;
            }
            self.now = self.now.max(next);
            if arrival <= self.now && !self.flying.is_empty() {
                let (_, (to_receiver, datagram)) = self.flying.pop_first().expect("not empty");
                self.input(to_receiver, Input::Datagram(datagram.into()));
                continue;
            }
            for to_receiver in [false, true] {
                let wake = if to_receiver { self.wake[1] } else { wake_sender };
                if wake <= self.now {
                    self.input(to_receiver, Input::Timeout);
                }
            }
        }
        self.now = until;
    }
}
