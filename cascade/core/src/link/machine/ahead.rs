//! What a packet will touch of a link, looked at before it comes.
//!
//! Since a link's last packet most of its state has left the processor's cache. Packets that are handled one by one wait for
//! each miss alone; whoever knows of several that come next looks at all of them first, and their misses are waited for
//! together. Looking changes nothing.

use std::hint::black_box;

use super::super::counters::{IN, OUT};
use super::super::datagram::{self, Head};
use super::super::hop::{Hop, place_of};
use super::super::{Class, Datagram, Flow};
use super::{Link, read_flow};

/// A packet that is to come over a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) flow: Flow,
    pub(crate) class: Class,
    /// The low bits of its RTP number.
    pub(crate) number: u16,
}

impl Link {
    /// Looks at what a datagram of the peer will touch. Nothing is given for what is no packet of a layer.
    pub(crate) fn look_at_arrival(&self, datagram: &Datagram) -> Option<Arrival> {
        let (hop, mut rest) = (self.up.as_ref()?, datagram.head());
        let flow = read_flow(&mut rest).ok()?;
        if flow.0 == 0 {
            self.look_at_all(hop);
            return None;
        }
        black_box(self.receiving.look(flow));
        let (Head { class, .. }, flags) = datagram::decode_head(flow, &mut rest).ok()?;
        let receiver = &hop.receivers[place_of(class)?];
        black_box((self.plain_until, self.outputs.capacity(), self.counted(IN, class)));
        black_box((hop.path.datagrams(), hop.decoder.is_idle(self.now), receiver.report(), receiver.next_timeout()));
        Some(Arrival { flow, class, number: datagram::number_of(flags, rest)? })
    }

    /// Looks at the flow of a packet that arrives. Gives whose it is, as [`super::Input::Receive`] says.
    pub(crate) fn look_at_receiving(&self, flow: Flow) -> Option<usize> {
        let receiving = self.receiving.get(flow)?;
        black_box(receiving.highest);
        Some(receiving.sink)
    }

    /// Looks at what a timeout will touch.
    pub(crate) fn look_at_timeout(&self) {
        if let Some(hop) = &self.up {
            self.look_at_all(hop);
        }
    }

    fn look_at_all(&self, hop: &Hop) {
        black_box((
            self.plain_until,
            self.outputs.capacity(),
            self.counted(IN, Class::Link),
            self.counted(OUT, Class::Link),
        ));
        black_box((hop.metric(), hop.report_at, hop.scheduler.look(), hop.missed_total()));
    }

    /// Looks at what a packet to the peer will touch.
    pub(crate) fn look_at_departure(&self, flow: Flow, class: Class) {
        let (Some(hop), Some(place)) = (&self.up, place_of(class)) else { return };
        black_box((self.serving.look(flow), self.plain_until, self.outputs.capacity(), self.counted(OUT, class)));
        black_box((hop.times_at, hop.rings[place].next(), hop.encoder.is_idle(), hop.scheduler.look()));
    }

    /// Looks at the flow of a packet to the peer. Gives whose it is, as [`super::Input::Serve`] says.
    pub(crate) fn look_at_serving(&self, flow: Flow) -> Option<usize> {
        let serving = self.serving.get(flow)?;
        black_box(serving.load.is_away());
        Some(serving.sink)
    }

    fn counted(&self, direction: usize, class: Class) -> u64 {
        self.stats.packets[direction][class as usize] + self.stats.bytes[direction][class as usize]
    }
}
