//! The core of a link: packets of workers become datagrams, datagrams of the peer become packets, once each.

mod arrival;
mod intake;
mod serving;
mod streams;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use origo_auth::TrackSid;

pub(crate) use self::arrival::Came;
use super::counters::{Dropped, OUT, Stats};
use super::flows::Flows;
use super::hop::{CLASSES, Hop, Worked, place_of};
use super::keyframe::{Downstream, Upstream};
use super::message::{self, Message};
use super::scheduler::{Turn, WRAP_BYTES};
use super::sequence::extend;
use super::shedding::{self, Load, Room};
use super::stream::Stream;
use super::{Class, Datagram, Flow, Hearing, Input, Output, Packet, datagram};
use crate::TrackLayer;
use crate::metric::LinkMetric;
use crate::wire::{Malformed, varint};

/// Longest time from a packet's arrival at this node to the link: an older one stood in a stalled worker.
const EXPIRES: Duration = Duration::from_millis(250);
/// Arena that link messages are cut from: one allocation for about fifty.
const ARENA_BYTES: usize = 4 << 10;
/// A link is woken for its reports at least every 50 ms; when it was not for this long, the node slept.
const SLEPT: Duration = Duration::from_millis(100);
/// With nothing to do the link asks to be woken this far ahead.
const IDLE: Duration = Duration::from_secs(3600);

/// A layer that comes over this link.
#[derive(Debug)]
#[repr(align(64))]
struct Receiving {
    layer: TrackLayer,
    sink: usize,
    /// Highest RTP number so far, extended.
    highest: Option<u64>,
    keyframes: Upstream,
}

/// A layer that goes over this link. What each packet needs is the second line of the processor's cache.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Serving {
    keyframes: Downstream,
    pub(super) load: Load,
    sink: usize,
    /// It is one of several layers within one stream.
    in_stream: bool,
    pub(super) layer: TrackLayer,
}

/// One link. Handle one input, then poll until [`Output::Timeout`].
#[derive(Debug)]
pub struct Link {
    now: Instant,
    up: Option<Hop>,
    worked: Option<Worked>,
    receiving: Flows<Receiving>,
    flows_by_layer: BTreeMap<TrackLayer, Flow>,
    /// Flows of which a keyframe is wanted.
    keyframes_wanted: BTreeSet<Flow>,
    serving: Flows<Serving>,
    /// Streams whose layers are among them.
    streams: BTreeMap<TrackSid, Stream>,
    reviewed_at: Instant,
    /// As it was last told.
    hearing: Hearing,
    /// Until then a plain packet, sent or received, makes nothing due and puts nothing off.
    plain_until: Option<Instant>,
    arena: BytesMut,
    outputs: VecDeque<Output>,
    stats: Stats,
    dropped: Dropped,
}

impl Link {
    /// A link without a connection.
    pub fn new(now: Instant) -> Self {
        Self {
            now,
            up: None,
            worked: None,
            receiving: Flows::default(),
            flows_by_layer: BTreeMap::new(),
            keyframes_wanted: BTreeSet::new(),
            serving: Flows::default(),
            streams: BTreeMap::new(),
            reviewed_at: now,
            hearing: Hearing::Well,
            plain_until: None,
            arena: BytesMut::new(),
            outputs: VecDeque::new(),
            stats: Stats::default(),
            dropped: Dropped::default(),
        }
    }

    /// Takes one input. Afterwards poll until [`Output::Timeout`].
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::Packet { flow, class, packet } => {
                let plain = self.send(now, flow, class, &packet);
                self.outputs.extend(plain.map(Output::Transmit));
            }
            Input::Datagram(datagram) => {
                let plain = self.take_datagram(now, &datagram);
                self.outputs.extend(plain.map(Output::from));
            }
            input => {
                self.pass_time(now);
                self.change(input);
                self.finish();
            }
        }
    }

    /// What [`Input::Packet`] does. If nothing else comes of it than a datagram, and the link wants to be woken when it
    /// wanted to be before, that is given back; else poll.
    pub(crate) fn send(&mut self, now: Instant, flow: Flow, class: Class, packet: &Packet) -> Option<Datagram> {
        self.pass_time(now);
        // What it gives is moved nowhere: a copy of what was just written in parts waits for all that was written before.
        if self.is_plain() {
            let plain = self.send_packet(flow, class, packet);
            if plain.is_some() {
                debug_assert!(self.is_plain(), "a plain packet changed what is due");
                return plain;
            }
        } else {
            let plain = self.send_packet(flow, class, packet);
            self.outputs.extend(plain.map(Output::Transmit));
        }
        self.finish();
        None
    }

    /// What [`Input::Datagram`] does. If nothing else comes of it than a packet, and the link wants to be woken when it
    /// wanted to be before, that is given back; else poll.
    pub(crate) fn take_datagram(&mut self, now: Instant, datagram: &Datagram) -> Option<Came> {
        self.pass_time(now);
        let came = self.handle_datagram(datagram);
        self.dropped.malformed += u64::from(came.is_err());
        let plain = came.unwrap_or_default();
        if plain.is_some() && self.is_plain() {
            return plain;
        }
        self.outputs.extend(plain.map(Output::from));
        self.finish();
        None
    }

    /// Exchanges the queue of what is to be done for another: many links that are asked one after the other can share
    /// one, which the processor's cache holds.
    pub(crate) fn exchange_queue(&mut self, queue: &mut VecDeque<Output>) {
        std::mem::swap(&mut self.outputs, queue);
    }

    fn pass_time(&mut self, now: Instant) {
        self.forgive_sleep(now);
        self.now = self.now.max(now);
    }

    /// Whether nothing is due after a plain packet.
    fn is_plain(&self) -> bool {
        let is_plain = self.plain_until.is_some_and(|until| self.now < until);
        debug_assert!(
            !is_plain || self.plain_until == self.up.as_ref().map(Hop::due_at),
            "a plain packet changed what is due"
        );
        is_plain
    }

    /// Does what is due.
    fn finish(&mut self) {
        self.plain_until = None;
        self.do_due();
    }

    fn change(&mut self, input: Input) {
        match input {
            Input::Up { rtt, rate_bps } => {
                self.down();
                self.up = Some(Hop::new(self.now, rtt, rate_bps, self.worked));
            }
            Input::Down => {
                self.hear(Some(Hearing::Gone));
                self.down();
            }
            Input::Keyframe(layer) => self.want_keyframe(layer),
            Input::SenderReport { flow, ntp, rtp } => self.send_sender_report(flow, ntp, rtp),
            Input::Queued(bytes) => {
                if let Some(hop) = &mut self.up {
                    hop.scheduler.set_queued(bytes);
                }
            }
            Input::Receive { flow, layer, sink } => self.receive(flow, layer, sink),
            Input::StopReceive(flow) => self.stop_receive(flow),
            Input::Serve { flow, layer, kind: _, in_stream, sink } => self.serve(flow, layer, in_stream, sink),
            Input::StopServe(flow) => self.stop_serve(flow),
            Input::Packet { .. } | Input::Datagram(_) | Input::Timeout => {}
        }
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Output {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        // The queue begins again at its first place, which the processor's cache still holds.
        self.outputs.clear();
        Output::Timeout(self.next_timeout())
    }

    /// What was sent and received so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// What was dropped so far.
    pub fn dropped(&self) -> &Dropped {
        &self.dropped
    }

    /// Whose a flow is that goes over this link, as [`Input::Serve`] says.
    pub(crate) fn sink_of(&self, flow: Flow) -> Option<usize> {
        self.serving.get(flow).map(|serving| serving.sink)
    }

    /// The smoothed round trip to the peer, while there is a connection.
    pub fn rtt(&self) -> Option<Duration> {
        self.up.as_ref().map(|hop| hop.reports.rtt())
    }

    /// What this end measures of the link, while there is a connection.
    pub fn metric(&self) -> Option<LinkMetric> {
        self.up.as_ref().map(Hop::metric)
    }

    /// Bits per second that the link may send, everything included, while there is a connection.
    pub fn allowed_bps(&self) -> Option<u64> {
        self.up.as_ref().map(|hop| hop.estimator.allowed_bps() as u64)
    }

    fn down(&mut self) {
        if let Some(hop) = self.up.take() {
            self.worked = Some(hop.worked(self.now));
        }
    }

    /// What came while this node slept has not been looked at yet: that is no silence of the peer.
    fn forgive_sleep(&mut self, now: Instant) {
        // A report is due sooner than that.
        if self.plain_until.is_some_and(|until| now < until) {
            return;
        }
        let slept = now.saturating_duration_since(self.now);
        if let Some(hop) = self.up.as_mut().filter(|_| slept > SLEPT) {
            hop.path.forgive(slept);
        }
    }

    /// Tells how the peer is heard, if that is new.
    fn hear(&mut self, hearing: Option<Hearing>) {
        let Some(hearing) = hearing.filter(|hearing| *hearing != self.hearing) else { return };
        self.hearing = hearing;
        let quiet = self.up.as_ref().map(|hop| hop.path.quiet(self.now)).unwrap_or_default();
        self.outputs.push_back(Output::Hearing { hearing, quiet });
    }

    fn tell_hearing(&mut self) {
        let hearing = self.up.as_ref().and_then(|hop| hop.path.hearing(self.now, hop.reports.rtt()));
        self.hear(hearing);
    }

    /// Gives the datagram if nothing else has come of it than that it goes.
    fn send_packet(&mut self, flow: Flow, class: Class, packet: &Packet) -> Option<Datagram> {
        let Some(hop) = &mut self.up else {
            self.dropped.link_down += 1;
            return None;
        };
        let serving = self.serving.get_mut(flow);
        let (Some(place), Some(serving)) = (place_of(class), serving) else {
            self.dropped.unknown_flow += 1;
            return None;
        };
        if packet.arrived < self.now && packet.arrived + EXPIRES < self.now {
            self.dropped.expired += 1;
            return None;
        }
        let bytes = packet.payload.len() + WRAP_BYTES;
        let goes = serving.load.pass(self.now, class, bytes, packet);
        if !goes {
            self.dropped.shed[place] += 1;
            hop.scheduler.want(self.now, bytes);
        }
        if serving.in_stream {
            let layer = serving.layer;
            self.send_of_stream(layer, flow, place, packet.clone(), goes);
            return None;
        }
        if !goes || !hop.scheduler.offer(self.now, place, flow, packet) {
            return None;
        }
        if !hop.encoder.is_idle() {
            self.transmit(place, flow, packet);
            return None;
        }
        let sent = hop.encode(self.now, place, flow, packet);
        self.stats.count_packet(OUT, CLASSES[place], false, sent.len());
        Some(sent)
    }

    /// A packet is sent now or when its turn comes.
    fn offer(&mut self, place: usize, flow: Flow, packet: &Packet) {
        if self.up.as_mut().is_some_and(|hop| hop.scheduler.offer(self.now, place, flow, packet)) {
            self.transmit(place, flow, packet);
        }
    }

    /// A packet's turn has come.
    fn transmit(&mut self, place: usize, flow: Flow, packet: &Packet) {
        let Some(hop) = &mut self.up else { return };
        let sent = hop.encode(self.now, place, flow, packet);
        self.stats.count_packet(OUT, CLASSES[place], false, sent.len());
        self.outputs.push_back(Output::Transmit(sent));
        self.close_block();
    }

    fn close_block(&mut self) {
        if let Some(parity) = self.up.as_mut().and_then(|hop| hop.encoder.take_due(self.now)) {
            self.stats.parities[OUT] += 1;
            self.send_message(&Message::Parity(parity));
        }
    }

    fn transmit_again(&mut self, place: usize, sent: &Datagram) {
        let Some(hop) = &mut self.up else { return };
        let again = datagram::encode_again(sent, hop.retransmissions);
        hop.retransmissions = hop.retransmissions.wrapping_add(1);
        hop.scheduler.count_sent(self.now, Some(place), again.len());
        self.stats.count_packet(OUT, CLASSES[place], true, again.len());
        self.outputs.push_back(Output::Transmit(again));
    }

    fn send_message(&mut self, message: &Message) {
        let Some(hop) = &mut self.up else { return };
        reserve(&mut self.arena);
        let sent = message::encode(&mut self.arena, message);
        hop.scheduler.want(self.now, sent.len() + WRAP_BYTES);
        hop.scheduler.count_sent(self.now, None, sent.len());
        self.stats.count_packet(OUT, Class::Link, false, sent.len());
        self.outputs.push_back(Output::Transmit(sent.into()));
    }

    fn send_sender_report(&mut self, flow: Flow, ntp: u64, rtp: u32) {
        if self.serving.contains(flow) {
            self.send_message(&Message::SenderReport { flow, ntp, rtp });
        }
    }

    fn do_due(&mut self) {
        if self.up.is_none() {
            return;
        }
        self.tell_hearing();
        self.tell_allowed();
        self.drain();
        self.close_block();
        self.ask_for_repairs();
        if !self.keyframes_wanted.is_empty() {
            self.ask_for_keyframes();
        }
        self.report();
    }

    fn tell_allowed(&mut self) {
        if let Some((bps, silent)) = self.up.as_mut().and_then(|hop| hop.take_allowed(self.now)) {
            self.outputs.push_back(Output::Allow { bps, silent });
        }
    }

    /// What waits, as far as this tick goes.
    fn drain(&mut self) {
        if !self.up.as_mut().is_some_and(|hop| hop.scheduler.begin_tick(self.now)) {
            return;
        }
        while let Some(turn) = self.up.as_mut().and_then(|hop| hop.scheduler.next(self.now)) {
            match turn {
                Turn::First(place, flow, packet) => self.transmit(place, flow, &packet),
                Turn::Again(place, sent) => self.transmit_again(place, &sent),
            }
        }
        let Some(hop) = &mut self.up else { return };
        hop.scheduler.end_tick(self.now);
        for (shed, expired) in self.dropped.shed.iter_mut().zip(hop.scheduler.take_expired()) {
            *shed += expired;
        }
        let expired = hop.scheduler.take_expired_packets();
        self.tell_expired(expired);
    }

    fn ask_for_repairs(&mut self) {
        let Some(hop) = self.up.as_mut().filter(|hop| hop.has_nacks(self.now)) else { return };
        let (nacks, given_up) = hop.take_nacks(self.now);
        self.dropped.lost += given_up;
        for nack in nacks {
            self.stats.nacks[OUT] += 1;
            self.send_message(&nack);
        }
    }

    fn report(&mut self) {
        let Some(hop) = self.up.as_mut().filter(|hop| hop.report_at <= self.now) else { return };
        let report = hop.report(self.now);
        self.stats.missed = hop.missed_total().into();
        self.send_message(&report);
        self.review();
    }

    /// Whether layers must give way, or may come back.
    fn review(&mut self) {
        let Some(hop) = &mut self.up else { return };
        let span = self.now - std::mem::replace(&mut self.reviewed_at, self.now);
        let room = Room {
            allowed_bps: hop.estimator.allowed_bps(),
            is_bounded: hop.estimator.is_bounded(),
            is_pressed: hop.scheduler.is_pressed(self.now),
        };
        let changes = shedding::review(self.now, span, room, &mut self.serving);
        hop.next_bps = changes.next_bps;
        for flow in changes.away {
            let removed = self.remove_waiting(flow);
            for (shed, removed) in self.dropped.shed.iter_mut().zip(&removed) {
                *shed += removed.len() as u64;
            }
            self.tell_shed(flow, removed.into_iter().flatten().collect());
        }
        for flow in changes.back {
            self.ask_publisher(flow);
        }
    }

    fn next_timeout(&mut self) -> Instant {
        if let Some(until) = self.plain_until {
            return until;
        }
        let Some(hop) = &self.up else { return self.now + IDLE };
        let (due, rtt) = (hop.due_at(), hop.reports.rtt());
        let silent = hop.path.silent_before(due, rtt);
        if silent.is_none() && self.keyframes_wanted.is_empty() && self.hearing == Hearing::Well {
            self.plain_until = Some(due);
            return due;
        }
        let first = match self.hearing {
            Hearing::Suspect => silent.unwrap_or(due).min(hop.path.limits(rtt).1),
            Hearing::Well | Hearing::Gone => silent.unwrap_or(due),
        };
        let wanted = self.keyframes_wanted.iter().filter_map(|flow| self.receiving.get(*flow));
        let keyframes = wanted.map(|receiving| receiving.keyframes.due_at(self.now, rtt));
        keyframes.fold(first, Instant::min)
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

fn read_flow(bytes: &mut &[u8]) -> Result<Flow, Malformed> {
    let flow = varint::read(bytes).ok_or(Malformed("flow"))?;
    u32::try_from(flow).map(Flow).map_err(|_| Malformed("flow"))
}

/// Keeps the arena's next message from allocating on its own.
fn reserve(arena: &mut BytesMut) {
    const MESSAGE: usize = 300;
    if arena.capacity() < MESSAGE {
        *arena = BytesMut::with_capacity(ARENA_BYTES);
    }
}
