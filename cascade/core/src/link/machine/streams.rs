//! Layers within one stream: what becomes of their packets, and what the peer is told of those that do not go.

use origo_auth::TrackSid;

use super::super::hop::place_of;
use super::super::{Class, Flow, Packet};
use super::Link;
use crate::TrackLayer;

impl Link {
    /// A flow is no longer one of a stream's layers.
    pub(super) fn leave_stream(&mut self, track: TrackSid, flow: Flow) {
        let Some(stream) = self.streams.get_mut(&track) else { return };
        stream.remove(flow);
        if stream.is_empty() {
            self.streams.remove(&track);
        }
    }

    /// A packet of one layer goes or is shed. A keyframe is one of all layers, so that those that wait for one go on.
    pub(super) fn send_of_stream(&mut self, layer: TrackLayer, flow: Flow, place: usize, packet: Packet, goes: bool) {
        let Some(stream) = self.streams.get_mut(&layer.track) else { return };
        if packet.key && goes {
            for flow in stream.flows() {
                self.serving.get_mut(flow).into_iter().for_each(|serving| serving.load.begin_anew(self.now));
            }
        }
        for (flow, packet) in stream.take(flow, packet, goes).into_iter().flatten() {
            let place = if packet.payload.is_empty() { place_of(Class::Base).unwrap_or(place) } else { place };
            self.offer(place, flow, &packet);
        }
    }

    /// Packets of a flow were to go and do not.
    pub(super) fn tell_shed(&mut self, flow: Flow, packets: Vec<Packet>) {
        let upper = self.serving.get(flow).filter(|serving| serving.in_stream && serving.layer.layer > 0);
        if let Some(track) = upper.map(|serving| serving.layer.track) {
            self.tell_left_out(track, packets);
        }
    }

    /// The same of several flows.
    pub(super) fn tell_expired(&mut self, mut packets: Vec<(Flow, Packet)>) {
        packets.sort_by_key(|(flow, _)| *flow);
        for packets in packets.chunk_by(|a, b| a.0 == b.0) {
            self.tell_shed(packets[0].0, packets.iter().map(|(_, packet)| packet.clone()).collect());
        }
    }

    /// The same of upper layers of a stream.
    pub(super) fn tell_left_out(&mut self, track: TrackSid, packets: Vec<Packet>) {
        let Some(stream) = self.streams.get_mut(&track).filter(|_| !packets.is_empty()) else { return };
        let Some(place) = place_of(Class::Base) else { return };
        for (flow, packet) in stream.tell(packets) {
            self.offer(place, flow, &packet);
        }
    }
}
