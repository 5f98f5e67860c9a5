//! The core of a link: packets of workers become datagrams, datagrams of the peer become packets, once each.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::counters::{Dropped, IN, OUT, Stats};
use super::keyframe::{Downstream, Upstream};
use super::message::{self, Message};
use super::receiver::{Receiver, nacks_of, numbers_of};
use super::report::{EVERY, Reports};
use super::ring::Ring;
use super::sequence::extend;
use super::{Class, Flow, Packet, Received, datagram};
use crate::metric::LinkMetric;
use crate::wire::{Malformed, varint};
use crate::{MediaKind, TrackLayer};

/// The classes that carry packets, in the order of rings and receivers.
const CLASSES: [Class; 3] = [Class::Audio, Class::Base, Class::Enhancement];
/// A repaired packet of sound is of no use when it is older.
const AUDIO_DEADLINE: Duration = Duration::from_millis(120);
/// The same for a picture.
const VIDEO_DEADLINE: Duration = Duration::from_millis(300);
/// Longest time from a packet's arrival at this node to its turn on the link. Nothing holds packets back on purpose
/// yet, so only a stall of the machine makes one this old.
const EXPIRES: Duration = Duration::from_millis(250);
/// Arena that datagrams are cut from: one allocation for about fifty.
const ARENA_BYTES: usize = 64 << 10;
/// With nothing to do the link asks to be woken this far ahead.
const IDLE: Duration = Duration::from_secs(3600);

/// What a link takes in.
#[derive(Clone, Debug)]
pub enum Input {
    /// A new media connection to the peer; hop numbers begin anew on both sides.
    Up {
        /// A first guess of the round trip.
        rtt: Duration,
        /// What the operator says that the path carries, in bits per second with everything included. Without it the
        /// link begins with what worked on this pair lately, or low.
        rate_bps: Option<u64>,
    },
    /// The media connection is gone. Flows stay.
    Down,
    /// Send a packet under the peer's flow number.
    Packet {
        /// The peer's number for the layer.
        flow: Flow,
        /// How urgent.
        class: Class,
        /// What to send.
        packet: Packet,
    },
    /// Local viewers need a keyframe of a layer that comes over this link.
    Keyframe(TrackLayer),
    /// Tell the peer how a publisher's clock stands.
    SenderReport {
        /// The peer's number for the layer.
        flow: Flow,
        /// NTP time (UQ32.32).
        ntp: u64,
        /// The RTP timestamp that goes with it.
        rtp: u32,
    },
    /// A datagram of the peer.
    Datagram(Bytes),
    /// So many bytes of what was given with [`Output::Transmit`] have not left QUIC's queue.
    Queued(usize),
    /// Packets under this number are that layer.
    Receive {
        /// Our number.
        flow: Flow,
        /// The layer.
        layer: TrackLayer,
        /// Given back with what comes: whose packets these are.
        sink: usize,
    },
    /// The number means nothing any more.
    StopReceive(Flow),
    /// The peer takes that layer under its number.
    Serve {
        /// The peer's number.
        flow: Flow,
        /// The layer.
        layer: TrackLayer,
        /// Sound or picture.
        kind: MediaKind,
        /// Given back with keyframe requests.
        sink: usize,
    },
    /// The peer takes it no longer.
    StopServe(Flow),
    /// The instant of the last [`Output::Timeout`] has come.
    Timeout,
}

/// What a link asks for. Poll until `Timeout`.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send this datagram on the media connection.
    Transmit(Bytes),
    /// What QUIC's window is to allow has changed.
    Allow {
        /// Bits per second, everything included.
        bps: u64,
        /// Nothing was heard of the peer for a while: QUIC must not hold back the little that is sent meanwhile.
        silent: bool,
    },
    /// For the worker that `sink` stands for.
    Received {
        /// As given with [`Input::Receive`] or [`Input::Serve`].
        sink: usize,
        /// The class of a packet; [`Class::Link`] for everything else.
        class: Class,
        /// Our number (a packet, a sender report) or the peer's (a keyframe request).
        flow: Flow,
        /// What came.
        received: Received,
    },
    /// Nothing more to do until then.
    Timeout(Instant),
}

/// A layer that comes over this link.
#[derive(Debug)]
struct Receiving {
    layer: TrackLayer,
    sink: usize,
    /// Highest RTP number so far, extended.
    highest: Option<u64>,
    keyframes: Upstream,
}

/// A layer that goes over this link.
#[derive(Debug)]
struct Serving {
    layer: TrackLayer,
    sink: usize,
    keyframes: Downstream,
}

/// One link. Handle one input, then poll until [`Output::Timeout`].
#[derive(Debug)]
pub struct Link {
    now: Instant,
    up: Option<Hop>,
    receiving: BTreeMap<Flow, Receiving>,
    flows_by_layer: BTreeMap<TrackLayer, Flow>,
    /// Flows of which a keyframe is wanted.
    keyframes_wanted: BTreeSet<Flow>,
    serving: BTreeMap<Flow, Serving>,
    arena: BytesMut,
    outputs: VecDeque<Output>,
    stats: Stats,
    dropped: Dropped,
}

/// What belongs to one media connection.
#[derive(Debug)]
struct Hop {
    rings: [Ring; 3],
    retransmissions: u16,
    receivers: [Receiver; 3],
    received_again: Receiver,
    reports: Reports,
    report_at: Instant,
}

impl Link {
    /// A link without a connection.
    pub fn new(now: Instant) -> Self {
        Self {
            now,
            up: None,
            receiving: BTreeMap::new(),
            flows_by_layer: BTreeMap::new(),
            keyframes_wanted: BTreeSet::new(),
            serving: BTreeMap::new(),
            arena: BytesMut::new(),
            outputs: VecDeque::new(),
            stats: Stats::default(),
            dropped: Dropped::default(),
        }
    }

    /// Takes one input. Afterwards poll until [`Output::Timeout`].
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        self.now = self.now.max(now);
        match input {
            Input::Up { rtt, rate_bps: _ } => self.up = Some(Hop::new(self.now, rtt)),
            Input::Down => self.up = None,
            Input::Packet { flow, class, packet } => self.send_packet(flow, class, &packet),
            Input::Keyframe(layer) => self.want_keyframe(layer),
            Input::SenderReport { flow, ntp, rtp } => self.send_sender_report(flow, ntp, rtp),
            Input::Datagram(datagram) => {
                if self.handle_datagram(&datagram).is_err() {
                    self.dropped.malformed += 1;
                }
            }
            Input::Receive { flow, layer, sink } => self.receive(flow, layer, sink),
            Input::StopReceive(flow) => self.stop_receive(flow),
            Input::Serve { flow, layer, kind: _, sink } => {
                self.serving.insert(flow, Serving { layer, sink, keyframes: Downstream::default() });
            }
            Input::StopServe(flow) => {
                self.serving.remove(&flow);
            }
            Input::Queued(_) | Input::Timeout => {}
        }
        self.stats.copies = self.serving.len() as u64;
        self.stats.receiving = self.receiving.len() as u64;
        self.do_due();
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Output {
        match self.outputs.pop_front() {
            Some(output) => output,
            None => Output::Timeout(self.next_timeout()),
        }
    }

    /// What was sent and received so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// What was dropped so far.
    pub fn dropped(&self) -> &Dropped {
        &self.dropped
    }

    /// The smoothed round trip to the peer, while there is a connection.
    pub fn rtt(&self) -> Option<Duration> {
        self.up.as_ref().map(|hop| hop.reports.rtt())
    }

    /// What this end measures of the link, while there is a connection.
    pub fn metric(&self) -> Option<LinkMetric> {
        Some(LinkMetric { rtt: self.rtt()?, free_bps: u64::MAX, ..LinkMetric::default() })
    }

    fn send_packet(&mut self, flow: Flow, class: Class, packet: &Packet) {
        let Some(hop) = &mut self.up else {
            self.dropped.link_down += 1;
            return;
        };
        let Some(place) = place_of(class).filter(|_| self.serving.contains_key(&flow)) else {
            self.dropped.unknown_flow += 1;
            return;
        };
        if self.now.saturating_duration_since(packet.arrived) > EXPIRES {
            self.dropped.expired += 1;
            return;
        }
        reserve(&mut self.arena);
        let ring = &mut hop.rings[place];
        let sent = datagram::encode(&mut self.arena, flow, class, ring.next() as u16, packet);
        ring.push(self.now, sent.clone());
        self.stats.count_packet(OUT, class, false, sent.len());
        self.outputs.push_back(Output::Transmit(sent));
    }

    fn send_message(&mut self, message: &Message) {
        reserve(&mut self.arena);
        let sent = message::encode(&mut self.arena, message);
        self.stats.count_packet(OUT, Class::Link, false, sent.len());
        self.outputs.push_back(Output::Transmit(sent));
    }

    fn send_sender_report(&mut self, flow: Flow, ntp: u64, rtp: u32) {
        if self.up.is_some() && self.serving.contains_key(&flow) {
            self.send_message(&Message::SenderReport { flow, ntp, rtp });
        }
    }

    fn receive(&mut self, flow: Flow, layer: TrackLayer, sink: usize) {
        self.flows_by_layer.insert(layer, flow);
        self.receiving.insert(flow, Receiving { layer, sink, highest: None, keyframes: Upstream::default() });
    }

    fn stop_receive(&mut self, flow: Flow) {
        let Some(receiving) = self.receiving.remove(&flow) else { return };
        self.keyframes_wanted.remove(&flow);
        if self.flows_by_layer.get(&receiving.layer) == Some(&flow) {
            self.flows_by_layer.remove(&receiving.layer);
        }
    }

    fn want_keyframe(&mut self, layer: TrackLayer) {
        match self.flows_by_layer.get(&layer) {
            Some(flow) => {
                self.keyframes_wanted.insert(*flow);
            }
            None => self.dropped.unknown_flow += 1,
        }
    }

    fn handle_datagram(&mut self, datagram: &[u8]) -> Result<(), Malformed> {
        let mut rest = datagram;
        let flow = varint::read(&mut rest).ok_or(Malformed("flow"))?;
        let flow = u32::try_from(flow).map(Flow).map_err(|_| Malformed("flow"))?;
        if flow.0 != 0 {
            return self.handle_packet(flow, rest, datagram.len());
        }
        self.stats.count_packet(IN, Class::Link, false, datagram.len());
        while !rest.is_empty() {
            match message::decode(&mut rest)? {
                Some(message) => self.handle_message(message),
                None => self.dropped.unknown_message += 1,
            }
        }
        Ok(())
    }

    fn handle_packet(&mut self, flow: Flow, mut rest: &[u8], length: usize) -> Result<(), Malformed> {
        let (head, flags) = datagram::decode_head(flow, &mut rest)?;
        let Some(hop) = &mut self.up else { return Ok(()) };
        let Some(place) = place_of(head.class) else { return Ok(()) };
        self.stats.count_packet(IN, head.class, head.original.is_some(), length);
        if head.original.is_some() {
            hop.received_again.count(head.hop_seq);
        }
        if !hop.receivers[place].accept(self.now, head.original.unwrap_or(head.hop_seq)) {
            self.dropped.duplicate += 1;
            return Ok(());
        }
        let Some(receiving) = self.receiving.get_mut(&flow) else {
            self.dropped.unknown_flow += 1;
            return Ok(());
        };
        let mut packet = datagram::decode_packet(flags, &mut rest, self.now)?;
        packet.sequence = receiving.extend(packet.sequence as u16);
        if packet.key {
            self.keyframes_wanted.remove(&flow);
        }
        let received = Received::Packet { layer: receiving.layer, packet };
        self.outputs.push_back(Output::Received { sink: receiving.sink, class: head.class, flow, received });
        Ok(())
    }

    fn handle_message(&mut self, message: Message) {
        match message {
            Message::Nack { class, first, bitmap } => self.send_again(class, first, &bitmap),
            Message::Report(report) => {
                if let Some(hop) = &mut self.up {
                    hop.reports.take(self.now, &report);
                }
            }
            Message::KeyRequest(flows) => flows.into_iter().for_each(|flow| self.pass_keyframe_request(flow)),
            Message::SenderReport { flow, ntp, rtp } => match self.receiving.get(&flow) {
                Some(receiving) => {
                    let received = Received::SenderReport { layer: receiving.layer, ntp, rtp };
                    self.outputs.push_back(Output::Received {
                        sink: receiving.sink,
                        class: Class::Link,
                        flow,
                        received,
                    });
                }
                None => self.dropped.unknown_flow += 1,
            },
        }
    }

    fn send_again(&mut self, class: u8, first: u16, bitmap: &[u8]) {
        self.stats.nacks[IN] += 1;
        let Some(hop) = &mut self.up else { return };
        let Some(place) = CLASSES.iter().position(|other| *other as u8 == class) else { return };
        for number in numbers_of(first, bitmap) {
            let age_max = deadline_of(CLASSES[place]);
            let Some(sent) = hop.rings[place].take_again(self.now, number, age_max) else { continue };
            reserve(&mut self.arena);
            let again = datagram::encode_again(&mut self.arena, &sent, hop.retransmissions);
            hop.retransmissions = hop.retransmissions.wrapping_add(1);
            self.stats.count_packet(OUT, CLASSES[place], true, again.len());
            self.outputs.push_back(Output::Transmit(again));
        }
    }

    fn pass_keyframe_request(&mut self, flow: Flow) {
        self.stats.keyframe_requests[IN] += 1;
        let Some(serving) = self.serving.get_mut(&flow) else {
            self.dropped.unknown_flow += 1;
            return;
        };
        if !serving.keyframes.pass(self.now) {
            self.dropped.keyframe_over_limit += 1;
            return;
        }
        let received = Received::Keyframe { layer: serving.layer };
        self.outputs.push_back(Output::Received { sink: serving.sink, class: Class::Link, flow, received });
    }

    /// Sends what time has made due: repair requests, keyframe requests, the report.
    fn do_due(&mut self) {
        if self.up.is_none() {
            return;
        }
        self.ask_for_missing();
        self.ask_for_keyframes();
        self.report();
    }

    fn ask_for_missing(&mut self) {
        for (place, class) in CLASSES.into_iter().enumerate() {
            let Some(hop) = &mut self.up else { return };
            let receiver = &mut hop.receivers[place];
            if receiver.next_timeout().is_none_or(|at| at > self.now) {
                continue;
            }
            let (due, given_up) = receiver.take_due(self.now, hop.reports.rtt(), deadline_of(class));
            self.dropped.lost += given_up;
            for nack in nacks_of(class as u8, &due) {
                self.stats.nacks[OUT] += 1;
                self.send_message(&nack);
            }
        }
    }

    fn ask_for_keyframes(&mut self) {
        let Some(rtt) = self.rtt() else { return };
        let (now, receiving) = (self.now, &mut self.receiving);
        let is_due = |flow: &&Flow| receiving.get_mut(*flow).is_some_and(|it| it.keyframes.take_due(now, rtt));
        let due: Vec<Flow> = self.keyframes_wanted.iter().filter(is_due).copied().collect();
        if !due.is_empty() {
            self.keyframes_wanted.retain(|flow| !due.contains(flow));
            self.stats.keyframe_requests[OUT] += due.len() as u64;
            self.send_message(&Message::KeyRequest(due));
        }
    }

    fn report(&mut self) {
        let Some(hop) = self.up.as_mut().filter(|hop| hop.report_at <= self.now) else { return };
        // From now, not from when it was due: after a stall one report says all.
        hop.report_at = self.now + EVERY;
        let [audio, base, enhancement] = &hop.receivers;
        let classes = [audio.report(), base.report(), enhancement.report(), hop.received_again.report()];
        let report = hop.reports.make(self.now, classes);
        self.send_message(&Message::Report(report));
    }

    fn next_timeout(&self) -> Instant {
        let Some(hop) = &self.up else { return self.now + IDLE };
        let missing = hop.receivers.iter().filter_map(Receiver::next_timeout);
        let rtt = hop.reports.rtt();
        let wanted = self.keyframes_wanted.iter().filter_map(|flow| self.receiving.get(flow));
        let keyframes = wanted.map(|receiving| receiving.keyframes.due_at(self.now, rtt));
        missing.chain(keyframes).fold(hop.report_at, Instant::min)
    }
}

impl Hop {
    fn new(now: Instant, rtt: Duration) -> Self {
        Self {
            rings: Default::default(),
            retransmissions: 0,
            receivers: Default::default(),
            received_again: Receiver::default(),
            reports: Reports::new(now, rtt),
            report_at: now,
        }
    }
}

impl Receiving {
    /// The full RTP number. The first counts from the second cycle, so that what is a little older does not fall
    /// below 0.
    fn extend(&mut self, low: u16) -> u64 {
        let reference = self.highest.unwrap_or((1 << 16) | u64::from(low));
        let number = extend(reference, low).unwrap_or(reference);
        self.highest = Some(reference.max(number));
        number
    }
}

fn place_of(class: Class) -> Option<usize> {
    CLASSES.iter().position(|other| *other == class)
}

fn deadline_of(class: Class) -> Duration {
    if class == Class::Audio { AUDIO_DEADLINE } else { VIDEO_DEADLINE }
}

/// Keeps the arena's next datagram from allocating on its own.
fn reserve(arena: &mut BytesMut) {
    const DATAGRAM: usize = 1500;
    if arena.capacity() < DATAGRAM {
        *arena = BytesMut::with_capacity(ARENA_BYTES);
    }
}
