//! The links of a node as one core: datagrams and workers' packets in, datagrams and packets for workers out.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use origo_auth::{NodeId, TrackSid};

use super::counters::Counters;
use super::counts::Tally;
use super::layer::{Child, DRAINS, Feed, Incoming, LINGERS, Layer, Outgoing};
use super::refill::Pending;
use super::slab::Slab;
use super::stream::Stream;
use super::{Input, Output};
use crate::link::{self, Class, Datagram, Flow, Link, Packet, Received, Send};
use crate::metric::LinkMetric;
use crate::{Forward, MediaKind, TrackLayer};

/// How often it is told what passes.
const COUNTS_EVERY: Duration = Duration::from_millis(250);
/// With no link there is nothing to wake for.
const IDLE: Duration = Duration::from_secs(3600);

/// All links of one node. Handle one input, then poll until [`Output::Timeout`].
#[derive(Debug)]
pub struct Links {
    pub(super) now: Instant,
    pub(super) links: Vec<Peer>,
    /// When each link wants to be woken, apart from the links: all are looked at after each packet.
    wakes: Vec<Instant>,
    /// The earliest of them, unless it has to be looked for.
    first_wake: Option<Instant>,
    /// Ascending.
    links_by_peer: Vec<(NodeId, usize)>,
    /// What links have to say, while they are asked: one for each that is asked within another.
    queues: Vec<VecDeque<link::Output>>,
    pub(super) layers: Slab<Layer>,
    pub(super) layers_by_id: BTreeMap<TrackLayer, usize>,
    /// Streams that peers take parts of.
    pub(super) streams: Slab<Stream>,
    pub(super) streams_by_track: BTreeMap<TrackSid, usize>,
    pub(super) incoming: Slab<Incoming>,
    incoming_by_flow: BTreeMap<(usize, Flow), usize>,
    pub(super) outgoing: Slab<Outgoing>,
    pub(super) outgoing_by_flow: BTreeMap<(usize, Flow), usize>,
    /// Ended flows whose last packets still count, in the order of their end.
    ending: VecDeque<(Instant, usize)>,
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
            now,
            links: Vec::new(),
            wakes: Vec::new(),
            first_wake: None,
            links_by_peer: Vec::new(),
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
        self.now = self.now.max(now);
        match input {
            Input::Link { peer, input } => self.link_input(peer, input),
            Input::Forward { forward, sink } => self.apply(forward, sink),
            Input::Send(send) => self.send(send),
            Input::Timeout => self.do_due(),
        }
    }

    /// What [`Input::Send`] does with a packet.
    pub fn handle_packet(&mut self, now: Instant, to: NodeId, flow: Flow, class: Class, packet: Packet) {
        self.now = self.now.max(now);
        self.send_packet(to, flow, class, packet);
    }

    /// What [`link::Input::Datagram`] of a peer does.
    pub fn handle_datagram(&mut self, now: Instant, peer: NodeId, datagram: &Datagram) {
        self.now = self.now.max(now);
        let link = self.place_of(peer);
        self.with_link(link, |link, now| link.take_datagram(now, datagram));
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Output {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        self.outputs.clear();
        Output::Timeout(self.next_timeout())
    }

    /// Everybody to whom there is or was a link.
    pub fn peers(&self) -> impl Iterator<Item = NodeId> {
        self.links_by_peer.iter().map(|(peer, _)| *peer)
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
        self.find(peer).ok().map(|place| &self.links[self.links_by_peer[place].1].link)
    }

    pub(super) fn place_of(&mut self, node: NodeId) -> usize {
        match self.find(node) {
            Ok(place) => self.links_by_peer[place].1,
            Err(place) => {
                self.links.push(Peer { node, link: Link::new(self.now) });
                self.wakes.push(self.now);
                self.first_wake = None;
                self.links_by_peer.insert(place, (node, self.links.len() - 1));
                self.links.len() - 1
            }
        }
    }

    fn find(&self, node: NodeId) -> Result<usize, usize> {
        self.links_by_peer.binary_search_by_key(&node, |(peer, _)| *peer)
    }

    fn link_input(&mut self, peer: NodeId, input: link::Input) {
        match input {
            link::Input::Receive { .. }
            | link::Input::StopReceive(_)
            | link::Input::Serve { .. }
            | link::Input::StopServe(_) => {}
            input => {
                let link = self.place_of(peer);
                self.give(link, input);
            }
        }
    }

    /// Gives one input to a link and takes what it has to say.
    pub(super) fn give(&mut self, place: usize, input: link::Input) {
        self.with_link(place, |link, now| link.handle_input(now, input));
    }

    /// The same of a packet to send.
    pub(super) fn give_packet(&mut self, place: usize, flow: Flow, class: Class, packet: Packet) {
        self.with_link(place, |link, now| link.send(now, flow, class, packet));
    }

    fn with_link(&mut self, place: usize, with: impl FnOnce(&mut Link, Instant)) {
        let mut queue = self.queues.pop().unwrap_or_default();
        let link = &mut self.links[place].link;
        link.exchange_queue(&mut queue);
        with(link, self.now);
        let wake = self.take_outputs(place);
        self.links[place].link.exchange_queue(&mut queue);
        self.queues.push(queue);
        self.set_wake(place, wake);
    }

    /// Takes what a link has to say, and gives when it wants to be woken.
    fn take_outputs(&mut self, place: usize) -> Instant {
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
                link::Output::Timeout(at) => return at,
            }
        }
    }

    /// Notes when a link wants to be woken. Nearly always another one is due first, and stays so.
    fn set_wake(&mut self, place: usize, at: Instant) {
        let before = std::mem::replace(&mut self.wakes[place], at);
        let Some(first) = self.first_wake else { return };
        if at <= first {
            self.first_wake = Some(at);
        } else if before == first {
            self.first_wake = None;
        }
    }

    /// Takes what a link received. `place` is the number that we gave the link for the flow.
    fn take(&mut self, place: usize, class: Class, received: Received) {
        match received {
            Received::Packet { packet, .. } => self.take_packet(place, class, packet),
            Received::SenderReport { ntp, rtp, .. } => self.take_report(place, ntp, rtp),
            Received::Keyframe { layer } => match self.outgoing.get(place).map(|outgoing| outgoing.feed) {
                Some(Feed::Worker { sink, .. }) => self.outputs.push_back(Output::Received { sink, received }),
                Some(Feed::Relay { .. }) => self.want_keyframe(layer),
                None => {}
            },
        }
    }

    fn take_packet(&mut self, place: usize, class: Class, mut packet: Packet) {
        let Some(incoming) = self.incoming.get_mut(place) else { return };
        if !incoming.flows && incoming.ended.is_none() {
            incoming.flows = true;
            let from = self.links[incoming.link].node;
            self.outputs.push_back(Output::Flowing { from, flow: incoming.flow });
        }
        incoming.tally.take(&packet);
        let place = incoming.layer;
        let Some(layer) = self.layers.get_mut(place) else { return };
        let Some(sequence) = layer.numbers.take(packet.sequence as u16) else {
            self.counters.doubled += 1;
            return;
        };
        packet.sequence = sequence;
        layer.recent.push(self.now, class, &packet);
        let (id, local, stream, children) = (layer.id, layer.local, layer.stream, layer.children.len());
        if let Some(stream) = stream {
            self.relay_parts(stream, id.layer, class, &packet);
        }
        for child in 0..children {
            let Child { link, flow } = self.layer_mut(place).children[child];
            self.counters.relayed += 1;
            self.give_packet(link, flow, class, packet.clone());
        }
        match local {
            Some(sink) => {
                let received = Received::Packet { layer: id, packet };
                self.outputs.push_back(Output::Received { sink, received });
            }
            None => self.counters.passed += 1,
        }
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

    fn send_packet(&mut self, to: NodeId, flow: Flow, class: Class, packet: Packet) {
        let link = self.place_of(to);
        if let Some(place) = self.links[link].link.sink_of(flow) {
            self.keep(place, class, &packet);
        }
        self.give_packet(link, flow, class, packet);
    }

    fn send(&mut self, send: Send) {
        match send {
            Send::Packet { to, flow, class, packet } => self.send_packet(to, flow, class, packet),
            Send::Keyframe { layer } => self.want_keyframe(layer),
            Send::SenderReport { to, flow, ntp, rtp } => {
                let link = self.place_of(to);
                self.give(link, link::Input::SenderReport { flow, ntp, rtp });
            }
        }
    }

    fn apply(&mut self, forward: Forward, sink: usize) {
        match forward {
            Forward::Receive { layer, from, flow, local, .. } => self.receive(layer, from, flow, local.then_some(sink)),
            Forward::StopReceive { from, flow } => self.stop_receive(from, flow),
            Forward::Serve { layer, to, flow, kind, in_stream, .. } => {
                self.serve(layer, to, flow, (kind, in_stream), sink);
            }
            Forward::Relay { layer, to, flow, kind, in_stream } => self.relay(layer, to, flow, kind, in_stream),
            Forward::Refill { to, flow, span } => self.refill(to, flow, span),
            Forward::StopServe { to, flow, .. } | Forward::StopRelay { to, flow, .. } => self.stop_serve(to, flow),
        }
    }

    fn receive(&mut self, id: TrackLayer, from: NodeId, flow: Flow, local: Option<usize>) {
        let (link, layer) = (self.place_of(from), self.layer(id));
        self.layer_mut(layer).local = local;
        if let Some(&place) = self.incoming_by_flow.get(&(link, flow)) {
            let incoming = self.incoming.get(place);
            if incoming.is_some_and(|incoming| incoming.layer == layer && incoming.ended.is_none()) {
                return;
            }
            self.forget(place);
        }
        let place =
            self.incoming.insert(Incoming { link, flow, layer, flows: false, tally: Tally::default(), ended: None });
        self.incoming_by_flow.insert((link, flow), place);
        self.layer_mut(layer).sources.push(place);
        self.give(link, link::Input::Receive { flow, layer: id, sink: place });
    }

    /// Ends a flow: at once, or, when another one brings the layer, after what is on its way.
    fn stop_receive(&mut self, from: NodeId, flow: Flow) {
        let link = self.place_of(from);
        let Some(&place) = self.incoming_by_flow.get(&(link, flow)) else { return };
        let Some(incoming) = self.incoming.get_mut(place) else { return };
        if incoming.ended.is_some() {
            return;
        }
        let ends = self.now + DRAINS;
        incoming.ended = Some(ends);
        let layer = incoming.layer;
        let others = self.layers.get(layer).map_or(&[][..], |layer| &layer.sources[..]);
        let goes_on = |other: &usize| self.incoming.get(*other).is_some_and(|other| other.ended.is_none());
        if others.iter().any(goes_on) {
            self.ending.push_back((ends, place));
        } else {
            self.forget(place);
        }
    }

    /// Takes a flow off its link.
    fn forget(&mut self, place: usize) {
        let Some(Incoming { link, flow, layer, .. }) = self.incoming.remove(place) else { return };
        self.incoming_by_flow.remove(&(link, flow));
        self.layer_mut(layer).sources.retain(|source| *source != place);
        self.note_idle(layer);
        self.give(link, link::Input::StopReceive(flow));
    }

    fn serve(&mut self, id: TrackLayer, to: NodeId, flow: Flow, (kind, in_stream): (MediaKind, bool), sink: usize) {
        let (link, layer) = (self.place_of(to), self.layer(id));
        // First, lest the layer seems idle when the flow replaces another.
        self.layer_mut(layer).worked += 1;
        self.feed(link, id, flow, (kind, in_stream), Feed::Worker { sink, layer });
    }

    fn relay(&mut self, id: TrackLayer, to: NodeId, flow: Flow, kind: MediaKind, in_stream: bool) {
        let (link, layer) = (self.place_of(to), self.layer(id));
        let feed = Feed::Relay { layer, in_stream };
        let known = self.outgoing_by_flow.get(&(link, flow)).and_then(|place| self.outgoing.get(*place));
        if known.is_some_and(|outgoing| outgoing.feed == feed) {
            return;
        }
        self.feed(link, id, flow, (kind, in_stream), feed);
        if in_stream {
            self.add_part(id, link, flow);
            self.layer_mut(layer).streamed += 1;
        } else {
            self.layer_mut(layer).children.push(Child { link, flow });
        }
    }

    fn feed(&mut self, link: usize, layer: TrackLayer, flow: Flow, (kind, in_stream): (MediaKind, bool), feed: Feed) {
        if let Some(&place) = self.outgoing_by_flow.get(&(link, flow)) {
            self.end_serve(place, link, flow);
        }
        let place = self.outgoing.insert(Outgoing { feed });
        self.outgoing_by_flow.insert((link, flow), place);
        self.give(link, link::Input::Serve { flow, layer, kind, in_stream, sink: place });
    }

    fn stop_serve(&mut self, to: NodeId, flow: Flow) {
        let link = self.place_of(to);
        let Some(&place) = self.outgoing_by_flow.get(&(link, flow)) else { return };
        self.end_serve(place, link, flow);
        self.give(link, link::Input::StopServe(flow));
    }

    fn end_serve(&mut self, place: usize, link: usize, flow: Flow) {
        self.outgoing_by_flow.remove(&(link, flow));
        let Some(Outgoing { feed }) = self.outgoing.remove(place) else { return };
        match feed {
            Feed::Worker { layer, .. } => self.layer_mut(layer).worked -= 1,
            Feed::Relay { layer, in_stream: true } => {
                self.layer_mut(layer).streamed -= 1;
                let track = self.layer_mut(layer).id.track;
                self.remove_part(track, link, flow);
            }
            Feed::Relay { layer, in_stream: false } => {
                self.layer_mut(layer).children.retain(|child| (child.link, child.flow) != (link, flow));
            }
        }
        let (Feed::Worker { layer, .. } | Feed::Relay { layer, .. }) = feed;
        self.note_idle(layer);
    }

    fn layer(&mut self, id: TrackLayer) -> usize {
        let (layers, stream) = (&mut self.layers, self.streams_by_track.get(&id.track).copied());
        let place = *self.layers_by_id.entry(id).or_insert_with(|| layers.insert(Layer::new(id, stream)));
        self.layer_mut(place).idle = None;
        place
    }

    pub(super) fn layer_mut(&mut self, place: usize) -> &mut Layer {
        self.layers.get_mut(place).expect("a layer stays as long as a flow or the list of idle ones names it")
    }

    fn note_idle(&mut self, place: usize) {
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
            if self.wakes[place] <= self.now {
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

    fn next_timeout(&mut self) -> Instant {
        self.first_wake = self.first_wake.or_else(|| self.wakes.iter().copied().min());
        let refill = self.refills.front().map(|pending| pending.at);
        let counts = (!self.layers_by_id.is_empty()).then_some(self.counts_at);
        let lists = [self.ending.front().map(|(at, _)| *at), self.idle.front().map(|(at, _)| *at), refill, counts];
        let first = self.first_wake.into_iter().chain(lists.into_iter().flatten()).min();
        first.unwrap_or_else(|| self.now + IDLE)
    }
}
