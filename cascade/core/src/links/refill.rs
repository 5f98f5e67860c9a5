//! A peer comes from a parent that failed: what it missed meanwhile goes to it once more, before what comes next.

use std::time::{Duration, Instant};

use origo_auth::{NodeId, TrackSid};

use super::layer::{Feed, Layer};
use super::machine::Links;
use super::recent::KEEPS;
use super::stream::Pruning;
use crate::TrackLayer;
use crate::link::{Class, Flow, Packet};

/// Sound that is older is of no use to those who hear it: like a repair that comes too late.
const SOUND_AGE_MAX: Duration = Duration::from_millis(120);
/// Layers within one stream are asked for one after the other, and what goes of the stream hangs on all of them.
const STREAM_WAITS: Duration = Duration::from_millis(5);

/// A stream that is to be refilled once all of its layers are asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    pub(super) at: Instant,
    link: usize,
    flow: Flow,
    from: Instant,
}

impl Links {
    /// Keeps what a worker sends, once however many take it.
    /// `place` is the number of the flow among the outgoing.
    pub(super) fn keep(&mut self, place: usize, class: Class, packet: &Packet) {
        let outgoing = self.outgoing.get(place);
        let Some(Feed::Worker { layer, .. }) = outgoing.map(|outgoing| outgoing.feed) else { return };
        let (now, came) = (self.clock, self.clock_at(packet.arrived));
        let Some(layer) = self.layers.get_mut(layer) else { return };
        if layer.numbers.take(packet.sequence as u16).is_some() {
            layer.recent.push(now, came, class, packet);
            layer.tally.take(packet);
        }
    }

    /// The peer lacks what came within `span` before it asked.
    pub(super) fn refill(&mut self, to: NodeId, flow: Flow, span: Duration) {
        let link = self.place_of(to);
        let Some(&place) = self.outgoing_by_flow.get(&(link, flow)) else { return };
        let Some(feed) = self.outgoing.get(place).map(|outgoing| outgoing.feed) else { return };
        // What it asked for left on its way here, and what it gets is as long on its way back.
        let way = self.links[link].link.rtt().unwrap_or_default();
        let Some(from) = self.now.checked_sub((span + way).min(KEEPS)) else { return };
        match feed {
            Feed::Worker { layer, .. } | Feed::Relay { layer, in_stream: false } => {
                for (class, packet) in self.missed(layer, from) {
                    self.counters.refilled += 1;
                    self.give_packet(link, flow, class, &packet);
                }
            }
            Feed::Relay { layer, in_stream: true } => {
                let track = self.layer_mut(layer).id.track;
                let at = self.now + STREAM_WAITS;
                let pruning = self.pruning(track, link).filter(|pruning| !pruning.has_begun());
                if pruning.is_some_and(|pruning| pruning.waits_until.replace(at).is_none()) {
                    self.refills.push_back(Pending { at, link, flow, from });
                }
            }
        }
    }

    /// What came of a layer since then, as it is sent once more.
    fn missed(&self, layer: usize, from: Instant) -> Vec<(Class, Packet)> {
        let now = self.now;
        let is_of_use = |(class, packet): &(Class, Packet)| {
            *class != Class::Audio || now.saturating_duration_since(packet.arrived) <= SOUND_AGE_MAX
        };
        let again = |(class, packet): (Class, Packet)| (class, Packet { arrived: now, ..packet });
        let kept = self.layers.get(layer).into_iter().flat_map(|layer| self.kept_since(layer, from));
        kept.filter(is_of_use).map(again).collect()
    }

    /// What came of a layer since then.
    fn kept_since<'a>(&self, layer: &'a Layer, from: Instant) -> impl Iterator<Item = (Class, Packet)> + use<'a> {
        let begun = self.begun;
        let kept = layer.recent.since(self.clock_at(from));
        kept.map(move |(came, kept)| kept.restore(begun + Duration::from_nanos(came)))
    }

    /// Refills the streams whose time has come.
    pub(super) fn do_refills(&mut self) {
        while let Some(pending) = self.refills.pop_front_if(|pending| pending.at <= self.now) {
            self.refill_stream(pending);
        }
    }

    fn refill_stream(&mut self, Pending { link, flow, from, .. }: Pending) {
        let outgoing = self.outgoing_by_flow.get(&(link, flow)).and_then(|place| self.outgoing.get(*place));
        // Whoever has left the stream meanwhile takes it no longer, or begins anew.
        let Some(Feed::Relay { layer, in_stream: true }) = outgoing.map(|outgoing| outgoing.feed) else { return };
        let track = self.layer_mut(layer).id.track;
        let of_track = TrackLayer { track, layer: 0 }..=TrackLayer { track, layer: u8::MAX };
        let mut parts: Vec<(Instant, u8, Class, Packet)> = Vec::new();
        for (id, place) in self.layers_by_id.range(of_track) {
            let Some(layer) = self.layers.get(*place) else { continue };
            let part = |(class, packet): (Class, Packet)| (packet.arrived, id.layer, class, packet);
            parts.extend(self.kept_since(layer, from).map(part));
        }
        parts.sort_by_key(|(arrived, layer, ..)| (*arrived, *layer));
        let now = self.now;
        if let Some(pruning) = self.pruning(track, link) {
            pruning.waits_until = None;
        }
        for (_, layer, class, packet) in parts {
            let packet = Packet { arrived: now, ..packet };
            let Some(pruning) = self.pruning(track, link) else { return };
            let parts = pruning.take(layer, &packet);
            self.counters.refilled += self.give_parts(link, class, parts);
        }
    }

    /// What a peer gets of a stream, if it gets anything.
    fn pruning(&mut self, track: TrackSid, link: usize) -> Option<&mut Pruning> {
        let stream = self.streams_by_track.get(&track).and_then(|place| self.streams.get_mut(*place))?;
        stream.children.iter_mut().find(|child| child.link == link)
    }
}
