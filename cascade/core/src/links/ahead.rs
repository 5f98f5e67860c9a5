//! What packets that come next will touch, looked at before they come: `link/machine/ahead.rs` says why.

use std::hint::black_box;
use std::time::Instant;

use origo_auth::NodeId;

use super::layer::Child;
use super::machine::Links;
use crate::link::{Arrival, Class, Datagram, Flow};

/// A packet that is to come over a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ahead(Arrival);

impl Ahead {
    /// The low bits of its RTP number.
    pub fn number(self) -> u16 {
        self.0.number
    }
}

impl Links {
    /// Looks at what a datagram of a peer touches on its link. Nothing is given for what is no packet of a layer.
    pub fn look_at_datagram(&self, peer: NodeId, datagram: &Datagram) -> Option<Ahead> {
        self.link(peer)?.look_at_arrival(datagram).map(Ahead)
    }

    /// Looks at what the links touch that want to be woken by then.
    pub fn look_at_timeouts(&self, by: Instant) {
        let due = self.links.iter().zip(&self.wakes).filter(|(_, wake)| **wake <= by);
        due.for_each(|(peer, _)| peer.link.look_at_timeout());
    }

    /// Looks at what it touches behind the link. Gives the sink of the worker that takes it, if one does.
    pub fn look_behind_link(&self, Ahead(arrival): Ahead) -> Option<usize> {
        let incoming = black_box(self.incoming.get(arrival.sink)?);
        let layer = self.layers.get(incoming.layer)?;
        black_box((incoming.tally.look(), layer.numbers.look(), layer.recent.look(), layer.stream));
        for Child { link, flow } in &layer.children {
            self.links[*link].link.look_at_departure(*flow, arrival.class);
        }
        layer.local
    }

    /// Looks at what a packet of a worker to a peer touches.
    pub fn look_at_packet(&self, to: NodeId, flow: Flow, class: Class) {
        let place = self.link(to).and_then(|link| link.look_at_departure(flow, class));
        let layer =
            place.and_then(|place| self.outgoing.get(place)).and_then(|outgoing| self.layers.get(outgoing.layer()));
        black_box(layer.map(|layer| (layer.numbers.look(), layer.recent.look(), layer.tally.look())));
    }
}
