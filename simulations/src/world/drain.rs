//! Inputs into the cores of nodes, and what they ask for.

use bytes::Bytes;
use origo_auth::NodeId;
use origo_cascade_core::link::Datagram;
use origo_cascade_core::{Forward, Input, Output, TrackLayer, links};

use super::event::{Event, Parcel};
use super::{Detail, World, wire};
use crate::network::OVERHEAD_BYTES;

/// What a control frame adds to its message.
const FRAME_BYTES: usize = 4;
/// QUIC's delayed acknowledgement, ns: part of what a lost packet of a stream costs.
const ACK_DELAY: u64 = 5_000_000;
/// A stream that loses all tries this often at least, ns.
const AGAIN_AFTER_MAX: u64 = 1_000_000_000;
/// A core that asks to be woken at once is woken a little later, so that virtual time goes on.
const AT_ONCE: u64 = 1_000;

impl World<'_> {
    /// Gives an input to a node's cascade and does what it asks for.
    pub(super) fn give_cascade(&mut self, node: usize, input: Input) {
        self.nodes[node].cascade.handle_input(self.instant, input);
        loop {
            match self.nodes[node].cascade.poll_output() {
                Output::Control { to, kind, message } => self.post(node, to, kind, message),
                // People in here send pictures and sound alone.
                Output::Data { .. } => {}
                Output::Forward(forward) => self.forward(node, forward),
                Output::Event(event) => self.heard.push_back((node, event)),
                Output::Timeout(at) => {
                    let due = self.nanos(at).max(self.now + AT_ONCE);
                    if self.nodes[node].cascade_wakes.set(due) {
                        self.push(due, Event::WakeCascade(node as u32));
                    }
                    return;
                }
            }
        }
    }

    /// Gives an input to a node's links and does what they ask for.
    pub(super) fn give_links(&mut self, node: usize, input: links::Input) {
        self.nodes[node].links.handle_input(self.instant, input);
        self.drain_links(node);
    }

    /// Does what a node's links ask for.
    pub(super) fn drain_links(&mut self, node: usize) {
        loop {
            match self.nodes[node].links.poll_output() {
                links::Output::Transmit { to, datagram } => self.transmit(node, to, datagram),
                links::Output::Received { sink, received } => self.received(node, sink, received),
                links::Output::Flowing { from, flow } => {
                    self.told.push_back((node, Input::Flowing { from, flow }));
                }
                links::Output::Hearing { peer, hearing, quiet } => {
                    self.told.push_back((node, Input::Hearing { peer, hearing, quiet }));
                }
                links::Output::Counts(counts) => self.told.push_back((node, Input::Counts(counts))),
                // QUIC is a model that lets everything go at once.
                links::Output::Allow { peer, silent, .. } => self.note_silence(node, peer, silent),
                links::Output::Timeout(at) => {
                    if self.nodes[node].links_due.0 != at {
                        self.nodes[node].links_due = (at, self.nanos(at));
                    }
                    let due = self.nodes[node].links_due.1.max(self.now + AT_ONCE);
                    if self.nodes[node].links_wake.set(due) {
                        self.push(due, Event::WakeLinks(node as u32));
                    }
                    return;
                }
            }
        }
    }

    /// Does what has piled up while cores were drained, until nothing is left.
    pub(super) fn settle(&mut self) {
        loop {
            if let Some((node, input)) = self.told.pop_front() {
                self.cascade(node, input);
            } else if let Some((node, event)) = self.heard.pop_front() {
                self.hear(node, event);
            } else {
                return;
            }
        }
    }

    pub(super) fn wake_cascade(&mut self, node: usize) {
        match self.nodes[node].cascade_wakes.come(self.now) {
            Ok(true) => self.cascade(node, Input::Timeout),
            Ok(false) => {}
            Err(due) => self.push(due, Event::WakeCascade(node as u32)),
        }
    }

    pub(super) fn wake_links(&mut self, node: usize) {
        match self.nodes[node].links_wake.come(self.now) {
            Ok(true) => self.links(node, links::Input::Timeout),
            Ok(false) => {}
            Err(due) => self.push(due, Event::WakeLinks(node as u32)),
        }
    }

    fn post(&mut self, from: usize, to: NodeId, kind: u64, message: Bytes) {
        let Some(to) = self.places.get(&to) else { return };
        let connection = self.connection(from, to);
        let stream = &mut self.streams[from * self.nodes.len() + to];
        let parcel = Parcel { from, to, number: stream.next, connection, lost: 0, kind, message };
        stream.next += 1;
        self.send_parcel(Box::new(parcel));
    }

    /// Sends a control message, which is sent again for as long as it is lost.
    pub(super) fn send_parcel(&mut self, mut parcel: Box<Parcel>) {
        if !self.has_connection(parcel.from, parcel.to, parcel.connection) {
            return;
        }
        let (count, bytes) = (self.nodes.len(), parcel.message.len() + FRAME_BYTES);
        let back = self.paths[parcel.to * count + parcel.from].delay();
        match self.paths[parcel.from * count + parcel.to].stream(self.now, bytes) {
            Some(arrives) => self.push(arrives, Event::Control(parcel)),
            None => {
                let round = self.paths[parcel.from * count + parcel.to].delay() + back + ACK_DELAY;
                let waits = (round << parcel.lost.min(8)).min(AGAIN_AFTER_MAX.max(round));
                parcel.lost += 1;
                self.push(self.now + waits, Event::Again(parcel));
            }
        }
    }

    pub(super) fn take_control(&mut self, parcel: Parcel) {
        let (from, to) = (parcel.from, parcel.to);
        if !self.has_connection(to, from, parcel.connection) {
            return;
        }
        let place = from * self.nodes.len() + to;
        self.streams[place].held.insert(parcel.number, parcel);
        loop {
            let stream = &mut self.streams[place];
            let Some(parcel) = stream.held.remove(&stream.expected) else { return };
            stream.expected += 1;
            self.tell_said(&parcel);
            let Parcel { kind, message, .. } = parcel;
            let from = self.nodes[from].id;
            self.cascade(to, Input::Control { from, message, kind });
        }
    }

    pub(super) fn transmit(&mut self, from: usize, to: NodeId, datagram: Datagram) {
        let Some(to) = self.places.get(&to) else { return };
        let place = from * self.nodes.len() + to;
        self.note_sent(from, to, &datagram);
        let Some(late) = self.lateness(from, to, &datagram) else { return };
        if let Some(arrives) = self.paths[place].send(self.now, datagram.len() + OVERHEAD_BYTES) {
            let connection = self.connection(from, to);
            self.push(arrives + late, Event::Arrive { path: place as u32, connection, datagram });
        }
    }

    fn note_sent(&mut self, from: usize, to: usize, datagram: &Datagram) {
        let sent = &mut self.nodes[from].sent[to];
        sent.datagrams += 1;
        let Some(packet) = wire::look(datagram) else { return };
        let rtp = packet.payload + wire::RTP_HEAD_BYTES;
        if !packet.again {
            sent.rtp_bytes += rtp as u64;
            sent.payload_bytes += packet.payload as u64;
        }
        if !packet.is_audio {
            sent.video_datagrams += 1;
            sent.video_datagram_bytes += datagram.len() as u64;
            sent.video_rtp_bytes += if packet.again { 0 } else { rtp as u64 };
        }
    }

    pub(super) fn arrive(&mut self, path: usize, connection: u32, datagram: Datagram) {
        let (from, to) = (path / self.nodes.len(), path % self.nodes.len());
        if !self.has_connection(to, from, connection) {
            return;
        }
        self.paths[to * self.nodes.len() + from].owe_ack(self.now);
        self.links_datagram(to, self.nodes[from].id, datagram);
    }

    /// A node's cascade changes a table.
    fn forward(&mut self, node: usize, forward: Forward) {
        if self.following.detail >= Detail::Decisions {
            let what = self.words(node, &forward);
            self.tell(Detail::Decisions, || what);
        }
        let sink = self.note_forward(node, &forward);
        self.links(node, links::Input::Forward { forward, sink });
    }

    fn words(&self, node: usize, forward: &Forward) -> String {
        let me = self.name(node);
        let peer = |id: &NodeId| self.places.get(id).map_or("a stranger", |place| self.name(place));
        let what = |layer: &TrackLayer| format!("layer {} of {}", layer.layer, layer.track);
        match forward {
            Forward::Serve { layer, to, flow, .. } => {
                format!("{me} sends {} to {} as {}", what(layer), peer(to), flow.0)
            }
            Forward::StopServe { layer, to, flow, .. } => {
                format!("{me} ends {} to {} as {}", what(layer), peer(to), flow.0)
            }
            Forward::Relay { layer, to, flow, .. } => {
                format!("{me} passes {} on to {} as {}", what(layer), peer(to), flow.0)
            }
            Forward::StopRelay { layer, to, flow } => {
                format!("{me} passes {} on to {} as {} no more", what(layer), peer(to), flow.0)
            }
            Forward::Refill { to, flow, span } => {
                format!("{me} sends {} the last {} ms of {} once more", peer(to), span.as_millis(), flow.0)
            }
            Forward::Receive { layer, from, flow, local, .. } => {
                let whom = if *local { "its people" } else { "others" };
                format!("{me} takes {} from {} as {} for {whom}", what(layer), peer(from), flow.0)
            }
            Forward::StopReceive { from, flow } => format!("{me} takes {} from {} no more", flow.0, peer(from)),
        }
    }
}
