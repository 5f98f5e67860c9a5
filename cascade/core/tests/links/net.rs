//! A few nodes' links in virtual time, joined by paths with delay and loss.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use origo_auth::NodeId;
use origo_cascade_core::link::{self, Class, Extensions, Flow, Packet, Received, Send, Stats};
use origo_cascade_core::links::{Input, Links, Output};
use origo_cascade_core::{Forward, MediaKind, TrackLayer};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

pub const MS: Duration = Duration::from_millis(1);

/// The node with that number.
pub fn node(number: usize) -> NodeId {
    NodeId([number as u8 + 1; 16])
}

/// A layer of the one track.
pub fn layer(layer: u8) -> TrackLayer {
    TrackLayer { track: "TR_23456789ABCD".parse().unwrap(), layer }
}

pub fn packet(now: Instant, sequence: u64) -> Packet {
    Packet {
        sequence,
        timestamp: (sequence / 3) as u32 * 3000,
        marker: sequence % 3 == 2,
        key: false,
        redundant: false,
        skipped: 0,
        extensions: Extensions::default(),
        payload: Arc::from(vec![sequence as u8; 1000]),
        arrived: now,
    }
}

struct Node {
    links: Links,
    wake_at: Instant,
    /// What its workers got, with the worker's number.
    received: Vec<(usize, Instant, Received)>,
    flowing: Vec<(NodeId, Flow)>,
}

/// See the module.
pub struct Net {
    nodes: Vec<Node>,
    now: Instant,
    /// One-way delay and loss by (from, to).
    paths: BTreeMap<(usize, usize), (Duration, f64)>,
    rng: StdRng,
    order: u64,
    flying: BTreeMap<(Instant, u64), (usize, usize, Bytes)>,
}

impl Net {
    /// `nodes` nodes without a path between them.
    pub fn new(nodes: usize, seed: u64) -> Self {
        let now = Instant::now();
        let node = || Node { links: Links::new(now), wake_at: now, received: Vec::new(), flowing: Vec::new() };
        let nodes = (0..nodes).map(|_| node()).collect();
        let (paths, flying) = (BTreeMap::new(), BTreeMap::new());
        Self { nodes, now, paths, rng: StdRng::seed_from_u64(seed), order: 0, flying }
    }

    /// Nodes in a row; the origin is 0, and each next takes flow 1 of layer 0 from the one before, all without workers
    /// but the first and the last.
    pub fn chain(nodes: usize, delay: Duration, seed: u64) -> Self {
        let mut net = Self::new(nodes, seed);
        for at in 1..nodes {
            net.join(at - 1, at, delay, 0.0);
            net.receive(at, at - 1, 0, 1, at == nodes - 1);
        }
        net.serve(0, 1, 0, 1);
        for at in 1..nodes - 1 {
            net.relay(at, at + 1, 0, 1, false);
        }
        net.run_for(4 * delay);
        net
    }

    /// Joins two nodes both ways.
    pub fn join(&mut self, one: usize, other: usize, delay: Duration, loss: f64) {
        for (from, to) in [(one, other), (other, one)] {
            self.paths.insert((from, to), (delay, loss));
            let up = link::Input::Up { rtt: 2 * delay, rate_bps: None };
            self.input(from, Input::Link { peer: node(to), input: up });
        }
    }

    pub fn set_loss(&mut self, from: usize, to: usize, loss: f64) {
        self.paths.get_mut(&(from, to)).unwrap().1 = loss;
    }

    pub fn now(&self) -> Instant {
        self.now
    }

    pub fn links(&self, at: usize) -> &Links {
        &self.nodes[at].links
    }

    pub fn stats(&self, at: usize, peer: usize) -> &Stats {
        self.nodes[at].links.stats(node(peer)).unwrap()
    }

    pub fn forward(&mut self, at: usize, forward: Forward) {
        self.input(at, Input::Forward { forward, sink: 7 });
    }

    pub fn receive(&mut self, at: usize, from: usize, of: u8, flow: u32, local: bool) {
        let (room, kind) = (room(), MediaKind::Video);
        self.forward(at, Forward::Receive { room, layer: layer(of), from: node(from), flow: Flow(flow), kind, local });
    }

    pub fn stop_receive(&mut self, at: usize, from: usize, flow: u32) {
        self.forward(at, Forward::StopReceive { from: node(from), flow: Flow(flow) });
    }

    pub fn serve(&mut self, at: usize, to: usize, of: u8, flow: u32) {
        let (room, kind) = (room(), MediaKind::Video);
        self.forward(
            at,
            Forward::Serve { room, layer: layer(of), to: node(to), flow: Flow(flow), kind, in_stream: false },
        );
    }

    pub fn relay(&mut self, at: usize, to: usize, of: u8, flow: u32, in_stream: bool) {
        let kind = MediaKind::Video;
        self.forward(at, Forward::Relay { layer: layer(of), to: node(to), flow: Flow(flow), kind, in_stream });
    }

    pub fn stop_relay(&mut self, at: usize, to: usize, of: u8, flow: u32) {
        self.forward(at, Forward::StopRelay { layer: layer(of), to: node(to), flow: Flow(flow) });
    }

    /// A worker of `at` sends a packet to a peer.
    pub fn send(&mut self, at: usize, to: usize, flow: u32, class: Class, packet: Packet) {
        self.input(at, Input::Send(Send::Packet { to: node(to), flow: Flow(flow), class, packet }));
    }

    pub fn send_report(&mut self, at: usize, to: usize, flow: u32, ntp: u64) {
        self.input(at, Input::Send(Send::SenderReport { to: node(to), flow: Flow(flow), ntp, rtp: 1 }));
    }

    pub fn ask_keyframe(&mut self, at: usize, of: u8) {
        self.input(at, Input::Send(Send::Keyframe { layer: layer(of) }));
    }

    /// What the worker of a node got since the last call.
    pub fn take_received(&mut self, at: usize) -> Vec<Received> {
        self.nodes[at].received.drain(..).map(|(_, _, received)| received).collect()
    }

    /// RTP numbers that the worker of a node got since the last call, less the cycle that is added, in their order.
    pub fn take_numbers(&mut self, at: usize) -> Vec<u64> {
        let of = |received: Received| match received {
            Received::Packet { packet, .. } => Some(packet.sequence - 65_536),
            _ => None,
        };
        self.take_received(at).into_iter().filter_map(of).collect()
    }

    /// When the worker of a node got its packets.
    pub fn arrivals(&self, at: usize) -> Vec<Instant> {
        self.nodes[at].received.iter().map(|(_, at, _)| *at).collect()
    }

    /// Flows of a node whose first packet came since the last call.
    pub fn take_flowing(&mut self, at: usize) -> Vec<(NodeId, Flow)> {
        std::mem::take(&mut self.nodes[at].flowing)
    }

    pub fn run_for(&mut self, span: Duration) {
        let until = self.now + span;
        loop {
            let wake = self.nodes.iter().map(|node| node.wake_at).min().unwrap_or(until);
            let arrival = self.flying.keys().next().map(|(at, _)| *at);
            let next = arrival.map_or(wake, |at| at.min(wake));
            if next > until {
                break;
            }
            self.now = self.now.max(next);
            if arrival.is_some_and(|at| at <= self.now) {
                let (_, (from, to, datagram)) = self.flying.pop_first().unwrap();
                let input = link::Input::Datagram(datagram.into());
                self.input(to, Input::Link { peer: node(from), input });
                continue;
            }
            for at in 0..self.nodes.len() {
                if self.nodes[at].wake_at <= self.now {
                    self.input(at, Input::Timeout);
                }
            }
        }
        self.now = until;
    }

    fn input(&mut self, at: usize, input: Input) {
        self.nodes[at].links.handle_input(self.now, input);
        loop {
            let it = &mut self.nodes[at];
            match it.links.poll_output() {
                Output::Transmit { to, datagram } => self.fly(at, to, datagram.to_bytes()),
                Output::Received { sink, received } => it.received.push((sink, self.now, received)),
                Output::Flowing { from, flow } => it.flowing.push((from, flow)),
                Output::Allow { .. } | Output::Hearing { .. } | Output::Counts(_) => {}
                Output::Timeout(wake_at) => {
                    it.wake_at = wake_at;
                    return;
                }
            }
        }
    }

    fn fly(&mut self, from: usize, to: NodeId, datagram: Bytes) {
        let to = (0..self.nodes.len()).find(|at| node(*at) == to).expect("a node of the net");
        let (delay, loss) = self.paths[&(from, to)];
        if !self.rng.random_bool(loss) {
            self.order += 1;
            self.flying.insert((self.now + delay, self.order), (from, to, datagram));
        }
    }
}

fn room() -> origo_auth::RoomKey {
    origo_auth::RoomKey::new("demo", "daily")
}
