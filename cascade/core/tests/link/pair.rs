//! Two links joined by a path with delay and loss.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use origo_cascade_core::link::{Class, Extensions, Flow, Input, Link, Output, Packet, Received};
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

pub struct Pair {
    pub sender: Link,
    pub receiver: Link,
    pub received: Vec<Received>,
    pub keyframes_asked: usize,
    /// So many datagrams from the sender are lost next.
    pub lose_next: usize,
    now: Instant,
    delay: Duration,
    loss: f64,
    rng: StdRng,
    order: u64,
    /// To the receiver if true.
    flying: BTreeMap<(Instant, u64), (bool, Bytes)>,
    wake: [Instant; 2],
}

impl Pair {
    /// A pair over which flow 1 carries [`layer`]; loss is the same both ways.
    pub fn new(delay: Duration, loss: f64, seed: u64) -> Self {
        let now = Instant::now();
        let mut pair = Self {
            sender: Link::new(now),
            receiver: Link::new(now),
            received: Vec::new(),
            keyframes_asked: 0,
            lose_next: 0,
            now,
            delay,
            loss,
            rng: StdRng::seed_from_u64(seed),
            order: 0,
            flying: BTreeMap::new(),
            wake: [now; 2],
        };
        let rtt = 2 * delay;
        let kind = MediaKind::Video;
        for input in [Input::Up { rtt, rate_bps: None }, Input::Serve { flow: Flow(1), layer: layer(), kind, sink: 0 }]
        {
            pair.input(false, input);
        }
        for input in [Input::Up { rtt, rate_bps: None }, Input::Receive { flow: Flow(1), layer: layer(), sink: 0 }] {
            pair.input(true, input);
        }
        // The first reports are on their way.
        pair.run_for(2 * delay);
        pair
    }

    pub fn now(&self) -> Instant {
        self.now
    }

    pub fn send(&mut self, class: Class, packet: Packet) {
        self.input(false, Input::Packet { flow: Flow(1), class, packet });
    }

    pub fn ask_keyframe(&mut self) {
        self.input(true, Input::Keyframe(layer()));
    }

    /// RTP numbers received, in their order, with the cycle that the receiver adds taken off.
    pub fn numbers(&self) -> Vec<u64> {
        let of = |received: &Received| match received {
            Received::Packet { packet, .. } => Some(packet.sequence - 65_536),
            _ => None,
        };
        self.received.iter().filter_map(of).collect()
    }

    fn input(&mut self, to_receiver: bool, input: Input) {
        let link = if to_receiver { &mut self.receiver } else { &mut self.sender };
        link.handle_input(self.now, input);
        loop {
            let link = if to_receiver { &mut self.receiver } else { &mut self.sender };
            match link.poll_output() {
                Output::Transmit(datagram) => self.fly(!to_receiver, datagram),
                Output::Received { received: Received::Keyframe { .. }, .. } => self.keyframes_asked += 1,
                Output::Received { received, .. } => self.received.push(received),
                Output::Allow { .. } => {}
                Output::Timeout(at) => {
                    self.wake[usize::from(to_receiver)] = at;
                    return;
                }
            }
        }
    }

    fn fly(&mut self, to_receiver: bool, datagram: Bytes) {
        if to_receiver && self.lose_next > 0 {
            self.lose_next -= 1;
            return;
        }
        if !self.rng.random_bool(self.loss) {
            self.order += 1;
            self.flying.insert((self.now + self.delay, self.order), (to_receiver, datagram));
        }
    }

    pub fn run_for(&mut self, span: Duration) {
        let until = self.now + span;
        loop {
            let arrival = self.flying.keys().next().map_or(until, |(at, _)| *at);
            let next = arrival.min(self.wake[0]).min(self.wake[1]);
            if next > until || (next == until && arrival != until) || self.flying.is_empty() && next >= until {
                break;
            }
            self.now = self.now.max(next);
            if arrival <= self.now && !self.flying.is_empty() {
                let (_, (to_receiver, datagram)) = self.flying.pop_first().expect("not empty");
                self.input(to_receiver, Input::Datagram(datagram));
                continue;
            }
            for to_receiver in [false, true] {
                if self.wake[usize::from(to_receiver)] <= self.now {
                    self.input(to_receiver, Input::Timeout);
                }
            }
        }
        self.now = until;
    }
}
