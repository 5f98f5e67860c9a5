//! The links of a node as one core: datagrams and workers' packets in, datagrams and packets for workers out.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use origo_auth::{NodeId, TrackSid};

use super::counters::Counters;
use super::layer::{Child, Feed, Incoming, LINGERS, Layer, Outgoing};
use super::refill::Pending;
use super::slab::Slab;
use super::stream::Stream;
use super::wakes::Wakes;
use super::{Input, Output};
use crate::link::{self, Came, Class, Datagram, Flow, Link, Packet, Received, Send};
use crate::metric::LinkMetric;
use crate::{Places, TrackLayer};

/// How often it is told what passes.
const COUNTS_EVERY: Duration = Duration::from_millis(250);
/// With no link there is nothing to wake for.
const IDLE: Duration = Duration::from_secs(3600);

/// All links of one node. Handle one input, then poll until [`Output::Timeout`].
#[derive(Debug)]
pub struct Links {
    /// Where the clock of what is kept begins.
    pub(super) begun: Instant,
    pub(super) now: Instant,
    /// The same by that clock, ns.
    pub(super) clock: u64,
    pub(super) links: Vec<Peer>,
    wakes: Wakes,
    /// When the next thing is due, unless it has to be looked for: plain packets change nothing of it.
    due_at: Option<Instant>,
    links_by_peer: Places,
    /// What links have to say, while they are asked: one for each that is asked within another.
    queues: Vec<VecDeque<link::Output>>,
    pub(super) layers: Slab<Layer>,
    pub(super) layers_by_id: BTreeMap<TrackLayer, usize>,
    /// Streams that peers take parts of.
    pub(super) streams: Slab<Stream>,
    pub(super) streams_by_track: BTreeMap<TrackSid, usize>,
    pub(super) incoming: Slab<Incoming>,
    pub(super) incoming_by_flow: BTreeMap<(usize, Flow), usize>,
    pub(super) outgoing: Slab<Outgoing>,
    pub(super) outgoing_by_flow: BTreeMap<(usize, Flow), usize>,
    /// Ended flows whose last packets still count, in the order of their end.
    pub(super) ending: VecDeque<(Instant, usize)>,
    /// Layers that became idle, in that order.
    idle: VecDeque<(Instant, TrackLayer)>,
    /// Streams that peers are to be refilled with, in the order of their instants.
    pub(super) refills: VecDeque<Pending>,
    /// When counts are told again, while there are layers.
    counts_at: Instant,
    outputs: VecDeque<Output>,
    pub(super) counters: Counters,
}

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) node: NodeId,
    pub(super) link: Link,
}

impl Links {
    /// A node without links.
    pub fn new(now: Instant) -> Self {
        Self {
            begun: now,
            now,
            clock: 0,
            links: Vec::new(),
            wakes: Wakes::default(),
            due_at: None,
            links_by_peer: Places::default(),
            queues: Vec::new(),
            layers: Slab::default(),
            layers_by_id: BTreeMap::new(),
            streams: Slab::default(),
            streams_by_track: BTreeMap::new(),
            incoming: Slab::default(),
            incoming_by_flow: BTreeMap::new(),
            outgoing: Slab::default(),
            outgoing_by_flow: BTreeMap::new(),
            ending: VecDeque::new(),
            idle: VecDeque::new(),
            refills: VecDeque::new(),
            counts_at: now,
            outputs: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Takes one input. Afterwards poll until [`Output::Timeout`].
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        self.pass_time(now);
        self.due_at = None;
        match input {
            Input::Link { peer, input } => self.link_input(peer, input),
            Input::Forward { forward, sink } => self.apply(forward, sink),
            Input::Send(send) => self.send(send),
            Input::Timeout => self.do_due(),
        }
    }

    /// What [`Input::Send`] does with a packet. If the first thing that comes of it is a datagram for `to`, that is given
    /// back; then poll.
    pub fn handle_packet(
        &mut self,
        now: Instant,
        to: NodeId,
        flow: Flow,
        class: Class,
        packet: &Packet,
    ) -> Option<Datagram> {
        self.pass_time(now);
        let datagram = self.send_packet(to, flow, class, packet)?;
        if self.outputs.is_empty() {
            return Some(datagram);
        }
        self.outputs.push_back(Output::Transmit { to, datagram });
        None
    }

    /// What [`link::Input::Datagram`] of a peer does. If the first thing that comes of it is something for a worker, that
    /// is given back, with the worker's sink; then poll.
    pub fn handle_datagram(&mut self, now: Instant, peer: NodeId, datagram: &Datagram) -> Option<(usize, Received)> {
        self.pass_time(now);
        let link = self.place_of(peer);
        let (sink, received) = self.take_datagram(link, datagram)?;
        if self.outputs.is_empty() {
            return Some((sink, received));
        }
        self.outputs.push_back(Output::Received { sink, received });
        None
    }

    fn pass_time(&mut self, now: Instant) {
        if now > self.now {
            (self.now, self.clock) = (now, self.clock_at(now));
        }
    }

    /// An instant by the clock of what is kept, ns.
    pub(super) fn clock_at(&self, at: Instant) -> u64 {
        if at == self.now { self.clock } else { at.saturating_duration_since(self.begun).as_nanos() as u64 }
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Output {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        self.outputs.clear();
        self.due_at = self.due_at.or_else(|| self.find_due());
        Output::Timeout(self.due_at.unwrap_or_else(|| self.now + IDLE))
    }

    /// Everybody to whom there is or was a link.
    pub fn peers(&self) -> impl Iterator<Item = NodeId> {
        self.links_by_peer.ids()
    }

    /// What was sent to and received from a peer so far.
    pub fn stats(&self, peer: NodeId) -> Option<&link::Stats> {
        self.link(peer).map(Link::stats)
    }

    /// What the link to a peer dropped so far.
    pub fn dropped(&self, peer: NodeId) -> Option<&link::Dropped> {
        self.link(peer).map(Link::dropped)
    }

    /// The link to a peer as measured from here, while there is a connection.
    pub fn metric(&self, peer: NodeId) -> Option<LinkMetric> {
        self.link(peer)?.metric()
    }

    /// What the links count together.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn link(&self, peer: NodeId) -> Option<&Link> {
        self.links_by_peer.get(&peer).map(|place| &self.links[place].link)
    }

    pub(super) fn place_of(&mut self, node: NodeId) -> usize {
        self.links_by_peer.get(&node).unwrap_or_else(|| self.add(node))
    }

    fn add(&mut self, node: NodeId) -> usize {
        let place = self.links.len();
        self.links.push(Peer { node, link: Link::new(self.now) });
        self.wakes.push(self.now);
        self.due_at = None;
        self.links_by_peer.insert(node, place);
        place
    }

    fn link_input(&mut self, peer: NodeId, input: link::Input) {
        match input {
            link::Input::Receive { .. }
            | link::Input::StopReceive(_)
            | link::Input::Serve { .. }
            | link::Input::StopServe(_) => {}
            link::Input::Datagram(datagram) => {
                let link = self.place_of(peer);
                let plain = self.take_datagram(link, &datagram);
                self.outputs.extend(plain.map(|(sink, received)| Output::Received { sink, received }));
            }
            input => {
                let link = self.place_of(peer);
                self.give(link, input);
            }
        }
    }

    /// Gives one input to a link and takes what it has to say.
    pub(super) fn give(&mut self, place: usize, input: link::Input) {
        let mut queue = self.queues.pop().unwrap_or_default();
        let link = &mut self.links[place].link;
        link.exchange_queue(&mut queue);
        link.handle_input(self.now, input);
        self.hear_out(place);
        self.links[place].link.exchange_queue(&mut queue);
        self.queues.push(queue);
    }

    /// The same of a packet to send.
    pub(super) fn give_packet(&mut self, place: usize, flow: Flow, class: Class, packet: &Packet) {
        if let Some(datagram) = self.give_plain(place, flow, class, packet) {
            self.outputs.push_back(Output::Transmit { to: self.links[place].node, datagram });
        }
    }

    /// The same; of nearly all comes a datagram and nothing else, which is given back.
    fn give_plain(&mut self, place: usize, flow: Flow, class: Class, packet: &Packet) -> Option<Datagram> {
        let plain = self.links[place].link.send(self.now, flow, class, packet);
        if plain.is_none() {
            self.hear_out(place);
        }
        plain
    }

    /// The same of a datagram that came. Of nearly all comes a packet and nothing else. Gives what is for a worker here
    /// after all that has been put out.
    fn take_datagram(&mut self, place: usize, datagram: &Datagram) -> Option<(usize, Received)> {
        match self.links[place].link.take_datagram(self.now, datagram) {
            Some(Came { sink, class, packet, .. }) => self.take_packet(sink, class, packet),
            None => {
                self.hear_out(place);
                None
            }
        }
    }

    /// Takes what a link has to say.
    fn hear_out(&mut self, place: usize) {
        loop {
            let peer = &mut self.links[place];
            match peer.link.poll_output() {
                link::Output::Transmit(datagram) => {
                    self.outputs.push_back(Output::Transmit { to: peer.node, datagram });
                }
                link::Output::Allow { bps, silent } => {
                    self.outputs.push_back(Output::Allow { peer: peer.node, bps, silent });
                }
                link::Output::Hearing { hearing, quiet } => {
                    self.outputs.push_back(Output::Hearing { peer: peer.node, hearing, quiet });
                }
                link::Output::Received { sink, class, received, .. } => self.take(sink, class, received),
                link::Output::Timeout(at) => {
                    self.due_at = None;
                    return self.wakes.set(place, at);
                }
            }
        }
    }

    /// Takes what a link received. `place` is the number that we gave the link for the flow.
    fn take(&mut self, place: usize, class: Class, received: Received) {
        match received {
            Received::Packet { packet, .. } => {
                let received = self.take_packet(place, class, packet);
                self.outputs.extend(received.map(|(sink, received)| Output::Received { sink, received }));
            }
            Received::SenderReport { ntp, rtp, .. } => self.take_report(place, ntp, rtp),
            Received::Keyframe { layer } => match self.outgoing.get(place).map(|outgoing| outgoing.feed) {
                Some(Feed::Worker { sink, .. }) => self.outputs.push_back(Output::Received { sink, received }),
                Some(Feed::Relay { .. }) => self.want_keyframe(layer),
                None => {}
            },
        }
    }

    /// Passes a packet on; gives it back for a worker if one takes it here.
    fn take_packet(&mut self, place: usize, class: Class, mut packet: Packet) -> Option<(usize, Received)> {
        let incoming = self.incoming.get_mut(place)?;
        if !incoming.flows && incoming.ended.is_none() {
            incoming.flows = true;
            let from = self.links[incoming.link].node;
            self.outputs.push_back(Output::Flowing { from, flow: incoming.flow });
        }
        incoming.tally.take(&packet);
        let place = incoming.layer;
        let layer = self.layers.get_mut(place)?;
        let Some(sequence) = layer.numbers.take(packet.sequence as u16) else {
            self.counters.doubled += 1;
            return None;
        };
        packet.sequence = sequence;
        layer.recent.push(self.clock, self.clock, class, &packet);
        let (id, local, stream, children) = (layer.id, layer.local, layer.stream, layer.children.len());
        if let Some(stream) = stream {
            self.relay_parts(stream, id.layer, class, &packet);
        }
        for child in 0..children {
            let Child { link, flow } = self.layer_mut(place).children[child];
            self.counters.relayed += 1;
            self.give_packet(link, flow, class, &packet);
        }
        if local.is_none() {
            self.counters.passed += 1;
        }
        local.map(|sink| (sink, Received::Packet { layer: id, packet }))
    }

    fn take_report(&mut self, place: usize, ntp: u64, rtp: u32) {
        let Some(place) = self.incoming.get(place).map(|incoming| incoming.layer) else { return };
        let Some(layer) = self.layers.get_mut(place) else { return };
        if layer.report.replace(ntp) == Some(ntp) {
            return;
        }
        let (id, local, children) = (layer.id, layer.local, layer.children.len());
        for child in 0..children {
            let Child { link, flow } = self.layer_mut(place).children[child];
            self.give(link, link::Input::SenderReport { flow, ntp, rtp });
        }
        if let Some(sink) = local {
            let received = Received::SenderReport { layer: id, ntp, rtp };
            self.outputs.push_back(Output::Received { sink, received });
        }
    }

    fn send_packet(&mut self, to: NodeId, flow: Flow, class: Class, packet: &Packet) -> Option<Datagram> {
        let link = self.place_of(to);
        if let Some(place) = self.links[link].link.sink_of(flow) {
            self.keep(place, class, packet);
        }
        self.give_plain(link, flow, class, packet)
    }

    fn send(&mut self, send: Send) {
        match send {
            Send::Packet { to, flow, class, packet } => {
                let plain = self.send_packet(to, flow, class, &packet);
                self.outputs.extend(plain.map(|datagram| Output::Transmit { to, datagram }));
            }
            Send::Keyframe { layer } => self.want_keyframe(layer),
            Send::SenderReport { to, flow, ntp, rtp } => {
                let link = self.place_of(to);
                self.give(link, link::Input::SenderReport { flow, ntp, rtp });
            }
        }
    }

    pub(super) fn layer(&mut self, id: TrackLayer) -> usize {
        let (layers, stream) = (&mut self.layers, self.streams_by_track.get(&id.track).copied());
        let place = *self.layers_by_id.entry(id).or_insert_with(|| layers.insert(Layer::new(id, stream)));
        self.layer_mut(place).idle = None;
        place
    }

    pub(super) fn layer_mut(&mut self, place: usize) -> &mut Layer {
        self.layers.get_mut(place).expect("a layer stays as long as a flow or the list of idle ones names it")
    }

    pub(super) fn note_idle(&mut self, place: usize) {
        let now = self.now;
        let layer = self.layer_mut(place);
        if layer.is_idle() && layer.idle.is_none() {
            layer.idle = Some(now);
            let id = layer.id;
            self.idle.push_back((now + LINGERS, id));
        }
    }

    fn do_due(&mut self) {
        for place in 0..self.links.len() {
            if self.wakes.of(place) <= self.now {
                self.give(place, link::Input::Timeout);
            }
        }
        self.do_refills();
        if self.counts_at <= self.now && !self.layers_by_id.is_empty() {
            self.counts_at = self.now + COUNTS_EVERY;
            let counts = self.counts();
            self.outputs.push_back(Output::Counts(counts));
        }
        while let Some((at, place)) = self.ending.pop_front_if(|(at, _)| *at <= self.now) {
            // Its number may have been given to another flow since.
            if self.incoming.get(place).is_some_and(|incoming| incoming.ended == Some(at)) {
                self.forget(place);
            }
        }
        while let Some((at, id)) = self.idle.pop_front_if(|(at, _)| *at <= self.now) {
            self.purge(id, at);
        }
    }

    /// Forgets a layer that has been idle since it was put on the list.
    fn purge(&mut self, id: TrackLayer, at: Instant) {
        let Some(&place) = self.layers_by_id.get(&id) else { return };
        let idle = self.layers.get(place).and_then(|layer| layer.idle);
        if idle.is_some_and(|since| since + LINGERS <= at) {
            self.layers_by_id.remove(&id);
            self.layers.remove(place);
        }
    }

    fn find_due(&mut self) -> Option<Instant> {
        let refill = self.refills.front().map(|pending| pending.at);
        let counts = (!self.layers_by_id.is_empty()).then_some(self.counts_at);
        let lists = [self.ending.front().map(|(at, _)| *at), self.idle.front().map(|(at, _)| *at), refill, counts];
        self.wakes.first().into_iter().chain(lists.into_iter().flatten()).min()
    }
}
