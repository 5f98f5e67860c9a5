//! The tables of a node's links, as the cascade changes them: which flows come, and which go where.

use origo_auth::NodeId;

use super::counts::Tally;
use super::layer::{Child, DRAINS, Feed, Incoming, Outgoing};
use super::machine::Links;
use crate::link::{self, Flow};
use crate::{Forward, MediaKind, TrackLayer};

impl Links {
    pub(super) fn apply(&mut self, forward: Forward, sink: usize) {
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
    pub(super) fn forget(&mut self, place: usize) {
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
}
