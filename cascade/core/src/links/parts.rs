//! Layers within one stream go to each peer as parts of it: which peer takes which, and what each is passed on.

use origo_auth::TrackSid;

use super::machine::Links;
use super::stream::{Pruning, Stream};
use crate::TrackLayer;
use crate::link::{Class, Flow, Packet};

impl Links {
    /// Passes on what each peer is to get of a stream.
    pub(super) fn relay_parts(&mut self, stream: usize, layer: u8, class: Class, packet: &Packet) {
        let children = self.streams.get(stream).map_or(0, |stream| stream.children.len());
        for child in 0..children {
            let Some(pruning) = self.streams.get_mut(stream).map(|stream| &mut stream.children[child]) else { return };
            if pruning.waits_until.is_some_and(|until| self.now < until) {
                continue;
            }
            let (link, parts) = (pruning.link, pruning.take(layer, packet));
            self.counters.relayed += self.give_parts(link, class, parts);
        }
    }

    /// Gives a link what it is to send of a stream. Gives how many packets that are.
    pub(super) fn give_parts(&mut self, link: usize, class: Class, parts: [Option<(Flow, Packet)>; 2]) -> u64 {
        let mut given = 0;
        for (flow, packet) in parts.into_iter().flatten() {
            given += 1;
            let class = if packet.payload.is_empty() { Class::Base } else { class };
            self.give_packet(link, flow, class, &packet);
        }
        given
    }

    /// A peer takes one more layer of a stream.
    pub(super) fn add_part(&mut self, id: TrackLayer, link: usize, flow: Flow) {
        let streams = &mut self.streams;
        let stream = *self.streams_by_track.entry(id.track).or_insert_with(|| streams.insert(Stream::default()));
        self.name_stream(id.track, Some(stream));
        let Some(Stream { children }) = self.streams.get_mut(stream) else { return };
        let known = children.iter().position(|child| child.link == link);
        let child = known.unwrap_or_else(|| {
            children.push(Pruning::new(link));
            children.len() - 1
        });
        children[child].add(id.layer, flow);
    }

    /// A peer takes one layer less.
    pub(super) fn remove_part(&mut self, track: TrackSid, link: usize, flow: Flow) {
        let Some(&place) = self.streams_by_track.get(&track) else { return };
        let Some(Stream { children }) = self.streams.get_mut(place) else { return };
        children.iter_mut().filter(|child| child.link == link).for_each(|child| child.remove(flow));
        children.retain(|child| !child.is_empty());
        if children.is_empty() {
            self.streams.remove(place);
            self.streams_by_track.remove(&track);
            self.name_stream(track, None);
        }
    }

    /// Tells the layers of a track which stream they are parts of.
    fn name_stream(&mut self, track: TrackSid, stream: Option<usize>) {
        let of_track = TrackLayer { track, layer: 0 }..=TrackLayer { track, layer: u8::MAX };
        for (_, &place) in self.layers_by_id.range(of_track) {
            if let Some(layer) = self.layers.get_mut(place) {
                layer.stream = stream;
            }
        }
    }
}
