//! What packets that come next will touch, looked at before they come: `link/machine/ahead.rs` says why.
//!
//! Each step finds the way to what the next one looks at. Whoever takes each step for all packets before the next one waits
//! for few of them.

use std::hint::black_box;
use std::time::Instant;

use origo_auth::NodeId;

use super::layer::Child;
use super::machine::Links;
use crate::link::{Arrival, Class, Datagram, Flow};

/// A packet that is to come over a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ahead {
    link: usize,
    arrival: Arrival,
    /// Its layer by number, once it was looked for.
    layer: usize,
}

impl Ahead {
    /// The low bits of its RTP number.
    pub fn number(self) -> u16 {
        self.arrival.number
    }
}

impl Links {
    /// Looks at what a datagram of a peer touches on its link. Nothing is given for what is no packet of a layer.
    pub fn look_at_datagram(&self, peer: NodeId, datagram: &Datagram) -> Option<Ahead> {
        let link = self.links_by_peer[self.find(peer).ok()?].1;
        let arrival = self.links[link].link.look_at_arrival(datagram)?;
        Some(Ahead { link, arrival, layer: usize::MAX })
    }

    /// The second step: finds its layer.
    pub fn look_for_layer(&self, ahead: Ahead) -> Option<Ahead> {
        let place = self.links[ahead.link].link.look_at_receiving(ahead.arrival.flow)?;
        let incoming = self.incoming.get(place)?;
        black_box(incoming.tally.look());
        Some(Ahead { layer: incoming.layer, ..ahead })
    }

    /// The third: looks at the layer. Gives the sink of the worker that takes it, if one does.
    pub fn look_at_layer(&self, ahead: Ahead) -> Option<usize> {
        let layer = self.layers.get(ahead.layer)?;
        black_box((layer.numbers.look(), layer.recent.look(), layer.stream));
        for Child { link, flow } in &layer.children {
            self.links[*link].link.look_at_departure(*flow, ahead.arrival.class);
        }
        layer.local
    }

    /// Looks at what a packet of a worker touches on the link to a peer.
    pub fn look_at_packet(&self, to: NodeId, flow: Flow, class: Class) {
        if let Some(link) = self.link(to) {
            link.look_at_departure(flow, class);
        }
    }

    /// The second step: looks at its layer.
    pub fn look_behind_packet(&self, to: NodeId, flow: Flow) {
        let place = self.link(to).and_then(|link| link.look_at_serving(flow));
        let outgoing = place.and_then(|place| self.outgoing.get(place));
        let layer = outgoing.and_then(|outgoing| self.layers.get(outgoing.layer()));
        black_box(layer.map(|layer| (layer.numbers.look(), layer.recent.look(), layer.tally.look())));
    }

    /// Looks at what the links touch that want to be woken by then.
    pub fn look_at_timeouts(&self, by: Instant) {
        let due = self.links.iter().zip(&self.wakes).filter(|(_, wake)| **wake <= by);
        due.for_each(|(peer, _)| peer.link.look_at_timeout());
    }
}
